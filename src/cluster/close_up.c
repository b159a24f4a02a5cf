// Going on without a rank that is lost. MPI's own calls for it (ULFM) are not in the versions that distributions have;
// but gyr sends from one rank to another and no more, and that goes on among those that are left. Rank 0 says who they
// are, in words that the thread of the signs of life hears, whatever the rank waits for; every wait ends with that.
// What was sent before is known by its epoch, and dropped where it comes.
#include "cluster/parts.h"

#include <stdlib.h>
#include <string.h>

// In front of the numbers of those that are left.
struct words {
    uint32_t epoch, count;
};

uint32_t rank_numbered(const struct ranks *r, uint32_t number) {
    uint32_t i = 0;
    while (i < r->count && r->number[i] != number) i++;
    return i;
}

bool ranks_lost(const struct ranks *r) {
    return r->own ? atomic_load(&r->called) > r->epoch : atomic_load(&r->lost) > 0;
}

void hear_call(struct ranks *r) {
    size_t n;
    struct words w;
    while (r->t->found(r->number[0], TAG_CALL, &n) == 1) {
        char *data = malloc(n + 1);
        void *h = data ? r->t->receive(r->number[0], TAG_CALL, data, n) : NULL;
        int is = 0;
        while (h && !(is = r->t->done(h))) { // it is here already
        }
        if (h && is > 0 && n >= sizeof w) {
            memcpy(&w, data, sizeof w);
            buf_clear(&r->call);
            buf_append(&r->call, data, n);
            atomic_store(&r->called, w.epoch);
        }
        if (is >= 0) free(data);
        if (!h) return;
    }
}

// Keeps those of the ranks whose numbers are in the list, which is in their order. What was sent to others stays where
// it is: MPI may read it yet.
static void renumber(struct ranks *r, const uint32_t *number, uint32_t count) {
    uint32_t own = r->number[r->own], kept = 0;
    for (size_t i = r->n_out; i-- > 0;) {
        uint32_t k = 0, to = r->number[r->out[i].to];
        while (k < count && number[k] != to) k++;
        r->out[i].to = k;
        if (k < count) continue;
        r->bytes_out -= r->out[i].n;
        r->out[i] = r->out[--r->n_out];
    }
    for (uint32_t i = 0; i < r->count && kept < count; i++) {
        if (r->number[i] != number[kept]) continue;
        r->number[kept] = r->number[i];
        r->beat[kept] = r->beat[i];
        r->silent[kept] = 0;
        r->sign[kept] = r->sign[i];
        memmove(r->host[kept], r->host[i], sizeof *r->host);
        kept++;
    }
    r->count = kept;
    r->own = rank_numbered(r, own);
    r->left_out = r->own == kept;
    atomic_store(&r->missed, 0);
}

// Tells all others, the lost one too: it may only have been slow, and then ends.
static bool call(struct ranks *r, struct words w, const uint32_t *number, gyr_error *e) {
    for (uint32_t i = 1; i < r->count; i++) {
        struct outgoing o = {.n = sizeof w + w.count * sizeof *number, .to = i};
        if (!(o.data = malloc(o.n)) || !ARRAY_GROW(r->out, r->n_out, r->room_out)) {
            free(o.data);
            return fail_memory(e, "ranks");
        }
        memcpy(o.data, &w, sizeof w);
        memcpy(o.data + sizeof w, number, w.count * sizeof *number);
        if (!(o.handle = r->t->send(r->number[i], TAG_CALL, o.data, o.n))) {
            free(o.data);
            continue; // it will be missed
        }
        r->out[r->n_out++] = o;
        r->bytes_out += o.n;
    }
    return true;
}

static bool lead(struct ranks *r, gyr_error *e) {
    uint32_t lost = (uint32_t)atomic_load(&r->lost), n = 0;
    uint32_t *number = malloc(r->count * sizeof *number);
    if (!number) return fail_memory(e, "ranks");
    for (uint32_t i = 0; i < r->count; i++)
        if (i != lost) number[n++] = r->number[i];
    bool ok = call(r, (struct words){r->epoch + 1, n}, number, e);
    if (ok) renumber(r, number, n);
    r->epoch += ok;
    atomic_store(&r->lost, -1);
    free(number);
    return ok;
}

static bool follow(struct ranks *r, gyr_error *e) {
    struct words w = {0};
    if (r->call.size >= sizeof w) memcpy(&w, r->call.data, sizeof w);
    if (!w.count || r->call.size != sizeof w + w.count * sizeof(uint32_t))
        return fail(e, GYR_FAILED, "rank 0 sent words that cannot be read");
    uint32_t *number = malloc(w.count * sizeof *number);
    if (!number) return fail_memory(e, "ranks");
    memcpy(number, r->call.data + sizeof w, w.count * sizeof *number);
    renumber(r, number, w.count);
    r->epoch = w.epoch;
    free(number);
    return !r->left_out || fail(e, GYR_DEVICE, "the others went on without this rank");
}

bool ranks_close_up(struct ranks *r, gyr_error *e) {
    pthread_mutex_lock(&r->lock);
    bool ok = ranks_lost(r) ? (r->own ? follow : lead)(r, e) : fail(e, GYR_USAGE, "no rank is lost");
    pthread_mutex_unlock(&r->lock);
    return ok;
}
