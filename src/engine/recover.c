// Going on after a rank was lost: the model is bound among those that are left, and what sessions had in the caches and
// states of the old parts is computed again from their tokens, which rank 0 has.
#include "engine/ranks.h"

#include <stdlib.h>
#include <string.h>

static void empty_session(struct gyr_session *s) {
    if (s->kv) kv_cache_trim(s->kv, &s->pages, 0);
    state_pool_give(&s->model->states, s->state);
    s->state = NULL;
    s->kv = NULL;
    s->length = s->known = 0;
    s->has_logits = false;
}

static void drop_part(struct gyr_model *m) {
    for (struct gyr_session *s = m->sessions; s; s = s->next) empty_session(s);
    for (int i = 0; i < KV_POOLS; i++) kv_cache_free(m->kv[i]);
    memset(m->kv, 0, sizeof m->kv);
    state_pool_free(&m->states);
    ranks_let_go_adapters(m);
    run_free(m->run);
    m->run = NULL;
    kept_close(m->kept);
    m->kept = NULL;
    model_free(m->model);
    m->model = NULL;
    if (m->spread) spread_unlink(m->spread);
    model_unspread(m);
    ranks_noted(m);
    free(m->has);
    m->has = NULL;
    m->whole = (struct whole){0};
}

static bool give_pools(struct gyr_model *m, gyr_error *e) {
    for (struct gyr_session *s = m->sessions; s; s = s->next)
        if (!(s->kv = session_pool(s, e))) return false;
    return true;
}

// Nothing is computed any more; who asks what the model is still gets an answer.
static bool give_up(struct gyr_model *m, gyr_error *e) {
    m->gone = *e;
    drop_part(m);
    m->model = model_look(m->checkpoint, m->device, NULL);
    return false;
}

bool ranks_recover(struct gyr_model *m, gyr_error *e) {
    struct ranks *r = m->ranks;
    bool ok;
    do {
        if (!ranks_close_up(r, e)) return give_up(m, e);
        drop_part(m);
        if (ranks_count(r) == 1) m->ranks = NULL;
        ok = ranks_bind_adapters(m, model_bind_part(m, true, NULL, e), e) && give_pools(m, e);
    } while (!ok && ranks_lost(r));
    return ok || give_up(m, e);
}

gyr_status gyr_model_recover(gyr_model *m, gyr_error *e) {
    gyr_error made = {0};
    if (!m->ranks || ranks_own(m->ranks) || !ranks_lost(m->ranks))
        return status_of(fail(&made, GYR_USAGE, "%s: no rank is lost", m->checkpoint->path), &made, e);
    return status_of(ranks_recover(m, &made), &made, e);
}
