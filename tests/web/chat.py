"""The chat, as a user has it: what is typed, what comes, what is kept.

usage: chat.py GYR STAND_IN
"""
import json
import tempfile

from web import GYR, Server, answered, ask, opened, press, run_cases, said, scripted, speaking, stored, the_browser, trouble

POEM = "Write a poem about the sea"


def it_answers_as_the_server_does():
    with Server(GYR) as s:
        page = opened(s, "#/new")
        ask(page, POEM)
        message = stored(page, "messages")[-1]
        want = s.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": POEM}],
                                               "seed": message["request"]["settings"]["seed"]})
        shown = page.text(".message.assistant .bar")
    problems = trouble(the_browser(), s)
    if message["content"] != want["choices"][0]["message"]["content"] or message["state"] != "done":
        problems.append(f"{message['content'][:80]!r} is not {want['choices'][0]['message']['content'][:80]!r}")
    return problems + ([] if "tokens/s" in shown else [f"no tokens/s: {shown}"])


def at_pace(page, bytes_a_second):
    """The page hears no more than that, however fast the server is; -1: all."""
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=bytes_a_second, uploadThroughput=-1)


def an_answer_that_was_stopped_goes_on_with_the_same_bytes():
    problems = []
    with Server(GYR) as s:
        page = opened(s)
        at_pace(page, 4000)
        ask(page, "Write a long poem about the rivers, the hills and the sea", wait=False)
        page.until("document.querySelector('.message.assistant:last-child .said').innerText.length > 20")
        page.run("document.querySelector('.send').click()")
        answered(page)
        first = stored(page, "messages")[-1]
        at_pace(page, -1)
        press(page, "Go on")
        for _ in range(400):
            if stored(page, "messages")[-1]["state"] == "done":
                break
            page.run("new Promise((r) => setTimeout(r, 100))")
        answered(page)
        whole = stored(page, "messages")[-1]
        shown = said(page)
        seed = first["request"]["settings"]["seed"]
        want = s.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "Write a long poem about the rivers, the hills and the sea"}], "seed": seed})
        want = want["choices"][0]["message"]["content"]
    if first["state"] != "stopped" or not whole["content"].startswith(first["content"]):
        problems.append(f"{first['state']} {first['content'][-60:]!r} {whole['content'][:60]!r}")
    if "".join(shown.split()) != "".join(want.split()):
        problems.append(f"{shown!r} is shown, not {want!r}")
    if whole["content"] != want or whole.get("changed"):
        problems.append(f"{whole['content'][-80:]!r} is not {want[-80:]!r}")
    return problems + trouble(the_browser(), s)


def an_answer_survives_a_reload():
    with tempfile.TemporaryDirectory() as folder, speaking(folder, 200) as s:
        page = opened(s)
        ask(page, "Say many words", wait=False)
        page.until("document.querySelector('.message.assistant .said').innerText.includes('word5')")
        page.until("document.querySelector('.message.assistant .progress').innerText.includes('tokens/s')")
        page.run("new Promise((r) => setTimeout(r, 500))")
        page.reload()
        page.until("document.querySelector('.message.assistant:last-child .said')")
        got = answered(page)
        kept = [m for m in stored(page, "messages") if m["role"] == "assistant"]
        problems = trouble(the_browser(), s)
    if len(kept) != 1 or kept[0]["state"] != "done":
        problems.append(f"{[(m['state'], m['content'][-40:]) for m in kept]}")
    # the script says all of it again after what was there, as a model would not: what counts is that nothing is lost
    return problems + ([] if got.startswith("word0 word1 word2 ") and got.endswith("word199") else [got[:200]])


def a_server_that_goes_away_and_returns_is_waited_for():
    with tempfile.TemporaryDirectory() as folder:
        with speaking(folder, 150) as s:
            page = opened(s)
            ask(page, "Say many words", wait=False)
            page.until("document.querySelector('.message.assistant .said').innerText.includes('word5')")
            s.stop(9)
            page.until("document.querySelector('.message .progress').innerText.includes('does not answer')")
        with speaking(folder, 150, "--port", str(s.port), pace=0) as again:
            got = answered(page)
            allowed = ("ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY")
            problems = trouble(the_browser(), again, allowed)
    return problems + ([] if got.startswith("word0 word1") and got.endswith("word149") else [got[:300]])


def branches_are_kept():
    problems = []
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["one", "two", "three", "four"]) as s:
        page = opened(s)
        ask(page, "First")
        press(page, "Answer again")
        page.until("document.querySelector('.message.assistant:last-child .said').innerText.trim() === 'two'")
        answered(page)
        ask(page, "Next")
        problems += [] if said(page).strip() == "three" else [said(page)]
        page.run("document.querySelector('.message.user [aria-label^=Edit]').click()")
        page.run("(() => { const a = document.querySelector('.edit textarea'); a.value = 'Other'; })()")
        press(page, "Send as a new branch")
        page.until("document.querySelector('.message.assistant:last-child .said').innerText.trim() === 'four'")
        answered(page)
        if page.run("document.querySelectorAll('.message').length") != 2 or "2/2" not in page.text(".message.user"):
            problems.append(page.text(".column"))
        page.run("document.querySelector('.message.user [aria-label=\"Previous branch\"]').click()")
        page.until("document.querySelectorAll('.message .said').length === 4")
        whole = page.text(".column")
        page.reload()
        page.until("document.querySelectorAll('.message .said').length === 4")
        page.run("document.querySelector('.message.assistant [aria-label=\"Previous branch\"]').click()")
        page.until("document.querySelectorAll('.message .said').length === 2")
        if "two" not in whole or "three" not in whole or "one" not in page.text(".column"):
            problems.append(f"{whole} {page.text('.column')}")
        kept = stored(page, "messages")
        problems += trouble(the_browser(), s)
    return problems + ([] if len(kept) == 7 else [f"{len(kept)} messages"])


def settings_reach_the_server():
    with Server(GYR) as s:
        page = opened(s)
        press(page, "Settings of this conversation")
        page.until("document.querySelector('dialog .settings')")
        page.run("""(() => {
            const fields = [...document.querySelectorAll('dialog .setting')];
            const set = (label, value) => {
                const field = fields.find((f) => f.querySelector('label').innerText === label).querySelector('input, textarea, select');
                field.value = value;
            };
            set('System prompt', 'You write about birds.');
            set('Temperature', '9');
            set('Seed', '7');
            set('Longest answer, tokens', '12');
        })()""")
        press(page, "Save", "document.querySelector('dialog')")
        wrong = page.text("dialog [aria-invalid=true] ~ .wrong")
        page.run("document.querySelector('dialog [aria-invalid=true]').value = '0.5'")
        press(page, "Save", "document.querySelector('dialog')")
        page.until("!document.querySelector('dialog')")
        ask(page, POEM)
        message = [m for m in stored(page, "messages") if m["role"] == "assistant"][0]
        want = s.ask("/v1/chat/completions", {"messages": [{"role": "system", "content": "You write about birds."},
                                                           {"role": "user", "content": POEM}], "seed": 7,
                                              "temperature": 0.5, "max_tokens": 12})["choices"][0]["message"]["content"]
        cut = page.text(".cut")
        problems = trouble(the_browser(), s)
    if wrong != "From 0 to 2" or message["content"] != want or message["tokens"] != 12 or "greatest length" not in cut:
        problems.append(f"{wrong!r} {message['content']!r} {want!r} {cut!r}")
    return problems


def reasoning_is_folded_and_tools_are_shown():
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    call = '<tool_call>\n{"name": "look", "arguments": {"at": "sea"}}\n</tool_call>'
    with tempfile.TemporaryDirectory() as folder, scripted(folder, [
            "<think>\nHm, the sea.\n</think>\n\nIt is blue.", {"say": "I look." + call}, "It is green."]) as s:
        page = opened(s)
        ask(page, "Which colour?")
        thinking = page.run("(() => { const d = document.querySelector('.thinking'); return [d.open, d.lastChild.textContent] })()")
        answer = said(page).strip()
        page.run(f"localStorage.setItem('gyr.settings', {json.dumps(json.dumps({'tools': json.dumps(tools)}))})")
        press(page, "New chat")
        page.until("document.querySelector('.chat.empty')")
        ask(page, "Look")
        card = page.text(".tool-card")
        page.run("document.querySelector('.tool-card textarea').value = 'green'")
        press(page, "Give the results")
        page.until("document.querySelector('.message.assistant:last-child .said').innerText.trim() === 'It is green.'")
        answered(page)
        problems = trouble(the_browser(), s)
    if thinking != [False, "Hm, the sea."] or answer != "It is blue.":
        problems.append(f"{thinking} {answer!r}")
    return problems + ([] if "look" in card and '"at": "sea"' in card else [card])


def errors_say_what_happened():
    with Server(GYR) as s:
        page = opened(s)
        ask(page, "word " * 3000)
        failed = page.text(".failed")
        page.run("location.hash = '#/c/000000000000000000000000'")
        page.until("document.querySelector('.welcome') && document.querySelector('.welcome').innerText.includes('not in this browser')")
        problems = trouble(the_browser(), s, ("400",))
    return problems + ([] if "does not fit the context" in failed else [failed])


def the_same_can_be_checked():
    with Server(GYR) as s:
        page = opened(s)
        ask(page, POEM)
        press(page, "Check that it says the same again")
        page.until("document.querySelector('#news').innerText.includes('each byte equal')", 60)
        return trouble(the_browser(), s)


if __name__ == "__main__":
    run_cases(it_answers_as_the_server_does, an_answer_that_was_stopped_goes_on_with_the_same_bytes, branches_are_kept, more=(
        an_answer_survives_a_reload, a_server_that_goes_away_and_returns_is_waited_for, settings_reach_the_server,
        reasoning_is_folded_and_tools_are_shown, errors_say_what_happened, the_same_can_be_checked))
