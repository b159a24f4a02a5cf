// Small models whose folders are quantized: FP8 in blocks, 4 bits of compressed-tensors with and without zero points,
// AWQ. They give what the folder of their weights in float gives, and so does the GGUF file made of them.
#include "base/buf.h"
#include "drawn.h"
#include "format/checkpoint.h"

#include <stdlib.h>
#include <unistd.h>

enum scheme { FP8, SYMMETRIC, ASYMMETRIC, AWQ, SCHEMES };

static const char *const configs[SCHEMES] = {
    "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}",
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"}",
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", \"config_groups\": {\"group_0\": "
    "{\"weights\": {\"num_bits\": 4, \"type\": \"int\", \"symmetric\": false}}}}",
    "{\"quant_method\": \"awq\", \"bits\": 4, \"version\": \"gemm\"}"};

static char folder[] = "/tmp/gyr-packed-XXXXXX";
static gyr_error err;
static struct drawn d;
static uint64_t state = 1;

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static uint8_t random_byte(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(state >> 56);
}

struct image {
    struct buf header, data;
};

static void put(struct image *m, const char *name, const char *end, const char *dtype, const uint64_t *shape,
                int n_dims, const void *data, size_t bytes) {
    buf_printf(&m->header, "%s\"%s%s\": {\"dtype\": \"%s\", \"shape\": [", m->header.size ? ", " : "{", name, end,
               dtype);
    for (int i = 0; i < n_dims; i++) buf_printf(&m->header, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    buf_printf(&m->header, "], \"data_offsets\": [%zu, %zu]}", m->data.size, m->data.size + bytes);
    if (data)
        buf_append(&m->data, data, bytes);
    else
        for (size_t i = 0; i < bytes; i++) {
            char b = (char)random_byte();
            buf_append(&m->data, &b, 1);
        }
}

static bool write_image(struct image *m, const char *path) {
    FILE *f = fopen(path, "wb");
    buf_printf(&m->header, "}");
    uint64_t n = m->header.size;
    bool ok = f && fwrite(&n, 8, 1, f) && fwrite(m->header.data, n, 1, f) && fwrite(m->data.data, m->data.size, 1, f);
    if (f) fclose(f);
    buf_free(&m->header);
    buf_free(&m->data);
    return ok;
}

// Halves from 0.01 to 0.02, which are no powers of two.
static void put_scales(struct image *m, const char *name, const char *end, uint64_t rows, uint64_t cols) {
    uint16_t scale[1 << 12];
    for (uint64_t i = 0; i < rows * cols; i++) scale[i] = (uint16_t)(0x211f + (random_byte() << 2));
    put(m, name, end, "F16", (const uint64_t[]){rows, cols}, 2, scale, (size_t)(rows * cols * 2));
}

static void put_fp8(struct image *m, const char *stem, uint64_t rows, uint64_t cols) {
    size_t at = m->data.size;
    put(m, stem, ".weight", "F8_E4M3", (const uint64_t[]){rows, cols}, 2, NULL, (size_t)(rows * cols));
    for (size_t i = at; i < m->data.size; i++) { // from a quarter to 4
        uint8_t b = (uint8_t)m->data.data[i];
        m->data.data[i] = (char)((b & 0x87) | (5 + (b >> 3 & 3)) << 3);
    }
    put_scales(m, stem, ".weight_scale_inv", (rows + 127) / 128, (cols + 127) / 128);
}

static void put_codes(struct image *m, enum scheme s, const char *stem, uint64_t rows, uint64_t cols) {
    uint64_t groups = cols % 32 ? 1 : cols / 32, words = rows * cols / 8;
    if (s == FP8) {
        put_fp8(m, stem, rows, cols);
    } else if (s == AWQ) {
        put(m, stem, ".qweight", "I32", (const uint64_t[]){cols, rows / 8}, 2, NULL, (size_t)(4 * words));
        put(m, stem, ".qzeros", "I32", (const uint64_t[]){groups, rows / 8}, 2, NULL, (size_t)(groups * rows / 2));
        put_scales(m, stem, ".scales", groups, rows);
    } else {
        put(m, stem, ".weight_packed", "I32", (const uint64_t[]){rows, cols / 8}, 2, NULL, (size_t)(4 * words));
        put_scales(m, stem, ".weight_scale", rows, groups);
        if (s == ASYMMETRIC)
            put(m, stem, ".weight_zero_point", "I32", (const uint64_t[]){rows / 8, groups}, 2, NULL,
                (size_t)(groups * rows / 2));
    }
}

static bool write_config(const char *scheme) {
    struct buf b = {0};
    buf_append(&b, d.config, strrchr(d.config, '}') - d.config);
    buf_printf(&b, "%s%s}", scheme ? ", \"quantization_config\": " : "", scheme ? scheme : "");
    char *text = buf_take(&b);
    bool ok = text && drawn_write_text(file_of("config.json"), text);
    free(text);
    return ok;
}

// Whether a quantizer takes a tensor: the linear layers of the decoder, whatever a family calls them.
static bool is_linear(const struct drawn_tensor *t) {
    static const char *const ends[] = {"_proj",
                                       ".wqkv",
                                       ".wo",
                                       ".w1",
                                       ".w2",
                                       ".w3",
                                       ".W_pack",
                                       ".dense_h_to_4h",
                                       ".dense_4h_to_h",
                                       ".in_proj_qkvz",
                                       ".dense",
                                       ".query_key_value"};
    size_t size = strlen(t->name), n = strlen(".weight");
    if (t->n_dims != 2 || size < n || strcmp(t->name + size - n, ".weight") || t->dim[0] % 8 || t->dim[1] % 8)
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (size > n + end && !memcmp(t->name + size - n - end, ends[i], end)) return true;
    }
    return false;
}

// The folder with its matrices quantized; how many there are.
static int write_packed(enum scheme s) {
    struct image m = {0};
    int n = 0;
    for (size_t i = 0; i < d.n_tensors; i++) {
        const struct drawn_tensor *t = &d.tensor[i];
        size_t size = strlen(t->name);
        if (t->gguf) continue;
        if (is_linear(t)) {
            char stem[128];
            snprintf(stem, sizeof stem, "%.*s", (int)(size - strlen(".weight")), t->name);
            put_codes(&m, s, stem, t->dim[0], t->dim[1]);
            n++;
        } else {
            put(&m, t->name, "", "F32", t->dim, t->n_dims, t->data, t->n * sizeof *t->data);
        }
    }
    return write_config(configs[s]) && write_image(&m, file_of("model.safetensors")) ? n : 0;
}

// The same with floats in their place.
static bool write_whole(void) {
    struct checkpoint *c = checkpoint_open(folder, &err);
    struct image m = {0};
    for (size_t i = 0; c && i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        size_t n = (size_t)(t->dim[0] * t->dim[1] * t->dim[2]);
        float *x = malloc(n * sizeof *x);
        uint64_t shape[MAX_DIMS];
        char name[128];
        for (int k = 0; k < t->n_dims; k++) shape[k] = t->dim[t->n_dims - 1 - k];
        snprintf(name, sizeof name, "%.*s", (int)t->name.size, t->name.data);
        tensor_decode(t, 0, n, x);
        put(&m, name, "", "F32", shape, t->n_dims, x, n * sizeof *x);
        free(x);
    }
    checkpoint_close(c);
    return c && write_config(NULL) && write_image(&m, file_of("model.safetensors"));
}

static float *logits_of(const char *path) {
    gyr_model *m = gyr_model_open(path, NULL, &err);
    gyr_session *s = m ? gyr_session_new(m, NULL, &err) : NULL;
    float *logits = malloc((size_t)d.text_n * (size_t)d.vocab * sizeof *logits);
    bool ok = s && !gyr_session_feed(s, d.text, (size_t)d.text_n, logits, &err);
    gyr_session_free(s);
    gyr_model_close(m);
    if (ok) return logits;
    printf("%s\n", err.message);
    free(logits);
    return NULL;
}

static double distance(const float *a, const float *b, size_t n) {
    double miss = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        miss += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(miss / size);
}

// `same`: GGUF has the weights as the folder has them.
static void check_scheme(const char *family, enum scheme s, int matrices, bool same) {
    size_t n = (size_t)d.text_n * (size_t)d.vocab;
    CHECK_INT(write_packed(s), matrices);
    float *packed = logits_of(folder);
    gyr_convert_options o = {.input = folder, .output = file_of("m.gguf"), .threads = 2};
    gyr_status status = gyr_convert(&o, &err);
    if (status) printf("%s\n", err.message);
    CHECK_INT(status, GYR_OK);
    float *converted = logits_of(o.output);
    CHECK(write_whole());
    float *whole = logits_of(folder);
    REQUIRE(packed && converted && whole);
    double loss = distance(packed, whole, n), moved = distance(converted, packed, n);
    if (!(loss < 0.1)) printf("%s, %d: %g\n", family, (int)s, loss);
    CHECK(s == FP8 ? !memcmp(packed, whole, n * sizeof *whole) : loss < 0.1);
    CHECK(same ? !memcmp(converted, packed, n * sizeof *packed) : moved < 0.1);
    free(packed);
    free(converted);
    free(whole);
}

static void check_family(const char *name, int matrices, bool same) {
    REQUIRE(drawn_load(&d, name));
    for (enum scheme s = FP8; s < SCHEMES; s++) check_scheme(name, s, matrices, same);
    drawn_free(&d);
}

static void one_matrix_each(void) { check_family("llama", 14, true); }
static void experts_with_tensors_of_their_own(void) { check_family("qwen3-moe", 56, true); }
static void heads_in_other_orders(void) { check_family("deepseek-v3", 38, false); }
static void weights_with_multipliers(void) {
    check_family("minicpm", 14, false);
    check_family("falcon-h1", 16, false);
}

// One matrix for queries, keys and values, or for the gate and what it lets through, with each part's rows together or
// with each head's.
static void several_in_one(void) {
    static const struct {
        const char *name;
        int matrices;
    } cases[] = {{"phi3", 8}, {"glm4", 12}, {"internlm2", 10}, {"baichuan", 10}, {"gpt-neox", 8}, {"qwen3-next", 118}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_family(cases[i].name, cases[i].matrices, true);
}

// Matrices that a family's folders have as [in][out] cannot be turned in blocks.
static void blocks_are_not_turned(void) {
    REQUIRE(drawn_load(&d, "gpt2"));
    CHECK(write_packed(SYMMETRIC));
    CHECK(!gyr_model_open(folder, NULL, &err));
    CHECK_INT(err.status, GYR_UNSUPPORTED);
    CHECK(strstr(err.message, "c_proj.weight' is quantized, which gyr does not read there"));
    drawn_free(&d);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(one_matrix_each);
    RUN(experts_with_tensors_of_their_own);
    RUN(heads_in_other_orders);
    RUN(weights_with_multipliers);
    RUN(several_in_one);
    RUN(blocks_are_not_turned);
    unlink(file_of("config.json"));
    unlink(file_of("model.safetensors"));
    unlink(file_of("m.gguf"));
    rmdir(folder);
    return test_end();
}
