// A job that is done, on a thread of its own: its files are read, and it is trained.
#include "base/clock.h"
#include "server/access.h"
#include "server/scheduler.h"
#include "server/tune_team.h"
#include "server/tuner.h"
#include "server/tuner_impl.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST_EVENTS = 5000 };                                  // of steps
static const double usual_rate = 2e-4, usual_rate_dpo = 2e-5; // as gyr_tune_options has them

void tuner_step_back(void) {
    struct sched_param none = {0};
    // Of this thread alone, and of those it makes. Where the system has no such class, it comes last of the usual one.
    if (sched_setscheduler(0, SCHED_IDLE, &none)) setpriority(PRIO_PROCESS, 0, 19);
}

// ------------------------------------------------------------------------------------------------ options

static char *file_path(struct store *s, const char *id) {
    char *path = NULL;
    return asprintf(&path, "%s/files/%s", store_place(s), id) < 0 ? NULL : path;
}

void tune_paths_free(struct tune_paths *p) {
    free(p->data);
    free(p->valid);
    free(p->output);
    *p = (struct tune_paths){0};
}

bool tune_options_of(struct server *s, const struct tune *t, struct tune_paths *p, gyr_tune_options *o, gyr_error *e) {
    struct store *store = server_store(s);
    *p = (struct tune_paths){.data = file_path(store, t->training),
                             .valid = *t->validation ? file_path(store, t->validation) : NULL};
    if (*t->id && !(p->output = tune_path(store, t->id, 0, e))) return false;
    if (!p->data || (*t->validation && !p->valid)) return fail_memory(e, "fine-tuning");
    *o = (gyr_tune_options){.data = p->data,
                            .valid = p->valid,
                            .output = p->output,
                            .epochs = (uint32_t)t->epochs,
                            .batch = (uint32_t)t->batch,
                            .learning_rate = t->rate * (t->prefers ? usual_rate_dpo : usual_rate),
                            .method = t->prefers ? GYR_METHOD_DPO : GYR_METHOD_SUPERVISED,
                            .beta = t->beta,
                            .products = s->o->tune_products,
                            .seed = (uint64_t)t->seed,
                            .resume = true};
    return true;
}

static void hide(gyr_error *e, const char *path, const char *by) {
    if (path) hide_path(e->message, sizeof e->message, path, by);
}

void tune_hide_paths(gyr_error *e, struct server *s, const struct tune *t, const struct tune_paths *p,
                     const struct served *model, bool *in_valid) {
    struct stored_file training = {.name = "the training file"}, validation = {.name = "the validation file"};
    struct store *store = server_store(s);
    int64_t now = time(NULL);
    file_find(store, OWNER_ANY, t->training, now, &training, NULL);
    if (*t->validation) file_find(store, OWNER_ANY, t->validation, now, &validation, NULL);
    *in_valid = p->valid && strcmp(p->valid, p->data) && strstr(e->message, p->valid);
    hide(e, p->valid, validation.name);
    hide(e, p->data, training.name);
    hide(e, p->output, "the adapter");
    served_hide_path(model, e->message, sizeof e->message);
}

// ------------------------------------------------------------------------------------------------ telling

// Has something written down by the tuner's own thread, which nothing starves; whether to go on.
static bool say(struct tuner_work *w, int what) {
    struct tuner *t = w->tuner;
    pthread_mutex_lock(&t->lock);
    w->tells = what;
    pthread_cond_signal(&t->come);
    while (w->tells) pthread_cond_wait(&t->heard, &t->lock);
    bool on = w->wanted;
    pthread_mutex_unlock(&t->lock);
    return on;
}

struct running {
    struct tuner_work *w;
    gyr_tune *tune;
    gyr_error error; // of a checkpoint
};

// The adapter as it is, at the end of an epoch but the last, where it is whole anyway.
static bool write_checkpoint(struct running *r, const gyr_tune_progress *p) {
    struct tuner_work *w = r->w;
    char *path =
        p->step < p->steps ? tune_path(server_store(w->tuner->server), w->tune.id, (int64_t)p->step, &r->error) : NULL;
    if (p->step == p->steps) return true;
    bool ok = path && !gyr_tune_write(r->tune, path, &r->error);
    free(path);
    return ok;
}

// Of a thread that nobody waits for any more: the process ends with it, and all but what is its own is gone.
static void rest_if_left(const struct tuner_work *w) {
    while (atomic_load(&w->tuner->left)) pause();
}

static bool on_progress(void *user, const gyr_tune_progress *p) {
    struct running *r = user;
    struct tuner_work *w = r->w;
    if (p->card_failed) {
        char line[700];
        snprintf(line, sizeof line, "fine-tuning: %s; the CPU computes what that card cannot", p->card_failed);
        server_log(w->tuner->server, line);
    }
    if (p->stepped) {
        int64_t step = (int64_t)p->step;
        double pace = p->seconds > 0 ? (double)p->tokens_now / p->seconds : 0,
               left = (double)(p->tokens_all - p->tokens);
        bool epoch = step % w->each == 0;
        w->step = (struct tune_step){.step = step,
                                     .epoch = (int64_t)p->epoch,
                                     .tokens = (int64_t)p->tokens,
                                     .loss = p->loss,
                                     .accuracy = p->accuracy,
                                     .valid_loss = p->valid_loss,
                                     .valid_accuracy = p->valid_accuracy,
                                     .margin = p->margin,
                                     .valid_margin = p->valid_margin,
                                     .finish_at = pace > 0 ? (int64_t)(time(NULL) + left / pace) : 0,
                                     .noted = epoch || step % w->every == 0,
                                     .checkpoint = epoch};
        if ((epoch && !write_checkpoint(r, p)) || !say(w, TELL_STEPPED)) return false;
    }
    rest_if_left(w);
    return !atomic_load(&w->stop);
}

// ------------------------------------------------------------------------------------------------ the work

static bool fits(const struct tuner_work *w, gyr_error *e) {
    uint64_t most = models_memory(w->tuner->server->models);
    return w->plan.bytes <= most ||
           fail(e, GYR_NO_MEMORY,
                "training takes %.3g GB of memory, and this server's models may have %.3g GB; make the longest example "
                "shorter, or the batch smaller",
                (double)w->plan.bytes / 1e9, (double)most / 1e9);
}

static void plan(struct tuner_work *w, const gyr_tune *tune) {
    gyr_tune_info i;
    gyr_tune_get_info(tune, &i);
    w->plan.epochs = i.epochs;
    w->plan.batch = i.batch;
    w->plan.steps = (int64_t)i.steps;
    w->plan.examples = (int64_t)i.examples;
    w->plan.learned = (int64_t)i.learned;
    w->plan.longest = (int64_t)i.longest;
    w->plan.tokens = (int64_t)i.tokens;
    w->plan.bytes = i.bytes;
}

// Has it written down that it begins.
static bool begins(struct tuner_work *w, const gyr_tune *tune, unsigned ranks) {
    gyr_tune_info i;
    gyr_tune_get_info(tune, &i);
    w->each = (int64_t)(i.steps / i.epochs);
    w->every = (int64_t)(i.steps / MOST_EVENTS + 1);
    w->done = (int64_t)i.done;
    w->ranks = ranks;
    return say(w, TELL_BEGUN);
}

static bool unwanted(gyr_error *e) { return fail(e, GYR_CANCELLED, "it is not wanted any more"); }

static bool train(struct tuner_work *w, struct running *r, gyr_error *e) {
    struct models *models = w->tuner->server->models;
    gyr_tune_info i;
    gyr_tune_get_info(r->tune, &i);
    models_note_other(models, (int64_t)i.bytes);
    bool ok = !gyr_tune_run(r->tune, e);
    models_note_other(models, -(int64_t)i.bytes);
    if (!ok && r->error.status) *e = r->error; // it was stopped for that
    return ok;
}

// Whether it was done before, and only what comes after is missing: the adapter is there, and no checkpoint.
static bool is_done(const struct tune_paths *p) {
    char *state = NULL;
    bool there = !access(p->output, F_OK) && asprintf(&state, "%s.state", p->output) >= 0 && access(state, F_OK);
    free(state);
    return there;
}

// A checkpoint that another version of gyr wrote, or that is damaged, is none: it is trained from the beginning.
static gyr_tune *open_tune(gyr_model *m, const gyr_tune_options *o, gyr_error *e) {
    gyr_tune *tune = gyr_tune_open(m, o, e);
    char *state = NULL;
    if (tune || asprintf(&state, "%s.state", o->output) < 0) return tune;
    bool its = strstr(e->message, state) && e->status != GYR_IO && !unlink(state);
    free(state);
    return its ? gyr_tune_open(m, o, e) : NULL;
}

static bool train_alone(struct running *r, gyr_model *m, const gyr_tune_options *o, gyr_error *e) {
    if (!(r->tune = open_tune(m, o, e))) return false;
    bool ok = begins(r->w, r->tune, 1) ? train(r->w, r, e) : unwanted(e);
    gyr_tune_close(r->tune);
    return ok;
}

static bool check(struct running *r, gyr_model *m, const gyr_tune_options *o, gyr_error *e) {
    struct tuner_work *w = r->w;
    if (!(r->tune = open_tune(m, o, e))) return false;
    plan(w, r->tune);
    bool ok = !gyr_model_checksum(m, w->plan.checksum, e) && fits(w, e);
    gyr_tune_close(r->tune);
    return ok;
}

// ------------------------------------------------------------------------------------------------ with other ranks

// Before the thread steps back: the line's own thread is to have the time that it needs.
static void find_team(struct tuner_work *w) {
    struct tuner *t = w->tuner;
    gyr_ranks *all = models_team(t->server->models);
    if (w->task == TUNE_TRAIN && !t->team && all && gyr_ranks_count(all) > 1)
        t->team = gyr_ranks_beside(all, &w->error);
    if (t->team || !w->error.status) return;
    snprintf(w->warning, sizeof w->warning, "Trained by rank 0 alone: %s", w->error.message);
    w->error = (gyr_error){0};
}

static void recover(void *arg) {
    const struct tuner_work *w = arg;
    gyr_error lost = {GYR_DEVICE, "fine-tuning: a rank is lost"};
    scheduler_recovers(w->tuner->server->scheduler, w->model, &lost);
}

// What others cannot do is no reason to give up: rank 0 does it alone. Where one is lost, those that are left do.
static bool others_failed(struct tuner_work *w, const gyr_error *why, gyr_error *e) {
    struct tuner *t = w->tuner;
    w->lost = why->status == GYR_DEVICE;
    snprintf(w->warning, sizeof w->warning, w->lost ? "Goes on without a rank: %s" : "Trained by rank 0 alone: %s",
             why->message);
    served_hide_path(w->model, w->warning, sizeof w->warning);
    gyr_ranks_beside_end(t->team);
    t->team = NULL;
    if (w->lost) scheduler_call(t->server->scheduler, recover, w);
    if (w->lost) say(w, TELL_WARNING);
    *e = *why;
    return false;
}

// False with w->warning: rank 0 is to train it alone.
static bool train_together(struct running *r, gyr_model *m, gyr_tune_options o, gyr_error *e) {
    struct tuner_work *w = r->w;
    gyr_error why = {0};
    o.ranks = w->tuner->team;
    if (!team_call(o.ranks, &o, &why)) return others_failed(w, &why, e);
    r->tune = open_tune(m, &o, e);
    bool all = !gyr_ranks_agree(o.ranks, r->tune ? GYR_OK : e->status, e->message, &why), own = r->tune, wanted = false;
    if (all) {
        wanted = begins(w, r->tune, gyr_ranks_count(o.ranks));
        all = !gyr_ranks_agree(o.ranks, wanted ? GYR_OK : GYR_CANCELLED, NULL, &why);
        own = wanted || unwanted(e);
    }
    bool ok = all && train(w, r, &why);
    gyr_tune_close(r->tune);
    if (ok || !own) return ok;
    bool own_end = why.status == GYR_CANCELLED || why.status == GYR_FAILED || r->error.status;
    if (!all || !own_end) return others_failed(w, &why, e);
    *e = why;
    return false;
}

static bool work_with(struct tuner_work *w, gyr_model *m, struct tune_paths *p, gyr_error *e) {
    struct running r = {.w = w};
    gyr_tune_options o;
    if (!tune_options_of(w->tuner->server, &w->tune, p, &o, e)) return false;
    if (w->task == TUNE_TRAIN && is_done(p)) return true;
    o.threads = w->tuner->threads;
    o.progress = on_progress;
    o.user = &r;
    if (w->task == TUNE_CHECK) return check(&r, m, &o, e);
    if (w->tuner->team && train_together(&r, m, o, e)) return true;
    if (w->tuner->team || w->lost) return false;
    *e = (gyr_error){0};
    return (!*w->warning || say(w, TELL_WARNING) || unwanted(e)) && train_alone(&r, m, &o, e);
}

static bool go_on(void *user, double fraction) {
    struct tuner_work *w = user;
    (void)fraction;
    rest_if_left(w);
    return !atomic_load(&w->stop);
}

// All of it, whoever else has a part of what is served.
static gyr_model *open_whole(struct tuner_work *w, gyr_error *e) {
    const char *device = w->tuner->server->o->tune_device;
    if (w->task == TUNE_CHECK || !device) device = "cpu"; // what is only looked at needs no card
    gyr_model_options how = {.threads = 1, .device = device, .mapped = true, .progress = go_on, .user = w};
    gyr_model *m = served_open_apart(w->model, &how, e);
    if (!m && e->status == GYR_NO_MEMORY && models_ranks(w->tuner->server->models) > 1)
        fail(
            e, GYR_NO_MEMORY,
            "rank 0's machine has no room for the whole model; train it with gyr tune on machines that have, and serve "
            "the adapter");
    return m;
}

static void *work(void *arg) {
    struct tuner_work *w = arg;
    struct tuner *t = w->tuner;
    struct tune_paths paths = {0};
    *w->warning = 0;
    find_team(w);
    if (!t->server->o->tune_fair) tuner_step_back();
    gyr_model *m = open_whole(w, &w->error);
    bool ok = m && work_with(w, m, &paths, &w->error);
    gyr_model_close(m);
    w->status = ok ? GYR_OK : w->error.status;
    if (!ok) tune_hide_paths(&w->error, t->server, &w->tune, &paths, w->model, &w->in_valid);
    tune_paths_free(&paths);
    pthread_mutex_lock(&t->lock);
    w->is = WORK_ENDED;
    pthread_cond_signal(&t->come);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

bool tuner_work_start(struct tuner_work *w, gyr_error *e) {
    pthread_mutex_lock(&w->tuner->lock);
    w->is = WORK_BUSY;
    w->tells = TELL_NOTHING;
    bool ok = !pthread_create(&w->thread, NULL, work, w);
    if (!ok) w->is = WORK_NONE;
    if (ok && w->tuner->draining) atomic_store(&w->stop, true);
    pthread_mutex_unlock(&w->tuner->lock);
    return ok || fail(e, GYR_FAILED, "no more threads can be made; raise the limit of processes (ulimit -u)");
}
