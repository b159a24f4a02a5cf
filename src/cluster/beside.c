// Lines beside: what ranks do together while others of their threads are at passes. A line has a stream of messages of
// its own, and of everything else what the ranks have: one lock for MPI, one pulse, one word on who is lost. Where they
// close up, it is over, and a new one begins.
//
// Whoever uses it may have little time (a training that gives way to answers). Such a thread must not be stopped with
// the lock of MPI in its hands, for which a pass would wait; so it has another one do what is done with messages.
#include "base/clock.h"
#include "cluster/parts.h"

#include <stdlib.h>
#include <string.h>

static const double farewell_seconds = 3, call_seconds = 60;

struct courier {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come, done;
    bool (*fn)(void *arg);
    void *arg;
    bool well, stop, ended;
};

static void *carry(void *arg) {
    struct courier *c = arg;
    pthread_mutex_lock(&c->lock);
    while (c->fn || !c->stop) {
        if (!c->fn) {
            pthread_cond_wait(&c->come, &c->lock);
            continue;
        }
        pthread_mutex_unlock(&c->lock);
        bool well = c->fn(c->arg);
        pthread_mutex_lock(&c->lock);
        c->well = well;
        c->fn = NULL;
        pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

bool courier_do(struct ranks *r, bool (*fn)(void *arg), void *arg, gyr_error *e) {
    struct courier *c = r->courier;
    if (!c) return fn(arg);
    pthread_mutex_lock(&c->lock);
    bool stopped = c->stop;
    if (!stopped) {
        c->fn = fn;
        c->arg = arg;
        pthread_cond_signal(&c->come);
        while (c->fn) pthread_cond_wait(&c->done, &c->lock);
    }
    bool well = c->well;
    pthread_mutex_unlock(&c->lock);
    return stopped ? fail(e, GYR_CANCELLED, "this rank has ended") : well;
}

static struct courier *courier_new(void) {
    struct courier *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->come, NULL);
    pthread_cond_init(&c->done, NULL);
    if (!pthread_create(&c->thread, NULL, carry, c)) return c;
    free(c);
    return NULL;
}

// What it does now is over soon: waits end where their line does.
static void courier_stop(struct courier *c) {
    if (c->ended) return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->come);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    c->ended = true;
}

// ------------------------------------------------------------------------------------------------ a line

static bool is_whole(struct ranks *r) {
    return atomic_load(&r->lost) < 0 && atomic_load(&r->called) <= r->epoch && !atomic_load(&r->ended);
}

static void drop(struct ranks *v) {
    if (v->courier) courier_stop(v->courier);
    free(v->courier);
    free(v->number);
    free(v->host);
    free(v->out); // what MPI may read yet stays
    free(v);
}

struct ranks *ranks_beside(struct ranks *r, gyr_error *e) {
    struct ranks *v = calloc(1, sizeof *v);
    if (!v) return fail_memory(e, "ranks"), NULL;
    pthread_mutex_lock(&r->lock);
    v->main = r;
    v->tag = TAG_BESIDE;
    v->t = r->t;
    v->own = r->own;
    v->count = r->count;
    v->limit = r->limit;
    v->line = r->lines;
    atomic_init(&v->epoch, r->epoch);
    v->number = malloc(r->count * sizeof *v->number);
    v->host = malloc(r->count * sizeof *v->host);
    bool memory = v->number && v->host && (v->courier = courier_new()), whole = memory && is_whole(r);
    if (whole) {
        memcpy(v->number, r->number, r->count * sizeof *v->number);
        memcpy(v->host, r->host, r->count * sizeof *v->host);
        v->next = r->beside;
        r->beside = v;
    }
    pthread_mutex_unlock(&r->lock);
    if (whole) return v;
    drop(v);
    return memory ? fail_null(e, GYR_DEVICE, "a rank is lost, and the others close up")
                  : (fail_memory(e, "ranks"), NULL);
}

bool ranks_call(struct ranks *r, const void *data, size_t n, gyr_error *e) {
    struct buf b = {0};
    bool ok = true;
    r->deadline = now_seconds() + call_seconds;
    for (uint32_t i = 1; ok && i < r->count; i++) ok = ranks_receive(r, i, PARCEL_READY, &b, e);
    r->deadline = 0;
    r->used |= ok;
    if (ok) r->main->lines = ++r->line;
    for (uint32_t i = 1; ok && i < r->count; i++) ok = ranks_send(r, i, PARCEL_CALL, data, n, e);
    buf_free(&b);
    return ok;
}

bool ranks_listen(struct ranks *r, struct buf *into, gyr_error *e) {
    bool called = ranks_send(r, 0, PARCEL_READY, NULL, 0, e) && ranks_receive(r, 0, PARCEL_CALL, into, e);
    r->used |= called;
    if (called) r->main->lines = r->line;
    return called;
}

static bool drain_all(void *arg) { return drain_messages(arg, 0, NULL); }

// All others are told that it is over here, and what they have sent is taken, so that nothing is on its way at the end
// of MPI. Whoever does not come in time is not waited for. False then.
static bool farewell(struct ranks *v) {
    struct buf b = {0};
    bool well = true;
    v->deadline = now_seconds() + farewell_seconds;
    for (uint32_t i = 0; i < v->count; i++)
        if (i != v->own) well = ranks_send(v, i, PARCEL_END, NULL, 0, NULL) && well;
    for (uint32_t i = 0; i < v->count; i++)
        if (i != v->own && (i || !v->ended)) well = take_end(v, i, &b) && well;
    well = courier_do(v, drain_all, v, NULL) && well;
    buf_free(&b);
    return well;
}

void ranks_beside_end(struct ranks *v) {
    if (!v) return;
    bool well = !v->used || farewell(v), orphan = v->courier->ended; // the ranks have ended before it
    if (!orphan) {
        struct ranks *m = v->main, **at = &m->beside;
        pthread_mutex_lock(&m->lock);
        while (*at && *at != v) at = &(*at)->next;
        if (*at) *at = v->next;
        m->untidy |= !well;
        pthread_mutex_unlock(&m->lock);
    }
    drop(v);
}

bool beside_stop(struct ranks *r) {
    bool none = !r->beside && !r->untidy;
    atomic_store(&r->closing, true);
    for (struct ranks *v = r->beside; v; v = v->next) courier_stop(v->courier);
    return none;
}
