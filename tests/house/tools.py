"""The tools around the build: the set-up says what it does, the totals are true."""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from house import ROOT, command, run

sys.path.append(str(ROOT / "tools/poet"))
import gutenberg  # pylint: disable=wrong-import-position

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


def setup_for_several_machines_is_asked_for():
    return expect(setup("--mpi", lacks="ompi-c"), 0, "libopenmpi-dev openmpi-bin", never=("jansson",))


def setup_for_another_machine_is_asked_for():
    return (expect(setup("--aarch64"), 0, "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user", never=("jansson",)) +
            expect(setup(lacks="jansson"), 0, never=("aarch64", "qemu")))


def setup_for_the_page_is_asked_for():
    return (expect(setup("--browser"), 0, "installing", "chromium", never=("jansson", "qemu")) +
            expect(setup(lacks="jansson"), 0, never=("chromium",)))


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
# llama.cpp's own tools: without flash attention slower, and the decode after the prompt if they can.
BENCH = """case "$*" in
*--help*) echo "  -d, --n-depth <n>";;
*"-fa 1"*"-p 512 -n 0"*) echo '[{"build_commit": "c3", "build_number": 7, "avg_ts": 15}]';;
*"-p 512 -n 0"*) echo '[{"build_commit": "c3", "build_number": 7, "avg_ts": 14}]';;
*"-fa 1"*"-p 0 -n 32 -d 512"*) echo '[{"build_commit": "c3", "build_number": 7, "avg_ts": 7}]';;
*"-p 0 -n 32 -d 512"*) echo '[{"build_commit": "c3", "build_number": 7, "avg_ts": 8}]';;
*) echo "bad: $*" >&2; exit 1;;
esac"""
BATCHED = """case "$*" in
*--help*) echo "-fa,   --flash-attn [on|off|auto]";;
*"-c 1024"*"-npp 32 -ntg 32 -npl 16"*)
    echo "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |"
    case "$*" in *"-fa on"*) r=20.00;; *) r=24.00;; esac
    echo "|    32 |     32 |   16 |   1024 |    1.000 |   512.00 |    2.000 |    $r |    3.000 |   300.00 |";;
*) echo "bad: $*" >&2; exit 1;;
esac"""
VENV = "llama-cpp-python-0.3.36/bin/python"


def the_poet_learns_verse_alone():
    """What a printer put between the lines of a poem is none of it."""
    cases = (  # stanzas, and what is left of them
        ([["[Illustration]", "The sea is wide,", "the ships are few."]], [["The sea is wide,", "the ships are few."]]),
        ([["He came[1] at noon", "and went.[*]", "[Illustration: THE TWO", "MULES.]"], ["[Illustration: a", "broken one"]],
         [["He came at noon", "and went."], ["broken one"]]),
        ([["A fox", "[in haste]", "ran by."]], [["A fox", "[in haste]", "ran by."]]),
        ([["FAUST", "Who calls?"], ["MEPHISTOPHELES.", "I do.", "II."]], [["Who calls?"], ["I do.", "II."]]),
        ([["HERE LIES A KING", "WHO NEVER SLEPT"]], [["HERE LIES A KING", "WHO NEVER SLEPT"]]),
        ([["First Spirit.", "I rise."], ["Second Spirit.", "I fall."]], [["I rise."], ["I fall."]]),
        ([["Farewell.", "I go alone."], ["The sun", "is low."]], [["Farewell.", "I go alone."], ["The sun", "is low."]]),
        ([["One with another.", "A maid"], ["One with another.", "A man"]], [["One with another.", "A maid"], ["One with another.", "A man"]]),
        ([["FLERIDA. The day is done.", "PALMERIN. Not yet."], ["III. No name."]], [["The day is done.", "Not yet."], ["III. No name."]]),
    )
    return [f"{given}: {gutenberg.cleaned(given)}, not {want}" for given, want in cases if gutenberg.cleaned(given) != want]


def compare(*options, installed=True, **programs):
    """Runs bench/compare with pretended programs; names with __ for / are paths in the cache folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name, said in {**({VENV: f"echo '{THEIRS}'"} if installed else {}), **programs}.items():
            stub = Path(folder) / name.replace("__", "/")
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.write_text(f"#!{SH}\n{said}\n", encoding="utf-8")
            stub.chmod(0o755)
        (Path(folder) / "m.gguf").touch()
        if installed:
            (Path(folder) / VENV).parents[1].joinpath("installed").touch()
        return command(sys.executable, ROOT / "bench/compare", "--gyr", Path(folder) / "gyr", "--model",
                       Path(folder) / "m.gguf", "--cache", folder, "--threads", "3",
                       *(str(o).replace("FOLDER", folder) for o in options), env={"PATH": folder, "HOME": folder})


def compare_needs_gyr_and_the_files():
    return (expect(compare(), 1, "gyr: not there; run make") +
            expect(compare("--model", "n.gguf", gyr=f"echo '{OURS}'"), 1, "n.gguf: not there") +
            expect(compare("--llama-bench", "FOLDER/none", gyr=f"echo '{OURS}'"), 1, "none: not there; build"))


def compare_sets_them_side_by_side():
    return expect(compare(gyr=f"echo '{OURS}'"), 0,
                  "3 threads (avx2), reading 30.0 GB/s, 800 int8 and 200", "gyr 1, llama.cpp b2",
                  "the median of 3 rounds", "| file | work | gyr | llama.cpp | ratio to the best peer |",
                  "| m | prefill 512 | 60.0 | 15.0 | 4.00 | 60% of fp32 rate |",
                  "| m | decode | 12.0 | 8.0 | 1.50 | 75% of read bandwidth |",
                  "| m | decode, 16 sequences | 12.0 | 8.0 | 1.50 | 75% of read bandwidth |")


def compare_takes_the_best_peer():
    faster = '{"version": "v4", "prefill_tokens_per_s": 120}'
    return expect(compare("--openvino", "FOLDER/other", "--rounds", "1", gyr=f"echo '{OURS}'",
                          other__bin__python=f"echo '{faster}'"), 0,
                  "llama.cpp b2, OpenVINO v4; the median of 1 round,",
                  "| m | prefill 512 | 60.0 | 15.0 | 120.0 | 0.50 |", "| m | decode | 12.0 | 8.0 | - | 1.50 |")


def compare_takes_the_tools_of_llama_cpp():
    tools = {"t__llama-bench": BENCH, "t__llama-batched-bench": BATCHED}
    result = compare("--llama-bench", "FOLDER/t", "--rounds", "1", gyr=f"echo '{OURS}'", installed=False, **tools)
    return expect(result, 0, "gyr 1, llama-bench c3 (7);", "| m | prefill 512 | 60.0 | 15.0 | 4.00 |",
                  "| m | decode | 12.0 | 8.0 | 1.50 |", "| m | decode, 16 sequences | 12.0 | 24.0 | 0.50 |")


def compare_says_what_failed():
    return expect(compare(gyr=f"echo '{OURS}'", **{VENV: "echo no memory >&2; exit 9"}), 1, "peers/llama.py", "m.gguf",
                  "status 9\nno memory", never=("| m |",))


if __name__ == "__main__":
    run(setup_is_silent_where_nothing_is_missing, setup_says_what_it_installs_before_it_does,
        setup_takes_sudo_when_it_is_not_root, setup_without_sudo_says_whom_to_ask,
        setup_on_another_distribution_names_the_libraries, setup_check_changes_nothing,
        setup_for_several_machines_is_asked_for, setup_for_another_machine_is_asked_for,
        setup_for_the_page_is_asked_for, totals_are_true, a_build_that_never_ran_is_a_failure,
        the_poet_learns_verse_alone, compare_needs_gyr_and_the_files, compare_sets_them_side_by_side, compare_takes_the_best_peer,
        compare_takes_the_tools_of_llama_cpp, compare_says_what_failed)
