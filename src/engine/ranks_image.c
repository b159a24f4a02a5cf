// What all ranks keep of pages and states. By layers each has those of its own layers, and rank 0 puts them together or
// cuts them in the order in which one machine has them; by rows all have all.
#include "engine/image.h"
#include "engine/ranks.h"

#include <stdlib.h>
#include <string.h>

struct kv_layout image_layout(const struct gyr_model *m, const struct kv_cache *kv) {
    struct kv_layout all = kv->layout;
    for (int k = 0; m->has && k < KV_KINDS; k++) {
        all.n[k] = 0;
        for (uint32_t i = 0; i < ranks_count(m->ranks); i++) all.n[k] += m->has[i].layers[k];
    }
    return all;
}

uint64_t image_state_bytes(const struct gyr_model *m) {
    uint64_t all = 0;
    if (!m->has) return state_pool_bytes(&m->states);
    for (uint32_t i = 0; i < ranks_count(m->ranks); i++) all += m->has[i].state;
    return all;
}

// What a rank has of an image: the same pages, and these bytes of its own part of the state.
struct share {
    struct image of;
    size_t pages, behind; // bytes of the pages; where its part of the state is, behind the pages in the image of all
};

static struct share share_of(const struct gyr_model *m, const struct image *all, uint32_t rank) {
    struct share s = {*all, image_own_size(all) - all->bytes, 0};
    struct kv_layout own = all->kv->layout;
    size_t begin = 0;
    if (!m->has) return s;
    for (int k = 0; k < KV_KINDS; k++) own.n[k] = m->has[rank].layers[k];
    s.pages = all->n * (size_t)kv_cache_bytes(own, PAGE_TOKENS);
    for (uint32_t i = 0; i < rank; i++) begin += m->has[i].state;
    size_t end = begin + m->has[rank].state, last = all->at + all->bytes;
    size_t first = all->at > begin ? all->at : begin;
    if (last > end) last = end;
    if (first >= last) first = last = begin;
    s.of.at = first - begin;
    s.of.bytes = last - first;
    s.behind = s.of.bytes ? first - all->at : 0;
    return s;
}

// Between the image of all and a rank's, one of which is written. In both a page has one kind's layers behind the
// other's; in that of all, each kind has the ranks' in turn.
static void exchange(const struct gyr_model *m, const struct share *s, uint32_t rank, uint8_t *all, uint8_t *own,
                     bool gather) {
    const struct kv_cache *kv = s->of.kv;
    struct kv_layout whole = image_layout(m, kv);
    size_t before[KV_KINDS] = {0};
    for (int k = 0; k < KV_KINDS; k++)
        for (uint32_t i = 0; i < rank; i++) before[k] += m->has[i].layers[k];
    for (size_t p = 0; p < s->of.n; p++)
        for (int k = 0; k < KV_KINDS; k++) {
            const struct kv_shape *shape = &whole.shape[k];
            size_t layer = kv_key_bytes(shape) + kv_value_bytes(shape), n = layer * m->has[rank].layers[k];
            memcpy(gather ? all + layer * before[k] : own, gather ? own : all + layer * before[k], n);
            all += layer * whole.n[k];
            own += n;
        }
    all += s->behind;
    memcpy(gather ? all : own, gather ? own : all, s->of.bytes);
}

// What a rank is told, to read what it has of an image, or to write it.
static bool put(struct gyr_model *m, enum errand errand, const struct share *s, const uint8_t *data, struct buf *b) {
    const struct image *i = &s->of;
    struct pass_head h = ranks_head(m, i->kv, errand);
    struct sequence_head of = {(uintptr_t)i->state, (uint32_t)i->n, 0};
    const struct image_told told = {i->from, i->to, i->at, i->bytes};
    h.sequences = 1;
    ranks_begin(m, &h, b);
    buf_append(b, &of, sizeof of);
    buf_append(b, i->page, i->n * sizeof *i->page);
    buf_append(b, &told, sizeof told);
    if (data) buf_append(b, data, s->pages + i->bytes);
    return !b->failed;
}

// Tells all of them, or, where there is no memory, none: one that was not told would not know of the pages that were
// copied before. Of an image that is written, `part` has room for what a rank has of `all`.
static bool ask(struct gyr_model *m, enum errand errand, const struct image *image, uint8_t *all, uint8_t *part,
                uint32_t *asked, gyr_error *e) {
    uint32_t n = ranks_count(m->ranks);
    struct buf *b = calloc(n, sizeof *b);
    bool ok = b;
    for (uint32_t i = 1; ok && i < n; i++) {
        struct share s = share_of(m, image, i);
        if (part && m->has) exchange(m, &s, i, all, part, false);
        ok = put(m, errand, &s, part, b + i);
    }
    if (!ok) fail_memory(e, "ranks");
    for (; ok && *asked < n; *asked += ok)
        ok = ranks_send(m->ranks, *asked, PARCEL_PASS, b[*asked].data, b[*asked].size, e);
    if (*asked > 1) ranks_noted(m);
    for (uint32_t i = 1; b && i < n; i++) buf_free(b + i);
    free(b);
    return ok;
}

// Hears the answers of those that were asked, [1, n), whether all is well so far or not; what they have read goes into
// `all`. The first error counts.
static bool hear(struct gyr_model *m, const struct image *image, uint32_t n, uint8_t *all, bool ok, gyr_error *e) {
    for (uint32_t i = 1; i < n; i++) {
        struct share s = share_of(m, image, i);
        struct buf b = {0};
        gyr_error made = {0};
        bool came = ranks_receive(m->ranks, i, PARCEL_RESULT, &b, &made);
        if (came && b.size != (all ? s.pages + s.of.bytes : 0))
            came = ranks_blame(m->ranks, i, GYR_FAILED, "sent pages of another size", &made);
        if (came && ok && all) exchange(m, &s, i, all, (uint8_t *)b.data, true);
        if (!came && ok) fail(e, made.status, "%s", made.message);
        ok &= came;
        buf_free(&b);
        if (ranks_lost(m->ranks)) break;
    }
    return ok;
}

bool image_read(struct gyr_model *m, const struct image *i, uint8_t *to, gyr_error *e) {
    if (!m->has) return image_read_own(m, i, to, e);
    struct share own = share_of(m, i, 0);
    uint32_t asked = 1;
    uint8_t *mine = malloc(own.pages + own.of.bytes + 1);
    bool ok = mine ? ask(m, ERRAND_READ, i, NULL, NULL, &asked, e) : fail_memory(e, "ranks");
    ok = ok && image_read_own(m, &own.of, mine, e);
    if (ok) exchange(m, &own, 0, to, mine, true);
    free(mine);
    return hear(m, i, asked, to, ok, e);
}

// By rows all get the same; by layers each what it has.
bool image_write(struct gyr_model *m, const struct image *i, const uint8_t *from, gyr_error *e) {
    if (!m->ranks) return image_write_own(m, i, from, e);
    uint32_t asked = 1;
    uint8_t *all = (uint8_t *)(uintptr_t)from; // which is only read
    uint8_t *part =
        m->has ? malloc(i->n * (size_t)kv_cache_bytes(image_layout(m, i->kv), PAGE_TOKENS) + i->bytes + 1) : all;
    bool ok = part ? ask(m, ERRAND_WRITE, i, all, part, &asked, e) : fail_memory(e, "ranks");
    if (ok) {
        struct share own = share_of(m, i, 0);
        if (m->has) exchange(m, &own, 0, all, part, false);
        ok = image_write_own(m, &own.of, part, e);
    }
    if (m->has) free(part);
    return hear(m, i, asked, NULL, ok, e);
}
