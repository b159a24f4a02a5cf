#include "server/scheduler.h"

#include "base/clock.h"
#include "server/lane.h"
#include "server/models.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SAVE_STEPS = 16, LAST_SECONDS = 20 }; // steps between two parts written; for writing, at the end

// A lane that is to be dropped.
struct forgetting {
    struct scheduler *s;
    struct served *model;
};

struct scheduler {
    struct scheduler_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come, gone; // something for the thread; something that it has done
    struct job *inbox, **last;
    unsigned n_inbox, n_jobs; // that are not over
    struct errand *errands;
    bool stop, ended;   // it is to end; the thread has
    struct lane *lanes; // the thread's alone, as all below
    struct disk *disk;
    struct scheduler_stats stats;
    struct scheduler_stats shown; // a copy for others, under the lock
};

static struct lane *lane_of(struct scheduler *s, struct served *model) {
    for (struct lane *l = s->lanes; l; l = l->next)
        if (l->served == model) return l;
    struct lane *l = lane_new(model, &s->o, s->disk);
    if (!l) return NULL;
    l->next = s->lanes;
    return s->lanes = l;
}

static void drop_lane(void *arg) {
    const struct forgetting *f = arg;
    for (struct lane **at = &f->s->lanes; *at; at = &(*at)->next) {
        struct lane *l = *at;
        if (l->served != f->model) continue;
        *at = l->next;
        lane_free(l);
        return;
    }
}

static void fail_job(struct job *j, const gyr_error *why) {
    job_say(j, &(struct said){
                   .kind = SAID_FAILED, .status = why->status, .text = why->message, .size = strlen(why->message)});
    job_release(j);
}

static bool lanes_busy(const struct scheduler *s) {
    for (const struct lane *l = s->lanes; l; l = l->next)
        if (l->n || l->waiting || l->working) return true;
    return false;
}

// Jobs that came, to their lanes. The lock is held, but while one is failed: who lets go of it may have to post.
static void take_in(struct scheduler *s) {
    static const gyr_error no_memory = {GYR_NO_MEMORY, "out of memory for another answer; try again later"};
    while (s->inbox) {
        struct job *j = s->inbox;
        s->inbox = j->next;
        if (!s->inbox) s->last = &s->inbox;
        s->n_inbox--;
        struct lane *l = lane_of(s, j->model);
        j->queued = now_seconds();
        if (l) {
            lane_queue(l, j);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        fail_job(j, &no_memory);
        pthread_mutex_lock(&s->lock);
    }
}

// The next errand, one between two steps: who posts one after the other keeps no answer waiting for more. The lock is
// held, but while it runs.
static void run_errand(struct scheduler *s) {
    struct errand *e = s->errands;
    if (!e) return;
    s->errands = e->next;
    e->posted = false; // it may be posted again from here on
    pthread_mutex_unlock(&s->lock);
    e->run(e->arg);
    pthread_mutex_lock(&s->lock);
    if (!e->waits) return;
    e->done = true;
    pthread_cond_broadcast(&s->gone);
}

static void show(struct scheduler *s) {
    struct scheduler_stats *st = &s->stats;
    st->running = st->waiting = st->aside = 0;
    st->kv_limit = st->kv_used = 0;
    st->conversations = 0;
    st->dropped = 0;
    for (struct lane *l = s->lanes; l; l = l->next) {
        gyr_memory memory;
        gyr_model_get_memory(l->model, &memory);
        served_note_held(l->served, memory.held);
        st->aside += lane_aside(l);
        st->running += (unsigned)l->n;
        st->waiting += l->n_waiting;
        st->kv_limit += memory.limit;
        st->kv_used += memory.used;
        st->conversations += l->cache.n;
        st->dropped += l->cache.dropped;
    }
    if (s->disk) disk_get_stats(s->disk, &st->disk);
    s->shown = *st;
}

// Writes a part of what was said to the disk. False: nothing is left to be written.
static bool save_some(struct scheduler *s) {
    for (struct lane *l = s->lanes; l; l = l->next)
        if (lane_save(l, &s->o)) return true;
    return false;
}

static void step_all(struct scheduler *s) {
    for (struct lane *l = s->lanes; l; l = l->next) {
        lane_work(l, &s->stats);
        lane_admit(l, &s->o, &s->stats);
        s->stats.steps += lane_step(l, &s->o, &s->stats);
    }
    if (s->stats.steps % SAVE_STEPS == 0) save_some(s);
}

static void *work(void *arg) {
    struct scheduler *s = arg;
    static const gyr_error stopped = {GYR_CANCELLED, "the server is stopping"};
    pthread_mutex_lock(&s->lock);
    for (;;) {
        take_in(s);
        run_errand(s);
        show(s);
        if (s->stop) break;
        pthread_mutex_unlock(&s->lock);
        bool busy = lanes_busy(s);
        if (busy) step_all(s);
        bool saved = !busy && save_some(s);
        pthread_mutex_lock(&s->lock);
        if (!busy && !saved && !s->inbox && !s->errands && !s->stop) pthread_cond_wait(&s->come, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    for (struct lane *l = s->lanes; l; l = l->next) lane_fail(l, &stopped);
    double end = now_seconds() + LAST_SECONDS;
    while (now_seconds() < end && save_some(s)) {}
    pthread_mutex_lock(&s->lock);
    while (s->errands) run_errand(s);
    s->ended = true;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct scheduler *scheduler_new(const struct scheduler_options *o, gyr_error *e) {
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(e, "scheduler"), NULL;
    s->o = *o;
    s->last = &s->inbox;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->come, NULL);
    pthread_cond_init(&s->gone, NULL);
    if (o->disk && o->disk_bytes) s->disk = disk_new(o->disk, o->disk_bytes, NULL); // without it all works, but slower
    if (!pthread_create(&s->thread, NULL, work, s)) return s;
    free(s);
    return fail_null(e, GYR_FAILED, "no more threads can be made; raise the limit of processes (ulimit -u)");
}

bool scheduler_add(struct scheduler *s, struct job *j) {
    pthread_mutex_lock(&s->lock);
    unsigned free = s->o.parallel > s->shown.running ? s->o.parallel - s->shown.running : 0;
    bool takes = !s->stop && s->n_inbox + s->shown.waiting < s->o.waiting + free;
    if (takes) {
        j->next = NULL;
        *s->last = j;
        s->last = &j->next;
        s->n_inbox++;
        pthread_cond_signal(&s->come);
    }
    pthread_mutex_unlock(&s->lock);
    return takes;
}

// The lock is held.
static void post(struct scheduler *s, struct errand *e) {
    struct errand **last = &s->errands;
    if (e->posted) return;
    while (*last) last = &(*last)->next;
    e->posted = true;
    e->next = NULL;
    *last = e;
    pthread_cond_signal(&s->come);
}

void scheduler_post(struct scheduler *s, struct errand *e) {
    pthread_mutex_lock(&s->lock);
    if (!s->ended) post(s, e);
    pthread_mutex_unlock(&s->lock);
}

void scheduler_call(struct scheduler *s, void (*run)(void *arg), void *arg) {
    struct errand e = {.run = run, .arg = arg, .waits = true};
    pthread_mutex_lock(&s->lock);
    if (s->ended) {
        run(arg);
        e.done = true;
    } else {
        post(s, &e);
    }
    while (!e.done) pthread_cond_wait(&s->gone, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void scheduler_forget(struct scheduler *s, struct served *model) {
    scheduler_call(s, drop_lane, &(struct forgetting){s, model});
}

void scheduler_let_go(struct scheduler *s, const struct served *model, const gyr_adapter *adapter) {
    for (struct lane *l = s->lanes; l; l = l->next)
        if (l->served == model) prefix_let_go(&l->cache, adapter);
}

bool scheduler_recovers(struct scheduler *s, struct served *model, gyr_error *e) {
    struct lane *l = e->status == GYR_DEVICE ? lane_of(s, model) : NULL;
    return l && lane_recovers(l, &s->o, e);
}

void scheduler_stop(struct scheduler *s) {
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->come);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
}

void scheduler_free(struct scheduler *s) {
    if (!s) return;
    while (s->lanes) {
        struct lane *l = s->lanes;
        s->lanes = l->next;
        lane_free(l);
    }
    disk_free(s->disk);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->come);
    pthread_cond_destroy(&s->gone);
    free(s);
}

void scheduler_get_stats(struct scheduler *s, struct scheduler_stats *stats) {
    pthread_mutex_lock(&s->lock);
    *stats = s->shown;
    stats->waiting += s->n_inbox;
    pthread_mutex_unlock(&s->lock);
}
