// Opening a model: checkpoint, tokenizer, chat template, weights bound, pages warmed.
#include "base/buf.h"
#include "engine/place.h"
#include "engine/ranks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

static bool cannot_lock(const struct checkpoint *c, uint64_t total, gyr_error *e) {
    return fail(e, GYR_NO_MEMORY,
                "%s: %.1f GB cannot be locked in memory: %s; raise the limit (ulimit -l) or leave it unlocked", c->path,
                (double)total / 1e9, strerror(errno));
}

// Reads the weights into the page cache, so that the first token does not wait for the disk, and so that a person sees
// how long loading takes. A hint: what cannot be read now is read when it is used.
static bool warm(const struct checkpoint *c, const gyr_model_options *o, uint64_t total, gyr_error *e) {
    const size_t step = (size_t)64 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t done = 0;
    for (size_t i = 0; i < c->n_tensors; i++)
        for (size_t at = 0; at < c->tensors[i].bytes; at += step) {
            size_t left = c->tensors[i].bytes - at, n = left < step ? left : step;
            uintptr_t first = (uintptr_t)(c->tensors[i].data + at) / page * page;
            size_t size = (uintptr_t)(c->tensors[i].data + at) + n - first;
            if (o && o->lock && mlock((void *)first, size)) return cannot_lock(c, total, e);
#ifdef MADV_POPULATE_READ
            if (!o || !o->lock) madvise((void *)first, size, MADV_POPULATE_READ);
#endif
            done += n;
            if (o && o->progress && !o->progress(o->user, (double)done / (double)total))
                return fail(e, GYR_CANCELLED, "%s: loading was stopped", c->path);
        }
    return true;
}

static bool stopped(const struct gyr_model *m, gyr_error *e) {
    return fail(e, GYR_CANCELLED, "%s: loading was stopped", m->checkpoint->path);
}

// The weights in the device's own form: in a file of the cache, or in memory, if that has room for them beside what
// else is there; as the model's file has them otherwise, read into the page cache.
static bool load(struct gyr_model *m, const gyr_model_options *o, bool mapped, gyr_error *e) {
    uint64_t tiles = model_tiled_bytes(m->model), total = m->model->weight_bytes, all, room;
    struct tiling how = {.mapped = mapped, .lock = o && o->lock};
    if (o) how.progress = o->progress, how.user = o->user;
    if (m->device->ops->ready) return model_ready(m->model, &how) || stopped(m, e);
    if (o && o->mapped) return true;
    m->device->ops->room(m->device, &all, &room);
    if (!tiles || tiles > room - room / 16)
        return !mapped || m->ranks || total > all || warm(m->checkpoint, o, total, e);
    m->kept = mapped && o && o->cache && !m->spread ? kept_open(m) : NULL;
    how.rooms = kept_rooms(m->kept);
    switch (model_tile(m->model, &how)) {
    case TILED: kept_write(m->kept, m); return true;
    case TILED_NOT_LOCKED: return cannot_lock(m->checkpoint, total, e);
    default: return stopped(m, e);
    }
}

uint64_t model_own_bytes(const struct gyr_model *m) {
    uint64_t all = m->model->weight_bytes;
    return m->spread ? (uint64_t)((double)all * spread_own(m->spread)) : all;
}

static bool check_memory(const struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    uint64_t total, available, need = model_own_bytes(m);
    m->device->ops->room(m->device, &total, &available);
    if (need <= total || (o && o->oversize)) return true;
    return fail(
        e, GYR_NO_MEMORY,
        "%s: the weights take %.1f GB and this machine has %.1f GB; choose a smaller type, or --oversize to run "
        "from the disk",
        m->checkpoint->path, (double)need / 1e9, (double)total / 1e9);
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

// Threads that choose tokens: those that the device leaves idle while nothing is computed.
static bool hire(struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    const struct device_ops *ops = m->device->ops;
    m->workers = ops->workers ? ops->workers(m->device) : NULL;
    if (!m->workers) m->workers = m->own_workers = pool_new(o ? o->threads : 0, e);
    if (!m->workers) return false;
    m->samplers = calloc(pool_threads(m->workers), sizeof *m->samplers);
    return m->samplers ? model_samplers(m, 1) || fail_memory(e, "sampler") : fail_memory(e, "sampler");
}

size_t model_samplers(struct gyr_model *m, size_t want) {
    while (m->n_samplers < want && sampler_init(&m->samplers[m->n_samplers], m->model->h.vocab, NULL)) m->n_samplers++;
    return m->n_samplers;
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
    if (!place_is_open(o))
        m->device = place_named(&m->placement, o, e);
    else
        m->device = s->again || m->ranks ? place_on_cpu(&m->placement, o, s->again ? &s->why : NULL, e)
                                         : place_model(&m->placement, m->checkpoint, o, e);
    return m->device;
}

// What is known before anything is bound.
static bool begin(struct gyr_model *m, const gyr_model_options *o, const struct source *s, gyr_error *e) {
    struct text name = {0};
    if (!checkpoint_string(m->checkpoint, "general.name", &name, e)) return false;
    m->name = copy_text(name);
    m->types = list_types(m->checkpoint);
    if (!m->name || !m->types) return fail_memory(e, m->checkpoint->path);
    m->kv_limit = o ? o->kv_bytes : 0;
    return place(m, o, s, e);
}

// A state of layers that are others' takes a float here: there is one.
static size_t state_floats(const struct model *m) {
    size_t own = m->h.state_layers * recurrence_floats(&m->h.recurrence);
    return own || !m->keeps_states ? own : 1;
}

// What does not depend on which part of the model is here.
static bool settle(struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    if (m->one) return true;
    if (!open_text(m, e) || !hire(m, o, e)) return false;
    m->one = malloc(m->model->h.vocab * sizeof *m->one);
    return m->one || fail_memory(e, m->checkpoint->path);
}

static bool fill(struct gyr_model *m, const gyr_model_options *o, bool mapped, gyr_error *e) {
    if (!m->model || !check_memory(m, o, e) || !settle(m, o, e) || !load(m, o, mapped, e)) return false;
    m->states = (struct state_pool){.device = m->device, .floats = state_floats(m->model)};
    return (m->run = run_new(m->model, e)) && (!m->ranks || m->spread || run_join(m->run, m->ranks, e)) &&
           m->device->ops->sync(m->device, e);
}

static bool open_alone(struct gyr_model *m, const gyr_model_options *o, const struct source *s, gyr_error *e) {
    return begin(m, o, s, e) && (m->model = model_new(m->checkpoint, m->device, e)) && fill(m, o, s->path, e);
}

// By rows and experts each rank has the whole model, and of its matrices a part.
static struct model *bind_share(struct gyr_model *m, const struct shared *s, gyr_error *e) {
    struct cut cut = {ranks_own(m->ranks), s->count, s->memory, s->speed};
    if (!s->rows) return model_part(m->checkpoint, m->device, &cut, e);
    m->spread = spread_new(m->device, m->ranks, s->part, e);
    return m->spread ? model_new(m->checkpoint, m->device, e) : NULL;
}

bool model_bind_part(struct gyr_model *m, bool ok, const gyr_error *why, gyr_error *e) {
    gyr_error made = {0};
    struct shared s = {0};
    const gyr_model_options *o = &m->options;
    if (!m->ranks) return (m->model = model_new(m->checkpoint, m->device, e)) && fill(m, o, m->mapped, e);
    if (!ranks_meet_model(m, m->ranks, o->oversize, ok, why, &s, e)) {
        shared_free(&s);
        return false;
    }
    m->model = split_choose(m, &s, &made) ? bind_share(m, &s, &made) : NULL;
    ok = ranks_ready(m, &s, fill(m, o, m->mapped, &made), &made, e);
    shared_free(&s);
    return ok;
}

static bool open_part(struct gyr_model *m, const gyr_model_options *o, const struct source *s, gyr_error *e) {
    gyr_error made = {0};
    m->options = *o;
    m->mapped = s->path;
    bool ok = begin(m, o, s, &made);
    ok = model_bind_part(m, ok, &made, e);
    m->options.progress = NULL;
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
// answer.
static gyr_model *open_on_cpu(struct gyr_model *failed, struct source *s, const gyr_model_options *o, gyr_error *e) {
    bool card = place_is_open(o) && !s->again && strcmp(failed->placement.device, "cpu");
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
    for (size_t i = 0; i < m->n_samplers; i++) sampler_free(&m->samplers[i]);
    free(m->samplers);
    pool_free(m->own_workers);
    for (int i = 0; i < KV_POOLS; i++) kv_cache_free(m->kv[i]);
    state_pool_free(&m->states);
    run_free(m->run);
    gyr_template_close(m->chat);
    tokenizer_free(m->tokenizer.tokens);
    kept_close(m->kept);
    model_free(m->model);
    spread_free(m->spread);
    if (m->device) device_host_free(m->device, m->scores);
    if (m->device) m->device->ops->close(m->device);
    checkpoint_close(m->checkpoint);
    free(m->name);
    free(m->types);
    free(m->one);
    buf_free(&m->notes.copies);
    buf_free(&m->notes.forks);
    pthread_mutex_destroy(&m->checksum_lock);
    free(m);
}

const struct model *model_inside(const gyr_model *m) { return m->model; }

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
                             .keeps_state = m->states.floats > 0,
                             .state_bytes = all.state_bytes,
                             .bidirectional = h->bidirectional,
                             .encoder = m->model->family->encoder,
                             .embedding = (uint32_t)embedding_size(m),
                             .device = m->placement.device,
                             .placement = m->placement.why};
}
