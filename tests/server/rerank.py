"""/v1/rerank and /rerank: a small cross-encoder of random weights, made here, with a WordPiece vocabulary.

usage: rerank.py GYR
"""
import json
import os
import random
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../house"))
from house import ROOT, run  # noqa: E402
from serving import Server, chat, in_threads  # noqa: E402

GYR = sys.argv[1]
PATH = "/v1/rerank"
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the sea is blue a fish swims in cold water dogs bark at night what color".split()
DOCUMENTS = ["the sea is blue", "dogs bark at night", "a fish swims in cold water", "the sea is blue", "night"]
HIDDEN, WIDE, CONTEXT = 32, 48, 64


def shapes():
    yield "bert.embeddings.word_embeddings.weight", (len(WORDS), HIDDEN)
    yield "bert.embeddings.position_embeddings.weight", (CONTEXT, HIDDEN)
    yield "bert.embeddings.token_type_embeddings.weight", (2, HIDDEN)
    yield "bert.embeddings.LayerNorm.weight", (HIDDEN,)
    yield "bert.embeddings.LayerNorm.bias", (HIDDEN,)
    layer = "bert.encoder.layer.0."
    for name, rows, cols in [("attention.self.query", HIDDEN, HIDDEN), ("attention.self.key", HIDDEN, HIDDEN),
                             ("attention.self.value", HIDDEN, HIDDEN), ("attention.output.dense", HIDDEN, HIDDEN),
                             ("intermediate.dense", WIDE, HIDDEN), ("output.dense", HIDDEN, WIDE)]:
        yield layer + name + ".weight", (rows, cols)
        yield layer + name + ".bias", (rows,)
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        yield layer + name + ".weight", (HIDDEN,)
        yield layer + name + ".bias", (HIDDEN,)
    yield "bert.pooler.dense.weight", (HIDDEN, HIDDEN)
    yield "bert.pooler.dense.bias", (HIDDEN,)
    yield "classifier.weight", (1, HIDDEN)
    yield "classifier.bias", (1,)


def make_model(folder):
    rng, header, data = random.Random(5), {}, b""
    for name, shape in shapes():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        center = 1 if name.endswith("LayerNorm.weight") else 0
        part = struct.pack(f"<{n}f", *(center + rng.uniform(-0.4, 0.4) for _ in range(n)))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    head = json.dumps(header).encode()
    special = [{"id": i, "content": w, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for i, w in enumerate(WORDS[:5])]
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
                 "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
                 "pre_tokenizer": {"type": "BertPreTokenizer"},
                 "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
                 "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
                 "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                           "vocab": {w: i for i, w in enumerate(WORDS)}}}
    config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": len(WORDS), "hidden_size": HIDDEN,
              "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": WIDE, "max_position_embeddings": CONTEXT,
              "type_vocab_size": 2, "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "id2label": {"0": "LABEL_0"}}
    os.mkdir(folder)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + data)
    for name, content in [("config.json", config), ("tokenizer.json", tokenizer), ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(content, f)


def scores(reply):
    return {r["index"]: r["relevance_score"] for r in reply["results"]}


def documents_are_ranked(s):
    problems = []
    ask = {"model": "judge", "query": "what color is the sea", "documents": DOCUMENTS}
    got = s.ask(PATH, ask)
    found = scores(got)
    order = [r["index"] for r in got["results"]]
    if order != sorted(range(5), key=lambda i: (-found[i], i)) or found[0] != found[3] or len(set(found.values())) != 4:
        problems.append(f"{got}")
    if not all(0 < x < 1 for x in found.values()) or got["object"] != "list" or got["model"] != "judge":
        problems.append(f"{got}")
    # [CLS] query [SEP] document [SEP]
    tokens = sum(5 + len(d.split()) + 3 for d in DOCUMENTS)
    if (got["usage"]["prompt_tokens"], got["usage"]["total_tokens"]) != (tokens, tokens):
        problems.append(f"{got['usage']}, not {tokens}")
    if s.ask("/rerank", ask)["results"] != got["results"]:
        problems.append("/rerank is another")
    top = s.ask(PATH, dict(ask, top_n=2, return_documents=True))["results"]
    if [(r["index"], r["relevance_score"], r["document"]) for r in top] != [(i, found[i], {"text": DOCUMENTS[i]}) for i in order[:2]]:
        problems.append(f"{top}")
    if s.ask(PATH, dict(ask, top_n=9, documents=[{"text": d} for d in DOCUMENTS]))["results"] != got["results"]:
        problems.append("objects with texts are other documents")
    # what a document is given depends on the query and itself alone
    for i, d in enumerate(DOCUMENTS):
        if scores(s.ask(PATH, dict(ask, documents=[d])))[0] != found[i]:
            problems.append(f"{d!r} alone is given another number")
    if scores(s.ask(PATH, dict(ask, query="dogs"))) == found or scores(s.ask(PATH, dict(ask, documents=["night"], query="blue"))) == \
            scores(s.ask(PATH, dict(ask, documents=["blue"], query="night"))):
        problems.append("the query does not count")
    many = [DOCUMENTS[i % 5] for i in range(300)]
    problems += in_threads(lambda _: [scores(s.ask(PATH, dict(ask, documents=many))) == {i: found[i % 5] for i in range(300)} or 1 / 0], range(4))
    return problems


def what_cannot_be_ranked_is_refused(s):
    problems = []
    good = {"model": "judge", "query": "the sea", "documents": ["blue"]}
    for more, status, words in [
            ({"model": "poet"}, 400, "poet: this model ranks no documents"), ({"model": "none"}, 404, "no model 'none'"),
            ({"query": ""}, 400, "query: takes a text"), ({"query": None}, 400, "query: takes a text"), ({"query": ["a"]}, 400, "query: takes a text"),
            ({"documents": []}, 400, "documents: takes a list of 1 to 2048"), ({"documents": "a"}, 400, "documents: takes a list"),
            ({"documents": ["a"] * 2049}, 400, "documents: takes a list"), ({"documents": [1]}, 400, "documents: takes texts"),
            ({"documents": [{"image": "x"}]}, 400, "documents: takes texts"), ({"top_n": 0}, 400, "top_n: takes whole numbers"),
            ({"documents": ["blue", "blue " * 70]}, 400, "shorten one of them"), ({"max_tokens_per_doc": 10}, 400, "unknown parameter"),
            ({"return_documents": 1}, 400, "return_documents: takes true or false")]:
        status_got, _, content = s.send("POST", PATH, dict(good, **more))
        message = json.loads(content).get("error", {}).get("message", "")
        if status_got != status or words not in message or "/tmp" in message:
            problems.append(f"{str(more)[:80]}: {status_got} {content[:300]!r}, not {status} {words!r}")
    for path, body, words in [("/v1/chat/completions", chat("a", model="judge"), "ranks documents alone: /v1/rerank"),
                              ("/v1/embeddings", {"model": "judge", "input": "a"}, "this model makes no embeddings")]:
        status, _, content = s.send("POST", path, body)
        if status != 400 or words not in json.loads(content)["error"]["message"]:
            problems.append(f"{path}: {status} {content!r}")
    return problems


def with_a_server():
    with tempfile.TemporaryDirectory() as folder:
        make_model(os.path.join(folder, "judge"))
        with Server(GYR, "-m", os.path.join(folder, "judge"), "-m", str(ROOT / "models/poet.gguf")) as s:
            return documents_are_ranked(s) + what_cannot_be_ranked_is_refused(s)


if __name__ == "__main__":
    run(with_a_server)
