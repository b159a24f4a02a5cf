#include "train/state.h"
#include "base/map.h"
#include "base/out.h"

#include <string.h>

enum { VERSION = 2 };

// Numbers are little-endian. Behind the header come the parts, and a check of all before it.
struct header {
    char magic[8];
    uint32_t version, edition;
    uint64_t training, steps, done, numbers;
    uint64_t unused[2]; // 0
};

_Static_assert(sizeof(struct header) == 64 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as the format says");

uint64_t state_mix(uint64_t h, const void *data, size_t n) {
    const uint8_t *p = data;
    for (uint64_t word = 0; n; p += sizeof word, n -= n < sizeof word ? n : sizeof word, word = 0) {
        memcpy(&word, p, n < sizeof word ? n : sizeof word);
        h = (h ^ word) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 29;
    }
    return h;
}

static struct header header_of(const struct state *s) {
    struct header h = {.version = VERSION,
                       .edition = gyr_edition(),
                       .training = s->training,
                       .steps = s->steps,
                       .done = s->done,
                       .numbers = s->numbers};
    memcpy(h.magic, s->magic, sizeof h.magic);
    return h;
}

static size_t bytes_of(const struct state *s) {
    size_t n = 0;
    for (int i = 0; i < STATE_PARTS; i++) n += s->part[i].n * sizeof(float);
    return n;
}

bool state_save(const struct state *s, gyr_error *e) {
    struct header h = header_of(s);
    uint64_t check = state_mix(0, &h, sizeof h);
    struct out *o = out_open(s->path, 0600, e);
    bool ok = o && out_reserve(o, sizeof h + bytes_of(s) + sizeof check, e) && out_write(o, &h, sizeof h, e);
    for (int i = 0; ok && i < STATE_PARTS; i++) {
        size_t bytes = s->part[i].n * sizeof(float);
        check = state_mix(check, s->part[i].data, bytes);
        ok = !bytes || out_write(o, s->part[i].data, bytes, e);
    }
    ok = ok && out_write(o, &check, sizeof check, e);
    if (o) ok = out_close(o, ok, ok ? e : NULL) && ok;
    return ok;
}

static bool check_header(const struct state *s, const struct header *h, size_t size, gyr_error *e) {
    struct header want = header_of(s);
    if (memcmp(h->magic, s->magic, sizeof h->magic))
        return fail(e, GYR_MALFORMED, "%s: is no checkpoint of a training; remove it", s->path);
    if (h->version != VERSION || h->edition != want.edition)
        return fail(e, GYR_UNSUPPORTED, "%s: was written by another version of gyr; remove it to begin anew", s->path);
    if (h->training != want.training || h->steps != want.steps || h->numbers != want.numbers || h->done > h->steps)
        return fail(e, GYR_FAILED,
                    "%s: a checkpoint of another training: the model, the data or the options differ; take those that "
                    "it was begun with, or remove the file to begin anew",
                    s->path);
    if (size != sizeof *h + bytes_of(s) + sizeof(uint64_t))
        return fail(e, GYR_MALFORMED, "%s: is cut short; remove it to begin anew", s->path);
    return true;
}

static bool take(struct state *s, const struct map *file, gyr_error *e) {
    struct header h;
    uint64_t check;
    if (file->size < sizeof h + sizeof check)
        return fail(e, GYR_MALFORMED, "%s: is cut short; remove it to begin anew", s->path);
    memcpy(&h, file->data, sizeof h);
    memcpy(&check, file->data + file->size - sizeof check, sizeof check);
    if (!check_header(s, &h, file->size, e)) return false;
    const uint8_t *at = file->data + sizeof h;
    uint64_t is = state_mix(0, &h, sizeof h);
    for (int i = 0; i < STATE_PARTS; at += s->part[i++].n * sizeof(float))
        is = state_mix(is, at, s->part[i].n * sizeof(float));
    if (is != check) return fail(e, GYR_MALFORMED, "%s: is damaged; remove it to begin anew", s->path);
    at = file->data + sizeof h;
    for (int i = 0; i < STATE_PARTS; at += s->part[i++].n * sizeof(float))
        if (s->part[i].n) memcpy(s->part[i].data, at, s->part[i].n * sizeof(float));
    s->done = h.done;
    return true;
}

bool state_load(struct state *s, gyr_error *e) {
    struct map file;
    if (!map_open(&file, s->path, e)) return false;
    bool ok = take(s, &file, e);
    map_close(&file);
    return ok;
}
