"""gyr plan from outside: what it prints, in both forms, and what it refuses.

usage: plan_test.py GYR
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GYR = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(Path(__file__).parents[1] / "house"))
from house import ROOT, Skip, run  # noqa: E402

PRICES = ROOT / "examples/prices.tsv"
POET = ROOT / "models/poet.gguf"
FIGURES = ("memory_bytes", "prefill_tokens_per_s", "decode_tokens_per_s", "joules_per_token", "cost_per_million_tokens")
BASES = ("measured", "specified", "estimated", "unknown")


def gyr(*args):
    env = {k: v for k, v in os.environ.items() if k != "GYR_DEVICE"}
    return subprocess.run([str(GYR), "plan", *map(str, args)], capture_output=True, text=True, check=False, timeout=60, env=env)


def planned(*args):
    done = gyr("--json", *args)
    if done.returncode or done.stderr:
        raise AssertionError(f"{args}: status {done.returncode}, {done.stderr}")
    return json.loads(done.stdout)


def refused(status, message, *args):
    done = gyr(*args)
    good = done.returncode == status and done.stderr == f"gyr: {message}\n" and not done.stdout
    return [] if good else [f"{args}: status {done.returncode}, stderr {done.stderr!r}, not {message!r}"]


def figures_say_what_they_are():
    """Each has a basis; what is unknown is null and never 0, what is estimated lies within its bounds."""
    problems = []
    plans = [planned("falcon-40b", "--on", "2 x H800 + 4 x RTX 4090", "-u", 4, "-c", 1000, "--prices", PRICES),
             planned("falcon-40b", "--on", "MI300X", "--prices", PRICES), planned("llama-3-8b", "--on", "GB10", "--type", "q4_0")]
    for plan in plans:
        if plan["fits"]["basis"] not in BASES or plan["fits"]["value"] is not True:
            problems.append(f"fits: {plan['fits']}")
        for key in FIGURES:
            f = plan[key]
            low, high = f.get("interval", (None, None))
            known = f["value"] is not None
            if f["basis"] not in BASES or known == (f["basis"] == "unknown") or (known and not low <= f["value"] <= high):
                problems.append(f"{key}: {f}")
    if plans[1]["cost_per_million_tokens"]["value"] is None or plans[0]["cost_per_million_tokens"]["value"] is not None:
        problems.append("only the MI300X has all its prices")
    if plans[2]["prefill_tokens_per_s"]["value"] is not None:
        problems.append("nobody says how much a GB10 computes")
    return problems


def costs_are_what_prices_make_of_them():
    plan = planned("falcon-40b", "--on", "MI300X", "--prices", PRICES)
    want = 2.50 / 3600 / plan["decode_tokens_per_s"]["value"] * 1e6
    got = plan["cost_per_million_tokens"]
    problems = [] if abs(got["value"] / want - 1) < 1e-3 else [f"{got['value']}, not {want}"]
    return problems + ([] if got.get("date") == "2026-11-27" and got.get("source") else ["the price has no date or source"])


def falcon_40b_fits_one_card_or_several():
    problems = []
    for cards, fits in (("MI300X", True), ("H800", False), ("2 x H800", True), ("3 x RTX 4090", False), ("H20", True)):
        if planned("falcon-40b", "--on", cards)["fits"]["value"] is not fits:
            problems.append(f"falcon-40b on {cards} should{'' if fits else ' not'} fit")
    return problems


def what_does_not_fit_is_told_what_would_do():
    plan = planned("falcon-180b", "--on", "2 x RTX 4090")
    kinds = {a["kind"] for a in plan["advice"]}
    problems = [] if plan["limited_by"]["first"] == "capacity" and "would do" in kinds else [f"{plan['advice']}"]
    plan = planned("falcon-40b", "--on", "H800")
    if not any(a["kind"] == "more cards" and a["count"] == 2 and a["fits"] for a in plan["advice"]):
        problems.append("two H800 would do")
    if not any(a["kind"] == "fewer bits" and a["type"] == "q8_0" and a["fits"] for a in plan["advice"]):
        problems.append("Q8_0 would do")
    plan = planned("llama-3-8b", "--on", "L4", "--prices", PRICES, "--budget", 2000)
    offers = [a for a in plan["advice"] if a["kind"] == "would do"]
    if not offers or any(a["usd"] > 2000 for a in offers):
        problems.append(f"for 2,000 USD: {offers}")
    return problems


def people_can_read_it():
    done = gyr("falcon-40b", "--on", "MI300X")
    wanted = ("fits        yes: 8", "tokens/s", "memory bandwidth", "export: ", "estimated")
    problems = [f"no {w!r} in {done.stdout}" for w in wanted if w not in done.stdout]
    return problems + [f"too wide: {line}" for line in done.stdout.split("\n") if len(line) > 120]


def this_machine_is_timed():
    if not POET.exists():
        raise Skip("no poet")
    plan = planned("-t", 1, "-c", 256, POET)
    rates = plan["cards"][0]["rates"]
    good = (plan["on"] == "this machine" and plan["joules_per_token"]["basis"] == "unknown" and rates["basis"] == "measured" and
            rates["read_bytes_per_s"] > 1e8 and plan["decode_tokens_per_s"]["value"] > 1)
    return [] if good else [f"{plan}"]


def nonsense_is_refused_in_a_line():
    form = "examples/prices.tsv shows the form"
    problems = refused(2, "MI301X: not a card that gyr knows; the nearest is MI300X", "falcon-40b", "--on", "MI301X")
    problems += refused(2, "0 x L4: the number of cards is from 1 to 4096", "falcon-40b", "--on", "0 x L4")
    problems += refused(3, "falcon-41b: neither a file nor a shape; did you mean falcon-40b", "falcon-41b", "--on", "L4")
    problems += refused(2, "falcon-40b: a context of 4096 tokens; the model was trained for 2048",
                        "falcon-40b", "--on", "L4", "-c", 4096)
    problems += refused(2, "budget 1/d: write USD to buy for, such as 20000, or USD an hour to rent for, such as 8/h",
                        "falcon-7b", "--on", "L4", "--budget", "1/d")
    problems += refused(2, f"a budget needs a file of prices; {form}", "falcon-7b", "--on", "L4", "--budget", 100)
    problems += refused(3, "none.tsv: No such file or directory; check the path", "falcon-7b", "--prices", "none.tsv")
    for budget in "nan", "inf", "-1", "0", "1e13", "":
        done = gyr("falcon-7b", "--on", "L4", "--prices", PRICES, "--budget", budget)
        if done.returncode != 2 or done.stderr.count("\n") != 1:
            problems.append(f"budget {budget!r}: {done.returncode}, {done.stderr!r}")
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as f:
        f.write("name\thour_usd\tbuy_usd\tdate\tsource\nL4\tnan\t-\t2026-11-01\tx\n")
        f.flush()
        problems += refused(4, f"{f.name}:2: a price is a number from 0 to 1000000000, or - for none",
                            "falcon-7b", "--prices", f.name)
    return problems


if __name__ == "__main__":
    run(figures_say_what_they_are, costs_are_what_prices_make_of_them, falcon_40b_fits_one_card_or_several,
        what_does_not_fit_is_told_what_would_do, people_can_read_it, this_machine_is_timed, nonsense_is_refused_in_a_line)
