"""Programs that tell how fast they are as they go, for bench/pretraining and bench/tuning."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def watch(command, seconds=None, warm=0):
    """Runs a command whose lines are JSON objects. -> the last that tells a rate, and the most memory it had; it is stopped after so
    many seconds from its first line on, but not before it has told a rate. Of a program that tells its steps and tokens, the rate
    is that of the steps after the first `warm`."""
    process = subprocess.Popen([str(c) for c in command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    last, began, start, reached, rate = {}, None, None, 0, None
    for line in process.stdout:
        told, began = json.loads(line), began or time.time()
        last = told if "tokens_per_second" in told else last
        if warm and told.get("step", 0) >= warm:
            start = start or (time.time(), told["tokens"])
            if told["step"] > reached:
                rate = (told["tokens"] - start[1]) / (time.time() - start[0]) if reached else None
                reached = told["step"]
        if rate:
            last["tokens_per_second"] = rate
        if seconds and last and time.time() - began > seconds:
            process.send_signal(signal.SIGINT)
            break
    process.stdout.read()
    most = os.wait4(process.pid, 0)[2].ru_maxrss * 1024
    if not last:
        sys.exit(f"{command[0]}: told no rate")
    return last, most
