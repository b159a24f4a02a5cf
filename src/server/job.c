#include "server/job.h"

#include "server/http.h"
#include "server/models.h"
#include "server/reasoning.h"
#include "server/tuned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job *job_new(struct exchange *x, struct served *model, struct tuned *tuned) {
    struct job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    exchange_hold(x);
    served_hold(model);
    if (tuned) tuned_hold(tuned);
    j->x = x;
    j->model = model;
    j->tuned = tuned;
    j->n = j->each = 1;
    pthread_mutex_init(&j->lock, NULL);
    atomic_init(&j->holders, 1);
    return j;
}

const char *job_model(const struct job *j) { return j->tuned ? tuned_name(j->tuned) : served_name(j->model); }

struct prompt job_prompt(const struct job *j, unsigned choice) {
    unsigned i = choice / j->each;
    return i ? j->more[i - 1] : (struct prompt){j->prompt, j->count};
}

size_t job_tokens(const struct job *j) {
    size_t all = j->count;
    for (unsigned i = 0; i < j->n_more; i++) all += j->more[i].count;
    return all;
}

bool job_scores(const struct job *j, unsigned choice) {
    return j->prompt_logprobs && (j->prompt_each || choice % j->each == 0);
}

void job_hold(struct job *j) { atomic_fetch_add(&j->holders, 1); }

void job_release(struct job *j) {
    if (atomic_fetch_sub(&j->holders, 1) > 1) return;
    if (j->settle) j->settle(j);
    if (j->forget) j->forget(j->telling);
    gyr_grammar_free(j->grammar);
    budget_free(j->budget);
    gyr_free(j->prompt);
    for (unsigned i = 0; i < j->n_more; i++) gyr_free(j->more[i].ids);
    free(j->more);
    free(j->bias_ids);
    free(j->bias_values);
    free(j->stop_ids);
    for (size_t i = 0; i < j->stop_count; i++) free(j->stop[i]);
    free(j->stop);
    buf_free(&j->queue);
    pthread_mutex_destroy(&j->lock);
    if (j->tuned) tuned_release(j->tuned);
    served_release(j->model);
    exchange_release(j->x);
    free(j);
}

static bool has_tops(const struct said *s) { return s->kind == SAID_TOKEN || s->kind == SAID_PROMPT; }

static size_t padded(size_t size) { return (size + 7) & ~(size_t)7; }

static void tell_one(struct job *j, const struct said *s) {
    if (s->kind == SAID_FAILED) {
        struct fault f;
        // a grammar may turn out to be too much only while it is followed; the engine itself fails otherwise
        bool asked = s->status == GYR_UNSUPPORTED || s->status == GYR_MALFORMED || s->status == GYR_USAGE;
        refuse_error(&f, &(gyr_error){.status = (gyr_status)s->status}, asked);
        snprintf(f.message, sizeof f.message, "%.*s", (int)s->size, s->text);
        served_hide_path(j->model, f.message, sizeof f.message);
        j->over = true;
        j->teller->failed(j, &f);
        return;
    }
    j->teller->said(j, s);
    if (s->kind != SAID_END || --j->open) return;
    j->over = true;
    j->teller->done(j);
}

// In the loop: what has been said since the last time.
static void tell(void *arg) {
    struct job *j = arg;
    pthread_mutex_lock(&j->lock);
    struct buf all = j->queue;
    j->queue = (struct buf){0};
    j->posted = false;
    pthread_mutex_unlock(&j->lock);
    for (size_t at = 0; at < all.size && !j->over;) {
        struct said s;
        memcpy(&s, all.data + at, sizeof s);
        at += padded(sizeof s);
        s.text = all.data + at;
        at += padded(s.size);
        size_t tops = has_tops(&s) ? s.count : 0;
        s.top_ids = (const int32_t *)(all.data + at);
        at += padded(tops * sizeof *s.top_ids);
        s.top_logprobs = (const float *)(all.data + at);
        at += padded(tops * sizeof *s.top_logprobs);
        tell_one(j, &s);
    }
    buf_free(&all);
    job_release(j);
}

static void put(struct buf *b, const void *data, size_t size) {
    static const char zero[8] = {0};
    if (size) buf_append(b, data, size);
    buf_append(b, zero, padded(size) - size);
}

void job_say(struct job *j, const struct said *s) {
    pthread_mutex_lock(&j->lock);
    size_t before = j->queue.size, tops = has_tops(s) ? s->count : 0;
    put(&j->queue, s, sizeof *s);
    put(&j->queue, s->text, s->size);
    put(&j->queue, s->top_ids, tops * sizeof *s->top_ids);
    put(&j->queue, s->top_logprobs, tops * sizeof *s->top_logprobs);
    if (j->queue.failed) { // half of it would be told wrongly
        j->queue.size = before;
        j->queue.failed = false;
        atomic_store(&j->cancelled, true);
    }
    bool post = !j->posted;
    j->posted = true;
    pthread_mutex_unlock(&j->lock);
    if (!post) return;
    job_hold(j);
    http_post(j->x->http, tell, j);
}

void job_cancel(void *job) { atomic_store(&((struct job *)job)->cancelled, true); }
