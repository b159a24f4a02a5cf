#include "plan/demand.h"
#include "model/run.h"
#include "model/sharing.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL_CONTEXT = 4096, USUAL_PROMPT = 512 };
// What the process holds that has a tokenizer and nothing else, measured with vocabularies of 4,096 to 262,144 words.
static const double program_bytes = 12e6, word_bytes = 110;

// A model on the counting device, and a sequence of its context.
struct trial {
    const struct usage *u;
    struct device *d;
    struct model *m;
    struct run *run;
    struct kv_cache *kv;
    struct pages *pages; // of each user; all the same pages
    struct state_pool states;
    struct sequence_state **state; // of each user
    struct row *rows;
    float *out;
};

bool usage_settle(struct usage *u, const struct checkpoint *c, gyr_error *e) {
    struct hyperparameters h;
    const struct family *f = family_find(c, e);
    if (!f || !hyperparameters(f, c, &h, e)) return false;
    size_t most = h.far_context > h.context ? h.far_context : h.context;
    if (!u->context) u->context = h.context < USUAL_CONTEXT ? h.context : USUAL_CONTEXT;
    if (u->context > most)
        return fail(e, GYR_USAGE, "%s: a context of %zu tokens; the model was trained for %zu", c->path, u->context,
                    most);
    if (!u->prompt) u->prompt = u->context / 2 < USUAL_PROMPT ? (u->context + 1) / 2 : USUAL_PROMPT;
    if (u->prompt > u->context)
        return fail(e, GYR_USAGE, "a prompt of %zu tokens does not fit a context of %zu", u->prompt, u->context);
    return true;
}

// Every user's sequence lies in the same pages: what they hold is of no interest, only how many there are.
static bool seat(struct trial *t, gyr_error *e) {
    size_t users = t->u->users;
    t->pages = calloc(users, sizeof *t->pages);
    t->state = calloc(users, sizeof *t->state);
    if (!t->pages || !t->state) return fail_memory(e, "plan");
    if (!kv_cache_grow(t->kv, kv_cache_pages(t->u->context), e)) return false;
    if (!kv_cache_cover(t->kv, &t->pages[0], t->u->context)) return fail_memory(e, "plan");
    for (size_t i = 1; i < users; i++) t->pages[i] = t->pages[0];
    for (size_t i = 0; i < users; i++)
        if (!state_pool_take(&t->states, &t->state[i], e)) return false;
    return true;
}

static bool try_on(struct trial *t, const struct checkpoint *c, enum type *type, gyr_error *e) {
    size_t rows;
    if (!(t->d = device_count(t->u->like, t->u->rows, e)) || !(t->m = model_hollow(c, t->d, e))) return false;
    *type = kv_cache_wanted(t->m->type, t->u->kv_type);
    if (!(t->run = run_new(t->m, e)) || !(t->kv = kv_cache_new(t->d, kv_cache_layout(&t->m->h, *type), e)))
        return false;
    t->states = model_states(t->m);
    rows = t->m->h.bidirectional && t->u->prompt > run_rows(t->run) ? t->u->prompt : run_rows(t->run);
    t->rows = calloc(rows, sizeof *t->rows);
    t->out = malloc(sizeof *t->out); // nothing is read to it
    return t->rows && t->out ? seat(t, e) : fail_memory(e, "plan");
}

static void give_back(struct trial *t) {
    if (t->pages) free(t->pages[0].page);
    free(t->pages);
    for (size_t i = 0; t->state && i < t->u->users; i++) state_pool_give(&t->states, t->state[i]);
    state_pool_free(&t->states);
    free(t->state);
    free(t->rows);
    free(t->out);
    kv_cache_free(t->kv);
    run_free(t->run);
    model_free(t->m);
    if (t->d) t->d->ops->close(t->d);
}

static bool pass(struct trial *t, size_t n, gyr_error *e) {
    enum gives gives = t->m->family->encoder ? GIVES_STATES : GIVES_LOGITS;
    if (!forward(t->run, t->kv, t->rows, n, gives, t->out, e)) return false;
    return !device_count_failed(t->d) || fail_memory(e, "plan");
}

static bool keep(struct trial *t, struct step *s, gyr_error *e) {
    const struct counted *all = device_counted(t->d, &s->n);
    s->ops = malloc((s->n + 1) * sizeof *s->ops);
    if (!s->ops) return fail_memory(e, "plan");
    memcpy(s->ops, all, s->n * sizeof *all);
    device_count_clear(t->d);
    return true;
}

// A prompt, in pieces of a batch; the last token's logits are wanted. Where tokens see each other it is one piece.
static bool count_prompt(struct trial *t, struct step *s, gyr_error *e) {
    size_t prompt = t->u->prompt, most = t->m->h.bidirectional ? prompt : run_rows(t->run);
    bool whole = t->m->h.bidirectional;
    for (size_t at = 0; at < prompt;) {
        size_t n = prompt - at < most ? prompt - at : most;
        for (size_t i = 0; i < n; i++)
            t->rows[i] = (struct row){.position = (uint32_t)(at + i),
                                      .ahead = whole ? (uint32_t)(prompt - 1 - i) : 0,
                                      .pages = &t->pages[0],
                                      .state = t->state[0],
                                      .wanted = at + i + 1 == prompt};
        if (!pass(t, n, e)) return false;
        at += n;
    }
    s->tokens = (double)prompt;
    return keep(t, s, e);
}

// A token for each user, in the middle of an answer that fills the context.
static bool count_answer(struct trial *t, struct step *s, gyr_error *e) {
    size_t most = run_wanted(t->run, GIVES_LOGITS), middle = (t->u->prompt + t->u->context) / 2;
    uint32_t position = (uint32_t)(middle < t->u->context ? middle : t->u->context - 1);
    for (size_t at = 0; at < t->u->users;) {
        size_t n = t->u->users - at < most ? t->u->users - at : most;
        for (size_t i = 0; i < n; i++)
            t->rows[i] = (struct row){
                .position = position, .pages = &t->pages[at + i], .state = t->state[at + i], .wanted = true};
        if (!pass(t, n, e)) return false;
        at += n;
    }
    s->tokens = (double)t->u->users;
    s->answer = true;
    return keep(t, s, e);
}

static void weigh(const struct trial *t, struct demand *d) {
    struct model *m = t->m;
    struct needs n;
    needs_weights(&n, m);
    d->tables = n.tables;
    d->layers = m->h.layers;
    d->program = program_bytes + word_bytes * m->h.vocab;
    d->vocab = m->output.rows ? m->output.rows : m->h.vocab;
    d->layer = n.layers / m->h.layers;
    d->rest = n.rest;
    d->parameters = m->parameters;
    d->encoder = m->family->encoder;
    size_t wanted = run_wanted(t->run, GIVES_LOGITS), used = t->u->users < wanted ? t->u->users : wanted;
    if (!d->encoder) d->idle = (double)(wanted - used) * m->h.vocab * sizeof(float);
}

bool demand_count(struct demand *d, const struct checkpoint *c, const struct usage *u, gyr_error *e) {
    struct trial t = {.u = u};
    *d = (struct demand){0};
    bool ok = try_on(&t, c, &d->kv_type, e);
    if (ok) {
        double kv = (double)kv_cache_bytes(t.kv->layout, u->context), states = (double)state_pool_bytes(&t.states);
        d->cache = kv * (double)u->users;
        d->states = states * (double)u->users;
        weigh(&t, d);
        ok = count_prompt(&t, &d->prompt, e) && (d->encoder || count_answer(&t, &d->answer, e));
        d->work = (double)device_count_held(t.d) - (double)kv_cache_held(t.kv) - d->states;
    }
    give_back(&t);
    if (!ok) demand_free(d);
    return ok;
}

void demand_free(struct demand *d) {
    free(d->prompt.ops);
    free(d->answer.ops);
    *d = (struct demand){0};
}

double demand_bytes(const struct demand *d) { return d->layer * d->layers + d->rest + d->cache + d->states + d->work; }

void demand_mapped(struct demand *d, double sign) {
    d->rest -= sign * d->tables;
    d->work += sign * (d->program - d->idle);
}
