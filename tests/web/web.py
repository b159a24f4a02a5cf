"""What the tests of the page share: servers, a browser, and what a user does."""
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("../house", "../server"):
    sys.path.insert(0, os.path.join(HERE, folder))
from browser import Browser, Failed, find_browser  # noqa: E402
from house import ROOT, Skip, run  # noqa: E402
from serving import Server  # noqa: E402

GYR, STAND_IN = (sys.argv[1:] + ["", ""])[:2]
POET = str(ROOT / "models/poet.gguf")
NO_BROWSER = "no Chromium: `make test-web` installs it, and GYR_BROWSER names another"
WANTED = os.environ.get("GYR_WEB")  # None: the core; "some": all cases; "all": with all looks and messages
THOROUGH = WANTED == "all"
shared = {}


def the_browser():
    """One for all cases of a program: each page has a context of its own."""
    if "browser" not in shared:
        if not find_browser():
            raise Skip(NO_BROWSER)
        shared["browser"] = Browser()
    return shared["browser"]


def run_cases(*cases, more=()):
    """As run() of the house; what the page or the browser fails at is a problem of the case. `more` are those that only
    `make test-web` has the time for."""
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
        run(*map(safe, [*cases, *(more if WANTED or "--write" in sys.argv else ())]))
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


FIGURES = {"paint": ("first paint, ", "同一台机器上再次打开"), "frame": ("a frame while 2,000", "滚动 2,000 条"), "stream": ("an answer of 200", "每秒 200 个词元"),
           "hostile": ("10,000 hostile", "10,000 条恶意")}


def note_figure(name, english, chinese):
    """With --write: a measurement, in the pages' table of what the page costs."""
    print(f"  {english}")
    for page, begin, value in zip(("docs/page.md", "docs/page.zh.md"), FIGURES[name], (english, chinese)) if "--write" in sys.argv else ():
        path = ROOT / page
        lines = path.read_text(encoding="utf-8").split("\n")
        made = [f"| {line.split('|')[1].strip()} | {value} |" if line.startswith("| " + begin) else line for line in lines]
        path.write_text("\n".join(made), encoding="utf-8")


def words(count):
    return " ".join(f"word{i}" for i in range(count))


def speaking(folder, count, *options, pace=10):
    """A server whose model says so many words, slowly, each time."""
    return scripted(folder, [{"say": words(count), "times": 99}], "--pace", str(pace), *options)


@contextlib.contextmanager
def with_keys(*names):
    """A server that asks for keys, and the keys by name; root's is an administrator's."""
    with tempfile.TemporaryDirectory() as state:
        environ = dict(os.environ, GYR_STATE=state)
        keys = {name: subprocess.run([GYR, "key", "add", name, *(["--admin"] if name == "root" else [])], env=environ, capture_output=True,
                                     text=True, check=True).stdout.split()[-1] for name in names}
        with Server(GYR, "--auth", state=state) as server:
            yield server, keys


def signed_in(server, key, **how):
    page = opened(server, **how)
    page.until("document.querySelector('dialog input[type=password]')")
    page.type("dialog input", key)
    page.key("Enter", text="\r")
    page.until("!document.querySelector('dialog') && document.querySelector('.model-choice option[value]') && document.querySelector('.user .done')")
    page.run("localStorage.setItem('gyr.settings', JSON.stringify({max_tokens: 60}))")  # the poet's context takes some of these
    page.run("location.hash = '#/new'")  # what is there has its settings already
    page.until("document.querySelector('.chat.empty') && document.querySelector('.model-choice option[value]')")
    return page


def values(page, name):
    """All values of an object store of the page's database."""
    return page.run("""new Promise((resolve, reject) => {
        const opening = indexedDB.open("gyr");
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
            const asked = opening.result.transaction(%s).objectStore(%s).getAll();
            asked.onsuccess = () => { opening.result.close(); resolve(asked.result); };
        };
    })""" % (json.dumps(name), json.dumps(name)))


def synced(page):
    """Waits until the page has asked the server once more, and has sent all that it had."""
    asked = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('v1/conversations')).length"
    before = page.run(asked)
    page.run("document.dispatchEvent(new Event('visibilitychange'))")
    page.until(f"{asked} > {before} && document.querySelector('.user .done')")
    end = time.monotonic() + 30
    account = page.run("JSON.parse(localStorage.getItem('gyr.account')).id")
    while [n for n in values(page, "notes") if (n.get("mark") or n.get("deleted")) and n.get("account") in (None, account)]:
        if time.monotonic() > end:
            raise Failed(f"not sent: {values(page, 'notes')}")
        time.sleep(0.05)


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
    """The same of messages or conversations, the oldest first."""
    return sorted(values(page, name), key=lambda value: value["created"])


def trouble(browser, server, allowed=()):
    """What the pages asked for elsewhere, and what they complained of; forgets both."""
    own = url(server)
    away = [r for r in browser.requests if not r.startswith((own, "data:", "blob:", "about:"))]
    wrong = [c for c in browser.complaints if not any(a in c for a in allowed)]
    browser.requests.clear()
    browser.complaints.clear()
    return [f"asked for {r}" for r in away] + [f"complained: {c}" for c in wrong]


__all__ = ["Failed", "GYR", "HERE", "POET", "ROOT", "STAND_IN", "Server", "Skip", "THOROUGH", "WANTED", "answered", "ask", "note_figure", "opened", "press", "run_cases",
           "said", "scripted", "signed_in", "speaking", "stored", "synced", "the_browser", "trouble", "url", "values", "with_keys", "words"]
