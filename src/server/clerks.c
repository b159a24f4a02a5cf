#include "server/clerks.h"

#include <pthread.h>
#include <stdlib.h>

struct task {
    struct task *next;
    void (*fn)(void *);
    void *arg;
};

struct clerks {
    pthread_mutex_t lock;
    pthread_cond_t come;
    pthread_t *threads;
    unsigned n, most, idle;
    struct task *first, **last;
    unsigned waiting;
    bool stop;
};

static void *work(void *arg) {
    struct clerks *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->first && !c->stop) {
            c->idle++;
            pthread_cond_wait(&c->come, &c->lock);
            c->idle--;
        }
        struct task *t = c->first;
        if (!t) break;
        c->first = t->next;
        if (!c->first) c->last = &c->first;
        c->waiting--;
        pthread_mutex_unlock(&c->lock);
        t->fn(t->arg);
        free(t);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static bool hire(struct clerks *c) {
    if (c->n == c->most || pthread_create(&c->threads[c->n], NULL, work, c)) return false;
    c->n++;
    return true;
}

struct clerks *clerks_new(unsigned most, gyr_error *e) {
    struct clerks *c = calloc(1, sizeof *c);
    pthread_t *threads = calloc(most, sizeof *threads);
    if (!c || !threads) {
        free(c);
        free(threads);
        return fail_memory(e, "server"), NULL;
    }
    *c = (struct clerks){.threads = threads, .most = most};
    c->last = &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->come, NULL);
    if (hire(c)) return c;
    clerks_free(c);
    return fail_null(e, GYR_FAILED, "no more threads can be made; raise the limit of processes (ulimit -u)");
}

bool clerks_add(struct clerks *c, void (*fn)(void *), void *arg) {
    struct task *t = malloc(sizeof *t);
    if (!t) return false;
    *t = (struct task){NULL, fn, arg};
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
    for (unsigned i = 0; i < c->n; i++) pthread_join(c->threads[i], NULL);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->come);
    free(c->threads);
    free(c);
}
