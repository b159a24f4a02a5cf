#include "server/scheduler.h"

#include "base/clock.h"
#include "server/lane.h"
#include "server/models.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SAVE_STEPS = 16, LAST_SECONDS = 20 }; // steps between two parts written; for writing, at the end

struct forget {
    struct served *model;
    bool done;
    struct forget *next;
};

struct scheduler {
    struct scheduler_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come, gone; // something for the thread; something that it has done
    struct job *inbox, **last;
    unsigned n_inbox, n_jobs; // that are not over
    struct forget *forgets;
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

static void drop_lane(struct scheduler *s, struct served *model) {
    for (struct lane **at = &s->lanes; *at; at = &(*at)->next) {
        struct lane *l = *at;
        if (l->served != model) continue;
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

// Jobs that came, to their lanes. The lock is held.
static void take_in(struct scheduler *s) {
    static const gyr_error no_memory = {GYR_NO_MEMORY, "out of memory for another answer; try again later"};
    while (s->inbox) {
        struct job *j = s->inbox;
        s->inbox = j->next;
        struct lane *l = lane_of(s, j->model);
        j->queued = now_seconds();
        if (l)
            lane_queue(l, j);
        else
            fail_job(j, &no_memory);
    }
    s->last = &s->inbox;
    s->n_inbox = 0;
}

// The lock is held.
static void forget_models(struct scheduler *s) {
    for (struct forget *f = s->forgets; f; f = f->next) {
        drop_lane(s, f->model);
        f->done = true;
    }
    if (s->forgets) pthread_cond_broadcast(&s->gone);
    s->forgets = NULL;
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
        forget_models(s);
        show(s);
        if (s->stop) break;
        pthread_mutex_unlock(&s->lock);
        bool busy = lanes_busy(s);
        if (busy) step_all(s);
        bool saved = !busy && save_some(s);
        pthread_mutex_lock(&s->lock);
        if (!busy && !saved && !s->inbox && !s->forgets && !s->stop) pthread_cond_wait(&s->come, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    for (struct lane *l = s->lanes; l; l = l->next) lane_fail(l, &stopped);
    double end = now_seconds() + LAST_SECONDS;
    while (now_seconds() < end && save_some(s)) {}
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    forget_models(s);
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

void scheduler_forget(struct scheduler *s, struct served *model) {
    struct forget f = {.model = model};
    pthread_mutex_lock(&s->lock);
    f.next = s->forgets;
    s->forgets = &f;
    pthread_cond_signal(&s->come);
    if (s->ended) forget_models(s);
    while (!f.done) pthread_cond_wait(&s->gone, &s->lock);
    pthread_mutex_unlock(&s->lock);
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
