"""What others see who have an end of gyr's output: lines that are whole, and a program that ends when they leave.

usage: pipes.py GYR
"""
import fcntl
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "house"))
from house import ROOT, Skip, run  # noqa: E402

GYR = str(Path(sys.argv[1]).resolve())
F_SETPIPE_SZ = 1031  # <fcntl.h>; Python has a name for it since 3.10
ANSWER = [GYR, "run", "--device", "cpu", "-n", "200", "--ignore-end", "hi"]
ENV = {k: v for k, v in os.environ.items() if k != "GYR_MODEL"}


def through(what, command, most):
    """A pipe that keeps each write apart (pipe(2), O_DIRECT) and has room for one: the next one waits for the reader,
    whichever of the two is slower. (writes, exit status, what came on the other stream)"""
    out, into = os.pipe2(os.O_DIRECT)
    fcntl.fcntl(into, F_SETPIPE_SZ, 1)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | {what: into}
    writes = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=ENV, **streams) as p:
        os.close(into)
        while len(writes) < most and (piece := os.read(out, 65536)):
            writes.append(piece)
        os.close(out)
        said = p.stderr.read() if p.stderr else b""
        return writes, p.wait(), said


def a_line_is_one_write():
    """What a launcher or another program writes to the same place does not come between."""
    problems = []
    for command, end in (([GYR, "run", "-m", "/none.gguf", "hi"], b"check the path\n"),
                         ([GYR, "a\nb\033" + "c" * 2000], b"\n")):
        writes = through("stderr", command, 99)[0]
        if len(writes) != 1 or not writes[0].startswith(b"gyr: ") or not writes[0].endswith(end):
            problems.append(f"{command}: {writes}")
    return problems


def need_the_poet():
    if not (ROOT / "models/poet.gguf").exists():
        raise Skip("this tree has no model in the box")


def a_reader_may_leave():
    need_the_poet()
    writes, status, said = through("stdout", ANSWER, 1)
    return [] if (len(writes), status, said) == (1, -13, b"") else [f"status {status}, {writes}, {said!r}"]


def nobody_may_be_there():
    need_the_poet()
    out, into = os.pipe()
    os.close(out)
    p = subprocess.run(ANSWER, stdin=subprocess.DEVNULL, stdout=into, stderr=subprocess.PIPE, env=ENV, check=False)
    os.close(into)
    return [] if (p.returncode, p.stderr) == (-13, b"") else [f"status {p.returncode}, {p.stderr!r}"]


if __name__ == "__main__":
    run(a_line_is_one_write, a_reader_may_leave, nobody_may_be_there)
