#include "server/limits.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Level of a bucket at a time. A bucket that nobody has drawn from is full.
struct bucket {
    double level, at;
    bool known;
};

enum { REQUESTS, TOKENS, DAY, BUCKETS };
static const double periods[BUCKETS] = {60, 60, 86400};
static const enum limit_reason reason_of[BUCKETS] = {LIMIT_REQUESTS, LIMIT_TOKENS, LIMIT_DAY};

struct account {
    int64_t key;
    struct bucket buckets[BUCKETS];
    uint64_t running;
};

struct limits {
    pthread_mutex_t lock;
    struct account *accounts; // by id of the key, ascending
    size_t count, room;
};

struct limits *limits_new(void) {
    struct limits *l = calloc(1, sizeof *l);
    if (l) pthread_mutex_init(&l->lock, NULL);
    return l;
}

void limits_free(struct limits *l) {
    if (!l) return;
    pthread_mutex_destroy(&l->lock);
    free(l->accounts);
    free(l);
}

static struct account *account_of(struct limits *l, int64_t key) {
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->accounts[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < l->count && l->accounts[low].key == key) return &l->accounts[low];
    if (!ARRAY_GROW(l->accounts, l->count, l->room)) return NULL;
    memmove(&l->accounts[low + 1], &l->accounts[low], (l->count++ - low) * sizeof *l->accounts);
    l->accounts[low] = (struct account){.key = key};
    return &l->accounts[low];
}

static uint64_t limit_of(const struct key *k, int bucket) {
    const struct key_limits *l = &k->limits;
    return bucket == REQUESTS ? l->requests_per_minute : bucket == TOKENS ? l->tokens_per_minute : l->tokens_per_day;
}

// Brings a bucket to this moment. A limit that was lowered since lowers the level.
static void refill(struct bucket *b, int which, double limit, double now) {
    if (!b->known) *b = (struct bucket){limit, now, true};
    if (now > b->at) {
        b->level += (now - b->at) * limit / periods[which];
        b->at = now;
    }
    if (b->level > limit) b->level = limit;
}

static void refuse(struct limit_verdict *v, enum limit_reason why, double wait) {
    if (v->reason == LIMIT_NONE || wait > v->retry_after) v->retry_after = wait; // until none is in the way
    if (v->reason == LIMIT_NONE || why == LIMIT_REQUEST_TOO_BIG) v->reason = why;
}

// The buckets from `first` to before `end` count.
static void judge(struct account *a, const struct key *k, int first, int end, const double *need, double now,
                  struct limit_verdict *v) {
    for (int i = first; i < end; i++) {
        double limit = (double)limit_of(k, i);
        if (!limit) continue;
        refill(&a->buckets[i], i, limit, now);
        double missing = need[i] - a->buckets[i].level;
        if (need[i] > limit)
            refuse(v, LIMIT_REQUEST_TOO_BIG, 0);
        else if (missing > 1e-9) // sums of small refills round
            refuse(v, reason_of[i], missing * periods[i] / limit);
    }
    if (first == REQUESTS && k->limits.concurrency && a->running >= k->limits.concurrency)
        refuse(v, LIMIT_CONCURRENCY, 1);
}

static uint64_t remaining(const struct bucket *b) { return b->level > 0 ? (uint64_t)(b->level + 1e-6) : 0; }

// Of tokens the headers have room for one limit: the one that is nearer to its end.
static void fill_in(const struct account *a, const struct key *k, int end, struct limit_verdict *v) {
    for (int i = 0; i < end; i++) {
        const struct bucket *b = &a->buckets[i];
        uint64_t limit = limit_of(k, i), left = remaining(b);
        if (!limit) continue;
        double reset = ((double)limit - b->level) * periods[i] / (double)limit;
        if (i == REQUESTS) {
            v->limit_requests = limit;
            v->remaining_requests = left;
            v->reset_requests = reset;
        } else if (!v->limit_tokens || left < v->remaining_tokens) {
            v->limit_tokens = limit;
            v->remaining_tokens = left;
            v->reset_tokens = reset;
        }
    }
}

static struct limit_verdict begin(struct limits *l, const struct key *k, int first, uint64_t tokens, double now) {
    struct limit_verdict v = {0};
    const double need[BUCKETS] = {1, (double)tokens, (double)tokens};
    pthread_mutex_lock(&l->lock);
    struct account *a = account_of(l, k->id);
    if (!a) {
        refuse(&v, LIMIT_NO_MEMORY, 1);
    } else {
        judge(a, k, first, BUCKETS, need, now, &v);
        if (v.reason == LIMIT_NONE) {
            for (int i = first; i < BUCKETS; i++)
                if (limit_of(k, i)) a->buckets[i].level -= need[i];
            a->running += first == REQUESTS;
        }
        fill_in(a, k, BUCKETS, &v);
    }
    pthread_mutex_unlock(&l->lock);
    return v;
}

struct limit_verdict limits_begin(struct limits *l, const struct key *k, uint64_t tokens, double now) {
    return begin(l, k, REQUESTS, tokens, now);
}

struct limit_verdict limits_look(struct limits *l, const struct key *k, double now) {
    struct limit_verdict v = {0};
    const double need[BUCKETS] = {1};
    pthread_mutex_lock(&l->lock);
    struct account *a = account_of(l, k->id);
    if (a) {
        judge(a, k, REQUESTS, TOKENS, need, now, &v);
        fill_in(a, k, TOKENS, &v);
    }
    pthread_mutex_unlock(&l->lock);
    return v;
}

struct limit_verdict limits_begin_line(struct limits *l, const struct key *k, uint64_t tokens, double now) {
    return begin(l, k, DAY, tokens, now);
}

static void settle(struct limits *l, const struct key *k, int first, uint64_t estimate, uint64_t took, double now) {
    pthread_mutex_lock(&l->lock);
    struct account *a = account_of(l, k->id);
    if (first == REQUESTS && a && a->running) a->running--;
    for (int i = first == DAY ? DAY : TOKENS; a && i < BUCKETS; i++) {
        if (!limit_of(k, i)) continue;
        refill(&a->buckets[i], i, (double)limit_of(k, i), now);
        a->buckets[i].level += (double)estimate - (double)took;
        refill(&a->buckets[i], i, (double)limit_of(k, i), now);
    }
    pthread_mutex_unlock(&l->lock);
}

void limits_end(struct limits *l, const struct key *k, uint64_t estimate, uint64_t took, double now) {
    settle(l, k, REQUESTS, estimate, took, now);
}

void limits_end_line(struct limits *l, const struct key *k, uint64_t estimate, uint64_t took, double now) {
    settle(l, k, DAY, estimate, took, now);
}

bool limits_day_known(struct limits *l, const struct key *k) {
    pthread_mutex_lock(&l->lock);
    struct account *a = account_of(l, k->id);
    bool known = a && a->buckets[DAY].known;
    pthread_mutex_unlock(&l->lock);
    return known;
}

void limits_seed(struct limits *l, const struct key *k, uint64_t used_today, double seconds, double now) {
    double limit = (double)k->limits.tokens_per_day;
    pthread_mutex_lock(&l->lock);
    struct account *a = limit ? account_of(l, k->id) : NULL;
    if (a) {
        struct bucket *b = &a->buckets[DAY];
        *b = (struct bucket){limit - (double)used_today + seconds * limit / periods[DAY], now, true};
        refill(b, DAY, limit, now);
    }
    pthread_mutex_unlock(&l->lock);
}

// As OpenAI writes them: "20ms", "6s", "1m30s", "2h0m5s".
static void spell(double seconds, char *out, size_t size) {
    uint64_t ms = (uint64_t)ceil(fmin(fmax(seconds, 0), 1e9) * 1000 - 1e-6), s = (ms + 999) / 1000;
    if (ms < 1000)
        snprintf(out, size, "%llums", (unsigned long long)ms);
    else if (s < 60)
        snprintf(out, size, "%llus", (unsigned long long)s);
    else if (s < 3600)
        snprintf(out, size, "%llum%llus", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
    else
        snprintf(out, size, "%lluh%llum%llus", (unsigned long long)(s / 3600), (unsigned long long)(s / 60 % 60),
                 (unsigned long long)(s % 60));
}

static void put_three(const char *what, uint64_t limit, uint64_t left, double reset,
                      void (*put)(void *, const char *, const char *), void *user) {
    char name[64], value[64];
    if (!limit) return;
    snprintf(name, sizeof name, "x-ratelimit-limit-%s", what);
    snprintf(value, sizeof value, "%llu", (unsigned long long)limit);
    put(user, name, value);
    snprintf(name, sizeof name, "x-ratelimit-remaining-%s", what);
    snprintf(value, sizeof value, "%llu", (unsigned long long)left);
    put(user, name, value);
    snprintf(name, sizeof name, "x-ratelimit-reset-%s", what);
    spell(reset, value, sizeof value);
    put(user, name, value);
}

void limits_headers(const struct limit_verdict *v, void (*put)(void *user, const char *name, const char *value),
                    void *user) {
    char value[64];
    put_three("requests", v->limit_requests, v->remaining_requests, v->reset_requests, put, user);
    put_three("tokens", v->limit_tokens, v->remaining_tokens, v->reset_tokens, put, user);
    if (v->reason == LIMIT_NONE || v->reason == LIMIT_REQUEST_TOO_BIG) return;
    snprintf(value, sizeof value, "%.0f", fmax(1, ceil(v->retry_after - 1e-6))); // RFC 9110: whole seconds
    put(user, "retry-after", value);
}

const char *limits_message(const struct limit_verdict *v) {
    static const char *const messages[] = {
        [LIMIT_NONE] = NULL,
        [LIMIT_REQUESTS] = "This key's requests per minute are used up; wait as long as retry-after says.",
        [LIMIT_TOKENS] = "This key's tokens per minute are used up; wait as long as retry-after says.",
        [LIMIT_DAY] = "This key's tokens per day are used up; wait as long as retry-after says.",
        [LIMIT_CONCURRENCY] = "This key has as many requests under way as it may have; wait for one of them.",
        [LIMIT_REQUEST_TOO_BIG] =
            "This request may take more tokens than this key's limit allows at once; shorten it or "
            "lower max_tokens.",
        [LIMIT_NO_MEMORY] = "The server is out of memory; try again.",
    };
    return messages[v->reason];
}
