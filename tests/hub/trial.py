"""One trial: a fake hub, an empty store, and gyr in between."""
import contextlib
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "house"))
from fake_hub import Hub, Repo  # noqa: E402
from house import ROOT  # noqa: E402

GYR = Path(sys.argv[1]).resolve()
RNG = random.Random(1)
DATA = RNG.randbytes(300_000)
SMALL = RNG.randbytes(500)
NAME = "hf:org/model"
ONE = {"model-Q4_K_M.gguf": DATA}
REPO = {"org/model": Repo({**ONE, "README.md": b"read me"})}
FALCON = ROOT / "tests/data/falcon"
FOLDER = {p.name: p.read_bytes() for p in (FALCON / "40b/hf").iterdir()}
HASTY = ("--timeout", "1")  # so that waits between tries begin at 33 ms


class Trial:
    """`with Trial(repos, faults) as t: t.pull("hf:a/b")`."""

    def __init__(self, repos, faults=(), **options):
        self.folder = Path(tempfile.mkdtemp(prefix="gyr-hub-"))
        self.hub = Hub(repos, faults, **options)
        self.problems = []
        self.env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.env.update(HF_ENDPOINT=self.hub.url, GYR_MODELS=str(self.folder), TERM="dumb")
        for name in "HF_TOKEN", "GYR_MODEL", "SSL_CERT_FILE", "SSL_CERT_DIR":
            self.env.pop(name, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hub.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def gyr(self, *args, **env):
        return self.command([str(GYR), *map(str, args)], env)

    def gyr_under(self, limits, *args):
        """With the limits that a shell sets before."""
        return self.command(["sh", "-c", limits + '; exec "$0" "$@"', str(GYR), *args], {})

    def command(self, args, env):
        done = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL, env={**self.env, **env})
        self.out, self.err, self.status = done.stdout, done.stderr, done.returncode
        return self

    def pull(self, name, *args, **env):
        return self.gyr("pull", *HASTY, *args, name, **env)

    def start(self, name, *args):
        return subprocess.Popen([str(GYR), "pull", *HASTY, *args, name], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)

    def kill(self, process, size, how=signal.SIGKILL):
        """Ends it once so many bytes have come; True if it was still at work."""
        while process.poll() is None and sum(p.stat().st_size for p in self.folder.rglob("*.gguf.part")) < size:
            time.sleep(0.005)
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
        self.out, self.err, self.status = out.decode(), err.decode(), process.returncode
        return process.returncode != 0

    def on_terminal(self, *args, say=b""):
        """The same on a terminal of 100 columns; what it shows is in `out`."""
        child, fd = pty.fork()
        if not child:
            os.execve(GYR, [str(GYR), *map(str, args)], {**self.env, "TERM": "xterm", "COLUMNS": "100"})
        os.write(fd, say)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end is an error of its reader
            while piece := os.read(fd, 4096):
                shown += piece
        os.close(fd)
        self.out, self.err = shown.decode(), ""
        self.status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return self

    def expect(self, true, what):
        if not true:
            self.problems.append(f"{what}; status {self.status}, stdout {self.out!r}, stderr {self.err!r}")

    def refuses(self, status, *said):
        """One line that says it, and nothing under a final name."""
        self.expect(self.status == status, f"should end with {status}")
        line = self.err.strip().split("\n")[-1]
        for text in said:
            self.expect(text in line, f"should say {text!r}")
        self.expect(line.startswith("gyr: ") and self.out == "", "should be one line on stderr")
        self.expect(not self.finals(), f"leaves {self.finals()}")

    def finals(self):
        """Files of models under their final names."""
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*")
                      if p.is_file() and not p.name.endswith(".part") and p.name not in ("models.json", ".lock"))

    def parts(self):
        return sorted(p.name for p in self.folder.rglob("*.part"))

    def has(self, files):
        """The pull worked: exactly these files, byte for byte, and the path of them is printed."""
        self.expect(self.status == 0, "should work")
        path = Path(self.out.strip() or "none")
        self.expect(path.exists(), "should print a path")
        root = next((p for p in [path, *path.parents] if len(p.name) == 40), path)
        there = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()} \
            if root.is_dir() else {}
        self.expect(there.keys() == files.keys(), f"should have {sorted(files)}, has {sorted(there)}")
        for name in there.keys() & files.keys():
            self.expect(there[name] == files[name], f"{name}: other bytes")
        return path

    def requests(self, pattern):
        return [s for s in self.hub.seen if pattern in s["path"]]


def refused(status, *said, path="*", fault="", repos=None, name=NAME, **env):
    with Trial(repos or REPO, [(path, fault)] * 20 if fault else []) as t:
        t.pull(name, **env).refuses(status, *said)
        return t.problems
