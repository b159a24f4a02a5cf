#!/usr/bin/env python3
"""Makes tests/data/tokenizers/ranks: small vocabularies of ranks, as folders have them, and what their makers say to
adversarial text.

    python tools/goldens/tokenizer_ranks.py

Needs the packages tokenizers, tiktoken and mistral-common. Folders: kimi (tiktoken.model), qwen (qwen.tiktoken, with tokens
that no merge makes), tekken and tekken_old (tekken.json, with special tokens and without). Each ids.json has the ids of the
texts of ../kinds/texts.json; vocabularies are learned from those texts.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import base64
import json
from pathlib import Path

import tiktoken
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

DATA = Path(__file__).resolve().parents[2] / "tests/data/tokenizers"
TEXTS = json.loads((DATA / "kinds/texts.json").read_text(encoding="utf-8"))["texts"]
LOWER, UPPER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
FRONT, ENDING, REST = r"[^\r\n\p{L}\p{N}]?", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"|\s*[\r\n]+|\s+(?!\S)|\s+"
# moonshotai/Kimi-K2-Instruct, tokenization_kimi.py
KIMI = "|".join([r"[\p{Han}]+", FRONT + UPPER + r"&&[^\p{Han}]]*" + LOWER + r"&&[^\p{Han}]]+" + ENDING,
                 FRONT + UPPER + r"&&[^\p{Han}]]+" + LOWER + r"&&[^\p{Han}]]*" + ENDING, r"\p{N}{1,3}",
                 r" ?[^\s\p{L}\p{N}]+[\r\n]*"]) + REST
# Qwen/Qwen-7B, tokenization_qwen.py
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + REST
# mistralai/Mistral-Nemo-Instruct-2407, tekken.json
TEKKEN = "|".join([FRONT + UPPER + "]*" + LOWER + "]+", FRONT + UPPER + "]+" + LOWER + "]*", r"\p{N}",
                   r" ?[^\s\p{L}\p{N}]+[\r\n/]*"]) + REST


def learn(pattern, size):
    """Tokens as bytes, by rank: all bytes, then what merges make."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    plain = [b for b in range(256) if 32 < b < 127 or 160 < b < 256 and b != 173]
    byte = {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)}
    merged = [bytes(byte[c] for c in "".join(m)) for m in json.loads(t.to_str())["model"]["merges"]]
    return [bytes([b]) for b in range(256)] + list(dict.fromkeys(merged))


def lines(tokens):
    return "".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate(tokens))


def write(name, files, ids):
    folder = DATA / "ranks" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text if isinstance(text, str) else json.dumps(text, indent=0), encoding="utf-8")
    (folder / "ids.json").write_text(json.dumps({"ids": ids}, separators=(",", ":")) + "\n", encoding="utf-8")


def ids_of(tokens, pattern):
    e = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks={t: i for i, t in enumerate(tokens)}, special_tokens={})
    return [e.encode_ordinary(text) for text in TEXTS]


def tekken(name, version, specials):
    tokens = learn(TEKKEN, 700)
    vocab = [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for i, t in enumerate(tokens)]
    config = {"pattern": TEKKEN, "num_vocab_tokens": len(tokens), "default_vocab_size": 640, "default_num_special_tokens": 30,
              "version": version}
    file = {"config": config, "vocab": vocab} | ({"special_tokens": specials} if specials else {})
    write(name, {"tekken.json": file, "config.json": {"model_type": "mistral"}}, [])
    t = Tekkenizer.from_file(DATA / "ranks" / name / "tekken.json")
    write(name, {}, [t.encode(text, bos=False, eos=False) for text in TEXTS])


def main():
    tokens = learn(KIMI, 700)
    added = {str(len(tokens) + i): {"content": c, "special": s, "lstrip": False, "normalized": False, "rstrip": False,
                                    "single_word": False}
             for i, c, s in [(0, "[BOS]", True), (1, "[EOS]", True), (3, "<|im_end|>", True), (7, "<think>", False)]}
    config = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "[EOS]", "added_tokens_decoder": added}
    write("kimi", {"tiktoken.model": lines(tokens), "tokenizer_config.json": config, "config.json": {"model_type": "kimi_k2"}},
          ids_of(tokens, KIMI))
    tokens = learn(QWEN, 500) + [b" brown", b"zqx", b" qwzx", "雾霧".encode()]
    write("qwen", {"qwen.tiktoken": lines(tokens), "tokenizer_config.json": {"tokenizer_class": "QWenTokenizer"},
                   "config.json": {"model_type": "qwen"}}, ids_of(tokens, QWEN))
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>", "[THINK]"]
    tekken("tekken", "v7", [{"rank": i, "token_str": n, "is_control": n != "[THINK]"} for i, n in enumerate(names)])
    tekken("tekken_old", "v3", None)


if __name__ == "__main__":
    main()
