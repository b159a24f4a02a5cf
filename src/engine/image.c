#include "engine/image.h"

#include <stdlib.h>
#include <string.h>

static size_t page_bytes(const struct kv_cache *kv) { return (size_t)kv_cache_bytes(kv->layout, PAGE_TOKENS); }

size_t image_own_size(const struct image *i) { return i->n * page_bytes(i->kv) + i->bytes; }

// The positions of page p that count.
struct counted {
    size_t first, last;
};

static struct counted counts(const struct image *i, size_t p) {
    size_t begin = p * PAGE_TOKENS, end = begin + PAGE_TOKENS;
    return (struct counted){i->from > begin ? i->from - begin : 0, i->to < end ? i->to - begin : PAGE_TOKENS};
}

static size_t largest(const struct kv_cache *kv) {
    size_t most = 1;
    for (const struct kv_shape *s = kv->layout.shape; s < kv->layout.shape + KV_KINDS; s++) {
        size_t keys = kv_key_bytes(s), values = kv_value_bytes(s);
        most = keys > most ? keys : most;
        most = values > most ? values : most;
    }
    return most;
}

// Positions of a page that do not count may hold what others left there: zeros instead.
static bool blank(const struct image *i, uint8_t *at, gyr_error *e) {
    uint8_t *edge = NULL;
    for (size_t p = 0; p < i->n; p++, at += page_bytes(i->kv)) {
        struct counted is = counts(i, p);
        if (!is.first && is.last == PAGE_TOKENS) continue;
        if (!edge && !(edge = malloc(largest(i->kv)))) return fail_memory(e, "pages");
        uint8_t *in = at;
        for (size_t a = 0; a < kv_cache_arrays(i->kv); a++) {
            struct kv_piece piece = kv_cache_piece(i->kv, a, i->page[p]);
            memset(edge, 0, piece.bytes);
            kv_piece_copy(&piece, edge, in, is.first, is.last);
            memcpy(in, edge, piece.bytes);
            in += piece.bytes;
        }
    }
    free(edge);
    return true;
}

// The parts of a state that its devices have.
static void move_state(const struct gyr_model *m, const struct image *i, uint8_t *to, const uint8_t *from) {
    size_t begin = 0, end = i->at + i->bytes;
    for (uint32_t k = 0; i->bytes && k < m->states.sides; k++) {
        struct device *d = m->states.device[k];
        size_t bytes = m->states.floats[k] * sizeof(float);
        size_t first = i->at > begin ? i->at : begin, last = end < begin + bytes ? end : begin + bytes;
        if (first < last) {
            dbyte *at = (dbyte *)i->state->at[k] + (first - begin);
            if (to)
                d->ops->read(d, to + (first - i->at), at, last - first);
            else
                d->ops->write(d, at, from + (first - i->at), last - first);
        }
        begin += bytes;
    }
}

bool image_read_own(struct gyr_model *m, const struct image *i, uint8_t *to, gyr_error *e) {
    uint8_t *at = to;
    for (size_t p = 0; p < i->n; p++)
        for (size_t a = 0; a < kv_cache_arrays(i->kv); a++) {
            struct kv_piece piece = kv_cache_piece(i->kv, a, i->page[p]);
            if (piece.bytes) piece.device->ops->read(piece.device, at, piece.at, piece.bytes);
            at += piece.bytes;
        }
    move_state(m, i, at, NULL);
    return model_sync(m->model, e) && blank(i, to, e);
}

// A page whose first positions do not count keeps what it has there.
static bool write_behind(const struct kv_piece *piece, const uint8_t *from, size_t first, uint8_t *edge, gyr_error *e) {
    struct device *d = piece->device;
    d->ops->read(d, edge, piece->at, piece->bytes);
    if (!d->ops->sync(d, e)) return false;
    kv_piece_copy(piece, edge, from, first, PAGE_TOKENS);
    d->ops->write(d, piece->at, edge, piece->bytes);
    return true;
}

bool image_write_own(struct gyr_model *m, const struct image *i, const uint8_t *from, gyr_error *e) {
    bool ok = true;
    uint8_t *edge = i->from ? malloc(largest(i->kv)) : NULL;
    if (i->from && !edge) return fail_memory(e, "pages");
    for (size_t p = 0; p < i->n; p++)
        for (size_t a = 0; ok && a < kv_cache_arrays(i->kv); a++) {
            struct kv_piece piece = kv_cache_piece(i->kv, a, i->page[p]);
            size_t first = counts(i, p).first;
            if (piece.bytes && first)
                ok = write_behind(&piece, from, first, edge, e);
            else if (piece.bytes)
                piece.device->ops->write(piece.device, piece.at, from, piece.bytes);
            from += piece.bytes;
        }
    if (ok) move_state(m, i, NULL, from);
    free(edge);
    return ok;
}
