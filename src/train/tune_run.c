// Fine-tuning: the loop.
#include "base/clock.h"
#include "engine/inside.h"
#include "train/prefer.h"
#include "train/share.h"
#include "train/tune.h"

#include <math.h>
#include <unistd.h>

static const double save_seconds = 60;

struct running {
    struct gyr_tune *t;
    gyr_tune_progress p;
    bool failed; // it was told that a card had
    double began, saved;
    gyr_error *e;
};

static const char *name_of(const struct gyr_tune *t) { return t->output ? t->output : "training"; }

// False if the caller wants to stop.
static bool tell(struct running *r) {
    const struct gyr_tune *t = r->t;
    const char *why = r->failed ? NULL : trainee_card_failed(t->t);
    r->failed |= why != NULL;
    r->p.card_failed = why;
    r->p.seconds = now_seconds() - r->began;
    bool on = !t->o.progress || t->o.progress(t->o.user, &r->p);
    r->p.stepped = r->p.saved = false;
    return on || fail(r->e, GYR_CANCELLED, "%s: training was stopped; resume goes on from its checkpoint", name_of(t));
}

static bool broken(const struct running *r, const char *what) {
    return fail(r->e, GYR_FAILED,
                "%s: step %zu: %s is not a number any more; try a smaller learning rate, or look at the examples",
                name_of(r->t), r->p.step + 1, what);
}

// --------------------------------------------------------------------------------------------- a step

// The examples of a step, from the first on, by their first lessons.
static struct lesson *pick(const struct gyr_tune *t, size_t step, size_t i) {
    size_t at = step % t->each * t->o.batch + i, each = t->lessons.each;
    return i < t->o.batch && at < lessons_examples(&t->lessons) ? &t->lessons.items[t->order[at] * each] : NULL;
}

static size_t tokens_of(const struct gyr_tune *t, const struct lesson *l) {
    return l->n + (t->lessons.each > 1 ? l[1].n : 0);
}

// What means are over: tokens that are learned, or pairs.
static double count_of(const struct gyr_tune *t, const struct lesson *l) {
    return t->o.method == GYR_METHOD_DPO ? 1 : (double)l->learned;
}

static void count_example(struct running *r, const struct lesson *l) {
    r->p.examples++;
    r->p.tokens += tokens_of(r->t, l);
    r->p.tokens_now += tokens_of(r->t, l);
}

static bool compute(struct running *r, struct lesson *l, float by, struct told *told, float *gradients) {
    struct gyr_tune *t = r->t;
    if (t->o.method == GYR_METHOD_DPO) return prefer(t, l, by, told, gradients, r->e);
    return trainee_example(t->t, t->numbers, l->ids, l->weight, l->n, by, told, gradients, r->e);
}

static struct told add_all(const struct told *told, size_t n) {
    struct told all = {0};
    for (size_t i = 0; i < n; i++) {
        all.loss += told[i].loss;
        all.right += told[i].right;
        all.margin += told[i].margin;
    }
    return all;
}

// The gradients of those that are this rank's.
static bool own_examples(struct running *r, struct share *s, size_t step, double all) {
    struct gyr_tune *t = r->t;
    for (size_t i = 0; i < s->n; i++) {
        struct lesson *l = pick(t, step, i);
        if (!share_has(s, i)) continue;
        tree_zeros(t->tree, t->leaf, t->adam.n);
        if (!compute(r, l, (float)(1 / all), &t->told[i], t->leaf) || !share_add(s, i, t->leaf, r->e)) return false;
        count_example(r, l);
        if (i + 1 < s->n && !tell(r)) return false;
    }
    return true;
}

static struct sharing sharing_of(const struct gyr_tune *t) {
    return (struct sharing){t->ranks, t->tree, t->adam.n, t->leaf};
}

// A step's gradient, by the mean loss of a learned token, or of a pair.
static bool accumulate(struct running *r, size_t step) {
    struct gyr_tune *t = r->t;
    double count = 0;
    size_t n = 0;
    tree_clear(t->tree); // what a step that was stopped left
    for (const struct lesson *l; (l = pick(t, step, n)); n++) count += count_of(t, l);
    struct sharing of = sharing_of(t);
    struct share s = share_of(&of, n, step + 1);
    bool ok = own_examples(r, &s, step, count) && share_join(&s, r->e) && share_told(&s, t->told, r->e);
    share_free(&s);
    if (!ok) return false;
    for (size_t i = 0; i < n; i++)
        if (!share_has(&s, i)) count_example(r, pick(t, step, i));
    struct told all = add_all(t->told, n);
    r->p.loss = all.loss / count;
    r->p.accuracy = all.right / count;
    r->p.margin = all.margin / count;
    tree_take(t->tree, t->sum);
    return isfinite(r->p.loss) || broken(r, "the loss");
}

static bool validate(struct running *r) {
    struct gyr_tune *t = r->t;
    size_t n = lessons_examples(&t->valid);
    double count = 0;
    struct sharing of = sharing_of(t);
    struct share s = share_of(&of, n, r->p.step);
    for (size_t i = 0; i < n; i++) {
        struct lesson *l = &t->valid.items[i * t->valid.each];
        count += count_of(t, l);
        if (share_has(&s, i) && !compute(r, l, 1, &t->told[i], NULL)) return false;
    }
    if (!share_told(&s, t->told, r->e)) return false;
    struct told all = add_all(t->told, n);
    r->p.valid_loss = count > 0 ? all.loss / count : (double)NAN;
    r->p.valid_accuracy = count > 0 ? all.right / count : (double)NAN;
    r->p.valid_margin = count > 0 ? all.margin / count : (double)NAN;
    return true;
}

static bool save(struct running *r) {
    const struct gyr_tune *t = r->t;
    bool due = t->o.save_steps ? r->p.step % t->o.save_steps == 0 : now_seconds() - r->saved >= save_seconds;
    if (!due || !t->output || r->p.step == t->steps) return true;
    if (!tune_state_save(t, r->e)) return false;
    r->saved = now_seconds();
    r->p.saved = true;
    return tell(r);
}

static bool step(struct running *r, size_t step) {
    struct gyr_tune *t = r->t;
    if (t->epoch != step / t->each + 1) tune_shuffle(t, step / t->each);
    r->p.epoch = t->epoch;
    if (!accumulate(r, step)) return false;
    r->p.norm = clip(trainee_pool(t->t), t->sum, t->adam.n, t->o.clip);
    if (isnan(r->p.norm)) return broken(r, "the gradient");
    r->p.rate = t->o.learning_rate * schedule_at(t->o.schedule, step, t->steps, t->warmup);
    if (!tune_move(t, r->p.rate, r->e)) return false;
    r->p.step = step + 1;
    r->p.stepped = true;
    r->p.valid_loss = r->p.valid_accuracy = r->p.valid_margin = (double)NAN;
    if ((step + 1) % t->each == 0 && !validate(r)) return false;
    return tell(r) && save(r);
}

// ------------------------------------------------------------------------------------------------- all

// What was done before, by the checkpoint.
static void count_done(struct running *r) {
    struct gyr_tune *t = r->t;
    for (size_t epoch = 0; epoch < t->o.epochs; epoch++)
        for (size_t i = 0; i < t->lessons.n; i++) r->p.tokens_all += t->lessons.items[i].n;
    for (size_t s = 0; s < t->adam.steps; s++) {
        const struct lesson *l;
        if (t->epoch != s / t->each + 1) tune_shuffle(t, s / t->each);
        for (size_t i = 0; (l = pick(t, s, i)); i++) r->p.examples++, r->p.tokens += tokens_of(t, l);
    }
    r->p.step = t->adam.steps;
}

static bool run(struct running *r) {
    struct gyr_tune *t = r->t;
    bool ok = tune_state_share(t, r->e);
    count_done(r);
    for (size_t s = t->adam.steps; ok && s < t->steps; s++) ok = step(r, s);
    if (!ok) share_fail(t->ranks, r->e);
    bool later = r->e->status == GYR_CANCELLED || (t->ranks && r->e->status != GYR_FAILED); // may go on, with others
    if (!ok && t->output && later) {
        gyr_error why = {0}; // what it was stopped with is told, unless the checkpoint cannot be written
        if (!tune_state_save(t, &why)) *r->e = why;
    }
    return ok && (!t->output || (tune_write(t, false, r->e) && (!unlink(t->state) || true)));
}

gyr_status gyr_tune_run(gyr_tune *t, gyr_error *e) {
    gyr_error made = {0};
    if (!t->output && !t->ranks) return fail(e, GYR_USAGE, "training: no output was named"), GYR_USAGE;
    struct running r = {.t = t, .began = now_seconds(), .e = &made};
    r.saved = r.began;
    r.p.steps = t->steps;
    r.p.epochs = t->o.epochs;
    r.p.examples_all = lessons_examples(&t->lessons) * t->o.epochs;
    r.p.valid_loss = r.p.valid_accuracy = r.p.valid_margin = (double)NAN;
    return status_of(run(&r), &made, e);
}
