// Cards of several processes that gather among themselves, by NCCL or RCCL, on the card's own stream: the context is
// the card's primary one, which the library uses too, and a driver's stream is one of the runtime's (CUDA driver API,
// "Interoperability with the runtime API").
//
// A card that waits for another one's part waits without end, if that does not come; and so may calls of the library,
// and launches behind them when the stream has no room. So a thread asks whether there is anybody to wait for, and has
// the library give up (ncclCommAbort()), which ends what is on the card. Calls that may wait are made on threads, too,
// which are left alone when they come to no end.
#include "device/gpu/nccl.h"

#include "base/clock.h"
#include "base/library.h"
#include "device/gpu/gpu.h"
#include "device/gpu/record.h"
#include "device/gpu/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Seconds: for all to join; for a call of the library that is on its way when it is to give up; and for that.
enum { PATIENCE = 120, CALL = 2, END = 10 };

struct gpu_link {
    struct nccl nccl;
    const struct gpu_api *api;
    char card[128]; // its name, in messages
    void *context, *stream, *comm;
    int number;
    uint32_t own, count;
    struct nccl_id id;
    link_watch *watch;
    void *arg;
    float *scrap; // on the card: what is gathered first
    pthread_t joiner, watcher;
    bool watched;
    pthread_mutex_t call;                     // one thread at a time calls the library
    atomic_bool joined, stop, now, cut, done; // stop: no watching any more; now: it is to give up; it did; the end
    int result;
    gyr_error why; // of `cut`
};

static void nap(void) { nanosleep(&(struct timespec){0, 10000000}, NULL); }

static bool says_no(const struct gpu_link *l, int result, const char *doing, gyr_error *e) {
    return fail(e, GYR_DEVICE,
                "%s: %s failed at %s: %d, %s; NCCL_DEBUG=WARN says more, and GYR_RANK_GATHER=host does without it",
                l->card, l->nccl.name, doing, result, l->nccl.describe(result));
}

// Any thread's card.
static void enter(const struct gpu_link *l) {
    if (l->api->enter)
        l->api->enter(l->context);
    else
        l->api->choose(l->number);
}

// ------------------------------------------------------------------------------- watching

static void give_up(struct gpu_link *l) {
    double begun = now_seconds();
    bool alone;
    while (!(alone = !pthread_mutex_trylock(&l->call)) && now_seconds() - begun < CALL) nap();
    atomic_store(&l->cut, true);
    l->nccl.quit(l->comm); // also where a call is stuck: it has no other end
    if (alone) pthread_mutex_unlock(&l->call);
}

static bool is_good(struct gpu_link *l) {
    int result = 0;
    if (atomic_load(&l->now)) return fail(&l->why, GYR_DEVICE, "%s: %s is not used any more", l->card, l->nccl.name);
    if (!l->watch(l->arg, &l->why)) return false;
    if (pthread_mutex_trylock(&l->call)) return true; // it is asked soon again
    int asked = l->nccl.later(l->comm, &result);
    pthread_mutex_unlock(&l->call);
    if (asked || (result && result != NCCL_IN_PROGRESS))
        return says_no(l, asked ? asked : result, "gathering", &l->why);
    return true;
}

static void *watch(void *arg) {
    struct gpu_link *l = arg;
    enter(l);
    while (!atomic_load(&l->stop)) {
        if (!is_good(l)) {
            give_up(l);
            break;
        }
        nap();
    }
    atomic_store(&l->done, true);
    return NULL;
}

bool gpu_link_good(struct gpu *g) {
    struct gpu_link *l = g->link;
    if (!l || !atomic_load(&l->cut)) return true;
    if (!g->failed.status) g->failed = l->why;
    return false;
}

// ------------------------------------------------------------------------------- gathering

// Equal parts in one call; others as many broadcasts, which go together.
static int gather(struct gpu_link *l, const void *from, float *to, const size_t *floats) {
    bool equal = true;
    for (uint32_t i = 0; i < l->count; i++) equal &= floats[i] == *floats;
    if (equal) return l->nccl.all_gather(from, to, *floats, NCCL_FLOAT, l->comm, l->stream);
    int result = l->nccl.begin(), end;
    if (result) return result;
    for (uint32_t i = 0; i < l->count && !result; to += floats[i++])
        if (floats[i]) result = l->nccl.broadcast(from, to, floats[i], NCCL_FLOAT, (int)i, l->comm, l->stream);
    end = l->nccl.end();
    return result ? result : end;
}

void gpu_gather(struct device *d, const dfloat *from, dfloat *to, const size_t *floats) {
    struct gpu *g = gpu_of(d);
    struct gpu_link *l = g->link;
    size_t all = 0;
    int result = 0;
    for (uint32_t i = 0; i < l->count; i++) all += floats[i];
    work_wrote(g, to, all * sizeof(float));
    if (!gpu_flush(g) || !gpu_begin(g)) return;
    pthread_mutex_lock(&l->call);
    bool cut = atomic_load(&l->cut);
    if (!cut) result = gather(l, from, (float *)(void *)to, floats);
    pthread_mutex_unlock(&l->call);
    if (cut)
        gpu_link_good(g);
    else if (result && !g->failed.status)
        says_no(l, result, "gathering", &g->failed);
}

// ------------------------------------------------------------------------------- beginning

bool gpu_linkable(struct device *d, char name[48], gyr_error *e) {
    struct nccl n;
    if (!nccl_open(&n, gpu_of(d)->api->vendor, library_given(), e)) return false;
    memcpy(name, n.name, sizeof n.name);
    return true;
}

static void describe(struct gpu_link *l, const struct gpu *g) {
    l->api = g->api;
    l->context = g->context;
    l->stream = g->stream;
    l->number = g->number;
    memcpy(l->card, g->name, sizeof l->card);
}

bool gpu_ticket(struct device *d, uint8_t ticket[LINK_TICKET], gyr_error *e) {
    struct gpu_link l = {.count = 0};
    struct nccl_id id;
    describe(&l, gpu_of(d));
    if (!nccl_open(&l.nccl, l.api->vendor, library_given(), e)) return false;
    int result = l.nccl.id(&id);
    if (result) return says_no(&l, result, "its start", e);
    memcpy(ticket, id.bytes, LINK_TICKET);
    return true;
}

// Both kinds of gathering once, so that what has to be set up for them is; what goes wrong with it goes wrong now.
static int try_out(struct gpu_link *l) {
    size_t *floats = calloc(l->count, sizeof *floats);
    if (!floats) return 1;
    for (uint32_t i = 0; i < l->count; i++) floats[i] = 1;
    int result = gather(l, l->scrap, l->scrap + 2, floats);
    *floats = 2;
    if (!result && l->count > 1) result = gather(l, l->scrap, l->scrap + 2, floats);
    free(floats);
    return result;
}

static void *join(void *arg) {
    struct gpu_link *l = arg;
    enter(l);
    l->result = l->nccl.join(&l->comm, (int)l->count, l->id, (int)l->own);
    if (!l->result) l->result = try_out(l);
    atomic_store(&l->joined, true);
    return NULL;
}

// False: it does not come to an end, and the thread is left alone, with the struct.
static bool join_all(struct gpu_link *l, gyr_error *e) {
    double begun = now_seconds();
    if (pthread_create(&l->joiner, NULL, join, l)) return fail_memory(e, "a thread");
    while (!atomic_load(&l->joined)) {
        bool late = now_seconds() - begun > PATIENCE;
        if (late || !l->watch(l->arg, e)) {
            if (late) fail(e, GYR_DEVICE, "%s: %s has not joined all cards in %d s", l->card, l->nccl.name, PATIENCE);
            pthread_detach(l->joiner);
            return false;
        }
        nap();
    }
    pthread_join(l->joiner, NULL);
    return true;
}

static void drop(struct gpu *g) {
    struct gpu_link *l = g->link;
    g->link = NULL;
    pthread_mutex_destroy(&l->call);
    if (l->scrap) gpu_free(&g->device, l->scrap);
    free(l);
}

static bool start(struct gpu *g, gyr_error *e) {
    struct gpu_link *l = g->link;
    if (!join_all(l, e)) {
        g->link = NULL;
        return false;
    }
    if (l->result) {
        says_no(l, l->result, "joining all cards", e);
        if (l->comm) l->nccl.quit(l->comm);
        drop(g);
        return false;
    }
    l->watched = !pthread_create(&l->watcher, NULL, watch, l);
    if (l->watched ? gpu_sync(&g->device, e) : fail_memory(e, "a thread")) return true;
    gpu_unlink(&g->device, true);
    return false;
}

bool gpu_link(struct device *d, const struct link_terms *t, gyr_error *e) {
    struct gpu *g = gpu_of(d);
    struct gpu_link *l = g->link = calloc(1, sizeof *l);
    if (!l) return fail_memory(e, g->name);
    pthread_mutex_init(&l->call, NULL);
    describe(l, g);
    l->own = t->own;
    l->count = t->count;
    l->watch = t->watch;
    l->arg = t->arg;
    memcpy(l->id.bytes, t->ticket, LINK_TICKET);
    bool ok = nccl_open(&l->nccl, l->api->vendor, library_given(), e) &&
              (l->scrap = gpu_alloc(d, (t->count + 3) * sizeof(float), e)) && gpu_sync(d, e);
    if (ok) return start(g, e);
    drop(g);
    return false;
}

// At its end a process leaves the library as it is: that would wait for the others, which may wait for this one's end,
// or take from them what is still on its way there.
void gpu_unlink(struct device *d, bool now) {
    struct gpu *g = gpu_of(d);
    struct gpu_link *l = g->link;
    double begun = now_seconds();
    if (!l) return;
    atomic_store(now ? &l->now : &l->stop, true);
    while (l->watched && !atomic_load(&l->done) && now_seconds() - begun < CALL + END) nap();
    if (l->watched && !atomic_load(&l->done)) {
        pthread_detach(l->watcher); // which has the struct
        g->link = NULL;
        return;
    }
    if (l->watched) pthread_join(l->watcher, NULL);
    drop(g);
}
