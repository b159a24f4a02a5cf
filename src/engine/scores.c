#include "engine/scores.h"

#include <string.h>

void session_keep_scores(struct gyr_session *s) {
    const float *from = s->given;
    s->given = NULL;
    if (from && s->has_logits) memcpy(s->own, from, s->model->model->h.vocab * sizeof *s->own);
}

// Room grows by doubling, since what a card reaches by itself takes long to get; but not beyond what a pass gives.
static size_t next_size(const struct gyr_model *m, size_t had, size_t floats) {
    size_t most = run_wanted(m->run, GIVES_LOGITS) * (size_t)m->model->h.vocab, twice = had < most / 2 ? 2 * had : most;
    size_t want = floats > twice ? floats : twice;
    return had ? want : floats + !floats;
}

// Of two rooms passes write to one in turns: of those who were in the last pass nobody has anything in the other.
float *scores_room(struct gyr_model *m, size_t floats, gyr_error *e) {
    struct scores_room *r = &m->scores.room[m->scores.turn ^ 1];
    for (struct gyr_session *s = r->at ? m->sessions : NULL; s; s = s->next)
        if (s->given && s->given >= r->at && s->given < r->at + r->floats) session_keep_scores(s);
    if (r->at && floats <= r->floats) return r->at;
    if (r->at) device_host_free(m->device, r->at);
    size_t want = next_size(m, r->floats, floats);
    r->at = device_host_alloc(m->device, want * sizeof *r->at, e);
    r->floats = r->at ? want : 0;
    return r->at;
}

void scores_free(struct gyr_model *m) {
    for (int i = 0; i < 2; i++)
        if (m->scores.room[i].at) device_host_free(m->device, m->scores.room[i].at);
    memset(&m->scores, 0, sizeof m->scores);
}
