// The goldens of tools/goldens/falcon.py: what transformers computes with the tiny Falcons of tests/data/falcon.
#ifndef TESTS_MODEL_GOLDEN_H
#define TESTS_MODEL_GOLDEN_H

#include "gyr.h"
#include "test.h"

#include <stdint.h>

enum { MAX_GOLDEN = 512 };

struct ids {
    int32_t id[MAX_GOLDEN];
    size_t n;
};

struct golden {
    struct ids vocab, prompt, greedy, text, rows; // `vocab` holds one number, the size; `rows` are positions in `text`
    float *logits;                                // [prompt.n + rows.n][vocab]
};

// The files of one kind hold the same weights, in different formats, types and numbers of parts.
struct golden_kind {
    const char *name;
    const char *files[4];
};

static const struct golden_kind golden_kinds[] = {
    {"7b", {"7b/hf", "7b/model-00001-of-00002.gguf", "7b/model-00002-of-00002.gguf"}},
    {"40b", {"40b/hf", "40b/model.gguf"}},
    {"11b", {"11b/hf", "11b/model.gguf"}},
    {"rw", {"rw/hf", "rw/model.gguf"}},
};

enum { GOLDEN_KINDS = sizeof golden_kinds / sizeof *golden_kinds };

static inline const char *golden_path(const char *file) {
    char name[160];
    snprintf(name, sizeof name, "falcon/%s", file);
    return test_data(name);
}

// Reads "name: number number ...".
static inline bool golden_line(FILE *f, const char *name, struct ids *out) {
    char word[32];
    out->n = 0;
    if (fscanf(f, "%31s", word) != 1 || strncmp(word, name, strlen(name)) || word[strlen(name)] != ':') return false;
    while (out->n < MAX_GOLDEN && fscanf(f, "%d", &out->id[out->n]) == 1) out->n++;
    return out->n;
}

static inline bool golden_load(const char *kind, struct golden *g) {
    char file[64];
    snprintf(file, sizeof file, "%s/golden.txt", kind);
    FILE *f = fopen(golden_path(file), "r");
    bool ok = f && golden_line(f, "vocab", &g->vocab) && golden_line(f, "prompt", &g->prompt) &&
              golden_line(f, "greedy", &g->greedy) && golden_line(f, "text", &g->text) &&
              golden_line(f, "rows", &g->rows);
    if (f) fclose(f);
    g->logits = NULL;
    if (!ok) return false;
    size_t n = (g->prompt.n + g->rows.n) * (size_t)g->vocab.id[0];
    snprintf(file, sizeof file, "%s/logits.bin", kind);
    f = fopen(golden_path(file), "rb");
    g->logits = malloc(n * sizeof(float));
    ok = f && g->logits && fread(g->logits, sizeof(float), n, f) == n && fgetc(f) == EOF;
    if (f) fclose(f);
    return ok;
}

static inline void golden_free(struct golden *g) {
    free(g->logits);
    g->logits = NULL;
}

#endif
