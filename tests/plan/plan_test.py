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


CACHE = tempfile.TemporaryDirectory()  # what this user's gyr bench has kept is none of ours


def verb(*args):
    env = {k: v for k, v in os.environ.items() if k not in ("GYR_DEVICE", "GYR_SYSFS")} | {"XDG_CACHE_HOME": CACHE.name}
    return subprocess.run([str(GYR), *map(str, args)], capture_output=True, text=True, check=False, timeout=300, env=env)


def gyr(*args):
    return verb("plan", *args)


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
    row = next(r.split("\t") for r in PRICES.read_text(encoding="utf-8").splitlines() if r.startswith("MI300X\t"))
    want = float(row[1]) / 3600 / plan["decode_tokens_per_s"]["value"] * 1e6
    got = plan["cost_per_million_tokens"]
    problems = [] if abs(got["value"] / want - 1) < 1e-3 else [f"{got['value']}, not {want}"]
    return problems + ([] if got.get("date") == row[3] and got.get("source") == row[4] else ["the price has no date or source"])


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


def what_bench_measured_is_used():
    """As it is for just as many users and tokens; else its rates; and a broken file is ignored, with a note."""
    if not POET.exists():
        raise Skip("no poet")
    bench = verb("bench", "--json", "-t", 1, "-m", POET, "-p", 64, "-n", 8, "-b", 1, "--repeat", 1)
    row = json.loads(bench.stdout)
    kept = Path(CACHE.name) / "gyr/rates.json"
    same, other = planned("-t", 1, "-c", 72, "-p", 64, POET), planned("-t", 1, "-c", 512, "-p", 250, POET)
    problems = [] if not bench.stderr and kept.exists() else [f"{bench.stderr}"]
    for what in "prefill", "decode":
        f, g = same[f"{what}_tokens_per_s"], other[f"{what}_tokens_per_s"]
        if f["basis"] != "measured" or abs(f["value"] / row[f"{what}_tokens_per_s"] - 1) > 1e-4 or len(f["date"]) != 10:
            problems.append(f"{f}")
        if g["basis"] != "estimated" or "gyr bench" not in g["detail"]:
            problems.append(f"{g}")
    said = verb("run", "-v", "--no-cache", "-t", 1, "-m", POET, "-n", 1, "hi")
    if not said.stderr.startswith("plan: ") or "; answers " not in said.stderr or "weights" not in said.stderr:
        problems.append(said.stderr)
    if verb("run", "--no-cache", "-m", POET, "-n", 1, "hi").stderr:
        problems.append("a plan that nobody asked for")
    whole = kept.read_text(encoding="utf-8")
    # Each is timed anew, for some seconds.
    for text in ('{"gyr_rates": 2}', whole.replace('"read": ', '"read": -'))[:2 if os.environ.get("TEST_ALL") else 1]:
        kept.write_text(text, encoding="utf-8")
        plan = planned("-t", 1, "-c", 72, "-p", 64, POET)
        if plan["decode_tokens_per_s"]["basis"] != "estimated" or plan["notes"] != [f"{kept}: not as gyr bench writes it; it is ignored"]:
            problems.append(f"{text[:40]!r}: {plan['notes']}, {plan['decode_tokens_per_s']}")
    kept.unlink()
    return problems


def training_is_planned_with_intervals():
    problems = []
    plans = {name: planned(*args)["training"] for name, args in {
        "small": ("llama-3-8b", "--tune", "--type", "q4_k", "--on", "RTX 4090"),
        "large": ("llama-3.1-405b", "--train", "15.6T", "--on", "26000 x H100 SXM 80", "--prices", PRICES),
        "experts": ("deepseek-v3", "--train", "14.8T", "--on", "2048 x H800", "--fp8"),
        "too much": ("llama-3.1-405b", "--train", "1B", "--on", "L4"),
        "unknown": ("llama-3-8b", "--tune", "--on", "GB10")}.items()}
    for name, t in plans.items():
        for key in "flop", "memory_bytes", "tokens_per_s", "seconds", "card_hours", "joules", "usd":
            f = t[key]
            low, high = f.get("interval", (None, None))
            if (f["value"] is None) != (f["basis"] == "unknown") or (f["value"] is not None and not low < f["value"] < high):
                problems.append(f"{name}, {key}: {f}")
        if abs(sum(t["memory_bytes"]["parts"].values()) / t["memory_bytes"]["value"] - 1) > 1e-3:
            problems.append(f"{name}: {t['memory_bytes']}")
    fits = {name: t["fits"] for name, t in plans.items()}
    if fits != {"small": True, "large": True, "experts": True, "too much": False, "unknown": True}:
        problems.append(f"{fits}")
    # 6 operations a parameter and token, and those of attention; the adapter's are two thirds of it.
    if not 1 < plans["large"]["flop"]["value"] / (6 * 405.85e9 * 15.6e12) < 1.15:
        problems.append(f"{plans['large']['flop']}")
    # rank 16 on all matrices of Llama 3 8B: 32 layers of (4096 + 6144), (4096 + 4096), 2 x (4096 + 14336) or more, by 16
    if not 41.9e6 < plans["small"]["trained_parameters"] < 48e6:
        problems.append(f"{plans['small']['trained_parameters']}")
    shared = plans["experts"]["layout"]
    if shared["tensor"] * shared["pipeline"] * shared["data"] > 2048 or shared["expert"] > shared["data"] or plans["large"]["usd"]["value"] is None or plans["unknown"]["seconds"]["value"]:
        problems.append(f"{plans['experts']['layout']}, {plans['large']['usd']}, {plans['unknown']['seconds']}")
    text = gyr("llama-3-8b", "--tune", "--on", "RTX 4090", "--type", "q4_k").stdout
    for wanted in "tuned with 10", "fits        yes", "time  ", " to ", "layout ":
        if wanted not in text:
            problems.append(f"no {wanted!r} in {text}")
    problems += [f"too wide: {line}" for line in text.split("\n") if len(line) > 120]
    problems += refused(2, "plan: tune and train are two plans; ask for one of them", "llama-3-8b", "--on", "L4", "--tune", "--train", "1B")
    problems += refused(2, "plan: rank and tokens are of --tune", "llama-3-8b", "--on", "L4", "--tokens", "1M")
    problems += refused(5, "H800 + L4: training over cards of several kinds is not planned; name one", "llama-3-8b", "--tune", "--on", "H800 + L4")
    for text in "0", "-1", "1e9", "nan", "5Q", "1TT", "", "99999999T":
        problems += refused(2, f'--train: "{text}" is not a number of tokens, such as 10M or 15.6T', "llama-3-8b", "--on", "L4", f"--train={text}")
    return problems


def nonsense_is_refused_in_a_line():
    form = "examples/prices.tsv shows the form"
    problems = refused(2, "MI301X: not a card that gyr knows; the nearest is MI300X", "falcon-40b", "--on", "MI301X")
    problems += refused(2, "Raspberry Pi 5: not a card that gyr knows; name one such as MI300X", "falcon-40b", "--on", "Raspberry Pi 5")
    problems += refused(2, "0 x L4: the number of cards is from 1 to 65536", "falcon-40b", "--on", "0 x L4")
    problems += refused(3, "falcon-41b: neither a file nor a shape; did you mean falcon-40b?", "falcon-41b", "--on", "L4")
    problems += refused(3, "Llama3-8B: neither a file nor a shape; did you mean llama-3-8b?", "Llama3-8B", "--on", "L4")
    problems += refused(2, "this one: gyr plans for this machine alone; leave out --on for that, or the machine", "falcon-40b", "--on", "L4 + this one")
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
        what_does_not_fit_is_told_what_would_do, people_can_read_it, this_machine_is_timed, what_bench_measured_is_used,
        training_is_planned_with_intervals, nonsense_is_refused_in_a_line)
