"""Each view at two widths, in both themes and both languages: nothing is wider than the screen, axe-core finds nothing,
nothing is complained of.

usage: looks.py GYR STAND_IN [FOLDER]     with a folder, pictures of all are put there

GYR_WEB=all tries each width with each theme and language, as `make test-web` does.
"""
import itertools
import json
import os
import sys
import tempfile

from web import HERE, THOROUGH, ask, opened, run_cases, scripted, the_browser, trouble, with_keys

PICTURES = sys.argv[3] if len(sys.argv) > 3 else None
AXE = open(os.path.join(HERE, "data/axe.min.js"), encoding="utf-8").read()
ALL = [{"width": width, "height": height, "theme": theme, "language": language}
       for (width, height), theme, language in itertools.product(((1280, 800), (390, 780)), ("light", "dark"), ("en", "zh"))]
LOOKS = ALL if THOROUGH or PICTURES else [ALL[0], ALL[7]]  # each width, theme and language once
WORDS = {"en": {"settings": "Settings of this conversation", "menu": "What can be done with this conversation"},
         "zh": {"settings": "此对话的设置", "menu": "对此对话的操作"}}

RICH = """## A model of the sky

The light that is scattered goes with $\\lambda^{-4}$, so that *blue* is scattered more than **red**:

$$I(\\lambda) = I_0 \\frac{8\\pi^4 \\alpha^2}{\\lambda^4 R^2} (1 + \\cos^2\\theta)$$

| colour | wavelength | scattered |
| --- | ---: | ---: |
| blue | 450 nm | 4.4 |
| red | 650 nm | 1.0 |

```python
def scattered(wavelength, reference=650e-9):
    \"\"\"How much more than the reference.\"\"\"
    return (reference / wavelength) ** 4

print(scattered(450e-9))
```

1. The sun's light is white.
2. Air scatters the [short waves](https://example.org/rayleigh).

> What is left is red, in the evening.
"""


def problems_of(page, what, more=""):
    """What axe-core finds, and whether anything is wider than the window."""
    found = page.run("""(async () => {
        if (!window.axe) { %s }
        const {violations} = await axe.run(document, {resultTypes: ["violations"]});
        const wide = document.documentElement.scrollWidth > innerWidth + 1 ? [`${document.documentElement.scrollWidth} wide`] : [];
        return [...violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + (n.any[0] ? n.any[0].message : "")).join(" | ")}`), ...wide];
    })()""" % AXE, timeout=120)
    return [f"{what}: {problem}" for problem in found]


def name_of(look, view):
    return f"{view}-{look['width']}-{look['theme']}-{look['language']}"


def look_at(page, look, view):
    # what moves has come to rest
    page.run("Promise.all(document.getAnimations().filter((a) => a.effect.getTiming().iterations !== Infinity).map((a) => a.finished))")
    page.run("new Promise((r) => setTimeout(r, 150))")
    if PICTURES:
        page.picture(os.path.join(PICTURES, name_of(look, view) + ".png"))
    return problems_of(page, name_of(look, view))


def button(page, label):
    script = f"document.querySelector('main [aria-label={json.dumps(label)}]')"
    page.until(script)
    page.run(script + ".click()")


def chats(page, look):
    words = WORDS[look["language"]]
    problems = look_at(page, look, "empty")
    ask(page, "Why is the sky blue?")
    page.until("document.querySelector('.katex') && document.querySelector('.hljs-keyword')")
    problems += look_at(page, look, "chat")
    ask(page, "And at night?")
    problems += look_at(page, look, "thinking")
    button(page, words["menu"])
    page.until("document.querySelector('main .menu:not([hidden])')")
    problems += look_at(page, look, "menu")
    page.key("Escape")
    button(page, words["settings"])
    page.until("document.querySelector('dialog')")
    problems += look_at(page, look, "settings")
    page.key("Escape")
    page.until("!document.querySelector('dialog')")
    page.run("document.querySelector('.views button').click()")
    page.until("document.querySelector('dialog')")
    problems += look_at(page, look, "preferences")
    page.key("Escape")
    if look["width"] < 760:
        page.run("document.querySelector('.opener').click()")
        problems += look_at(page, look, "side")
    return problems


def views(page, look):
    problems = []
    for view in ("models", "now", "compare"):
        page.run(f"location.hash = '#/{view}'")
        page.until({"models": "document.querySelector('.card .badge.good')", "now": "document.querySelector('.tile polyline')",
                    "compare": "document.querySelector('.side')"}[view])
        if view == "compare":
            page.run("document.querySelector('#compare-prompt').value = 'Compare'")
            for runs in (1, 2):
                page.run("document.querySelector('.view > .row .primary').click()")
                page.until(f"document.querySelectorAll('.side .verdict .good').length === {2 * (runs - 1)} && document.querySelector('.view > .verdict span') && document.querySelector('.view > .row .primary')")
        problems += look_at(page, look, view)
    return problems


def each_view_looks_well():
    problems = []
    script = [{"say": RICH, "when": "sky blue", "times": 1}, {"say": "<think>\nThen there is no sun.\n</think>\n\nThen it is black.",
              "when": "at night", "times": 1}, {"say": "The sea, the sea", "when": "Compare", "times": 9}]
    for look in LOOKS:
        with tempfile.TemporaryDirectory() as folder, scripted(folder, script) as s:
            page = opened(s, **look)
            problems += chats(page, look) + views(page, look) + trouble(the_browser(), s)
            page.close()
    return problems


def what_keys_bring_looks_well():
    """The question for one, the line that says whose it is, and the administrator's view."""
    problems = []
    with with_keys("root", "ann") as (s, keys):
        for look in LOOKS:
            page = opened(s, **look)
            page.until("document.querySelector('dialog input[type=password]')")
            problems += look_at(page, look, "key")
            page.type("dialog input", "gyr-nonsense")
            page.key("Enter", text="\r")
            page.until("document.querySelector('dialog .wrong').innerText.includes('key')")
            page.run("document.querySelector('dialog input').value = ''")
            page.type("dialog input", keys["root"])
            page.key("Enter", text="\r")
            page.until("!document.querySelector('dialog') && document.querySelector('.model-choice option[value]')")
            ask(page, "a poem")
            page.reload()
            page.until("document.querySelector('.model-choice option[value]') && document.querySelector('.user .done')")
            problems += ["it asks again"] if page.run("document.querySelector('dialog')") else []
            page.run("location.hash = '#/keys'")
            page.until("document.querySelectorAll('.list').length === 2")
            problems += look_at(page, look, "keys")
            page.run("document.querySelector('.view .primary').click()")
            page.until("document.querySelector('dialog [name=name]')")
            problems += look_at(page, look, "new-key")
            page.type("dialog [name=name]", f"bob{LOOKS.index(look)}")
            page.run("document.querySelector('dialog [type=submit]').click()")
            page.until("document.querySelector('dialog input.mono')")
            problems += look_at(page, look, "made")
            page.close()
        problems += trouble(the_browser(), s, ("401",))
    return problems


def writing_from_the_right_is_mirrored():
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["שלום"]) as s:
        page = opened(s, width=1280, height=800)
        page.run("document.documentElement.dir = 'rtl'")
        ask(page, "שלום עולם")
        side, bubble, column = page.run("['.sidebar', '.bubble', '.column'].map((q) => document.querySelector(q).getBoundingClientRect()).map((r) => [r.left, r.right])")
        if PICTURES:
            page.picture(os.path.join(PICTURES, "rtl.png"))
        problems = trouble(the_browser(), s)
    right = side[1] == 1280 and bubble[0] - column[0] < 40
    return problems + ([] if right else [f"{side} {bubble} {column}"])


if __name__ == "__main__":
    run_cases(each_view_looks_well, more=(what_keys_bring_looks_well, writing_from_the_right_is_mirrored))
