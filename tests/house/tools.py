"""The tools around the build: the set-up says what it does, the totals are true."""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from house import ROOT, command, run

SH = shutil.which("sh")
STUBS = {
    "cc": "exit 0", "meson": "exit 0", "ninja": "exit 0", "python3": "exit 0", "id": 'echo "$FAKE_ID"',
    "env": 'while [ "${1#*=}" != "$1" ]; do shift; done; exec "$@"', "apt-cache": "exit 0",
    "apt-get": 'echo "apt-get $*" >&2', "sudo": 'echo "as root:" >&2; exec "$@"',
    "pkg-config": 'for p in $FAKE_LACKS; do [ "$2" = "$p" ] && exit 1; done; exit 0',
}


def setup(*arguments, lacks="", uid=0, without=()):
    """Runs tools/setup on a pretended machine that lacks some libraries and programs."""
    with tempfile.TemporaryDirectory() as folder:
        for name, body in STUBS.items():
            if name not in without:
                stub = Path(folder) / name
                stub.write_text(f"#!{SH}\n{body}\n", encoding="utf-8")
                stub.chmod(0o755)
        return command(SH, "-c", '"$0" "$@" 2>&1', ROOT / "tools/setup", *arguments,
                       env={"PATH": folder, "FAKE_ID": str(uid), "FAKE_LACKS": lacks})


def expect(result, status, *said, never=()):
    text = result.stdout + result.stderr
    problems = [] if result.returncode == status else [f"status {result.returncode}, not {status}: {text}"]
    problems += [f"does not say {s!r}: {text}" for s in said if s not in text]
    return problems + [f"says {s!r}: {text}" for s in never if s in text]


def setup_is_silent_where_nothing_is_missing():
    result = setup(uid=1000)
    return expect(result, 0) + ([] if result.stdout + result.stderr == "" else [f"says {result.stdout}"])


def setup_says_what_it_installs_before_it_does():
    result = setup(lacks="jansson libedit")
    problems = expect(result, 0, "libjansson-dev libedit-dev", never=("as root", "libpcre2", "update"))
    said = result.stdout.find("libedit-dev")
    return problems + ([] if 0 <= said < result.stdout.find("apt-get") else ["installs before it says so"])


def setup_takes_sudo_when_it_is_not_root():
    return expect(setup(lacks="libedit", uid=1000), 0, "with sudo", "as root:", "libedit-dev")


def setup_without_sudo_says_whom_to_ask():
    return expect(setup(lacks="libedit", uid=1000, without=("sudo",)), 1, "ask someone who is root",
                  "apt-get install libedit-dev", never=("-y",))


def setup_on_another_distribution_names_the_libraries():
    return expect(setup(lacks="libedit jansson", without=("apt-get", "sudo")), 1, "missing: jansson libedit")


def setup_check_changes_nothing():
    return (expect(setup("--check", lacks="jansson"), 1, "missing: jansson", "make setup", never=("apt-get",)) +
            expect(setup("--check"), 0))


def setup_for_another_machine_is_asked_for():
    return (expect(setup("--aarch64"), 0, "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user", never=("jansson",)) +
            expect(setup(lacks="jansson"), 0, never=("aarch64", "qemu")))


def totals(*tests):
    """Runs tools/check/totals on a pretended log."""
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "meson-logs"
        logs.mkdir()
        (logs / "testlog.json").write_text("".join(json.dumps(t) + "\n" for t in tests), encoding="utf-8")
        result = command(ROOT / "tools/check/totals", folder, env=os.environ)
    return result.returncode, result.stdout.splitlines()[-1]


def totals_are_true():
    good = {"name": "a", "result": "OK", "stdout": "ok x\n3 passed, 0 failed, 1 skipped\n"}
    bad = {"name": "b", "result": "FAIL", "stdout": "FAILED x\n4 passed, 2 failed, 0 skipped\n"}
    crashed = {"name": "c", "result": "FAIL", "stdout": "ok x\n"}
    leaked = {"name": "d", "result": "FAIL", "stdout": "5 passed, 0 failed, 0 skipped\n"}
    late = {"name": "e", "result": "TIMEOUT", "stdout": ""}
    mute = {"name": "f", "result": "OK", "stdout": "all is well"}
    tries = [((good,), (0, "3 passed, 0 failed, 1 skipped")), ((good, bad), (1, "7 passed, 2 failed, 1 skipped")),
             ((crashed,), (1, "0 passed, 1 failed")), ((leaked,), (1, "5 passed, 1 failed")),
             ((good, late), (1, "3 passed, 1 failed, 1 skipped")), ((mute,), (1, "0 passed, 1 failed")),
             ((), (1, "0 passed, 0 failed"))]
    return [f"{[t['name'] for t in tests]} gives {totals(*tests)}, not {want}"
            for tests, want in tries if totals(*tests) != want]


def a_build_that_never_ran_is_a_failure():
    result = command(ROOT / "tools/check/totals", "/nonexistent")
    return expect(result, 1, "0 passed, 1 failed", "no tests ran")


OURS = ('{"version": "1", "isa": "avx2", "prefill_tokens_per_s": 60, "prefill_limit": 100, "prefill_fraction": 0.6, '
        '"prefill_bound": "fp32", "decode_tokens_per_s": 12, "decode_limit": 16, '
        '"decode_fraction": 0.75, "decode_bound": "read", '
        '"roofs": {"read": 3e10, "int8": 8e11, "fp32": 2e11}}')
THEIRS = '{"version": "b2", "prefill_tokens_per_s": 15, "decode_tokens_per_s": 8}'


def compare(**programs):
    """Runs bench/compare with pretended programs; without node where there is none among them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "node-llama-cpp").mkdir()
        for name, said in programs.items():
            stub = Path(folder) / name
            stub.write_text(f"#!{SH}\necho '{said}'\n", encoding="utf-8")
            stub.chmod(0o755)
        return command(sys.executable, ROOT / "bench/compare", "--gyr", Path(folder) / "gyr", "--model", "m.gguf",
                       "--cache", folder, "--threads", "3", env={"PATH": folder, "NODE_PATH": folder, "HOME": folder})


def compare_is_skipped_without_node():
    return expect(compare(gyr=OURS), 0, "compare: skipped: no node; install Node.js")


def compare_needs_gyr():
    return expect(compare(node=THEIRS), 1, "gyr: not there; run make")


def compare_sets_them_side_by_side():
    return expect(compare(gyr=OURS, node=THEIRS), 0, "3 threads (avx2), reading 30.0 GB/s, 800 int8 and 200",
                  "gyr 1, llama.cpp b2", "the median of 3 rounds",
                  "| m | prefill 512 | 60.0 | 15.0 | 4.00 | 60% of fp32 rate | 15% |",
                  "| m | decode | 12.0 | 8.0 | 1.50 | 75% of read bandwidth | 50% |",
                  "| m | decode, 16 sequences | 12.0 | 8.0 | 1.50 | 75% of read bandwidth | 50% |")


if __name__ == "__main__":
    run(setup_is_silent_where_nothing_is_missing, setup_says_what_it_installs_before_it_does,
        setup_takes_sudo_when_it_is_not_root, setup_without_sudo_says_whom_to_ask,
        setup_on_another_distribution_names_the_libraries, setup_check_changes_nothing,
        setup_for_another_machine_is_asked_for, totals_are_true, a_build_that_never_ran_is_a_failure, compare_is_skipped_without_node, compare_needs_gyr,
        compare_sets_them_side_by_side)
