"""What the tests of the page share: servers, a browser, and what a user does."""
import functools
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("../house", "../server"):
    sys.path.insert(0, os.path.join(HERE, folder))
from browser import Browser, Failed, find_browser  # noqa: E402
from house import ROOT, Skip, run  # noqa: E402
from serving import Server  # noqa: E402

GYR, STAND_IN = (sys.argv[1:] + ["", ""])[:2]
POET = str(ROOT / "models/poet.gguf")
NO_BROWSER = "no Chromium: `make test-web` installs it, and GYR_BROWSER names another"
LATER = "`make test-web` has the cases in a browser (or GYR_WEB=some): they take minutes"
THOROUGH = os.environ.get("GYR_WEB") == "all"
shared = {}


def the_browser():
    """One for all cases of a program: each page has a context of its own."""
    if "browser" not in shared:
        if not os.environ.get("GYR_WEB"):
            raise Skip(LATER)
        if not find_browser():
            raise Skip(NO_BROWSER)
        shared["browser"] = Browser()
    return shared["browser"]


def run_cases(*cases):
    """As run() of the house; what the page or the browser fails at is a problem of the case."""
    def safe(case):
        @functools.wraps(case)
        def tried():
            for left in ("requests", "complaints") if "browser" in shared else ():
                getattr(shared["browser"], left).clear()
            try:
                return case()
            except Failed as why:
                return [str(why), *map(str, shared["browser"].complaints)] if "browser" in shared else [str(why)]
            finally:
                if "browser" in shared:
                    shared["browser"].close_pages()
        return tried

    try:
        run(*map(safe, cases))
    finally:
        if "browser" in shared:
            shared.pop("browser").__exit__()


def url(server):
    return f"http://{server.host}:{server.port}/"


def scripted(folder, entries, *options):
    """A server whose model says what a script has: texts, or entries of it."""
    path = os.path.join(folder, "script.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump([e if isinstance(e, dict) else {"say": e} for e in entries], f)
    return Server(STAND_IN, POET, "--script", path, *options, verb=[])


def opened(server, where="", **how):
    page = the_browser().page(**how)
    page.open(url(server) + where)
    page.until("document.querySelector('.model-choice option[value], .view, dialog[open]')")
    return page


def ask(page, text, wait=True):
    """Types a message and sends it; waits for the whole answer, and gives its text."""
    answers = page.run("document.querySelectorAll('.message.assistant').length")
    page.run("document.querySelector('#compose').focus()")
    page.call("Input.insertText", text=text)
    page.key("Enter", text="\r")
    page.until(f"document.querySelectorAll('.message.assistant').length > {answers}")
    return answered(page) if wait else None


def answered(page, seconds=100):
    page.until(f"document.querySelector('.message.assistant:last-child .bar')", seconds)
    return said(page)


def said(page):
    return page.run("(document.querySelector('.message.assistant:last-child .said') || {}).innerText || ''")


def press(page, label, within="document"):
    """Clicks what has this name."""
    script = f"[...{within}.querySelectorAll('button, a, summary')].filter((b) => (b.getAttribute('aria-label') || b.innerText) === {json.dumps(label)}).at(-1)"
    page.until(script)
    page.run(script + ".click()")


def stored(page, name):
    """All values of an object store of the page's database, the oldest first."""
    found = page.run("""new Promise((resolve, reject) => {
        const opening = indexedDB.open("gyr");
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
            const asked = opening.result.transaction(%s).objectStore(%s).getAll();
            asked.onsuccess = () => { opening.result.close(); resolve(asked.result); };
        };
    })""" % (json.dumps(name), json.dumps(name)))
    return sorted(found, key=lambda value: value["created"])


def trouble(browser, server, allowed=()):
    """What the pages asked for elsewhere, and what they complained of; forgets both."""
    own = url(server)
    away = [r for r in browser.requests if not r.startswith((own, "data:", "blob:", "about:"))]
    wrong = [c for c in browser.complaints if not any(a in c for a in allowed)]
    browser.requests.clear()
    browser.complaints.clear()
    return [f"asked for {r}" for r in away] + [f"complained: {c}" for c in wrong]


__all__ = ["Failed", "GYR", "HERE", "POET", "ROOT", "STAND_IN", "Server", "Skip", "THOROUGH", "answered", "ask", "opened", "press", "run_cases",
           "said", "scripted", "stored", "the_browser", "trouble", "url"]
