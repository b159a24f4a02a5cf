// What the tokenizer's tests share.
#ifndef TESTS_TEXT_TOKENIZERS_H
#define TESTS_TEXT_TOKENIZERS_H

#include "base/map.h"
#include "format/checkpoint.h"
#include "format/hf.h"
#include "test.h"
#include "text/tokenizer_impl.h"

// A tokenizer and the vocabulary it came from, of a GGUF file or a tokenizer.json.
struct opened {
    struct checkpoint *checkpoint;
    struct vocab vocab;
    struct tokenizer *t;
};

static inline bool ends_with(const char *s, const char *end) {
    return strlen(s) > strlen(end) && !strcmp(s + strlen(s) - strlen(end), end);
}

static inline bool open_json(struct opened *o, const char *path, gyr_error *e) {
    size_t size;
    char *data = read_file(path, 1 << 24, &size, e);
    bool ok = data && (ends_with(path, ".model") ? spm_model : tokenizer_json)(data, size, path, &o->vocab, e);
    free(data);
    return ok;
}

// With `pre`, the pattern of that name instead of the file's own.
static inline void open_tokenizer(struct opened *o, const char *path, const char *pre) {
    gyr_error e = {0};
    *o = (struct opened){0};
    const struct vocab *v = &o->vocab;
    bool json = ends_with(path, ".json") || ends_with(path, ".model");
    bool ok = json ? open_json(o, path, &e) : (o->checkpoint = checkpoint_open(path, &e)) != NULL;
    struct vocab changed;
    if (o->checkpoint) v = &o->checkpoint->vocab;
    if (ok && pre) {
        changed = *v;
        changed.pre = (char *)(uintptr_t)pre;
        o->vocab = changed, v = &o->vocab;
    }
    if (ok) o->t = tokenizer_new(v, path, &e);
    if (!o->t) printf("  %s\n", e.message);
}

static inline void close_tokenizer(struct opened *o) {
    tokenizer_free(o->t);
    if (!o->checkpoint) vocab_free(&o->vocab);
    checkpoint_close(o->checkpoint);
}

// "[1,2,3]"; free(). What went wrong, if something did.
static inline char *encode_ids(const struct tokenizer *t, const char *text, size_t size, bool special) {
    struct tokens got = {0};
    struct buf shown = {0};
    gyr_error e = {0};
    buf_putc(&shown, '[');
    if (!tokenizer_encode(t, text, size, special, &got, &e)) buf_puts(&shown, e.message);
    for (size_t i = 0; i < got.n; i++) buf_printf(&shown, "%s%d", i ? "," : "", got.ids[i]);
    buf_putc(&shown, ']');
    tokens_free(&got);
    return buf_take(&shown);
}

static inline bool decodes_back(const struct tokenizer *t, const char *text, size_t size, bool special) {
    struct tokens got = {0};
    struct buf back = {0};
    bool ok = tokenizer_encode(t, text, size, special, &got, NULL);
    for (size_t i = 0; i < got.n; i++) tokenizer_decode(t, got.ids[i], i == 0, special, &back);
    ok = ok && back.size == size && (!size || !memcmp(back.data, text, size));
    buf_free(&back);
    tokens_free(&got);
    return ok;
}

static inline uint32_t draw(uint32_t n) { // the same numbers every run
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

#endif
