"""Several devices and several people: conversations of who has a key, on the server and in each browser.

usage: devices.py GYR STAND_IN
"""
import json
import subprocess
import tempfile
import time

from web import GYR, Server, answered, ask, opened, press, run_cases, said, scripted, signed_in, stored, synced, the_browser, trouble, with_keys

REFUSED = ("401",)


def titles(page):
    return page.run("[...document.querySelectorAll('.conversations .title')].map((e) => e.innerText)")


def come_to_say_the_same(*pages):
    """Whether they do within ten seconds: what was fetched is not yet drawn."""
    end = time.monotonic() + 10
    while len({said(page) for page in pages}) > 1:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def kept(server, key):
    return server.ask("/v1/conversations", None, {"Authorization": "Bearer " + key})["data"]


def a_second_device_has_the_same():
    with with_keys("ann") as (s, keys):
        one = signed_in(s, keys["ann"])
        ask(one, "Write a poem about the sea")
        synced(one) # what comes of that may draw the message again, and its buttons with it
        press(one, "Answer again")
        one.until("document.querySelectorAll('.message .bar').length === 2 && document.querySelector('.message.assistant .branches')")
        synced(one)
        two = signed_in(s, keys["ann"], width=390, height=780, language="zh")
        two.until("document.querySelector('.conversations a')")
        two.run("document.querySelector('.conversations a').click()")
        two.until("document.querySelectorAll('.message .bar').length === 2")
        same = come_to_say_the_same(one, two) and two.text(".message.assistant .branches").strip() == "2/2"
        ask(two, "And one about a falcon")
        synced(two)
        synced(one)
        one.until("document.querySelectorAll('.message').length === 4")
        more = come_to_say_the_same(one, two)
        both = [sorted((m["id"], m["content"], m.get("state"), m.get("tokens")) for m in stored(p, "messages")) for p in (one, two)]
        two.run("location.hash = '#/new'")
        two.run("document.querySelector('.conversations .menu-box button').click()")
        two.run("[...document.querySelectorAll('.conversations .menu button')].at(-1).click()")
        two.until("document.querySelector('dialog .danger')")
        two.run("document.querySelector('dialog .danger').click()")
        two.until("!document.querySelector('.conversations a')")
        synced(two)
        synced(one)
        one.until("document.querySelector('.chat.empty') && !document.querySelector('.conversations a')")
        left = kept(s, keys["ann"]), stored(one, "messages")
        problems = trouble(the_browser(), s, REFUSED)
    if not same or not more or both[0] != both[1] or left != ([], []):
        problems.append(f"{same} {more} {both} {left}")
    return problems


def what_was_changed_in_both_places_is_put_together():
    with with_keys("ann") as (s, keys):
        pages = [signed_in(s, keys["ann"])]
        ask(pages[0], "First")
        synced(pages[0])
        pages.append(signed_in(s, keys["ann"]))
        pages[1].until("document.querySelector('.conversations a')")
        pages[1].run("document.querySelector('.conversations a').click()")
        pages[1].until("document.querySelectorAll('.message .bar').length === 2")
        for page, words in zip(pages, ("Here", "There")):
            page.call("Network.setBlockedURLs", urls=["*v1/conversations*"])
            ask(page, words)
        for page in (*pages, pages[0]):  # the first learns at last what the second had to add
            page.call("Network.setBlockedURLs", urls=[])
            synced(page)
        for page in pages:
            page.until("document.querySelector('.message.user:nth-child(3) .branches')")
        both = [sorted(m["content"] for m in stored(page, "messages") if m["role"] == "user") for page in pages]
        on_server = kept(s, keys["ann"])
        problems = trouble(the_browser(), s, (*REFUSED, "412", "ERR_BLOCKED", "conversations"))
    return problems + ([] if both == [["First", "Here", "There"]] * 2 and len(on_server) == 1 else [f"{both} {on_server}"])


def what_was_done_without_the_server_is_sent_later():
    with with_keys("ann") as (s, keys):
        page = signed_in(s, keys["ann"])
        ask(page, "First")
        synced(page)
        page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        page.run("document.querySelector('main .menu-box > button').click()")
        press(page, "Rename", "document.querySelector('main .menu')")
        page.until("document.querySelector('dialog input')")
        page.run("document.querySelector('dialog input').value = 'Birds'")
        press(page, "Save", "document.querySelector('dialog')")
        page.until("document.querySelector('.user .away')")
        before = [c["title"] for c in kept(s, keys["ann"])]
        page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        synced(page)
        after = [c["title"] for c in kept(s, keys["ann"])]
        problems = trouble(the_browser(), s, (*REFUSED, "ERR_INTERNET"))
    return problems + ([] if (before, after) == (["First"], ["Birds"]) else [f"{before} {after}"])


def nobody_sees_anothers():
    """In one browser, one after the other; and a key that is taken back is asked for again."""
    with with_keys("ann", "bob") as (s, keys):
        page = signed_in(s, keys["ann"])
        ask(page, "Ann's secret")
        synced(page)
        subprocess.run([GYR, "key", "rm", "ann"], env=s.environ, check=True)
        page.until("fetch('v1/models', {headers: {Authorization: 'Bearer %s'}}).then((r) => r.status === 401)" % keys["ann"])
        page.run("""window.said = []; window.plainly = fetch; window.fetch = (path, options) => {
            if (options && options.body) said.push(options.headers.Authorization + " " + options.body);
            return plainly(path, options);
        }""")
        ask(page, "More", wait=False)
        page.until("document.querySelector('dialog input[type=password]')")
        page.type("dialog input", keys["bob"])
        page.key("Enter", text="\r")
        page.until("!document.querySelector('dialog') && document.querySelector('.user .title').innerText === 'bob'")
        page.until("document.querySelector('.chat.empty') && !document.querySelector('.conversations a')")
        synced(page)
        seen = titles(page), page.text(), kept(s, keys["bob"])
        under = [said for said in page.run("said") if "secret" in said and keys["bob"] in said]
        page.run("location.hash = '#/new'")
        ask(page, "Bob's")
        synced(page)
        page.until("document.querySelector('.conversations a')")
        mine = titles(page)
        press(page, "Preferences")
        press(page, "Forget the key")
        page.until("document.querySelectorAll('dialog').length === 2")
        page.run("[...document.querySelectorAll('dialog')].at(-1).querySelector('.danger').click()")
        page.until("document.querySelectorAll('dialog').length === 1 && document.querySelector('.user').hidden")
        for _ in range(300):
            left = [m["content"] for m in stored(page, "messages") if m["role"] == "user"]
            if "Bob's" not in left:
                break
            page.run("new Promise((r) => setTimeout(r, 50))")
        problems = trouble(the_browser(), s, REFUSED)
    if seen[0] or "secret" in seen[1] or seen[2] or mine != ["Bob's"] or "Bob's" in left or under:
        problems.append(f"{seen} {mine} {left} {under}")
    return problems


def an_answer_under_way_is_sent_once_it_is_over():
    text = " ".join(f"word{i}" for i in range(60))
    with tempfile.TemporaryDirectory() as folder, scripted(folder, [{"say": text, "times": 9}], "--pace", "20") as s:
        made = subprocess.run([GYR, "key", "add", "ann"], env=s.environ, capture_output=True, text=True, check=True).stdout.split()[-1]
        page = opened(s)
        page.until("fetch('v1/key', {headers: {Authorization: 'Bearer %s'}}).then((r) => r.json()).then((k) => k.name)" % made)
        page.run(f"localStorage.setItem('gyr.key', {json.dumps(json.dumps(made))})")
        page.reload()
        page.until("document.querySelector('.user .done')")
        ask(page, "Say words", wait=False)
        page.until("document.querySelector('.message.assistant .said').innerText.includes('word3')")
        page.until("fetch('v1/conversations', {headers: {Authorization: 'Bearer %s'}}).then((r) => r.json()).then((l) => l.data.length)" % made)
        [one] = kept(s, made)
        early = s.ask("/v1/conversations/" + one["id"], None, {"Authorization": "Bearer " + made})["document"]
        answered(page)
        synced(page)
        late = s.ask("/v1/conversations/" + one["id"], None, {"Authorization": "Bearer " + made})["document"]
        problems = trouble(the_browser(), s)
    roles = [[m["role"] for m in d["messages"]] for d in (early, late)]
    if roles != [["user"], ["user", "assistant"]] or late["messages"][-1]["content"] != text or early["leaf"] != early["messages"][0]["id"]:
        problems.append(f"{roles} {late['messages'][-1]['content'][-40:]!r}")
    return problems


if __name__ == "__main__":
    run_cases(a_second_device_has_the_same, more=(what_was_changed_in_both_places_is_put_together, what_was_done_without_the_server_is_sent_later,
                                                  nobody_sees_anothers, an_answer_under_way_is_sent_once_it_is_over))
