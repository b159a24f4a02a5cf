#!/usr/bin/env python3
"""Makes tests/data/quantized/: small Hugging Face folders of quantized weights, and what their quantizers make of them.

golden.txt has for each tensor of a folder: the folder, the tensor, the type that holds it exactly, and a hash (FNV-1a, 64
bits) of its floats. FP8 is decoded by transformers, 4 bits by compressed-tensors (0.20), both with their scales in float32;
AWQ here, as its first implementation (AutoAWQ, "gemm") packs it.
"""
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from safetensors.torch import save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

ROOT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/quantized"
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # which column is in nibble i of a word
generator = torch.Generator().manual_seed(1)


def fnv(x):
    h = 0xCBF29CE484222325
    for byte in x.astype("<f4").tobytes():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def normal(*shape):
    return torch.randn(*shape, generator=generator)


def codes(low, high, *shape):
    return torch.randint(low, high, shape, generator=generator)


def fp8(rows, cols):
    """All 254 numbers of E4M3, over and over."""
    bits = torch.arange(rows * cols).remainder(256).to(torch.uint8).reshape(rows, cols)
    bits[(bits & 127) == 127] = 1
    return bits.view(torch.float8_e4m3fn)


def powers(*shape):
    return torch.exp2(codes(-12, -4, *shape).float())


class Folder:
    def __init__(self, name, config):
        self.name, self.config, self.tensors, self.golden = name, config, {}, []

    def want(self, tensor, type_, values):
        self.golden.append(f"{self.name} {tensor} {type_} {fnv(values.float().numpy()):016x}")

    def fp8(self, stem, weight, scales, type_, end="weight_scale_inv"):
        self.tensors |= {f"{stem}.weight": weight, f"{stem}.{end}": scales}
        blocks = scales.float()
        if blocks.ndim == 2 and self.config.get("weight_block_size"):
            whole = torch.cat([self.dequantize(weight[:128], blocks[:1]), self.dequantize(weight[128:], blocks[1:])])
        else:
            whole = weight.float() * blocks
        self.want(f"{stem}.weight", type_, whole)

    @staticmethod
    def dequantize(rows, blocks):
        """transformers takes blocks of one size only: the last ones are smaller here."""
        parts = [Fp8Dequantize(None)._dequantize_one(rows[:, i * 128:i * 128 + 128], blocks[:, i:i + 1], torch.float32)
                 for i in range(blocks.shape[1])]
        return torch.cat(parts, dim=1)

    def nibbles(self, stem, rows, cols, group, scales, type_, zeros=False):
        q = codes(-8, 8, rows, cols).to(torch.int8)
        z = codes(-8, 8, rows, cols // group).to(torch.int8)
        packed = pack_to_int32(q, 4)
        assert (unpack_from_int32(packed, 4, torch.Size(q.shape)) == q).all()
        self.tensors |= {f"{stem}.weight_packed": packed, f"{stem}.weight_scale": scales,
                         f"{stem}.weight_shape": torch.tensor([rows, cols])}
        if zeros:
            self.tensors[f"{stem}.weight_zero_point"] = pack_to_int32(z, 4, packed_dim=0).contiguous()
        less = q.float() - (z.float().repeat_interleave(group, 1) if zeros else 0)
        self.want(f"{stem}.weight", type_, less * scales.float().repeat_interleave(group, 1))

    def awq(self, stem, rows, cols, group, scales, type_):
        def pack(x):
            words = x.reshape(x.shape[0], -1, 8)[:, :, AWQ_ORDER].to(torch.int64) << torch.arange(0, 32, 4)
            return words.sum(-1).to(torch.uint32).view(torch.int32)

        q, z = codes(0, 16, cols, rows), codes(0, 16, cols // group, rows)
        self.tensors |= {f"{stem}.qweight": pack(q), f"{stem}.qzeros": pack(z), f"{stem}.scales": scales}
        whole = (q - z.repeat_interleave(group, 0)).float() * scales.float().repeat_interleave(group, 0)
        self.want(f"{stem}.weight", type_, whole.T.contiguous())

    def write(self):
        path = ROOT / self.name
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({"model_type": "x", "quantization_config": self.config}) + "\n")
        save_file(self.tensors, path / "model.safetensors")
        return self.golden


def scheme(bits, kind, format_, symmetric=True):
    weights = dict(num_bits=bits, type=kind, symmetric=symmetric, strategy="group", group_size=32, actorder=None)
    return dict(quant_method="compressed-tensors", format=format_,
                config_groups={"group_0": dict(targets=["Linear"], weights=weights, input_activations=None)})


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    half, bf16 = torch.float16, torch.bfloat16
    blocks = dict(quant_method="fp8", fmt="e4m3", weight_block_size=[128, 128])
    a = Folder("fp8", blocks)
    a.fp8("a", fp8(130, 160), normal(2, 2).abs() / 100, "f32")
    a.fp8("b", fp8(130, 160), powers(2, 2), "bf16")
    a.fp8("c", fp8(130, 96), normal(2, 1).abs().to(bf16), "f32")
    a.tensors["d.weight"] = normal(4, 8).to(bf16)
    a.want("d.weight", "bf16", a.tensors["d.weight"])
    b = Folder("float-quantized", scheme(8, "float", "float-quantized"))
    b.fp8("a", fp8(24, 64), normal(24, 1).abs().to(bf16), "f32", "weight_scale")
    b.fp8("b", fp8(24, 64), torch.tensor([0.0078125]), "bf16", "weight_scale")
    b.fp8("c", fp8(24, 64), torch.tensor(0.3), "f32", "weight_scale")
    b.tensors["c.input_scale"] = torch.tensor(0.5)
    c = Folder("pack-quantized", scheme(4, "int", "pack-quantized"))
    c.nibbles("a", 24, 64, 32, (normal(24, 2) / 50).to(bf16), "q4_0")
    c.nibbles("b", 24, 256, 128, (normal(24, 2) / 50).to(half), "q4_0")
    c.nibbles("c", 24, 64, 64, torch.full((24, 1), 1e-9).to(bf16), "f32")
    c.nibbles("d", 24, 64, 16, (normal(24, 4) / 50).to(half), "f32")
    d = Folder("asymmetric", scheme(4, "int", "pack-quantized", symmetric=False))
    d.nibbles("a", 24, 128, 64, (normal(24, 2) / 50).to(half), "q5_0", zeros=True)
    d.nibbles("b", 20, 64, 32, (normal(20, 2) / 50).to(bf16), "q5_0", zeros=True)
    e = Folder("awq", dict(quant_method="awq", bits=4, group_size=64, zero_point=True, version="gemm"))
    e.awq("a", 24, 128, 64, (normal(2, 24) / 50).to(half), "q5_0")
    golden = [line for folder in (a, b, c, d, e) for line in folder.write()]
    (ROOT / "golden.txt").write_text("\n".join(golden) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
