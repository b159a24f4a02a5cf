#!/usr/bin/env python3
"""Makes tests/data/tokenizers/kinds: small tokenizers of every kind, and what their makers say to adversarial text.

    python tools/goldens/tokenizer_kinds.py

Needs the packages tokenizers, sentencepiece and gguf. Each NAME.json (a tokenizer.json), NAME.model (SentencePiece's own)
or NAME.gguf has its NAME.ids.json: {"ids": [[...] of each text], "decoded": [...]}, null where gyr means to differ; texts.json has the texts. GGUF files
hold the vocabulary of the file that their ids come from.
"""

import importlib.util
import io
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.remove(str(HERE))  # tokenizers.py there is not the package


import gguf  # noqa: E402
import sentencepiece  # noqa: E402
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors, trainers  # noqa: E402
from tokenizers import pre_tokenizers as pre  # noqa: E402

spec = importlib.util.spec_from_file_location("goldens_tokenizers", HERE / "tokenizers.py")
sys.path.insert(0, str(HERE))
base = importlib.util.module_from_spec(spec)
spec.loader.exec_module(base)

MORE = [
    "a\u2581b \u2581 c", "ﬁne ﬂow ﬃ", "Ｆｕｌｌ　ｗｉｄｔｈ１２３", "İstanbul ISPARTA ıi", "ΣΊΣΥΦΟΣ σς", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한글 조합",
    "A\u030a\u0327 \u212b \u00c5", "q\u0307\u0323 q\u0323\u0307", "soft\u00adhyphen zero\u200bwidth\u200djoin", "①②③ ㍿ ㌀ ℡", "\u0628\u064e\u0651 \u0651\u064e",
    "Don't stop-believing, e.g. 3.14!", "unaffable embeddings tokenization", "  many   inner    spaces  ", "tab\there\r\nand\u2028there",
    "<mask>", "a <mask> b", "a<mask>b", "<mask><mask>", " <mask> ", "word lowword slow", "LOW WORD low word.", "low", "[MASK]x[MASK]", "the low <mask>low",
    "日本語のテキスト、中国話", "\u0301start \u0301\u0301", "\U0001d573\U0001d58a\U0001d591\U0001d591\U0001d594", "x" * 120, "á" * 70, "longest" * 20, "\u0e01\u0e33\u0e49 \u0e4d\u0e32",
]


def texts():
    return base.texts() + MORE


def charsmap():
    """A small map of SentencePiece's, with entries of one, two and three characters."""
    rules = {"Ｆ": "F", "ｗ": "w", "\u3000": " ", "\u00a0": " ", "\t": " ", "\n": " ", "\r": " ", "ﬁ": "fi", "ﬂ": "fl", "①": "1", "…": "...", "½": "1/2",
             "e\u0301": "é", "A\u030a": "Å", "\u212b": "Å", "\u1100\u1161": "가", "\u0e4d\u0e32": "\u0e33", "℡": "TEL", "\u200b": "", "“": '"', "”": '"',
             "q\u0307\u0323": "Q"}
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as f:
        for k, v in rules.items():
            f.write(" ".join(f"{ord(c):X}" for c in k) + "\t" + " ".join(f"{ord(c):X}" for c in v) + "\n")
    return f.name


def sp_train(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(base.CORPUS.split("\n")), model_writer=model, minloglevel=2, **options)
    return model.getvalue()


def corpus():
    return base.CORPUS.split("\n")


def added(*tokens):
    return [AddedToken(t, **o) for t, o in tokens]


def unigram_of(sp):
    proto = gguf_proto(sp)
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces if p.type != 6], unk_id=2, byte_fallback=False))
    t.add_special_tokens(["<pad>", "</s>", "<unk>"])
    t.add_tokens(added(("<mask>", dict(lstrip=True, normalized=False)), ("low", dict(single_word=True, normalized=False))))
    t.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return t, normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)


def unigram_t5(sp):
    t, charsmap_ = unigram_of(sp)
    t.normalizer = normalizers.Sequence([charsmap_, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    t.pre_tokenizer = pre.Metaspace(prepend_scheme="always")
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    return t


def unigram_xlm(sp):
    t, charsmap_ = unigram_of(sp)
    t.normalizer = normalizers.Sequence([charsmap_, normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace(prepend_scheme="always")])
    return t


def gguf_proto(data):
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.ParseFromString(data)
    return m


def unigram_bytes():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    t.pre_tokenizer = pre.Metaspace(prepend_scheme="first", split=False)
    t.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False))
    j = json.loads(t.to_str())
    j["model"]["vocab"] += [["<0x%02X>" % i, -20.0] for i in range(256)]
    j["model"]["byte_fallback"] = True
    j["decoder"] = json.loads(decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first", split=False)]).__getstate__())
    return Tokenizer.from_str(json.dumps(j))


def bert(lower, normalized=True):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100 if lower else 60))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower, handle_chinese_chars=True, clean_text=True)
    t.pre_tokenizer = pre.BertPreTokenizer() if lower else pre.Whitespace()
    t.decoder = decoders.WordPiece(cleanup=False)
    t.train_from_iterator(corpus(), trainers.WordPieceTrainer(
        vocab_size=450, limit_alphabet=150, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    t.add_tokens(added(("[MASK]", dict(normalized=False)), ("slow", dict(single_word=normalized)), ("Low Word", dict(rstrip=normalized, normalized=normalized))))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return t


def bpe_suffix():
    """As CLIP's."""
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=False))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=450, end_of_word_suffix="</w>", limit_alphabet=100, special_tokens=["<unk>", "<s>"], show_progress=False))
    t.decoder = decoders.BPEDecoder(suffix="</w>")
    return t


def bpe_prefix():
    t = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Strip(left=True, right=True)])
    t.pre_tokenizer = pre.Sequence([pre.WhitespaceSplit(), pre.Punctuation("merged_with_previous"), pre.Digits(individual_digits=False), pre.CharDelimiterSplit("_")])
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=450, continuing_subword_prefix="##", limit_alphabet=80, special_tokens=["<unk>"], show_progress=False))
    return t


def byte_nfc():
    """Qwen's normalizer, RoBERTa's mask and spaces."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre.Sequence([pre.Digits(True), pre.ByteLevel(add_prefix_space=True, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre.ByteLevel.alphabet(), special_tokens=["<s>", "</s>"], show_progress=False))
    t.add_tokens(added(("<mask>", dict(lstrip=True, rstrip=True, normalized=False)), ("ﬁ", dict(normalized=True)), ("A\u030a", dict(normalized=True)), ("low", dict(single_word=True, normalized=False))))
    t.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return t


def bpe_spaces():
    """As Gemma's: U+2581, bytes, nothing cut; a normalizer that is no spelling in front."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Replace("’", "'"), normalizers.Prepend("X"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<pad>", "<eos>", "<bos>", "<unk>"] + ["<0x%02X>" % i for i in range(256)]
    trainer_pre = t.pre_tokenizer
    t.pre_tokenizer = pre.Split("▁", "merged_with_next")
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=560, limit_alphabet=90, special_tokens=special, show_progress=False))
    t.pre_tokenizer = trainer_pre
    j = json.loads(t.to_str())
    j["added_tokens"] = [a for a in j["added_tokens"] if not a["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(j))


def metaspace_words():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre.Sequence([pre.Punctuation("isolated"), pre.Metaspace(prepend_scheme="first"), pre.Split(Regex("▁?[0-9]"), "isolated")])
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=450, limit_alphabet=90, special_tokens=["<unk>"], show_progress=False))
    return t


def differs(name, text):
    """Where gyr differs on purpose: text never spells a control token or a byte, and a U+2581 comes back as it is."""
    spelled = any(s in text for s in ("<0x", "</s>", "<unk>")) and name.startswith("unigram")
    marker = "\u2581" in text and name in ("bpe_sp", "unigram_bytes_sp", "unigram_xlm", "unigram_bytes", "bpe_spaces", "metaspace_words")
    # Hugging Face thinks that a text whose first character is dropped does not begin there; gyr thinks it does.
    return spelled or marker or (name == "unigram_bytes" and text[:1] in ("\x01", "\x1b"))


def dump(path, name, all_texts, ids, decoded):
    ids = [None if differs(name, t) else i for t, i in zip(all_texts, ids)]
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"ids": ids, "decoded": decoded}, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


def save(out, name, t, all_texts):
    t.save(str(out / f"{name}.json"), pretty=False)
    bare = Tokenizer.from_str(base.without_special(t))
    ids = base.ids(bare, all_texts)
    # Byte-level decoders take the content of an added token for bytes.
    dump(out / f"{name}.ids.json", name, all_texts, ids,
         [None if name == "byte_nfc" and "A\u030a" in s else t.decode(i, skip_special_tokens=False) for s, i in zip(all_texts, ids)])


def bert_gguf(path, t):
    """As llama.cpp's converter spells WordPiece: words begin with U+2581, and what goes on with one is bare."""
    tokens, kinds = [], []
    for i in range(t.get_vocab_size()):
        s = t.id_to_token(i)
        special = s in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
        kinds.append(2 if s == "[UNK]" else 3 if special else 4 if s in ("[MASK]", "slow", "Low Word") else 1)
        tokens.append(s if kinds[-1] != 1 else s[2:] if s.startswith("##") else "▁" + s)
    w = gguf.GGUFWriter(path, "bert")
    w.add_tokenizer_model("bert")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_bos_token_id(2)
    w.add_sep_token_id(3)
    w.add_unk_token_id(1)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def t5_gguf(path, data):
    m = gguf_proto(data)
    w = gguf.GGUFWriter(path, "t5")
    w.add_tokenizer_model("t5")
    w.add_token_list([p.piece for p in m.pieces])
    w.add_token_scores([p.score for p in m.pieces])
    w.add_token_types([p.type for p in m.pieces])
    w.add_precompiled_charsmap(m.normalizer_spec.precompiled_charsmap)
    w.add_remove_extra_whitespaces(m.normalizer_spec.remove_extra_whitespaces)
    w.add_add_space_prefix(m.normalizer_spec.add_dummy_prefix)
    w.add_unk_token_id(2)
    w.add_eos_token_id(1)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def save_sp(out, name, data, all_texts):
    (out / f"{name}.model").write_bytes(data)
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    ids = [sp.encode(s) for s in all_texts]
    dump(out / f"{name}.ids.json", name, all_texts, ids, [sp.decode(i) for i in ids])


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    all_texts = texts()
    with open(out / "texts.json", "w", encoding="utf-8") as f:
        json.dump({"texts": all_texts}, f, separators=(",", ":"))
        f.write("\n")
    shared = dict(vocab_size=500, hard_vocab_limit=False, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_tsv=charsmap())
    t5 = sp_train(**shared)
    save_sp(out, "unigram", t5, all_texts)
    t5_gguf(out / "unigram.gguf", t5)
    save_sp(out, "unigram_bytes_sp", sp_train(vocab_size=700, hard_vocab_limit=False, model_type="unigram", byte_fallback=True, normalization_rule_name="identity",
                                              remove_extra_whitespaces=False, character_coverage=0.98, user_defined_symbols=["<mask>"]), all_texts)
    save_sp(out, "bpe_sp", sp_train(vocab_size=700, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                                    remove_extra_whitespaces=False, split_digits=True, character_coverage=0.98), all_texts)
    save(out, "unigram_t5", unigram_t5(t5), all_texts)
    save(out, "unigram_xlm", unigram_xlm(t5), all_texts)
    save(out, "unigram_bytes", unigram_bytes(), all_texts)
    save(out, "bert", bert(True), all_texts)
    plain = bert(True, False)  # GGUF has no word for how added tokens are found
    bert_gguf(out / "bert_gguf.gguf", plain)
    bare = Tokenizer.from_str(base.without_special(plain))
    dump(out / "bert_gguf.ids.json", "bert_gguf", all_texts, base.ids(bare, all_texts), [])
    save(out, "bert_cased", bert(False), all_texts)
    save(out, "bpe_suffix", bpe_suffix(), all_texts)
    save(out, "bpe_prefix", bpe_prefix(), all_texts)
    save(out, "byte_nfc", byte_nfc(), all_texts)
    save(out, "bpe_spaces", bpe_spaces(), all_texts)
    save(out, "metaspace_words", metaspace_words(), all_texts)


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[2] / "tests/data/tokenizers/kinds")
