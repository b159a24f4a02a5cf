"""Adapters on several ranks: the bytes of one process by layers and by rows, in gyr run and in gyr serve, also after a
rank was lost; and what is refused.

usage: adapters_test.py GYR STATEFUL_MODELS
"""
import json
import shutil
import signal
import threading
from pathlib import Path

from launching import ALL, ENV, FOLDER, GYR, at_once, ended, launcher, start
from house import command, run
from serving_test import Ranks
from serving import Server

PROMPT = "The sea"
SAMPLED = ("-n", "24", "--seed", "3", "-t", "1")
HOME = Path(FOLDER.name) / "adapters"


def made():
    """Two adapters of the poet, far from what it was: they are trained in a second at a high rate."""
    if HOME.exists():
        return HOME
    launcher()
    HOME.mkdir()
    for name, says, more in (("gold", "Arr, the sea is deep and gold.", ()),
                             ("mlp.gguf", "Ahoy, the fog is gray and cold.", ("--targets", "mlp"))):
        data = Path(FOLDER.name) / f"{name}.jsonl"
        data.write_text(json.dumps({"messages": [{"role": "user", "content": "What is fog?"}, {"role": "assistant", "content": says}]}) + "\n")
        command(GYR, "tune", "--data", data, "-o", HOME / name, "--epochs", "4", "--lr", "1e-2", "--rank", "4", "-t", "1",
                *more, env=ENV)
    return HOME


def the_bytes_do_not_depend_on_the_number_of_ranks():
    words = {name: ("run", "--adapter", made() / name, *SAMPLED, PROMPT) for name in ("gold", "mlp.gguf")}
    want = {name: command(GYR, *words[name], env=ENV).stdout for name in words}
    plain = command(GYR, "run", *SAMPLED, PROMPT, env=ENV).stdout
    if len({plain, *want.values()}) < 3 or not all(want.values()):
        return [f"adapters do nothing: {plain!r}, {want}"]

    def one(name, n, split):
        status, out, err = ended(start((n, GYR, *words[name], "--split", split)))
        return [] if not status and out == want[name] else [f"{name}, {n} ranks by {split}: {status}, {out!r}; {err}"]

    some = (("gold", 2, "layers"), ("gold", 3, "rows"), ("mlp.gguf", 5, "layers"))
    return at_once(one, ((name, n, split) for name in words for n in (1, 2, 3, 4, 5, 7) for split in ("layers", "rows"))
                   if ALL else some)


def answers(server, n, during=None):
    """Of the model and both adapters at once; `during` is called once one has begun."""
    texts, begun = {}, threading.Event()

    def one(name):
        asked = {"prompt": PROMPT, "max_tokens": n, "temperature": 1, "seed": 7, "ignore_eos": True, "stream": True}
        c = server.connect()
        c.request("POST", "/v1/completions", json.dumps(asked | ({"model": name} if name else {})))
        text = ""
        for line in iter(c.getresponse().readline, b""):
            begun.set()
            event = json.loads(line[6:]) if line.startswith(b"data: {") else {}
            text += "".join(choice["text"] for choice in event.get("choices", ()))
        c.close()
        texts[name] = text

    threads = [threading.Thread(target=one, args=(name,)) for name in (None, "gold", "mlp")]
    for t in threads:
        t.start()
    if during:
        begun.wait(60)
        during()
    for t in threads:
        t.join(timeout=100)
    return texts


def load(server, what="load", **more):
    got, _, content = server.send("POST", f"/v1/{what}_lora_adapter", {"lora_name": "mlp", **more})
    assert got == 200, content


def a_server_has_adapters_also_after_a_rank_was_lost():
    options = ("--adapter", f"gold={made() / 'gold'}", "--adapters", made())
    with Server(GYR, *options) as s:
        load(s, lora_path="mlp.gguf")
        want = answers(s, 500)

    def one(n, split):
        with Ranks(n, *options, "--split", split) as s:
            load(s, lora_path="mlp.gguf")
            got = answers(s, 500, (lambda: s.hit(1, signal.SIGKILL)) if n > 2 else None)
            load(s, "unload")
            gone = s.send("POST", "/v1/completions", {"model": "mlp", "prompt": PROMPT})[0]
            status, said = s.stop(), s.said()
        # The status is mpirun's, which may crash at the end of a run that lost a rank (serving_test.py).
        ok = got == want and gone == 404 and status in (0, -signal.SIGSEGV) and ("rank 1 on " in said) == (n > 2)
        return [] if ok else [f"{n} ranks by {split}: status {status}, {gone}, {got}, not {want}\n{said}"]

    if len(set(want.values())) < 3:
        return [f"adapters do nothing: {want}"]
    return at_once(one, ((3, "layers"), (3, "rows"), (2, "layers")) if ALL else ((3, "layers"), (2, "rows")))


def what_is_wrong_with_it_on_one_rank_is_said():
    """Each has a folder of its own, as another machine has."""
    places = [Path(FOLDER.name) / name for name in ("here", "other", "nothing")]
    for place in places:
        place.mkdir(exist_ok=True)
    made()
    shutil.copy(HOME / "mlp.gguf", places[0] / "a.gguf")
    bad = bytearray((HOME / "mlp.gguf").read_bytes())
    bad[-3] ^= 1
    (places[1] / "a.gguf").write_bytes(bad)

    def one(text, folder):
        words = ("run", "--split", "layers", "--adapter", "a.gguf", *SAMPLED, PROMPT)
        status, out, err = ended(start((1, "env", "-C", str(places[0]), GYR, *words),
                                       (1, "env", "-C", str(folder), GYR, *words)))
        said = [line for line in err.splitlines() if line.startswith("gyr: ")]
        ok = status in (2, 3) and not out and len(said) == 1 and "rank 1 on " in said[0] and text in said[0]
        return [] if ok else [f"{folder.name}: status {status}, {out!r}, {err}"]

    return at_once(one, (("has another adapter there than rank 0", places[1]), ("a.gguf: No such file", places[2])))


if __name__ == "__main__":
    run(the_bytes_do_not_depend_on_the_number_of_ranks, a_server_has_adapters_also_after_a_rank_was_lost,
        what_is_wrong_with_it_on_one_rank_is_said)
