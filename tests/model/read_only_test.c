// Element types that gyr reads and does not write: a small Llama whose matrices are of such a type runs, gives what its
// floats give, and can be quantized to others.
#include "format/checkpoint.h"
#include "format/gguf_write.h"
#include "golden.h"

#include <unistd.h>

enum { HIDDEN = 256, VOCAB = 288 };

static gyr_error err;
static char folder[] = "/tmp/gyr-read-only-XXXXXX", file[64], other[64];

static const struct {
    const char *name;
    uint64_t rows; // 0: a norm
} tensors[] = {
    {"token_embd.weight", VOCAB},         {"output_norm.weight", 0},        {"blk.0.attn_norm.weight", 0},
    {"blk.0.attn_q.weight", HIDDEN},      {"blk.0.attn_k.weight", HIDDEN},  {"blk.0.attn_v.weight", HIDDEN},
    {"blk.0.attn_output.weight", HIDDEN}, {"blk.0.ffn_norm.weight", 0},     {"blk.0.ffn_gate.weight", HIDDEN},
    {"blk.0.ffn_up.weight", HIDDEN},      {"blk.0.ffn_down.weight", HIDDEN}};
enum { TENSORS = sizeof tensors / sizeof *tensors };

// The tokenizer is another model's.
static bool put_keys(struct gguf_writer *w) {
    struct checkpoint *c = checkpoint_open(golden_path("40b/model.gguf"), &err);
    struct text key;
    const struct value *v;
    for (size_t i = 0; c && checkpoint_key(c, i, &key, &v); i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)key.size, key.data);
        if (!strncmp(name, "tokenizer.", 10)) gguf_put_value(w, name, v);
    }
    gguf_put_cstring(w, "general.architecture", "llama");
    gguf_put_u32(w, "llama.context_length", 64);
    gguf_put_u32(w, "llama.embedding_length", HIDDEN);
    gguf_put_u32(w, "llama.feed_forward_length", HIDDEN);
    gguf_put_u32(w, "llama.block_count", 1);
    gguf_put_u32(w, "llama.attention.head_count", 4);
    gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    checkpoint_close(c);
    return c;
}

static uint64_t state;

static uint8_t random_byte(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(state >> 56);
}

// Blocks of any bits but for exponents: scales are halves below 2^-7, or small bytes.
static void random_blocks(const struct type_info *t, enum type type, uint8_t *b, size_t n) {
    int at = type == TYPE_TQ1_0 ? 52 : type == TYPE_TQ2_0 ? 64 : type == TYPE_IQ1_M ? 54 : 0;
    for (size_t i = 0; i < n; i++) b[i] = random_byte();
    for (uint8_t *end = b + n; b < end; b += t->bytes) {
        for (int k = 0; type == TYPE_NVFP4 && k < 4; k++) b[k] &= 0x1f;
        if (type != TYPE_NVFP4) b[at + 1] = (uint8_t)((b[at + 1] & 0x83) | 0x14);
    }
}

static bool write_model(enum type type) {
    const struct type_info *t = type_info(type);
    struct gguf_writer *w = gguf_writer_new(file, &err);
    bool ok = w && put_keys(w);
    for (int i = 0; ok && i < TENSORS; i++)
        gguf_put_tensor(w, tensors[i].name, tensors[i].rows ? type : TYPE_F32, tensors[i].rows ? 2 : 1,
                        (const uint64_t[]){HIDDEN, tensors[i].rows ? tensors[i].rows : 1});
    ok = ok && gguf_writer_begin(w, &err);
    state = type;
    for (int i = 0; ok && i < TENSORS; i++) {
        static uint8_t data[VOCAB * HIDDEN];
        float one[HIDDEN];
        size_t n = tensors[i].rows ? tensors[i].rows * type_row_bytes(type, HIDDEN) : sizeof one;
        for (int k = 0; k < HIDDEN; k++) one[k] = 1;
        if (tensors[i].rows) random_blocks(t, type, data, n);
        ok = gguf_writer_data(w, tensors[i].rows ? data : (uint8_t *)one, n, &err);
    }
    return w && gguf_writer_end(w, ok, ok ? &err : NULL) && ok;
}

static bool logits_of(const char *path, float *logits) {
    static const int32_t ids[] = {5, 200, 31, 7};
    gyr_model *m = gyr_model_open(path, NULL, &err);
    gyr_session *s = m ? gyr_session_new(m, NULL, &err) : NULL;
    bool ok = s && !gyr_session_feed(s, ids, 4, NULL, &err);
    if (ok) memcpy(logits, gyr_session_logits(s), VOCAB * sizeof *logits);
    gyr_session_free(s);
    gyr_model_close(m);
    return ok;
}

static double distance(const float *a, const float *b) {
    double miss = 0, size = 0;
    for (int i = 0; i < VOCAB; i++) {
        miss += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(miss / size);
}

// The file of floats holds what the blocks decode to, bit for bit.
static void check_floats(void) {
    struct checkpoint *a = checkpoint_open(file, &err), *b = checkpoint_open(other, &err);
    REQUIRE(a && b && a->n_tensors == TENSORS && b->n_tensors == TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        size_t n = (size_t)(a->tensors[i].dim[0] * a->tensors[i].dim[1]);
        float *x = malloc(n * sizeof *x);
        type_decode(a->tensors[i].type, a->tensors[i].data, 0, n, x);
        CHECK_INT(b->tensors[i].type, TYPE_F32);
        CHECK(!memcmp(x, b->tensors[i].data, n * sizeof *x));
        free(x);
    }
    checkpoint_close(a);
    checkpoint_close(b);
}

static void every_type(void) {
    int types = 0;
    for (enum type t = 0; t < TYPE_LIMIT; t++) {
        float got[VOCAB], want[VOCAB];
        if (!type_info(t) || type_info(t)->encode) continue;
        types++;
        REQUIRE(write_model(t));
        gyr_quantize_options o = {.input = file, .output = other, .type = "f32", .threads = 1};
        CHECK_INT(gyr_quantize(&o, &err), GYR_USAGE);
        char said[128];
        snprintf(said, sizeof said, "is quantized already (%s); take the model as it was before, or --requantize",
                 type_info(t)->name);
        CHECK(strstr(err.message, said));
        o.requantize = true;
        CHECK_INT(gyr_quantize(&o, &err), GYR_OK);
        check_floats();
        REQUIRE(logits_of(file, got) && logits_of(other, want));
        if (!(distance(got, want) < 0.05)) printf("%s: %g\n", type_info(t)->name, distance(got, want));
        CHECK(distance(got, want) < 0.05);
        o.type = "q8_0";
        CHECK_INT(gyr_quantize(&o, &err), GYR_OK);
        CHECK(logits_of(other, got));
        o.type = type_info(t)->name;
        CHECK_INT(gyr_quantize(&o, &err), GYR_USAGE);
        snprintf(said, sizeof said, "type '%s' is not one gyr knows", o.type);
        CHECK(strstr(err.message, said));
    }
    CHECK_INT(types, 12);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    snprintf(file, sizeof file, "%s/m.gguf", folder);
    snprintf(other, sizeof other, "%s/other.gguf", folder);
    RUN(every_type);
    unlink(file);
    unlink(other);
    rmdir(folder);
    return test_end();
}
