"""LoRA adapters of the poet for tests, as PEFT writes them: numbers drawn from a seed."""
import json
import os
import random
import struct

# of each layer: outputs and inputs
SHAPES = {"self_attention.query_key_value": (384, 256), "self_attention.dense": (256, 256),
          "mlp.dense_h_to_4h": (1024, 256), "mlp.dense_4h_to_h": (256, 1024)}


def numbers(draw, n, size):
    return struct.pack(f"<{n}f", *(draw.uniform(-size, size) for _ in range(n)))


def adapter(folder, seed, rank=4, layers=(0, 3, 7), shapes=None, claimed=None, modules=SHAPES):
    """Writes one; `shapes` in place of the poet's, `claimed` in place of the rank in the config."""
    draw, head, data = random.Random(seed), {}, b""
    for layer in layers:
        for module in modules:
            outputs, inputs = (shapes or SHAPES)[module]
            for half, shape, size in (("A", (rank, inputs), 0.08), ("B", (outputs, rank), 0.08)):
                piece = numbers(draw, shape[0] * shape[1], size)
                head[f"base_model.model.transformer.h.{layer}.{module}.lora_{half}.weight"] = {
                    "dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
                data += piece
    text = json.dumps(head).encode()
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as f:
        json.dump({"peft_type": "LORA", "r": claimed or rank, "lora_alpha": 2 * rank}, f)
    return folder
