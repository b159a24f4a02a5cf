#!/usr/bin/env python3
"""Makes tests/data/relevance: what transformers' cross-encoders make of pairs of texts, of small random models.

    python tools/goldens/relevance.py [NAME ...]

NAME.txt is as those of models.py, and besides
    lengths N L ...     tokens of each pair; token i of pair k is (3 i i + 7 i + 11 k) mod (vocab - 3) + 3
    seconds N S ...     where its second text begins: tokens from there on are of type 1, where the model has types
    scores N X ...      what the model's head gives, as 32 bits in hexadecimal
All is computed in float32, a pair at a time.
"""
import sys

sys.path.pop(0)

import json
import runpy
import types
from pathlib import Path

import torch
import transformers as t
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
VOCAB, CONTEXT = 64, 640
LENGTHS = [3, 9, 40, 41, 300, 600]
SECONDS = [1, 4, 12, 40, 17, 599]
SHAPE = dict(vocab_size=VOCAB, max_position_embeddings=CONTEXT, num_hidden_layers=3, hidden_size=32, num_attention_heads=4,
             intermediate_size=48, num_labels=1)


def models():
    return sys.modules["models"]


def named(inner, outer, padding):
    """llama.cpp's names of the head; its files have no rows for the positions of padding."""
    def put(f, c, name, p, usual):
        for front, to in ((inner, "cls"), (outer, "cls.output")):
            if name.startswith(front + "."):
                f.put(f"{to}.{name.rsplit('.', 1)[1]}", p.shape, [models().Piece(p, p.index())])
                return True
        name = name.split(".", 1)[1]
        rows = p.index()[padding:] if "position_embeddings" in name else p.index()
        shape = (p.shape[0] - padding, p.shape[1]) if "position_embeddings" in name else p.shape
        f.put(usual(name), shape, [models().Piece(p, rows)])
        return True
    return put


FAMILIES = {
    "bert": dict(kind="BERT", arch="bert", model=lambda c: t.BertForSequenceClassification(c), gguf=named("bert.pooler.dense", "classifier", 0),
                 config=lambda: t.BertConfig(**SHAPE, type_vocab_size=2)),
    "xlm-roberta": dict(
        kind="RoBERTa and XLM-RoBERTa", arch="bert", model=lambda c: t.XLMRobertaForSequenceClassification(c),
        gguf=named("classifier.dense", "classifier.out_proj", 2),
        config=lambda: t.XLMRobertaConfig(**SHAPE | dict(max_position_embeddings=CONTEXT + 2, type_vocab_size=1))),
}


def ids(k):
    return [(3 * i * i + 7 * i + 11 * k) % (VOCAB - 3) + 3 for i in range(LENGTHS[k])]


@torch.no_grad()
def scores(model):
    for k, (n, second) in enumerate(zip(LENGTHS, SECONDS)):
        kinds = [int(i >= second and model.config.type_vocab_size > 1) for i in range(n)]
        yield model(torch.tensor([ids(k)]), token_type_ids=torch.tensor([kinds])).logits[0, 0].item()


@torch.no_grad()
def make(out, name, spec):
    m = models()
    model = spec["model"](spec["config"]()).float().eval()
    drawn = {}
    for n, p in model.state_dict().items():
        drawn[n] = m.Parameter(n, p.shape, f"{name}.1", spec)
        p.copy_(torch.from_numpy(drawn[n].values()))
    c = model.config
    hf = m.File("hf")
    for n, p in drawn.items():
        hf.put(n, p.shape, [m.Piece(p, p.index())])
    found = list(scores(model))
    lines = [f"kind {spec['kind']}", f"vocab {VOCAB}"]
    lines += [f"{word} {len(some)} {' '.join(map(str, some))}" for word, some in (("lengths", LENGTHS), ("seconds", SECONDS))]
    lines += [f"scores {len(found)} " + " ".join(f"{torch.tensor(x).view(torch.int32).item() & 0xffffffff:08x}" for x in found)]
    lines += [f"config {json.dumps(json.loads(c.to_json_string()), sort_keys=True)}", *hf.lines()]
    keys = {"block_count": c.num_hidden_layers, "context_length": CONTEXT, "embedding_length": c.hidden_size,
            "feed_forward_length": c.intermediate_size, "attention.head_count": c.num_attention_heads,
            "attention.layer_norm_epsilon": float(c.layer_norm_eps), "attention.causal": False, "pooling_type": 4}
    lines += [m.key_line("general.architecture", spec["arch"])]
    lines += [m.key_line(f"{spec['arch']}.{k}", v) for k, v in keys.items()]
    lines += m.as_gguf(spec, c, drawn).lines()
    (out / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(f"{name}: {found}", flush=True)


def main():
    sys.modules["models"] = types.SimpleNamespace(**runpy.run_path(str(HERE / "models.py"), run_name="models"))
    out = HERE.parent.parent / "tests/data/relevance"
    out.mkdir(exist_ok=True)
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FAMILIES:
        make(out, name, FAMILIES[name])


if __name__ == "__main__":
    main()
