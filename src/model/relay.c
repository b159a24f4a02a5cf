#include "model/relay.h"
#include "model/forward.h"

#include <stdlib.h>
#include <string.h>

// A pass whose result rank 0 waits for.
struct due {
    float *out;
    size_t floats;
};

struct relay {
    struct ranks *ranks;
    float *host; // a stream on its way
    size_t room;
    bool taken; // the stream that this pass begins with
    struct due *due;
    size_t n_due;
    gyr_error failed; // of a pass whose result nobody has asked for yet
};

// Enough that every rank has one to compute and one to come.
static size_t most_due(const struct relay *l) { return 2 * (size_t)ranks_count(l->ranks); }

struct relay *relay_new(struct ranks *ranks, gyr_error *e) {
    struct relay *l = calloc(1, sizeof *l);
    if (!l) return fail_memory(e, "ranks"), NULL;
    l->ranks = ranks;
    l->due = calloc(most_due(l), sizeof *l->due);
    if (l->due) return l;
    free(l);
    return fail_memory(e, "ranks"), NULL;
}

void relay_free(struct relay *l) {
    if (!l) return;
    free(l->host);
    free(l->due);
    free(l);
}

static bool make_room(struct relay *l, size_t floats, gyr_error *e) {
    if (floats <= l->room) return true;
    float *more = realloc(l->host, floats * sizeof *more);
    if (!more) return fail_memory(e, "ranks");
    l->host = more;
    l->room = floats;
    return true;
}

static uint32_t next(const struct relay *l) { return (ranks_own(l->ranks) + 1) % ranks_count(l->ranks); }

// What is sent to the next rank; the last one's next is rank 0.
static enum parcel kind_of(const struct relay *l) { return next(l) ? PARCEL_STREAM : PARCEL_RESULT; }

bool relay_take(struct relay *l, struct pass *p, gyr_error *e) {
    size_t floats = p->n * p->m->h.hidden;
    uint32_t from = ranks_own(l->ranks) - 1;
    struct buf b = {0};
    l->taken = true;
    bool ok = ranks_receive(l->ranks, from, PARCEL_STREAM, &b, e);
    if (ok && b.size != floats * sizeof(float))
        ok = ranks_blame(l->ranks, from, GYR_FAILED, "sent a stream of another size", e);
    if (ok) p->ops->write(p->d, p->a->x, b.data, b.size);
    buf_free(&b);
    return ok;
}

void relay_end(struct relay *l) {
    struct buf b = {0};
    if (!l->taken) ranks_receive(l->ranks, ranks_own(l->ranks) - 1, PARCEL_STREAM, &b, NULL);
    buf_free(&b);
    l->taken = false;
}

bool relay_hand(struct relay *l, struct pass *p, gyr_error *e) {
    size_t floats = p->n * p->m->h.hidden;
    if (!make_room(l, floats, e)) return false;
    p->ops->read(p->d, l->host, p->a->x, floats * sizeof(float));
    return p->ops->sync(p->d, e) && ranks_send(l->ranks, next(l), PARCEL_STREAM, l->host, floats * sizeof(float), e);
}

bool relay_fail(struct relay *l, const gyr_error *why, gyr_error *e) {
    return ranks_send_failure(l->ranks, next(l), kind_of(l), 0, why, e);
}

bool relay_give(struct relay *l, const float *out, size_t floats, gyr_error *e) {
    return ranks_send(l->ranks, 0, PARCEL_RESULT, out, floats * sizeof(float), e);
}

// The result of the oldest pass.
static bool settle_one(struct relay *l) {
    struct due d = l->due[0];
    uint32_t last = ranks_count(l->ranks) - 1;
    struct buf b = {0};
    gyr_error made = {0};
    memmove(l->due, l->due + 1, --l->n_due * sizeof *l->due);
    bool ok = ranks_receive(l->ranks, last, PARCEL_RESULT, &b, &made);
    if (ok && d.out && b.size != d.floats * sizeof(float))
        ok = ranks_blame(l->ranks, last, GYR_FAILED, "sent a result of another size", &made);
    if (ok && d.out) memcpy(d.out, b.data, b.size);
    if (!ok && !l->failed.status) l->failed = made;
    buf_free(&b);
    return ok;
}

bool relay_full(const struct relay *l) { return l->n_due >= most_due(l); }

void relay_expect(struct relay *l, float *out, size_t floats) {
    if (relay_full(l)) settle_one(l);
    l->due[l->n_due++] = (struct due){out, floats};
}

bool relay_settle(struct relay *l, gyr_error *e) {
    while (l->n_due) settle_one(l);
    gyr_error made = l->failed;
    l->failed = (gyr_error){0};
    return !made.status || fail(e, made.status, "%s", made.message);
}
