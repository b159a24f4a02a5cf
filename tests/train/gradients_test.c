// The loss of a text and its gradients by an adapter's numbers, through whole models of every shape that can be
// trained, against PyTorch's autograd (tools/goldens/gradients.py): within 1e-4 of the largest of each matrix. And the
// same bytes on any number of threads, on a card, and where layers are computed again on the way back.
#include "../model/drawn.h"
#include "format/checkpoint.h"
#include "train/prefer.h"

static char folder[] = "/tmp/gyr-gradients-XXXXXX";
static struct drawn base, adapter_of;

enum { MOST = 100000 };
static float adapter_scale, wanted[MOST], numbers[MOST], gradients[MOST], again[MOST];

// A model bound, and what is trained of it.
struct bench {
    struct checkpoint *c;
    struct device *d;
    struct model *m;
    struct trainee *t;
    gyr_error e;
};

static const char *file_of(const char *name) { return drawn_file(folder, name); }

// Of a device NULL is the CPU.
static bool open_bench_on(struct bench *b, const char *device, const char *path, unsigned threads) {
    *b = (struct bench){0};
    b->c = checkpoint_open(path, &b->e);
    b->d = !b->c ? NULL : device ? device_open(device, 1, &b->e) : device_cpu(1, NULL, &b->e);
    b->m = b->d ? model_new(b->c, b->d, &b->e) : NULL;
    b->t = b->m ? trainee_new(b->m, threads, &b->e) : NULL;
    if (!b->t) printf("  %s\n", b->e.message);
    return b->t;
}

static bool open_bench(struct bench *b, const char *path, unsigned threads) {
    return open_bench_on(b, NULL, path, threads);
}

// Where the same is computed once more, and the families that are: all, or a third by their letters.
#ifdef TEST_CARD
static const char *other_device(void) { return getenv("GYR_CARD"); }
static bool is_tried(const char *name) { return true; }
#elif defined(TEST_EMULATED)
static const char *other_device(void) { return "simt"; }
static bool is_tried(const char *name) {
    unsigned sum = 0;
    for (; *name; name++) sum += (unsigned char)*name;
    return getenv("SIMT_ALL") || sum % 3 == 0;
}
#else
static const char *other_device(void) { return NULL; }
static bool is_tried(const char *name) { return true; }
#endif

static void close_bench(struct bench *b) {
    trainee_free(b->t);
    model_free(b->m);
    if (b->d) b->d->ops->close(b->d);
    checkpoint_close(b->c);
}

// The slot of a golden's tensor, "0.q.a" or "1.expert2.down.b".
static unsigned slot_of(const char *name, uint32_t *layer) {
    static const char *const words[SLOTS] = {[SLOT_QKV] = "qkv",
                                             [SLOT_Q] = "q",
                                             [SLOT_K] = "k",
                                             [SLOT_V] = "v",
                                             [SLOT_OUT] = "out",
                                             [SLOT_Q_A] = "q_a",
                                             [SLOT_KV_A] = "kv_a",
                                             [SLOT_GATE_UP] = "gate_up",
                                             [SLOT_GATE] = "gate",
                                             [SLOT_UP] = "up",
                                             [SLOT_DOWN] = "down",
                                             [SLOT_SHARED_GATE] = "shared_gate",
                                             [SLOT_SHARED_UP] = "shared_up",
                                             [SLOT_SHARED_DOWN] = "shared_down",
                                             [SLOT_STATE_IN] = "state_in",
                                             [SLOT_STATE_X] = "state_x",
                                             [SLOT_STATE_DT] = "state_dt",
                                             [SLOT_STATE_GATE] = "state_gate",
                                             [SLOT_STATE_ALPHA] = "state_alpha",
                                             [SLOT_STATE_BETA] = "state_beta",
                                             [SLOT_STATE_OUT] = "state_out"};
    static const char *const of_experts[] = {"gate", "up", "down"};
    char word[32];
    unsigned expert;
    if (sscanf(name, "%u.expert%u.%31[a-z]", layer, &expert, word) == 3) {
        for (unsigned i = 0; i < 3; i++)
            if (!strcmp(word, of_experts[i])) return SLOTS + 3 * expert + i;
    } else if (sscanf(name, "%u.%31[a-z_]", layer, word) == 2)
        for (unsigned i = 0; i < SLOTS; i++)
            if (words[i] && !strcmp(word, words[i])) return i;
    printf("  no slot %s\n", name);
    abort();
}

// The golden's adapter; false if there is none.
static bool load_adapter(const char *name, float *scale) {
    static char line[DRAWN_LINE];
    char path[96];
    size_t filled = 0;
    snprintf(path, sizeof path, "train/%s.txt", name);
    FILE *f = fopen(test_data(path), "r");
    bool ok = f && fscanf(f, "scale %f\n", scale) == 1;
    adapter_of = (struct drawn){0};
    while (ok && fgets(line, DRAWN_LINE, f)) {
        line[strcspn(line, "\n")] = 0;
        ok = drawn_line(&adapter_of, line, &filled);
    }
    if (f) fclose(f);
    return ok && adapter_of.n_tensors;
}

// Gives the trainee the adapter's pairs: halves follow each other.
static void adapt(struct bench *b, float scale) {
    for (size_t i = 0; i + 1 < adapter_of.n_tensors; i += 2) {
        const struct drawn_tensor *one = &adapter_of.tensor[i], *two = one + 1;
        uint32_t layer;
        unsigned slot = slot_of(one->name, &layer);
        CHECK(trainee_adapt(b->t, layer, slot, one->dim[0], scale));
        const struct trained *p = trainee_pair(b->t, layer, slot);
        REQUIRE(trainee_numbers(b->t) <= MOST);
        memcpy(numbers + p->a, one->data, one->n * sizeof *numbers);
        memcpy(numbers + p->b, two->data, two->n * sizeof *numbers);
    }
}

// into NULL: the loss alone.
static bool example(struct bench *b, float *into, double *loss) {
    float weight[MAX_DRAWN];
    for (int i = 0; i < base.text_n; i++) weight[i] = i % 3 != 0;
    if (into) memset(into, 0, MOST * sizeof *into);
    struct told told = {0};
    bool ok = trainee_example(b->t, numbers, base.text, weight, (size_t)base.text_n, 0.01f, &told, into, &b->e);
    *loss = told.loss;
    if (!ok) printf("  %s\n", b->e.message);
    return ok;
}

// One matrix of the golden with ours.
static void compare(const struct bench *b, const struct drawn_tensor *t, const float *want) {
    uint32_t layer;
    const struct trained *p = trainee_pair(b->t, layer = 0, SLOT_Q);
    unsigned slot = slot_of(t->name, &layer);
    p = trainee_pair(b->t, layer, slot);
    const float *got = gradients + (t->name[strlen(t->name) - 1] == 'a' ? p->a : p->b);
    float most = 0, far = 0;
    for (size_t i = 0; i < t->n; i++) {
        float d = fabsf(got[i] - want[i]);
        most = fabsf(want[i]) > most ? fabsf(want[i]) : most;
        far = d > far || isnan(d) ? d : far;
    }
    if (!(far <= 1e-4f * most)) printf("  %s: farthest %.2g of %.2g\n", t->name, (double)far, (double)most);
    CHECK((most > 0 || strstr(t->name, "expert")) && far <= 1e-4f * most); // nobody may have chosen an expert
}

static void against_autograd(const struct bench *b, const char *name, double loss) {
    char path[96];
    snprintf(path, sizeof path, "train/%s.bin", name);
    FILE *f = fopen(test_data(path), "rb");
    size_t all = f ? fread(wanted, sizeof *wanted, MOST, f) : 0, at = 1;
    if (f) fclose(f);
    REQUIRE(all > 1);
    CHECK(fabs(loss - (double)wanted[0]) < 1e-5 * (double)wanted[0]);
    for (size_t i = 0; i < adapter_of.n_tensors && at < all; at += adapter_of.tensor[i++].n)
        compare(b, &adapter_of.tensor[i], wanted + at);
    CHECK(at == all);
}

// How far the second is from the first, of its length.
static double far(const float *want, const float *got) {
    double d = 0, all = 0;
    for (size_t i = 0; i < MOST; i++) {
        d += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        all += (double)want[i] * (double)want[i];
    }
    return sqrt(d / all);
}

// Sums of integers of 16 bits: near, and the same bytes whatever the threads and the memory.
static void with_integers(const char *name, double loss) {
    static float more[MOST];
    struct bench b, threads;
    double one = 0, other = 0;
    float scale = adapter_scale;
    REQUIRE(open_bench(&b, folder, 1) && open_bench(&threads, folder, 3));
    adapt(&b, scale);
    adapt(&threads, scale);
    trainee_bound(threads.t, 1);
    REQUIRE(trainee_shorts(b.t, &b.e) && trainee_shorts(threads.t, &b.e));
    REQUIRE(example(&b, again, &one) && example(&threads, more, &other));
    CHECK(one == other && !memcmp(again, more, sizeof more));
    CHECK(one != loss && fabs(one - loss) < 1e-3 * loss);
    double d = far(gradients, again);
    if (!(d > 0 && d < 0.03)) printf("  %s: integers lead %.2g of the gradient away\n", name, d);
    CHECK(d > 0 && d < 0.03);
    close_bench(&b);
    close_bench(&threads);
}

static void check(const char *name) {
    struct bench b, threads;
    double loss = 0, other = 0;
    float scale = 0;
    REQUIRE(drawn_load(&base, name) && load_adapter(name, &scale) &&
            drawn_write_text(file_of("config.json"), base.config) &&
            drawn_write_safetensors(&base, file_of("model.safetensors")));
    REQUIRE(open_bench(&b, folder, 1) && open_bench_on(&threads, other_device(), folder, 3));
    adapt(&b, scale);
    adapt(&threads, scale);
    trainee_bound(threads.t, 1); // all layers are computed again on the way back
    REQUIRE(example(&b, gradients, &loss) && example(&threads, again, &other));
    CHECK(loss == other && !memcmp(gradients, again, sizeof again));
    against_autograd(&b, name, loss);
    close_bench(&b);
    close_bench(&threads);
    adapter_scale = scale;
    if (!other_device()) with_integers(name, loss);
    drawn_free(&base);
    drawn_free(&adapter_of);
}

static void check_all(const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (is_tried(names[i])) check(names[i]);
}

#define FAMILIES(title, ...)                                                                                           \
    static void title(void) {                                                                                          \
        static const char *const names[] = {__VA_ARGS__};                                                              \
        check_all(names, sizeof names / sizeof *names);                                                                \
    }

FAMILIES(serial_and_gated, "llama")
FAMILIES(fused_matrices, "phi3")
FAMILIES(parallel_with_layer_norms, "gpt-neox", "command-r+")
FAMILIES(norms_of_queries_and_keys, "qwen3", "olmo2", "olmo3")
FAMILIES(norms_around_branches_and_caps, "gemma2", "gemma3", "gemma4")
FAMILIES(multipliers, "granite")
FAMILIES(other_positions, "gpt2", "smollm3")
FAMILIES(experts, "mixtral", "qwen2-moe", "granite-moe", "glm4.5", "gpt-oss", "llama4")

FAMILIES(latent_attention, "deepseek-v2", "deepseek-v3")
FAMILIES(states, "mamba", "falcon-mamba", "mamba2-groups", "qwen3.5")

// Two answers to the first half of the text: its second half, and the same backwards.
static void make_pair(struct lesson pair[2], float *weight) {
    static int32_t other[MAX_DRAWN];
    int n = base.text_n, half = n / 2;
    for (int i = 0; i < n; i++) {
        weight[i] = i >= half - 1 && i < n - 1;
        other[i] = base.text[i < half ? i : half + n - 1 - i];
    }
    pair[0] = (struct lesson){.ids = base.text, .weight = weight, .n = (size_t)n, .base = (double)NAN};
    pair[1] = pair[0];
    pair[1].ids = other;
}

// The loss of a pair, against TRL's formula in PyTorch (tools/goldens/preference.py). Some layers' way forward computed
// again changes no byte.
static void pairs_of_answers(void) {
    struct bench b;
    struct lesson pair[2];
    struct told told, more;
    float scale = 0, weight[MAX_DRAWN];
    REQUIRE(drawn_load(&base, "llama") && load_adapter("llama", &scale) &&
            drawn_write_text(file_of("config.json"), base.config) &&
            drawn_write_safetensors(&base, file_of("model.safetensors")) && open_bench(&b, folder, 2));
    adapt(&b, scale);
    make_pair(pair, weight);
    struct gyr_tune t = {.t = b.t, .m = b.m, .numbers = numbers, .o.beta = 0.05, .adam.n = trainee_numbers(b.t)};
    memset(gradients, 0, sizeof gradients);
    memset(again, 0, sizeof again);
    REQUIRE(prefer(&t, pair, 0.01f, &told, gradients, &b.e));
    FILE *f = fopen(test_data("train/pairs-llama.bin"), "rb");
    size_t all = f ? fread(wanted, sizeof *wanted, MOST, f) : 0, at = 2;
    if (f) fclose(f);
    CHECK(fabs(told.loss - (double)wanted[0]) < 1e-5 * (double)wanted[0]);
    CHECK(fabs(told.margin - (double)wanted[1]) < 1e-5 * fabs((double)wanted[1]));
    for (size_t i = 0; i < adapter_of.n_tensors && at < all; at += adapter_of.tensor[i++].n)
        compare(&b, &adapter_of.tensor[i], wanted + at);
    CHECK(all > 2 && at == all);
    uint32_t layers = 0;
    trainee_bound(b.t, trainee_bytes(b.t, (size_t)base.text_n, &layers) - 4);
    CHECK_INT(layers, 0);
    trainee_bytes(b.t, (size_t)base.text_n, &layers);
    CHECK(layers > 0);
    REQUIRE(prefer(&t, pair, 0.01f, &more, again, &b.e));
    CHECK(told.loss == more.loss && !memcmp(gradients, again, sizeof again));
    close_bench(&b);
    drawn_free(&base);
    drawn_free(&adapter_of);
}

// Without an adapter the loss is that of the logits which transformers gives.
static double loss_of_logits(void) {
    double loss = 0;
    for (int i = 0; i + 1 < base.text_n; i++) {
        const float *row = base.logits + i * base.vocab;
        double sum = 0;
        for (int k = 0; k < base.vocab; k++) sum += exp((double)row[k]);
        if (i % 3) loss += log(sum) - (double)row[base.text[i + 1]];
    }
    return loss;
}

static void other_models_lose_what_they_should(void) {
    static const char *const names[] = {
        "baichuan-13b", "baichuan2",  "cohere2",     "exaone4",  "gemma", "glm4",
        "internlm2",    "minicpm",    "mistral",     "nemotron", "olmoe", "deepseek-v2-lite",
        "kimi-k2",      "qwen3-next", "qwen3.5-moe", "mamba2",   "phi2",  "qwen2-yarn",
        "qwen3-moe",    "starcoder2", "stablelm-12b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct bench b;
        double loss = 0, want;
        REQUIRE(drawn_load(&base, names[i]) && drawn_write_text(file_of("config.json"), base.config) &&
                drawn_write_safetensors(&base, file_of("model.safetensors")) && open_bench(&b, folder, 1) &&
                example(&b, NULL, &loss));
        want = loss_of_logits();
        if (!(fabs(loss - want) < 1e-5 * want)) printf("  %s: %.7g, not %.7g\n", names[i], loss, want);
        CHECK(fabs(loss - want) < 1e-5 * want);
        close_bench(&b);
        drawn_free(&base);
    }
}

// From a GGUF file, whose pairs are neighbours and whose rows lie otherwise: the same loss.
static void either_format(void) {
    struct bench hf, gguf;
    double one = 0, two = 1;
    gyr_error e = {0};
    REQUIRE(drawn_load(&base, "llama") && drawn_write_text(file_of("config.json"), base.config) &&
            drawn_write_safetensors(&base, file_of("model.safetensors")) &&
            drawn_write_gguf(&base, file_of("model.gguf"), &e));
    REQUIRE(open_bench(&hf, folder, 1) && open_bench(&gguf, file_of("model.gguf"), 1));
    REQUIRE(example(&hf, gradients, &one) && example(&gguf, again, &two));
    CHECK(fabs(one - two) < 1e-5 * one);
    close_bench(&hf);
    close_bench(&gguf);
    drawn_free(&base);
}

static void what_has_no_gradient_is_named(void) {
    static const struct {
        const char *family, *why;
    } tries[] = {{"falcon-h1", "attention beside states"},
                 {"kimi-linear", "states whose keys decay by element"},
                 {"deepseek-v3.2", "positions that are chosen"},
                 {"gemma4-moe", "experts beside an MLP"},
                 {"gemma4-e2b", "more than embeddings"}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct bench b = {0};
        REQUIRE(drawn_load(&base, tries[i].family) && drawn_write_gguf(&base, file_of("model.gguf"), &b.e));
        b.c = checkpoint_open(file_of("model.gguf"), &b.e);
        b.d = b.c ? device_cpu(1, NULL, &b.e) : NULL;
        b.m = b.d ? model_new(b.c, b.d, &b.e) : NULL;
        REQUIRE(b.m);
        CHECK(!trainee_new(b.m, 1, &b.e));
        CHECK_INT(b.e.status, GYR_UNSUPPORTED);
        if (!strstr(b.e.message, tries[i].why)) printf("  %s\n", b.e.message);
        CHECK(strstr(b.e.message, tries[i].why));
        close_bench(&b);
        drawn_free(&base);
    }
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(serial_and_gated);
    RUN(fused_matrices);
    RUN(parallel_with_layer_norms);
    RUN(norms_of_queries_and_keys);
    RUN(norms_around_branches_and_caps);
    RUN(multipliers);
    RUN(other_positions);
    RUN(experts);
    RUN(latent_attention);
    RUN(states);
    if (!other_device()) {
        RUN(pairs_of_answers);
        RUN(other_models_lose_what_they_should);
        RUN(either_format);
        RUN(what_has_no_gradient_is_named);
    }
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
