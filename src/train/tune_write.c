// What was trained as an adapter.
#include "engine/inside.h"
#include "model/adapter.h"
#include "train/tune.h"

#include <stdlib.h>

static struct adapter *adapter_of(const struct gyr_tune *t, gyr_error *e) {
    size_t n = 0, most = (size_t)t->m->h.layers * trainee_slots(t->t);
    struct adapter_pair_made *pairs = calloc(most + 1, sizeof *pairs);
    if (!pairs) return fail_memory(e, "training"), NULL;
    for (uint32_t i = 0; i < t->m->h.layers; i++)
        for (unsigned s = 0; s < trainee_slots(t->t); s++) {
            const struct trained *p = trainee_pair(t->t, i, s);
            const struct linear *l = trainee_linear(t->t, i, s);
            if (!p->rank || !l) continue;
            pairs[n++] = (struct adapter_pair_made){l->number, p->rank, t->numbers + p->a, t->numbers + p->b};
        }
    struct adapter_scaling scaling = {t->o.rank, t->o.alpha, t->o.rslora};
    struct adapter *a = adapter_make(t->m, &scaling, pairs, n, e);
    free(pairs);
    return a;
}

gyr_status gyr_tune_write(const gyr_tune *t, const char *path, gyr_error *e) {
    gyr_error made = {0};
    struct adapter *a = adapter_of(t, &made);
    bool ok = a && adapter_save(a, path, &made);
    adapter_free(a);
    return status_of(ok, &made, e);
}

bool tune_write(const struct gyr_tune *t, bool try, gyr_error *e) {
    struct adapter *a = adapter_of(t, e);
    bool ok = a && (try ? adapter_can_save(a, t->output, e) : adapter_save(a, t->output, e));
    adapter_free(a);
    return ok;
}
