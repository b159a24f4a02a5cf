// The models of tools/goldens/models.py: their weights drawn from hashes, and written as a Hugging Face folder and as a
// GGUF file.
#ifndef TESTS_MODEL_DRAWN_H
#define TESTS_MODEL_DRAWN_H

#include "format/gguf_write.h"
#include "gyr.h"
#include "test.h"

#include <stdint.h>

enum { MAX_DRAWN = 128, DRAWN_TENSORS = 1024, DRAWN_LINE = 1 << 16 };

struct drawn_tensor {
    char name[128];
    int n_dims;
    uint64_t dim[4]; // slowest first
    size_t n;
    float *data;       // where it is packed: 16 times a block's scale and the code, for each element
    bool gguf, packed; // packed: MXFP4
};

struct drawn {
    char kind[64], *config;
    int vocab, text_n, prompt_n, greedy_n;
    uint32_t context; // that sessions ask for; 0: none in particular
    bool letters;     // the GGUF file is to have a tokenizer, of 64 letters, and a chat template
    int32_t text[MAX_DRAWN], greedy[MAX_DRAWN];
    float *logits; // [text_n][vocab]
    struct drawn_tensor tensor[DRAWN_TENSORS];
    size_t n_tensors;
    char *keys[64]; // "KIND NAME VALUE"
    size_t n_keys;
};

static inline const char *drawn_path(const char *name, const char *end) {
    char file[160];
    snprintf(file, sizeof file, "models/%.100s.%s", name, end);
    return test_data(file);
}

// A file of a test's folder; good for the next seven calls.
static inline const char *drawn_file(const char *folder, const char *name) {
    static char path[8][128];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

// The top byte of output i of splitmix64 from state `hash`.
static inline uint8_t drawn_byte(uint64_t hash, uint64_t i) {
    uint64_t z = hash + (i + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint8_t)((z ^ z >> 31) >> 56);
}

static inline float drawn_element(uint64_t hash, float center, int exponent, uint64_t i) {
    return center + ldexpf((float)(int8_t)drawn_byte(hash, i), -exponent);
}

// The elements of "OFFSET AXES (COUNT STRIDE)..." are at[0], at[1], ... of something; 0 if there are too many.
static inline size_t drawn_view(const char *line, long long *at, size_t room) {
    long long offset, count[8], stride[8];
    int axes, used;
    size_t n = 1;
    if (sscanf(line, "%lld %d%n", &offset, &axes, &used) != 2 || axes > 8) return 0;
    for (int i = 0, more; i < axes; i++, used = more) {
        if (sscanf(line += used, "%lld %lld%n", &count[i], &stride[i], &more) != 2) return 0;
        n *= (size_t)count[i];
    }
    for (size_t i = 0; i < n && i < room; i++) {
        size_t rest = i;
        at[i] = offset;
        for (int a = axes - 1; a >= 0; rest /= (size_t)count[a--])
            at[i] += (long long)(rest % (size_t)count[a]) * stride[a];
    }
    return n > room ? 0 : n;
}

// What a line says is done to each element: nothing ("from"), -e^x ("decay"), x * M ("times M"), or each N of them
// divided by their length ("unit N").
static inline const char *drawn_change(const char *line, float *times, size_t *unit) {
    char *end = NULL;
    bool decay = !strncmp(line, "decay ", 6);
    *times = !strncmp(line, "times ", 6) ? strtof(line + 6, &end) : decay ? -1 : 0;
    *unit = !strncmp(line, "unit ", 5) ? strtoul(line + 5, &end, 10) : 0;
    return end ? end + 1 : line + (decay ? 6 : 5);
}

static inline void drawn_unit(float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    for (size_t i = 0; i < n; i++) x[i] = (float)((double)x[i] / sqrt(sum));
}

// "from HASH CENTER EXPONENT OFFSET AXES (COUNT STRIDE)...": appends what it describes at t->data + at.
static inline size_t drawn_piece(const char *line, struct drawn_tensor *t, size_t at) {
    unsigned long long hash;
    float center, times;
    int exponent, used;
    size_t unit;
    line = drawn_change(line, &times, &unit);
    if (sscanf(line, "%llx %f %d%n", &hash, &center, &exponent, &used) != 3) return 0;
    long long *from = malloc((t->n - at + 1) * sizeof *from);
    size_t n = from ? drawn_view(line + used, from, t->n - at) : 0;
    for (size_t i = 0; i < n; i++) {
        float x = drawn_element(hash, center, exponent, (uint64_t)from[i]);
        t->data[at + i] = times < 0 ? (float)-exp((double)x) : times > 0 ? x * times : x;
    }
    for (size_t i = 0; unit && i + unit <= n; i += unit) drawn_unit(t->data + at + i, unit);
    free(from);
    return n;
}

// "codes HASH HASH LEAST" and a view: MXFP4's codes, and which of four scales.
static inline size_t drawn_codes(const char *line, struct drawn_tensor *t, size_t at) {
    unsigned long long codes, scales;
    int least, used;
    if (sscanf(line, "codes %llx %llx %d%n", &codes, &scales, &least, &used) != 3) return 0;
    long long *from = malloc((t->n - at + 1) * sizeof *from);
    size_t n = from ? drawn_view(line + used, from, t->n - at) : 0;
    for (size_t i = 0; i < n; i++) {
        int code = drawn_byte(codes, (uint64_t)from[i]) & 15, scale = drawn_byte(scales, (uint64_t)from[i] / 32) & 3;
        t->data[at + i] = (float)(16 * (least + scale) + code);
    }
    free(from);
    return n;
}

// "given N number ...": the numbers themselves.
static inline size_t drawn_given(const char *line, struct drawn_tensor *t, size_t at) {
    char *p;
    size_t n = strtoul(line + strlen("given"), &p, 10);
    for (size_t i = 0; i < n && at + i < t->n; i++) t->data[at + i] = strtof(p, &p);
    return n;
}

static inline bool drawn_new_tensor(struct drawn *d, const char *line) {
    struct drawn_tensor *t = &d->tensor[d->n_tensors];
    char kind[8];
    int used;
    if (d->n_tensors == DRAWN_TENSORS || sscanf(line, "%7s %127s %d%n", kind, t->name, &t->n_dims, &used) != 3)
        return false;
    t->gguf = !strncmp(kind, "gguf", 4);
    t->packed = strchr(kind, '4');
    t->n = 1;
    char *p = (char *)(uintptr_t)line + used;
    for (int i = 0; i < t->n_dims && i < 4; i++) t->n *= t->dim[i] = strtoull(p, &p, 10);
    t->data = malloc(t->n * sizeof *t->data);
    d->n_tensors++;
    return t->data;
}

static inline int drawn_ids(const char *line, const char *word, int32_t *ids) {
    char *p;
    int n = (int)strtol(line + strlen(word), &p, 10);
    for (int i = 0; i < n && i < MAX_DRAWN; i++) ids[i] = (int32_t)strtol(p, &p, 10);
    return n;
}

static inline bool drawn_starts(const char *line, const char *word) { return !strncmp(line, word, strlen(word)); }

// One line; `filled` counts the elements of the last tensor.
static inline bool drawn_line(struct drawn *d, char *line, size_t *filled) {
    struct drawn_tensor *last = d->n_tensors ? &d->tensor[d->n_tensors - 1] : NULL;
    bool tensor = drawn_starts(line, "hf ") || drawn_starts(line, "gguf ") || drawn_starts(line, "hf4 ") ||
                  drawn_starts(line, "gguf4 ");
    if (tensor) {
        bool whole = !last || *filled == last->n;
        *filled = 0;
        return whole && drawn_new_tensor(d, line);
    }
    bool piece = drawn_starts(line, "from ") || drawn_starts(line, "decay ") || drawn_starts(line, "times ") ||
                 drawn_starts(line, "unit ");
    if (last && piece) return (*filled += drawn_piece(line, last, *filled));
    if (last && drawn_starts(line, "codes ")) return (*filled += drawn_codes(line, last, *filled));
    if (last && drawn_starts(line, "given ")) return (*filled += drawn_given(line, last, *filled));
    if (drawn_starts(line, "key ")) return d->n_keys < 64 && (d->keys[d->n_keys++] = strdup(line + 4));
    if (drawn_starts(line, "config ")) return (d->config = strdup(line + 7));
    if (drawn_starts(line, "kind ")) return snprintf(d->kind, sizeof d->kind, "%s", line + 5) > 0;
    if (drawn_starts(line, "vocab ")) return (d->vocab = (int)strtol(line + 6, NULL, 10));
    if (drawn_starts(line, "prompt ")) return (d->prompt_n = (int)strtol(line + 7, NULL, 10));
    if (drawn_starts(line, "context ")) return (d->context = (uint32_t)strtoul(line + 8, NULL, 10));
    if (drawn_starts(line, "text ")) return (d->text_n = drawn_ids(line, "text", d->text));
    if (drawn_starts(line, "greedy ")) return (d->greedy_n = drawn_ids(line, "greedy", d->greedy));
    return false;
}

static inline bool drawn_logits(struct drawn *d, const char *name) {
    size_t n = (size_t)(d->text_n * d->vocab);
    FILE *f = fopen(drawn_path(name, "bin"), "rb");
    d->logits = malloc(n * sizeof(float));
    bool ok = f && d->logits && fread(d->logits, sizeof(float), n, f) == n && fgetc(f) == EOF;
    if (f) fclose(f);
    return ok;
}

static inline bool drawn_load(struct drawn *d, const char *name) {
    FILE *f = fopen(drawn_path(name, "txt"), "r");
    char *line = malloc(DRAWN_LINE);
    size_t filled = 0;
    bool ok = f && line;
    memset(d, 0, sizeof *d);
    while (ok && fgets(line, DRAWN_LINE, f)) {
        line[strcspn(line, "\n")] = 0;
        ok = drawn_line(d, line, &filled);
        if (!ok) printf("  %s: cannot be read: %.60s\n", name, line);
    }
    free(line);
    if (f) fclose(f);
    return ok && d->n_tensors && d->config && drawn_logits(d, name);
}

static inline bool drawn_packed(const struct drawn *d) {
    bool packed = false;
    for (size_t i = 0; i < d->n_tensors; i++) packed |= d->tensor[i].packed;
    return packed;
}

static inline void drawn_free(struct drawn *d) {
    for (size_t i = 0; i < d->n_tensors; i++) free(d->tensor[i].data);
    for (size_t i = 0; i < d->n_keys; i++) free(d->keys[i]);
    free(d->config);
    free(d->logits);
}

static inline bool drawn_write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;
    return f && !fclose(f) && ok;
}

// An entry of the header, `size` bytes from *at on: the tensor's shape, its last number divided by `by`, and `more`.
static inline void drawn_entry(FILE *m, const struct drawn_tensor *t, const char *end, const char *dtype, int by,
                               const char *more, size_t size, size_t *at) {
    fprintf(m, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", *at ? "," : "{", t->name, end, dtype);
    for (int k = 0; k < t->n_dims; k++)
        fprintf(m, "%s%llu", k ? "," : "", (unsigned long long)t->dim[k] / (unsigned)(k + 1 == t->n_dims ? by : 1));
    fprintf(m, "%s],\"data_offsets\":[%zu,%zu]}", more, *at, *at + size);
    *at += size;
}

static inline void drawn_entries(FILE *m, const struct drawn_tensor *t, size_t *at) {
    if (t->packed) {
        drawn_entry(m, t, "_blocks", "U8", 32, ",16", t->n / 2, at);
        drawn_entry(m, t, "_scales", "U8", 32, "", t->n / 32, at);
    } else
        drawn_entry(m, t, "", "F32", 1, "", t->n * 4, at);
}

static inline int drawn_code(const struct drawn_tensor *t, size_t i) { return (int)t->data[i] & 15; }

// Two elements that lie side by side make a byte; the scales follow.
static inline bool drawn_put_packed(const struct drawn_tensor *t, FILE *f) {
    bool ok = true;
    for (size_t i = 0; i < t->n; i += 2) ok &= fputc(drawn_code(t, i) | drawn_code(t, i + 1) << 4, f) != EOF;
    for (size_t i = 0; i < t->n; i += 32) ok &= fputc((int)t->data[i] / 16, f) != EOF;
    return ok;
}

static inline bool drawn_write_safetensors(const struct drawn *d, const char *path) {
    char *head = NULL;
    size_t size = 0, at = 0;
    FILE *m = open_memstream(&head, &size), *f = fopen(path, "wb");
    for (size_t i = 0; i < d->n_tensors; i++)
        if (!d->tensor[i].gguf) drawn_entries(m, &d->tensor[i], &at);
    fputs("}", m);
    fclose(m);
    uint64_t n = size;
    bool ok = f && fwrite(&n, sizeof n, 1, f) && fwrite(head, 1, size, f) == size;
    for (size_t i = 0; ok && i < d->n_tensors; i++) {
        const struct drawn_tensor *t = &d->tensor[i];
        if (!t->gguf) ok = t->packed ? drawn_put_packed(t, f) : fwrite(t->data, 4, t->n, f) == t->n;
    }
    free(head);
    return f && !fclose(f) && ok;
}

// A list of whole numbers, or of truths.
static inline void drawn_put_list(struct gguf_writer *w, char kind, const char *name, const char *value) {
    int32_t number[64];
    bool truth[64];
    size_t n = 0;
    for (char *p, *at = (char *)(uintptr_t)value; n < 64; at = p, n++) {
        number[n] = (int32_t)strtol(at, &p, 10);
        truth[n] = number[n] != 0;
        if (p == at) break;
    }
    if (kind == 'I') gguf_put_i32s(w, name, number, n);
    if (kind == 'B') gguf_put_bools(w, name, truth, n);
}

static inline void drawn_put_key(struct gguf_writer *w, const char *key) {
    char kind, name[128];
    int used;
    if (sscanf(key, "%c %127s %n", &kind, name, &used) != 2) return;
    const char *value = key + used;
    if (kind == 's') gguf_put_cstring(w, name, value);
    if (kind == 'u') gguf_put_u32(w, name, (uint32_t)strtoul(value, NULL, 10));
    if (kind == 'f') gguf_put_f32(w, name, strtof(value, NULL));
    if (kind == 'b') gguf_put_bool(w, name, *value == '1');
    if (kind == 'I' || kind == 'B') drawn_put_list(w, kind, name, value);
}

// A block is its scale, and 16 bytes of elements that are 16 apart.
static inline bool drawn_put_data(struct gguf_writer *w, const struct drawn_tensor *t, gyr_error *e) {
    bool ok = true;
    if (!t->packed) return gguf_writer_data(w, t->data, t->n * 4, e);
    for (size_t at = 0; ok && at < t->n; at += 32) {
        uint8_t block[17] = {(uint8_t)(t->data[at] / 16)};
        for (size_t i = 0; i < 16; i++)
            block[1 + i] = (uint8_t)(drawn_code(t, at + i) | drawn_code(t, at + i + 16) << 4);
        ok = gguf_writer_data(w, block, sizeof block, e);
    }
    return ok;
}

static inline void drawn_put_letters(struct gguf_writer *w) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    struct text tokens[64] = {[62] = {"\xC4\xA0", 2}, [63] = {"\xC4\x8A", 2}}; // a space, a line's end
    for (size_t i = 0; i < sizeof letters - 1; i++) tokens[i] = (struct text){letters + i, 1};
    gguf_put_cstring(w, "tokenizer.ggml.model", "gpt2");
    gguf_put_cstring(w, "tokenizer.ggml.pre", "gpt-2");
    gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, 64);
    gguf_put_strings(w, "tokenizer.ggml.merges", NULL, 0);
    gguf_put_cstring(w, "tokenizer.chat_template", "{% for m in messages %}{{ m.content }}{% endfor %}");
}

static inline bool drawn_write_gguf(const struct drawn *d, const char *path, gyr_error *e) {
    struct gguf_writer *w = gguf_writer_new(path, e);
    if (!w) return false;
    for (size_t i = 0; i < d->n_keys; i++) drawn_put_key(w, d->keys[i]);
    if (d->letters) drawn_put_letters(w);
    for (size_t i = 0; i < d->n_tensors; i++) {
        const struct drawn_tensor *t = &d->tensor[i];
        uint64_t dim[4] = {1, 1, 1, 1};
        for (int k = 0; k < t->n_dims; k++) dim[k] = t->dim[t->n_dims - 1 - k];
        if (t->gguf) gguf_put_tensor(w, t->name, t->packed ? TYPE_MXFP4 : TYPE_F32, t->n_dims, dim);
    }
    bool ok = gguf_writer_begin(w, e);
    for (size_t i = 0; ok && i < d->n_tensors; i++)
        if (d->tensor[i].gguf) ok = drawn_put_data(w, &d->tensor[i], e);
    return gguf_writer_end(w, ok, ok ? e : NULL) && ok;
}

#endif
