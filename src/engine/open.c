// Opening a model: checkpoint, tokenizer, chat template, weights bound, pages warmed.
#include "base/buf.h"
#include "engine/place.h"
#include "engine/ranks.h"

#include <stdlib.h>
#include <string.h>

static char *copy_text(struct text t) { return strndup(t.data ? t.data : "", t.size); }

struct share {
    const char *name;
    uint64_t bytes;
};

static int by_bytes(const void *a, const void *b) {
    uint64_t x = ((const struct share *)a)->bytes, y = ((const struct share *)b)->bytes;
    return x < y ? 1 : x > y ? -1 : 0;
}

// Names of the weights' element types, the one with the most bytes first.
static char *list_types(const struct checkpoint *c) {
    struct share share[TYPE_LIMIT] = {0};
    for (size_t i = 0; i < c->n_tensors; i++) {
        share[c->tensors[i].type].name = type_info(c->tensors[i].type)->name;
        share[c->tensors[i].type].bytes += c->tensors[i].bytes;
    }
    qsort(share, TYPE_LIMIT, sizeof *share, by_bytes);
    struct buf b = {0};
    for (int i = 0; i < TYPE_LIMIT && share[i].bytes; i++) buf_printf(&b, "%s%s", i ? " " : "", share[i].name);
    return buf_take(&b);
}

static bool open_text(struct gyr_model *m, gyr_error *e) {
    const struct checkpoint *c = m->checkpoint;
    uint32_t rows = m->model->h.vocab;
    if (c->vocab.n > rows &&
        !vocab_note(&m->checkpoint->vocab, "%s: has %zu tokens and %u rows for them; those from %u on cannot be fed",
                    c->path, c->vocab.n, rows, rows))
        return fail_memory(e, c->path);
    if (c->vocab.kind != VOCAB_NONE && !(m->tokenizer.tokens = tokenizer_new(&c->vocab, c->path, e))) return false;
    if (!c->vocab.chat_template && !c->vocab.n_templates) return true;
    return (m->chat = template_of(&c->vocab, c->path, NULL, e));
}

// A model's file, or its image; and a card that was tried for it and failed.
struct source {
    const char *path, *name;
    const void *data;
    size_t size;
    bool again; // the CPU is to take it
    gyr_error why;
};

static struct checkpoint *read_source(const struct source *s, gyr_error *e) {
    return s->path ? checkpoint_open(s->path, e) : checkpoint_open_memory(s->name, s->data, s->size, e);
}

static bool place(struct gyr_model *m, const gyr_model_options *o, const struct source *s, gyr_error *e) {
    if (!place_is_allowed(o, m->ranks, m->checkpoint->path, e)) return false;
    struct placement *p = &m->placement;
    bool open = place_is_open(o), ok;
    if (m->ranks)
        ok = open ? place_rank(p, &m->on, ranks_local(), m->checkpoint, o, e)
                  : place_rank_named(p, &m->on, ranks_local(), m->checkpoint, o, e);
    else
        ok = !open      ? place_named(p, &m->on, m->checkpoint, o, false, e)
             : s->again ? place_on_cpu(p, &m->on, o, &s->why, e)
                        : place_model(p, &m->on, m->checkpoint, o, e);
    m->device = m->on.sides ? m->on.device[m->on.sides - 1] : NULL;
    return ok;
}

// What is known before anything is bound.
static bool begin(struct gyr_model *m, const gyr_model_options *o, const struct source *s, gyr_error *e) {
    struct text name = {0};
    if (!checkpoint_string(m->checkpoint, "general.name", &name, e)) return false;
    m->name = copy_text(name);
    m->types = list_types(m->checkpoint);
    if (!m->name || !m->types) return fail_memory(e, m->checkpoint->path);
    m->kv_limit = o ? o->kv_bytes : 0;
    m->mapped = s->path;
    if (o) m->options = *o;
    return place(m, o, s, e);
}

// What does not depend on which part of the model is here comes once.
static bool fill(struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    if (!m->model || (!m->texts && !open_text(m, e))) return false;
    m->texts = true;
    return model_settle(m, o, e);
}

static bool open_alone(struct gyr_model *m, const gyr_model_options *o, const struct source *s, gyr_error *e) {
    bool ok = begin(m, o, s, e) && (m->model = model_shared(m->checkpoint, &m->on, e)) && fill(m, o, e);
    m->options.progress = NULL;
    m->options.device = NULL;
    return ok;
}

// By rows and experts each rank has the whole model, and of its matrices a part.
static struct model *bind_share(struct gyr_model *m, const struct shared *s, gyr_error *e) {
    struct cut cut = {ranks_own(m->ranks), s->count, s->memory, s->speed};
    if (!s->rows) return model_part(m->checkpoint, m->device, &cut, e);
    gyr_error made = {0};
    m->spread = spread_new(m->device, m->ranks, s->part, &made);
    if (s->cards && !spread_meet(m->spread, m->ranks, &made, e)) return NULL;
    if (!m->spread) return fail_null(e, made.status, "%s", made.message);
    m->device = *m->on.device = spread_device(m->spread);
    return model_new(m->checkpoint, m->device, e);
}

// Rank 0 has all of it, as if nobody else were there; the others wait for the end.
static bool bind_alone(struct gyr_model *m, const struct shared *s, gyr_error *e) {
    struct ranks *r = m->ranks;
    struct buf none = {0};
    gyr_error made = {0};
    bool first = !ranks_own(r), ok;
    if (first) m->ranks = NULL;
    m->model = first ? model_shared(m->checkpoint, &m->on, &made) : model_look(m->checkpoint, m->device, &made);
    ok = first ? fill(m, &m->options, &made) : m->model != NULL;
    ok = ranks_agree(r, ok, &made, NULL, 0, &none, e);
    if (ok) ranks_rest(r);
    buf_free(&none);
    char longer[64] = "be no faster";
    if (s->slower > 1.05) snprintf(longer, sizeof longer, "take about %.1f times as long", s->slower);
    snprintf(m->placement.why, sizeof m->placement.why,
             "%s, rank 0 alone: shared among %u ranks, an answer would %s (--split shares it all the same)",
             m->placement.device, s->count, longer);
    return ok;
}

bool model_bind_part(struct gyr_model *m, bool ok, const gyr_error *why, gyr_error *e) {
    gyr_error made = {0};
    struct shared s = {0};
    const gyr_model_options *o = &m->options;
    if (!m->ranks) return (m->model = model_shared(m->checkpoint, &m->on, e)) && fill(m, o, e);
    if (!ranks_meet_model(m, m->ranks, o->oversize, ok, why, &s, e)) {
        shared_free(&s);
        return false;
    }
    bool chosen = split_choose(m, &s, &made);
    if (chosen && s.alone) {
        ok = bind_alone(m, &s, e);
    } else {
        m->model = chosen ? bind_share(m, &s, &made) : NULL;
        ok = ranks_ready(m, &s, fill(m, o, &made), &made, e);
    }
    shared_free(&s);
    return ok;
}

static bool open_part(struct gyr_model *m, const gyr_model_options *o, const struct source *s, gyr_error *e) {
    gyr_error made = {0};
    m->options = *o;
    bool ok = begin(m, o, s, &made);
    ok = model_bind_part(m, ok, &made, e);
    m->options.progress = NULL;
    m->options.device = NULL;
    return ok;
}

// The others hear that this rank has no model to open.
static void tell_failure(const gyr_model_options *o, gyr_error *e) {
    gyr_error made = *e;
    struct shared s;
    ranks_meet_model(NULL, o->ranks->ranks, false, false, &made, &s, e);
    shared_free(&s);
}

static gyr_model *open_source(struct source *s, const gyr_model_options *o, gyr_error *e);

// What is wrong with the model is said again by the CPU; what is wrong with the card, is no reason not to have an
// answer. Where none was found that can do what was asked for, that is the error.
static gyr_model *open_on_cpu(struct gyr_model *failed, struct source *s, const gyr_model_options *o, gyr_error *e) {
    bool card = place_is_open(o) && !place_is_shared(o) && !s->again && !(o && o->no_cpu) &&
                *failed->placement.device && strcmp(failed->placement.device, "cpu");
    bool its = e->status == GYR_NO_MEMORY || e->status == GYR_DEVICE || e->status == GYR_UNSUPPORTED;
    gyr_model_close(failed);
    if (!card || !its) return NULL;
    s->again = true;
    s->why = *e;
    return open_source(s, o, e);
}

static gyr_model *open_source(struct source *s, const gyr_model_options *o, gyr_error *e) {
    struct checkpoint *c = read_source(s, e);
    gyr_model *m = c ? calloc(1, sizeof *m) : NULL;
    bool many = o && o->ranks && ranks_count(o->ranks->ranks) > 1;
    if (!m) {
        if (c) fail_memory(e, c->path);
        if (many) tell_failure(o, e);
        checkpoint_close(c);
        return NULL;
    }
    m->checkpoint = c;
    m->ranks = many ? o->ranks->ranks : NULL;
    pthread_mutex_init(&m->checksum_lock, NULL);
    m->tokenizer.vocab = &c->vocab;
    if ((many ? open_part : open_alone)(m, o, s, e)) return m;
    if (many) return gyr_model_close(m), NULL; // all end
    return open_on_cpu(m, s, o, e);
}

gyr_model *gyr_model_open(const char *path, const gyr_model_options *o, gyr_error *e) {
    gyr_error none;
    if (!CHECK_RESERVED(o, e)) return NULL;
    if (!e) e = &none;
    return open_source(&(struct source){.path = path}, o, e);
}

gyr_model *gyr_model_open_memory(const char *name, const void *data, size_t size, const gyr_model_options *o,
                                 gyr_error *e) {
    gyr_error none;
    if (!CHECK_RESERVED(o, e)) return NULL;
    if (!e) e = &none;
    return open_source(&(struct source){.name = name, .data = data, .size = size}, o, e);
}

void gyr_model_close(gyr_model *m) {
    if (!m) return;
    model_unsettle(m);
    gyr_template_close(m->chat);
    tokenizer_free(m->tokenizer.tokens);
    checkpoint_close(m->checkpoint);
    free(m->name);
    free(m->types);
    buf_free(&m->notes.copies);
    buf_free(&m->notes.forks);
    free(m->has);
    pthread_mutex_destroy(&m->checksum_lock);
    free(m);
}

const struct model *model_inside(const gyr_model *m) { return m->model; }

// Of what a model takes, the share of devices that have no memory of their own.
static void host_share(const struct gyr_model *m, enum type kv, gyr_model_info *info) {
    for (uint32_t k = 0; k < m->on.sides; k++) {
        if (m->on.device[k]->ops->ready) continue;
        info->host_bytes += m->weights[k];
        info->host_kv_bytes_per_token += model_side_page(m->model, k, kv) / PAGE_TOKENS;
    }
}

void gyr_model_get_info(const gyr_model *m, gyr_model_info *info) {
    const struct hyperparameters *h = &m->model->h;
    enum type kv = kv_cache_default(m->model->type);
    uint64_t kv_bytes = kv_cache_bytes(kv_cache_layout(h, kv), PAGE_TOKENS) / PAGE_TOKENS;
    struct whole all = {m->model->parameters, m->model->weight_bytes, m->model->decode_bytes, kv_bytes,
                        state_pool_bytes(&m->states)};
    if (m->ranks) all = m->whole;
    *info = (gyr_model_info){.name = m->name,
                             .architecture = m->checkpoint->architecture,
                             .types = m->types,
                             .parameters = all.parameters,
                             .weight_bytes = all.weight_bytes,
                             .decode_bytes = all.decode_bytes,
                             .kv_bytes_per_token = all.kv_bytes,
                             .vocab = h->vocab,
                             .layers = h->layers,
                             .hidden = h->hidden,
                             .heads = h->heads,
                             .kv_heads = h->kv_heads,
                             .head_dim = h->head_dim,
                             .feed_forward = h->feed_forward,
                             .context = h->context,
                             .far_context = h->far_context,
                             .has_chat_template = m->chat != NULL,
                             .keeps_state = state_pool_floats(&m->states) > 0,
                             .state_bytes = all.state_bytes,
                             .bidirectional = h->bidirectional,
                             .encoder = m->model->family->encoder,
                             .relevance = m->checkpoint->sentence.relevance,
                             .embedding = (uint32_t)embedding_size(m),
                             .device = m->placement.device,
                             .placement = m->placement.why};
    host_share(m, kv, info);
    size_t cards = 0;
    if (!m->spread && m->device->ops->parts) m->device->ops->parts(m->device, &cards);
    info->cards = (uint32_t)cards;
}
