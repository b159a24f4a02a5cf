// A checkpoint of training: what is needed to go on as if nothing had happened (docs/training.md).
#include "base/map.h"
#include "base/out.h"
#include "train/tune.h"

#include <string.h>
#include <unistd.h>

static const char magic[8] = "gyrtune";

enum { VERSION = 2 };

// Numbers are little-endian. Behind the header three arrays of `numbers` floats: those that are trained, and the two
// averages of their gradients; and a check of all before it.
struct header {
    char magic[8];
    uint32_t version, edition;
    uint64_t training; // what the training depends on, as a number
    uint64_t steps, done, numbers;
    uint64_t unused[2]; // 0
};

_Static_assert(sizeof(struct header) == 64 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as the format says");

// A check that any changed word changes: not against somebody who wants to deceive.
static uint64_t mix(uint64_t h, const void *data, size_t n) {
    const uint8_t *p = data;
    for (uint64_t word = 0; n; p += sizeof word, n -= n < sizeof word ? n : sizeof word, word = 0) {
        memcpy(&word, p, n < sizeof word ? n : sizeof word);
        h = (h ^ word) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 29;
    }
    return h;
}

static uint64_t mix_lessons(uint64_t h, const struct lessons *all) {
    for (size_t i = 0; i < all->n; i++) {
        const struct lesson *l = &all->items[i];
        h = mix(mix(h, l->ids, l->n * sizeof *l->ids), l->weight, l->n * sizeof *l->weight);
    }
    return h;
}

// Everything that the bytes of the result depend on: the model, the examples as tokens, the options. The validation
// examples change nothing.
uint64_t tune_identity(const struct gyr_tune *t) {
    const gyr_tune_options *o = &t->o;
    double reals[] = {o->alpha, o->learning_rate, o->warmup, o->weight_decay, o->clip};
    uint64_t wholes[] = {o->rank,      o->epochs, o->batch,     o->schedule, o->seed,
                         t->lessons.n, t->adam.n, o->optimizer, o->rslora};
    uint64_t h = mix(mix(1, t->checksum, sizeof t->checksum), reals, sizeof reals);
    for (uint32_t i = 0; i < t->m->h.layers; i++)
        for (unsigned s = 0; s < trainee_slots(t->t); s++) {
            uint64_t rank = trainee_pair(t->t, i, s)->rank;
            h = mix(h, &rank, sizeof rank);
        }
    return mix_lessons(mix(h, wholes, sizeof wholes), &t->lessons);
}

static struct header header_of(const struct gyr_tune *t) {
    struct header h = {.version = VERSION,
                       .edition = gyr_edition(),
                       .training = tune_identity(t),
                       .steps = t->steps,
                       .done = t->adam.steps,
                       .numbers = t->adam.n};
    memcpy(h.magic, magic, sizeof h.magic);
    return h;
}

bool tune_state_save(const struct gyr_tune *t, gyr_error *e) {
    struct header h = header_of(t);
    const float *parts[] = {t->numbers, t->adam.mean, t->adam.square};
    size_t bytes = t->adam.n * sizeof(float);
    uint64_t check = mix(0, &h, sizeof h);
    struct out *o = out_open(t->state, 0600, e);
    bool ok = o && out_reserve(o, sizeof h + 3 * bytes + sizeof check, e) && out_write(o, &h, sizeof h, e);
    for (int i = 0; ok && i < 3; i++) {
        check = mix(check, parts[i], bytes);
        ok = out_write(o, parts[i], bytes, e);
    }
    ok = ok && out_write(o, &check, sizeof check, e);
    if (o) ok = out_close(o, ok, ok ? e : NULL) && ok;
    return ok;
}

static bool check_header(const struct gyr_tune *t, const struct header *h, size_t size, gyr_error *e) {
    struct header want = header_of(t);
    if (memcmp(h->magic, magic, sizeof magic))
        return fail(e, GYR_MALFORMED, "%s: is no checkpoint of a training; remove it", t->state);
    if (h->version != VERSION || h->edition != want.edition)
        return fail(e, GYR_UNSUPPORTED, "%s: was written by another version of gyr; remove it to begin anew", t->state);
    if (h->training != want.training || h->steps != want.steps || h->numbers != want.numbers || h->done > h->steps)
        return fail(e, GYR_FAILED,
                    "%s: a checkpoint of another training: the model, the data or the options differ; take those that "
                    "it was begun with, or remove the file to begin anew",
                    t->state);
    if (size != sizeof *h + 3 * t->adam.n * sizeof(float) + sizeof(uint64_t))
        return fail(e, GYR_MALFORMED, "%s: is cut short; remove it to begin anew", t->state);
    return true;
}

static bool take(struct gyr_tune *t, const struct map *file, gyr_error *e) {
    struct header h;
    uint64_t check;
    size_t bytes = t->adam.n * sizeof(float), all = file->size - sizeof check;
    if (file->size < sizeof h + sizeof check)
        return fail(e, GYR_MALFORMED, "%s: is cut short; remove it to begin anew", t->state);
    memcpy(&h, file->data, sizeof h);
    memcpy(&check, file->data + all, sizeof check);
    if (!check_header(t, &h, file->size, e)) return false;
    const uint8_t *at = file->data + sizeof h;
    uint64_t is = mix(0, &h, sizeof h);
    for (int i = 0; i < 3; i++) is = mix(is, at + (size_t)i * bytes, bytes);
    if (is != check) return fail(e, GYR_MALFORMED, "%s: is damaged; remove it to begin anew", t->state);
    memcpy(t->numbers, at, bytes);
    memcpy(t->adam.mean, at + bytes, bytes);
    memcpy(t->adam.square, at + 2 * bytes, bytes);
    t->adam.steps = h.done;
    return true;
}

bool tune_state_load(struct gyr_tune *t, gyr_error *e) {
    struct map file;
    if (!map_open(&file, t->state, e)) return false;
    bool ok = take(t, &file, e);
    map_close(&file);
    return ok;
}
