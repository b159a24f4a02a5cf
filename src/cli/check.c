#include "check.h"

#include "open.h"
#include "output.h"
#include "pull.h"
#include "signals.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Batches, one after the other: tokens of so many sequences each. Few rows and many go to different kernels, which take
// 4, 8 and 64 of them at a time; the first fills more than two pages of the cache.
static const struct batch { size_t sequences, tokens; } batches[] = {{1, 70}, {1, 1}, {1, 3}, {1, 9}, {5, 1}, {5, 13}};

enum { BATCHES = sizeof batches / sizeof *batches, SEQUENCES = 5, MOST_ROWS = 70, CONTEXT = 128 };

static const struct {
    gyr_kv_type type;
    const char *name;
} caches[] = {{GYR_KV_F32, "f32"}, {GYR_KV_F16, "f16"}, {GYR_KV_Q8, "q8"}};

// In all of which the poet is written; it comes in Q8_0.
static const char *const types[] = {"f32",  "f16",  "bf16", "q4_0", "q4_1",   "q5_0",   "q5_1", "q2_k",
                                    "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "mxfp4"};

// A model on one of the two.
struct side {
    gyr_model *model;
    gyr_session *session[SEQUENCES];
    float *scores; // [MOST_ROWS][vocab]
};

struct checking {
    const char *device;
    char title[192];         // "cuda:0 (NVIDIA H200)"
    struct side right, card; // `card` is what is checked
    uint32_t vocab;
    bool plain; // the CPU itself is checked
    bool differs;
};

// ------------------------------------------------------------------------------- one model

static void end_sessions(struct side *s) {
    for (size_t i = 0; i < SEQUENCES; i++) {
        gyr_session_free(s->session[i]);
        s->session[i] = NULL;
    }
}

static void close_side(struct side *s) {
    end_sessions(s);
    gyr_model_close(s->model);
    free(s->scores);
    *s = (struct side){0};
}

static gyr_model *open_one(const char *path, const char *device, gyr_error *e) {
    static const gyr_error none = {GYR_USAGE, "no model: none is built into this program; name one with -m FILE"};
    const void *image;
    size_t size;
    gyr_model_options o = {.device = device};
    if (path) return gyr_model_open(path, &o, e);
    if (poet_image(&image, &size)) return gyr_model_open_memory("poet", image, size, &o, e);
    *e = none;
    return NULL;
}

// What counts as right: of a card the CPU's bytes, of the CPU those of the plain C that defines them.
static gyr_model *open_right(const struct checking *c, const char *path, gyr_error *e) {
    const char *isa = getenv("GYR_ISA");
    char *before = isa ? strdup(isa) : NULL;
    if (c->plain) setenv("GYR_ISA", "scalar", 1);
    gyr_model *m = open_one(path, "cpu", e);
    if (c->plain && before)
        setenv("GYR_ISA", before, 1);
    else if (c->plain)
        unsetenv("GYR_ISA");
    free(before);
    return m;
}

static gyr_status make_room(struct side *s, gyr_error *e) {
    gyr_model_info info;
    if (!s->model) return e->status;
    gyr_model_get_info(s->model, &info);
    s->scores = malloc((size_t)MOST_ROWS * info.vocab * sizeof *s->scores);
    if (!s->scores) *e = (gyr_error){GYR_NO_MEMORY, "devices: out of memory; close other programs"};
    return s->scores ? GYR_OK : GYR_NO_MEMORY;
}

static gyr_status begin_sessions(struct side *s, gyr_kv_type kv, uint32_t context, gyr_error *e) {
    for (size_t i = 0; i < SEQUENCES; i++) {
        s->session[i] = gyr_session_new(s->model, &(gyr_session_options){.context = context, .kv_type = kv}, e);
        if (!s->session[i]) return e->status;
    }
    return GYR_OK;
}

static gyr_status feed(struct side *s, const struct batch *b, uint32_t vocab, gyr_error *e) {
    gyr_input inputs[SEQUENCES];
    int32_t ids[MOST_ROWS];
    for (size_t i = 0; i < b->sequences; i++) {
        size_t before = gyr_session_length(s->session[i]);
        for (size_t t = 0; t < b->tokens; t++)
            ids[i * b->tokens + t] = (int32_t)((7919 * (before + t + 31 * i) + 3) % vocab);
        inputs[i] = (gyr_input){.session = s->session[i],
                                .ids = ids + i * b->tokens,
                                .count = b->tokens,
                                .logits = s->scores + i * b->tokens * vocab};
    }
    return gyr_sessions_feed(inputs, b->sequences, e);
}

// A NaN's payload is the chip's own.
static bool same_number(float a, float b) { return !memcmp(&a, &b, sizeof a) || (isnan(a) && isnan(b)); }

static bool same_scores(struct checking *c, const char *weights, const char *cache, const struct batch *b) {
    for (size_t i = 0, n = b->sequences * b->tokens * c->vocab; i < n; i++) {
        float right = c->right.scores[i], card = c->card.scores[i];
        if (same_number(right, card)) continue;
        print("%s, %s cache: of %zu x %zu tokens, score %zu of row %zu is %a, and right is %a\n", weights, cache,
              b->sequences, b->tokens, i % c->vocab, i / c->vocab, (double)card, (double)right);
        c->differs = true;
        return false;
    }
    return true;
}

static gyr_status compare_cache(struct checking *c, const char *weights, size_t cache, gyr_error *e) {
    gyr_model_info info;
    size_t rows = 0, n = 0;
    gyr_model_get_info(c->right.model, &info);
    uint32_t context = info.far_context && info.far_context < CONTEXT ? info.far_context : CONTEXT;
    gyr_status status = begin_sessions(&c->right, caches[cache].type, context, e);
    if (!status) status = begin_sessions(&c->card, caches[cache].type, context, e);
    bool same = true;
    for (size_t i = 0; i < BATCHES && !status && same; i++) {
        const struct batch *b = &batches[i];
        if (gyr_session_length(c->right.session[0]) + b->tokens > gyr_session_context(c->right.session[0])) continue;
        status = interrupted() ? GYR_CANCELLED : feed(&c->right, b, c->vocab, e);
        if (!status) status = feed(&c->card, b, c->vocab, e);
        same = !status && same_scores(c, weights, caches[cache].name, b);
        rows += b->sequences * b->tokens;
        n++;
    }
    end_sessions(&c->right);
    end_sessions(&c->card);
    if (!status && same)
        print("%s, %s cache: %zu batches, %zu rows of %u scores: the same\n", weights, caches[cache].name, n, rows,
              c->vocab);
    print_flush();
    return status;
}

// `path` NULL: the poet as it is. `weights` NULL: as the model's own types are called.
static gyr_status compare_model(struct checking *c, const char *path, const char *weights, gyr_error *e) {
    gyr_model_info info;
    c->right.model = open_right(c, path, e);
    gyr_status status = make_room(&c->right, e);
    if (!status) c->card.model = open_one(path, c->device, e);
    if (!status) status = make_room(&c->card, e);
    if (!status) {
        gyr_model_get_info(c->right.model, &info);
        c->vocab = info.vocab;
        if (!weights) weights = info.types;
        for (size_t i = 0; i < sizeof caches / sizeof *caches && !status; i++) status = compare_cache(c, weights, i, e);
    }
    close_side(&c->card);
    close_side(&c->right);
    return status;
}

// ------------------------------------------------------------------------------- the poet in all types

static gyr_status write_poet(const char *path, gyr_error *e) {
    const void *image = NULL;
    size_t size = 0;
    FILE *f = poet_image(&image, &size) ? fopen(path, "we") : NULL;
    bool written = f && fwrite(image, 1, size, f) == size;
    if (f && fclose(f)) written = false;
    if (written || !image) return GYR_OK;
    e->status = GYR_IO;
    snprintf(e->message, sizeof e->message, "%.300s: %s; set TMPDIR", path, strerror(errno));
    return GYR_IO;
}

static gyr_status compare_types(struct checking *c, const char *folder, gyr_error *e) {
    char poet[400], other[400];
    snprintf(poet, sizeof poet, "%.380s/poet.gguf", folder);
    snprintf(other, sizeof other, "%.380s/other.gguf", folder);
    gyr_status status = write_poet(poet, e);
    for (size_t i = 0; i < sizeof types / sizeof *types && !status; i++) {
        gyr_quantize_options o = {.input = poet, .output = other, .type = types[i], .pure = true, .requantize = true};
        status = gyr_quantize(&o, e);
        if (!status) status = compare_model(c, other, types[i], e);
        unlink(other);
    }
    unlink(poet);
    return status;
}

static gyr_status compare_poet(struct checking *c, gyr_error *e) {
    const char *where = getenv("TMPDIR");
    char folder[300];
    gyr_status status = compare_model(c, NULL, NULL, e);
    if (status) return status;
    snprintf(folder, sizeof folder, "%.280s/gyr-XXXXXX", where && *where ? where : "/tmp");
    if (!mkdtemp(folder)) {
        e->status = GYR_IO;
        snprintf(e->message, sizeof e->message, "%s: %s; set TMPDIR", folder, strerror(errno));
        return GYR_IO;
    }
    status = compare_types(c, folder, e);
    rmdir(folder);
    return status;
}

// ------------------------------------------------------------------------------- the device

// The first card that can be used; else the first, which says why it cannot.
static bool first_card(size_t *at) {
    bool found = false;
    gyr_device_info info;
    for (size_t i = 0; i < gyr_device_count(); i++) {
        if (gyr_device_get_info(i, &info, NULL) || info.threads) continue;
        if (!found || !info.unusable) *at = i;
        found = true;
        if (!info.unusable) break;
    }
    return found;
}

static int find_device(struct checking *c, const char *name, char own[32]) {
    gyr_error e = {0};
    gyr_device_info info;
    size_t i = 0, of_kind = 0;
    if (name ? gyr_device_find(name, &i, &e) : !first_card(&i)) {
        if (name) return report(&e);
        say_error("devices: this machine has no card to check");
        return GYR_UNSUPPORTED;
    }
    if (gyr_device_check(i, &e) || gyr_device_get_info(i, &info, &e)) return report(&e);
    for (size_t k = 0; k < i; k++) {
        gyr_device_info before;
        of_kind += !gyr_device_get_info(k, &before, NULL) && !strcmp(before.kind, info.kind);
    }
    c->plain = info.threads;
    if (c->plain)
        snprintf(own, 32, "%s", info.kind);
    else
        snprintf(own, 32, "%s:%zu", info.kind, of_kind);
    snprintf(c->title, sizeof c->title, "%s (%s)", own, info.name);
    c->device = own;
    return GYR_OK;
}

int check_device(const char *name, const char *model) {
    struct checking c = {0};
    gyr_error e = {0};
    char own[32];
    int status = GYR_OK;
    char *path = model ? find_model(model, &status) : NULL;
    if (model && !path) return status;
    status = find_device(&c, name, own);
    if (!status) {
        signals_catch();
        status = path ? compare_model(&c, path, NULL, &e) : compare_poet(&c, &e);
        if (status && status != GYR_CANCELLED) report(&e);
    }
    free(path);
    if (status) return status;
    const char *whose = c.plain ? "plain C's" : "the CPU's";
    if (!c.differs) return print("%s gives %s bytes\n", c.title, whose), GYR_OK;
    say_error("%s does not give %s bytes; do not use it%s, and please report this", c.title, whose,
              c.plain ? "" : " (--device cpu)");
    return GYR_DEVICE;
}
