#!/usr/bin/env python3
"""Makes tests/data/types/*.bin: what the `gguf` package (0.19) says blocks of random bytes mean.

A file holds, for N = 1024 weights: the row's bytes, their floats, and where gguf can encode the type, N floats and
their bytes. F16 and BF16 come as 4096 floats of every kind and their bits. Everything little-endian.
"""
import pathlib
import sys

import gguf
import numpy as np

N = 1024
SCALES = {  # where a block's half-precision scales lie
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}
ENCODED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def random_blocks(rng, name, count, size):
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    blocks[0] = 0
    blocks[1] = 255
    for at in SCALES[name]:
        halves = rng.integers(0, 1 << 16, count, dtype=np.uint16)
        halves[halves & 0x7C00 == 0x7C00] ^= 0x4000  # no infinities, no NaNs
        halves[2] = 1  # the smallest subnormal
        blocks[:, at:at + 2] = halves.view(np.uint8).reshape(count, 2)
    return blocks


def sources(rng):
    x = rng.standard_normal(N).astype(np.float32)
    x[0:32] = 0
    x[32:64] = 1
    x[64:96] = -np.abs(x[64:96])
    x[96:128] *= 1e-6
    x[128:160] = np.arange(-16, 16)
    x[160:192] *= 1e3
    return x


def floats(rng):
    bits = rng.integers(0, 1 << 32, 4096, dtype=np.uint32)
    halves = rng.integers(0, 1 << 16, 1024, dtype=np.uint16).view(np.float16).astype(np.float32)
    bits[:1024] = halves.view(np.uint32) + rng.integers(-1, 2, 1024).astype(np.uint32) * 0x1000  # ties and near them
    bits[1024:2048] = (bits[1024:2048] & 0xFFFF0000) + 0x7FFF + rng.integers(0, 3, 1024).astype(np.uint32)
    x = bits.view(np.float32)
    special = [0.0, -0.0, np.inf, -np.inf, 65504, 65519.996, 65520, 2**-14, 2**-24, 2**-25, 2**-25 * 1.0000001, 1e-45, 3.4e38]
    x[2048:2048 + len(special)] = special
    x[np.isnan(x)] = 1.5
    return x


def main():
    folder = pathlib.Path(__file__).resolve().parents[2] / "tests/data/types"
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(SCALES):
        rng = np.random.default_rng(seed)
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random_blocks(rng, name, N // block, size)
        data = blocks.tobytes() + gguf.dequantize(blocks.reshape(-1), kind).astype("<f4").tobytes()
        if name in ENCODED:
            x = sources(rng)
            data += x.astype("<f4").tobytes() + gguf.quantize(x, kind).tobytes()
        (folder / f"{name.lower()}.bin").write_bytes(data)
    x = floats(np.random.default_rng(99))
    with np.errstate(over="ignore"):
        (folder / "f16.bin").write_bytes(x.tobytes() + x.astype(np.float16).tobytes())
    (folder / "bf16.bin").write_bytes(x.tobytes() + gguf.quantize(x, gguf.GGMLQuantizationType.BF16).tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
