#!/usr/bin/env python3
"""llama.cpp as the Python package llama-cpp-python has it, by its C calls, in the way of llama-bench and llama-batched-bench.

bench/compare lets pip compile the package for this very machine. As llama-bench does: batches of 2,048 tokens computed 512
at a time, a run to warm up, random tokens, nothing sampled. As an expert would: the file mapped, weights repacked, and flash
attention as is faster, each work by itself.
"""
import os
import re
import statistics
import sys
from importlib import metadata
from pathlib import Path

import common
from llama_cpp import llama_cpp as lib

BATCH, PIECE = 2048, 512
# What of this machine a build for it has to use: the names of Linux, and llama.cpp's.
USES = {"avx2": "AVX2", "fma": "FMA", "avx512f": "AVX512", "avx512_vnni": "AVX512_VNNI", "avx512_bf16": "AVX512_BF16",
        "amx_int8": "AMX_INT8", "asimddp": "DOTPROD", "i8mm": "MATMUL_INT8", "sve": "SVE"}


def must_be_native():
    said = lib.llama_print_system_info().decode()
    has = set(re.findall(r"(\w+) = 1", said))
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    lacks = [theirs for flag, theirs in USES.items() if flags and flag in flags[1].split() and theirs not in has]
    if lacks:
        sys.exit(f"llama.cpp was built without {', '.join(lacks)}, which this CPU has: build it with a newer compiler, or "
                 "name a build by --llama-bench")
    return said


class Batch:
    """One call's tokens: (token, position, sequence), the logits of the last of each sequence wanted."""

    def __init__(self, rows):
        self.batch = lib.llama_batch_init(len(rows), 0, 1)
        self.batch.n_tokens = len(rows)
        last = {sequence: i for i, (_, _, sequence) in enumerate(rows)}
        for i, (token, position, sequence) in enumerate(rows):
            self.batch.token[i], self.batch.pos[i] = token, position
            self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
            self.batch.logits[i] = last[sequence] == i

    def free(self):
        lib.llama_batch_free(self.batch)


class Run:
    """A context for so many sequences; their prompts and answers are batches made beforehand."""

    def __init__(self, model, o, width, flash):
        how = lib.llama_context_default_params()
        how.n_ctx = width * -(-(o.prompt + o.generate) // 256) * 256
        how.n_batch, how.n_ubatch, how.n_seq_max = BATCH, PIECE, width
        how.n_threads = how.n_threads_batch = o.threads
        how.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = lib.llama_init_from_model(model, how)
        if not self.context:
            sys.exit("llama.cpp: no context; is there memory enough?")
        vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        words = iter(common.tokens(width * (o.prompt + o.generate), vocab))
        rows = [(next(words), i, s) for s in range(width) for i in range(o.prompt)]
        self.prompts = [Batch(rows[i:i + BATCH]) for i in range(0, len(rows), BATCH)]
        self.steps = [Batch([(next(words), o.prompt + i, s) for s in range(width)]) for i in range(o.generate)]
        self.width, self.o = width, o

    def compute(self, batches):
        for b in batches:
            status = lib.llama_decode(self.context, b.batch)
            if status:
                sys.exit(f"llama.cpp: llama_decode: {status}")
            lib.llama_synchronize(self.context)

    def measure(self):
        """Tokens/s of the prompts and of the answers, lists of them."""
        prefill, decode = [], []
        for repeat in range(-1, self.o.repeat):
            lib.llama_memory_clear(lib.llama_get_memory(self.context), False)
            first = common.seconds(lambda: self.compute(self.prompts))
            then = common.seconds(lambda: self.compute(self.steps[:1] if repeat < 0 else self.steps))
            if repeat >= 0:
                prefill.append(self.width * self.o.prompt / first)
                decode.append(self.width * self.o.generate / then)
        for b in (*self.prompts, *self.steps):
            b.free()
        lib.llama_free(self.context)
        return prefill if self.o.prompt else [], decode if self.o.generate else []


def main():
    o = common.options(__doc__)
    log = lib.llama_log_callback(lambda level, text, _: level == 4 and sys.stderr.write(text.decode(errors="replace")))
    lib.llama_log_set(log, None)
    lib.llama_backend_init()
    built = must_be_native()
    how = lib.llama_model_default_params()
    how.n_gpu_layers, how.use_mmap, how.use_extra_bufts = 0, True, True
    model = lib.llama_model_load_from_file(os.fsencode(o.model), how)
    if not model:
        sys.exit(f"llama.cpp: cannot load {o.model}")
    version = f"llama-cpp-python {metadata.version('llama-cpp-python')}"
    for width in o.widths:
        tried = [Run(model, o, width, flash).measure() for flash in (True, False)]
        best = [max(of, key=lambda values: statistics.median(values or [0])) for of in zip(*tried)]
        common.put("llama.cpp", version, *best, build=built, flash=[best[i] is tried[0][i] for i in (0, 1)])


if __name__ == "__main__":
    main()
