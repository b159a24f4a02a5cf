#!/usr/bin/env python3
"""Makes tests/data/train/texts.jsonl and, for each way to cut texts into words, tests/data/train/learned-PRE.txt: the merges
that Hugging Face's tokenizers learn from these texts.

    python tools/goldens/learned.py

The last golden, learned-sentencepiece.txt, is of words of characters with the space in front of them.

The texts are drawn here: words of few letters, so that many pairs are equally frequent, runs of the same sign, which are
merged in more than one way, and words of many scripts. A line of a golden is a merge: two tokens in GPT-2's alphabet.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

DATA = Path(__file__).resolve().parent.parent.parent / "tests/data/train"
SIZE, SPECIAL = 700, ["<|endoftext|>", "<|x|>"]
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
KINDS = {"gpt-2": None, "llama-bpe": CL100K % r"\p{N}{1,3}", "qwen2": CL100K % r"\p{N}"}
WORDS = ["don't", "I'LL", "we've", "1234567", "3.14", "\u00e9t\u00e9", "stra\u00dfe", "\u041f\u0440\u0438\u0432\u0435\u0442", "\u4f60\u597d\u4e16\u754c",
         "\u3053\u3093\u306b\u3061\u306f", "\U0001f600\U0001f468\u200d\U0001f469", "x=y+1;", "\t\treturn", "\u0e20\u0e32\u0e29\u0e32", "e\u0301a\u0308", "\u00a0"]


class Draw:
    def __init__(self):
        self.state = 1

    def __call__(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        return (self.state >> 33) % n


def texts():
    draw = Draw()
    for _ in range(24):
        words = []
        for _ in range(90):
            kind = draw(10)
            if kind < 6:
                words.append("".join("abcde"[min(draw(5), draw(5))] for _ in range(1 + draw(7))))
            elif kind < 8:
                words.append(WORDS[draw(len(WORDS))])
            else:
                words.append("-=a"[draw(3)] * (1 + draw(12)))
        ends = [" ", " ", " ", " ", "  ", "\n", "\n\n", "   ", ", ", ""]
        yield "".join(w + ends[draw(len(ends))] for w in words)


def learn(all_texts, pattern):
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level]) if pattern else level
    tok.train_from_iterator(all_texts, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=SPECIAL, show_progress=False,
                                                           initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return [m if isinstance(m, str) else " ".join(m) for m in json.loads(tok.to_str())["model"]["merges"]]


def learn_spelled(all_texts):
    """As docs/training.md says of --pre sentencepiece: the names of bytes are special tokens here."""
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tok.pre_tokenizer = pre_tokenizers.Split(Regex("\n|\u2581?[^\u2581\n]+|\u2581"), "isolated")
    tok.train_from_iterator(all_texts, trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=["<unk>"] + SPECIAL + [f"<0x{i:02X}>" for i in range(256)], limit_alphabet=1000, show_progress=False))
    return [m if isinstance(m, str) else " ".join(m) for m in json.loads(tok.to_str())["model"]["merges"]]


def main():
    lines = list(texts())
    (DATA / "texts.jsonl").write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in lines), encoding="utf-8")
    for pre, pattern in KINDS.items():
        merges = learn(lines, pattern)
        (DATA / f"learned-{pre}.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
        print(pre, len(merges))
    merges = learn_spelled(lines)
    (DATA / "learned-sentencepiece.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    print("sentencepiece", len(merges))


if __name__ == "__main__":
    main()
