// Quantized models: every type, what each tensor gets, and what goes wrong; through the public interface where it can
// be.
#include "format/checkpoint.h"
#include "golden.h"
#include "model/mixture.h"

#include <dirent.h>

static gyr_error err;
static char folder[] = "/tmp/gyr-quantize-XXXXXX", file[64];

static gyr_status quantize_to(const char *input, const char *type, bool requantize) {
    gyr_quantize_options o = {.input = input, .output = file, .type = type, .requantize = requantize, .threads = 2};
    return gyr_quantize(&o, &err);
}

// The error of a tensor's floats, as a fraction of their size.
static double relative_error(const struct tensor *a, const struct tensor *b) {
    size_t n = (size_t)(a->dim[0] * a->dim[1]);
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    double error = 0, size = 0;
    type_decode(a->type, a->data, 0, n, x);
    type_decode(b->type, b->data, 0, n, y);
    for (size_t i = 0; i < n; i++) {
        error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        size += (double)x[i] * (double)x[i];
    }
    free(x);
    free(y);
    return sqrt(error / size);
}

static double most_for(enum type type) {
    static const double most[TYPE_LIMIT] = {
        [TYPE_F16] = 0.0005, [TYPE_BF16] = 0.003,  [TYPE_Q4_0] = 0.1,    [TYPE_Q4_1] = 0.09,   [TYPE_Q5_0] = 0.05,
        [TYPE_Q5_1] = 0.045, [TYPE_Q8_0] = 0.007,  [TYPE_Q2_K] = 0.28,   [TYPE_Q3_K] = 0.155,  [TYPE_Q4_K] = 0.075,
        [TYPE_Q5_K] = 0.037, [TYPE_Q6_K] = 0.0185, [TYPE_IQ4_NL] = 0.08, [TYPE_IQ4_XS] = 0.08, [TYPE_MXFP4] = 0.13};
    return most[type];
}

static void check_tensors(const char *original, const char *type) {
    struct checkpoint *a = checkpoint_open(original, &err), *b = checkpoint_open(file, &err);
    REQUIRE(a && b);
    CHECK_INT(b->n_tensors, a->n_tensors);
    for (size_t i = 0; i < a->n_tensors && i < b->n_tensors; i++) {
        const struct tensor *x = &a->tensors[i], *y = &b->tensors[i];
        CHECK(x->name.size == y->name.size && !memcmp(x->name.data, y->name.data, x->name.size));
        CHECK(!memcmp(x->dim, y->dim, sizeof x->dim) && x->n_dims == y->n_dims);
        if (x->n_dims == 1) CHECK_INT(y->type, TYPE_F32);
        double error = relative_error(x, y), most = x->n_dims == 1 ? 0 : most_for(y->type);
        if (!(error <= most))
            printf("%s, %.*s: error %g in %s\n", type, (int)x->name.size, x->name.data, error,
                   type_info(y->type)->name);
        CHECK(error <= most);
    }
    checkpoint_close(a);
    checkpoint_close(b);
}

static void check_keys(const char *original, const char *type) {
    struct checkpoint *a = checkpoint_open(original, &err), *b = checkpoint_open(file, &err);
    struct text key;
    const struct value *v;
    uint64_t file_type = 99, version = 99;
    REQUIRE(a && b);
    CHECK(checkpoint_uint(b, "general.file_type", 0, 99, &file_type, &err));
    CHECK(checkpoint_uint(b, "general.quantization_version", 0, 99, &version, &err));
    CHECK_INT(file_type, mixture_by_name(type)->file_type);
    CHECK_INT(version, 2);
    for (size_t i = 0; checkpoint_key(a, i, &key, &v); i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)key.size, key.data);
        const struct value *kept = checkpoint_value(b, name);
        if (!strncmp(name, "split.", 6)) {
            CHECK(!kept);
        } else if (strcmp(name, "general.file_type") && strcmp(name, "general.quantization_version")) {
            CHECK(kept && kept->kind == v->kind && kept->stored == v->stored);
            CHECK(kept && (v->kind != VALUE_ARRAY || kept->array.n == v->array.n));
            CHECK(kept && (v->kind != VALUE_UINT || kept->u == v->u));
        }
    }
    checkpoint_close(a);
    checkpoint_close(b);
}

static void check_runs(void) {
    gyr_model *m = gyr_model_open(file, NULL, &err);
    if (!m) printf("  %s\n", err.message);
    REQUIRE(m);
    gyr_session *s = gyr_session_new(m, NULL, &err);
    int32_t prompt[] = {1, 2, 3};
    gyr_generate_stats stats;
    gyr_generate_options generate = {.max_tokens = 2, .ignore_end = true};
    CHECK_INT(gyr_generate(s, prompt, 3, &generate, &stats, &err), GYR_OK);
    CHECK_INT(stats.answer_tokens, 2);
    gyr_session_free(s);
    gyr_model_close(m);
}

static void every_type(void) {
    static const char *const kinds[] = {"40b/model.gguf", "7b/model-00001-of-00002.gguf", "11b/model.gguf",
                                        "rw/model.gguf"};
    const char *type;
    for (int k = 0; k < 4; k++) {
        char path[512];
        snprintf(path, sizeof path, "%s", golden_path(kinds[k]));
        for (size_t i = 0; (type = gyr_quantize_types(i)); i++) {
            if (k && i % 3 != (size_t)k - 1) continue; // a third of them for the other kinds
            gyr_status status = quantize_to(path, type, false);
            if (status) printf("%s, %s: %s\n", kinds[k], type, err.message);
            CHECK_INT(status, GYR_OK);
            check_tensors(path, type);
            check_keys(path, type);
            check_runs();
            unlink(file);
        }
    }
}

// What llama.cpp's quantizer gives (measured with its llama_model_quantize on models of these shapes).
static void mixtures_are_those_of_llama_cpp(void) {
    static const struct mixture_facts facts[] = {{true, false, 36, 8}, {false, false, 35, 2}, {false, true, 20, 8}};
    static const struct {
        const char *mixture, *tensor;
        uint64_t cols;
        enum type type[3]; // by facts
    } cases[] = {
        {"q4_k_m", "output.weight", 256, {TYPE_Q8_0, TYPE_Q6_K, TYPE_Q6_K}},
        {"q4_k_m", "token_embd.weight", 256, {TYPE_Q4_K, TYPE_Q4_K, TYPE_Q6_K}},
        {"q4_k_m", "blk.0.attn_qkv.weight", 256, {TYPE_Q6_K, TYPE_Q6_K, TYPE_Q6_K}},
        {"q4_k_m", "blk.5.attn_v.weight", 256, {TYPE_Q4_K, TYPE_Q4_K, TYPE_Q4_K}},
        {"q4_k_m", "blk.6.attn_v.weight", 256, {TYPE_Q6_K, TYPE_Q6_K, TYPE_Q4_K}},
        {"q4_k_m", "blk.1.ffn_down.weight", 256, {TYPE_Q6_K, TYPE_Q6_K, TYPE_Q6_K}},
        {"q4_k_m", "blk.3.ffn_down.weight", 256, {TYPE_Q5_K, TYPE_Q6_K, TYPE_Q4_K}},
        {"q4_k_m", "blk.29.ffn_down.weight", 256, {TYPE_Q4_K, TYPE_Q4_K, TYPE_Q6_K}},
        {"q4_k_m", "blk.30.ffn_down.weight", 256, {TYPE_Q5_K, TYPE_Q6_K, TYPE_Q6_K}},
        {"q4_k_m", "blk.0.attn_norm.weight", 256, {TYPE_F32, TYPE_F32, TYPE_F32}},
        {"q4_k_s", "blk.3.attn_v.weight", 256, {TYPE_Q5_K, TYPE_Q5_K, TYPE_Q5_K}},
        {"q4_k_s", "blk.1.ffn_down.weight", 256, {TYPE_Q4_K, TYPE_Q5_K, TYPE_Q5_K}},
        {"q2_k", "blk.7.attn_v.weight", 256, {TYPE_Q4_K, TYPE_Q3_K, TYPE_Q4_K}},
        {"q2_k", "blk.7.attn_output.weight", 256, {TYPE_Q2_K, TYPE_Q3_K, TYPE_Q3_K}},
        {"q3_k_m", "blk.2.attn_v.weight", 256, {TYPE_Q4_K, TYPE_Q4_K, TYPE_Q4_K}},
        {"q3_k_m", "blk.4.ffn_down.weight", 256, {TYPE_Q3_K, TYPE_Q4_K, TYPE_Q4_K}},
        {"q3_k_l", "blk.4.attn_output.weight", 256, {TYPE_Q4_K, TYPE_Q5_K, TYPE_Q5_K}},
        {"q5_k_m", "blk.9.ffn_up.weight", 256, {TYPE_Q5_K, TYPE_Q5_K, TYPE_Q5_K}},
        {"iq4_xs", "blk.9.attn_v.weight", 256, {TYPE_Q5_K, TYPE_IQ4_XS, TYPE_Q5_K}},
        {"iq4_xs", "blk.1.ffn_down.weight", 256, {TYPE_Q5_K, TYPE_Q5_K, TYPE_Q5_K}},
        {"q4_0", "output.weight", 256, {TYPE_Q8_0, TYPE_Q6_K, TYPE_Q6_K}},
        {"q4_k_m", "output.weight", 96, {TYPE_Q8_0, TYPE_Q8_0, TYPE_Q8_0}},
        {"q4_k_s", "blk.9.ffn_up.weight", 96, {TYPE_Q5_0, TYPE_Q5_0, TYPE_Q5_0}},
        {"iq4_xs", "blk.9.ffn_up.weight", 96, {TYPE_IQ4_NL, TYPE_IQ4_NL, TYPE_IQ4_NL}},
        {"q8_0", "blk.0.ssm_conv1d.weight", 4, {TYPE_F32, TYPE_F32, TYPE_F32}},
        {"q8_0", "blk.9.ffn_up.weight", 72, {TYPE_F16, TYPE_F16, TYPE_F16}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool vector = strstr(cases[i].tensor, "norm"), kept = vector || strstr(cases[i].tensor, "conv1d");
        struct tensor t = {.name = {cases[i].tensor, strlen(cases[i].tensor)},
                           .n_dims = vector ? 1 : 2,
                           .dim = {cases[i].cols, vector ? 1 : 64, 1, 1}};
        const struct mixture *m = mixture_by_name(cases[i].mixture);
        REQUIRE(m);
        for (int k = 0; k < 3; k++) {
            enum type got = mixture_type(m, &facts[k], &t, false);
            if (got != cases[i].type[k])
                printf("%s %s, model %d: %s\n", cases[i].mixture, cases[i].tensor, k, type_info(got)->name);
            CHECK_INT(got, cases[i].type[k]);
        }
        if (!kept) CHECK_INT(mixture_type(m, &facts[1], &t, true), type_fitting(m->type, cases[i].cols));
    }
}

// The poet's matrices have 256 columns: the K types proper.
static void poet_as(const char *type, const char *types) {
    char poet[512];
    snprintf(poet, sizeof poet, "%s/models/poet.gguf", getenv("GYR_SOURCE"));
    CHECK_INT(quantize_to(poet, type, true), GYR_OK);
    check_tensors(poet, type);
    check_keys(poet, type);
    check_runs();
    gyr_model *m = gyr_model_open(file, NULL, &err);
    gyr_model_info info;
    REQUIRE(m);
    gyr_model_get_info(m, &info);
    CHECK_STR(info.types, types);
    gyr_model_close(m);
    unlink(file);
}

static void poet_in_k_types(void) {
    poet_as("q4_k_m", "q4_k q8_0 q5_k q6_k f32");
    poet_as("q2_k", "q8_0 q3_k q2_k q4_k f32");
}

// The same bytes with any number of threads.
static void threads_change_nothing(void) {
    char path[512], *data[2] = {NULL, NULL};
    long size[2] = {0, 0};
    snprintf(path, sizeof path, "%s", golden_path("40b/model.gguf"));
    for (int i = 0; i < 2; i++) {
        gyr_quantize_options o = {.input = path, .output = file, .type = "q4_0", .threads = i ? 5 : 1};
        CHECK_INT(gyr_quantize(&o, &err), GYR_OK);
        FILE *f = fopen(file, "rb");
        REQUIRE(f && !fseek(f, 0, SEEK_END) && (size[i] = ftell(f)) > 0);
        rewind(f);
        data[i] = malloc((size_t)size[i]);
        CHECK_INT(fread(data[i], 1, (size_t)size[i], f), size[i]);
        fclose(f);
        unlink(file);
    }
    CHECK(size[0] == size[1] && !memcmp(data[0], data[1], (size_t)size[0]));
    free(data[0]);
    free(data[1]);
}

static bool at_most_half(void *user, double fraction) {
    *(double *)user = fraction;
    return fraction < 0.5;
}

static int files_left(void) {
    int files = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) files += *e->d_name != '.';
    if (d) closedir(d);
    return files;
}

static void stopped_leaves_nothing(void) {
    double seen = 0;
    gyr_quantize_options o = {.input = golden_path("40b/model.gguf"),
                              .output = file,
                              .type = "q4_0",
                              .progress = at_most_half,
                              .user = &seen};
    CHECK_INT(gyr_quantize(&o, &err), GYR_CANCELLED);
    CHECK(seen >= 0.5 && seen < 1);
    CHECK_INT(files_left(), 0);
}

#define REFUSED(status, ...)                                                                                           \
    do {                                                                                                               \
        char said_[600];                                                                                               \
        snprintf(said_, sizeof said_, __VA_ARGS__);                                                                    \
        CHECK_INT(gyr_quantize(&o, &err), status);                                                                     \
        CHECK_STR(err.message, said_);                                                                                 \
    } while (0)

static void mistakes_are_named(void) {
    char path[512];
    snprintf(path, sizeof path, "%s", golden_path("40b/model.gguf"));
    gyr_quantize_options o = {.input = path, .output = file, .type = "q9"};
    CHECK_INT(gyr_quantize(&o, &err), GYR_USAGE);
    CHECK(strstr(err.message, "type 'q9' is not one gyr knows; it knows: q2_k, q3_k_s"));
    o.type = "q8_0";
    o.output = path;
    REFUSED(GYR_USAGE, "%s: is the input itself; choose another name to write to", path);
    o.output = "/dev/full";
    REFUSED(GYR_IO, "/dev/full: No space left on device; free some space or write elsewhere");
    snprintf(path, sizeof path, "%s", golden_path("7b/model-00001-of-00002.gguf"));
    char second[512];
    snprintf(second, sizeof second, "%s", golden_path("7b/model-00002-of-00002.gguf"));
    o.output = second;
    REFUSED(GYR_USAGE, "%s: is the input itself; choose another name to write to", second);
    snprintf(path, sizeof path, "%s", golden_path("40b/hf"));
    o.output = file;
    REFUSED(GYR_UNSUPPORTED, "%s: is a Hugging Face folder; gyr convert --type quantizes it", path);
    snprintf(path, sizeof path, "%s/models/poet.gguf", getenv("GYR_SOURCE"));
    o.type = "q4_0";
    CHECK_INT(gyr_quantize(&o, &err), GYR_USAGE);
    CHECK(strstr(err.message, "is quantized already (q8_0); take the model as it was before, or --requantize"));
    CHECK_INT(gyr_quantize(&(gyr_quantize_options){0}, &err), GYR_USAGE);
    CHECK_INT(files_left(), 0);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    snprintf(file, sizeof file, "%s/m.gguf", folder);
    RUN(every_type);
    RUN(mixtures_are_those_of_llama_cpp);
    RUN(poet_in_k_types);
    RUN(threads_change_nothing);
    RUN(stopped_leaves_nothing);
    RUN(mistakes_are_named);
    rmdir(folder);
    return test_end();
}
