"""What was pulled: run, list, replaced, removed.

usage: store_test.py GYR
"""
import json
import os

from trial import DATA, FALCON, FOLDER, NAME, ONE, REPO, SMALL, Trial
from fake_hub import COMMIT, Repo
from house import run


def models_run_by_name():
    model = {"M-F32.gguf": (FALCON / "rw/model.gguf").read_bytes()}
    with Trial({"org/model": Repo(model)}) as t:
        t.gyr("logits", "--tokens", "1 2 3", "-m", NAME)
        first = t.out
        t.expect(t.status == 0 and first.startswith("[["), "should pull and run")
        asked = len(t.hub.seen)
        t.gyr("logits", "--tokens", "1 2 3", GYR_MODEL=NAME + ":F32")
        t.expect(t.out == first and len(t.hub.seen) == asked, "should run without asking the hub again")
        t.gyr("inspect", NAME)
        t.expect(t.status == 0 and "M-F32.gguf" in t.out, "should inspect by name")
        t.gyr("run", "--raw", "-n", "3", NAME, "a", "b")
        by_word = (t.status, t.out)
        t.gyr("run", "--raw", "-n", "3", "-m", NAME, "a", "b")
        t.expect(t.status == 0 and t.out and by_word == (0, t.out), "should run what the first word names")
        return t.problems


def what_is_not_here_is_described():
    with Trial({"org/model": Repo(FOLDER)}) as t:
        t.gyr("inspect", NAME)
        t.expect(t.status == 0 and "safetensors" in t.out and "137 kB" in t.out and "not here yet: gyr pull" in t.out,
                 "should say what a pull brings")
        t.gyr("inspect", "--json", NAME)
        t.expect({f["path"]: f["size"] for f in json.loads(t.out)["files"]} == {p: len(d) for p, d in FOLDER.items()},
                 "should list the files")
        t.expect(not t.finals() and not t.parts(), "should bring nothing")
        return t.problems


def revisions_are_pinned():
    old, new = "1" * 40, "2" * 40
    with Trial({"org/model": Repo({"M.gguf": DATA, "same.gguf": SMALL}, commit=old)}) as t:
        t.pull(NAME + ":M.gguf").has({"M.gguf": DATA})
        t.pull(NAME + "@" + old + ":same.gguf")
        t.hub.repos["org/model"] = Repo({"M.gguf": SMALL, "same.gguf": SMALL}, commit=new)
        t.pull(NAME + ":M.gguf").has({"M.gguf": SMALL})
        t.expect(f"org/model/{old}/M.gguf" not in t.finals(), "should drop what it replaced")
        t.expect(f"org/model/{old}/same.gguf" in t.finals(), "should keep what is pinned")
        paths = [s["path"] for s in t.hub.seen if "/tree/" in s["path"] or "/resolve/" in s["path"]]
        t.expect(paths and all(old in p or new in p for p in paths), "should ask for commits only")
        t.expect("/api/models/org/model/revision/main" in [s["path"] for s in t.hub.seen], "should resolve main")
        t.pull(NAME + "@refs/pr/1:M.gguf")
        t.expect(any(s["raw"].endswith("/revision/refs%2Fpr%2F1") for s in t.hub.seen), "should escape a revision")
        return t.problems


def what_another_commit_has_is_not_fetched_again():
    with Trial({"org/model": Repo(ONE, commit="1" * 40)}) as t:
        t.pull(NAME).has(ONE)
        t.hub.repos["org/model"] = Repo({**ONE, "README.md": b"more"}, commit="2" * 40)
        t.pull(NAME).has(ONE)
        t.expect(len(t.requests("/resolve/")) == 1, "should fetch it once")
        return t.problems


def the_store_is_listed_and_emptied():
    files = {"M-Q4_K_M.gguf": DATA, "M-Q8_0.gguf": SMALL}
    with Trial({"org/model": Repo(files), "org/other": Repo(ONE)}) as t:
        t.gyr("list")
        t.expect(t.status == 0 and not t.out and "none yet" in t.err, "should list nothing")
        for name in (NAME, NAME + ":Q8_0", "hf:org/other"):
            t.pull(name)
        t.gyr("list", "--json")
        all_ = json.loads(t.out)
        t.expect([m["name"] for m in all_["models"]] == [NAME, NAME + ":Q8_0", "hf:org/other"], "should name them")
        t.expect(all_["bytes"] == 2 * len(DATA) + len(SMALL), "should sum them up")
        t.expect(all(m["complete"] and os.path.exists(m["path"]) and m["commit"] == COMMIT for m in all_["models"]),
                 "should have them")
        t.gyr("list")
        t.expect("Q4_K_M" in t.out and "300 kB" in t.out and "600 kB in" in t.out, "should be for people too")
        t.gyr("rm", NAME + ":Q8_0")
        t.expect(t.status == 0 and "500 B free again" in t.err, "should remove one")
        t.gyr("rm", "hf:org/other", NAME)
        t.expect(t.status == 0 and not list(t.folder.iterdir()), f"should leave nothing: {list(t.folder.iterdir())}")
        t.gyr("rm", NAME)
        t.refuses(3, "hf:org/model: not here; gyr list shows what is")
        t.gyr("rm", "/etc/passwd")
        t.refuses(2, "removes only what was pulled")
        return t.problems


def people_see_a_bar_and_are_asked():
    with Trial(REPO, pace=(10_000, 0.05)) as t:
        t.on_terminal("pull", NAME)
        t.expect(t.status == 0 and "\rpulling" in t.out.replace("\033[K", "") and "[###" in t.out, "should show a bar")
        t.expect(" kB/s" in t.out and " left" in t.out, "should show the rate and the time left")
        t.expect("whole, SHA-256 right" in t.out, "should say what is whole")
        for answer, status in ((b"n\n", True), (b"\n", True), (b"y\n", False)):
            t.on_terminal("rm", NAME, say=answer)
            t.expect(t.status == 0 and f"Remove {NAME}? [y/N]" in t.out, "should ask")
            t.expect(bool(t.finals()) == status, f"{answer} should {'keep' if status else 'remove'} it")
        return t.problems


def broken_records_do_no_harm():
    with Trial(REPO) as t:
        t.pull(NAME).has(ONE)
        victim = t.folder / "victim"
        victim.write_text("mine")
        records = t.folder / "org/model/models.json"
        record = json.loads(records.read_text())["models"][0]
        for change in ({"commit": "../../.."}, {"files": [{"path": "../../../victim", "size": 4, "sum": ""}]},
                       {"open": "/etc/passwd"}, {"files": 7}, {"revision": None}):
            records.write_text(json.dumps({"models": [{**record, **change}]}))
            t.gyr("list")
            t.expect(t.status == 0 and not t.out, f"should not list {change}")
            t.gyr("rm", NAME)
            t.expect(t.status == 3 and victim.exists(), "should remove nothing")
        for text in ("", "[]", "{", '{"models": {}}'):
            records.write_text(text)
            t.pull(NAME).has(ONE)
        return t.problems


def two_pulls_wait_for_each_other():
    with Trial(REPO, pace=(30_000, 0.03)) as t:
        first, second = t.start(NAME), t.start(NAME)
        outs = [p.communicate(timeout=60) for p in (first, second)]
        t.status, t.out, t.err = first.returncode or second.returncode, outs[0][0].decode(), str(outs)
        t.has(ONE)
        t.expect(outs[0][0] == outs[1][0], "should give the same path")
        t.expect(len(t.requests("/cdn/")) == 1, "should fetch it once")
        return t.problems


if __name__ == "__main__":
    run(models_run_by_name, what_is_not_here_is_described, revisions_are_pinned, what_another_commit_has_is_not_fetched_again,
        the_store_is_listed_and_emptied, people_see_a_bar_and_are_asked, broken_records_do_no_harm, two_pulls_wait_for_each_other)
