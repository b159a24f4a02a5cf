"""OpenAI's Python client."""
import json
import time

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from conftest import call

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
           "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Of a city", "parameters": WEATHER, "strict": True}}
FLAT = {"type": "function", "name": "weather", "description": "Of a city", "parameters": WEATHER, "strict": True}
USER = [{"role": "user", "content": "Write a poem about the sea"}]


class Bird(BaseModel):
    name: str
    age: int


OWL = '{"name": "owl", "age": 3}'


@pytest.fixture
def client(poet):
    return OpenAI(base_url=poet.url + "/v1", api_key="none", max_retries=0)


def of(server):
    return OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def test_models(client):
    models = client.models.list().data
    assert [m.id for m in models] == ["poet"] and client.models.retrieve("poet").object == "model"


def test_chat_whole_and_streamed_are_the_same(client):
    whole = client.chat.completions.create(model="poet", messages=USER, max_completion_tokens=30)
    stream = client.chat.completions.create(model="poet", messages=USER, max_completion_tokens=30, stream=True,
                                            stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content and text
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 30
    assert whole.choices[0].finish_reason == "length"


def test_chat_stream_helper(scripted):
    client = of(scripted("One two three four five six seven"))
    with client.chat.completions.stream(model="stand-in", messages=USER, logprobs=True) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done", "logprobs.content.delta"} <= kinds
    assert "".join(t.token for t in final.choices[0].logprobs.content) == final.choices[0].message.content


def test_chat_logprobs(client):
    reply = client.chat.completions.create(model="poet", messages=USER, max_completion_tokens=5, logprobs=True, top_logprobs=3)
    content = reply.choices[0].logprobs.content
    assert len(content) == 5 and all(len(t.top_logprobs) == 3 and t.logprob <= 0 for t in content)
    assert "".join(t.token for t in content).strip() == reply.choices[0].message.content.strip()


def test_chat_n(client):
    reply = client.chat.completions.create(model="poet", messages=USER, max_completion_tokens=10, n=3)
    assert [c.index for c in reply.choices] == [0, 1, 2]
    stream = client.chat.completions.create(model="poet", messages=USER, max_completion_tokens=10, n=3, stream=True)
    texts = ["", "", ""]
    for chunk in stream:
        for c in chunk.choices:
            texts[c.index] += c.delta.content or ""
    assert texts == [c.message.content for c in reply.choices]


def test_chats_are_kept(client):
    ask = dict(model="poet", messages=USER, max_completion_tokens=8, store=True)
    kept = [client.chat.completions.create(**ask, metadata={"number": str(i)}) for i in range(3)]
    with client.chat.completions.create(**ask, metadata={"number": "3"}, stream=True) as stream:
        streamed = {chunk.id for chunk in stream}
    ids = [c.id for c in kept] + list(streamed)
    completions = client.chat.completions
    assert [c.id for c in completions.list(limit=2)] == ids  # by pages
    assert [c.id for c in completions.list(metadata={"number": "1"})] == ids[1:2]
    one = completions.retrieve(ids[0])
    assert one.choices == kept[0].choices and one.metadata == {"number": "0"}
    assert [(m.role, m.content) for m in completions.messages.list(ids[0])] == [("user", USER[0]["content"])]
    assert completions.update(ids[0], metadata={"a": "b"}).metadata == {"a": "b"}
    for name in ids:
        assert completions.delete(name).deleted
    assert not completions.list().data
    with pytest.raises(openai.NotFoundError):
        completions.retrieve(ids[0])


def test_chat_parse(scripted):
    client = of(scripted(OWL))
    reply = client.chat.completions.parse(model="stand-in", messages=USER, response_format=Bird)
    assert reply.choices[0].message.parsed == Bird(name="owl", age=3)


def test_chat_parse_streamed(scripted):
    client = of(scripted(OWL))
    with client.chat.completions.stream(model="stand-in", messages=USER, response_format=Bird) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed == Bird(name="owl", age=3)


def test_chat_tools(scripted):
    client = of(scripted("Let me see.\n" + call("weather", city="Zürich") + "\n" + call("weather", city="Rome"), "Sun in both."))
    talk = [{"role": "user", "content": "Weather?"}]
    first = client.chat.completions.create(model="stand-in", messages=talk, tools=[TOOL], tool_choice="auto").choices[0]
    assert first.finish_reason == "tool_calls" and first.message.content == "Let me see."
    calls = first.message.tool_calls
    assert [json.loads(c.function.arguments) for c in calls] == [{"city": "Zürich"}, {"city": "Rome"}]
    talk += [first.message] + [{"role": "tool", "tool_call_id": c.id, "content": "sun"} for c in calls]
    second = client.chat.completions.create(model="stand-in", messages=talk, tools=[TOOL])
    assert second.choices[0].message.content == "Sun in both."


def test_chat_tools_streamed(scripted):
    client = of(scripted("Let me see.\n" + call("weather", city="Zürich")))
    with client.chat.completions.stream(model="stand-in", messages=USER, tools=[TOOL]) as stream:
        kinds = [e.type for e in stream]
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.delta" in kinds and "tool_calls.function.arguments.done" in kinds
    assert message.tool_calls[0].function.parsed_arguments == {"city": "Zürich"} and message.content == "Let me see."


def test_chat_required_tool(client):
    def weather(city):
        return client.chat.completions.create(model="poet", messages=USER, tools=[TOOL], max_completion_tokens=300, seed=city,
                                              tool_choice={"type": "function", "function": {"name": "weather"}})
    for seed in range(3):
        choice = weather(seed).choices[0]
        if choice.finish_reason != "length":
            assert set(json.loads(choice.message.tool_calls[0].function.arguments)) == {"city"}


def test_chat_allowed_tools(scripted):
    client = of(scripted(call("weather", city="Rome")))
    reply = client.chat.completions.create(model="stand-in", messages=USER, tools=[TOOL, dict(TOOL, function={"name": "other"})],
        tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "weather"}}]}})
    assert reply.choices[0].message.tool_calls[0].function.name == "weather"


def test_completions(client):
    whole = client.completions.create(model="poet", prompt="The sea", max_tokens=12, logprobs=2, echo=False)
    stream = client.completions.create(model="poet", prompt="The sea", max_tokens=12, stream=True)
    assert "".join(c.choices[0].text for c in stream if c.choices) == whole.choices[0].text
    assert len(whole.choices[0].logprobs.tokens) == 12


def test_responses(client):
    r = client.responses.create(model="poet", input="Write a poem", max_output_tokens=20, instructions="Rhyme.",
                                metadata={"a": "b"}, temperature=0, truncation="disabled")
    assert r.output_text and r.usage.output_tokens == 20 and r.status == "incomplete"
    assert r.incomplete_details.reason == "max_output_tokens" and r.metadata == {"a": "b"}


def test_responses_streamed(client):
    with client.responses.stream(model="poet", input="Write a poem", max_output_tokens=20) as stream:
        events = list(stream)
    names = [e.type for e in events]
    assert names[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert names[-1] in ("response.completed", "response.incomplete")
    assert [e.sequence_number for e in events] == list(range(len(events)))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text


def test_responses_parse(scripted):
    r = of(scripted(OWL)).responses.parse(model="stand-in", input="A bird", text_format=Bird)
    assert r.output_parsed == Bird(name="owl", age=3)


def test_responses_tools(scripted):
    client = of(scripted(call("weather", city="Rome"), "Sun."))
    first = client.responses.create(model="stand-in", input="Weather?", tools=[FLAT])
    made = [i for i in first.output if i.type == "function_call"]
    assert json.loads(made[0].arguments) == {"city": "Rome"}
    second = client.responses.create(model="stand-in", previous_response_id=first.id, tools=[FLAT], input=[
        {"type": "function_call_output", "call_id": made[0].call_id, "output": "sun"}])
    assert second.output_text == "Sun." and second.previous_response_id == first.id
    assert client.responses.retrieve(first.id).id == first.id
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_conversations(client):
    """Made, changed, added to by hand and by responses, listed page by page, deleted."""
    talks, ask = client.conversations, {"model": "poet", "max_output_tokens": 8, "temperature": 0}
    talk = talks.create(metadata={"topic": "sea"}, items=[{"type": "message", "role": "user", "content": "Hello"}])
    assert talks.retrieve(talk.id) == talk and talks.update(talk.id, metadata={"topic": "snow"}).metadata == {"topic": "snow"}
    added = talks.items.create(talk.id, items=[{"role": "assistant", "content": "Hi."}, {"role": "user", "content": "a poem"}]).data
    assert talks.items.retrieve(added[0].id, conversation_id=talk.id) == added[0]
    first = client.responses.create(**ask, input="a poem, sea", conversation=talk.id)
    with client.responses.create(**ask, input="another", conversation={"id": talk.id}, stream=True) as stream:
        last = [e for e in stream][-1].response
    assert first.conversation.id == last.conversation.id == talk.id and last.usage.input_tokens > first.usage.input_tokens
    items = list(talks.items.list(talk.id, order="asc", limit=2))  # of all pages
    assert [(i.role, i.content[0].text) for i in items] == [
        ("user", "Hello"), ("assistant", "Hi."), ("user", "a poem"), ("user", "a poem, sea"), ("assistant", first.output_text),
        ("user", "another"), ("assistant", last.output_text)]
    assert talks.items.delete(added[0].id, conversation_id=talk.id).id == talk.id and len(talks.items.list(talk.id).data) == 6
    assert talks.delete(talk.id).deleted
    for gone in (lambda: talks.retrieve(talk.id), lambda: client.responses.create(**ask, input="a", conversation=talk.id)):
        with pytest.raises(openai.NotFoundError):
            gone()


def test_responses_tools_streamed(scripted):
    client = of(scripted("So.\n" + call("weather", city="Rome")))
    with client.responses.stream(model="stand-in", input="Weather?", tools=[FLAT]) as stream:
        names = [e.type for e in stream]
        final = stream.get_final_response()
    assert "response.function_call_arguments.delta" in names and "response.function_call_arguments.done" in names
    assert [i.type for i in final.output] == ["message", "function_call"] and final.output[1].parsed_arguments == {"city": "Rome"}


def test_responses_count(client):
    assert client.responses.input_tokens.count(model="poet", input="Write a poem").input_tokens > 2


def chats(count):
    lines = [{"messages": [{"role": "user", "content": f"number {i}"}, {"role": "assistant", "content": "Arr!", "weight": 1}]} for i in range(count)]
    return "\n".join(map(json.dumps, lines)).encode()


def until_over(client, job):
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.05)
        job = client.fine_tuning.jobs.retrieve(job.id)
    return job


def test_fine_tuning(client):
    training = client.files.create(file=("chats.jsonl", chats(12)), purpose="fine-tune")
    valid = client.files.create(file=("valid.jsonl", chats(2)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="poet", training_file=training.id, validation_file=valid.id, suffix="arr", seed=3, metadata={"a": "b"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 30}}})
    assert job.status == "validating_files" and job.fine_tuned_model is None and job.method.supervised.hyperparameters.n_epochs == 2
    job = until_over(client, job)
    assert (job.status, job.trained_tokens > 0, job.seed, job.error) == ("succeeded", True, 3, None)
    metrics = [e for e in client.fine_tuning.jobs.list_events(job.id, limit=3) if e.type == "metrics"]  # pages, by itself
    assert [e.data["step"] for e in metrics] == [6, 5, 4, 3, 2, 1] and metrics[0].data["train_loss"] < metrics[-1].data["train_loss"]
    saved = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert [c.step_number for c in saved] == [6, 3] and saved[0].metrics.full_valid_loss > 0
    assert client.files.content(job.result_files[0]).text.count("\n") == 7
    assert [j.id for j in client.fine_tuning.jobs.list(limit=1)][0] == job.id
    for name in (job.fine_tuned_model, saved[1].fine_tuned_model_checkpoint):
        reply = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "number 5"}], max_completion_tokens=5)
        assert reply.model == name and reply.choices[0].message.content
    assert client.models.delete(job.fine_tuned_model).deleted
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(job.fine_tuned_model)


def test_fine_tuning_is_steered(client):
    training = client.files.create(file=("chats.jsonl", chats(100)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="poet", training_file=training.id, hyperparameters={"n_epochs": 50, "batch_size": 1})
    while not any(e.type == "metrics" for e in client.fine_tuning.jobs.list_events(job.id).data):
        time.sleep(0.05)
    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status in ("queued", "running")
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.fine_tuning.jobs.cancel(job.id)
    bad = client.files.create(file=("bad.jsonl", b'{"messages": []}'), purpose="fine-tune")
    job = until_over(client, client.fine_tuning.jobs.create(model="poet", training_file=bad.id))
    assert job.status == "failed" and job.error.code == "invalid_training_file" and "bad.jsonl:1" in job.error.message
    with pytest.raises(openai.BadRequestError) as e:
        client.fine_tuning.jobs.create(model="poet", training_file=training.id, method={"type": "reinforcement"})
    assert "'reinforcement' is not supported" in e.value.message


def test_errors(client):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=USER)
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model="poet", messages=[{"role": "user", "content": "word " * 3000}])
    assert e.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model="poet", messages=USER, extra_body={"frobnicate": 1})
    assert e.value.code == "unknown_parameter" and e.value.param == "frobnicate"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
