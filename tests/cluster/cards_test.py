"""Ranks on the cards of one machine: each has the card of its number there, and who has none the CPU; the bytes are
those of the CPU. The cards are two stand-ins of the drivers' tests, whose kernels run on the host.

usage: cards_test.py GYR STATEFUL_MODELS FAKES KERNELS
"""
import subprocess
import sys
from pathlib import Path

from launching import ENV, FOLDER, GYR, at_once, ended, launcher, model_file, start
from house import run

FAKES, KERNELS = (str(Path(p).resolve()) for p in sys.argv[3:5])
CARDS = {"GYR_GPU_LIBRARIES": FAKES, "GYR_FAKE_KERNELS": KERNELS, "GYR_FAKE_CARDS": "2", "XDG_CACHE_HOME": FOLDER.name}
WORDS = ("-n", "6", "--seed", "3", "--temperature", "1", "--ignore-end", "-t", "1", "--raw", "once upon")


def each_rank_has_a_card_of_its_own():
    launcher()
    want = {name: subprocess.run([GYR, "run", "-m", model_file(name), *WORDS], env=ENV | {"GYR_DEVICE": "cpu"}, text=True,
                                 capture_output=True, timeout=100, check=True).stdout for name in ("mixtral", "falcon-h1")}

    def one(name, n, device, status, said):
        words = (GYR, "run", "-m", model_file(name), "--split", "layers", "--device", device, *WORDS)
        got, out, err = ended(start((n, *words), env=CARDS))
        ok = got == status and said in err and out == ("" if status else want[name])
        return [] if ok else [f"{name}, {n} ranks, {device}: status {got}, {out!r}, not {want[name]!r}; {err}"]

    return at_once(one, (("mixtral", 3, "auto", 0, "device: cuda:0 + cuda:1 + cpu, 3 ranks, by layers: 1, 1, 0"),
                         ("falcon-h1", 2, "cuda", 0, "device: cuda:0 + cuda:1, 2 ranks, by layers: 1, 1"),
                         ("mixtral", 2, "cuda:1", 0, "device: cuda:1, 2 ranks, by layers: 1, 1"),
                         ("mixtral", 3, "cuda", 2, "rank 2 on ")))


if __name__ == "__main__":
    run(each_rank_has_a_card_of_its_own)
