#include "engine/saved.h"

#include <string.h>

const char saved_magic[8] = "gyrsaved";

// ------------------------------------------------------------------------------- the check

static void add_block(struct check *c, const uint8_t *block) {
    for (size_t l = 0; l < 4; l++) {
        uint64_t v;
        memcpy(&v, block + 8 * l, sizeof v);
        uint64_t h = (c->lane[l] ^ v) * 0x9e3779b97f4a7c15u;
        c->lane[l] = h ^ h >> 29;
    }
}

void check_add(struct check *c, const void *data, size_t n) {
    const uint8_t *p = data;
    size_t have = c->bytes % sizeof c->rest, room = sizeof c->rest - have;
    if (!n) return; // of nothing, which may be nowhere
    c->bytes += n;
    if (have) {
        size_t some = n < room ? n : room;
        memcpy(c->rest + have, p, some);
        if (some < room) return;
        add_block(c, c->rest);
        p += some;
        n -= some;
    }
    for (; n >= sizeof c->rest; p += sizeof c->rest, n -= sizeof c->rest) add_block(c, p);
    memcpy(c->rest, p, n);
}

uint64_t check_end(struct check *c) {
    size_t have = c->bytes % sizeof c->rest;
    if (have) {
        memset(c->rest + have, 0, sizeof c->rest - have);
        add_block(c, c->rest);
    }
    uint64_t h = c->bytes;
    for (size_t l = 0; l < 4; l++) {
        h = (h ^ c->lane[l]) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 31;
    }
    return h;
}

static uint64_t check_of(const void *data, size_t n) {
    struct check c = {{0}};
    check_add(&c, data, n);
    return check_end(&c);
}

uint64_t saved_prefix(const int32_t *ids, size_t n) { return check_of(ids, n * sizeof *ids); }

uint64_t saved_check(const struct saved *h) { return check_of(h, offsetof(struct saved, check)); }

uint64_t saved_size(const struct saved *h) {
    uint64_t pages = kv_cache_pages(h->to) - h->from / PAGE_TOKENS, bytes, all = sizeof *h + sizeof(uint64_t);
    const struct {
        uint64_t n, size;
    } parts[] = {
        {h->to - h->from, sizeof(int32_t)}, {h->logits, sizeof(float)}, {h->state, sizeof(float)}, {pages, h->page}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (__builtin_mul_overflow(parts[i].n, parts[i].size, &bytes) || __builtin_add_overflow(all, bytes, &all))
            return 0;
    return all;
}

size_t saved_page(const struct gyr_session *s) {
    return (size_t)kv_cache_bytes(image_layout(s->model, s->kv), PAGE_TOKENS);
}

struct image saved_pages(const struct gyr_session *s, size_t page, size_t n, size_t from, size_t to) {
    size_t first = page * PAGE_TOKENS, end = first + n * PAGE_TOKENS;
    return (struct image){.kv = s->kv,
                          .page = s->pages.page + page,
                          .n = n,
                          .from = from > first ? from - first : 0,
                          .to = (to < end ? to : end) - first};
}

// ------------------------------------------------------------------------------- the model

static void add_text(struct check *c, struct text t) {
    check_add(c, &t.size, sizeof t.size);
    check_add(c, t.data, t.size);
}

static void add_value(struct check *c, const struct value *v) {
    size_t n = v->kind == VALUE_ARRAY ? v->array.n : 1;
    check_add(c, &v->kind, sizeof v->kind);
    check_add(c, &n, sizeof n);
    for (size_t i = 0; i < n; i++) {
        struct value one = value_at(v, i);
        if (one.kind == VALUE_STRING) {
            add_text(c, one.s);
            continue;
        }
        double number = one.kind == VALUE_BOOL ? one.b : value_number(&one);
        check_add(c, &one.kind, sizeof one.kind);
        check_add(c, &number, sizeof number);
    }
}

static void add_tensor(struct check *c, const struct tensor *t) {
    uint64_t sample = t->data ? cache_sample(0, t->data, t->bytes) : 0;
    add_text(c, t->name);
    check_add(c, &t->type, sizeof t->type);
    check_add(c, t->dim, sizeof t->dim);
    check_add(c, &sample, sizeof sample);
}

static void add_contents(struct check *c, const struct checkpoint *file) {
    struct text key;
    const struct value *v;
    for (size_t i = 0; checkpoint_key(file, i, &key, &v); i++) {
        add_text(c, key);
        add_value(c, v);
    }
    for (size_t i = 0; i < file->n_tensors; i++) add_tensor(c, &file->tensors[i]);
}

static uint64_t number_of(struct check *c) {
    uint64_t n = check_end(c);
    return n + !n;
}

uint64_t checkpoint_identity(const struct checkpoint *file) {
    struct check c = {{0}};
    add_contents(&c, file);
    return number_of(&c);
}

uint64_t model_identity(struct gyr_model *m) {
    const struct checkpoint *file = m->checkpoint;
    struct check c = {{0}};
    if (m->identity) return m->identity;
    uint64_t stamp = checkpoint_stamp(file);
    check_add(&c, &stamp, sizeof stamp);
    add_contents(&c, file);
    return m->identity = number_of(&c);
}
