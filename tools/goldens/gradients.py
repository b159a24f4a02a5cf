#!/usr/bin/env python3
"""Makes tests/data/train/NAME.txt and NAME.bin: the loss of a text by the small models of tests/data/models with an adapter
of every linear map, and its gradients by the adapter's numbers, as PyTorch's autograd computes them in double precision.

    python tools/goldens/gradients.py [NAME ...]

NAME.txt has the adapter in the form of models.py: a tensor of a pair is called by its layer and what it is in gyr, "0.q.a",
of an expert "1.expert2.down.b"; and "scale X". NAME.bin has the loss and then the gradients in that order, little-endian
float32. The loss is the sum over the text's tokens i but the last of w[i] * -ln p(token i + 1), w[i] being 0 where i is a
multiple of 3, else 1; gradients are of a hundredth of it.

PEFT makes the pairs of modules. Of experts, which transformers keeps in one parameter, it has none of the same form: what
the pairs add is added to the parameter here.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import re
import runpy
from pathlib import Path

import torch
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
RANK, ALPHA = 2, 1.0
# What modules are in gyr; the last word of a name, or the last two.
SLOTS = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "out", "gate_proj": "gate", "up_proj": "up",
         "down_proj": "down", "gate_up_proj": "gate_up", "qkv_proj": "qkv", "query_key_value": "qkv",
         "attention.dense": "out", "dense_h_to_4h": "up", "dense_4h_to_h": "down", "c_attn": "qkv", "attn.c_proj": "out",
         "c_fc": "up", "mlp.c_proj": "down", "fc1": "up", "fc2": "down", "self_attn.dense": "out",
         "shared_expert.gate_proj": "shared_gate", "shared_expert.up_proj": "shared_up",
         "shared_expert.down_proj": "shared_down", "shared_experts.gate_proj": "shared_gate",
         "shared_experts.up_proj": "shared_up", "shared_experts.down_proj": "shared_down",
         "feed_forward.gate_proj": "gate", "in_proj": "state_in", "x_proj": "state_x", "dt_proj": "state_dt",
         "out_proj": "state_out", "in_proj_qkv": "state_in", "in_proj_z": "state_gate", "in_proj_a": "state_alpha",
         "in_proj_b": "state_beta", "per_layer_input_gate": "input_gate", "per_layer_projection": "input_out",
         "per_layer_model_projection": "input_project", "q_a_proj": "q_a", "q_b_proj": "q", "kv_a_proj_with_mqa": "kv_a"}
# Families: the usual ones' modules are all linear maps of layers.
NAMES = ["llama", "phi3", "gpt-neox", "gpt2", "qwen3", "olmo2", "olmo3", "gemma2", "gemma3", "gemma4", "granite", "smollm3",
         "command-r+", "mixtral", "qwen2-moe", "granite-moe", "glm4.5", "gpt-oss", "llama4", "mamba", "falcon-mamba",
         "mamba2-groups", "qwen3.5", "deepseek-v2", "deepseek-v3", "falcon-h1",
         "gemma4-moe", "gemma4-e2b", "kimi-linear", "deepseek-v3.2", "glm5.2"]


OF_STATES = {"q_proj": "state_q", "k_proj": "state_k", "v_proj": "state_in", "o_proj": "state_out", "f_a_proj": "state_low",
             "f_b_proj": "state_alpha", "g_a_proj": "state_gate_low", "g_b_proj": "state_gate", "b_proj": "state_beta"}
in_states = set()  # modules of layers that have OF_STATES


def slot_of(name):
    words = name.split(".")
    if name in in_states:
        return OF_STATES[words[-1]]
    return SLOTS.get(".".join(words[-2:])) or SLOTS.get(words[-1])


def layer_of(name):
    found = re.search(r"\.(?:layers|h)\.(\d+)\.", name)
    return int(found.group(1)) if found else 0


class Adapter:
    """Pairs by what they are called; their numbers are drawn from hashes of that."""

    def __init__(self, m, name):
        self.m, self.name, self.file, self.numbers, self.changed = m, name, m.File("hf"), [], {}

    def pair(self, called, cols, rows):
        made = []
        for half, shape in (("a", (RANK, cols)), ("b", (rows, RANK))):
            drawn = self.m.Parameter(f"{called}.{half}", shape, self.name, {})
            self.file.put(f"{called}.{half}", shape, [self.m.Piece(drawn, drawn.index())])
            made.append(torch.from_numpy(drawn.values()).double().requires_grad_())
        self.numbers += made
        return made


def adapt_modules(model, adapter):
    """With PEFT; the modules' pairs are made those of the adapter."""
    from peft import LoraConfig, get_peft_model
    for name, x in model.named_modules():
        if type(x).__name__ == "KimiLinearDeltaAttention":
            in_states.update(f"{name}.{n}" for n, y in x.named_modules() if n.split(".")[-1] in OF_STATES)
    modules = [n for n, x in model.named_modules()
               if type(x).__name__ in ("Linear", "Conv1D") and slot_of(n) and
               re.search(r"\.(layers|h)\.\d+\.|per_layer_model", n)]
    turned = any(type(x).__name__ == "Conv1D" for x in model.modules())
    # Of Mamba PEFT refuses the one, and transformers reads the other's weight past the module.
    passed = [n for n in modules if not (n.endswith(("out_proj", "dt_proj")) and re.search("mamba|falcon_h1", model.config.model_type))]
    exact = "|".join(map(re.escape, passed))
    peft = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=exact, fan_in_fan_out=turned)).double()
    own = dict(peft.named_modules())
    for name in modules:
        x = own[f"base_model.model.{name}"]
        called = f"{layer_of(name)}.{slot_of(name)}"
        if not hasattr(x, "lora_A"):  # and passes over shared experts of some models
            a, b = adapter.pair(called, x.in_features, x.out_features)
            adapter.changed[f"base_model.model.{name}.weight"] = x.weight.detach() + ALPHA / RANK * b @ a
            continue
        a, b = x.lora_A["default"], x.lora_B["default"]
        one, two = adapter.pair(called, a.weight.shape[1], b.weight.shape[0])
        for linear, weight in ((a, one), (b, two)):
            linear.weight = torch.nn.Parameter(weight.detach())
        adapter.numbers[-2:] = [a.weight, b.weight]
    return peft


def adapt_experts(peft, adapter):
    """The stacked parameters of experts with what pairs add to them: by name."""
    changed = adapter.changed
    for name, p in list(peft.named_parameters()):
        if p.dim() != 3 or "bias" in name or "conv1d" in name:
            continue
        layer, gates = layer_of(name), "gate_up" in name or "input_linear" in name
        columns = "feed_forward" in name or "gpt_oss" in type(peft.base_model.model).__module__
        paired = "gpt_oss" in type(peft.base_model.model).__module__
        experts = []
        for e in range(p.shape[0]):
            rows, cols = p[e].T.shape if columns else p[e].shape
            parts = []
            for slot in ("gate", "up") if gates else ("down",):
                a, b = adapter.pair(f"{layer}.expert{e}.{slot}", cols, rows // 2 if gates else rows)
                parts.append(ALPHA / RANK * b @ a)
            add = torch.stack(parts, 1).flatten(0, 1) if paired and gates else torch.cat(parts)
            experts.append(add.T if columns else add)
        changed[name] = p.detach() + torch.stack(experts)
    return changed


def stay_double():
    """Models take norms and softmaxes in single precision; doubles stay doubles here."""
    tensor, functional = torch.Tensor, torch.nn.functional
    single, to, softmax = tensor.float, tensor.to, functional.softmax

    def is_double(x):
        return x.dtype == torch.float64

    def softmax_of(x, *args, **more):
        if is_double(x):
            more.pop("dtype", None)
        return softmax(x, *args, **more)

    tensor.float = lambda x, *args, **more: x if is_double(x) else single(x, *args, **more)
    tensor.to = lambda x, *args, **more: x if is_double(x) and torch.float32 in (*args, *more.values()) else to(x, *args, **more)
    functional.softmax = softmax_of


def make(m, out, name, families):
    spec = families[name]
    with torch.no_grad():
        model, _, _, text, *_ = m.build(name, spec)
    model = getattr(model, "model", model) if type(model).__name__ == "CacheParams" else model
    model.config._experts_implementation = "eager"  # the others have no doubles
    adapter = Adapter(m, name)
    peft = adapt_modules(model, adapter).eval()
    changed = adapt_experts(peft, adapter)
    ids = torch.tensor(text)
    weight = torch.tensor([float(i % 3 != 0) for i in range(len(text) - 1)]).double()
    logits = torch.func.functional_call(peft, changed, (ids[None],)).logits[0, :-1].double()
    loss = (torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none") * weight).sum()
    (loss / 100).backward()
    data = [torch.tensor([loss.item()])] + [p.grad.reshape(-1) for p in adapter.numbers]
    unused = [n for n, d in zip(adapter.file.tensors, data[1:]) if d.abs().max() == 0]
    assert all("expert" in n for n in unused), unused
    (out / f"{name}.txt").write_text("\n".join([f"scale {ALPHA / RANK}", *adapter.file.lines()]) + "\n")
    (out / f"{name}.bin").write_bytes(torch.cat([d.double() for d in data]).detach().numpy().astype("<f4").tobytes())
    print(f"{name}: loss {loss.item():.4f}, {len(data) - 1} gradients, {sum(map(len, data))} numbers", flush=True)


def main():
    adapters = runpy.run_path(str(HERE / "adapters.py"))
    m, families = adapters["load_models"]()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    stay_double()
    for name in sys.argv[1:] or NAMES:
        make(m, HERE.parent.parent / "tests/data/train", name, families)


if __name__ == "__main__":
    main()
