// Messages between ranks, and waiting for them.
#include "base/clock.h"
#include "cluster/parts.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// In front of every parcel's bytes.
struct head {
    uint32_t kind, status; // GYR_OK: the bytes are what was asked for; else the line of an error
    uint32_t origin;       // the rank whose error it is
    uint32_t number;       // of a pass
    uint32_t epoch;        // of the sender: what is from before a rank was lost is nobody's business any more
    uint32_t line;         // likewise of a line beside
};

enum {
    MOST_ON_THE_WAY = 256 << 20,
    EAGER_TURNS = 400,
    SHORT_NS = 20000,
    LONG_NS = 500000,
    LONG_AFTER = 2000,
    REST_NS = 5000000, // of lines beside, which mostly wait
    REST_AFTER = 10000
};

bool ranks_blame(const struct ranks *r, uint32_t rank, gyr_status status, const char *what, gyr_error *e) {
    const char *host = rank < r->count && r->host[rank][0] ? r->host[rank] : "another machine";
    return fail(e, status, "rank %u on %s: %s", rank < r->count ? r->number[rank] : rank, host, what);
}

// What is there soon is waited for by trying; what takes longer leaves the CPU to others.
static void rest(const struct ranks *r, unsigned turn) {
    bool beside = r->main != r;
    if (turn < EAGER_TURNS && !beside) {
        sched_yield();
        return;
    }
    long ns = turn < LONG_AFTER ? SHORT_NS : beside && turn > REST_AFTER ? REST_NS : LONG_NS;
    nanosleep(&(struct timespec){0, ns}, NULL);
}

// Whether no wait has an end any more, or all waits are to end because a rank is lost.
static bool is_lost(struct ranks *r, gyr_error *e) {
    struct ranks *m = r->main;
    bool other = atomic_load(&m->epoch) != r->epoch;
    int lost = atomic_load(&m->lost);
    if (r->deadline > 0 && now_seconds() > r->deadline)
        return fail(e, GYR_FAILED, "another rank did not answer in time"), true;
    if (m != r && (atomic_load(&m->closing) || (atomic_load(&m->ended) && r->deadline <= 0)))
        return fail(e, GYR_CANCELLED, "rank 0 has ended"), true;
    if (other || atomic_load(&m->called) > r->epoch)
        return fail(e, GYR_DEVICE, "a rank is lost, and the others close up"), true;
    if (lost < 0) return false;
    char what[96];
    snprintf(what, sizeof what, "gave no sign of life for %u s; see whether it runs and can be reached", r->limit / 10);
    ranks_blame(r, (uint32_t)lost, GYR_DEVICE, what, e);
    return true;
}

// Lets go of what was sent: the rank that could not be reached, or -1. Under the lock.
static int reap(struct ranks *r) {
    int bad = -1;
    for (size_t i = 0; i < r->n_out;) {
        int is = r->t->done(r->out[i].handle);
        if (is < 0) bad = (int)r->out[i].to;
        if (!is) {
            i++;
            continue;
        }
        r->bytes_out -= r->out[i].n;
        free(r->out[i].data);
        r->out[i] = r->out[--r->n_out];
    }
    return bad;
}

// Rank 0 says what becomes of that.
static void give_up(struct ranks *r, uint32_t rank) {
    struct ranks *m = r->main;
    pthread_mutex_lock(&m->lock);
    if (atomic_load(&m->epoch) != r->epoch) {
        // they have closed up since, and count otherwise
    } else if (!r->own || !rank)
        atomic_store(&m->lost, (int)rank);
    else
        atomic_store(&m->missed, r->number[rank] + 1);
    pthread_mutex_unlock(&m->lock);
}

static bool broken(struct ranks *r, uint32_t rank, gyr_error *e) {
    give_up(r, rank);
    return ranks_blame(r, rank, GYR_DEVICE, "cannot be reached any more; see whether it runs", e);
}

// There was no memory for a message: a moment later there may be some. A message that is left out would leave its rank
// out of step, so where there is none for as long as a rank may be silent, that rank counts as lost. False then.
static bool wait_for_room(struct ranks *r, uint32_t rank, unsigned turn, gyr_error *e) {
    const unsigned turns = 100000000 / LONG_NS * r->limit; // ticks of a tenth of a second
    if (is_lost(r, e)) return false;
    if (turn >= turns) {
        give_up(r, rank);
        return ranks_blame(r, rank, GYR_NO_MEMORY, "there is no memory here for messages with it", e);
    }
    nanosleep(&(struct timespec){0, LONG_NS}, NULL);
    return true;
}

static char *room_for(struct ranks *r, uint32_t rank, size_t n, gyr_error *e) {
    char *data = malloc(n);
    for (unsigned turn = 0; !data && wait_for_room(r, rank, turn, e); turn++) data = malloc(n);
    return data;
}

bool drain_messages(struct ranks *r, size_t most, gyr_error *e) {
    for (unsigned turn = 0;; turn++) {
        pthread_mutex_lock(&r->main->lock);
        int bad = reap(r);
        size_t left = r->n_out ? r->bytes_out : 0;
        pthread_mutex_unlock(&r->main->lock);
        if (bad >= 0) return broken(r, (uint32_t)bad, e);
        if (left <= most) return true;
        if (is_lost(r, e)) return false;
        rest(r, turn);
    }
}

// Whether there was room in the list.
static bool post(struct ranks *r, enum tag tag, struct outgoing *o) {
    pthread_mutex_lock(&r->main->lock);
    bool room = ARRAY_GROW(r->out, r->n_out, r->room_out);
    if (room && (o->handle = r->t->send(r->number[o->to], tag, o->data, o->n))) {
        r->out[r->n_out++] = *o;
        r->bytes_out += o->n;
    }
    pthread_mutex_unlock(&r->main->lock);
    return room;
}

struct posting {
    struct ranks *r;
    enum tag tag;
    uint32_t to;
    const void *head, *data;
    size_t n_head, n;
    gyr_error *e;
};

static bool post_one(void *arg) {
    const struct posting *p = arg;
    struct ranks *r = p->r;
    struct outgoing o = {.n = p->n_head + p->n, .to = p->to};
    if (!drain_messages(r, MOST_ON_THE_WAY, p->e) || !(o.data = room_for(r, p->to, o.n + 1, p->e))) return false;
    if (p->n_head) memcpy(o.data, p->head, p->n_head);
    if (p->n) memcpy(o.data + p->n_head, p->data, p->n);
    bool posted = post(r, p->tag, &o), waits = true;
    for (unsigned turn = 0; !posted && waits; turn++) {
        waits = wait_for_room(r, p->to, turn, p->e);
        posted = waits && post(r, p->tag, &o);
    }
    if (o.handle) return true;
    free(o.data);
    return posted && broken(r, p->to, p->e);
}

static bool send_message(struct ranks *r, uint32_t to, enum tag tag, const void *head, size_t n_head, const void *data,
                         size_t n, gyr_error *e) {
    struct posting p = {r, tag, to, head, data, n_head, n, e};
    return courier_do(r, post_one, &p, e);
}

bool post_message(struct ranks *r, uint32_t to, const void *head, size_t n_head, const void *data, size_t n,
                  gyr_error *e) {
    return send_message(r, to, r->tag, head, n_head, data, n, e);
}

// One try: 1 when `done` is, as the transport's calls have it.
typedef int attempt(struct ranks *r, void *arg);

static bool wait_for(struct ranks *r, uint32_t from, attempt *try, void *arg, gyr_error *e) {
    for (unsigned turn = 0;; turn++) {
        pthread_mutex_lock(&r->main->lock);
        int bad = reap(r), is = bad < 0 ? try(r, arg) : -1;
        pthread_mutex_unlock(&r->main->lock);
        if (is > 0) return true;
        if (is < 0) return broken(r, bad < 0 ? from : (uint32_t)bad, e);
        if (is_lost(r, e)) return false;
        rest(r, turn);
    }
}

struct look {
    uint32_t from;
    size_t n;
};

static int try_found(struct ranks *r, void *arg) {
    struct look *l = arg;
    return r->t->found(r->number[l->from], r->tag, &l->n);
}

static int try_done(struct ranks *r, void *arg) { return r->t->done(arg); }

struct taking {
    struct ranks *r;
    uint32_t from;
    struct buf *into;
    gyr_error *e;
};

static bool take_one(void *arg) {
    const struct taking *t = arg;
    struct ranks *r = t->r;
    struct look l = {.from = t->from};
    if (!wait_for(r, t->from, try_found, &l, t->e)) return false;
    char *data = room_for(r, t->from, l.n + 1, t->e);
    if (!data) return false;
    pthread_mutex_lock(&r->main->lock);
    void *h = r->t->receive(r->number[t->from], r->tag, data, l.n);
    pthread_mutex_unlock(&r->main->lock);
    if (!h || !wait_for(r, t->from, try_done, h, t->e)) {
        bool never = !h;
        if (never) free(data); // else MPI may still write to it
        return never ? broken(r, t->from, t->e) : false;
    }
    data[l.n] = 0;
    buf_free(t->into);
    *t->into = (struct buf){.data = data, .size = l.n, .room = l.n + 1};
    return true;
}

bool take_message(struct ranks *r, uint32_t from, struct buf *into, gyr_error *e) {
    struct taking t = {r, from, into, e};
    return courier_do(r, take_one, &t, e);
}

bool ranks_send_numbered(struct ranks *r, uint32_t to, enum parcel kind, uint32_t number, const void *data, size_t n,
                         gyr_error *e) {
    struct head h = {.kind = kind, .origin = r->own, .number = number, .epoch = r->epoch, .line = r->line};
    return post_message(r, to, &h, sizeof h, data, n, e);
}

bool ranks_send(struct ranks *r, uint32_t to, enum parcel kind, const void *data, size_t n, gyr_error *e) {
    return ranks_send_numbered(r, to, kind, 0, data, n, e);
}

bool ranks_send_failure(struct ranks *r, uint32_t to, enum parcel kind, uint32_t number, const gyr_error *why,
                        gyr_error *e) {
    struct head h = {.kind = kind,
                     .status = why->status ? why->status : GYR_FAILED,
                     .origin = r->own,
                     .number = number,
                     .epoch = r->epoch,
                     .line = r->line};
    return post_message(r, to, &h, sizeof h, why->message, strlen(why->message), e);
}

void ranks_tell_fault(struct ranks *r, uint32_t number, const gyr_error *why) {
    struct head h = {.kind = PARCEL_SLICE,
                     .status = why->status ? why->status : GYR_FAILED,
                     .origin = r->own,
                     .number = number,
                     .epoch = r->epoch};
    for (uint32_t i = 0; i < r->count; i++)
        if (i != r->own) send_message(r, i, TAG_FAULT, &h, sizeof h, why->message, strlen(why->message), NULL);
}

// The next fault that a rank has told of, under the lock; NULL: there is none, or no memory for it.
static char *next_fault(struct ranks *r, uint32_t from, struct head *h) {
    size_t n;
    if (r->t->found(r->number[from], TAG_FAULT, &n) != 1) return NULL;
    char *data = malloc(n + 1);
    void *request = data ? r->t->receive(r->number[from], TAG_FAULT, data, n) : NULL;
    int is = 0;
    while (request && !(is = r->t->done(request))) { // it is here already
    }
    if (is > 0 && n >= sizeof *h) {
        memcpy(h, data, sizeof *h);
        data[n] = 0;
        return data;
    }
    if (!request || is < 0) free(data);
    return NULL;
}

bool ranks_watch(struct ranks *r, uint32_t number, gyr_error *e) {
    struct head h;
    pthread_mutex_lock(&r->main->lock); // who is there may be counted anew meanwhile
    bool good = !is_lost(r, e);
    for (uint32_t i = 0; good && i < r->count; i++) {
        char *data = i == r->own ? NULL : next_fault(r, i, &h);
        good = !data || h.epoch != r->epoch || h.number < number;
        if (!good) ranks_blame(r, i, h.status <= 255 ? (gyr_status)h.status : GYR_FAILED, data + sizeof h, e);
        free(data);
    }
    pthread_mutex_unlock(&r->main->lock);
    return good;
}

// What is no parcel of the kind: an end, an error, or a rank that does something else than it should.
static bool refuse(struct ranks *r, uint32_t from, const struct head *h, const char *text, gyr_error *e) {
    if (h->kind == PARCEL_END && from == 0) {
        r->ended = true;
        r->end_status = h->status <= 255 ? (int)h->status : GYR_FAILED;
        return fail(e, GYR_CANCELLED, "rank 0 has ended");
    }
    gyr_status status = h->status && h->status <= 255 ? (gyr_status)h->status : GYR_FAILED;
    uint32_t origin = h->origin < r->count ? h->origin : from;
    if (h->kind == PARCEL_END || h->status) {
        // An error that has come round already says whose it is.
        if (origin == r->own || !strncmp(text, "rank ", 5)) return fail(e, status, "%s", text);
        return ranks_blame(r, origin, status, *text ? text : "has ended", e);
    }
    return ranks_blame(r, from, GYR_FAILED, "sent something else than was expected; give all ranks the same command",
                       e);
}

// Whether a parcel is of what is over: of before a rank was lost, or of a pass that failed.
static bool is_old(const struct ranks *r, const struct head *h, enum parcel kind, uint32_t number) {
    if (h->kind == PARCEL_END && r->main == r) return false;
    return h->epoch < r->epoch || h->line < r->line ||
           (h->kind == PARCEL_SLICE && (kind != PARCEL_SLICE || h->number < number));
}

bool ranks_receive(struct ranks *r, uint32_t from, enum parcel kind, struct buf *into, gyr_error *e) {
    return ranks_receive_numbered(r, from, kind, 0, into, e);
}

bool take_end(struct ranks *r, uint32_t from, struct buf *room) {
    struct head h;
    while (take_message(r, from, room, NULL)) {
        if (room->size >= sizeof h) memcpy(&h, room->data, sizeof h);
        if (room->size >= sizeof h && h.kind == PARCEL_END && h.epoch == r->epoch) return true;
    }
    return false;
}

bool ranks_receive_numbered(struct ranks *r, uint32_t from, enum parcel kind, uint32_t number, struct buf *into,
                            gyr_error *e) {
    struct head h;
    do {
        if (!take_message(r, from, into, e)) return false;
        if (into->size < sizeof h) return ranks_blame(r, from, GYR_FAILED, "sent half a message", e);
        memcpy(&h, into->data, sizeof h);
    } while (is_old(r, &h, kind, number));
    r->passes |= kind == PARCEL_PASS;
    if (kind == PARCEL_CALL) r->line = h.line;
    if (h.kind == PARCEL_END || h.kind != (uint32_t)kind || h.status)
        return refuse(r, from, &h, into->data + sizeof h, e);
    memmove(into->data, into->data + sizeof h, into->size - sizeof h + 1);
    into->size -= sizeof h;
    return true;
}

// Rank 0 hears everybody before it says what it heard, so that nobody is left with something on its way.
static bool gather(struct ranks *r, bool ok, const gyr_error *why, const void *facts, size_t n, struct buf *all,
                   gyr_error *e) {
    gyr_error first = {0};
    if (!ok) first = *why;
    buf_clear(all);
    buf_append(all, facts, n);
    for (uint32_t i = 1; i < r->count; i++) {
        struct buf b = {0};
        gyr_error one = {0};
        bool came = ranks_receive(r, i, PARCEL_FACTS, &b, &one);
        if (came && b.size != n) came = ranks_blame(r, i, GYR_FAILED, "is at another step", &one);
        if (came) buf_append(all, b.data, b.size);
        if (!came && ok) first = one;
        ok &= came;
        buf_free(&b);
        if (atomic_load(&r->main->lost) >= 0) break;
    }
    if (ok && all->failed) ok = fail_memory(&first, "ranks");
    for (uint32_t i = 1; i < r->count && atomic_load(&r->main->lost) < 0; i++)
        if (ok)
            ok = ranks_send(r, i, PARCEL_AGREED, all->data, all->size, &first);
        else
            ranks_send_failure(r, i, PARCEL_AGREED, 0, &first, NULL);
    return ok || fail(e, first.status, "%s", first.message);
}

bool ranks_agree(struct ranks *r, bool ok, const gyr_error *why, const void *facts, size_t n, struct buf *all,
                 gyr_error *e) {
    static const gyr_error unknown = {GYR_FAILED, "failed"};
    if (!ok && (!why || !why->status)) why = &unknown;
    if (!r->own) return gather(r, ok, why, facts, n, all, e);
    bool sent = ok ? ranks_send(r, 0, PARCEL_FACTS, facts, n, e) : ranks_send_failure(r, 0, PARCEL_FACTS, 0, why, e);
    if (!sent || !ranks_receive(r, 0, PARCEL_AGREED, all, e)) return false;
    return all->size == n * r->count || fail(e, GYR_FAILED, "rank 0 is at another step");
}

static void end_others(struct ranks *r, int status) {
    struct head h = {.kind = PARCEL_END, .status = (uint32_t)status};
    for (uint32_t i = 1; i < r->count; i++) post_message(r, i, &h, sizeof h, NULL, 0, NULL);
}

void ranks_rest(struct ranks *r) {
    r->rested = true;
    atomic_store(&r->rests, true);
}

// Waits until a rank has heard of rank 0's end. What it may have sent of its own before is no sign of that.
static void take_farewell(struct ranks *r, uint32_t from, struct buf *room) {
    struct head h = {0};
    while (!h.number && take_end(r, from, room)) memcpy(&h, room->data, sizeof h);
}

// MPI's own end waits for all, and for one that cannot be reached as long as the system's TCP does: so it begins once
// each of them has said that it comes, and all give signs of life until they hear that.
bool ranks_dismiss(struct ranks *r, int status, gyr_error *e) {
    struct buf b = {0};
    if (r->own || r->dismissed) return true;
    r->dismissed = true;
    atomic_store(&r->rests, false);
    if (atomic_load(&r->lost) < 0) end_others(r, status);
    for (uint32_t i = 1; r->met && i < r->count && atomic_load(&r->lost) < 0; i++) take_farewell(r, i, &b);
    if (r->met && atomic_load(&r->lost) < 0) end_others(r, status);
    buf_free(&b);
    return atomic_load(&r->lost) < 0 || !is_lost(r, e);
}

static void await_end(struct ranks *r) {
    struct buf b = {0};
    for (gyr_error e = {0}; e.status != GYR_CANCELLED && atomic_load(&r->lost) < 0;)
        ranks_receive(r, 0, PARCEL_END, &b, &e);
    buf_free(&b);
}

// A rank that ends tells rank 0 in place of whatever that expects, and hears from it what the end is.
static int end_alone(struct ranks *r, int status, const char *why) {
    struct head h = {
        .kind = PARCEL_END, .status = (uint32_t)(status ? status : GYR_FAILED), .origin = r->own, .epoch = r->epoch};
    if (!r->ended && post_message(r, 0, &h, sizeof h, why ? why : "", why ? strlen(why) : 0, NULL)) await_end(r);
    atomic_store(&r->rests, false);
    h.number = 1;
    if (r->ended && r->met && post_message(r, 0, &h, sizeof h, NULL, 0, NULL)) await_end(r);
    return r->ended ? r->end_status : status;
}

// The end where a rank was lost before: MPI's own would wait for it. The others have heard rank 0's word by now, and
// go when it has them all ended; a launcher that was told to let ranks go on without others does nothing for it.
static void leave_some(struct ranks *r, int status) {
    const struct timespec moment = {r->own ? 5 : 0, r->own ? 0 : 300000000L};
    nanosleep(&moment, NULL);
    if (!r->own) r->t->end_all(status);
}

// A rank that the others went on without is ended with them.
static _Noreturn void linger(struct ranks *r) {
    const struct timespec moment = {1, 0};
    for (;;) nanosleep(&moment, NULL);
}

int ranks_leave(struct ranks *r, int status, const char *why) {
    if (!r) return status;
    bool whole = beside_stop(r);
    if (r->left_out) linger(r);
    ranks_dismiss(r, status, NULL);
    bool needed = r->own || !r->rested;
    // In the middle of passes others may wait for what will not come.
    if (r->own && !r->ended && r->passes) r->t->end_all(status ? status : GYR_FAILED);
    if (r->own) status = end_alone(r, status, why);
    bool gone = atomic_load(&r->lost) >= 0 || !drain_messages(r, 0, NULL);
    if (gone) r->t->end_all(status || !needed ? status : GYR_DEVICE);
    pulse_stop(r);
    if (r->epoch || (!whole && !r->own)) // MPI's own end would wait for what nobody takes
        leave_some(r, status);
    else
        r->t->leave();
    pthread_mutex_destroy(&r->lock);
    free(r->out);
    free(r->silent);
    free(r->beat);
    free(r->sign);
    free(r->host);
    free(r->number);
    buf_free(&r->call);
    free(r);
    return status;
}
