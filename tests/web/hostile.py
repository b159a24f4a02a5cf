"""What models, users and files write is only ever text: nothing of it runs, and nothing is asked for from anywhere.

usage: hostile.py GYR STAND_IN [--write]     --write: what was counted, into docs/page.md

Messages made of hostile pieces are put into the page's database, and each is brought to the screen. GYR_WEB=all tries
10,000 of them.
"""
import json
import random
import tempfile

from web import THOROUGH, WANTED, ask, note_figure, opened, run_cases, scripted, the_browser, trouble, url

MANY = 10000 if THOROUGH else 1000 if WANTED else 250
RUN = "window.ran=(window.ran||0)+1"
PIECES = [
    f"<script>{RUN}</script>", f"<img src=x onerror='{RUN}'>", f'<svg onload="{RUN}"><a xlink:href="javascript:{RUN}">x</a></svg>',
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>", f"<a href='javascript:{RUN}'>x</a>", f"[x](javascript:{RUN})",
    f"[x](JaVaScRiPt:{RUN})", f"[x](java\tscript:{RUN})", f"[x](&#106;avascript:{RUN})", f"[x](data:text/html,<script>{RUN}</script>)",
    f"![x](data:image/svg+xml,<svg onload={RUN}>)", "![x](http://evil.example/a.png)", "![x](/v1/models?stolen)", "[x]: http://evil.example",
    "<img src=http://evil.example/b.png>", "<link rel=stylesheet href=//evil.example/c.css>", "<style>@import 'http://evil.example/d.css'</style>",
    "<base href=http://evil.example/>", "<meta http-equiv=refresh content='0;url=http://evil.example'>", "<form action=http://evil.example><input>",
    "<object data=http://evil.example>", "<embed src=http://evil.example>", "<video src=http://evil.example autoplay>", f"<details open ontoggle={RUN}>x",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={RUN}&gt;'>", f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<template><img src=x onerror={RUN}></template>", f"<xss style='background:url(http://evil.example)' onclick={RUN}>",
    f"$\\href{{javascript:{RUN}}}{{x}}$", "$\\includegraphics{http://evil.example/e.png}$", f"$\\htmlStyle{{background:url(http://evil.example)}}{{x}}$",
    f"$\\html{{<img src=x onerror={RUN}>}}$", "$$\\def\\a{\\a\\a}\\a$$", "$\\frac{1$", "$$\\begin{matrix} 1 & 2", "\\[ x", "$" * 50, "\\rule{1e9em}{1e9em}", "$\\rule{99999em}{99999em}$",
    f"```html\n<script>{RUN}</script>\n```", "```\"><img src=x>\ncode\n```", "````\nopen", "| a | b |\n| --- |", "| a | b |\n| :-: | --- |\n| 1", "<!-- ", "-->", "]]>", "<![CDATA[",
    "\u202eevil\u202c", "\u2066\u2067", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x00", "\x08\x7f", "\ufeff", "\u2028\u2029", "\ud83d\ude00", "a\u0300" * 40, "﷽" * 9,
    "x" * 3000, "> " * 60 + "deep", "- " * 40 + "deep", "*" * 300, "_" * 99 + "a" + "_" * 99, "[" * 500, "![" * 200, "(" * 300, "`" * 77, "\\" * 99, "#" * 7 + " x",
    "http://evil.example/<script>", "<http://evil.example>", "mailto:a@b.c", f"<mailto:{RUN}>", "__proto__", "constructor", "{x}", "${window.ran=1}", "{{x}}", "\r\n\r\n", "\t",
    "<a href=http://evil.example ping=http://evil.example/ping target=_self>x", "<svg><use href=http://evil.example#x></svg>", "<input autofocus onfocus=%s>" % RUN,
]
OWN = ("", "page/", "v1/models", "v1/chat/completions", "v1/key", "health", "metrics", "props")


def messages(count, seed):
    """A conversation of hostile messages, of all roles and with all that messages have."""
    r = random.Random(seed)
    def piece():
        one = r.choice(PIECES)
        if r.random() < 0.3:
            at = r.randrange(len(one) + 1)
            one = one[:at] + r.choice(PIECES)[: r.randrange(30)] + one[at:]
        return one
    def text():
        return r.choice(["", " ", "\n", "\n\n"]).join(piece() for _ in range(r.randint(1, 5)))
    made, parent = [], None
    for i in range(count):
        role = r.choice(["user", "assistant", "assistant", "assistant", "tool"])
        m = {"id": f"{seed:08x}{i:016x}", "conversation": f"{seed:024x}", "parent": parent, "role": role, "content": text(), "created": i + 1}
        if role == "user" and r.random() < 0.3:
            m["files"] = [{"name": piece(), "size": 7, "text": text()}]
        if role == "assistant":
            m.update(state=r.choice(["done", "done", "failed", "stopped"]), error={"message": text(), "status": 400, "code": None}, model=piece(),
                     tokens=3, rate=2, first_ms=1, prompt_tokens=9, cached=2, request={"settings": {"seed": 1, "model": piece()}},
                     reasoning=text() if r.random() < 0.3 else "", finish="stop",
                     calls=[{"id": "1", "name": piece(), "arguments": text()}] if r.random() < 0.2 else [])
        made.append(m)
        parent = m["id"]
    return {"id": f"{seed:024x}", "title": text(), "created": 1, "updated": 1, "leaf": parent, "settings": {"system": text()}}, made


def put(page, conversation, list_of_messages):
    page.run("""new Promise((resolve, reject) => {
        const opening = indexedDB.open("gyr");
        opening.onsuccess = () => {
            const [conversation, messages] = %s;
            const change = opening.result.transaction(["conversations", "messages"], "readwrite");
            change.objectStore("conversations").put(conversation);
            for (const m of messages) change.objectStore("messages").put(m);
            change.oncomplete = () => { opening.result.close(); resolve(); };
            change.onabort = () => reject(change.error);
        };
    })""" % json.dumps([conversation, list_of_messages]))


# Brings every message to the screen and waits until it is there, however slow the machine; what was ever in the page is looked at.
LOOK = """(async () => {
    const bad = new Set();
    const allowed = /^(https?:\\/\\/|mailto:|#|page\\/licences\\.txt)/i;
    const seen = new Set();
    const look = () => {
        for (const e of document.querySelectorAll('.column *')) {
            if (/^(script|iframe|object|embed|img|link|meta|base|form|style|video|audio|use)$/i.test(e.tagName)) bad.add(e.tagName);
            for (const a of e.attributes) {
                if (/^on/i.test(a.name)) bad.add(a.name);
                if (/^(href|xlink:href|src|srcset|action|ping|formaction)$/i.test(a.name) && !allowed.test(a.value)) bad.add(`${a.name}=${a.value.slice(0, 80)}`);
            }
        }
        for (const m of document.querySelectorAll('.message')) if (m.firstChild) seen.add(m.dataset.id);
    };
    for (const m of [...document.querySelectorAll('.message')]) {
        if (seen.has(m.dataset.id)) continue;
        m.scrollIntoView({block: 'start'});
        for (const end = Date.now() + 60000; !m.firstChild && Date.now() < end;) await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 0)));
        look();
    }
    return [[...bad], seen.size];
})()"""


def elsewhere(server):
    """Requests that the page has no reason for."""
    own = url(server)
    return [f"asked for {r}" for r in the_browser().requests
            if not (r.startswith(own) and any(r[len(own):] == o or (o.endswith("/") and r[len(own):].startswith(o)) for o in OWN))]


def nothing_runs_and_nothing_is_asked_for():
    problems, shown = [], 0
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["x"]) as s:
        page = opened(s, width=900, height=2000)
        for seed in range(1, 1 + MANY // 250):
            conversation, list_of_messages = messages(250, seed)
            put(page, conversation, list_of_messages)
            page.run(f"location.hash = '#/c/{conversation['id']}'")
            page.until(f"document.querySelectorAll('.message').length === 250 && location.hash.endsWith('{conversation['id']}')")
            bad, seen = page.run(LOOK, timeout=300)
            shown += seen
            problems += [f"seed {seed}: {b}" for b in bad]
        page.run("new Promise((r) => setTimeout(r, 500))")
        ran = page.run("window.ran || 0")
        away, asked = elsewhere(s), len(the_browser().requests)
        problems += [f"{ran} scripts ran"] * bool(ran) + away + trouble(the_browser(), s)
        page.close()
    if THOROUGH or shown >= 10000:
        note_figure("hostile", f"{shown:,} shown: {ran} scripts ran; of {asked} requests {len(away)} went elsewhere",
                    f"显示了 {shown:,} 条：运行脚本 {ran} 个；{asked} 个请求中发往别处的有 {len(away)} 个")
    return problems + ([] if shown == MANY else [f"only {shown} of {MANY} were shown"])


def hostile_answers_are_text_while_they_come():
    problems = []
    answers = ["\n\n".join(PIECES[i::4]).replace("\x00", "") for i in range(4)]
    with tempfile.TemporaryDirectory() as folder, scripted(folder, answers) as s:
        page = opened(s)
        for _ in answers:
            ask(page, "<img src=x onerror=window.ran=1>")
            bad, _ = page.run(LOOK, timeout=120)
            problems += bad
        problems += ["ran"] * bool(page.run("window.ran || 0")) + elsewhere(s) + trouble(the_browser(), s)
        page.close()
    return problems


def ten_megabytes_without_a_blank_are_shown():
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["x"]) as s:
        page = opened(s)
        conversation, _ = messages(1, 77)
        base = {"conversation": conversation["id"], "created": 1, "state": "done"}
        put(page, {**conversation, "leaf": "b"}, [{**base, "id": "a", "role": "user", "content": "x"}])
        page.run("""new Promise((resolve) => {
            const opening = indexedDB.open("gyr");
            opening.onsuccess = () => {
                const change = opening.result.transaction("messages", "readwrite");
                change.objectStore("messages").put({...%s, id: "b", parent: "a", role: "assistant", content: "x".repeat(10e6)});
                change.oncomplete = () => { opening.result.close(); resolve(); };
            };
        })""" % json.dumps(base))
        page.run(f"location.hash = '#/c/{conversation['id']}'")
        page.until("document.querySelectorAll('.message .plain-part').length > 400", 120)
        frame = page.run("""(async () => {
            const start = performance.now();
            for (let i = 0; i < 10; i += 1) {
                document.querySelector('.scroller').scrollTop += 700;
                await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 0)));
            }
            return (performance.now() - start) / 10;
        })()""")
        wide = page.run("document.documentElement.scrollWidth > innerWidth")
        problems = trouble(the_browser(), s)
        page.close()
    return problems + ["wider than the window"] * bool(wide) + ([f"{frame:.0f} ms a frame"] if frame > 1000 else [])


if __name__ == "__main__":
    run_cases(nothing_runs_and_nothing_is_asked_for, more=(hostile_answers_are_text_while_they_come, ten_megabytes_without_a_blank_are_shown))
