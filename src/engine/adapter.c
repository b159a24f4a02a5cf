// Adapters of a model, which its sessions may have.
#include "engine/adapter.h"
#include "engine/ranks.h"
#include "engine/saved.h"

#include <stdlib.h>
#include <string.h>

static bool fill(struct gyr_adapter *a, const char *path, gyr_error *e) {
    struct adapter_file *f = adapter_open(path, e);
    bool ok = f && (a->bound = adapter_bind(f, a->model->model, e)) &&
              file_checksum(f->c, "gyr adapter 1", pool_threads(a->model->workers), a->checksum, e);
    if (ok && !(a->path = strdup(path))) ok = fail_memory(e, path);
    adapter_close(f);
    return ok && model_sync(a->model->model, e);
}

struct adapter *adapter_again(const struct gyr_adapter *a, const struct gyr_model *m, gyr_error *e) {
    char checksum[65];
    struct adapter *bound = NULL;
    struct adapter_file *f = adapter_open(a->path, e);
    if (f && file_checksum(f->c, "gyr adapter 1", pool_threads(m->workers), checksum, e)) {
        if (strcmp(checksum, a->checksum))
            fail(e, GYR_UNSUPPORTED, "%s: is not the adapter any more that it was when it was opened", a->path);
        else
            bound = adapter_bind(f, m->model, e);
    }
    adapter_close(f);
    return bound;
}

struct gyr_adapter *adapter_here(struct gyr_model *m, const char *path, uint32_t number, gyr_error *e) {
    gyr_error made = {0};
    gyr_adapter none = {0}, *a = calloc(1, sizeof *a);
    if (a) *a = (gyr_adapter){.model = m, .number = number};
    bool ok = a ? fill(a, path, &made) : fail_memory(&made, path);
    if (ranks_agree_adapter(m, ok, &made, (a ? a : &none)->checksum, e)) {
        a->next = m->adapters;
        a->link = &m->adapters;
        if (a->next) a->next->link = &a->next;
        m->adapters = a;
        return a;
    }
    gyr_adapter_close(a);
    return NULL;
}

gyr_adapter *gyr_adapter_open(gyr_model *m, const char *path, gyr_error *e) {
    uint32_t number = ++m->adapters_opened;
    if (m->gone.status) return fail_null(e, m->gone.status, "%s", m->gone.message);
    return ranks_tell_adapter(m, number, path, e) ? adapter_here(m, path, number, e) : NULL;
}

void gyr_adapter_close(gyr_adapter *a) {
    if (!a) return;
    if (a->link) ranks_drop_adapter(a);
    if (a->link) *a->link = a->next;
    if (a->next) a->next->link = a->link;
    adapter_free(a->bound);
    free(a->path);
    free(a);
}

void gyr_adapter_checksum(const gyr_adapter *a, char checksum[65]) {
    memcpy(checksum, a->checksum, sizeof a->checksum);
}

uint64_t gyr_adapter_bytes(const gyr_adapter *a) { return a->bound ? adapter_bytes(a->bound) : 0; }

uint64_t session_identity(const struct gyr_session *s) {
    struct check c = {{0}};
    uint64_t model = model_identity(s->model), all;
    if (!s->adapter) return model;
    check_add(&c, &model, sizeof model);
    check_add(&c, s->adapter->checksum, sizeof s->adapter->checksum);
    all = check_end(&c);
    return all + !all;
}

gyr_status gyr_adapter_save(const gyr_adapter *a, const char *path, gyr_error *e) {
    gyr_error made = {0};
    if (!model_here(a->model, "writing an adapter", &made)) return status_of(false, &made, e);
    return status_of(adapter_save(a->bound, path, &made), &made, e);
}
