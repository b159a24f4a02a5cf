// Training of all weights: what is asked for made definite, and everything that can be refused refused before anything
// is computed.
#include "base/pages.h"
#include "engine/inside.h"
#include "model/synth.h"
#include "train/pretrain.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTEXT = 512, BATCH = 8, VALID_TOKENS = 32768, MOST = 1 << 24, MOST_BATCH = 1 << 20 };

static const uint64_t draw_seed = 0x626567696e;

// The poet's shape.
static const struct shape small = {.name = "falcon-small",
                                   .architecture = "falcon",
                                   .layers = 8,
                                   .hidden = 256,
                                   .heads = 4,
                                   .kv_heads = 1,
                                   .feed_forward = 1024,
                                   .tied = true};

// ---------------------------------------------------------------------------------------------- options

static bool is_bad(double x) { return isnan(x) || isinf(x); }

static bool check_options(const gyr_train_options *o, gyr_error *e) {
    const struct {
        bool is;
        const char *what;
    } tries[] = {
        {!o->n_data, "no data; name files with texts"},
        {!o->output || !*o->output, "no output; name the GGUF file to write"},
        {!o->model && !o->tokenizer, "no tokenizer; make one with 'gyr train tokenizer', or name a model to train on"},
        {o->model && o->tokenizer, "a model has a tokenizer of its own; leave one of the two out"},
        {o->model && (o->shape.name || o->shape.layers || o->shape.hidden || o->shape.heads || o->shape.kv_heads ||
                      o->shape.head_dim || o->shape.feed_forward || o->shape.tied),
         "a model has a shape of its own; leave one of the two out"},
        {o->context == 1 || o->context > MOST, "context: 2 tokens or more, and no more than 16 million"},
        {o->batch > MOST_BATCH, "batch: at most a million"},
        {o->epochs && o->steps, "epochs and steps: give one of the two"},
        {o->steps > UINT32_MAX, "steps: at most 4 billion"},
        {!(o->hold_out < 1), "hold-out: a part of the texts, less than 1"},
        {!(o->learning_rate >= 0) || is_bad(o->learning_rate), "learning rate: a number of 0 or more"},
        {is_bad(o->weight_decay), "weight decay: a number"},
        {!(o->warmup <= 1), "warmup: a part of the steps, at most 1"},
        {isnan(o->clip), "clip: a number"},
        {o->schedule > GYR_SCHEDULE_CONSTANT, "schedule: there is no such one"},
        {o->optimizer > GYR_OPTIMIZER_MUON, "optimizer: there is no such one"},
        {o->products > GYR_PRODUCTS_INT16, "products: f32 or int16"},
        {o->shape.tied > 2, "tied: 0, 1 or 2"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (tries[i].is) return fail(e, GYR_USAGE, "%s", tries[i].what);
    return true;
}

static bool choose_type(struct gyr_train *t, gyr_error *e) {
    static const struct {
        const char *name;
        enum type type;
    } types[] = {{"f16", TYPE_F16}, {"f32", TYPE_F32}, {"bf16", TYPE_BF16}};
    const char *name = t->o.type ? t->o.type : "f16";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(name, types[i].name)) return t->type = types[i].type, true;
    return fail(e, GYR_USAGE, "type '%.40s': gyr writes what it trained as f16, f32 or bf16", name);
}

static void choose(gyr_train_options *o) {
    if (!o->batch) o->batch = BATCH;
    if (!o->epochs && !o->steps) o->epochs = 1;
    if (o->learning_rate <= 0) o->learning_rate = o->model ? 2e-5 : 1e-3;
    o->hold_out = o->hold_out < 0 || o->n_valid ? 0 : o->hold_out > 0 ? o->hold_out : 0.01;
    o->warmup = o->warmup < 0 ? 0 : o->warmup > 0 ? o->warmup : 0.02;
    o->weight_decay = o->weight_decay < 0 ? 0 : o->weight_decay > 0 ? o->weight_decay : 0.1;
    o->clip = o->clip < 0 ? 0 : o->clip > 0 ? o->clip : 1;
    if (!o->valid_tokens) o->valid_tokens = VALID_TOKENS;
}

// ------------------------------------------------------------------------------------------------- model

static void put(uint32_t *to, uint32_t from) {
    if (from) *to = from;
}

static bool shape_of(const struct gyr_train *t, struct shape *s, gyr_error *e) {
    const gyr_train_shape *o = &t->o.shape;
    const struct shape *named = o->name ? shape_by_name(o->name) : &small;
    if (!named) return fail(e, GYR_USAGE, "shape '%.40s' is not one gyr knows", o->name);
    *s = *named;
    if (o->hidden && s->feed_forward) s->feed_forward = 4 * o->hidden;
    put(&s->layers, o->layers);
    put(&s->hidden, o->hidden);
    put(&s->heads, o->heads);
    put(&s->kv_heads, o->kv_heads);
    put(&s->head_dim, o->head_dim);
    put(&s->feed_forward, o->feed_forward);
    if (o->tied) s->tied = o->tied == 1;
    s->context = t->o.context;
    s->vocab = (uint32_t)t->tokenizer->vocab.n;
    return true;
}

static bool open_blank(struct gyr_train *t, gyr_error *e) {
    struct shape s;
    if (!t->o.context) t->o.context = CONTEXT;
    if (!(t->tokenizer = checkpoint_open(t->o.tokenizer, e))) return false;
    if (t->tokenizer->vocab.kind == VOCAB_NONE || t->tokenizer->vocab.n > INT32_MAX / 2)
        return fail(e, GYR_UNSUPPORTED, "%s: has no tokenizer", t->o.tokenizer);
    struct blank b = {.shape = &s, .name = t->name, .tokenizer = t->tokenizer};
    return shape_of(t, &s, e) && (t->c = synth_blank(&b, e));
}

static bool open_model(struct gyr_train *t, gyr_error *e) {
    if (!(t->o.model ? (t->c = checkpoint_open(t->o.model, e)) != NULL : open_blank(t, e))) return false;
    if (t->c->vocab.kind == VOCAB_NONE) return fail(e, GYR_UNSUPPORTED, "%s: has no tokenizer", t->c->path);
    bool ok = (t->d = device_cpu(1, NULL, e)) && (t->m = model_new(t->c, t->d, e)) &&
              (t->t = trainee_new(t->m, t->o.threads, e)) && (!t->o.products || trainee_shorts(t->t, e)) &&
              (t->w = whole_new(t->t, e)) && (t->tokens = tokenizer_new(&t->c->vocab, t->c->path, e));
    if (!ok) return false;
    if (!t->o.context) t->o.context = t->m->h.context < CONTEXT ? t->m->h.context : CONTEXT;
    if (t->o.context > t->m->h.context)
        return fail(e, GYR_TOO_LONG, "%s: was trained for %u tokens; a context of %u is too long", t->c->path,
                    t->m->h.context, t->o.context);
    if (!t->o.model) whole_draw(t->w, t->t->pool, t->o.seed + draw_seed);
    t->begins = state_mix(0, t->w->numbers, t->w->n * sizeof *t->w->numbers);
    return true;
}

// -------------------------------------------------------------------------------------------------- data

static bool read_data(struct gyr_train *t, gyr_error *e) {
    struct corpus_rules rules = {t->tokens, t->c->vocab.eos, t->o.hold_out, t->o.seed, t->o.threads}, all = rules;
    all.hold_out = 0;
    if (!corpus_read(&t->texts, t->o.hold_out > 0 ? &t->held : NULL, t->o.data, t->o.n_data, &rules, e)) return false;
    if (t->o.n_valid && !corpus_read(&t->held, NULL, t->o.valid, t->o.n_valid, &all, e)) return false;
    size_t n = 0, kept = 0; // no more than it takes to measure
    while (kept < t->held.n_items && n < t->o.valid_tokens) n += t->held.items[kept++].n;
    t->held.n_items = kept;
    return packing_new(&t->pack, &t->texts, t->o.context, t->o.epochs, t->o.seed, true, e) &&
           packing_new(&t->valid, &t->held, t->o.context, 1, 0, false, e);
}

static bool make_room(struct gyr_train *t, gyr_error *e) {
    float **all[] = {&t->leaf, &t->sum, &t->mean, &t->square};
    size_t bytes = (t->w->n + 1) * sizeof(float);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i] = large_pages(calloc(1, bytes), bytes))) return fail_memory(e, "training");
    t->history = calloc(t->steps + 1, 2 * sizeof *t->history);
    t->blocks = calloc(t->o.batch, sizeof *t->blocks);
    if (!t->history || !t->blocks) return fail_memory(e, "training");
    for (size_t i = 0; i < t->o.batch; i++)
        if (!block_new(&t->blocks[i], t->o.context, e)) return false;
    t->valid_blocks = (size_t)packing_count(&t->valid);
    t->told = calloc(t->o.batch + t->valid_blocks + 1, sizeof *t->told);
    return t->told ? (t->tree = tree_new(t->w->n, e)) != NULL : fail_memory(e, "training");
}

static bool count_steps(struct gyr_train *t, gyr_error *e) {
    uint64_t blocks = t->o.steps ? 0 : packing_count(&t->pack);
    uint64_t steps = t->o.steps ? t->o.steps : (blocks + t->o.batch - 1) / t->o.batch;
    if (steps > UINT32_MAX) return fail(e, GYR_USAGE, "steps: at most 4 billion; learn fewer epochs");
    t->steps = (size_t)steps;
    t->warmup = (size_t)ceil(t->o.warmup * (double)t->steps);
    if (!t->o.valid_steps) t->o.valid_steps = t->steps > 10 ? t->steps / 10 : 1;
    return true;
}

// -------------------------------------------------------------------------------------------------- all

static bool name_files(struct gyr_train *t, gyr_error *e) {
    const char *output = t->o.output, *slash = strrchr(output, '/'), *last = slash ? slash + 1 : output;
    size_t n = strlen(output), tail = strlen(".gguf"), name = strlen(last);
    if (name <= tail || strcmp(output + n - tail, ".gguf"))
        return fail(e, GYR_USAGE, "%s: the model is written as GGUF; let the name end in .gguf", output);
    t->output = strdup(output);
    t->name = strndup(last, name - tail);
    t->state = malloc(n + sizeof ".state");
    char *folder = slash ? strndup(output, (size_t)(slash - output) + 1) : strdup(".");
    bool ok = (t->output && t->name && t->state && folder) || fail_memory(e, output);
    if (ok) memcpy(t->state, output, n), memcpy(t->state + n, ".state", sizeof ".state");
    if (ok && share_leads(t->ranks) && access(folder, W_OK))
        ok = fail(e, GYR_IO, "%s: %s: %s; choose another place to write to", output, folder, strerror(errno));
    free(folder);
    return ok;
}

static bool find_state(struct gyr_train *t, gyr_error *e) {
    if (!share_leads(t->ranks) || access(t->state, F_OK)) return true;
    if (!t->o.resume)
        return fail(e, GYR_FAILED, "%s: a checkpoint of an earlier training; resume it, or remove the file", t->state);
    return pretrain_load(t, e);
}

static bool fill(struct gyr_train *t, const gyr_train_options *o, gyr_error *e) {
    t->o = *o;
    choose(&t->o);
    bool ok = choose_type(t, e) && name_files(t, e) && open_model(t, e) && read_data(t, e) && count_steps(t, e) &&
              make_room(t, e) && find_state(t, e);
    t->o.data = t->o.valid = NULL; // the caller's
    t->o.n_data = t->o.n_valid = 0;
    t->o.output = t->output;
    t->o.tokenizer = t->o.type = NULL;
    return ok;
}

gyr_train *gyr_train_open(const gyr_train_options *o, gyr_error *e) {
    if (!CHECK_RESERVED(o, e) || !check_options(o, e)) return NULL;
    struct gyr_train *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, "training"), NULL;
    if (o->ranks && gyr_ranks_count(o->ranks) > 1) t->ranks = ranks_inside(o->ranks);
    if (fill(t, o, e)) return t;
    gyr_train_close(t);
    return NULL;
}

void gyr_train_close(gyr_train *t) {
    if (!t) return;
    trainee_free(t->t);
    whole_free(t->w);
    tokenizer_free(t->tokens);
    model_free(t->m);
    if (t->d) t->d->ops->close(t->d);
    checkpoint_close(t->c);
    checkpoint_close(t->tokenizer);
    packing_free(&t->pack);
    packing_free(&t->valid);
    corpus_free(&t->texts);
    corpus_free(&t->held);
    tree_free(t->tree);
    for (size_t i = 0; t->blocks && i < t->o.batch; i++) block_free(&t->blocks[i]);
    void *all[] = {t->blocks, t->leaf, t->sum, t->mean, t->square, t->history, t->told, t->output, t->state, t->name};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(t);
}

static void count_texts(const struct corpus *c, uint64_t *texts, uint64_t *tokens, uint64_t *bytes) {
    *texts = c->n_items;
    *tokens = *bytes = 0;
    for (size_t i = 0; i < c->n_items; i++) *tokens += c->items[i].n, *bytes += c->items[i].bytes;
}

void gyr_train_get_info(const gyr_train *t, gyr_train_info *info) {
    const struct hyperparameters *h = &t->m->h;
    size_t levels = 1;
    while ((size_t)1 << levels <= t->o.batch) levels++;
    *info = (gyr_train_info){.numbers = t->w->n,
                             .layers = h->layers,
                             .hidden = h->hidden,
                             .heads = h->heads,
                             .kv_heads = h->kv_heads,
                             .feed_forward = h->feed_forward,
                             .vocab = h->vocab,
                             .context = t->o.context,
                             .batch = t->o.batch,
                             .steps = t->steps,
                             .done = t->done,
                             .learning_rate = t->o.learning_rate,
                             .fresh = t->tokenizer != NULL};
    count_texts(&t->texts, &info->texts, &info->tokens, &info->bytes);
    count_texts(&t->held, &info->valid_texts, &info->valid_tokens, &info->valid_bytes);
    info->memory = t->w->n * sizeof(float) * (5 + levels) + trainee_bytes(t->t, t->o.context, NULL) +
                   (t->texts.room + t->held.room) * sizeof(int32_t);
}

bool gyr_train_get_step(const gyr_train *t, size_t i, float *loss, float *bits) {
    if (i >= t->done) return false;
    *loss = t->history[2 * i];
    *bits = t->history[2 * i + 1];
    return true;
}
