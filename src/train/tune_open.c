// Fine-tuning: what is asked for made definite, and everything that can be refused refused before anything is computed.
#include "engine/inside.h"
#include "engine/random.h"
#include "format/adapter_write.h"
#include "train/tune.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANK = 16, BATCH = 4, MOST_EPOCHS = 1000000, FEW = 100, MANY = 25000, MOST_AUTO = 25, LEAST_AUTO = 3 };
enum { MOST_RANK = 4096, MOST_BETA = 2 };

// What is learned from pairs changes a model more with each step (docs/training.md).
static const double usual_beta = 0.1, usual_rate[] = {[GYR_METHOD_SUPERVISED] = 2e-4, [GYR_METHOD_DPO] = 2e-5};

// So that the order of examples and what A begins with are drawn apart.
static const uint64_t order_seed = 0x6f72646572, number_seed = 0;

// ---------------------------------------------------------------------------------------------- options

static bool check_options(const gyr_tune_options *o, gyr_error *e) {
    const struct {
        bool is;
        const char *what;
    } tries[] = {
        {!o->data || !*o->data, "no data; name a file of conversations"},
        {o->output && !*o->output, "no output; name the adapter to write"},
        {o->rank > MOST_RANK, "rank: at most 4096"},
        {o->epochs > MOST_EPOCHS, "epochs: at most a million"},
        {!(o->alpha >= 0) || isinf(o->alpha), "alpha: a number of 0 or more"},
        {!(o->learning_rate >= 0) || isinf(o->learning_rate), "learning rate: a number of 0 or more"},
        {!(o->weight_decay >= 0) || isinf(o->weight_decay), "weight decay: a number of 0 or more"},
        {!(o->warmup <= 1), "warmup: a part of the steps, at most 1"},
        {isnan(o->clip), "clip: a number"},
        {o->schedule > GYR_SCHEDULE_CONSTANT, "schedule: there is no such one"},
        {o->optimizer > GYR_OPTIMIZER_MUON, "optimizer: there is no such one"},
        {o->method > GYR_METHOD_DPO, "method: there is no such one"},
        {o->products > GYR_PRODUCTS_INT16, "products: f32 or int16"},
        {!(o->beta >= 0 && o->beta <= MOST_BETA), "beta: a number above 0, at most 2"},
        {o->method != GYR_METHOD_DPO && o->beta > 0, "beta: is of the method dpo alone"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (tries[i].is) return fail(e, GYR_USAGE, "%s", tries[i].what);
    return true;
}

// As OpenAI's service chooses them.
static uint32_t auto_epochs(size_t n) {
    size_t epochs = LEAST_AUTO;
    if (epochs * n < FEW) epochs = (FEW + n - 1) / n;
    if (epochs > MOST_AUTO) epochs = MOST_AUTO;
    if (epochs * n > MANY) epochs = MANY / n;
    return epochs ? (uint32_t)epochs : 1;
}

static void choose(gyr_tune_options *o, const struct model *m) {
    if (!o->rank) o->rank = RANK;
    if (o->alpha <= 0) o->alpha = 2.0 * o->rank;
    if (!o->batch) o->batch = BATCH;
    if (!o->context || o->context > m->h.context) o->context = m->h.context;
    if (o->learning_rate <= 0) o->learning_rate = usual_rate[o->method];
    if (o->method == GYR_METHOD_DPO && o->beta <= 0) o->beta = usual_beta;
    o->warmup = o->warmup < 0 ? 0 : o->warmup > 0 ? o->warmup : 0.1;
    o->clip = o->clip < 0 ? 0 : o->clip > 0 ? o->clip : 1;
}

// ----------------------------------------------------------------------------------------------- numbers

void tune_shuffle(struct gyr_tune *t, size_t epoch) {
    size_t n = lessons_examples(&t->lessons);
    for (size_t i = 0; i < n; i++) t->order[i] = i;
    for (size_t i = n; i-- > 1;) {
        double at = random_at(t->o.seed + order_seed, (uint64_t)epoch * n + i);
        size_t j = (size_t)(at * (double)(i + 1)), was = t->order[i];
        t->order[i] = t->order[j];
        t->order[j] = was;
    }
    t->epoch = epoch + 1;
}

static struct adapter_scaling scaling_of(const struct gyr_tune *t) {
    return (struct adapter_scaling){t->o.rank, t->o.alpha, t->o.rslora};
}

static bool adapt_all(struct gyr_tune *t, const char *words, gyr_error *e) {
    struct adapter_scaling scaling = scaling_of(t);
    struct tune_targets targets = {t->m, t->t, words};
    float scale = (float)adapter_scale(&scaling);
    if (!tune_targets_check(&targets, e)) return false;
    for (uint32_t i = 0; i < t->m->h.layers; i++)
        for (unsigned s = 0; s < trainee_slots(t->t); s++)
            if (tune_targeted(&targets, i, s)) trainee_adapt(t->t, i, s, t->o.rank, scale);
    return true;
}

// A uniform in +-1 / sqrt(columns), as PEFT's is, and B zero: at first the adapter changes nothing.
static void begin_numbers(struct gyr_tune *t) {
    for (uint32_t i = 0; i < t->m->h.layers; i++)
        for (unsigned s = 0; s < trainee_slots(t->t); s++) {
            const struct trained *p = trainee_pair(t->t, i, s);
            size_t in, out;
            trainee_shape(t->t, i, s, &in, &out);
            double bound = in ? 1 / sqrt((double)in) : 0;
            for (size_t k = 0; in && k < p->rank * in; k++)
                t->numbers[p->a + k] = (float)((2 * random_at(t->o.seed + number_seed, p->a + k) - 1) * bound);
        }
}

static bool make_numbers(struct gyr_tune *t, gyr_error *e) {
    size_t n = trainee_numbers(t->t);
    t->numbers = calloc(n + 1, sizeof *t->numbers);
    t->leaf = calloc(n + 1, sizeof *t->leaf);
    t->sum = calloc(n + 1, sizeof *t->sum);
    t->adam.mean = calloc(n + 1, sizeof *t->adam.mean);
    t->adam.square = calloc(n + 1, sizeof *t->adam.square);
    t->adam.n = n;
    t->adam.decay = t->o.weight_decay;
    t->order = calloc(lessons_examples(&t->lessons) + 1, sizeof *t->order);
    t->told = calloc(t->o.batch + t->valid.n + 1, sizeof *t->told);
    if (!t->numbers || !t->leaf || !t->sum || !t->adam.mean || !t->adam.square || !t->order || !t->told)
        return fail_memory(e, "training");
    begin_numbers(t);
    if (!(t->tree = tree_new(n, e))) return false;
    tree_threads(t->tree, trainee_pool(t->t));
    return true;
}

// ------------------------------------------------------------------------------------------------- all

static bool name_files(struct gyr_tune *t, const char *output, gyr_error *e) {
    if (!output) return true;
    size_t n = strlen(output);
    while (n > 1 && output[n - 1] == '/') n--;
    t->output = strndup(output, n);
    if (!t->output || !(t->state = malloc(n + sizeof ".state"))) return fail_memory(e, output);
    memcpy(t->state, t->output, n);
    memcpy(t->state + n, ".state", sizeof ".state");
    const char *slash = strrchr(t->output, '/');
    char *folder = slash ? strndup(t->output, (size_t)(slash - t->output) + 1) : strdup(".");
    if (!folder) return fail_memory(e, output);
    bool ok = !access(folder, W_OK) ||
              fail(e, GYR_IO, "%s: %s: %s; choose another place to write to", t->output, folder, strerror(errno));
    free(folder);
    return ok;
}

static bool read_data(struct gyr_tune *t, const gyr_tune_options *o, gyr_error *e) {
    struct lesson_rules rules = {t->o.context, o->cut, o->method == GYR_METHOD_DPO};
    return lessons_read(&t->lessons, t->model, o->data, &rules, e) &&
           (!o->valid || lessons_read(&t->valid, t->model, o->valid, &rules, e));
}

static bool find_state(struct gyr_tune *t, gyr_error *e) {
    if (!t->output || access(t->state, F_OK)) return true;
    if (!t->o.resume)
        return fail(e, GYR_FAILED, "%s: a checkpoint of an earlier training; resume it, or remove the file", t->state);
    return tune_state_load(t, e);
}

static size_t longest(const struct lessons *all) {
    size_t most = 0;
    for (size_t i = 0; i < all->n; i++) most = all->items[i].n > most ? all->items[i].n : most;
    return most;
}

// Of all numbers: themselves, a gradient of an example and of a step, two averages, and the tree's levels.
static size_t bytes_of_numbers(const struct gyr_tune *t) {
    size_t levels = 1;
    while ((size_t)1 << levels <= t->o.batch) levels++;
    return trainee_numbers(t->t) * sizeof(float) * (5 + levels);
}

static bool bound(struct gyr_tune *t, gyr_error *e) {
    size_t own = bytes_of_numbers(t), n = longest(&t->lessons), valid = longest(&t->valid);
    if (valid > n) n = valid;
    if (t->o.memory) trainee_bound(t->t, t->o.memory > own + sizeof(float) ? t->o.memory - own : sizeof(float));
    trainee_expect(t->t, n);
    if (!t->o.memory) return true;
    size_t takes = own + trainee_bytes(t->t, n, NULL);
    return takes <= t->o.memory || fail(e, GYR_NO_MEMORY,
                                        "training takes at least %zu MiB of memory, for the longest example of %zu "
                                        "tokens, and may have %zu MiB; "
                                        "give more, shorten examples, or take a lower rank",
                                        (takes >> 20) + 1, n, (size_t)(t->o.memory >> 20));
}

static bool fill(struct gyr_tune *t, const gyr_tune_options *o, gyr_error *e) {
    t->o = *o;
    choose(&t->o, t->m);
    t->o.data = t->o.valid = t->o.output = t->o.targets = NULL;
    if (!name_files(t, o->output, e) || !(t->t = trainee_new(t->m, o->threads, e)) ||
        (o->products && !trainee_shorts(t->t, e)) || !adapt_all(t, o->targets, e) || !read_data(t, o, e))
        return false;
    size_t n = lessons_examples(&t->lessons);
    if (!t->o.epochs) t->o.epochs = auto_epochs(n);
    t->each = (n + t->o.batch - 1) / t->o.batch;
    t->steps = t->each * t->o.epochs;
    t->warmup = (size_t)ceil(t->o.warmup * (double)t->steps);
    return bound(t, e) && gyr_model_checksum(t->model, t->checksum, e) == GYR_OK && make_numbers(t, e) &&
           (!t->output || tune_write(t, true, e)) && find_state(t, e);
}

gyr_tune *gyr_tune_open(gyr_model *model, const gyr_tune_options *o, gyr_error *e) {
    if (!CHECK_RESERVED(o, e) || !check_options(o, e) || !model_here(model, "training", e)) return NULL;
    struct gyr_tune *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, "training"), NULL;
    t->model = model;
    t->m = model_inside(model);
    if (o->ranks && gyr_ranks_count(o->ranks) > 1) t->ranks = ranks_inside(o->ranks);
    if (fill(t, o, e)) return t;
    gyr_tune_close(t);
    return NULL;
}

void gyr_tune_close(gyr_tune *t) {
    if (!t) return;
    tree_free(t->tree);
    trainee_free(t->t);
    lessons_free(&t->lessons);
    lessons_free(&t->valid);
    float *all[] = {t->numbers, t->leaf, t->sum, t->adam.mean, t->adam.square};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(t->order);
    free(t->told);
    free(t->output);
    free(t->state);
    free(t);
}

void gyr_tune_get_info(const gyr_tune *t, gyr_tune_info *info) {
    *info = (gyr_tune_info){.chats = t->lessons.chats,
                            .examples = lessons_examples(&t->lessons),
                            .valid_examples = lessons_examples(&t->valid),
                            .rank = t->o.rank,
                            .epochs = t->o.epochs,
                            .batch = t->o.batch,
                            .alpha = t->o.alpha,
                            .learning_rate = t->o.learning_rate,
                            .steps = t->steps,
                            .done = t->adam.steps,
                            .numbers = t->adam.n,
                            .rslora = t->o.rslora,
                            .optimizer = t->o.optimizer,
                            .products = t->o.products,
                            .method = t->o.method,
                            .beta = t->o.beta};
    for (size_t i = 0; i < t->lessons.n; i++) {
        const struct lesson *l = &t->lessons.items[i];
        info->tokens += l->n;
        info->learned += l->learned;
        info->cut += l->cut > 0;
        info->endless += !l->ends;
    }
    info->longest = longest(&t->lessons);
    info->bytes = bytes_of_numbers(t) + trainee_bytes(t->t, info->longest, &info->recomputed);
}

bool gyr_tune_get_example(const gyr_tune *t, size_t index, gyr_tune_example *x) {
    if (index >= t->lessons.n) return false;
    const struct lesson *l = &t->lessons.items[index];
    *x = (gyr_tune_example){.line = l->line,
                            .ids = l->ids,
                            .weight = l->weight,
                            .count = l->n,
                            .learned = l->learned,
                            .cut = l->cut,
                            .other = index % t->lessons.each != 0};
    return true;
}
