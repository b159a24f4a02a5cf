"""The shape of a GGUF file as a configuration of Hugging Face transformers, for the peers that read no GGUF."""
import json
import subprocess


def of(gyr, path):
    """(LlamaConfig's arguments, the commonest type of the matrices), or (None, type) where it is no plain Llama."""
    said = json.loads(subprocess.run([str(gyr), "inspect", "--json", str(path)], check=True, capture_output=True).stdout)
    types = {name: size for name, size in said["types"].items() if name != "f32"} or said["types"]
    kind = max(types, key=types.get)
    if said["architecture"] != "llama" or said["metadata"].get("llama.expert_count"):
        return None, kind
    h = said["hyperparameters"]
    return {"vocab_size": h["vocab"], "hidden_size": h["hidden"], "intermediate_size": h["feed_forward"],
            "num_hidden_layers": h["layers"], "num_attention_heads": h["heads"], "num_key_value_heads": h["kv_heads"],
            "head_dim": h["head_dim"], "max_position_embeddings": h["context"]}, kind


def random_llama(config, dtype):
    """A Llama of that shape with random weights, no two matrices alike: equal ones are kept once by some."""
    import torch
    import transformers
    torch.manual_seed(0)
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
    model = model.to(dtype).to_empty(device="cpu")
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(1) if weight.dim() == 1 else weight.normal_(0, 0.02)
        rotary = model.model.rotary_emb
        fresh = type(rotary)(model.config)
        rotary.inv_freq, rotary.original_inv_freq = fresh.inv_freq, fresh.inv_freq.clone()
    return model.eval()
