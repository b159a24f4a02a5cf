#include "server/metering.h"

#include "base/clock.h"

#include <stdlib.h>

struct meter {
    struct energy *counters;
    struct energy_mark since;
    struct share *list; // that worked since
    double work;        // of all of them
};

struct meter *meter_new(struct energy *counters) {
    struct meter *m = calloc(1, sizeof *m);
    if (m) m->counters = counters;
    return m;
}

void meter_free(struct meter *m) { free(m); }

void meter_begin(struct meter *m) {
    if (m && !m->list) m->since = energy_now(m->counters, now_seconds());
}

void meter_add(struct meter *m, struct share *s, double work) {
    if (!m || !(work > 0)) return;
    if (!(s->work > 0)) {
        s->next = m->list;
        m->list = s;
    }
    s->work += work;
    m->work += work;
}

void meter_settle(struct meter *m) {
    if (!m || !m->list) return;
    struct energy_mark now = energy_now(m->counters, now_seconds());
    struct energy_spent all = energy_between(m->counters, &m->since, &now);
    while (m->list) {
        struct share *s = m->list;
        m->list = s->next;
        s->joules += all.joules * s->work / m->work;
        s->seconds += all.seconds;
        s->counted |= energy_counts(m->counters);
        s->gap |= now.gaps != m->since.gaps;
        s->least = energy_least_seconds(m->counters);
        s->work = 0;
        s->next = NULL;
    }
    m->work = 0;
    m->since = now;
}

void meter_tick(struct meter *m) {
    if (m && m->list && now_seconds() - m->since.at >= 1) meter_settle(m);
}

struct energy_spent share_spent(const struct share *s) {
    struct energy_spent spent = {.seconds = s->seconds};
    if (s->gap || !(s->joules > 0) || s->seconds < s->least) return spent;
    spent.joules = s->joules;
    spent.basis = s->counted && s->seconds >= ENERGY_SECONDS ? ENERGY_MEASURED : ENERGY_ESTIMATED;
    return spent;
}
