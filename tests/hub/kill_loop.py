"""Kills a pull at random moments until it is done, many times over: for longer than a test may take.

usage: kill_loop.py GYR [SECONDS]
"""
import random
import signal
import sys
import time

from trial import FOLDER, NAME, RNG, Trial
from fake_hub import Repo

FAULTS = ("cut", "hang_up", "503", "short", "no_range", "wrong", "bad_length")


def one_round(files):
    """The number of kills until the pull was through, and what was wrong."""
    kills = 0
    with Trial({"org/model": Repo(files)}, pace=(20_000, 0.005)) as t:
        while True:
            if random.random() < 0.3:
                t.hub.faults = [("/cdn/*", random.choice(FAULTS))]
            process = t.start(NAME, "--retries", "50")
            time.sleep(random.uniform(0.01, 0.5))
            process.send_signal(random.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))
            out, err = process.communicate(timeout=60)
            t.out, t.err, t.status = out.decode(), err.decode(), process.returncode
            if process.returncode == 0:
                break
            kills += 1
        t.has(files)
        t.expect(not t.parts(), f"leaves {t.parts()}")
        t.gyr("rm", NAME)
        t.expect(not list(t.folder.iterdir()), "rm leaves something")
        return kills, t.problems


def main():
    end, rounds, kills = time.monotonic() + float(sys.argv[2] if len(sys.argv) > 2 else 60), 0, 0
    while time.monotonic() < end:
        files = FOLDER if rounds % 2 else {"M.gguf": RNG.randbytes(RNG.randrange(1, 2_000_000))}
        more, problems = one_round(files)
        rounds, kills = rounds + 1, kills + more
        if problems:
            print("\n".join(problems))
            print(f"{rounds} rounds, {kills} kills: failed")
            return 1
    print(f"{rounds} rounds, {kills} kills: the bytes were right each time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
