"""Energy in usage, in /metrics, after gyr run and in gyr bench, by a folder that looks like the system's counters.

usage: energy.py GYR
"""
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
TEXT = "Write a poem about the sea"
UNKNOWN = {"joules": None, "basis": "unknown"}


class Counters:
    """A tree with two packages and their memory, of which each has gone on by 0.05 J whenever it is read; `moves` False: they stand still."""

    FIRST, RANGE = 65532610000, 65532610987  # so that it comes round at once

    def __init__(self, moves=True):
        self.folder = tempfile.TemporaryDirectory()
        self.zones = [Path(self.folder.name) / "class/powercap" / name for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:1")]
        self.over = False
        self.threads = []
        for zone, name in zip(self.zones, ("package-0", "package-1", "dram")):
            zone.mkdir(parents=True)
            (zone / "name").write_text(name + "\n", encoding="utf-8")
            (zone / "max_energy_range_uj").write_text(f"{self.RANGE}\n", encoding="utf-8")
            if moves:
                os.mkfifo(zone / "energy_uj")
                self.threads.append(threading.Thread(target=self.tell, args=[zone / "energy_uj"], daemon=True))
                self.threads[-1].start()
            else:
                (zone / "energy_uj").write_text(f"{self.FIRST}\n", encoding="utf-8")

    def tell(self, fifo):
        """A pipe that is always full: who opens it reads one of these blocks, of one value again and again."""
        value = self.FIRST
        with open(fifo, "rb+", buffering=0) as f:
            while not self.over:
                f.write(f"{value:015}\n".encode() * 256)  # 4096 bytes, as many as are read at once
                value = (value + 50000) % self.RANGE

    def __enter__(self):
        os.environ["GYR_SYSFS"] = self.folder.name
        return self

    def __exit__(self, *_):
        del os.environ["GYR_SYSFS"]
        self.over = True
        for thread, zone in zip(self.threads, self.zones):
            while thread.is_alive():
                fd = os.open(zone / "energy_uj", os.O_RDONLY | os.O_NONBLOCK)
                with contextlib.suppress(BlockingIOError):
                    os.read(fd, 4096)  # makes room, so that it sees that it is over
                os.close(fd)
                thread.join(0.01)
        self.folder.cleanup()


def wrong(energy):
    """Known, and no more than the counters went on."""
    if energy["basis"] not in ("estimated", "measured") or not 0 < energy["joules"] < 1000:
        return [f"{energy}"]
    return []


def gyr(*args):
    return subprocess.run([GYR, *args], capture_output=True, text=True, check=True)


def total(s):
    found = re.search(r"^gyr:energy_joules_total (\S+)$", s.send("GET", "/metrics")[2].decode(), re.MULTILINE)
    return float(found[1]) if found else None


def each_answer_has_its_part():
    """Of all APIs; together they have no more than the machine took."""
    got = {}
    with Counters(), Server(GYR) as s:
        def one(name, path, body, usage=lambda r: r["usage"]):
            got[name] = usage(s.ask(path, body))["energy"]

        asks = [("chat", "/v1/chat/completions", chat(TEXT, max_tokens=30, n=2)),
                ("completion", "/v1/completions", {"prompt": TEXT, "max_tokens": 30}),
                ("message", "/v1/messages", chat(TEXT, max_tokens=30, model="poet")),
                ("response", "/v1/responses", {"input": TEXT, "max_output_tokens": 30})]
        threads = [threading.Thread(target=one, args=a) for a in asks]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        events = s.events("/v1/chat/completions", chat(TEXT, max_tokens=8, stream_options={"include_usage": True}))
        got["stream"] = events[-2][1]["usage"]["energy"]
        spent = sum(e["joules"] or 0 for e in got.values())
        until = time.monotonic() + 60
        while (total(s) or 0) < spent and time.monotonic() < until:  # it is read every second
            time.sleep(0.05)
        all_of_it = total(s)
    problems = [f"{name}: {p}" for name, e in got.items() for p in wrong(e)]
    if len(got) != 5 or not all_of_it or spent > all_of_it:
        problems.append(f"{spent} J of {all_of_it}: {got}")
    return problems


def what_no_counter_tells_is_unknown():
    problems = []
    with Counters(moves=False) as c:
        with Server(GYR) as s:  # they stand still: that is not nothing
            got = s.ask("/v1/chat/completions", chat(TEXT, max_tokens=3))["usage"]["energy"]
            problems += [] if got == UNKNOWN else [f"{got}"]
        (c.zones[1] / "energy_uj").write_text("denied\n", encoding="utf-8")
        with Server(GYR) as s:
            got = s.ask("/v1/chat/completions", chat(TEXT, max_tokens=3))["usage"]["energy"]
            if got != UNKNOWN or total(s) is not None:
                problems.append(f"{got} {total(s)}")
    return problems


def run_and_bench_say_it():
    problems = []
    with Counters():
        done = json.loads(gyr("run", "--no-cache", "--json", "-n", "20", TEXT).stdout.splitlines()[-1])["stats"]["energy"]
        problems += wrong(done) + ([] if "package-1" in done["source"] else [f"{done}"])
        line = gyr("run", "--no-cache", "--stats", "-n", "20", TEXT).stderr
        if not re.search(r"; [0-9.e+]+ J \((estimated|measured)\)$", line.strip()):
            problems.append(line)
        row = json.loads(gyr("bench", "--no-cache", "--json", "-p", "16", "-n", "4", "-b", "1", "--repeat", "1").stdout)
        for what in "prefill", "decode":
            problems += wrong({"joules": row[f"{what}_joules_per_token"], "basis": row[f"{what}_energy_basis"]})
    with Counters(moves=False):
        row = json.loads(gyr("bench", "--no-cache", "--json", "-p", "0", "-n", "4", "-b", "1", "--repeat", "1").stdout)
        if row["decode_joules_per_token"] is not None or row["decode_energy_basis"] != "unknown":
            problems.append(f"{row}")
        text = gyr("bench", "--no-cache", "-p", "0", "-n", "4", "-b", "1", "--repeat", "1").stdout
        if " unknown\n" not in text or "\nenergy: unknown, by package-" not in text:
            problems.append(text)
        line = gyr("run", "--no-cache", "--stats", "-n", "4", TEXT).stderr
        if not line.strip().endswith("; energy unknown"):
            problems.append(line)
    return problems


if __name__ == "__main__":
    run(each_answer_has_its_part, what_no_counter_tells_is_unknown, run_and_bench_say_it)
