// Folders of quantized weights: what their quantizers make of them (tools/goldens/quantized.py), and what is refused.
#include "image.h"

#include <math.h>
#include <stdlib.h>

static uint64_t hash(const void *data, size_t n) {
    const uint8_t *p = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

// Read in pieces of any size and, from blocks, whole: the same.
static void check_tensor(const struct tensor *t, uint64_t want) {
    size_t n = (size_t)(t->dim[0] * t->dim[1]), bytes = t->bytes;
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    uint8_t *own = malloc(bytes);
    for (size_t i = 0, k; i < n; i += k) {
        k = n - i < 1 + i % 37 ? n - i : 1 + i % 37;
        if (!t->packing) k = n;
        tensor_decode(t, i, k, x + i);
    }
    if (hash(x, n * sizeof *x) != want) printf("%.*s: other values\n", (int)t->name.size, t->name.data);
    CHECK(hash(x, n * sizeof *x) == want);
    if (t->packing) {
        tensor_blocks(t, 0, n, own);
        type_decode(t->type, own, 0, n, y);
        CHECK(!memcmp(x, y, n * sizeof *x));
    }
    free(x);
    free(y);
    free(own);
}

static void decodes_as_the_quantizers(void) {
    char path[512], folder[32], name[32], type[16];
    unsigned long long want;
    int n = 0;
    snprintf(path, sizeof path, "%s", test_data("quantized/golden.txt"));
    FILE *f = fopen(path, "r");
    REQUIRE(f);
    while (fscanf(f, "%31s %31s %15s %llx", folder, name, type, &want) == 4) {
        char file[64];
        gyr_error e = {0};
        snprintf(file, sizeof file, "quantized/%s", folder);
        struct checkpoint *c = checkpoint_open(test_data(file), &e);
        if (!c) printf("%s\n", e.message);
        const struct tensor *t = c ? checkpoint_tensor(c, name) : NULL;
        CHECK(t);
        if (t) {
            CHECK_STR(type_info(t->type)->name, type);
            check_tensor(t, want);
            for (size_t i = 0; i < c->n_tensors; i++) CHECK(!memchr(c->tensors[i].name.data, '_', t->name.size));
        }
        checkpoint_close(c);
        n++;
    }
    fclose(f);
    CHECK_INT(n, 14);
}

#define TENSOR(name, dtype, shape, offsets)                                                                            \
    "\"" name "\": {\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": " offsets "}"

static void write_folder(const char *folder, const char *config, const char *header, size_t data) {
    struct buf b = {0};
    char text[600];
    put_u64(&b, strlen(header));
    buf_puts(&b, header);
    for (size_t i = 0; i < data; i++) put_u8(&b, (uint8_t)i);
    snprintf(text, sizeof text, "{\"model_type\": \"x\", \"quantization_config\": {%s}}", config);
    write_text(folder, "config.json", text);
    write_buf(folder, "model.safetensors", &b);
}

#define FP8     "\"quant_method\": \"fp8\""
#define AWQ     "\"quant_method\": \"awq\""
#define PACKED  "\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\""
#define WEIGHTS "\"config_groups\": {\"group_0\": {\"weights\": {\"num_bits\": 4, \"type\": \"int\""
#define CODES8  TENSOR("a.weight", "F8_E4M3", "[2, 32]", "[0, 64]")
#define CODES4  TENSOR("a.weight_packed", "I32", "[2, 4]", "[0, 32]")
#define SCALES4 TENSOR("a.weight_scale", "F16", "[2, 1]", "[32, 36]")

static void what_cannot_be_read_is_told(void) {
#define UNLIKE(name)                                                                                                   \
    "DIR: tensor " name " and its scales do not fit together, or are in an order that gyr does not know; get the "     \
    "folder again"
    static const struct {
        const char *config, *header, *message;
        gyr_status status;
    } cases[] = {
        {FP8, "{" CODES8 "}", "DIR: tensor a.weight has no weight_scale_inv; get all parts of the model",
         GYR_MALFORMED},
        {FP8, "{" CODES8 ", " TENSOR("a.weight_scale_inv", "F32", "[2, 2]", "[64, 80]") "}", UNLIKE("a.weight"),
         GYR_MALFORMED},
        {FP8, "{" CODES8 ", " TENSOR("a.weight_scale_inv", "I32", "[1, 1]", "[64, 68]") "}", UNLIKE("a.weight"),
         GYR_MALFORMED},
        {FP8,
         "{" TENSOR("a.weight", "F8_E4M3", "[0, 32]", "[0, 0]") ", " TENSOR("a.weight_scale_inv", "F32", "[1, 1]",
                                                                            "[64, 68]") "}",
         UNLIKE("a.weight"), GYR_MALFORMED},
        {FP8 ", \"weight_block_size\": [9223372036854775807, 1]",
         "{" CODES8 ", " TENSOR("a.weight_scale_inv", "F32", "[2, 2]", "[64, 80]") "}", UNLIKE("a.weight"),
         GYR_MALFORMED},
        {FP8, "{" TENSOR("a.weight", "F8_E4M3", "[2, 33]", "[0, 64]") "}",
         "DIR/model.safetensors: tensor a.weight has more or less data than its shape says; the file is damaged, get "
         "it "
         "again",
         GYR_MALFORMED},
        {AWQ,
         "{" TENSOR("a.qweight", "I32", "[32, 1]", "[0, 128]") ", " TENSOR("a.scales", "F16", "[1, 8]", "[0, 16]") "}",
         "DIR: tensor a.qweight has no qzeros; get all parts of the model", GYR_MALFORMED},
        {AWQ,
         "{" TENSOR("a.qweight", "I32", "[32, 1]", "[0, 128]") ", " TENSOR(
             "a.scales", "F16", "[3, 8]", "[0, 48]") ", " TENSOR("a.qzeros", "I32", "[3, 1]", "[0, 12]") "}",
         UNLIKE("a.qweight"), GYR_MALFORMED},
        {PACKED, "{" CODES4 "}", "DIR: tensor a.weight_packed has no weight_scale; get all parts of the model",
         GYR_MALFORMED},
        {PACKED ", " WEIGHTS ", \"symmetric\": false}}}", "{" CODES4 ", " SCALES4 "}",
         "DIR: tensor a.weight_packed has no weight_zero_point; get all parts of the model", GYR_MALFORMED},
        {PACKED, "{" CODES4 ", " SCALES4 ", " TENSOR("a.weight", "F32", "[1]", "[0, 4]") "}",
         "DIR: tensor a.weight is there twice; the file is damaged, get it again", GYR_MALFORMED},
    };
    const char *folder = enter_folder();
    REQUIRE(folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_folder(folder, cases[i].config, cases[i].header, 128);
        CHECK_PATH_FAILS(folder, folder, cases[i].status, cases[i].message);
    }
    leave_folder(folder);
}

// A folder of a method that is not read can be looked at; whoever wants its model is told the method.
static void other_methods_are_told(void) {
#define METHOD(what)                                                                                                   \
    ": its weights are quantized by " what ", which gyr does not read; take the model unquantized, or as GGUF"
    static const struct {
        const char *config, *header, *message;
    } cases[] = {
        {FP8 ", \"fmt\": \"e5m2\"", "{}", METHOD("fp8 with another format than e4m3")},
        {AWQ ", \"bits\": 3", "{}", METHOD("awq with another number of bits than 4")},
        {AWQ ", \"version\": \"gemv\"", "{}", METHOD("awq with another version than gemm")},
        {AWQ ", \"zero_point\": false", "{}", METHOD("awq with no zero_point")},
        {PACKED, "{" CODES4 ", " SCALES4 ", " TENSOR("a.weight_g_idx", "I32", "[32]", "[0, 128]") "}",
         METHOD("compressed-tensors with its columns in another order (weight_g_idx)")},
        {PACKED ", " WEIGHTS ", \"actorder\": \"group\"}}}", "{}",
         METHOD("compressed-tensors with its columns in another order (actorder)")},
        {PACKED ", \"config_groups\": {\"x\": {\"weights\": {\"num_bits\": 8}}}", "{}",
         METHOD("compressed-tensors with another num_bits than 4 of pack-quantized, 8 of float-quantized")},
        {PACKED ", \"config_groups\": {\"x\": {\"format\": \"int-quantized\"}}", "{}",
         METHOD("compressed-tensors with schemes of several kinds")},
        {PACKED ", \"transform_config\": {\"config_groups\": {\"R1\": 1}}", "{}",
         METHOD("compressed-tensors with a transform_config")},
        {PACKED ", \"sparsity_config\": {\"format\": \"sparse-24-bitmask\"}", "{}",
         METHOD("compressed-tensors with a sparsity_config")},
        {"\"quant_method\": \"compressed-tensors\", \"format\": \"nvfp4-pack-quantized\"", "{}",
         METHOD("compressed-tensors with the format nvfp4-pack-quantized")},
        {"\"quant_method\": \"gptq\"", "{" CODES4 "}", METHOD("gptq")},
    };
    const char *folder = enter_folder();
    REQUIRE(folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gyr_error e = {0};
        write_folder(folder, cases[i].config, cases[i].header, 128);
        struct checkpoint *c = checkpoint_open(folder, &e);
        if (!c) printf("%s\n", e.message);
        REQUIRE(c);
        CHECK(!checkpoint_check(c, &e));
        CHECK_INT(e.status, GYR_UNSUPPORTED);
        CHECK(!strncmp(e.message, folder, strlen(folder)));
        CHECK_STR(e.message + strlen(folder), cases[i].message);
        for (size_t k = 0; k < c->n_tensors; k++) CHECK(!c->tensors[k].packing);
        checkpoint_close(c);
    }
    leave_folder(folder);
}

// Codes that belong to no matrix.
static void what_is_left_stays_unread(void) {
    gyr_error e = {0};
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_folder(folder, FP8, "{" TENSOR("a", "F8_E4M3", "[64]", "[0, 64]") "}", 128);
    struct checkpoint *c = checkpoint_open(folder, &e);
    REQUIRE(c);
    CHECK(checkpoint_check(c, &e));
    CHECK(!tensor_readable(checkpoint_tensor(c, "a"), "x", &e));
    CHECK_STR(e.message, "x: tensor a has element type F8_E4M3; gyr reads F32, F16 and BF16; take the model in one of "
                         "them, or as GGUF");
    checkpoint_close(c);
    leave_folder(folder);
}

int main(void) {
    RUN(decodes_as_the_quantizers);
    RUN(what_cannot_be_read_is_told);
    RUN(other_methods_are_told);
    RUN(what_is_left_stays_unread);
    return test_end();
}
