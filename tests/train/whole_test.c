// The gradients of a loss by all weights of whole models, through a text of several sequences, against PyTorch's
// autograd (tools/goldens/whole.py): within 1e-4 of the largest of each tensor, and of the length of each. And the same
// bytes on any number of threads.
#include "../model/drawn.h"
#include "format/checkpoint.h"
#include "train/whole.h"

static char folder[] = "/tmp/gyr-whole-XXXXXX";
static struct drawn base;
static float wanted[1 << 16];

struct bench {
    struct checkpoint *c;
    struct device *d;
    struct model *m;
    struct trainee *t;
    struct whole *w;
    float *gradients;
    gyr_error e;
};

static bool open_bench(struct bench *b, unsigned threads) {
    *b = (struct bench){0};
    b->c = checkpoint_open(drawn_file(folder, "model.gguf"), &b->e);
    b->d = b->c ? device_cpu(1, NULL, &b->e) : NULL;
    b->m = b->d ? model_new(b->c, b->d, &b->e) : NULL;
    b->t = b->m ? trainee_new(b->m, threads, &b->e) : NULL;
    b->w = b->t ? whole_new(b->t, &b->e) : NULL;
    b->gradients = b->w ? calloc(b->w->n, sizeof *b->gradients) : NULL;
    return b->gradients;
}

static void close_bench(struct bench *b) {
    free(b->gradients);
    trainee_free(b->t);
    whole_free(b->w);
    model_free(b->m);
    if (b->d) b->d->ops->close(b->d);
    checkpoint_close(b->c);
}

static const size_t starts[] = {0, 20, 45};

static double loss_of(struct bench *b) {
    float weight[MAX_DRAWN];
    struct told told = {0};
    for (int i = 0; i < base.text_n; i++) weight[i] = i % 3 != 0;
    weight[19] = weight[44] = 0;
    b->t->starts = starts;
    b->t->n_starts = 3;
    if (!trainee_example(b->t, b->w->numbers, base.text, weight, (size_t)base.text_n, 0.01f, &told, b->gradients,
                         &b->e))
        printf("  %s\n", b->e.message);
    return told.loss;
}

static const struct whole_part *part_of(const struct bench *b, const char *name) {
    for (size_t i = 0; i < b->c->n_tensors; i++) {
        struct text n = b->c->tensors[i].name;
        if (n.size == strlen(name) && !memcmp(n.data, name, n.size)) return &b->w->parts[i];
    }
    return NULL;
}

// One tensor of the golden; returns how many numbers of it are kept.
static size_t compare(const struct bench *b, const char *name, size_t n, size_t step, double squares,
                      const float *want) {
    const struct whole_part *p = part_of(b, name);
    if (!p) printf("  %s is missing\n", name);
    CHECK(p && p->n == n);
    if (!p || p->n != n) return 0;
    const float *got = b->gradients + p->at;
    double all = 0, most = 0, far = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) all += (double)got[i] * (double)got[i];
    for (size_t i = 0; i < n; i += step, kept++) {
        double d = fabs((double)got[i] - (double)want[kept]);
        most = fmax(most, fabs((double)want[kept]));
        far = d > far || isnan(d) ? d : far;
    }
    bool none = strstr(name, "exp_probs_b") || strstr(name, "layer_output_scale"), // which have no gradient
        ok = (none ? all == 0 : most > 0) && far <= 1e-4 * most &&
             fabs(sqrt(all) - sqrt(squares)) <= 1e-4 * sqrt(squares);
    if (!ok) printf("  %s: farthest %.2g of %.2g, length %.6g, not %.6g\n", name, far, most, sqrt(all), sqrt(squares));
    CHECK(ok);
    return kept;
}

static void against_autograd(const struct bench *b, const char *name, double loss) {
    char path[96], tensor[128];
    size_t n, step, at = 1, tensors = 0;
    double squares;
    snprintf(path, sizeof path, "train/whole-%s.bin", name);
    FILE *f = fopen(test_data(path), "rb");
    size_t all = f ? fread(wanted, sizeof *wanted, sizeof wanted / sizeof *wanted, f) : 0;
    if (f) fclose(f);
    REQUIRE(all > 1);
    CHECK(fabs(loss - (double)wanted[0]) < 1e-5 * (double)wanted[0]);
    snprintf(path, sizeof path, "train/whole-%s.txt", name);
    f = fopen(test_data(path), "r");
    REQUIRE(f && fscanf(f, "%127s %zu %zu %lf", tensor, &n, &step, &squares) == 4);
    for (; fscanf(f, "%127s %zu %zu %lf", tensor, &n, &step, &squares) == 4; tensors++)
        at += compare(b, tensor, n, step, squares, wanted + at);
    fclose(f);
    CHECK(at == all);
    CHECK_INT(tensors + (part_of(b, "rope_freqs.weight") != NULL), b->c->n_tensors); // which is no weight
}

// Sums of integers of 16 bits: the same bytes on any number of threads; and near, as far as models of random numbers
// let it be: with them a choice between experts may fall otherwise.
static void with_integers(const struct bench *floats, const char *name, double loss) {
    struct bench one, three;
    REQUIRE(open_bench(&one, 1) && open_bench(&three, 3) && trainee_shorts(one.t, &one.e) &&
            trainee_shorts(three.t, &three.e));
    double got = loss_of(&one), d = 0, all = 0;
    CHECK(got == loss_of(&three) && !memcmp(one.gradients, three.gradients, one.w->n * sizeof(float)));
    CHECK(got != loss && fabs(got - loss) < 1e-3 * loss);
    for (size_t i = 0; i < one.w->n; i++) {
        double want = (double)floats->gradients[i], is = (double)one.gradients[i];
        d += (is - want) * (is - want), all += want * want;
    }
    if (!(d > 0 && sqrt(d / all) < 0.1)) printf("  %s: integers lead %.2g away\n", name, sqrt(d / all));
    CHECK(d > 0 && sqrt(d / all) < 0.1);
    close_bench(&one);
    close_bench(&three);
}

static void check(const char *name) {
    static const unsigned threads[] = {2, 3, 8};
    struct bench one, more;
    gyr_error e = {0};
    REQUIRE(drawn_load(&base, name) && drawn_write_gguf(&base, drawn_file(folder, "model.gguf"), &e));
    REQUIRE(open_bench(&one, 1));
    double loss = loss_of(&one);
    for (int i = 0; i < 3; i++) {
        REQUIRE(open_bench(&more, threads[i]));
        CHECK(loss == loss_of(&more) && !memcmp(one.gradients, more.gradients, one.w->n * sizeof(float)));
        close_bench(&more);
    }
    against_autograd(&one, name, loss);
    with_integers(&one, name, loss);
    close_bench(&one);
    drawn_free(&base);
}

static void serial_and_gated(void) { check("llama"); }
static void parallel_with_layer_norms_and_biases(void) { check("gpt-neox"); }
static void tied(void) { check("qwen2"); }
static void norms_of_heads(void) { check("qwen3"); }
static void norms_behind_branches_and_caps(void) { check("gemma2"); }
static void experts(void) { check("mixtral"); }
static void learned_positions(void) { check("gpt2"); }
static void a_choice_with_a_shift(void) { check("glm4.5"); }
static void sinks_and_biases_of_experts(void) { check("gpt-oss"); }
static void states_of_channels(void) { check("mamba"), check("falcon-mamba"); }
static void states_of_heads(void) { check("mamba2"), check("mamba2-groups"); }
static void delta_rule(void) { check("qwen3.5"); }
static void latent_attention(void) { check("deepseek-v2"), check("deepseek-v3"); }
static void norms_of_values(void) { check("gemma4"); }
static void norms_without_weights(void) { check("llama4"); }

// What sequences of one example are is what they are alone.
static void sequences_see_nothing_of_one_another(void) {
    struct bench b;
    gyr_error e = {0};
    float weight[MAX_DRAWN], *together;
    struct told all, part;
    double sum = 0;
    REQUIRE(drawn_load(&base, "llama") && drawn_write_gguf(&base, drawn_file(folder, "model.gguf"), &e));
    REQUIRE(open_bench(&b, 2) && (together = malloc(b.w->n * sizeof *together)));
    for (int i = 0; i < base.text_n; i++) weight[i] = i != 19 && i != 44;
    b.t->starts = starts;
    b.t->n_starts = 3;
    CHECK(trainee_example(b.t, b.w->numbers, base.text, weight, (size_t)base.text_n, 1, &all, b.gradients, &e));
    memcpy(together, b.gradients, b.w->n * sizeof *together);
    memset(b.gradients, 0, b.w->n * sizeof *together);
    b.t->n_starts = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t from = starts[i], to = i < 2 ? starts[i + 1] : (size_t)base.text_n;
        CHECK(
            trainee_example(b.t, b.w->numbers, base.text + from, weight + from, to - from, 1, &part, b.gradients, &e));
        sum += part.loss;
    }
    CHECK(fabs(sum - all.loss) < 1e-9 * sum);
    double far = 0, most = 0;
    for (size_t i = 0; i < b.w->n; i++) {
        far = fmax(far, fabs((double)together[i] - (double)b.gradients[i]));
        most = fmax(most, fabs((double)together[i]));
    }
    CHECK(far < 1e-6 * most);
    free(together);
    close_bench(&b);
    drawn_free(&base);
}

static void what_is_not_trained_is_named(void) {
    static const struct {
        const char *family, *why;
    } tries[] = {{"gpt-oss-mxfp4", "is quantized"}, {"falcon-h1", "attention beside states"}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct bench b;
        gyr_error e = {0};
        REQUIRE(drawn_load(&base, tries[i].family) && drawn_write_gguf(&base, drawn_file(folder, "model.gguf"), &e));
        CHECK(!open_bench(&b, 1));
        CHECK_INT(b.e.status, GYR_UNSUPPORTED);
        CHECK(strstr(b.e.message, tries[i].why));
        close_bench(&b);
        drawn_free(&base);
    }
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(serial_and_gated);
    RUN(parallel_with_layer_norms_and_biases);
    RUN(tied);
    RUN(norms_of_heads);
    RUN(norms_behind_branches_and_caps);
    RUN(experts);
    RUN(learned_positions);
    RUN(a_choice_with_a_shift);
    RUN(sinks_and_biases_of_experts);
    RUN(states_of_channels);
    RUN(states_of_heads);
    RUN(delta_rule);
    RUN(latent_attention);
    RUN(norms_of_values);
    RUN(norms_without_weights);
    RUN(sequences_see_nothing_of_one_another);
    RUN(what_is_not_trained_is_named);
    unlink(drawn_file(folder, "model.gguf"));
    rmdir(folder);
    return test_end();
}
