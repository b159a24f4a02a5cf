// The files beside a tokenizer's: a tokenizer_config.json, an added_tokens.json and a generation_config.json, with a
// zero byte between them, for a small vocabulary. Whatever they hold, text can be encoded afterwards, or one line says
// why not.
#include "format/hf_vocab.h"
#include "use_vocab.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char base[] =
    "{\"added_tokens\": [{\"id\": 6, \"content\": \"<|end|>\", \"special\": true, \"rstrip\": true}], \"model\":"
    " {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"byte_fallback\": true, \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2,"
    " \"<unk>\": 3, \"</s>\": 4, \"<0x41>\": 5}, \"merges\": [\"a b\"]}}";

static void check(const struct vocab *v) {
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] < 0 || (size_t)v->ends[i] >= v->n) abort();
    for (size_t i = 0; i < v->n; i++)
        if (v->kinds[i] < TOKEN_NORMAL || v->kinds[i] > TOKEN_BYTE || (v->tokens[i].size && !v->tokens[i].data))
            abort();
    for (size_t i = 0; i < v->n_notes; i++)
        if (!v->notes[i][0] || strchr(v->notes[i], '\n')) abort();
    use_vocab(v);
}

static void apply(const struct hf_sides *s, bool ids) {
    gyr_error e = {0};
    struct vocab v;
    struct keys keys = {0};
    struct sampling_advice advice;
    bool ok = tokenizer_json(base, sizeof base - 1, "T", &v, &e) && hf_added(s, ids, &v, "T", &e) &&
              hf_generation(s->generation, &keys, &v, &advice, "T", &e);
    if (!ok && (e.status == GYR_OK || !e.message[0])) abort();
    if (ok) check(&v);
    vocab_free(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *files[3] = {0};
    const char *p = (const char *)data, *end = p + size;
    for (size_t i = 0; i < 3 && p <= end; i++) {
        const char *stop = i < 2 ? memchr(p, 0, (size_t)(end - p)) : NULL;
        if (!stop) stop = end;
        files[i] = json_parse(p, (size_t)(stop - p), 0, "T", NULL);
        p = stop + 1;
    }
    struct hf_sides s = {files[0], files[1], files[2]};
    apply(&s, false);
    apply(&s, true);
    for (size_t i = 0; i < 3; i++) json_decref(files[i]);
    return 0;
}
