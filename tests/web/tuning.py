"""Fine-tuning in the page: a table of questions and answers is uploaded, looked at, learned and asked.

usage: tuning.py GYR
"""
import json

from web import GYR, POET, Server, ask, opened, press, run_cases, the_browser, trouble
from looks import LOOKS, look_at

TABLE = "question,answer\n" + "".join(f'a poem {i},"Arr, ""{i}""!"\n' for i in range(12))


def put_file(page, name, text):
    """As if the user had chosen it."""
    page.run("""(() => {
        const real = HTMLInputElement.prototype.click;
        HTMLInputElement.prototype.click = function () {
            if (this.type !== "file") return real.call(this);
            HTMLInputElement.prototype.click = real;
            const data = new DataTransfer();
            data.items.add(new File([%s], %s));
            this.files = data.files;
            this.dispatchEvent(new Event("change"));
        };
    })()""" % (json.dumps(text), json.dumps(name)))


def fill(page, name, value):
    page.run(f"(() => {{ const e = document.querySelector('form [name={name}]'); e.value = {json.dumps(value)}; }})()")


def served():
    return Server(GYR, "-m", POET, "-t", "1", "--tune-fair")


def from_a_table_to_a_conversation():
    with served() as s:
        page = opened(s, "#/tune")
        page.until("document.querySelector('form select option[value]')")
        put_file(page, "bad.csv", "question,answer\na,b,c\n")
        press(page, "Upload a file")
        wrong = page.until("document.querySelector('form .wrong').innerText")
        put_file(page, "pirate.csv", TABLE)
        press(page, "Upload a file")
        page.until("document.querySelector('form select option[value^=file]')")
        press(page, "Look at what is learned")
        page.until("document.querySelectorAll('.examples li').length === 10")
        learned = page.run("document.querySelector('.examples mark').textContent")
        plan = page.text(".examples-place [role=status]")
        press(page, "Show more")
        page.until("document.querySelectorAll('.examples li').length === 12")
        page.run("document.querySelector('form details').open = true")
        page.type("form input[pattern]", "arr")
        fill(page, "n_epochs", "2")
        fill(page, "learning_rate_multiplier", "40")
        press(page, "Start")
        page.until("document.querySelector('.tune-jobs .badge.good')")
        page.until("document.querySelectorAll('.tune-jobs polyline').length === 2")
        job = s.ask("/v1/fine_tuning/jobs")["data"][0]
        name = page.text(".tune-jobs h2")
        curve = page.run("document.querySelector('.tune-jobs polyline').getAttribute('points').split(' ').length")
        press(page, "Compare with before")
        page.until("document.querySelectorAll('.side').length === 2")
        sides = page.run("[...document.querySelectorAll('.side select')].map((e) => e.value)")
        page.run("location.hash = '#/tune'")
        press(page, "Chat with it")
        page.until("document.querySelector('.chat.empty')")
        ask(page, "a poem 3")
        model = page.run("document.querySelector('.model-choice').value")
        page.run("location.hash = '#/tune'")
        press(page, "Delete the model")
        page.until("document.querySelector('dialog .danger')")
        page.run("document.querySelector('dialog .danger').click()")
        page.until("document.querySelector('.tune-jobs .card') && ![...document.querySelectorAll('.tune-jobs button')].some((b) => b.innerText === 'Chat with it')")
        left = [m["id"] for m in s.ask("/v1/models")["data"]]
        problems = trouble(the_browser(), s)
    tuned = job["fine_tuned_model"]
    if "Line 2" not in wrong or learned != 'Arr, "0"!<|end|>' or "12 examples" not in plan or "2 epochs" in plan:
        problems.append(f"{wrong!r} {learned!r} {plan!r}")
    if name != tuned or ":arr:" not in tuned or sides != ["poet", tuned] or model != tuned or curve != 6 or tuned in left:
        problems.append(f"{name} {tuned} {sides} {model} {curve} {left}")
    return problems


def a_job_is_paused_and_cancelled():
    with served() as s:
        page = opened(s, "#/tune")
        page.until("document.querySelector('form select option[value]')")
        put_file(page, "many.csv", TABLE * 1 + "".join(f"again {i},{'Arr! ' * 40}\n" for i in range(60)))
        press(page, "Upload a file")
        page.until("document.querySelector('form select option[value^=file]')")
        page.run("document.querySelector('form details').open = true")
        fill(page, "n_epochs", "50")
        press(page, "Start")
        page.until("document.querySelector('.tune-jobs polyline')")
        for label, status in (("Pause", "paused"), ("Go on", None), ("Cancel the job", "cancelled")):
            press(page, label)
            if status:
                page.until(f"document.querySelector('.tune-jobs .badge').innerText === '{status}'")
        job = s.ask("/v1/fine_tuning/jobs")["data"][0]
        problems = trouble(the_browser(), s)
    return problems + [f"{job}"] * (job["status"] != "cancelled")


def preferences_are_learned():
    """Pairs of answers: what is looked at says which is preferred, and the curves are those of rewards."""
    say = lambda text: [{"role": "assistant", "content": text}]
    pairs = "".join(json.dumps({"input": {"messages": [{"role": "user", "content": f"a poem {i}"}]}, "preferred_output": say("Arr!"),
                                "non_preferred_output": say("No.")}) + "\n" for i in range(2))
    with served() as s:
        page = opened(s, "#/tune")
        page.until("document.querySelector('form select option[value]')")
        hidden = page.run("document.querySelector('form [name=beta]').offsetParent === null")
        put_file(page, "pairs.jsonl", pairs)
        press(page, "Upload a file")
        page.until("document.querySelector('form select option[value^=file]')")
        page.run("(() => { const e = document.querySelector('form select[id$=method]'); e.value = 'dpo'; e.dispatchEvent(new Event('change')); })()")
        page.run("document.querySelector('form details').open = true")
        fill(page, "n_epochs", "2")
        fill(page, "beta", "0.3")
        press(page, "Look at what is learned")
        page.until("document.querySelectorAll('.examples li').length === 4")
        sides = page.run("[...document.querySelectorAll('.examples .hint')].map((e) => e.innerText.split(' · ')[1])")
        press(page, "Start")
        page.until("document.querySelector('.tune-jobs .badge.good')")
        page.until("document.querySelectorAll('.tune-jobs polyline').length === 3")
        method = s.ask("/v1/fine_tuning/jobs")["data"][0]["method"]
        problems = trouble(the_browser(), s)
    if not hidden or sides != ["preferred", "not preferred"] * 2 or method["dpo"]["hyperparameters"]["beta"] != 0.3:
        problems.append(f"{hidden} {sides} {method}")
    return problems


def it_looks_well():
    problems = []
    for look in LOOKS:
        with served() as s:
            page = opened(s, "#/tune", **look)
            page.until("document.querySelector('form select option[value]')")
            put_file(page, "pirate.csv", TABLE)
            page.run("document.querySelector('form .row button').click()")
            page.until("document.querySelector('form select option[value^=file]')")
            page.run("document.querySelectorAll('form .row')[1].querySelector('button').click()")
            page.until("document.querySelectorAll('.examples li').length === 10")
            page.run("document.querySelector('form details').open = true")
            fill(page, "n_epochs", "2")
            problems += look_at(page, look, "tune-new")
            page.run("document.querySelector('form [type=submit]').click()")
            page.until("document.querySelector('.tune-jobs .badge.good')")
            page.run("document.querySelector('.tune-jobs details').open = true; document.querySelector('.tune-jobs').scrollIntoView()")
            problems += look_at(page, look, "tune") + trouble(the_browser(), s)
            page.close()
    return problems


if __name__ == "__main__":
    run_cases(from_a_table_to_a_conversation, preferences_are_learned, it_looks_well, more=(a_job_is_paused_and_cancelled,))
