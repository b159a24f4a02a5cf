#include "server/batcher.h"

#include "base/clock.h"
#include "server/access.h"
#include "server/batch_work.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BEHIND = 1 << 20, // what a line's priority comes after those of requests
    LOOK_SECONDS = 2, // other processes may have accepted batches
    TAKE_SECONDS = 2, // or be working on them, and end
    RETRY_SECONDS = 1,
    MOST_REST = 60,
    TRIES = 5 // while the server is overloaded, before that is the answer
};

// A line on its way.
struct task {
    struct batcher *batcher;
    struct batch_line line;
    int status; // of the reply; 0: there is none
    struct buf body;
    char request_id[25];
    unsigned retry_after, tries;
    double due; // of one that waits
    struct task *next;
};

struct batcher {
    struct server *server;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct task *answered;          // under the lock, as these
    bool woken, draining, stopping; //
    struct batch_work *work;        // NULL: another process has it. The thread's, as all below.
    struct task *later;             // to be asked or recorded again
    unsigned running, most;
    double rest; // no line is looked for until then
    gyr_error said;
};

// What is wrong, once.
static void complain(struct batcher *b, const gyr_error *e) {
    char line[sizeof e->message + 16];
    if (!strcmp(e->message, b->said.message)) return;
    b->said = *e;
    snprintf(line, sizeof line, "batches: %s", e->message);
    server_log(b->server, line);
}

// ------------------------------------------------------------------------------------------------ asking

static void hand_in(struct task *t) {
    struct batcher *b = t->batcher;
    pthread_mutex_lock(&b->lock);
    t->next = b->answered;
    b->answered = t;
    pthread_cond_signal(&b->come);
    pthread_mutex_unlock(&b->lock);
}

static void on_reply(void *user, const struct exchange *x, const void *body, size_t size) {
    struct task *t = user;
    const char *wait = exchange_reply_header(x, "retry-after");
    buf_append(&t->body, body, size);
    t->status = t->body.failed ? 0 : x->status;
    t->retry_after = wait ? (unsigned)strtoul(wait, NULL, 10) : 0;
    memcpy(t->request_id, x->id, sizeof t->request_id);
    hand_in(t);
}

// Has a line handled as if a client had sent it.
static void ask(struct batcher *b, struct task *t) {
    struct server *s = b->server;
    const struct batch_line *l = &t->line;
    const struct route *route = route_of_batch(l->endpoint);
    struct fault f = {0};
    buf_free(&t->body);
    t->status = 0;
    struct exchange *x = exchange_internal(s->http, route, l->endpoint, l->body, l->body_size);
    if (!x) {
        hand_in(t);
        return;
    }
    x->replied = on_reply;
    x->replied_user = t;
    x->behind = BEHIND;
    if (!route) {
        refuse(&f, 404, NULL, "%s: nothing of this server can be asked there in a batch", l->endpoint);
        reply_fault(x, &chat_surface, &f);
    } else if (!access_act_for(s->access, x, l->owner)) {
        refuse_as(&f, 401, "expired_api_key", NULL, "the key that made the batch has expired or was removed");
        reply_fault(x, route->surface, &f);
    } else {
        route->handle(s, x);
    }
    exchange_release(x);
}

// ------------------------------------------------------------------------------------------------ answers

static void end(struct batcher *b, struct task *t) {
    batch_line_clear(&t->line);
    buf_free(&t->body);
    free(t);
    b->running--;
    b->rest = 0;
}

static void put_off(struct batcher *b, struct task *t, unsigned seconds) {
    t->due = now_seconds() + seconds;
    t->next = b->later;
    b->later = t;
}

static void give_back(struct batcher *b, struct task *t, int64_t until) {
    gyr_error e = {0};
    if (!batch_give_back(b->work, &t->line, until, &e)) complain(b, &e); // the next to work on it gets it again
    end(b, t);
}

static bool record(struct batcher *b, struct task *t, gyr_error *e) {
    struct batch_answer a = {.status = t->status,
                             .request_id = t->request_id,
                             .body = t->body.data ? t->body.data : "",
                             .body_size = t->body.size};
    while (a.body_size && a.body[a.body_size - 1] == '\n') a.body_size--;
    if (!t->status) {
        a.error_code = "server_error";
        a.error_message = "The server ran out of memory for this request, several times.";
    }
    return batch_record(b->work, &t->line, &a, e) || e->status == GYR_CANCELLED; // it is not wanted any more
}

// What becomes of a line that was asked. `last`: there is no later.
static void settle(struct batcher *b, struct task *t, bool last) {
    gyr_error e = {0};
    bool overloaded = !t->status || t->status == 503;
    if (last && (overloaded || t->status >= 500 || t->status == 429)) {
        give_back(b, t, 0);
    } else if (t->status == 429) { // the key's day is used up, or too many wait
        unsigned wait = t->retry_after < 1 ? 1 : t->retry_after > MOST_REST ? MOST_REST : t->retry_after;
        give_back(b, t, time(NULL) + wait);
        b->rest = now_seconds() + 0.05; // other batches go on, but not in a busy circle
    } else if (overloaded && ++t->tries < TRIES) {
        buf_free(&t->body);
        t->status = 0;
        put_off(b, t, 1u << t->tries);
    } else if (record(b, t, &e)) {
        end(b, t);
    } else {
        complain(b, &e);
        if (last)
            end(b, t);
        else
            put_off(b, t, RETRY_SECONDS);
    }
}

// ------------------------------------------------------------------------------------------------ the thread

// The next that has waited long enough; NULL: none has, and *soonest is when one will have.
static struct task *take_due(struct batcher *b, double now, double *soonest) {
    for (struct task **at = &b->later; *at; at = &(*at)->next) {
        struct task *t = *at;
        if (t->due < *soonest) *soonest = t->due;
        if (t->due > now) continue;
        *at = t->next;
        return t;
    }
    return NULL;
}

static bool take_work(struct batcher *b) {
    gyr_error e = {0};
    if (b->work || (b->work = batch_work_new(server_store(b->server), &(struct batch_limits){0}, &e))) return true;
    if (e.status != GYR_CANCELLED) complain(b, &e);
    b->rest = now_seconds() + TAKE_SECONDS;
    return false;
}

static void look(struct batcher *b) {
    gyr_error e = {0};
    struct task *t = take_work(b) ? calloc(1, sizeof *t) : NULL;
    if (!t) {
        if (b->rest < now_seconds()) b->rest = now_seconds() + RETRY_SECONDS;
        return;
    }
    t->batcher = b;
    switch (batch_next(b->work, time(NULL), &t->line, &e)) {
    case BATCH_LINE:
        b->running++;
        ask(b, t);
        return;
    case BATCH_AGAIN: break;
    case BATCH_NONE: b->rest = now_seconds() + LOOK_SECONDS; break;
    case BATCH_TROUBLE:
        complain(b, &e);
        b->rest = now_seconds() + RETRY_SECONDS;
        break;
    }
    free(t);
}

static struct task *take_answered(struct batcher *b) {
    struct task *t = b->answered;
    if (t) b->answered = t->next;
    return t;
}

static void wait_until(struct batcher *b, double when) {
    struct timespec at = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
    pthread_cond_timedwait(&b->come, &b->lock, &at);
}

// One thing, if there is one to do. The lock is held, but while it is done.
static void take_turn(struct batcher *b) {
    double now = now_seconds(), soonest = now + LOOK_SECONDS;
    bool draining = b->draining;
    if (b->woken) b->rest = 0;
    b->woken = false;
    struct task *answered = take_answered(b), *due = answered ? NULL : take_due(b, now, &soonest);
    bool looks = !answered && !due && !draining && b->running < b->most;
    if (!answered && !due && (!looks || now < b->rest)) {
        wait_until(b, looks && b->rest < soonest ? b->rest : soonest);
        return;
    }
    pthread_mutex_unlock(&b->lock);
    if (answered)
        settle(b, answered, draining);
    else if (due && (due->status || draining)) // to be recorded; or there will be no other try
        settle(b, due, draining);
    else if (due)
        ask(b, due);
    else
        look(b);
    pthread_mutex_lock(&b->lock);
}

static void *work(void *arg) {
    struct batcher *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->stopping) take_turn(b);
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

struct batcher *batcher_new(struct server *s, unsigned most, gyr_error *e) {
    struct batcher *b = calloc(1, sizeof *b);
    pthread_condattr_t how;
    if (!b) return fail_memory(e, "batches"), NULL;
    b->server = s;
    b->most = most;
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&b->come, &how);
    pthread_condattr_destroy(&how);
    if (!pthread_create(&b->thread, NULL, work, b)) return b;
    free(b);
    return fail_null(e, GYR_FAILED, "no more threads can be made; raise the limit of processes (ulimit -u)");
}

static void tell(struct batcher *b, bool *what) {
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    *what = true;
    pthread_cond_signal(&b->come);
    pthread_mutex_unlock(&b->lock);
}

void batcher_wake(struct batcher *b) {
    if (b) tell(b, &b->woken);
}

void batcher_drain(struct batcher *b) {
    if (b) tell(b, &b->draining);
}

void batcher_stop(struct batcher *b) {
    if (!b) return;
    tell(b, &b->stopping);
    pthread_join(b->thread, NULL);
}

void batcher_free(struct batcher *b) {
    struct task *t;
    if (!b) return;
    while ((t = take_answered(b))) settle(b, t, true);
    while ((t = b->later)) {
        b->later = t->next;
        settle(b, t, true);
    }
    batch_work_free(b->work);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->come);
    free(b);
}
