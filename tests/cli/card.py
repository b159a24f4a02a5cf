"""The verbs that compute, on a card: the output that they have on the CPU, and receipts that each verifies of the other.
The card is the stand-in of the drivers' tests, whose kernels run on the host.

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


if __name__ == "__main__":
    run(every_verb_gives_the_same)
