"""What the page costs: how soon it is there, a long conversation, a fast answer.

usage: pace.py GYR STAND_IN [--write]     --write: with all cases, and what they measure into docs/page.md
"""
import tempfile

from hostile import put
from web import GYR, Server, answered, ask, note_figure, opened, run_cases, scripted, the_browser, trouble

MANY = 2000


def it_is_there_soon():
    with Server(GYR) as s:
        page = opened(s)
        times = []
        for _ in range(5):
            page.reload()
            times.append(page.until("(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"))
        first = sorted(times)[2]
        problems = trouble(the_browser(), s)
        page.close()
    note_figure("paint", f"{first:.0f} ms", f"{first:.0f} 毫秒")
    return problems + ([f"first paint after {first:.0f} ms"] if first > 2000 else [])  # 100 on a machine with nothing else to do


def a_long_conversation_has_few_elements():
    text = "Some **words** about `birds`, $x^2$ and so on. " * 6
    made, parent = [], None
    for i in range(MANY):
        role = ("user", "assistant")[i % 2]
        made.append({"id": f"{i:024x}", "conversation": "f" * 24, "parent": parent, "role": role, "content": f"{i}: {text}",
                     "created": i + 1, "state": "done"})
        parent = made[-1]["id"]
    with tempfile.TemporaryDirectory() as folder, scripted(folder, ["x"]) as s:
        page = opened(s)
        put(page, {"id": "f" * 24, "title": "Long", "created": 1, "updated": 1, "leaf": parent, "settings": {}}, made)
        page.run(f"location.hash = '#/c/{'f' * 24}'")
        page.until(f"document.querySelectorAll('.message').length === {MANY} && document.querySelector('.message:last-child .said')", 60)
        worst, elements, shown, top = page.run("""(async () => {
            const scroller = document.querySelector('.scroller'), times = [];
            let most = 0, shown = new Set();
            for (let i = 0; i < 120; i += 1) {
                const start = performance.now();
                scroller.scrollTop -= 400;
                await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 0)));
                times.push(performance.now() - start);
                most = Math.max(most, document.querySelectorAll('.column *').length);
                for (const m of document.querySelectorAll('.message')) if (m.firstChild) shown.add(m);
            }
            times.sort((a, b) => a - b);
            scroller.scrollTop = 0;
            await new Promise((r) => setTimeout(r, 300));
            return [times[Math.floor(times.length * 0.9)], most, shown.size, document.querySelector('.message .said').innerText.slice(0, 3)];
        })()""", timeout=120)
        problems = trouble(the_browser(), s)
        page.close()
    note_figure("frame", f"at most {worst:.0f} ms; {elements:,} elements at most", f"不超过 {worst:.0f} 毫秒；最多 {elements:,} 个元素")
    if worst > 400 or elements > 20000 or shown < 80 or top != "0: ":
        problems.append(f"{worst:.0f} ms, {elements} elements, {shown} shown, {top!r} at the top")
    return problems


def a_fast_answer_costs_little():
    text = "".join(f"## Part {i}\n\nSome *words* about birds that `fly` over the sea, $x_{i}$, and so on.\n\n- one\n- two\n\n```c\nint x{i};\n```\n\n" for i in range(25))
    with tempfile.TemporaryDirectory() as folder, scripted(folder, [text], "--pace", "5") as s:
        page = opened(s)
        page.call("Performance.enable")

        def busy():
            return {m["name"]: m["value"] for m in page.call("Performance.getMetrics")["metrics"]}

        before = busy()
        ask(page, "Write much", wait=False)
        answered(page, 120)
        after = busy()
        tokens = page.text(".message.assistant .stats")
        problems = trouble(the_browser(), s)
        page.close()
    seconds, work = after["Timestamp"] - before["Timestamp"], after["ThreadTime"] - before["ThreadTime"]
    print(f"  {tokens}: {work:.1f} s of work in {seconds:.1f} s")
    note_figure("stream", f"{100 * work / seconds:.0f}%", f"{100 * work / seconds:.0f}%")
    return problems + ([f"{100 * work / seconds:.0f}% of a core"] if work > 0.5 * seconds else [])


if __name__ == "__main__":
    run_cases(it_is_there_soon, more=(a_long_conversation_has_few_elements, a_fast_answer_costs_little))
