"""The families of tests/data/models whose folders hold their experts as MXFP4, in blocks of 32 and scales apart; entries as
in model_families.py.

Codes and scales are drawn, not the weights that they stand for: element i has the low four bits of the hash's byte i, and
block b a scale by the byte b of another hash. What they stand for is computed here by the OCP Microscaling Formats
specification (v1.0, E2M1 and E8M0), and must be what transformers makes of them.
"""
import math
import types

import numpy as np
import torch
import transformers as t
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from expert_families import moe_keys, oss_gguf
from model_families import TINY, rope
from models import Parameter, Piece, draw, fnv

BLOCK, LEAST = 32, 122  # LEAST: the smallest of four scales, as a byte


def e2m1(code):
    """A sign, two bits of exponent (bias 1), one of mantissa; exponent 0 is subnormal."""
    sign, exponent, mantissa = -1 if code & 8 else 1, code >> 1 & 3, code & 1
    return sign * (mantissa * 0.5 if exponent == 0 else 2.0 ** (exponent - 1) * (1 + mantissa * 0.5))


class Packed:
    """A parameter that transformers has as [expert][in][out], and a folder as [expert][out][in]."""

    def __init__(self, name, shape, seed):
        self.shape, self.rows = tuple(shape), (shape[0], shape[2], shape[1])
        self.hash, self.scale_hash = fnv(f"{name}#{seed}"), fnv(f"{name}.scales#{seed}")

    def index(self):
        return np.arange(math.prod(self.rows)).reshape(self.rows)

    def values(self):
        n = math.prod(self.rows)
        codes = draw(self.hash, n).view(np.uint8) & 15
        scales = (draw(self.scale_hash, n // BLOCK).view(np.uint8) & 3) + LEAST
        table = np.array([e2m1(c) for c in range(16)], np.float32)
        whole = table[codes] * np.repeat(2.0 ** (scales.astype(np.float32) - 127), BLOCK)
        whole = whole.astype(np.float32).reshape(self.rows).swapaxes(1, 2).copy()
        self.check(codes, scales, whole)
        return whole

    def check(self, codes, scales, whole):
        blocks = (codes[0::2] | codes[1::2] << 4).reshape(*self.rows[:2], -1, BLOCK // 2)
        theirs = convert_moe_packed_tensors(torch.from_numpy(blocks), torch.from_numpy(scales.reshape(blocks.shape[:-1])),
                                            dtype=torch.float32)
        assert (theirs.numpy() == whole).all(), "transformers takes the blocks otherwise"


class PackedPiece(Piece):
    def __init__(self, parameter, index):
        super().__init__(parameter, index)
        self.how = "codes"

    def line(self):
        plain = types.SimpleNamespace(hash=self.parameter.hash, center=LEAST, exponent=0)
        _, hash_, center, _, rest = Piece(plain, self.index).line().split(" ", 4)
        return f"codes {hash_} {self.parameter.scale_hash:016x} {center} {rest}"


def parameter(name, shape, seed, spec):
    packed = ".experts." in name and not name.endswith("_bias")
    return Packed(name, shape, seed) if packed else Parameter(name, shape, seed, spec)


def packed_hf(f, drawn):
    for name, p in drawn.items():
        if isinstance(p, Packed):
            f.put(name, p.rows, [PackedPiece(p, p.index())], packed=True)
        else:
            f.put(name, p.shape, [Piece(p, p.index())])


def packed_gguf(f, c, name, p, usual):
    if not isinstance(p, Packed):
        return oss_gguf(f, c, name, p, usual)
    stem, i = f"blk.{name.split('.')[2]}.ffn_", p.index()
    parts = [("down", i)] if "down" in name else [("gate", i[:, 0::2]), ("up", i[:, 1::2])]
    for part, rows in parts:
        f.put(f"{stem}{part}_exps.weight", rows.shape, [PackedPiece(p, rows)], packed=True)
    return True


FAMILIES = {
    "gpt-oss-mxfp4": dict(
        kind="gpt-oss", arch="gpt-oss", model=t.GptOssForCausalLM, gguf=packed_gguf, hf=packed_hf, parameter=parameter,
        add=dict(quantization_config=dict(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn"])),
        keys=moe_keys(4, wide=64, attention__sliding_window=20, rope__scaling__type="yarn", rope__scaling__factor=4.0,
                      rope__scaling__original_context_length=64),
        config=lambda: t.GptOssConfig(**TINY | dict(intermediate_size=64, hidden_size=64), head_dim=16, num_local_experts=4,
                                      num_experts_per_tok=2, sliding_window=20, attn_implementation="eager",
                                      rope_parameters=rope(
                                          rope_type="yarn", rope_theta=15e4, factor=4.0, beta_fast=32.0, beta_slow=1.0,
                                          truncate=False, original_max_position_embeddings=64))),
}
