// Training of all weights: the loop.
#include "base/clock.h"
#include "engine/inside.h"
#include "train/adamw.h"
#include "train/pretrain.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static const double save_seconds = 60;

struct running {
    struct gyr_train *t;
    gyr_train_progress p;
    struct buf sample;
    double began, saved;
    gyr_error *e;
};

// False if the caller wants to stop.
static bool tell(struct running *r) {
    const struct gyr_train *t = r->t;
    r->p.seconds = now_seconds() - r->began;
    bool on = !t->o.progress || t->o.progress(t->o.user, &r->p);
    r->p.stepped = r->p.saved = false;
    return on || fail(r->e, GYR_CANCELLED, "%s: training was stopped; resume goes on from its checkpoint", t->output);
}

static bool broken(const struct running *r, const char *what) {
    return fail(r->e, GYR_FAILED, "%s: step %zu: %s is not a number any more; try a smaller learning rate",
                r->t->output, r->p.step + 1, what);
}

// --------------------------------------------------------------------------------------------- a step

static bool learn(struct gyr_train *t, const struct block *b, float by, struct told *told, float *gradients,
                  gyr_error *e) {
    t->t->starts = b->starts;
    t->t->n_starts = b->n_starts;
    return trainee_example(t->t, t->w->numbers, b->ids, b->weight, b->n, by, told, gradients, e);
}

static struct sharing sharing_of(const struct gyr_train *t) {
    return (struct sharing){t->ranks, t->tree, t->w->n, t->leaf};
}

static void count_block(struct running *r, const struct block *b) {
    r->p.tokens += b->learned;
    r->p.tokens_now += b->learned;
}

// The gradients of those that are this rank's.
static bool own_blocks(struct running *r, struct share *s, double learned) {
    struct gyr_train *t = r->t;
    for (size_t i = 0; i < s->n; i++) {
        if (!share_has(s, i)) continue;
        tree_zeros(t->tree, t->leaf, t->w->n);
        if (!learn(t, &t->blocks[i], (float)(1 / learned), &t->told[i], t->leaf, r->e) ||
            !share_add(s, i, t->leaf, r->e))
            return false;
        count_block(r, &t->blocks[i]);
        r->p.part = (double)(i + 1) / (double)s->n;
        if (i + 1 < s->n && !tell(r)) return false;
    }
    return true;
}

// The step's gradient, by the mean loss of its tokens.
static bool accumulate(struct running *r) {
    struct gyr_train *t = r->t;
    struct sharing of = sharing_of(t);
    size_t n = 0, learned = 0;
    double loss = 0;
    tree_clear(t->tree); // what a step that was stopped left
    while (n < t->o.batch && packing_next(&t->pack, &t->blocks[n])) learned += t->blocks[n++].learned;
    struct share s = share_of(&of, n, t->done + 1);
    bool ok = own_blocks(r, &s, (double)learned) && share_join(&s, r->e) && share_told(&s, t->told, r->e);
    share_free(&s);
    if (!ok) return false;
    for (size_t i = 0; i < n; i++) {
        if (!share_has(&s, i)) count_block(r, &t->blocks[i]);
        loss += t->told[i].loss;
    }
    r->p.loss = loss / (double)learned;
    tree_take(t->tree, t->sum);
    return isfinite(r->p.loss) || broken(r, "the loss");
}

// ------------------------------------------------------------------------------------------- measuring

bool pretrain_measure(struct gyr_train *t, double *loss, double *bits, gyr_error *e) {
    double all = 0, learned = 0, bytes = 0;
    struct sharing of = sharing_of(t);
    struct share s = share_of(&of, t->valid_blocks, t->done);
    packing_rewind(&t->valid);
    for (size_t i = 0; packing_next(&t->valid, &t->blocks[0]); i++) {
        if (share_has(&s, i) && !learn(t, &t->blocks[0], 1, &t->told[i], NULL, e)) return false;
        learned += (double)t->blocks[0].learned;
    }
    if (!share_told(&s, t->told, e)) return false;
    for (size_t i = 0; i < s.n; i++) all += t->told[i].loss;
    for (size_t i = 0; i < t->held.n_items; i++) bytes += (double)t->held.items[i].bytes;
    *loss = learned > 0 ? all / learned : (double)NAN;
    *bits = bytes > 0 ? all / 0.69314718055994531 / bytes : (double)NAN;
    return true;
}

static bool measure(struct running *r) {
    struct gyr_train *t = r->t;
    r->p.valid_loss = r->p.bits = (double)NAN;
    r->p.sample = NULL;
    r->p.sample_size = 0;
    if (r->p.step % t->o.valid_steps && r->p.step != t->steps) return true;
    if (!pretrain_measure(t, &r->p.valid_loss, &r->p.bits, r->e)) return false;
    if (!t->o.sample_tokens || !share_leads(t->ranks)) return true;
    buf_clear(&r->sample);
    if (!pretrain_sample(t, r->p.step, &r->sample, r->e)) return false;
    r->p.sample = r->sample.data ? r->sample.data : "";
    r->p.sample_size = r->sample.size;
    return true;
}

// ------------------------------------------------------------------------------------------------- all

static bool save(struct running *r) {
    const struct gyr_train *t = r->t;
    bool due = t->o.save_steps ? r->p.step % t->o.save_steps == 0 : now_seconds() - r->saved >= save_seconds;
    if (!due || r->p.step == t->steps || !share_leads(t->ranks)) return true;
    if (!pretrain_save(t, r->e)) return false;
    r->saved = now_seconds();
    return r->p.saved = true;
}

static bool step(struct running *r) {
    struct gyr_train *t = r->t;
    if (!accumulate(r)) return false;
    r->p.norm = clip(trainee_pool(t->t), t->sum, t->w->n, t->o.clip);
    if (isnan(r->p.norm)) return broken(r, "the gradient");
    r->p.rate = t->o.learning_rate * schedule_at(t->o.schedule, t->done, t->steps, t->warmup);
    if (!pretrain_move(t, r->p.rate, r->e)) return false;
    r->p.step = ++t->done;
    r->p.stepped = true;
    if (!measure(r)) return false;
    t->history[2 * (t->done - 1)] = (float)r->p.loss;
    t->history[2 * (t->done - 1) + 1] = (float)r->p.bits;
    return save(r) && tell(r);
}

// What was done before, by the checkpoint.
static void pass_over(struct running *r) {
    struct gyr_train *t = r->t;
    packing_rewind(&t->pack);
    for (size_t i = 0; i < t->done * t->o.batch; i++)
        if (packing_next(&t->pack, &t->blocks[0])) r->p.tokens += t->blocks[0].learned;
    r->p.step = t->done;
}

static bool run(struct running *r) {
    struct gyr_train *t = r->t;
    bool ok = pretrain_share(t, r->e), leads = share_leads(t->ranks);
    pass_over(r);
    while (ok && t->done < t->steps) ok = step(r);
    if (!ok) share_fail(t->ranks, r->e);
    if (!ok && leads && r->e->status == GYR_CANCELLED) {
        gyr_error why = {0}; // what it was stopped with is told, unless the checkpoint cannot be written
        if (!pretrain_save(t, &why)) *r->e = why;
    }
    return ok && (!leads || (pretrain_write(t, r->e) && (!unlink(t->state) || true)));
}

gyr_status gyr_train_run(gyr_train *t, gyr_error *e) {
    gyr_error made = {0};
    struct running r = {.t = t, .began = now_seconds(), .e = &made};
    r.saved = r.began;
    r.p.steps = t->steps;
    r.p.valid_loss = r.p.bits = (double)NAN;
    bool ok = run(&r);
    buf_free(&r.sample);
    return status_of(ok, &made, e);
}
