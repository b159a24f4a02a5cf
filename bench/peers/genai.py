#!/usr/bin/env python3
"""OpenVINO GenAI on the same shape with random weights, in its own format: INT8 a channel for 8-bit types, INT4 in groups
of 128 for 4-bit ones; plain Llamas only.

Activations are rounded in groups of 128 (DYNAMIC_QUANTIZATION_GROUP_SIZE), which its documentation recommends for speed, the
KV cache is its default, and requests go through its continuous batching, prompts whole.
"""
import shutil
from pathlib import Path

import common
import shape

BITS = {"q8_0": 8, "q4_0": 4, "q4_1": 4, "q4_k": 4, "iq4_nl": 4, "iq4_xs": 4}
GROUP = 128


def make(folder, config, bits):
    """The model, once: exported from transformers and compressed by nncf."""
    if folder.exists():
        return
    import torch
    from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig
    source, half = folder.with_suffix(".hf"), folder.with_suffix(".part")
    for old in (source, half):
        shutil.rmtree(old, ignore_errors=True)
    shape.random_llama(config, torch.float16).save_pretrained(source)
    group = next(g for g in (GROUP, 64, 32) if config["hidden_size"] % g == config["intermediate_size"] % g == 0)
    how = {"bits": 4, "sym": True, "group_size": group, "ratio": 1.0} if bits == 4 else {"bits": 8, "sym": True}
    OVModelForCausalLM.from_pretrained(source, export=True, use_cache=True, stateful=True, compile=False,
                                       quantization_config=OVWeightQuantizationConfig(**how)).save_pretrained(half)
    shutil.rmtree(source)
    half.rename(folder)


class Run:
    def __init__(self, folder, o, width, vocab):
        import openvino_genai as genai
        self.genai, self.o, self.width, self.vocab, self.asked = genai, o, width, vocab, 0
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size, scheduler.max_num_seqs = 2, width
        scheduler.max_num_batched_tokens = width * max(o.prompt, 1)
        scheduler.dynamic_split_fuse = scheduler.enable_prefix_caching = False
        self.pipe = genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", {
            "INFERENCE_NUM_THREADS": o.threads, "PERFORMANCE_HINT": "LATENCY", "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP})

    def once(self, generate):
        """Seconds of the prompts, and of the `generate` tokens after the first, which comes with the prompts."""
        import numpy
        import openvino
        how = self.genai.GenerationConfig(max_new_tokens=generate + 1, ignore_eos=True, do_sample=False)
        handles = []
        for i in range(self.width):
            ids = numpy.array([common.tokens(self.o.prompt, self.vocab, self.asked)], dtype=numpy.int64)
            handles.append(self.pipe.add_request(self.asked, openvino.Tensor(ids), how))
            self.asked += 1
        first, steps = common.seconds(self.pipe.step), [0]

        def rest():
            while self.pipe.has_non_finished_requests():
                self.pipe.step()
                steps[0] += 1
        then = common.seconds(rest)
        if steps[0] != generate:
            raise SystemExit(f"OpenVINO: {steps[0]} steps for {generate} tokens: prompts were split")
        return first, then

    def measure(self):
        prefill, decode = [], []
        self.once(2)
        for _ in range(self.o.repeat):
            first, then = self.once(self.o.generate)
            prefill.append(self.width * self.o.prompt / first)
            decode.append(self.width * self.o.generate / then)
        return prefill, decode


def main():
    o = common.options(__doc__, ("--gyr", {"type": Path, "required": True}), ("--cache", {"type": Path, "required": True}))
    config, kind = shape.of(o.gyr, o.model)
    import openvino_genai
    for width in o.widths:
        if not config or kind not in BITS or not o.prompt:
            common.put("OpenVINO", openvino_genai.__version__)
            continue
        folder = o.cache / f"{o.model.stem}-openvino-int{BITS[kind]}"
        make(folder, config, BITS[kind])
        common.put("OpenVINO", openvino_genai.__version__, *Run(folder, o, width, config["vocab_size"]).measure())


if __name__ == "__main__":
    main()
