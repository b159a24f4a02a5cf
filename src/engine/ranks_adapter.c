// Adapters of a model on several ranks: each binds to its part of the model what the file has for that.
#include "engine/adapter.h"
#include "engine/ranks.h"

#include <stdlib.h>
#include <string.h>

// What rank 0 tells the others of an adapter, with its path behind where it is opened.
struct adapter_errand {
    uint32_t what, number;
};

static bool tell(struct gyr_model *m, enum errand what, uint32_t number, const char *path, gyr_error *e) {
    struct adapter_errand h = {what, number};
    struct buf b = {0};
    buf_append(&b, &h, sizeof h);
    buf_append(&b, path, strlen(path));
    bool ok = !b.failed || fail_memory(e, "ranks");
    for (uint32_t i = 1; ok && i < ranks_count(m->ranks); i++)
        ok = ranks_send(m->ranks, i, PARCEL_PASS, b.data, b.size, e);
    buf_free(&b);
    return ok;
}

bool ranks_tell_adapter(struct gyr_model *m, uint32_t number, const char *path, gyr_error *e) {
    return !m->ranks || tell(m, ERRAND_OPEN, number, path, e);
}

bool ranks_agree_adapter(struct gyr_model *m, bool ok, const gyr_error *why, const char checksum[65], gyr_error *e) {
    struct ranks *r = m->ranks;
    struct buf all = {0};
    if (!r) return ok || fail(e, why->status, "%s", why->message);
    ok = ranks_agree(r, ok, why, checksum, 65, &all, e);
    for (uint32_t i = 1; ok && i < ranks_count(r); i++)
        if (memcmp(all.data, all.data + 65 * (size_t)i, 65) != 0)
            ok = ranks_blame(r, i, GYR_USAGE, "has another adapter there than rank 0; give all ranks the same", e);
    buf_free(&all);
    return ok;
}

void ranks_drop_adapter(const struct gyr_adapter *a) {
    struct gyr_model *m = a->model;
    if (m->ranks && !ranks_own(m->ranks) && !ranks_lost(m->ranks)) tell(m, ERRAND_CLOSE, a->number, "", NULL);
}

struct gyr_adapter *ranks_adapter(const struct gyr_model *m, uint32_t number) {
    struct gyr_adapter *a = m->adapters;
    while (a && a->number != number) a = a->next;
    return a;
}

// What is wrong here, rank 0 hears and says.
static void follow_open(struct gyr_model *m, uint32_t number, const char *path, size_t size) {
    char *copy = strndup(path, size);
    adapter_here(m, copy ? copy : "", number, NULL);
    free(copy);
}

bool ranks_errand(struct gyr_model *m, const struct buf *message) {
    struct adapter_errand h;
    if (message->size < sizeof h) return false;
    memcpy(&h, message->data, sizeof h);
    if (h.what == ERRAND_OPEN) follow_open(m, h.number, message->data + sizeof h, message->size - sizeof h);
    if (h.what == ERRAND_CLOSE) gyr_adapter_close(ranks_adapter(m, h.number));
    return h.what == ERRAND_OPEN || h.what == ERRAND_CLOSE;
}

void ranks_let_go_adapters(struct gyr_model *m) {
    for (struct gyr_adapter *a = m->adapters; a; a = a->next) {
        adapter_free(a->bound);
        a->bound = NULL;
    }
}

bool ranks_bind_adapters(struct gyr_model *m, bool ok, gyr_error *e) {
    gyr_error made = {0};
    struct buf all = {0};
    if (!ok) return false;
    for (struct gyr_adapter *a = m->adapters; ok && a; a = a->next) ok = (a->bound = adapter_again(a, m, &made));
    ok = m->ranks ? ranks_agree(m->ranks, ok, &made, NULL, 0, &all, e) : ok || fail(e, made.status, "%s", made.message);
    buf_free(&all);
    return ok;
}
