#include "server/tuner.h"

#include "base/clock.h"
#include "server/access.h"
#include "server/tune_impl.h"
#include "server/tune_work.h"
#include "server/tuner_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_SECONDS = 2, // other processes may have accepted jobs, or end
    RETRY_SECONDS = 5,
    LAST_SECONDS = 10
};

// What is wrong, once.
static void complain(struct tuner *t, const gyr_error *e) {
    char line[sizeof e->message + 24];
    if (!strcmp(e->message, t->said.message)) return;
    t->said = *e;
    snprintf(line, sizeof line, "fine-tuning: %s", e->message);
    server_log(t->server, line);
}

// ------------------------------------------------------------------------------------------------ served

struct serving {
    struct server *server;
    bool all;
};

static bool serve_one(void *arg, const struct tune_made *m) {
    struct serving *v = arg;
    struct served *model = models_find(v->server->models, m->base);
    char *path = model ? tune_path(server_store(v->server), m->id, m->step, NULL) : NULL;
    if (path)
        v->all &= adapters_made(v->server->adapters, &(struct adapter_made){.name = m->model,
                                                                            .path = path,
                                                                            .root = m->id,
                                                                            .model = model,
                                                                            .owner = m->owner,
                                                                            .checksum = m->checksum});
    free(path);
    return true;
}

bool tuner_serve(struct server *s, gyr_error *e) {
    struct serving v = {s, true};
    adapters_made_begin(s->adapters);
    bool ok = tune_each_made(server_store(s), serve_one, &v, e);
    adapters_made_end(s->adapters, ok && v.all);
    return ok;
}

static void serve_again(struct tuner *t) {
    gyr_error e = {0};
    int64_t version = store_version(server_store(t->server));
    t->models = models_count(t->server->models);
    if (!tuner_serve(t->server, &e)) complain(t, &e);
    atomic_store(&t->version, version);
    atomic_store(&t->behind, false);
}

void tuner_see(struct server *s) {
    struct tuner *t = s->tuner;
    gyr_error e = {0};
    if (t && (atomic_load(&t->behind) || store_version(server_store(s)) != atomic_load(&t->version)))
        tuner_serve(s, &e); // the tuner's thread says what is wrong
}

struct tuned *tuner_find(struct server *s, const char *name, int64_t sees) {
    struct tuned *t = tuned_find(s->adapters, name, sees);
    if (t || models_find(s->models, name)) return t;
    tuner_see(s);
    return tuned_find(s->adapters, name, sees);
}

// ------------------------------------------------------------------------------------------------ whose a job is

// Of several processes that share a state, the one that has the lock on a job's byte works on it; it goes with the
// process.
static int open_locks(struct store *s, gyr_error *e) {
    struct buf path = {0};
    buf_printf(&path, "%s/tuned", store_place(s));
    bool ok = !path.failed && (!mkdir(path.data, 0700) || errno == EEXIST);
    buf_puts(&path, "/lock");
    int fd = ok && !path.failed ? open(path.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (path.failed)
        fail_memory(e, "fine-tuning");
    else if (fd < 0)
        fail(e, GYR_IO, "%s: %s", path.data, strerror(errno));
    buf_free(&path);
    return fd;
}

static bool lock_job(const struct tuner *t, int64_t seq, short how) {
    struct flock range = {.l_type = how, .l_whence = SEEK_SET, .l_start = (off_t)seq, .l_len = 1};
    return !fcntl(t->locks, F_SETLK, &range);
}

// ------------------------------------------------------------------------------------------------ beginning

// The first job to be done here; false: there is none.
static bool find_job(struct tuner *t, struct tuner_work *w) {
    gyr_error e = {0};
    for (int64_t after = 0; tune_due(server_store(t->server), w->task, after, &w->tune, &e);) {
        after = w->tune.seq;
        w->model = models_find(t->server->models, w->tune.base);
        if (w->model && lock_job(t, after, F_WRLCK)) return true;
        tune_clear(&w->tune); // another process serves its model, or works on it
    }
    if (e.status) complain(t, &e);
    return false;
}

static bool begin(struct tuner *t, struct tuner_work *w) {
    gyr_error e = {0};
    if (!find_job(t, w)) return false;
    atomic_store(&w->stop, false);
    w->status = GYR_OK;
    w->trouble = w->lost = false;
    w->error = (gyr_error){0};
    if (tuner_work_start(w, &e)) return true;
    complain(t, &e);
    lock_job(t, w->tune.seq, F_UNLCK);
    tune_clear(&w->tune);
    return false;
}

// ------------------------------------------------------------------------------------------------ the end of one

// Whose fault it is, as OpenAI's codes have it.
static void judge(const struct tuner_work *w, const char **code, const char **param) {
    bool data = w->status == GYR_MALFORMED || w->status == GYR_TOO_LONG;
    *code = data                           ? w->in_valid ? "invalid_validation_file" : "invalid_training_file"
            : w->status == GYR_UNSUPPORTED ? "unsupported_model"
            : w->status == GYR_FAILED      ? "training_failed"
                                           : "server_error";
    *param = data ? w->in_valid ? "validation_file" : "training_file" : w->status == GYR_UNSUPPORTED ? "model" : NULL;
}

static bool write_down(struct tuner_work *w, gyr_error *e) {
    struct store *s = server_store(w->tuner->server);
    const char *code, *param;
    int64_t now = time(NULL);
    if (w->status) {
        judge(w, &code, &param);
        return tune_fail(s, &w->tune, code, param, w->error.message, now, e);
    }
    if (w->task == TUNE_CHECK) return tune_checked(s, &w->tune, &w->plan, now, e);
    atomic_store(&w->tuner->behind, true);
    return tune_succeed(s, &w->tune, now, e);
}

// What is left of one that was cancelled, or that ended.
static void clean_up(struct tuner_work *w) {
    struct store *s = server_store(w->tuner->server);
    struct tune is;
    if (w->task == TUNE_CHECK || !tune_find(s, OWNER_ANY, w->tune.id, &is, NULL)) return;
    if (is.state == TUNE_CANCELLED || is.state == TUNE_FAILED) tune_remove_files(s, is.id, true);
    tune_clear(&is);
}

// False: it could not be written down; the job is done again.
static bool settle(struct tuner *t, struct tuner_work *w) {
    gyr_error e = {0};
    bool ok = w->lost                      ? true
              : w->status == GYR_CANCELLED ? !w->trouble
                                           : write_down(w, &e) || e.status == GYR_CANCELLED;
    if (e.status && !ok) complain(t, &e);
    clean_up(w);
    lock_job(t, w->tune.seq, F_UNLCK);
    if (w->task == TUNE_TRAIN) serve_again(t);
    tune_clear(&w->tune);
    return ok;
}

// A step that a training waits to have written down.
static void record(struct tuner *t, struct tuner_work *w) {
    struct store *s = server_store(t->server);
    gyr_error e = {0};
    int64_t now = time(NULL);
    bool makes = w->tells == TELL_STEPPED && w->step.checkpoint;
    if (makes) atomic_store(&t->behind, true);
    bool ok = w->tells == TELL_BEGUN     ? tune_begin(s, &w->tune, w->done, w->ranks, now, &e)
              : w->tells == TELL_WARNING ? tune_warn(s, &w->tune, w->warning, now, &e)
                                         : tune_stepped(s, &w->tune, &w->step, now, &e);
    w->trouble = !ok && e.status != GYR_CANCELLED;
    if (w->trouble) complain(t, &e);
    w->wanted = ok;
    if (makes) serve_again(t);
}

// ------------------------------------------------------------------------------------------------ the thread

static void wait_until(struct tuner *t, double when) {
    struct timespec at = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
    pthread_cond_timedwait(&t->come, &t->lock, &at);
}

// Has one of the two do what there is to do. The lock is held, but while it is done.
static bool attend(struct tuner *t, struct tuner_work *w, double now) {
    if (w->is == WORK_BUSY && w->tells) {
        pthread_mutex_unlock(&t->lock);
        record(t, w);
        pthread_mutex_lock(&t->lock);
        w->tells = TELL_NOTHING;
        pthread_cond_broadcast(&t->heard);
        return true;
    }
    if (w->is == WORK_ENDED) {
        pthread_mutex_unlock(&t->lock);
        pthread_join(w->thread, NULL);
        bool ok = settle(t, w);
        pthread_mutex_lock(&t->lock);
        w->is = WORK_NONE;
        w->rest = ok ? 0 : now + RETRY_SECONDS;
        if (ok) t->works[TUNE_TRAIN].rest = 0; // what was checked is to be trained
        return true;
    }
    if (w->is != WORK_NONE || t->draining || now < w->rest) return false;
    pthread_mutex_unlock(&t->lock);
    bool begun = begin(t, w);
    pthread_mutex_lock(&t->lock);
    if (!begun) w->rest = now + LOOK_SECONDS;
    return begun;
}

static void *supervise(void *arg) {
    struct tuner *t = arg;
    pthread_mutex_lock(&t->lock);
    while (!t->stopping || t->works[0].is != WORK_NONE || t->works[1].is != WORK_NONE) {
        double now = now_seconds();
        bool did = false;
        for (int i = 0; i < 2; i++) {
            if (t->woken) t->works[i].rest = t->works[i].is == WORK_NONE ? 0 : t->works[i].rest;
            did |= attend(t, &t->works[i], now);
        }
        t->woken = false;
        if (did) continue;
        if (t->stopping && now > t->last) {
            atomic_store(&t->left, true);
            break;
        }
        pthread_mutex_unlock(&t->lock);
        if (store_version(server_store(t->server)) != atomic_load(&t->version) ||
            models_count(t->server->models) != t->models)
            serve_again(t);
        pthread_mutex_lock(&t->lock);
        if (!t->woken && !t->works[0].tells && !t->works[1].tells && t->works[0].is != WORK_ENDED &&
            t->works[1].is != WORK_ENDED)
            wait_until(t, now + (t->stopping ? 0.2 : LOOK_SECONDS));
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

struct tuner *tuner_new(struct server *s, unsigned threads, gyr_error *e) {
    struct tuner *t = calloc(1, sizeof *t);
    pthread_condattr_t how;
    if (!t) return fail_memory(e, "fine-tuning"), NULL;
    t->server = s;
    t->threads = threads;
    for (int i = 0; i < 2; i++) t->works[i] = (struct tuner_work){.tuner = t, .task = (enum tune_task)i};
    t->locks = open_locks(server_store(s), e);
    if (t->locks < 0 || !tuner_serve(s, e)) {
        if (t->locks >= 0) close(t->locks);
        free(t);
        return NULL;
    }
    atomic_init(&t->version, store_version(server_store(s)));
    t->models = models_count(s->models);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&t->come, &how);
    pthread_cond_init(&t->heard, NULL);
    pthread_condattr_destroy(&how);
    if (!pthread_create(&t->thread, NULL, supervise, t)) return t;
    close(t->locks);
    free(t);
    return fail_null(e, GYR_FAILED, "no more threads can be made; raise the limit of processes (ulimit -u)");
}

void tuner_wake(struct tuner *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->woken = true;
    pthread_cond_signal(&t->come);
    pthread_mutex_unlock(&t->lock);
}

void tuner_hold(struct tuner *t, const char *id) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < 2; i++)
        if (t->works[i].is == WORK_BUSY && !strcmp(t->works[i].tune.id, id)) atomic_store(&t->works[i].stop, true);
    pthread_mutex_unlock(&t->lock);
    tuner_wake(t);
}

void tuner_tidy(struct tuner *t, const struct tune *job) {
    gyr_error e = {0};
    if (!t || job->state != TUNE_CANCELLED) return;
    pthread_mutex_lock(&t->lock);
    bool busy = t->works[TUNE_TRAIN].is != WORK_NONE && t->works[TUNE_TRAIN].tune.seq == job->seq;
    pthread_mutex_unlock(&t->lock);
    if (!busy && lock_job(t, job->seq, F_WRLCK)) {
        tune_remove_files(server_store(t->server), job->id, true);
        lock_job(t, job->seq, F_UNLCK);
    }
    if (!tuner_serve(t->server, &e)) complain(t, &e);
}

void tuner_drain(struct tuner *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->draining = true;
    for (int i = 0; i < 2; i++) atomic_store(&t->works[i].stop, true);
    pthread_cond_signal(&t->come);
    pthread_mutex_unlock(&t->lock);
}

void tuner_free(struct tuner *t) {
    if (!t) return;
    tuner_drain(t);
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    t->last = now_seconds() + LAST_SECONDS;
    pthread_cond_signal(&t->come);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    if (t->works[0].is != WORK_NONE || t->works[1].is != WORK_NONE) return; // what they use stays with them
    gyr_ranks_beside_end(t->team);
    close(t->locks);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->come);
    pthread_cond_destroy(&t->heard);
    free(t);
}
