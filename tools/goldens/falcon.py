#!/usr/bin/env python3
"""Makes tests/data/falcon: small random Falcons of every kind, and what transformers computes with them.

    python tools/goldens/falcon.py [OUT]     (OUT: tests/data/falcon)

Each kind gets a folder with
    hf/          config.json, tokenizer.json, *.safetensors (one of them sharded)
    *.gguf       the same weights under llama.cpp's names (one of them split)
    golden.txt   lines "name: numbers": the prompt, the greedy answer to it, a long text, rows of it
    logits.bin   little-endian float32 [rows][vocab]: every row of the prompt, then the chosen rows of the long text

Every weight is a number that float16 and bfloat16 both hold exactly, so one set of goldens, computed in float32, is
right for all files of a kind, whatever the type they store. Norm weights, biases and all matrices are drawn wide enough
that leaving any one out, or mixing two up, moves the logits by far more than the tests allow.

What the C code must do as modeling_falcon.py does (transformers 5.23):
  * Key/value heads are num_kv_heads only with new_decoder_architecture; else 1 (multi_query) or num_attention_heads.
  * query_key_value holds a group a KV head: its query heads, its key head, its value head. GGUF has all queries, all
    keys, all values instead (key tensor_data_layout = "jploski"), biases too.
  * Two norms (new architecture, num_ln_in_parallel_attn null or 2): ln_attn feeds the attention, ln_mlp the MLP. In GGUF
    ln_mlp is attn_norm and ln_attn is attn_norm_2.
  * Parallel: x + (mlp + attention). Serial: r = x + attention, then r + mlp(post_attention_layernorm(r)).
  * GELU is the exact one, with erf. LayerNorms have biases in every kind; `bias` is about the four matrices.
  * Rotary embedding in halves over the whole head; theta in rope_parameters.rope_theta (transformers 5), rope_theta
    (4), or 10000.
  * ALiBi: bias = bf16(bf16(slope) * bf16(position)), position counted from 0, and (q.k + bias) / sqrt(head_dim).
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import json
import math
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, FalconConfig, FalconForCausalLM
from transformers.utils import logging

VOCAB, CONTEXT, PROMPT, GREEDY = 288, 512, 24, 64
LONG, LONG_ROWS = 320, [255, 256, 257, 319]
GAP, DISTINCT = 2e-3, 20  # least gap between the two best logits of a greedy step; least number of tokens used
TEXT = """The fog comes in over the bay and the bridge stands red above the water. In the city on the hills the cable
cars ring their bells, and the sea lions bark at the pier. The falcon is the fastest of all birds, and 12345 feathers
would not make another. Write a poem about San Francisco, and then another one about the wind in the morning."""
SPECIAL = [">>TITLE<<", ">>ABSTRACT<<", ">>INTRODUCTION<<", ">>SUMMARY<<", ">>COMMENT<<", ">>ANSWER<<", ">>QUESTION<<",
           ">>DOMAIN<<", ">>PREFIX<<", ">>SUFFIX<<", ">>MIDDLE<<", "<|endoftext|>"]

# name: the model's config; the types of the files; keys that the written config.json leaves out or changes.
KINDS = {
    # Falcon-7B: multi-query, one norm, parallel. Its config is as transformers 4 wrote it, with a num_kv_heads that lies.
    "7b": dict(
        config=dict(hidden_size=64, num_attention_heads=4, ffn_hidden_size=96),
        hf="F32", shards=1, gguf="F16", parts=2,
        drop=["rope_parameters", "num_ln_in_parallel_attn"], add={"rope_theta": 10000.0, "rope_scaling": None}),
    # Falcon-40B and 180B: grouped heads, two norms, parallel.
    "40b": dict(
        config=dict(hidden_size=64, num_attention_heads=4, num_kv_heads=2, ffn_hidden_size=80,
                    new_decoder_architecture=True),
        hf="BF16", shards=3, gguf="F32", parts=1, drop=[], add={}),
    # Falcon2-11B: grouped heads, one norm, another theta, an output matrix of its own.
    "11b": dict(
        config=dict(hidden_size=64, num_attention_heads=8, num_kv_heads=2, ffn_hidden_size=80,
                    new_decoder_architecture=True, num_ln_in_parallel_attn=1, tie_word_embeddings=False,
                    rope_parameters={"rope_type": "default", "rope_theta": 500042.0}),
        hf="F16", shards=1, gguf="BF16", parts=1, drop=[], add={}),
    # Falcon-RW: ALiBi, serial, biases. Nine heads, so that the slopes' second series is used and that slope is no power of
    # two: its rounding to bfloat16 shows. Its config has only what the published ones have, and the narrow MLP.
    "rw": dict(
        config=dict(hidden_size=72, num_attention_heads=9, ffn_hidden_size=64, alibi=True, bias=True,
                    multi_query=False, parallel_attn=False),
        hf="BF16", shards=1, gguf="F16", parts=1,
        drop=["rope_parameters", "num_ln_in_parallel_attn", "num_kv_heads", "activation", "max_position_embeddings",
              "tie_word_embeddings"], add={}),
}
TORCH_TYPE = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def exact(t):
    """Rounds to numbers that float16 and bfloat16 both hold."""
    t = t.bfloat16().half().float()
    assert torch.equal(t, t.bfloat16().float()) and torch.equal(t, t.half().float())
    return t


def randomize(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        r = torch.randn(p.shape, generator=g)
        if "ln_" in name or "layernorm" in name:
            p.data = exact(1 + 0.2 * r if name.endswith("weight") else 0.1 * r)
        elif name.endswith("bias"):
            p.data = exact(0.1 * r)
        elif "word_embeddings" in name or "lm_head" in name:
            p.data = exact(0.4 * r)
        else:
            p.data = exact(1.4 * r / math.sqrt(p.shape[1]))


@torch.no_grad()
def greedy(model, prompt, cache):
    """Greedy tokens after the prompt, and the smallest gap between the two best logits on the way."""
    ids, gap, past = list(prompt), math.inf, None
    for _ in range(GREEDY):
        feed = ids if past is None else ids[-1:]
        out = model(torch.tensor([feed]), past_key_values=past, use_cache=cache)
        past = out.past_key_values if cache else None
        best = torch.topk(out.logits[0, -1], 2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[len(prompt):], gap


def tokenizer():
    """Byte-level BPE with Falcon's pre-tokenizer."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
    ])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([TEXT], trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    assert t.get_vocab_size() == VOCAB
    return t


def build(spec):
    """The model of the first seed whose greedy answer is well-posed and not dull."""
    for seed in range(1, 200):
        config = FalconConfig(num_hidden_layers=2, vocab_size=VOCAB, max_position_embeddings=CONTEXT, **spec["config"])
        model = FalconForCausalLM(config).float().eval()
        randomize(model, seed)
        g = torch.Generator().manual_seed(1000 + seed)
        text = torch.randint(len(SPECIAL), VOCAB, (LONG,), generator=g).tolist()
        answer, gap = greedy(model, text[:PROMPT], cache=True)
        if gap > GAP and len(set(answer)) >= DISTINCT:
            again, _ = greedy(model, text[:PROMPT], cache=False)
            assert again == answer
            return model, text, answer, seed, gap
    sys.exit("no seed will do")


def write_hf(folder, model, spec, tok):
    folder.mkdir(parents=True)
    config = json.loads(model.config.to_json_string()) | {"architectures": ["FalconForCausalLM"]} | spec["add"]
    config = {k: v for k, v in sorted(config.items()) if k not in spec["drop"]}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "tokenizer.json").write_text(tok.to_str() + "\n")

    tensors = {k: v.to(TORCH_TYPE[spec["hf"]]).contiguous() for k, v in model.state_dict().items()
               if k != "lm_head.weight" or not model.config.tie_word_embeddings}
    if spec["shards"] == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, where = sorted(tensors), {}
    for i in range(spec["shards"]):
        file = f"model-{i + 1:05d}-of-{spec['shards']:05d}.safetensors"
        part = names[i::spec["shards"]]
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        where |= {n: file for n in part}
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": {n: where[n] for n in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def ungroup(t, config, kv):
    """[groups of (queries, key, value)] to [all queries, all keys, all values], as llama.cpp's converter does."""
    heads = config.num_attention_heads
    rows = t.reshape(kv, heads // kv + 2, config.head_dim, -1)
    parts = [rows[:, :-2], rows[:, -2:-1], rows[:, -1:]]
    return torch.cat([p.reshape(-1, rows.shape[-1]) for p in parts]).reshape(t.shape)


def gguf_names(config):
    mlp_norm = "ln_mlp" if config.num_ln_in_parallel_attn == 2 else "input_layernorm"
    names = {"transformer.word_embeddings": "token_embd", "transformer.ln_f": "output_norm", "lm_head": "output"}
    layer = {mlp_norm: "attn_norm", "ln_attn": "attn_norm_2", "post_attention_layernorm": "ffn_norm",
             "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
             "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down"}
    for i in range(config.num_hidden_layers):
        names |= {f"transformer.h.{i}.{k}": f"blk.{i}.{v}" for k, v in layer.items()}
    return names


def write_vocab(w, tok):
    vocab = sorted(tok.get_vocab().items(), key=lambda item: item[1])
    merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(tok.to_str())["model"]["merges"]]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("falcon")
    w.add_token_list([t for t, _ in vocab])
    w.add_token_types([gguf.TokenType.CONTROL if t in SPECIAL else gguf.TokenType.NORMAL for t, _ in vocab])
    w.add_token_merges(merges)
    w.add_bos_token_id(11)
    w.add_eos_token_id(11)


def write_gguf(path, name, model, spec, tok):
    c = model.config
    kv = c.num_kv_heads if c.new_decoder_architecture else 1 if c.multi_query else c.num_attention_heads
    names, kind = gguf_names(c), Q[spec["gguf"]]
    tied = c.tie_word_embeddings
    tensors = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight" or not tied}

    parts = 0 if spec["parts"] == 1 else math.ceil(len(tensors) / spec["parts"])
    w = gguf.GGUFWriter(path, "falcon", split_max_tensors=parts)
    w.add_name(f"tiny falcon {name}")
    w.add_context_length(CONTEXT)
    w.add_tensor_data_layout("jploski")
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.ffn_hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(kv)
    w.add_layer_norm_eps(c.layer_norm_epsilon)
    w.add_file_type({"F32": 0, "F16": 1, "BF16": 32}[spec["gguf"]])
    if c.alibi:
        w.add_max_alibi_bias(8.0)
        w.add_parallel_residual(False)
    elif c.rope_parameters["rope_theta"] != 10000.0:
        w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    write_vocab(w, tok)

    for key, t in tensors.items():
        stem, end = key.rsplit(".", 1)
        if "query_key_value" in key:
            t = ungroup(t, c, kv)
        data = t.float().numpy()
        if data.ndim == 1 or kind == Q.F32:
            w.add_tensor(f"{names[stem]}.{end}", data.astype(np.float32))
        else:
            w.add_tensor(f"{names[stem]}.{end}", gguf.quants.quantize(data, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@torch.no_grad()
def make(out, name, spec, tok):
    model, text, answer, seed, gap = build(spec)
    folder = out / name
    write_hf(folder / "hf", model, spec, tok)
    write_gguf(folder / "model.gguf", name, model, spec, tok)

    prompt = model(torch.tensor([text[:PROMPT]])).logits[0]
    long = model(torch.tensor([text])).logits[0]
    # What is on disk is the model the goldens come from, in both ways transformers computes attention. (Not for ALiBi:
    # there its "eager" way, in 5.23, finds the bias in the mask already and adds it a second time.)
    for how in ["sdpa"] if model.config.alibi else ["sdpa", "eager"]:
        read = AutoModelForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32, attn_implementation=how)
        far = (read(torch.tensor([text])).logits[0] - long).abs().max().item()
        assert far < 2e-5, far
    assert (long[:PROMPT] - prompt).abs().max() < 2e-5

    rows = torch.cat([prompt, long[LONG_ROWS]]).numpy().astype("<f4")
    (folder / "logits.bin").write_bytes(rows.tobytes())
    lines = {"vocab": [VOCAB], "prompt": text[:PROMPT], "greedy": answer, "text": text, "rows": LONG_ROWS}
    (folder / "golden.txt").write_text("".join(f"{k}: {' '.join(map(str, v))}\n" for k, v in lines.items()))
    print(f"{name}: seed {seed}, smallest gap {gap:.4f}, {len(set(answer))} different tokens, "
          f"logits {rows.min():.1f} .. {rows.max():.1f}")


def main():
    root = Path(__file__).resolve().parent.parent.parent
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests/data/falcon"
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    shutil.rmtree(out, ignore_errors=True)
    tok = tokenizer()
    for name, spec in KINDS.items():
        make(out, name, spec, tok)


main()
