// Signs of life. Each rank tells rank 0 and its neighbours now and then that it is there, and rank 0 tells all, and
// which neighbour it misses, if it does; a
// thread does it, so that a long pass is no silence. A process that was stopped, a machine that hangs and a cable that
// was pulled are noticed by what does not come. Time is counted in turns of this thread, not by a clock: what stops all
// ranks alike, a suspended machine among others, makes none of them silent.
//
// Where rank 0 computes alone, the signs rest until it ends: a cable that is pulled meanwhile is nobody's business, and
// what is not sent the system's TCP does not miss either.
#include "cluster/parts.h"

#include <stdlib.h>
#include <time.h>

enum { TICK_MS = 100, BEATS = 3, USUAL_SECONDS = 10 };

// Rank 0 is told of a rank that another one misses.
static void believe(struct ranks *r, uint32_t number) {
    uint32_t rank = rank_numbered(r, number);
    if (rank && rank < r->count && atomic_load(&r->lost) < 0) atomic_store(&r->lost, (int)rank);
}

static bool heard(struct ranks *r, uint32_t from) {
    size_t n;
    bool any = false;
    uint32_t missed;
    while (r->t->found(r->number[from], TAG_PULSE, &n) == 1 && n == sizeof missed) {
        void *h = r->t->receive(r->number[from], TAG_PULSE, &missed, n);
        int is = 0;
        while (h && !(is = r->t->done(h))) { // it is here already
        }
        if (!h || is < 0) break;
        any = true;
        if (missed && !r->own) believe(r, missed - 1);
    }
    return any;
}

static void tell(struct ranks *r, uint32_t to) {
    if (r->beat[to] && !r->t->done(r->beat[to])) return; // the last one is still on its way
    r->sign[to] = atomic_load(&r->missed);
    r->beat[to] = r->t->send(r->number[to], TAG_PULSE, &r->sign[to], sizeof *r->sign);
}

// Whether there is something to hear from a rank: rank 0 hears all, and others hear it and those whose stream goes by.
static bool is_peer(const struct ranks *r, uint32_t i) {
    return i != r->own && (!i || !r->own || i + 1 == r->own || r->own + 1 == i);
}

// Of a rank that is silent to all, rank 0 is to be the one that says so.
static unsigned limit_for(const struct ranks *r, uint32_t i) { return i && r->own ? 2 * r->limit : r->limit; }

static void miss(struct ranks *r, uint32_t i) {
    if (r->own && i)
        atomic_store(&r->missed, r->number[i] + 1);
    else if (atomic_load(&r->lost) < 0)
        atomic_store(&r->lost, (int)i);
}

static void turn(struct ranks *r, unsigned number) {
    pthread_mutex_lock(&r->lock);
    if (r->own) hear_call(r);
    for (uint32_t i = 0; i < r->count; i++) {
        if (!is_peer(r, i)) continue;
        bool rests = atomic_load(&r->rests);
        if (number % BEATS == 0 && !rests) tell(r, i);
        r->silent[i] = heard(r, i) || rests ? 0 : r->silent[i] + 1;
        if (r->silent[i] > limit_for(r, i)) miss(r, i);
    }
    pthread_mutex_unlock(&r->lock);
}

static void *beat(void *arg) {
    struct ranks *r = arg;
    const struct timespec tick = {0, TICK_MS * 1000000L};
    for (unsigned n = 0; !atomic_load(&r->stop); n++) {
        turn(r, n);
        nanosleep(&tick, NULL);
    }
    return NULL;
}

static unsigned limit_of(void) {
    const char *told = getenv("GYR_RANK_TIMEOUT");
    char *end;
    unsigned long s = told ? strtoul(told, &end, 10) : 0;
    bool good = told && *told >= '0' && *told <= '9' && !*end && s >= 1 && s <= 86400;
    return (unsigned)(good ? s : USUAL_SECONDS) * (1000 / TICK_MS);
}

bool pulse_start(struct ranks *r, gyr_error *e) {
    r->limit = limit_of();
    r->silent = calloc(r->count, sizeof *r->silent);
    r->beat = calloc(r->count, sizeof(*r->beat));
    r->sign = calloc(r->count, sizeof *r->sign);
    r->has_pulse = r->silent && r->beat && r->sign && !pthread_create(&r->pulse, NULL, beat, r);
    return r->has_pulse || fail_memory(e, "ranks");
}

void pulse_stop(struct ranks *r) {
    if (!r->has_pulse) return;
    atomic_store(&r->stop, true);
    pthread_join(r->pulse, NULL);
    r->has_pulse = false;
}
