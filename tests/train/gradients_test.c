// The loss of a text and its gradients by an adapter's numbers, through whole models of every shape that can be
// trained, against PyTorch's autograd (tools/goldens/gradients.py): within 2e-4 of the largest of each matrix. And the
// same bytes on any number of threads.
#include "../model/drawn.h"
#include "format/checkpoint.h"
#include "train/trainee.h"

static char folder[] = "/tmp/gyr-gradients-XXXXXX";
static struct drawn base, adapter_of;

enum { MOST = 200000 };
static float wanted[MOST], numbers[MOST], gradients[MOST], again[MOST];

// A model bound, and what is trained of it.
struct bench {
    struct checkpoint *c;
    struct device *d;
    struct model *m;
    struct trainee *t;
    gyr_error e;
};

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static bool open_bench(struct bench *b, const char *path, unsigned threads) {
    *b = (struct bench){0};
    b->c = checkpoint_open(path, &b->e);
    b->d = b->c ? device_cpu(1, NULL, &b->e) : NULL;
    b->m = b->d ? model_new(b->c, b->d, &b->e) : NULL;
    b->t = b->m ? trainee_new(b->m, threads, &b->e) : NULL;
    if (!b->t) printf("  %s\n", b->e.message);
    return b->t;
}

static void close_bench(struct bench *b) {
    trainee_free(b->t);
    model_free(b->m);
    if (b->d) b->d->ops->close(b->d);
    checkpoint_close(b->c);
}

// The slot that a module of PEFT is, and its layer.
static enum slot slot_of(const char *name, uint32_t *layer) {
    static const struct {
        const char *word;
        enum slot slot;
    } words[] = {{"q_proj.", SLOT_Q},         {"k_proj.", SLOT_K},           {"v_proj.", SLOT_V},
                 {"o_proj.", SLOT_OUT},       {"gate_proj.", SLOT_GATE},     {"gate_up_proj.", SLOT_GATE_UP},
                 {"qkv_proj.", SLOT_QKV},     {"down_proj.", SLOT_DOWN},     {"query_key_value.", SLOT_QKV},
                 {"dense_h_to_4h.", SLOT_UP}, {"dense_4h_to_h.", SLOT_DOWN}, {"dense.", SLOT_OUT},
                 {"up_proj.", SLOT_UP}};
    const char *number = strstr(name, "layers.") + strlen("layers."), *at = strchr(number, '.');
    *layer = (uint32_t)strtoul(number, NULL, 10);
    at = strchr(at + 1, '.') + 1; // behind "self_attn." and the like
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strncmp(at, words[i].word, strlen(words[i].word))) return words[i].slot;
    abort();
}

static const struct drawn_tensor *tensor_of(const char *name) {
    for (size_t i = 0; i < adapter_of.n_tensors; i++)
        if (!adapter_of.tensor[i].gguf && !strcmp(adapter_of.tensor[i].name, name)) return &adapter_of.tensor[i];
    return NULL;
}

// Gives the trainee the adapter's pairs.
static void adapt(struct bench *b, float scale) {
    for (size_t i = 0; i < adapter_of.n_tensors; i++) {
        const struct drawn_tensor *t = &adapter_of.tensor[i], *other;
        char name[160];
        uint32_t layer;
        const char *end = strstr(t->name, "lora_A");
        if (t->gguf || !end) continue;
        snprintf(name, sizeof name, "%.*slora_B.weight", (int)(end - t->name), t->name);
        enum slot slot = slot_of(t->name, &layer);
        CHECK(trainee_adapt(b->t, layer, slot, t->dim[0], scale));
        const struct trained *p = trainee_pair(b->t, layer, slot);
        REQUIRE((other = tensor_of(name)) && trainee_numbers(b->t) <= MOST);
        memcpy(numbers + p->a, t->data, t->n * sizeof *numbers);
        memcpy(numbers + p->b, other->data, other->n * sizeof *numbers);
    }
}

static bool example(struct bench *b, float *into, double *loss) {
    float weight[MAX_DRAWN];
    for (int i = 0; i < base.text_n; i++) weight[i] = i % 3 != 0;
    memset(into, 0, MOST * sizeof *into);
    struct told told = {0};
    bool ok = trainee_example(b->t, numbers, base.text, weight, (size_t)base.text_n, 0.01f, &told, into, &b->e);
    *loss = told.loss;
    if (!ok) printf("  %s\n", b->e.message);
    return ok;
}

// One matrix of the golden with ours.
static void compare(const struct bench *b, const char *name, const float *want, size_t n) {
    uint32_t layer;
    const struct trained *p = trainee_pair(b->t, layer = 0, SLOT_Q);
    enum slot slot = slot_of(name, &layer);
    p = trainee_pair(b->t, layer, slot);
    const float *got = gradients + (strstr(name, "lora_A") ? p->a : p->b);
    float most = 0, far = 0;
    for (size_t i = 0; i < n; i++) {
        float d = fabsf(got[i] - want[i]);
        most = fabsf(want[i]) > most ? fabsf(want[i]) : most;
        far = d > far || isnan(d) ? d : far;
    }
    if (!(far <= 2e-4f * most)) printf("  %s: farthest %.2g of %.2g\n", name, (double)far, (double)most);
    CHECK(most > 0 && far <= 2e-4f * most);
}

static void against_autograd(const struct bench *b, const char *name, double loss) {
    char path[96], array[160];
    snprintf(path, sizeof path, "train/%s.bin", name);
    FILE *f = fopen(test_data(path), "rb");
    size_t all = f ? fread(wanted, sizeof *wanted, MOST, f) : 0, at = 1, n;
    if (f) fclose(f);
    REQUIRE(all > 1);
    CHECK(fabs(loss - (double)wanted[0]) < 1e-4 * (double)wanted[0]);
    snprintf(path, sizeof path, "train/%s.txt", name);
    f = fopen(test_data(path), "r");
    REQUIRE(f && fscanf(f, "loss %zu", &n) == 1);
    size_t arrays = 0;
    for (; fscanf(f, "%159s %zu", array, &n) == 2; at += n, arrays++) compare(b, array, wanted + at, n);
    fclose(f);
    CHECK(at == all && arrays * 2 >= adapter_of.n_tensors / 2);
}

static void check(const char *name, float scale) {
    char golden[96];
    struct bench b, threads;
    double loss = 0, other = 0;
    snprintf(golden, sizeof golden, "../adapters/%s", name);
    REQUIRE(drawn_load(&base, name) && drawn_load(&adapter_of, golden) &&
            drawn_write_text(file_of("config.json"), base.config) &&
            drawn_write_safetensors(&base, file_of("model.safetensors")));
    REQUIRE(open_bench(&b, folder, 1) && open_bench(&threads, folder, 3));
    adapt(&b, scale);
    adapt(&threads, scale);
    REQUIRE(example(&b, gradients, &loss) && example(&threads, again, &other));
    CHECK(loss == other && !memcmp(gradients, again, sizeof again));
    against_autograd(&b, name, loss);
    close_bench(&b);
    close_bench(&threads);
    drawn_free(&base);
    drawn_free(&adapter_of);
}

static void serial_and_gated(void) { check("llama", 0.5f); }
static void fused_matrices(void) { check("phi3", 0.5f); }
static void parallel_with_layer_norms(void) { check("gpt-neox", 2.0f / 3); }

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
    } tries[] = {{"qwen3", "norms of queries and keys"},
                 {"mixtral", "experts"},
                 {"mamba", "states"},
                 {"gpt2", "more than embeddings"}};
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
    RUN(either_format);
    RUN(what_has_no_gradient_is_named);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
