"""Chromium without a window, driven through its DevTools protocol over a pipe: the standard library suffices."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser():
    """The browser's path; None: there is none."""
    named = os.environ.get("GYR_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Failed(Exception):
    """What the page or the protocol says is wrong."""


class Browser:
    """A browser with an empty profile of its own. What its pages ask for is in `requests`, what they complain of in
    `complaints`."""

    def __init__(self, path=None):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self.to_write = os.pipe()
        self.to_listen, from_browser = os.pipe()
        os.set_inheritable(to_read, True)
        os.set_inheritable(from_browser, True)

        def arrange():  # the protocol's ends are descriptors 3 and 4
            high = max(to_read, from_browser, 4) + 1
            os.dup2(to_read, high)
            os.dup2(from_browser, high + 1)
            os.dup2(high, 3)
            os.dup2(high + 1, 4)

        command = [path or find_browser(), "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
                   "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-timer-throttling",
                   "--disable-renderer-backgrounding", "--disable-features=Translate,OptimizationHints,MediaRouter",
                   f"--user-data-dir={self.folder.name}", *(["--no-sandbox"] if os.getuid() == 0 else []), "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=arrange,
                                        close_fds=False)
        os.close(to_read)
        os.close(from_browser)
        self.next, self.replies, self.requests, self.complaints, self.contexts = 0, {}, [], [], []
        self.arrived = threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to_write)
        self.folder.cleanup()

    def listen(self):
        rest = b""
        while True:
            try:
                piece = os.read(self.to_listen, 1 << 20)
            except OSError:
                piece = b""
            if not piece:
                break
            *whole, rest = (rest + piece).split(b"\0")
            for message in whole:
                self.hear(json.loads(message))
        with self.arrived:
            self.next = -1 << 40
            self.arrived.notify_all()

    def hear(self, message):
        with self.arrived:
            if "id" in message:
                self.replies[message["id"]] = message
                self.arrived.notify_all()
                return
            method, said = message["method"], message.get("params", {})
            if method == "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])
            elif method == "Runtime.exceptionThrown":
                details = said["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description") or details["text"])
            elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
                self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
            elif method == "Page.javascriptDialogOpening":
                self.complaints.append(f"a script's dialog: {said['message']}")

    def call(self, method, session=None, timeout=60, **params):
        with self.arrived:
            self.next += 1
            number = self.next
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_write, data):]
        with self.arrived:
            # in short pieces: time in which the whole machine stood still does not count
            if not any(self.arrived.wait_for(lambda: number in self.replies or self.next < 0, 0.5) for _ in range(2 * timeout)):
                raise Failed(f"{method}: no answer in {timeout} s")
            reply = self.replies.pop(number, None)
        if reply is None:
            raise Failed(f"{method}: the browser is gone")
        if "error" in reply:
            raise Failed(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def close_pages(self):
        while self.contexts:
            self.call("Target.disposeBrowserContext", browserContextId=self.contexts.pop())

    def page(self, width=1200, height=800, theme="light", language="en", context=None):
        """A page in a context of its own: nothing that another has stored is there."""
        if not context:
            context = self.call("Target.createBrowserContext")["browserContextId"]
            self.contexts.append(context)
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context, newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, target, context, width, height, theme, language)


class Page:
    """A tab."""

    def __init__(self, browser, session, target, context, width, height, theme, language):
        self.browser, self.session, self.target, self.context = browser, session, target, context
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")
        tag = {"zh": "zh-CN"}.get(language, language)
        self.call("Emulation.setLocaleOverride", locale=tag)
        self.call("Network.setUserAgentOverride", userAgent=browser.call("Browser.getVersion")["userAgent"], acceptLanguage=tag)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.resize(width, height)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def reload(self):
        self.run("window.isOld = true")
        self.call("Page.reload")
        self.until("!window.isOld && document.readyState === 'complete'")

    def run(self, script, timeout=60):
        """What an expression is; a promise is waited for."""
        said = self.browser.call("Runtime.evaluate", self.session, timeout, expression=script, awaitPromise=True,
                                 returnByValue=True, userGesture=True)
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            raise Failed(f"{script[:200]}: {details.get('exception', {}).get('description') or details['text']}")
        return said["result"].get("value")

    def until(self, script, seconds=100):
        """Waits until an expression is true, and gives it."""
        end, tries = time.monotonic() + seconds, 0
        while True:
            tries += 1
            try:
                value = self.run(f"((value) => value instanceof Node || value)({script})")
            except Failed as why:
                value = None
                if "context" not in str(why) and "navigated" not in str(why) and "null" not in str(why):
                    raise
            if value:
                return value
            if time.monotonic() > end and tries > 10 * seconds:  # the machine may have stood still
                raise Failed(f"never true: {script[:300]}")
            time.sleep(0.02)

    def click(self, selector):
        self.until(f"document.querySelector({json.dumps(selector)})")
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector, text):
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def key(self, key, code=None, text=None, modifiers=0):
        more = {"text": text} if text else {}
        number = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9}.get(key, ord(key[0].upper()))
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, modifiers=modifiers,
                      windowsVirtualKeyCode=number, **(more if kind == "keyDown" else {}))

    def text(self, selector="body"):
        return self.run(f"(document.querySelector({json.dumps(selector)}) || {{innerText: ''}}).innerText")

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
