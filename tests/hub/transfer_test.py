"""What the network does to a file on its way.

usage: transfer_test.py GYR
"""
import json
import os
import signal
import time

from trial import DATA, FOLDER, NAME, ONE, REPO, RNG, SMALL, Trial, refused
from fake_hub import COMMIT, Repo, listing_entry
from house import Skip, run


def survives(*faults):
    """With these faults in the way of the file the pull works all the same, and says why it took longer."""
    with Trial(REPO, [("/cdn/*", f) for f in faults]) as t:
        t.pull(NAME).has(ONE)
        t.expect(not t.parts(), f"leaves {t.parts()}")
        t.expect(t.err.count("trying again") == len(faults), f"should try again {len(faults)} times")
        return t.problems


def survives_last(*faults):
    """As survives(), where the last fault is no failure."""
    with Trial(REPO, [("/cdn/*", f) for f in faults]) as t:
        t.pull(NAME).has(ONE)
        t.expect(t.err.count("trying again") == len(faults) - 1, "should try again")
        return t.problems


def a_file_comes_whole():
    with Trial(REPO) as t:
        path = t.pull(NAME).has(ONE)
        t.expect(t.err == "model-Q4_K_M.gguf: whole, SHA-256 right\n", "should say so in one line")
        t.expect(path == t.folder / f"org/model/{COMMIT}/model-Q4_K_M.gguf", "should lie by commit")
        before = len(t.requests("resolve"))
        t.pull(NAME).has(ONE)
        t.expect(len(t.requests("resolve")) == before, "should fetch nothing again")
        return t.problems


def cut_connections_go_on():
    problems = survives("cut:100000", "cut:1", "cut:0")
    with Trial(REPO, [("/cdn/*", "cut:100000")]) as t:
        t.pull(NAME).has(ONE)
        last = t.requests("/cdn/")[-1]["headers"]
        t.expect(last.get("Range", "").startswith("bytes=") and last["Range"] != "bytes=0-", "should go on")
        t.expect(last.get("If-Range") == '"one"', "should say of what it has a part")
        problems += t.problems
    return problems


def random_cuts_go_on():
    problems = []
    for _ in range(3):
        problems += survives(*["cut"] * 4)
    return problems


def stalls_go_on():
    return survives("stall")


def drips_go_on():
    return survives("drip")


def broken_answers_go_on():
    return (survives("hang_up") + survives("garbage") + survives("503", "429", "408", "502") +
            survives_last("cut:1000", "bad_length"))


def short_bodies_go_on():
    return survives("short", "short")


def a_body_without_a_length_will_do():
    with Trial(REPO, [("/cdn/*", "bare")]) as t:
        t.pull(NAME).has(ONE)
        return t.problems


def wrong_bytes_are_thrown_away():
    problems = survives("wrong") + survives("cut:1000", "wrong") + survives("long")
    return problems + refused(4, "do not match the hub's checksum", path="/cdn/*", fault="wrong") + \
        refused(4, "more bytes than the hub lists", path="/cdn/*", fault="long")


def small_files_are_checked_as_well():
    files = {"config.json": b"{}", "model.safetensors": DATA}
    problems = []
    with Trial({"org/model": Repo(files)}, [("*config.json", "wrong")]) as t:
        t.pull(NAME).has(files)
        problems += t.problems
    with Trial({"org/model": Repo(files)}, [("*config.json", "wrong")] * 9) as t:
        t.pull(NAME)
        t.expect(t.status == 4 and "config.json: the bytes received do not match" in t.err, "should give up")
        t.expect(not any(name.endswith("config.json") for name in t.finals()), "should not leave it")
        return problems + t.problems


def servers_may_ignore_ranges():
    return survives_last("cut:1000", "no_range")


def a_changed_tag_starts_anew():
    return survives_last("cut:1000", "other_tag")


def other_ranges_are_refused():
    return survives("cut:1000", "other_range")


def unsatisfiable_ranges_start_anew():
    return survives("cut:1000", "416")


def retry_after_is_obeyed():
    with Trial(REPO, [("/cdn/*", "429:1")]) as t:
        began = time.monotonic()
        t.pull(NAME).has(ONE)
        t.expect(time.monotonic() - began >= 1, "should wait a second")
        problems = t.problems
    return problems + refused(3, "asks to wait 60 minutes", path="/cdn/*", fault="429:3600")


def it_gives_up_in_the_end():
    problems = []
    for path, fault, tries in (("/cdn/*", "500", 6), ("/api/*", "429", 3)):
        with Trial(REPO, [(path, fault)] * 20) as t:
            t.pull(NAME, "--retries", str(tries - 1)).refuses(3, f"the hub answers {fault}, after {tries} tries; "
                                                              "run the same command to continue")
            problems += t.problems
    return problems


def files_come_side_by_side():
    with Trial({"org/model": Repo(FOLDER)}, pace=(4000, 0.02), lfs_from=1) as t:
        t.pull(NAME, "-j", "8").has(FOLDER)
        problems = t.problems
    with Trial({"org/model": Repo(FOLDER)}) as t:
        t.pull(NAME, "-j", "1").has(FOLDER)
        return problems + t.problems


def damaged_parts_are_found_out():
    with Trial(REPO, [("/cdn/*", "500")] * 9) as t:
        t.pull(NAME, "--retries", "1")
        part = next(t.folder.rglob("*.part"))
        problems = []
        for left in (b"x" * 1000, b"x" * len(DATA), b"x" * (len(DATA) + 1), DATA):
            part.write_bytes(left)
            t.hub.faults = []
            t.pull(NAME).has(ONE)
            next(t.folder.rglob("*.gguf")).rename(part)
        return problems + t.problems


def a_killed_pull_goes_on():
    with Trial(REPO, pace=(5000, 0.01)) as t:
        kills = 0
        for i in range(4):
            kills += t.kill(t.start(NAME), size=i * 50_000 + RNG.randrange(50_000))
            t.expect(not t.finals() or not t.parts(), "should not have both")
        t.hub.pace = (1 << 20, 0)
        t.pull(NAME).has(ONE)
        t.expect(kills and any("Range" in s["headers"] for s in t.requests("/cdn/")), f"{kills} kills, no range asked")
        return t.problems


def an_interrupted_pull_goes_on():
    with Trial(REPO, pace=(5000, 0.02)) as t:
        t.kill(t.start(NAME), size=50_000, how=signal.SIGINT)
        t.expect(t.status == 130 and not t.out and not t.err, "should end with 130 and no word")
        t.expect(t.parts() == ["model-Q4_K_M.gguf.part"] and not t.finals(), "should leave a part")
        t.gyr("list", "--json")
        model = json.loads(t.out)["models"][0]
        t.expect(not model["complete"] and 0 < model["bytes"] < model["total"] == len(DATA), "should be unfinished")
        t.gyr("list")
        t.expect("unfinished, of 300 kB; go on with: gyr pull hf:org/model" in t.out, "should say so")
        t.hub.pace = (1 << 20, 0)
        t.pull(NAME).has(ONE)
        t.expect("Range" in t.requests("/cdn/")[-1]["headers"], "should go on")
        t.expect("If-Range" not in t.requests("/cdn/")[-1]["headers"], "should know no tag of an earlier run")
        return t.problems


def full_disks_are_told():
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    huge = {"org/model": Repo({"M.gguf": SMALL}, entries=[{**listing_entry("M.gguf", SMALL),
                                                          "lfs": {"oid": "0" * 64, "size": 1 << 49}}])}
    problems = refused(3, "needs 562949.95 GB more", "free some space, or set GYR_MODELS", repos=huge)
    with Trial(REPO) as t:
        t.pull(NAME, GYR_MODELS="/proc/nowhere")
        t.expect(t.status == 3 and "set GYR_MODELS to another" in t.err, "should say where it cannot write")
        return problems + t.problems


def a_disk_that_fills_up_leaves_a_part():
    """The limit on a file's size stands in for the disk: the write fails alike, on the way."""
    with Trial(REPO) as t:
        t.gyr_under("ulimit -f 100; trap '' XFSZ", "pull", NAME)
        t.expect(t.status == 3 and "File too large" in t.err, "should say why")
        t.expect(not t.finals(), "should leave nothing under its name")
        t.pull(NAME).has(ONE)
        return t.problems


if __name__ == "__main__":
    run(a_file_comes_whole, cut_connections_go_on, random_cuts_go_on, stalls_go_on, drips_go_on, broken_answers_go_on,
        short_bodies_go_on, a_body_without_a_length_will_do, wrong_bytes_are_thrown_away,
        small_files_are_checked_as_well, servers_may_ignore_ranges, a_changed_tag_starts_anew,
        other_ranges_are_refused, unsatisfiable_ranges_start_anew, retry_after_is_obeyed, it_gives_up_in_the_end,
        files_come_side_by_side, damaged_parts_are_found_out, a_killed_pull_goes_on, an_interrupted_pull_goes_on,
        full_disks_are_told, a_disk_that_fills_up_leaves_a_part)
