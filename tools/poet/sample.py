#!/usr/bin/env python3
"""Reads poet.gguf back into transformers and lets it write: the check that the file, not only the folder it was made
from, is a poet. Sampling is the file's own defaults unless said otherwise."""
import argparse
from pathlib import Path

import gguf
import torch
from gguf.quants import dequantize
from transformers import FalconConfig, FalconForCausalLM

from export import NAMES, REPO

SUBJECTS = ["San Francisco", "the sea", "my grandmother's kitchen", "a gyrfalcon", "Paris in the rain", "love",
            "the moon", "Tokyo", "an old robot", "winter", "a graphics card", "Alan Turing"]


def load(path):
    """-> model, tokenizer (of the GGUF's own vocabulary and merges), fields"""
    reader = gguf.GGUFReader(path)
    get = lambda key, default=None: reader.fields[key].contents() if key in reader.fields else default
    heads, dim = get("falcon.attention.head_count"), get("falcon.embedding_length")
    config = FalconConfig(
        vocab_size=len(get("tokenizer.ggml.tokens")), hidden_size=dim, num_hidden_layers=get("falcon.block_count"),
        num_attention_heads=heads, ffn_hidden_size=get("falcon.feed_forward_length"), multi_query=True,
        parallel_attn=True, new_decoder_architecture=False, bias=False, alibi=False, tie_word_embeddings=True,
        layer_norm_epsilon=get("falcon.attention.layer_norm_epsilon"),
        max_position_embeddings=get("falcon.context_length"), bos_token_id=get("tokenizer.ggml.bos_token_id"),
        eos_token_id=get("tokenizer.ggml.eos_token_id"))
    back = {v: k for k, v in NAMES.items()}
    fixed = {"token_embd.weight": "word_embeddings.weight", "output_norm.weight": "ln_f.weight",
             "output_norm.bias": "ln_f.bias"}
    state = {}
    for t in reader.tensors:
        if t.name in fixed:
            name = fixed[t.name]
        else:
            _, layer, rest = t.name.split(".", 2)
            name = f"h.{layer}.{back[rest]}"
        state["transformer." + name] = torch.tensor(dequantize(t.data, t.tensor_type)).reshape(tuple(reversed(t.shape.tolist())))
    state["lm_head.weight"] = state["transformer.word_embeddings.weight"]
    model = FalconForCausalLM(config).float().eval()
    model.load_state_dict(state)

    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    tokens = get("tokenizer.ggml.tokens")
    merges = [tuple(m.split(" ")) for m in get("tokenizer.ggml.merges")]
    tok = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    types = get("tokenizer.ggml.token_type")
    tok.add_special_tokens([AddedToken(t, special=True) for t, k in zip(tokens, types) if k == gguf.TokenType.CONTROL])
    return model, tok, get


@torch.no_grad()
def generate(model, tok, ids, end, rng, temp, top_p, min_p, penalty, limit):
    cache, out, feed = None, [], ids
    while len(out) < limit:
        r = model(torch.tensor([feed]), past_key_values=cache, use_cache=True)
        cache, logits = r.past_key_values, r.logits[0, -1].float()
        if penalty != 1:
            seen = torch.tensor(sorted(set((ids + out)[-64:])))
            logits[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
        if temp <= 0:
            token = int(logits.argmax())
        else:
            p, order = torch.softmax(logits, -1).sort(descending=True)
            keep = (p.cumsum(-1) - p < top_p) & (p >= min_p * p[0])
            q = torch.where(keep, p, 0.0).log().div(temp).softmax(-1)
            token = int(order[torch.multinomial(q, 1, generator=rng)])
        if token == end:
            break
        out.append(token)
        feed = [token]
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("gguf", type=Path, nargs="?", default=REPO / "models/poet.gguf")
    ap.add_argument("--ask", nargs="*", help="requests; several with --chat are one conversation")
    ap.add_argument("--chat", action="store_true")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=1, help="samples of each request, seeds counting up")
    ap.add_argument("--temp", type=float)
    ap.add_argument("--top-p", type=float)
    ap.add_argument("--min-p", type=float)
    ap.add_argument("--penalty", type=float)
    ap.add_argument("--limit", type=int, default=300, help="tokens at most")
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    model, tok, get = load(args.gguf)
    pick = lambda value, key: value if value is not None else get("general.sampling." + key)
    settings = (pick(args.temp, "temp"), pick(args.top_p, "top_p"), pick(args.min_p, "min_p"),
                pick(args.penalty, "penalty_repeat"))
    end = get("tokenizer.ggml.eos_token_id")
    history = []
    for ask in args.ask or [f"Write a poem about {s}" for s in SUBJECTS]:
        for seed in range(args.seed, args.seed + args.count):
            turn = tok.encode(f"<|user|>\n{ask}<|end|>\n<|assistant|>\n").ids
            rng = torch.Generator().manual_seed(seed)
            out = generate(model, tok, history + turn, end, rng, *settings, args.limit)
            print(f"### {ask}  (seed {seed})\n{tok.decode(out)}\n", flush=True)
            if args.chat:
                history += turn + out + tok.encode("<|end|>\n").ids


if __name__ == "__main__":
    main()
