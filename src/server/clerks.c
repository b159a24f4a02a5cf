#include "server/clerks.h"

#include <pthread.h>
#include <stdlib.h>

struct task {
    struct task *next;
    int64_t owner;
    void (*fn)(void *);
    void *arg;
};

struct clerk {
    struct clerks *all;
    pthread_t thread;
    const struct task *at; // NULL: it waits
};

struct clerks {
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct clerk *clerk;
    unsigned n, most, idle;
    struct task *first, **last;
    unsigned waiting;
    bool stop;
};

static unsigned under_way(const struct clerks *c, int64_t owner) {
    unsigned n = 0;
    for (unsigned i = 0; i < c->n; i++) n += c->clerk[i].at && c->clerk[i].at->owner == owner;
    return n;
}

// The first of the owner who has the fewest under way; NULL: those who wait have all that they may have.
static struct task *take_next(struct clerks *c) {
    struct task **best = NULL;
    unsigned fewest = c->most - CLERKS_SPARED;
    for (struct task **t = &c->first; *t && fewest; t = &(*t)->next) {
        unsigned n = under_way(c, (*t)->owner);
        if (n < fewest) best = t, fewest = n;
    }
    if (!best) return NULL;
    struct task *t = *best;
    *best = t->next;
    if (!*best) c->last = best;
    c->waiting--;
    return t;
}

static void *work(void *arg) {
    struct clerk *me = arg;
    struct clerks *c = me->all;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct task *t;
        while (!(t = take_next(c)) && !(c->stop && !c->first)) {
            c->idle++;
            pthread_cond_wait(&c->come, &c->lock);
            c->idle--;
        }
        if (!t) break;
        me->at = t;
        pthread_mutex_unlock(&c->lock);
        t->fn(t->arg);
        pthread_mutex_lock(&c->lock);
        me->at = NULL;
        free(t);
        // Those who sleep wait for more work, for an owner to have fewer under way, or for the end.
        if (c->stop) pthread_cond_broadcast(&c->come);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static bool hire(struct clerks *c) {
    struct clerk *k = c->clerk + c->n;
    if (c->n == c->most) return false;
    k->all = c;
    if (pthread_create(&k->thread, NULL, work, k)) return false;
    c->n++;
    return true;
}

struct clerks *clerks_new(unsigned most, gyr_error *e) {
    struct clerks *c = calloc(1, sizeof *c);
    struct clerk *clerk = calloc(most, sizeof *clerk);
    if (!c || !clerk) {
        free(c);
        free(clerk);
        return fail_memory(e, "server"), NULL;
    }
    *c = (struct clerks){.clerk = clerk, .most = most};
    c->last = &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->come, NULL);
    if (hire(c)) return c;
    clerks_free(c);
    return fail_null(e, GYR_FAILED, "no more threads can be made; raise the limit of processes (ulimit -u)");
}

bool clerks_add(struct clerks *c, int64_t owner, void (*fn)(void *), void *arg) {
    struct task *t = malloc(sizeof *t);
    if (!t) return false;
    *t = (struct task){NULL, owner, fn, arg};
    pthread_mutex_lock(&c->lock);
    *c->last = t;
    c->last = &t->next;
    if (++c->waiting > c->idle) hire(c);
    pthread_cond_signal(&c->come);
    pthread_mutex_unlock(&c->lock);
    return true;
}

void clerks_free(struct clerks *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->come);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->n; i++) pthread_join(c->clerk[i].thread, NULL);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->come);
    free(c->clerk);
    free(c);
}
