// Embeddings: texts go through the model as sessions do, as many at a time as fill a batch, and what it gives of their
// tokens is pooled, goes through the model's Dense matrices, is cut and made of length 1. (Reimers and Gurevych,
// "Sentence-BERT", 2019)
#include "device/elementary.h"
#include "engine/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOGETHER = 64 }; // texts in a batch: each holds a page of keys and values at least

bool pool_wants(const struct pool *p, size_t place) {
    return p->kind == POOLING_MEAN || place == (p->kind == POOLING_FIRST ? 0 : p->count - 1);
}

size_t pool_count(const struct pool *p, size_t place, size_t count) {
    size_t at = p->kind == POOLING_FIRST ? 0 : p->count - 1;
    return p->kind == POOLING_MEAN ? count : at >= place && at - place < count;
}

// In double, in the order of the tokens: the same sum however they were computed.
void pool_take(struct pool *p, const float *state) {
    for (size_t i = 0; i < p->hidden; i++) p->sum[i] += (double)state[i];
}

size_t embedding_size(const struct gyr_model *m) {
    const struct sentence *s = &m->checkpoint->sentence;
    if (s->refused) return 0;
    return s->n_dense ? m->model->dense[s->n_dense - 1].w.rows : m->model->h.hidden;
}

const char *gyr_embed_prompt(const gyr_model *m, const char *name) {
    const struct sentence *s = &m->checkpoint->sentence;
    const char *want = name ? name : s->usual;
    for (size_t i = 0; want && i < s->n_prompts; i++)
        if (!strcmp(s->prompts[i].name, want)) return s->prompts[i].text;
    return name ? NULL : "";
}

const char *gyr_embed_prompt_name(const gyr_model *m, size_t index) {
    const struct sentence *s = &m->checkpoint->sentence;
    return index < s->n_prompts ? s->prompts[index].name : NULL;
}

// What is done, once the options are read.
struct job {
    struct gyr_model *m;
    const gyr_tokens *texts;
    const size_t *second; // NULL: all is the first part
    enum pooling pooling;
    bool unit;
    size_t size, keep; // of an embedding, and of what is kept of it
    double *sums;      // [MOST_TOGETHER][hidden]
    float *pooled;     // [MOST_TOGETHER][the widest vector on the way]
    dfloat *in, *made; // the same on the device, where there are Dense matrices
};

static bool check(const struct job *j, size_t n, gyr_error *e) {
    const struct gyr_model *m = j->m;
    const char *path = m->checkpoint->path;
    for (size_t i = 0; i < n; i++) {
        const gyr_tokens *t = &j->texts[i];
        if (!t->count) return fail(e, GYR_USAGE, "%s: text %zu has no tokens; an embedding needs one", path, i + 1);
        if (t->count > m->model->h.far_context)
            return fail(e, GYR_TOO_LONG,
                        "%s: text %zu has %zu tokens, and the model's context is %u; shorten it or embed its parts",
                        path, i + 1, t->count, m->model->h.far_context);
        for (size_t k = 0; k < t->count; k++)
            if (t->ids[k] < 0 || (uint32_t)t->ids[k] >= m->model->h.vocab)
                return fail(e, GYR_USAGE, "%s: text %zu: token %d: ids are 0 to %u", path, i + 1, t->ids[k],
                            m->model->h.vocab - 1);
    }
    return true;
}

static bool read_options(struct job *j, const gyr_embed_options *o, gyr_error *e) {
    static const enum pooling kinds[] = {POOLING_UNTOLD, POOLING_MEAN, POOLING_FIRST, POOLING_LAST};
    const struct sentence *s = &j->m->checkpoint->sentence;
    const char *path = j->m->checkpoint->path;
    if (!CHECK_RESERVED(o, e)) return false;
    if (s->refused && !j->second)
        return fail(e, GYR_UNSUPPORTED, "%s: no embeddings: %s; take another model", path, s->refused);
    if (o && ((unsigned)o->pooling > GYR_POOLING_LAST || (unsigned)o->unit > GYR_UNIT_NO))
        return fail(e, GYR_USAGE, "%s: no such pooling or unit: %d, %d", path, (int)o->pooling, (int)o->unit);
    j->pooling = o && o->pooling ? kinds[o->pooling] : s->pooling;
    if (!j->pooling) j->pooling = j->m->model->h.bidirectional ? POOLING_MEAN : POOLING_LAST;
    j->unit = o && o->unit ? o->unit == GYR_UNIT_YES : s->unit || !s->told;
    j->size = j->second ? 1 : embedding_size(j->m);
    j->keep = o && o->dimensions ? o->dimensions : j->size;
    return j->keep <= j->size ||
           fail(e, GYR_USAGE, "%s: %zu dimensions of an embedding of %zu; ask for fewer", path, j->keep, j->size);
}

static bool make_room(struct job *j, gyr_error *e) {
    const struct model *model = j->m->model;
    struct device *d = j->m->device;
    size_t widest = model->h.hidden;
    for (size_t i = 0; i < MAX_DENSE; i++)
        if (model->dense[i].w.rows > widest) widest = model->dense[i].w.rows;
    j->sums = malloc(MOST_TOGETHER * model->h.hidden * sizeof *j->sums);
    j->pooled = malloc(MOST_TOGETHER * widest * sizeof *j->pooled);
    if (!j->sums || !j->pooled) return fail_memory(e, "embeddings");
    if (!model->dense[0].w.rows) return true;
    return (j->in = d->ops->alloc(d, MOST_TOGETHER * widest * sizeof(float), e)) &&
           (j->made = d->ops->alloc(d, MOST_TOGETHER * widest * sizeof(float), e));
}

static void free_room(struct job *j) {
    struct device *d = j->m->device;
    if (j->in) d->ops->free(d, j->in);
    if (j->made) d->ops->free(d, j->made);
    free(j->sums);
    free(j->pooled);
}

// As many texts from `first` on as fill a batch; one, if it is longer.
static size_t take_texts(const struct job *j, size_t first, size_t n) {
    size_t rows = 0, most = run_rows(j->m->run), end = first;
    while (end < n && end - first < MOST_TOGETHER && (end == first || rows + j->texts[end].count <= most))
        rows += j->texts[end++].count;
    return end - first;
}

// The pooled states of n texts.
static bool compute(struct job *j, size_t first, size_t n, gyr_error *e) {
    const gyr_tokens *texts = j->texts + first;
    size_t hidden = j->m->model->h.hidden, opened = 0;
    struct pool pools[MOST_TOGETHER];
    struct intake in[MOST_TOGETHER];
    struct gyr_session *sessions[MOST_TOGETHER];
    bool ok = true;
    memset(j->sums, 0, n * hidden * sizeof *j->sums);
    for (size_t i = 0; ok && i < n; i++) {
        gyr_session_options o = {.context = (uint32_t)texts[i].count};
        pools[i] = (struct pool){j->pooling, texts[i].count, hidden, j->sums + i * hidden};
        sessions[i] = session_of(j->m, &o, e);
        ok = sessions[i];
        opened += ok;
        in[i] = (struct intake){.s = sessions[i], .ids = texts[i].ids, .count = texts[i].count, .pool = &pools[i]};
        in[i].second = j->second ? j->second[first + i] : 0;
    }
    ok = ok && sessions_feed(in, n, e);
    for (size_t i = 0; i < opened; i++) gyr_session_free(sessions[i]);
    for (size_t i = 0; ok && i < n * hidden; i++) {
        double by = j->pooling == POOLING_MEAN ? (double)texts[i / hidden].count : 1;
        j->pooled[i] = (float)(j->sums[i] / by);
    }
    return ok;
}

// Through each Dense matrix and what comes behind it.
static bool densify(struct job *j, size_t n, gyr_error *e) {
    const struct sentence *s = &j->m->checkpoint->sentence;
    struct device *d = j->m->device;
    size_t cols = j->m->model->h.hidden;
    for (size_t i = 0; i < s->n_dense; i++) {
        const struct linear *l = &j->m->model->dense[i];
        d->ops->write(d, j->in, j->pooled, n * cols * sizeof *j->pooled);
        d->ops->matmul(d, &l->w, j->in, n, l->bias, j->made);
        cols = l->w.rows;
        d->ops->read(d, j->pooled, j->made, n * cols * sizeof *j->pooled);
        if (!d->ops->sync(d, e)) return false;
        for (size_t k = 0; s->dense[i].tanh && k < n * cols; k++) j->pooled[k] = tanh_f(j->pooled[k]);
    }
    return true;
}

// Cut, and of length 1; a vector of zeros stays one.
static void give(const struct job *j, const float *made, float *out) {
    double square = 0;
    for (size_t i = 0; i < j->keep; i++) square += (double)made[i] * (double)made[i];
    double by = j->unit && square > 0 ? sqrt(square) : 1;
    for (size_t i = 0; i < j->keep; i++) out[i] = (float)((double)made[i] / by);
}

static bool embed(struct job *j, size_t n, const gyr_embed_options *o, float *out, gyr_error *e) {
    bool ok = read_options(j, o, e) && check(j, n, e) && (!n || make_room(j, e));
    for (size_t at = 0, some; ok && at < n; at += some) {
        some = take_texts(j, at, n);
        ok = compute(j, at, some, e) && densify(j, some, e);
        for (size_t i = 0; ok && i < some; i++) give(j, j->pooled + i * j->size, out + (at + i) * j->keep);
    }
    free_room(j);
    return ok;
}

bool embed_texts(struct gyr_model *m, const gyr_tokens *texts, const size_t *second, size_t n,
                 const gyr_embed_options *o, float *out, gyr_error *e) {
    struct job j = {.m = m, .texts = texts, .second = second};
    return embed(&j, n, o, out, e);
}

gyr_status gyr_embed(gyr_model *m, const gyr_tokens *texts, size_t n, const gyr_embed_options *o, float *out,
                     gyr_error *e) {
    gyr_error made = {0};
    return status_of(embed_texts(m, texts, NULL, n, o, out, &made), &made, e);
}
