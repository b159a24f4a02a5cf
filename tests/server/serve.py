"""gyr serve, asked as its clients ask.

usage: serve.py GYR
"""
import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from serving import Server, chat, fewer  # noqa: E402

GYR = sys.argv[1]
POEM = "Write a poem about the sea"


def alone(text, *options):
    """What gyr run says."""
    return subprocess.run([GYR, "run", "--no-cache", *options, text], capture_output=True, text=True,
                          check=True).stdout.rstrip("\n")


def text_of(reply):
    return reply["choices"][0]["message"]["content"]


def streamed(events):
    return "".join(e["choices"][0]["delta"].get("content") or "" for _, e in events if e != "[DONE]" and e["choices"])


def it_answers_as_gyr_run_does():
    want = alone(POEM, "-n", "40")
    with Server(GYR) as s:
        whole = s.ask("/v1/chat/completions", chat(POEM, max_tokens=40))
        events = s.events("/v1/chat/completions", chat(POEM, max_tokens=40, stream_options={"include_usage": True}))
        message = s.ask("/v1/messages", chat(POEM, max_tokens=40, model="poet"))
        response = s.ask("/v1/responses", {"input": POEM, "max_output_tokens": 40})
        ollama = s.events("/api/chat", chat(POEM, model="poet:latest", options={"num_predict": 40}))
    got = {"whole": text_of(whole), "stream": streamed(events), "messages": message["content"][0]["text"],
           "responses": response["output"][0]["content"][0]["text"],
           "ollama": "".join(e["message"]["content"] for _, e in ollama)}
    problems = [f"{name}: {text!r} is not {want!r}" for name, text in got.items() if text.rstrip("\n") != want]
    usage = {"whole": whole["usage"], "stream": events[-2][1]["usage"]}
    problems += [f"{name}: {u}" for name, u in usage.items()
                 if u["completion_tokens"] != 40 or u["total_tokens"] != u["prompt_tokens"] + 40]
    if events[-1][1] != "[DONE]" or whole["choices"][0]["finish_reason"] != "length":
        problems.append(f"endings: {events[-1]}, {whole['choices'][0]['finish_reason']}")
    if usage["stream"]["prompt_tokens_details"]["cached_tokens"] < usage["stream"]["prompt_tokens"] - 1:
        problems.append(f"the second time nothing was found: {usage['stream']}")
    return problems


def who_else_asks_changes_nothing():
    prompts = [f"Write a poem about {what}" for what in ("the sea", "a falcon", "snow", "night", "a river", "my love")]
    tokens = fewer(60, 30)
    with Server(GYR) as s:
        want = {p: text_of(s.ask("/v1/chat/completions", chat(p, max_tokens=tokens, seed=7))) for p in prompts}
        got, problems = [], []

        def one(i):
            try:
                p = prompts[i % len(prompts)]
                if i % 3:
                    got.append((p, streamed(s.events("/v1/chat/completions", chat(p, max_tokens=tokens, seed=7)))))
                else:
                    got.append((p, text_of(s.ask("/v1/chat/completions", chat(p, max_tokens=tokens, seed=7)))))
            except Exception as e:  # pylint: disable=broad-except
                problems.append(f"{type(e).__name__}: {e}")

        threads = [threading.Thread(target=one, args=(i,)) for i in range(fewer(48, 18))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    wrong = [p for p, text in got if text != want[p]]
    return problems + [f"{len(wrong)} of {len(got)} answers are not what they are alone: {wrong[:3]}"] * bool(wrong)


def choices_differ_by_their_seed():
    with Server(GYR) as s:
        three = s.ask("/v1/chat/completions", chat(POEM, max_tokens=20, n=3, seed=5))["choices"]
        single = [text_of(s.ask("/v1/chat/completions", chat(POEM, max_tokens=20, seed=5 + i))) for i in range(3)]
    got = [c["message"]["content"] for c in three]
    return [] if got == single and len(set(got)) == 3 else [f"{got} is not {single}"]


REFUSED = [
    ("/v1/chat/completions", b"{", 400, "body: not JSON"),
    ("/v1/chat/completions", b"[]", 400, "not a JSON object"),
    ("/v1/chat/completions", {"messages": []}, 400, "messages: takes a list"),
    ("/v1/chat/completions", {"messages": [{"role": "king", "content": "a"}]}, 400, "roles are"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 400,
     "only text"),
    ("/v1/chat/completions", chat("a", temperature=-1), 400, "temperature: takes numbers from 0 to 100"),
    ("/v1/chat/completions", chat("a", max_tokens=1.5), 400, "max_tokens: takes whole numbers"),
    ("/v1/chat/completions", chat("a", max_tokens=-1), 400, "max_tokens: takes whole numbers"),
    ("/v1/chat/completions", chat("a", n=1000000), 400, "n: takes whole numbers from 1 to 64"),
    ("/v1/chat/completions", chat("a", seed="x"), 400, "seed: takes a whole number"),
    ("/v1/chat/completions", chat("a", stop=["x"] * 1000), 400, "stop: at most"),
    ("/v1/chat/completions", chat("a", logit_bias={"99999999": 1}), 400, "logit_bias: "),
    ("/v1/chat/completions", chat("a", frobnicate=1), 400, "unknown parameter: 'frobnicate'"),
    ("/v1/chat/completions", chat("a", model="gpt-9"), 404, "no model 'gpt-9'"),
    ("/v1/chat/completions", chat("word " * 3000), 400, "maximum context length is 1024 tokens"),
    ("/v1/chat/completions", chat("a", response_format={"type": "json_schema", "json_schema": {"schema": {"type": "z"}}}),
     400, "response_format"),
    ("/v1/completions", {"prompt": ""}, 400, "empty"),
    ("/v1/completions", {"prompt": [999999]}, 400, "token ids are 0 to"),
    ("/v1/responses", {"input": "a", "previous_response_id": "resp_0"}, 400, "no such response"),
    ("/v1/responses", {"input": [{"type": "web"}]}, 400, "an item of type 'web'"),
    ("/v1/responses", {"input": "a", "include": [1]}, 400, "include: takes strings"),
    ("/v1/responses", {"input": "a", "top_logprobs": 21}, 400, "top_logprobs: takes whole numbers from 0 to 20"),
    ("/v1/chat/completions", chat("a", tool_choice={"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "x"}}]}}), 400, "'x' is none of the tools"),
    ("/v1/messages", {"model": "poet", "messages": [{"role": "user", "content": "a"}]}, 400, "max_tokens: required"),
    ("/v1/messages", chat("a", max_tokens=5, tool_choice={"type": "any"}), 400, "no tools to call"),
    ("/api/chat", {"messages": [{"role": "user", "content": "a", "images": ["aGk="]}]}, 400, "only text"),
    ("/api/chat", chat("a", format="xml"), 400, "format: takes"),
    ("/api/chat", {"model": "none", "messages": []}, 404, "no model 'none'"),
    ("/nothing", {}, 404, "there is nothing here"),
    ("/v1/models", {}, 405, "not a method"),
]


SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"},
          "kind": {"enum": ["falcon", "owl"]}}, "required": ["name", "age", "kind"], "additionalProperties": False}


def what_must_be_json_is():
    problems = []
    with Server(GYR) as s:
        for seed in range(fewer(8, 3)):
            form = {"type": "json_schema", "json_schema": {"name": "bird", "schema": SCHEMA}}
            reply = s.ask("/v1/chat/completions", chat("A bird", seed=seed, max_tokens=200, response_format=form))
            said, finish = text_of(reply), reply["choices"][0]["finish_reason"]
            try:
                value = json.loads(said)
                good = set(value) == {"name", "age", "kind"} and isinstance(value["age"], int) and len(value["name"]) <= 12
            except ValueError:
                good = finish == "length"
            if not good:
                problems.append(f"{finish}: {said!r}")
        words = s.ask("/v1/chat/completions", chat("Which?", structured_outputs={"choice": ["yes", "no"]}))
        number = s.ask("/v1/chat/completions", chat("When?", structured_outputs={"regex": "[0-9]{4}-[0-9]{2}"}))
    if text_of(words) not in ("yes", "no") or words["choices"][0]["finish_reason"] != "stop":
        problems.append(f"{words}")
    if not re.fullmatch("[0-9]{4}-[0-9]{2}", text_of(number)):
        problems.append(f"{number}")
    return problems


def a_schema_beside_tools_holds_for_what_is_no_call():
    tool = {"type": "function", "function": {"name": "look", "parameters": {
        "type": "object", "properties": {"at": {"enum": ["sea", "sky"]}}, "required": ["at"], "additionalProperties": False}}}
    form = {"type": "json_schema", "json_schema": {"name": "bird", "schema": SCHEMA}}
    problems, kinds = [], set()
    with Server(GYR) as s:
        asked = chat("A bird", max_tokens=300, n=fewer(12, 4), tools=[tool], response_format=form,
                     parallel_tool_calls=False)
        begins = s.ask("/tokenize", {"prompt": "<"})["tokens"][0], s.ask("/tokenize", {"prompt": "{"})["tokens"][0]
        for token in begins:
            for c in s.ask("/v1/chat/completions", dict(asked, logit_bias={str(token): 12}))["choices"]:
                calls, said = c["message"].get("tool_calls"), c["message"]["content"]
                kinds.add("call" if calls else "answer")
                try:
                    values = [json.loads(t["function"]["arguments"]) for t in calls or []]
                    good = all(v["at"] in ("sea", "sky") for v in values) and not said if calls else \
                        set(json.loads(said)) == {"name", "age", "kind"}
                except ValueError:
                    good = c["finish_reason"] == "length"
                if not good:
                    problems.append(f"{c}")
        message = s.ask("/v1/messages", chat("A bird", max_tokens=300, tools=[{"name": "look", "input_schema": tool["function"]["parameters"]}],
                                             output_config={"format": {"type": "json_schema", "schema": {"const": 5}}}))
        regex = s.ask("/v1/chat/completions", chat("a", tools=[tool], guided_regex="a+"), status=400)["error"]["message"]
        none = s.ask("/v1/chat/completions", chat("a", tools=[tool], tool_choice="none", guided_regex="a{3}"))
    if message["stop_reason"] != "max_tokens" and (message["content"][-1]["text"] if message["content"][-1]["type"] == "text"
                                                   else message["content"][-1]["input"]) not in ("5", {"at": "sea"}, {"at": "sky"}):
        problems.append(f"{message}")
    if "only JSON can be asked for beside tools" not in regex or text_of(none) != "aaa":
        problems.append(f"{regex} {none}")
    return problems + [f"only {kinds}"] * (len(kinds) < 2)


def embeddings_are_those_of_gyr_embed():
    texts = ["The sea", "A falcon over the mountains", "The sea"]
    out = subprocess.run([GYR, "embed", "--no-cache", *texts], capture_output=True, text=True, check=True).stdout
    want = [json.loads(line) for line in out.splitlines()]
    with Server(GYR) as s:
        got = s.ask("/v1/embeddings", {"input": texts})
        packed = s.ask("/v1/embeddings", {"input": texts[1], "encoding_format": "base64"})
        ollama = s.ask("/api/embed", {"model": "poet", "input": texts[:1]})
        short = s.ask("/v1/embeddings", {"input": texts[0], "dimensions": 8})
    vectors = [row["embedding"] for row in got["data"]]
    raw = base64.b64decode(packed["data"][0]["embedding"])
    problems = [] if vectors == want else [f"{vectors[0][:4]} is not {want[0][:4]}"]
    if list(struct.unpack(f"<{len(raw) // 4}f", raw)) != [struct.unpack("f", struct.pack("f", x))[0] for x in vectors[1]]:
        problems.append("base64 says something else")
    if ollama["embeddings"] != vectors[:1] or len(short["data"][0]["embedding"]) != 8:
        problems.append(f"{str(ollama)[:100]} {short}")
    return problems


def the_other_apis_keep_to_what_is_asked():
    tool = {"name": "bird", "input_schema": SCHEMA}
    problems = []
    with Server(GYR) as s:
        whole = s.ask("/v1/messages", chat(POEM, max_tokens=60))["content"][0]["text"]
        word = whole.split()[5]
        stopped = s.ask("/v1/messages", chat(POEM, max_tokens=60, stop_sequences=["nowhere at all", word]))
        if (stopped["stop_reason"], stopped["stop_sequence"]) != ("stop_sequence", word):
            problems.append(f"not stopped by {word!r}: {stopped}")
        for choice in ({"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "bird"}):
            made = s.ask("/v1/messages", chat(POEM, max_tokens=300, tools=[tool], tool_choice=choice))
            called = [b for b in made["content"] if b["type"] == "tool_use" and set(b["input"]) == set(SCHEMA["properties"])]
            if made["stop_reason"] != "max_tokens" and len(called) != 1:
                problems.append(f"{choice}: {made}")
        form = {"format": {"type": "json_schema", "schema": SCHEMA}}
        told = s.ask("/v1/messages", chat("A bird", max_tokens=300, output_config=form))
        plain = s.ask("/api/chat", chat("A bird", stream=False, format=SCHEMA, options={"num_predict": 300}))
        for text, cut in ((told["content"][0]["text"], told["stop_reason"] == "max_tokens"),
                          (plain["message"]["content"], plain["done_reason"] == "length")):
            if not cut and set(json.loads(text)) != set(SCHEMA["properties"]):
                problems.append(text)
        loaded = s.ask("/api/chat", {"model": "poet"}), s.ask("/api/generate", {"model": "poet", "prompt": ""})
        if [r["done_reason"] for r in loaded] != ["load", "load"]:
            problems.append(f"{loaded}")
        likely = s.ask("/api/generate", {"prompt": POEM, "stream": False, "logprobs": True, "options": {"num_predict": 3}})
        if len(likely["logprobs"]) != 3:
            problems.append(f"{likely}")
        count = s.ask("/v1/responses/input_tokens", {"input": POEM})["input_tokens"]
        used = s.events("/v1/chat/completions", chat(POEM, max_tokens=4, stream_options={
            "include_usage": True, "continuous_usage_stats": True}))
        usages = [e["usage"] for _, e in used[:-1]]
        if usages[0]["prompt_tokens"] != count or usages[-1]["completion_tokens"] != 4 or not all(usages):
            problems.append(f"{count} {usages}")
    return problems


def little_memory_changes_nothing():
    prompts = [f"Write a poem about {what}" for what in ("the sea", "a falcon", "snow", "night", "a river", "my love")]
    tokens, memory, many = fewer(300, 150), fewer("4", "2"), fewer(18, 8)
    with Server(GYR) as s:
        want = [text_of(s.ask("/v1/chat/completions", chat(p, max_tokens=tokens, ignore_eos=True))) for p in prompts]
    got = {}
    with Server(GYR, "--kv-memory", memory) as s:

        def one(i):
            got[i] = text_of(s.ask("/v1/chat/completions", chat(prompts[i % 6], max_tokens=tokens, ignore_eos=True)))

        threads = [threading.Thread(target=one, args=(i,)) for i in range(many)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        metrics = s.send("GET", "/metrics")[2].decode()
    aside = int(re.search(r"^vllm:num_preemptions_total (\d+)", metrics, re.MULTILINE)[1])
    wrong = [i for i in range(many) if got.get(i) != want[i % 6]]
    return [f"{len(wrong)} answers are others, {aside} were set aside"] * bool(wrong or not aside)


def a_conversation_goes_on_after_a_restart():
    words = " ".join(f"the {a} of {b}" for a in ("sea", "light", "song", "rose") for b in ("night", "love", "gold", "rain"))
    asked = chat(f"Write a poem about {words}, and {words}, and {words}, and {words}, and {words}", max_tokens=60)
    problems = []
    with tempfile.TemporaryDirectory() as cache:
        with Server(GYR, cache=cache) as s:
            first = s.ask("/v1/chat/completions", asked)
            code = s.stop()
        with Server(GYR, cache=cache) as s:
            second = s.ask("/v1/chat/completions", asked)
            s.stop(signal.SIGKILL)
        for name in os.listdir(f"{cache}/gyr/conversations"):  # damaged, they are not believed
            with open(f"{cache}/gyr/conversations/{name}", "r+b") as f:
                f.seek(5000)
                f.write(b"damaged")
        with Server(GYR, cache=cache) as s:
            third = s.ask("/v1/chat/completions", asked)
    cached = [r["usage"]["prompt_tokens_details"]["cached_tokens"] for r in (first, second, third)]
    if len({text_of(r) for r in (first, second, third)}) != 1:
        problems.append("another answer")
    if code or cached[0] or cached[1] < 256 or cached[2]:
        problems.append(f"{code}, {cached} of {first['usage']['prompt_tokens']} tokens were found")
    return problems


def an_answer_goes_on_from_what_is_there():
    """continue_final_message, and Messages that end with the assistant's."""
    problems = []
    with Server(GYR) as s:
        asked = {"max_tokens": fewer(60, 25), "temperature": 0, "return_token_ids": True}
        whole = s.ask("/v1/chat/completions", chat(POEM, **asked))
        text, start = text_of(whole), s.ask("/apply-template", chat(POEM))["prompt"]
        for begun in (text[:20], text[:33] + " \n", "e", "A <|end|> of it "):
            talk = chat(POEM)["messages"] + [{"role": "assistant", "content": begun}]
            on = dict(asked, messages=talk, continue_final_message=True)
            prompt = s.ask("/apply-template", {"messages": talk, "continue_final_message": True})["prompt"]
            rest = s.ask("/v1/chat/completions", on)
            same = s.ask("/v1/completions", dict(asked, prompt=rest["prompt_token_ids"]))["choices"][0]
            message = s.ask("/v1/messages", {"messages": talk, "max_tokens": asked["max_tokens"], "temperature": 0})
            told = [text_of(rest).strip("\n"), message["content"][0]["text"].strip("\n")]
            if prompt != start + begun or s.ask("/detokenize", {"tokens": rest["prompt_token_ids"]})["content"] != prompt:
                problems.append(f"{begun!r}: the prompt is {prompt!r}")
            if told != [same["text"].strip("\n")] * 2:
                problems.append(f"{begun!r}: {told} is not {same['text']!r}")
        for begun in ("", " \n"):
            talk = chat(POEM)["messages"] + [{"role": "assistant", "content": begun}]
            if text_of(s.ask("/v1/chat/completions", dict(asked, messages=talk, continue_final_message=True))) != text:
                problems.append(f"{begun!r} is not as nothing")
    return problems


def what_is_wrong_is_said():
    problems = []
    with Server(GYR) as s:
        for path, body, status, words in REFUSED:
            got, headers, content = s.send("POST", path, body)
            try:
                error = json.loads(content)["error"]
                message = error if isinstance(error, str) else error["message"]
            except (ValueError, KeyError, TypeError):
                message = None
            if got != status or not message or words not in message or headers["Content-Type"] != "application/json":
                problems.append(f"{path} {str(body)[:60]}: {got} {content[:300]!r}, not {status} {words!r}")
        if s.ask("/health")["status"] != "ok":
            problems.append("not well afterwards")
    return problems


def how_much_of_a_prompt_is_read_is_said():
    long = chat("the sea and the night " * 150, max_tokens=2, return_progress=True)
    with Server(GYR) as s:
        events = [e for _, e in s.events("/v1/chat/completions", long) if e != "[DONE]"]
        quiet = [e for _, e in s.events("/v1/chat/completions", chat("the sea", max_tokens=2)) if e != "[DONE]"]
        whole = s.ask("/v1/chat/completions", long)
    told = [e["prompt_progress"] for e in events if "prompt_progress" in e]
    total = whole["usage"]["prompt_tokens"]
    right = told and all(p["total"] == total and 0 <= p["cache"] <= p["processed"] <= total for p in told)
    right = right and [p["processed"] for p in told] == sorted(p["processed"] for p in told) and 0 < told[-1]["processed"]
    return [] if right and not any("prompt_progress" in e for e in quiet) and "prompt_progress" not in whole else [f"{told} of {total}"]


def who_leaves_frees_the_place():
    with Server(GYR) as s:
        c = s.connect()
        c.request("POST", "/v1/chat/completions", json.dumps(chat(POEM, stream=True, ignore_eos=True, max_tokens=1000)))
        reply = c.getresponse()
        reply.read(200)
        reply.close()
        c.close()
        for _ in range(100):
            metrics = s.send("GET", "/metrics")[2].decode()
            if "\ngyr:answers_cancelled_total 1\n" in metrics and "\nvllm:num_requests_running 0\n" in metrics:
                return []
            time.sleep(0.02)
        return [metrics]


def too_many_wait_their_turn_or_are_refused():
    with Server(GYR, "--parallel", "1", "--waiting", "2") as s:
        statuses = []

        def one():
            statuses.append(s.send("POST", "/v1/chat/completions", chat(POEM, ignore_eos=True, max_tokens=200))[:2])

        threads = [threading.Thread(target=one) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    codes = sorted(code for code, _ in statuses)
    retry = [h["Retry-After"] for code, h in statuses if code == 429]
    good = set(codes) == {200, 429} and codes.count(200) >= 3 and all(retry)
    return [] if good else [f"{codes} {retry}"]


def nobody_keeps_all_places():
    """A request with many long choices sets some aside for one that comes later, and all have the bytes that they have alone."""
    long, short = chat("a", n=4, max_tokens=fewer(600, 250), ignore_eos=True, seed=3), chat("Write a poem about snow", max_tokens=5)
    texts = lambda reply: [c["message"]["content"] for c in reply["choices"]]
    with Server(GYR, "--parallel", "4") as s:
        alone, alone_short = texts(s.ask("/v1/chat/completions", long)), texts(s.ask("/v1/chat/completions", short))
    with Server(GYR, "--parallel", "4") as s:
        first = s.connect()
        first.request("POST", "/v1/chat/completions", json.dumps(dict(long, stream=True)))
        reply = first.getresponse()
        events = reply.read(2000)
        got = []
        for _ in range(3):
            got += texts(s.ask("/v1/chat/completions", short))
        metrics = s.send("GET", "/metrics")[2].decode()
        aside = int(re.search(r"vllm:num_preemptions_total (\d+)", metrics)[1])
        running, waiting = (int(re.search(rf"vllm:num_requests_{what} (\d+)", metrics)[1]) for what in ("running", "waiting"))
        events += reply.read()
        first.close()
    streams = [""] * 4
    for line in events.decode().split("\n\n"):
        for c in json.loads(line[6:])["choices"] if line.startswith("data: {") else []:
            streams[c["index"]] += c["delta"].get("content") or ""
    problems = [] if streams == alone else ["the long answers are others than alone"]
    problems += [] if got == alone_short * 3 else [f"{got} is not {alone_short}"]
    if not aside or running > 4 or running + waiting < 4:  # the four long ones, one of which may wait for its place yet
        problems.append(f"{aside} set aside, {running} running, {waiting} waiting when the short ones were done")
    return problems


def it_ends_what_it_began():
    with Server(GYR) as s:
        c = s.connect()
        c.request("POST", "/v1/chat/completions", json.dumps(chat(POEM, ignore_eos=True, max_tokens=300)))
        time.sleep(0.1)
        s.process.send_signal(signal.SIGTERM)
        reply = c.getresponse()
        answer = json.loads(reply.read())
        code = s.process.wait(timeout=20)
    tokens = answer["usage"]["completion_tokens"]
    return [] if reply.status == 200 and tokens == 300 and code == 0 else [f"{reply.status} {tokens} {code}"]


def pages_of_elsewhere_may_not_ask():
    tries = [({"Host": "evil.example"}, 403), ({"Host": "localhost:1"}, 200), ({"Host": "127.0.0.1:1"}, 200),
             ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
             ({"Host": "localhost", "Origin": "https://good.example"}, 200)]
    problems = []
    with Server(GYR, "--origin", "https://good.example") as s:
        for headers, status in tries:
            got, reply, _ = s.send("GET", "/v1/models", None, headers)
            allowed = reply["Access-Control-Allow-Origin"]
            right = allowed == (headers.get("Origin") if status == 200 else None)
            if got != status or not right:
                problems.append(f"{headers}: {got} {allowed}")
    return problems


def others_need_a_key():
    problems = []
    probe = subprocess.run([GYR, "serve", "--port", "0", "--host", "0.0.0.0"], capture_output=True, text=True, check=False,
                           env=dict(os.environ, GYR_STATE="/dev/null/x"))
    if probe.returncode == 0 or probe.stdout:
        problems.append(f"it serves others without keys: {probe.stdout}")
    with Server(GYR) as home:
        made = subprocess.run([GYR, "key", "add", "ann", "--rate", "2"], env=home.environ, capture_output=True, text=True,
                              check=True)
        key = made.stdout.split()[-1] if made.stdout.split() else ""
        with Server(GYR, "--host", "0.0.0.0", "--name", "localhost", state=home.environ["GYR_STATE"]) as s:
            s.host = "127.0.0.1"
            tries = [({}, 401), ({"Authorization": "Bearer nonsense"}, 401), ({"Authorization": f"Bearer {key}"}, 200),
                     ({"X-Api-Key": key}, 200), ({"Authorization": f"Bearer {key}"}, 429)]
            for headers, status in tries:
                got, reply, content = s.send("POST", "/v1/chat/completions", chat("a", max_tokens=2), headers)
                if got != status or (got == 429 and not reply["Retry-After"]):
                    problems.append(f"{headers}: {got} {content[:200]!r}, not {status}")
            if s.send("POST", "/tokenize", {"prompt": "a"}, {"X-Api-Key": key})[0] != 429:
                problems.append("the tokenizer is asked by whoever has used up the minute")
            if s.send("GET", "/v1/models")[0] != 401 or s.send("GET", "/health")[0] != 200:
                problems.append("/v1/models is open, or /health is not")
    return problems


def slow_and_broken_clients_keep_nobody_waiting():
    with Server(GYR) as s:
        idle = [socket.create_connection((s.host, s.port)) for _ in range(200)]
        for i, c in enumerate(idle):
            c.sendall([b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
                       b"GET / HT", b"\x00\xff\x16\x03\x01garbage\r\n\r\n", b"X" * 2000][i % 4])
        start = time.time()
        answer = s.ask("/v1/chat/completions", chat("a", max_tokens=3))
        took = time.time() - start
        big = s.send("GET", "/health", None, {"X-Long": "x" * 100000})[0]
        for c in idle:
            c.close()
        well = s.ask("/health")["status"] == "ok"
    good = answer["choices"] and took < 20 and big in (400, 413, 431) and well
    return [] if good else [f"{took:.1f} s, {big}, {well}"]


if __name__ == "__main__":
    run(it_answers_as_gyr_run_does, who_else_asks_changes_nothing, choices_differ_by_their_seed,
        what_must_be_json_is, a_schema_beside_tools_holds_for_what_is_no_call, embeddings_are_those_of_gyr_embed, the_other_apis_keep_to_what_is_asked,
        little_memory_changes_nothing,
        a_conversation_goes_on_after_a_restart, an_answer_goes_on_from_what_is_there, what_is_wrong_is_said,
        how_much_of_a_prompt_is_read_is_said, who_leaves_frees_the_place, too_many_wait_their_turn_or_are_refused, nobody_keeps_all_places, it_ends_what_it_began,
        pages_of_elsewhere_may_not_ask, others_need_a_key, slow_and_broken_clients_keep_nobody_waiting)
