#!/usr/bin/env python3
"""Hugging Face folder of the poet -> GGUF: matrices Q8_0, norms F32, the tokenizer, the chat template and the sampling
defaults inside. Reads the file back and compares every tensor before it says that it is done."""
import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file

REPO = Path(__file__).resolve().parent.parent.parent
NAMES = {  # transformers' name inside a layer -> GGUF's
    "input_layernorm.weight": "attn_norm.weight", "input_layernorm.bias": "attn_norm.bias",
    "self_attention.query_key_value.weight": "attn_qkv.weight", "self_attention.dense.weight": "attn_output.weight",
    "mlp.dense_h_to_4h.weight": "ffn_up.weight", "mlp.dense_4h_to_h.weight": "ffn_down.weight",
}


def gguf_name(name):
    name = name.removeprefix("transformer.")
    fixed = {"word_embeddings.weight": "token_embd.weight", "ln_f.weight": "output_norm.weight",
             "ln_f.bias": "output_norm.bias"}
    if name in fixed:
        return fixed[name]
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{NAMES[rest]}"


def bytes_to_unicode():
    """GPT-2's printable stand-ins for bytes: tokens in the vocabulary are written with them, also here."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return set(map(chr, keep)) | {chr(256 + i) for i in range(256 - len(keep))}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=Path, help="the hf/ folder that train.py left")
    ap.add_argument("--out", type=Path, default=REPO / "models/poet.gguf")
    ap.add_argument("--license", default="apache-2.0", help="SPDX id written into the file")
    ap.add_argument("--temp", type=float, default=0.7)
    ap.add_argument("--top-k", type=int, default=0, help="0: off")
    ap.add_argument("--top-p", type=float, default=0.95)
    ap.add_argument("--min-p", type=float, default=0.05)
    ap.add_argument("--penalty-repeat", type=float, default=1.1)
    args = ap.parse_args()

    config = json.loads((args.folder / "config.json").read_text())
    tok = json.loads((args.folder / "tokenizer.json").read_text())
    tok_config = json.loads((args.folder / "tokenizer_config.json").read_text())
    tensors = load_file(args.folder / "model.safetensors")

    w = gguf.GGUFWriter(None, "falcon")
    w.add_type("model")
    w.add_name("poet")
    w.add_basename("poet")
    w.add_size_label(f"{round(sum(t.size for t in tensors.values()) / 1e6, 1):g}M")
    w.add_description("A few million weights that answer a subject with verse; trained from scratch for gyr.")
    w.add_license(args.license)
    w.add_languages(["en"])
    w.add_tags(["poetry", "text-generation"])
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_float32("general.sampling.temp", args.temp)
    w.add_int32("general.sampling.top_k", args.top_k)
    w.add_float32("general.sampling.top_p", args.top_p)
    w.add_float32("general.sampling.min_p", args.min_p)
    w.add_float32("general.sampling.penalty_repeat", args.penalty_repeat)

    w.add_context_length(config["max_position_embeddings"])
    w.add_tensor_data_layout("jploski")     # with one K/V head: all Q rows, then K, then V, as Falcon-7B has them
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["ffn_hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_head_count(config["num_attention_heads"])
    w.add_head_count_kv(1)
    w.add_layer_norm_eps(config["layer_norm_epsilon"])
    w.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    w.add_rope_freq_base(config["rope_theta"])
    w.add_vocab_size(config["vocab_size"])

    vocab = dict(tok["model"]["vocab"])
    special = {t["content"]: t["id"] for t in tok["added_tokens"]}
    vocab.update(special)
    tokens = [t for t, _ in sorted(vocab.items(), key=lambda kv: kv[1])]
    assert [vocab[t] for t in tokens] == list(range(config["vocab_size"]))
    assert bytes_to_unicode() <= set(tokens), "every byte must be a token"
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tok["model"]["merges"]])
    w.add_bos_token_id(config["bos_token_id"])
    w.add_eos_token_id(config["eos_token_id"])
    w.add_eot_token_id(config["eos_token_id"])
    w.add_pad_token_id(config["bos_token_id"])
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    w.add_chat_template(tok_config["chat_template"])

    q8 = gguf.GGMLQuantizationType.Q8_0
    for name, t in sorted(tensors.items()): # no output.weight: a Falcon without one uses token_embd.weight
        t = t.astype(np.float32)
        if t.ndim == 2:
            w.add_tensor(gguf_name(name), quantize(t, q8), raw_dtype=q8)
        else:
            w.add_tensor(gguf_name(name), t)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    part = args.out.with_name(args.out.name + ".part")      # a reader never sees half a file
    w.write_header_to_file(part)
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()

    read = {t.name: t for t in gguf.GGUFReader(part).tensors}
    worst = 0.0
    for name, t in tensors.items():
        r = read.pop(gguf_name(name))
        back = dequantize(r.data, r.tensor_type).reshape(t.shape)
        worst = max(worst, float(np.abs(back - t).max() / (np.abs(t).max() + 1e-12)))
    assert not read and worst < 0.01, (list(read), worst)
    part.replace(args.out)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes; read back, largest error {worst:.4f} of a tensor's largest weight")


if __name__ == "__main__":
    main()
