"""A model file in one of three engines, as a process that answers windows of tokens with the scores of what follows.

usage: engines.py gyr LIBRARY | llama.cpp | float   MODEL KV_TYPE THREADS

The first line on standard output is a JSON object: the engine's name, what it runs, the size of its vocabulary. Then each
line of standard input, a JSON object of "ids" and "first", is answered with rows of float32: the logits after ids[first],
after the one that follows, and so on to the end. tools/check/quality starts these and compares what they say.

gyr is its library by way of ctypes, so that any build will do; llama.cpp the package llama-cpp-python; float the file's
weights as float32 in transformers (packages torch, transformers, accelerate and gguf), which has nothing of either.
"""
import ctypes as c
import json
import os
import sys
from pathlib import Path


class Library:
    """libgyr by the few calls of gyr.h that this needs."""

    class Error(c.Structure):
        _fields_ = [("status", c.c_int), ("message", c.c_char * 512)]

    class Tokens(c.Structure):
        _fields_ = [("ids", c.POINTER(c.c_int32)), ("count", c.c_size_t)]

    class ModelInfo(c.Structure):
        _fields_ = [("name", c.c_char_p), ("architecture", c.c_char_p), ("types", c.c_char_p),
                    ("sizes", c.c_uint64 * 4), ("vocab", c.c_uint32), ("rest", c.c_uint32 * 64)]

    class ModelOptions(c.Structure):
        _fields_ = [("threads", c.c_uint32), ("rest", c.c_uint64 * 16)]

    class SessionOptions(c.Structure):
        _fields_ = [("context", c.c_uint32), ("kv_type", c.c_int), ("rest", c.c_uint64 * 16)]

    KV = {"default": 0, "f32": 1, "f16": 2, "q8": 3}

    def __init__(self, path):
        self.lib = c.CDLL(str(path))
        for name in ("gyr_version", "gyr_tokenizer_open", "gyr_model_open", "gyr_session_new"):
            getattr(self.lib, name).restype = c.c_void_p
        self.lib.gyr_version.restype = c.c_char_p
        self.error = self.Error()

    def must(self, result, failed):
        if failed:
            sys.exit(f"gyr: {self.error.message.decode()}")
        return result

    def tokens(self, path, text, with_begin):
        tokenizer = self.lib.gyr_tokenizer_open(str(path).encode(), c.byref(self.error))
        self.must(tokenizer, not tokenizer)
        data, out = text.encode(), self.Tokens()
        status = self.lib.gyr_tokenize(c.c_void_p(tokenizer), data, c.c_size_t(len(data)), c.c_uint(with_begin),
                                       c.byref(out), c.byref(self.error))
        self.must(None, status)
        return out.ids[:out.count]


class Gyr:
    def __init__(self, library, path, kv_type, threads):
        self.gyr = Library(library)
        lib, error = self.gyr.lib, c.byref(self.gyr.error)
        self.model = c.c_void_p(lib.gyr_model_open(os.fsencode(path), c.byref(Library.ModelOptions(threads)), error))
        self.gyr.must(self.model, not self.model)
        how = Library.SessionOptions(kv_type=Library.KV[kv_type])
        self.session = c.c_void_p(lib.gyr_session_new(self.model, c.byref(how), error))
        self.gyr.must(self.session, not self.session)
        info = Library.ModelInfo()
        lib.gyr_model_get_info(self.model, c.byref(info))
        self.vocab, self.name = info.vocab, f"gyr {lib.gyr_version().decode()}"

    def rows(self, ids, first):
        lib, error, count = self.gyr.lib, c.byref(self.gyr.error), len(ids) - first
        array, out = (c.c_int32 * len(ids))(*ids), (c.c_float * (count * self.vocab))()
        lib.gyr_session_truncate(self.session, c.c_size_t(0))
        for at, n, rows in ((0, first, None), (first, count, out)):
            here = c.byref(array, at * c.sizeof(c.c_int32))
            self.gyr.must(None, n and lib.gyr_session_feed(self.session, here, c.c_size_t(n), rows, error))
        return out


class Llama:
    TYPES = {"f32": 0, "f16": 1, "q8": 8}

    def __init__(self, path, kv_type, threads):
        import llama_cpp
        from llama_cpp import llama_cpp as lib
        self.lib, self.size, self.context, self.log = lib, 0, None, lib.llama_log_callback(self.say)
        self.options = lib.llama_context_default_params()
        self.options.n_threads = self.options.n_threads_batch = threads
        self.options.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if kv_type != "default":
            self.options.type_k = self.options.type_v = self.TYPES[kv_type]
        lib.llama_log_set(self.log, None)
        lib.llama_backend_init()
        how = lib.llama_model_default_params()
        how.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(os.fsencode(path), how)
        if not self.model:
            sys.exit(f"llama.cpp: cannot load {path}")
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        self.name = f"llama.cpp ({llama_cpp.__version__})"

    @staticmethod
    def say(level, text, _):
        if level == 4:  # errors
            sys.stderr.write(text.decode(errors="replace"))

    def start(self, size):
        """A context for windows of that size, each one batch."""
        if self.size < size:
            if self.context:
                self.lib.llama_free(self.context)
            self.size = self.options.n_ctx = self.options.n_batch = self.options.n_ubatch = size
            self.context = self.lib.llama_init_from_model(self.model, self.options)
            if not self.context:
                sys.exit("llama.cpp: no context")
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def rows(self, ids, first):
        self.start(len(ids))
        batch = self.lib.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, i, 1, 0
            batch.logits[i] = i >= first
        status = self.lib.llama_decode(self.context, batch)
        self.lib.llama_batch_free(batch)
        if status:
            sys.exit(f"llama.cpp: llama_decode: {status}")
        size = (len(ids) - first) * self.vocab
        return c.cast(self.lib.llama_get_logits(self.context), c.POINTER(c.c_float * size)).contents


class Float:
    def __init__(self, path, threads):
        os.environ["TQDM_DISABLE"] = "1"
        import torch
        import transformers
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        transformers.utils.logging.set_verbosity_error()
        self.torch, path = torch, Path(path).resolve()
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32).eval()
        self.vocab, self.name = self.model.config.vocab_size, f"transformers {transformers.__version__}, float32"

    def rows(self, ids, first):
        return self.model(self.torch.tensor([ids])).logits[0, first:].contiguous().numpy()


def main():
    out, sys.stdout = sys.stdout.buffer, sys.stderr
    kind, *library, path, kv_type, threads = sys.argv[1:]
    engine = {"gyr": lambda: Gyr(library[0], path, kv_type, int(threads)),
              "llama.cpp": lambda: Llama(path, kv_type, int(threads)), "float": lambda: Float(path, int(threads))}[kind]()
    out.write(json.dumps({"name": engine.name, "vocab": engine.vocab}).encode() + b"\n")
    out.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        out.write(memoryview(engine.rows(asked["ids"], asked["first"])).cast("B"))
        out.flush()


if __name__ == "__main__":
    main()
