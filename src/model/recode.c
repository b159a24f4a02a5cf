#include "model/recode.h"

#include "base/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

// A tensor's rows are whole blocks without gaps between them, so slices need not mind where rows end.
enum { SLICE = 1 << 16, SLICES_PER_THREAD = 4, PIECE = 1 << 22 };

struct recoder {
    const struct recode_options *o;
    struct pool *pool;
    size_t slices; // at once
    float *floats; // [slices][SLICE]
    uint8_t *blocks;
    uint64_t done; // bytes of the sources

    const struct recode_source *s; // being converted
    enum type to;
    uint64_t first;  // element where the slices at work begin
    atomic_bool odd; // a weight is not finite
};

struct recoder *recoder_new(const struct recode_options *o, gyr_error *e) {
    struct recoder *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(e, o->output), NULL;
    r->o = o;
    r->pool = pool_new(o->threads, e);
    bool ok = r->pool;
    if (ok) {
        r->slices = (size_t)pool_threads(r->pool) * SLICES_PER_THREAD;
        r->floats = calloc(r->slices, SLICE * sizeof *r->floats);
        r->blocks = calloc(r->slices, SLICE * sizeof(float)); // no type takes more
        ok = (r->floats && r->blocks) || fail_memory(e, o->output);
    }
    if (ok) return r;
    recoder_free(r);
    return NULL;
}

void recoder_free(struct recoder *r) {
    if (!r) return;
    if (r->pool) pool_free(r->pool);
    free(r->floats);
    free(r->blocks);
    free(r);
}

static size_t slice_size(const struct recoder *r, size_t i) {
    uint64_t left = r->s->count - r->first, at = (uint64_t)i * SLICE;
    return (size_t)(left <= at ? 0 : left - at < SLICE ? left - at : SLICE);
}

static void convert_slice(void *arg, size_t i) {
    struct recoder *r = arg;
    size_t n = slice_size(r, i);
    float *x = r->floats + i * SLICE;
    uint8_t *blocks = r->blocks + type_row_bytes(r->to, (uint64_t)i * SLICE);
    if (r->s->copy && r->s->from == r->to) {
        r->s->copy(r->s->arg, r->first + (uint64_t)i * SLICE, n, blocks);
        return;
    }
    r->s->read(r->s->arg, r->first + (uint64_t)i * SLICE, n, x);
    const struct type_info *to = type_info(r->to);
    for (size_t k = 0; to->quantized && k < n; k++)
        if (!isfinite(x[k])) r->odd = true;
    if (!r->odd) to->encode(x, n, blocks);
}

static bool report(struct recoder *r, uint64_t bytes, gyr_error *e) {
    r->done += bytes;
    if (!r->o->progress || r->o->progress(r->o->user, (double)r->done / (double)r->o->total)) return true;
    return fail(e, GYR_CANCELLED, "%s: stopped", r->o->output);
}

static bool convert(struct recoder *r, struct gguf_writer *w, gyr_error *e) {
    const struct recode_source *s = r->s;
    for (r->first = 0; r->first < s->count;) {
        uint64_t most = (uint64_t)r->slices * SLICE, left = s->count - r->first, n = left < most ? left : most;
        pool_run(r->pool, (size_t)((n + SLICE - 1) / SLICE), convert_slice, r);
        if (r->odd)
            return fail(e, GYR_MALFORMED, "%s: tensor %.*s has weights that are not finite; get the file again",
                        r->o->input, (int)(s->name.size < 100 ? s->name.size : 100), s->name.data);
        if (!gguf_writer_data(w, r->blocks, type_row_bytes(r->to, n), e) || !report(r, type_row_bytes(s->from, n), e))
            return false;
        r->first += n;
    }
    return true;
}

static bool copy(struct recoder *r, struct gguf_writer *w, gyr_error *e) {
    uint64_t bytes = type_row_bytes(r->to, r->s->count);
    for (uint64_t at = 0, n; at < bytes; at += n) {
        n = bytes - at < PIECE ? bytes - at : PIECE;
        if (!gguf_writer_data(w, r->s->as_is + at, (size_t)n, e) || !report(r, n, e)) return false;
    }
    return true;
}

bool recode(struct recoder *r, struct gguf_writer *w, const struct recode_source *s, enum type to, gyr_error *e) {
    r->s = s;
    r->to = to;
    r->odd = false;
    return (s->as_is && s->from == to ? copy : convert)(r, w, e);
}
