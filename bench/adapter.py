"""Writes a LoRA adapter of drawn numbers for a model with Llama's names, as PEFT has it (F16): for bench-adapters.

usage: adapter.py GYR MODEL FOLDER [RANK [MODULES]]

MODULES: "all" linear ones, "attention", or names with commas in between (q_proj,v_proj, if none are given).
"""
import json
import os
import random
import struct
import subprocess
import sys

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
SETS = {"attention": ATTENTION, "all": ATTENTION + ("gate_proj", "up_proj", "down_proj")}
SMALL = bytes(0x20 | b & 0x83 for b in range(256))  # high bytes of F16 numbers below 0.016, of either sign


def shapes(gyr, model):
    """Outputs and inputs of each matrix, and how many layers have it."""
    about = subprocess.run([gyr, "inspect", model, "--json"], capture_output=True, check=True).stdout
    h = json.loads(about)["hyperparameters"]
    wide, kv, hidden, inner = h["heads"] * h["head_dim"], h["kv_heads"] * h["head_dim"], h["hidden"], h["feed_forward"]
    return h["layers"], {"q_proj": (wide, hidden), "k_proj": (kv, hidden), "v_proj": (kv, hidden), "o_proj": (hidden, wide),
                         "gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner)}


def numbers(draw, n):
    data = bytearray(draw.randbytes(2 * n))
    data[1::2] = data[1::2].translate(SMALL)
    return data


def main(gyr, model, folder, rank="16", modules="q_proj,v_proj"):
    rank, names = int(rank), SETS.get(modules, modules.split(","))
    layers, matrices = shapes(gyr, model)
    draw, head, data = random.Random(1), {}, bytearray()
    for layer in range(layers):
        for name in names:
            room = "self_attn" if name in ATTENTION else "mlp"
            outputs, inputs = matrices[name]
            for half, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
                piece = numbers(draw, shape[0] * shape[1])
                head[f"base_model.model.model.layers.{layer}.{room}.{name}.lora_{half}.weight"] = {
                    "dtype": "F16", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
                data += piece
    text = json.dumps(head).encode()
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as f:
        json.dump({"peft_type": "LORA", "r": rank, "lora_alpha": rank}, f)


if __name__ == "__main__":
    main(*sys.argv[1:])
