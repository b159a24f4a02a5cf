#!/usr/bin/env python3
"""Makes tests/data/tokenizers: small vocabularies, and what other implementations say to adversarial text.

    python tools/goldens/tokenizers.py

Needs the packages tokenizers, sentencepiece and gguf. The vocabularies are trained on the lines below.
- byte.json/.gguf    byte-level BPE with Falcon's pre-tokenizer; ids by Hugging Face tokenizers
- plain.json/.gguf   byte-level BPE trained without one, so that a wrong cut changes ids; ids for each named pattern
- llama.json         BPE with byte fallback and U+2581, as in Llama 2's tokenizer.json
- spm.gguf           SentencePiece BPE with byte fallback; ids by SentencePiece
Each .ids.json holds {name: [[ids of text 0], ...]}; texts.json the texts.
"""

import io
import json
import random
import sys
from pathlib import Path

sys.path.pop(0)  # this folder, where the package's name is this file's

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = """The fog comes in on little feet and sits over the harbour and the city, and then moves on; nobody's sure where.
I've told them they're late, he'll say it's fine, we'd rather not, I'm here. DON'T SHOUT, it's what they'd want'd've.
San Francisco in 1906, 1967, 2023: 49 hills, 3.5 miles, $12,345,678.90, 100%, 0x1F, 1e-9, 555-0199, 007.
for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }\n\tif (x != NULL && *x > 0) return x->next;\r\n    else\n        pass
def f(self, **kw):\n    \"\"\"Doc.\"\"\"\n    return {k: v for k, v in kw.items() if k[0] != '_'}  # ok\n\n\nclass A(B): ...
https://example.org/a/b?c=d&e=f#g user@example.org C:\\Users\\x\\y /usr/lib/x86_64 --flag=value `code` ~~strike~~ ^up^
雾来了，踏着小猫的脚步。它静静地坐着，俯视港口和城市，然后又走开。我想在apple工作1314151天～
霧が静かに港と街を見おろし、そしてまた去ってゆく。カタカナとひらがな。안녕하세요 세계, 서울의 안개.
Туман приходит на кошачьих лапках. Он сидит, глядя на гавань и город. Ещё раз: ёлка, Ёж, щука.
الضباب يأتي على أقدام قطة صغيرة. يجلس ناظراً إلى الميناء والمدينة. ٠١٢٣٤٥٦٧٨٩ ۱۲۳
หมอกมาบนเท้าแมวตัวเล็ก มันนั่งมองท่าเรือและเมือง แล้วก็จากไป कोहरा छोटी बिल्ली के पैरों पर आता है। १२३
Άρθρο για την ομίχλη· έρχεται σιγά. Cửa Việt, tiếng Việt, naïve café, Ångström, straße, œuvre, ĳ, ǅ, ﬁ.
🚀 🦙🦙 😶\u200d🌫️ 👩\u200d👩\u200d👧\u200d👦 🇫🇷🇯🇵 ✅ ½ ¼ x² H₂O Ⅷ ① 𝔘𝔫𝔦 ≤ ≥ ≠ → € £ ¥ ™ © « » “quoted” ‘it’s’ — – … ¿? ¡!
        eight spaces,\t\ttabs,\u00a0\u00a0no-break,\u2003em,\u3000ideographic,\u200bzero width, trailing   \n   \n\n \t \n"""

FIXED = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r\n\r\n", "\t\n", " \n", "\n ", " \n \n", "a", " a", "  a", "   a", "a ",
    "a  ", "\ta", "\n\na", "a\n\n", "a \n b", "a  \n  b", "Hello world", " Hello  World!", "Hello, y'all! I'VE we'Ll THEY'RE 'tis",
    "it's it'S IT'S it’s 's 'S ''s '''", "'ſ it'ſ don'T", "3", "33", "333", "3333", "33333", "333333", "3333333 3 33 333", " 3333",
    "a1b22c333d4444", "1,234,567.89", "v1.2.3-rc4", "½ ¼ ¾ x² x³ ¹", "٣٤٥ ٣", "१२३४ ①②③④ Ⅷ", "!!!!!!", " !!", "!! a!!b", "a.b.c...d",
    "$+<=>^`|~ $ + <", "((a+b)*c)", "foo_bar-baz", "camelCaseHTTPServer XMLHttpRequest iPhone", "ÉCOLE École école ǅungla",
    "a/b//c\n/d/\n", "!\n\n?\r\n/", "中文", "中文 和 English混排123", "我想在apple工作1314151天～", "カタカナ、ひらがな。", "안녕 세계",
    "กำลังทดสอบ ภาษาไทย", "مرحبا بالعالم ٣", "नमस्ते दुनिया", "e\u0301 a\u0300\u0301 \u0301", "Cửa Việt", "\u1100\u1161\u11a8",
    "😶\u200d🌫️ 👩\u200d👩\u200d👧\u200d👦 🇫🇷", "🚀🚀  🚀", "a\u00a0b\u00a0\u00a0c", "\u3000\u3000全角", "a\u2003b", "a\u180eb \u180e \u180e\u180e x",
    "a\u200bb", "a\u0085b", "\u2028\u2029a", "a\x00b", "\x00", "\x01\x02\x03\x7f", "\x1b[31mred\x1b[0m", "\ufeffBOM", "\ufffd\ufffe\uffff",
    "\U0010ffff\ue000", "\x0b\x0c\x1c\x1d", "<|endoftext|>", "a<|endoftext|>b", ">>TITLE<< x", "</s><s>[INST]", "<unk>", "<0x41><0x0A>",
    " " * 40 + "x", "x" + " " * 41, "\n" * 23 + "x", "a" * 100, "ab" * 40, "1" * 50, "-" * 64, "=" * 33 + "\n", "中" * 30, "🦙" * 12,
    "for (int i = 0; i < n; i++) {\n\tsum += a[i];\n}\n", "    return x\n\n\n\tdef", "#include <stdio.h>\r\n\r\nint main",
    "  leading and trailing  ", "Line one\nLine two\n\nLine four", "tab\tseparated\tvalues\n", "end.", "\"quoted\" 'single' `back`",
]

POOLS = ["abcdefghij ", "ABCxyz'sStT'", "0123456789", " \t\n\r", "  ", "!?.,;:-_/\\$+<=>^`|~", "éßÆǅα", "中文字、。", "กข้ำ", "عربي٣", "e\u0301\u200d\u180e\u00a0\u3000",
         "🦙🚀\U0001f1eb", "½²①٣१", "\x00\x01\x7f\x85", "かカ가\u1100", "\u0412\u0451"]

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
CL100K = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
TEKKEN = r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
O200K = r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
DEEPSEEK3 = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
BAILING = r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""
BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+"
QWEN35 = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""

HAN_FREE = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
KIMI = r"[\p{Han}]+|" + HAN_FREE % ("*", "+") + HAN_FREE % ("+", "*") + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
SPARK = DEEPSEEK3.replace(r"+[\r\n]*|\s*[\r\n]+|", r"+|[\r\n]|")
YOUTU = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + KANA
JAIS = (CL100K % r"\p{N}{1,3}").replace(r"\s+(?!\S)|\s+", "".join(r"\s{%d}(?!\S)|" % 2**n for n in range(9, 1, -1)) + r"\s{1,2}(?!\S)|\s{1}")


def split(pattern, behavior="isolated"):
    return pre_tokenizers.Split(Regex(pattern), behavior)


def byte_level(use_regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def falcon():
    return [pre_tokenizers.Punctuation("contiguous"), byte_level(True), pre_tokenizers.Digits(False), split("[0-9][0-9][0-9]")]


# What tokenizer.ggml.pre names, as in the tokenizer.json of each model (llama.cpp's where that is not known to us).
PATTERNS = {
    "gpt-2": [byte_level(True)],
    "falcon": falcon(),
    "default": [split(r"[\p{P}$+<=>^~|]+"), split(GPT2), split(r"\p{N}+"), split("[0-9][0-9][0-9]"), byte_level()],
    "starcoder": [pre_tokenizers.Digits(True), byte_level(True)],
    "llama-bpe": [split(CL100K % r"\p{N}{1,3}"), byte_level()],
    "qwen2": [split(CL100K % r"\p{N}"), byte_level()],
    "qwen35": [split(QWEN35), byte_level()],
    "tekken": [split(TEKKEN), byte_level()],
    "gpt-4o": [split(O200K), byte_level()],
    "deepseek-coder": [split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(HAN), split(r"\p{N}"), byte_level()],
    "deepseek-v3": [split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK3), byte_level()],
    "bailingmoe": [split(BAILING), byte_level()],
    "bloom": [split(BLOOM), byte_level()],
    "kimi-k2": [split(KIMI), byte_level()],
    "spark2_5": [split(r"\p{N}{1,3}"), split(KANA), split(SPARK), split(r"\p{N}"), byte_level()],
    "youtu": [split(YOUTU), split(O200K.replace("{1,3}", "")), byte_level()],
    "jais-2": [split(JAIS), byte_level()],
    "tiny_aya": [split(r"\d{1,3}(?=(?:\d{3})*\b)"), split(O200K), byte_level()],
    "superbpe": [split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), byte_level()],
    "laguna": [split(r"[^\n]+|[\n]+"), split(CL100K % r"\p{N}"), byte_level()],
}
IGNORE_MERGES = {"llama-bpe", "tekken", "youtu"}


def texts():
    rng = random.Random(1)
    out = list(FIXED)
    for _ in range(40):
        out.append("".join(rng.choice(rng.choice(POOLS)) for _ in range(rng.randint(5, 40))))
    return out


def train(steps, size, special, user=()):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(CORPUS.split("\n") + [CORPUS], trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=special, min_frequency=2, show_progress=False))
    t.add_tokens([AddedToken(u, normalized=False) for u in user])
    return t


def write_gguf(path, model, tokens, kinds, pre=None, merges=None, scores=None, bos=None, eos=None, unk=None, prefix=None):
    w = gguf.GGUFWriter(path, "falcon")
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    if scores is not None:
        w.add_token_scores(scores)
    w.add_token_types(kinds)
    if merges is not None:
        w.add_token_merges(merges)
    for add, value in ((w.add_bos_token_id, bos), (w.add_eos_token_id, eos), (w.add_unk_token_id, unk)):
        if value is not None:
            add(value)
    if prefix is not None:
        w.add_add_space_prefix(prefix)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def byte_gguf(path, t, pre):
    j = json.loads(t.to_str())
    added = {a["id"]: a for a in j["added_tokens"]}
    tokens = [t.id_to_token(i) for i in range(t.get_vocab_size())]
    kinds = [(3 if added[i]["special"] else 4) if i in added else 1 for i in range(len(tokens))]
    merges = [m if isinstance(m, str) else " ".join(m) for m in j["model"]["merges"]]
    write_gguf(path, "gpt2", tokens, kinds, pre=pre, merges=merges, eos=0)


def ids(t, texts_):
    return [t.encode(s, add_special_tokens=False).ids for s in texts_]


def plain_ids(t, texts_):
    """As if no text were special: special tokens are never made from plain text in gyr."""
    bare = Tokenizer.from_str(without_special(t))
    return ids(bare, texts_)


def without_special(t):
    j = json.loads(t.to_str())
    j["added_tokens"] = [a for a in j["added_tokens"] if not a["special"]]
    return json.dumps(j)


def llama_json():
    """Trained as pieces between spaces, then put together the way Llama 2's tokenizer.json is."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    t.train_from_iterator(CORPUS.split("\n"), trainers.BpeTrainer(vocab_size=500, limit_alphabet=90, show_progress=False))
    j = json.loads(t.to_str())
    head = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)]
    pieces = sorted(j["model"]["vocab"], key=j["model"]["vocab"].get)
    special = [dict(id=i, content=head[i], single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
               for i in range(3)]
    j["model"].update(vocab={p: i for i, p in enumerate(head + pieces)}, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    j["added_tokens"] = special
    j["pre_tokenizer"] = None
    j["decoder"] = json.loads(decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                                 decoders.Strip(" ", 1, 0)]).__getstate__())
    return Tokenizer.from_str(json.dumps(j))


def spm():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.split("\n")), model_writer=model, vocab_size=700, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, character_coverage=0.98,
        allow_whitespace_only_pieces=True, user_defined_symbols=["<user>", "::"], minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def spm_gguf(path, sp):
    n = sp.get_piece_size()
    kinds = [2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 5 if sp.is_unused(i)
             else 4 if sp.id_to_piece(i) in ("<user>", "::") else 1 for i in range(n)]
    write_gguf(path, "llama", [sp.id_to_piece(i) for i in range(n)], kinds, scores=[sp.get_score(i) for i in range(n)],
               bos=1, eos=2, unk=0, prefix=True)


def dump(path, data):
    rows = [f"{json.dumps(k)}: [\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in v) + "]" for k, v in data.items()]
    path.write_text("{" + ",\n".join(rows) + "}\n")


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    all_texts = texts()
    user = [s + "<user>::" + s for s in ("", "a", " b ", "\n")]
    dump(out / "texts.json", {"texts": all_texts, "user": user})

    byte = train(falcon(), 700, ["<|endoftext|>", ">>TITLE<<", "<|im_end|>"], ["<user>", "::"])
    byte.save(str(out / "byte.json"), pretty=False)
    byte_gguf(out / "byte.gguf", byte, "falcon")
    dump(out / "byte.ids.json", {"falcon": plain_ids(byte, all_texts), "user": plain_ids(byte, user),
                                 "special": ids(byte, all_texts)})

    plain = train([byte_level()], 800, ["<|endoftext|>"])
    byte_gguf(out / "plain.gguf", plain, "gpt-2")
    named = {}
    for name, steps in PATTERNS.items():
        j = json.loads(without_special(plain))
        j["pre_tokenizer"] = None
        j["model"]["ignore_merges"] = name in IGNORE_MERGES
        t = Tokenizer.from_str(json.dumps(j))
        t.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
        named[name] = ids(t, all_texts)
    dump(out / "plain.ids.json", named)

    llama = llama_json()
    llama.save(str(out / "llama.json"), pretty=False)
    dump(out / "llama.ids.json", {"llama": plain_ids(llama, all_texts)})

    sp = spm()
    spm_gguf(out / "spm.gguf", sp)
    dump(out / "spm.ids.json", {"spm": [sp.encode(s) for s in all_texts], "user": [sp.encode(s) for s in user]})


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[2] / "tests/data/tokenizers")
