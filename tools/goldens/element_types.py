#!/usr/bin/env python3
"""Makes tests/data/types/*.bin: what the `gguf` package (0.19) says blocks of random bytes mean.

A file holds, for N = 1024 weights: the row's bytes, their floats, and for some types that gguf encodes, N floats and
their bytes. hashes.bin: see hashed(). F16 and BF16 come as 4096 floats of every kind and their bits. Everything little-endian.
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
    "NVFP4": [], "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "TQ1_0": [52], "TQ2_0": [64], "Q1_0": [0], "Q2_0": [0],
}
HASHED = list(SCALES)[list(SCALES).index("NVFP4"):]
BLOCKS = 1024
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
    if name == "IQ1_M":  # its scale is in the high nibbles of its last eight bytes
        blocks[:, 55] &= 0xBF
    return blocks


def small(name, blocks):
    """What ggml's dequantize_row_q1_0() and dequantize_row_q2_0() give: gguf 0.19 cannot decode them."""
    bits = 1 if name == "Q1_0" else 2
    codes = blocks[:, 2:, None] >> np.arange(0, 8, bits, dtype=np.uint8) & (2**bits - 1)
    values = codes.reshape(len(blocks), -1).astype(np.float32) * (3 - bits) - 1
    return values * blocks[:, :2].copy().view(np.float16).astype(np.float32)


def decoded(name, blocks):
    if name in ("Q1_0", "Q2_0"):
        return small(name, blocks)
    return gguf.dequantize(blocks.reshape(-1), gguf.GGMLQuantizationType[name])


def sizes(name):
    return (64, 18) if name == "Q2_0" else gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]


def hashed(name):
    """FNV-1a, 64 bits, of the floats of 1,024 blocks of a generator's bytes (the test has it too), with a scale of 1: so
    many that every entry of every grid is among them."""
    block, size = sizes(name)
    state, values = 1, bytearray(BLOCKS * size)
    for i in range(len(values)):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values[i] = state >> 56
    blocks = np.frombuffer(values, np.uint8).reshape(BLOCKS, size)
    for at in SCALES[name]:
        blocks[:, at:at + 2] = [0, 0x3C]
    if name == "IQ1_M":
        blocks[:, 49::2] &= 15
        blocks[:, 53:56:2] |= np.array([0xC0, 0x30], np.uint8)
    h = 0xCBF29CE484222325
    for byte in decoded(name, blocks).astype("<f4").tobytes():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h.to_bytes(8, "little")


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
        block, size = sizes(name)
        blocks = random_blocks(rng, name, N // block, size)
        data = blocks.tobytes() + decoded(name, blocks).astype("<f4").tobytes()
        if name in ENCODED:
            kind = gguf.GGMLQuantizationType[name]
            x = sources(rng)
            data += x.astype("<f4").tobytes() + gguf.quantize(x, kind).tobytes()
        (folder / f"{name.lower()}.bin").write_bytes(data)
    (folder / "hashes.bin").write_bytes(b"".join(hashed(name) for name in HASHED))
    x = floats(np.random.default_rng(99))
    with np.errstate(over="ignore"):
        (folder / "f16.bin").write_bytes(x.tobytes() + x.astype(np.float16).tobytes())
    (folder / "bf16.bin").write_bytes(x.tobytes() + gguf.quantize(x, gguf.GGMLQuantizationType.BF16).tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
