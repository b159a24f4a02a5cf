"""The verbs that compute, on a card: the output that they have on the CPU, and receipts that each verifies of the other.
Three cards that share rows give the CPU's words, too, and say what each has; what they cannot is one line. The card is the stand-in of the drivers' tests, whose kernels run on the host.

usage: card.py GYR STATEFUL_MODELS FAKES KERNELS
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402

GYR, STATEFUL_MODELS, FAKES, KERNELS = sys.argv[1:5]
MODELS = ("gemma2", "falcon-h1")  # dense; states beside attention


def gyr(folder, device, *args):
    env = dict(os.environ, GYR_DEVICE=device, XDG_CACHE_HOME=folder, GYR_GPU_LIBRARIES=FAKES,
               GYR_FAKE_KERNELS=os.path.abspath(KERNELS))
    return subprocess.run([GYR, *args], env=env, capture_output=True, check=True).stdout


def every_verb_gives_the_same():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([STATEFUL_MODELS, folder, *MODELS], check=True)
        text = os.path.join(folder, "text")
        with open(text, "w", encoding="utf-8") as f:
            f.write("once upon a time there was a king of a land and so on and on")
        for name in MODELS:
            model = ("-m", f"{folder}/{name}.gguf")
            receipts = {device: f"{folder}/receipt.{device}" for device in ("cpu", "cuda")}
            for args in (("logits", "--tokens", "3,4,5,6,7,8,9", *model), ("embed", *model, "once upon"),
                         ("eval", "perplexity", *model, "-c", "32", "--json", text)):
                cpu, card = (gyr(folder, device, *args) for device in receipts)
                if args[0] == "eval":  # how long it took is not the same
                    cpu, card = (out.split(b'"perplexity"')[1].split(b",")[0] for out in (cpu, card))
                if cpu != card or not cpu:
                    problems.append(f"{name}: {args[0]}: {card[:200]}, not {cpu[:200]}")
            for device, receipt in receipts.items():
                gyr(folder, device, "run", *model, "-n", "8", "--seed", "3", "--receipt", receipt, "once")
            for device in receipts:
                for receipt in receipts.values():
                    said = gyr(folder, device, "verify", *model, receipt)
                    if not said.startswith(b"equal: 8 tokens"):
                        problems.append(f"{name}: verify on {device}: {said}")
    return problems


def by_rows(folder, *args, cards="3", **more):
    env = dict(os.environ, XDG_CACHE_HOME=folder, GYR_GPU_LIBRARIES=FAKES, GYR_FAKE_KERNELS=os.path.abspath(KERNELS),
               GYR_FAKE_CARDS=cards, **more)
    done = subprocess.run([GYR, "run", "-n", "4", "--seed", "3", "--split", "rows", *args, "once"], env=env,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def several_cards_share_rows():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([STATEFUL_MODELS, folder, "gemma2"], check=True)
        model = ("-m", f"{folder}/gemma2.gguf")
        want = gyr(folder, "cpu", "run", *model, "-n", "4", "--seed", "3", "once").decode()
        each = [f"cuda:{i} (Stand-in {i}), 0.3 GB of 1.1 GB" for i in range(3)]
        room = "by rows each of 2 cards needs 0.3 GB, and cuda:0 has 0.1 free; choose a shorter context, a smaller type, or --split layers"
        for args, more, status, said in (
                (("--no-cpu",), {}, 0, "device: by rows on " + "; ".join(each)),
                (("--device", "cuda"), {"cards": "2"}, 0, "device: by rows on " + "; ".join(each[:2])),
                (("--device", "cuda:1"), {}, 0, ""),  # that one alone
                ((), {"cards": "1"}, 0, "device: cuda:0 (Stand-in 0), "),  # there is nobody to share them with
                ((), {"cards": "2", "GYR_FAKE_LINKS": "0"}, 0, "device: by rows on cuda:0"),
                (("--gpu-layers", "1"), {}, 2, "--split rows gives each card rows of all; leave out --gpu-layers and --cpu-experts"),
                ((), {"cards": "2", "GYR_FAKE_MEMORY": "100000000"}, 6, room)):
            got, out, err = by_rows(folder, *model, *args, **more)
            if got != status or said not in err or (not status and out != want) or (status and len(err.splitlines()) != 1):
                problems.append(f"{args} {more}: status {got}, {out!r}, not {want!r}; {err}")
    return problems


if __name__ == "__main__":
    run(every_verb_gives_the_same, several_cards_share_rows)
