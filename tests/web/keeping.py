"""What the page keeps, finds, gives away and takes back.

usage: keeping.py GYR STAND_IN
"""
import base64
import json
import os
import tempfile

from web import GYR, Server, answered, ask, opened, press, run_cases, said, scripted, speaking, stored, the_browser, trouble


def downloads(page, folder):
    the_browser().call("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder, browserContextId=page.context, eventsEnabled=False)


def arrived(page, folder, ending):
    """The text of the file that was saved."""
    for _ in range(200):
        found = [f for f in os.listdir(folder) if f.endswith(ending)]
        if found:
            path = os.path.join(folder, found[0])
            page.run("new Promise((r) => setTimeout(r, 100))")
            with open(path, encoding="utf-8") as f:
                return f.read()
        page.run("new Promise((r) => setTimeout(r, 50))")
    return ""


def choose(page, click, *paths):
    """Chooses files where the page asks for them."""
    page.run("""(() => { HTMLInputElement.prototype.click = function () { window.asked = this; document.body.append(this); }; })()""")
    click()
    page.until("window.asked")
    node = page.call("Runtime.evaluate", expression="window.asked")["result"]["objectId"]
    page.call("DOM.setFileInputFiles", files=list(paths), objectId=node)


def menu(page, label):
    page.run("document.querySelector('main .menu-box > button').click()")
    page.until("document.querySelector('main .menu:not([hidden])')")
    page.run(f"[...document.querySelectorAll('main .menu button')].find((b) => b.innerText === {json.dumps(label)}).click()")


def what_is_exported_comes_back():
    problems = []
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["**one** $x^2$", "two"]) as s:
        page = opened(s)
        downloads(page, folder)
        ask(page, "Count")
        press(page, "Answer again")
        page.until("document.querySelector('.message.assistant:last-child .said').innerText.trim() === 'two'")
        answered(page)
        menu(page, "Export (JSON)")
        exported = json.loads(arrived(page, folder, "Count.json"))
        menu(page, "Export (Markdown)")
        markdown = arrived(page, folder, ".md")
        other = opened(s)
        press(other, "Preferences")
        choose(other, lambda: press(other, "Import"), os.path.join(folder, "Count.json"))
        other.until("document.querySelector('.conversations a')")
        other.key("Escape")
        other.run("document.querySelector('.conversations a').click()")
        other.until("document.querySelectorAll('.message .bar').length === 2")
        text = other.text(".column")
        contents = sorted(m["content"] for m in stored(other, "messages"))
        ids = {m["id"] for m in stored(other, "messages")} & {m["id"] for m in exported["conversations"][0]["messages"]}
        bad = os.path.join(folder, "bad.json")
        for wrong in ("{", "[]", '{"format": "gyr-conversations", "conversations": [{"messages": 3}]}', "null"):
            with open(bad, "w", encoding="utf-8") as f:
                f.write(wrong)
            other.run("window.asked = null; document.querySelector('#news')?.replaceChildren()")
            press(other, "Preferences")
            choose(other, lambda: press(other, "Import"), bad)
            other.until("document.querySelector('#news .error')")
            other.key("Escape")
            other.until("!document.querySelector('dialog')")
        problems += trouble(the_browser(), s)
    if contents != ["**one** $x^2$", "Count", "two"] or ids or "2/2" not in text:
        problems.append(f"{contents} {ids} {text}")
    return problems + ([] if "## You\n\nCount\n\n## Answer\n\ntwo" in markdown else [markdown])


def what_is_shared_opens_alone():
    problems = []
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["**one** $x^2$ <img src=x onerror=window.ran=1>\n\n```c\nint x;\n```"]) as s:
        page = opened(s)
        downloads(page, folder)
        ask(page, "Count </script><script>window.ran=1</script>")
        menu(page, "Save as a page to share")
        shared = arrived(page, folder, ".html")
        problems += trouble(the_browser(), s)
        alone = the_browser().page()
        alone.open("data:text/html;base64," + base64.b64encode(shared.encode()).decode())
        text = alone.text()
        found = alone.run("[!!document.querySelector('math msup'), !!document.querySelector('strong'), !!document.querySelector('pre'), window.ran || 0, document.scripts.length, document.querySelectorAll('img').length]")
        problems += [r for r in the_browser().requests if not r.startswith("data:")]
        the_browser().requests.clear()
    if found != [True, True, True, 0, 0, 0] or "int x;" not in text or "script-src" in shared or "default-src 'none'" not in shared:
        problems.append(f"{found} {text}")
    return problems


def words_are_found_in_all_conversations():
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["a falcon over the sea", "an owl"]) as s:
        page = opened(s)
        ask(page, "First")
        press(page, "New chat")
        page.until("document.querySelector('.chat.empty')")
        ask(page, "Second")
        page.type(".sidebar input", "FALCON")
        page.until("document.querySelector('.found mark')")
        found = page.run("[...document.querySelectorAll('.found li')].map((e) => e.innerText)")
        page.run("document.querySelector('.found a').click()")
        page.until("document.querySelector('.message.assistant .said') && document.querySelector('.message.assistant .said').innerText.includes('falcon')")
        page.run("(() => { const f = document.querySelector('.sidebar input'); f.value = 'nowhere'; f.dispatchEvent(new Event('input')); })()")
        page.until("document.querySelector('.conversations').innerText === 'Nothing found'")
        problems = trouble(the_browser(), s)
    return problems + ([] if len(found) == 1 and "falcon" in found[0] else [f"{found}"])


def files_are_sent_as_text():
    problems = []
    with Server(GYR) as s, tempfile.TemporaryDirectory() as folder:
        good, bad = os.path.join(folder, "notes.txt"), os.path.join(folder, "picture.png")
        with open(good, "w", encoding="utf-8") as f:
            f.write("the sea ``` is blue")
        with open(bad, "wb") as f:
            f.write(b"\x89PNG\x00\xff")
        page = opened(s)
        choose(page, lambda: press(page, "Attach text files"), good, bad)
        page.until("document.querySelector('.chip') && document.querySelector('#news .error')")
        refused = page.text("#news .error")
        ask(page, "What is in it?")
        message = [m for m in stored(page, "messages") if m["role"] == "assistant"][0]
        want = s.ask("/v1/chat/completions", {"seed": message["request"]["settings"]["seed"], "messages": [{"role": "user", "content":
                     "notes.txt\n````\nthe sea ``` is blue\n````\n\nWhat is in it?"}]})["choices"][0]["message"]["content"]
        page.run("document.querySelector('.scroller').scrollTop = 0")  # what is far from the eye has no elements
        shown = page.until("(document.querySelector('.bubble') || {}).innerText")
        problems += trouble(the_browser(), s)
    if message["content"] != want or "picture.png is not a text file" not in refused or "notes.txt" not in shown:
        problems.append(f"{message['content'][:80]!r} {want[:80]!r} {refused!r} {shown!r}")
    return problems


def two_tabs_show_the_same():
    with tempfile.TemporaryDirectory() as folder, speaking(folder, 120, pace=20) as s:
        page = opened(s)
        ask(page, "Say words", wait=False)
        page.until("document.querySelector('.message.assistant .said').innerText.includes('word3')")
        second = the_browser().page(context=page.context)
        second.open(page.run("location.href"))
        second.until("document.querySelector('.message.assistant')")
        waits = second.until("document.querySelector('.message.assistant .progress') && document.querySelector('.message.assistant .progress').innerText")
        answered(page)
        second.until("document.querySelector('.message.assistant .bar')")
        same = said(second) == said(page)
        kept = stored(page, "messages")
        problems = trouble(the_browser(), s)
    asked = len([m for m in kept if m["role"] == "assistant"])
    return problems + ([] if same and asked == 1 and "another tab" in waits else [f"{same} {asked} {waits!r}"])


def a_full_storage_loses_nothing():
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["one", "two"]) as s:
        page = opened(s)
        page.run("""(() => {
            IDBObjectStore.prototype.put = function () { throw new DOMException("full", "QuotaExceededError"); };
        })()""")
        ask(page, "First")
        warned = page.text(".warning")
        ask(page, "Second")
        press(page, "New chat")
        page.until("document.querySelector('.chat.empty')")
        page.run("document.querySelector('.conversations a').click()")
        page.until("document.querySelectorAll('.message .said').length === 4")
        text = page.text(".column")
        problems = trouble(the_browser(), s)
    return problems + ([] if "storage is full" in warned and "one" in text and "two" in text else [f"{warned!r} {text!r}"])


def it_is_there_without_the_server():
    with tempfile.TemporaryDirectory() as folder:
        with scripted(folder, ["one"]) as s:
            page = opened(s)
            ask(page, "First")
            page.until("navigator.serviceWorker.ready.then(() => caches.keys()).then((names) => caches.open(names[0])).then((c) => c.keys()).then((k) => k.length > 15)")
            problems = trouble(the_browser(), s)
            here = page.run("location.href")
        page.reload()
        page.until("document.querySelectorAll('.message .bar').length === 2")
        text, warned = page.text(".column"), page.until("document.querySelector('.warning').innerText")
        the_browser().complaints.clear()
        the_browser().requests.clear()
    return problems + ([] if "one" in text and "does not answer" in warned and here else [f"{text!r} {warned!r}"])


def names_and_deletions_hold():
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["one", "two", "three"]) as s:
        page = opened(s)
        ask(page, "First")
        ask(page, "Second")
        menu(page, "Rename")
        page.until("document.querySelector('dialog input')")
        page.run("document.querySelector('dialog input').value = 'Birds'")
        press(page, "Save", "document.querySelector('dialog')")
        page.until("document.querySelector('.conversations .title').innerText === 'Birds' && document.querySelector('.chat-title').innerText === 'Birds'")
        page.run("[...document.querySelectorAll('.message.user')].at(-1).querySelector('[aria-label^=\"Delete this message\"]').click()")
        press(page, "Delete", "document.querySelector('dialog')")
        page.until("document.querySelectorAll('.message').length === 2")
        left = len(stored(page, "messages"))
        menu(page, "Delete this conversation")
        page.until("document.querySelector('dialog')")
        press(page, "Delete", "document.querySelector('dialog')")
        page.until("document.querySelector('.chat.empty') && !document.querySelector('.conversations a')")
        none = len(stored(page, "messages")) + len(stored(page, "conversations"))
        problems = trouble(the_browser(), s)
    return problems + ([] if (left, none) == (2, 0) else [f"{left} {none}"])


def what_is_deleted_in_mid_answer_stays_so():
    with tempfile.TemporaryDirectory() as folder, speaking(folder, 300) as s:
        page = opened(s)
        ask(page, "First", wait=False)
        page.until("document.querySelector('.message.assistant .said').innerText.includes('word3')")
        menu(page, "Delete this conversation")
        page.until("document.querySelector('dialog')")
        press(page, "Delete", "document.querySelector('dialog')")
        page.until("document.querySelector('.chat.empty') && !document.querySelector('.conversations a')")
        page.run("new Promise((r) => setTimeout(r, 1000))")
        left = stored(page, "messages") + stored(page, "conversations")
        problems = trouble(the_browser(), s)
    return problems + [f"{left}"] * bool(left)


def a_server_that_is_back_is_noticed():
    with tempfile.TemporaryDirectory() as folder:
        with scripted(folder, ["one"]) as s:
            page = opened(s)
            page.run("location.hash = '#/models'")
            page.until("document.querySelector('.card')")
        page.run("location.hash = '#/now'")
        page.until("document.querySelector('.warning').innerText.includes('does not answer')")
        page.run("location.hash = '#/new'")
        with scripted(folder, ["one"], "--port", str(s.port)) as again:
            page.until("document.querySelector('.warning').hidden")
            return trouble(the_browser(), again, ("ERR_CONNECTION", "ERR_EMPTY", "503"))


def language_and_theme_are_chosen():
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["one"]) as s:
        page = opened(s)
        ask(page, "First")
        press(page, "Preferences")
        page.until("document.querySelector('dialog select')")
        page.run("(() => { const [, theme] = document.querySelectorAll('dialog select'); theme.value = 'dark'; theme.dispatchEvent(new Event('change')); })()")
        dark = page.run("getComputedStyle(document.body).backgroundColor")
        page.run("(() => { const [language] = document.querySelectorAll('dialog select'); language.value = 'zh'; language.dispatchEvent(new Event('change')); })()")
        page.until("document.documentElement.lang === 'zh-Hans' && document.querySelector('dialog h2').innerText === '偏好设置'")
        page.reload()
        page.until("document.querySelector('.new-chat') && document.querySelector('.new-chat').innerText.trim() === '新对话' && document.querySelectorAll('.message').length === 2")
        still = page.run("getComputedStyle(document.body).backgroundColor")
        problems = trouble(the_browser(), s)
    return problems + ([] if dark == still == "rgb(25, 27, 30)" else [f"{dark} {still}"])


if __name__ == "__main__":
    run_cases(what_is_exported_comes_back, more=(
        what_is_shared_opens_alone, words_are_found_in_all_conversations, files_are_sent_as_text, two_tabs_show_the_same,
        a_full_storage_loses_nothing, it_is_there_without_the_server, names_and_deletions_hold,
        what_is_deleted_in_mid_answer_stays_so, a_server_that_is_back_is_noticed, language_and_theme_are_chosen))
