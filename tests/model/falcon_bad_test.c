// GGUF images that contradict themselves: each gives one line that names the key or the tensor, and nothing worse.
#include "golden.h"

#include <stdint.h>

struct image {
    uint8_t *data;
    size_t size;
};

static struct image load(const char *file) {
    struct image m = {0};
    FILE *f = fopen(golden_path(file), "rb");
    if (f && !fseek(f, 0, SEEK_END)) m.size = (size_t)ftell(f);
    m.data = f ? malloc(m.size) : NULL;
    if (f) rewind(f);
    if (!m.data || fread(m.data, 1, m.size, f) != m.size) m.size = 0;
    if (f) fclose(f);
    return m;
}

// Where what follows a name of the file's head starts; NULL if there is no such name.
static uint8_t *after(const struct image *m, const char *name) {
    uint64_t n = strlen(name);
    char pattern[128];
    memcpy(pattern, &n, sizeof n);
    memcpy(pattern + sizeof n, name, n);
    uint8_t *p = memmem(m->data, m->size, pattern, sizeof n + n);
    return p ? p + sizeof n + n : NULL;
}

// What to change in the image. A new name has the length of the old.
enum edit { NAME, U32, F32, TYPE, COLUMNS, ROWS };

struct bad {
    const char *file, *name;
    enum edit edit;
    const char *to;
    double number;
    gyr_status status;
    const char *message; // without the file's name in front
};

static bool apply(struct image *m, const struct bad *bad) {
    uint8_t *p = after(m, bad->name);
    uint64_t u64 = bad->edit == F32 ? 0 : (uint64_t)bad->number;
    uint32_t u32 = (uint32_t)u64;
    float f32 = (float)bad->number;
    if (!p || (bad->edit == NAME && strlen(bad->to) != strlen(bad->name))) return false;
    switch (bad->edit) {
    case NAME: memcpy(p - strlen(bad->to), bad->to, strlen(bad->to)); break;
    case U32: memcpy(p + 4, &u32, sizeof u32); break;
    case F32: memcpy(p + 4, &f32, sizeof f32); break;
    case TYPE: memcpy(p, &u32, sizeof u32); break;
    case COLUMNS: memcpy(p + 4, &u64, sizeof u64); break;
    case ROWS: memcpy(p + 12, &u64, sizeof u64); break;
    }
    return true;
}

#define AGAIN     "; convert the model again"
#define GET_AGAIN "; download or convert the model again"
#define NOT_FOR   "; the file is damaged or not for gyr"

static const struct bad table[] = {
    // Keys that are not there.
    {"40b", "falcon.block_count", NAME, "falcon.block_xount", 0, GYR_MALFORMED,
     "key 'falcon.block_count' is missing" AGAIN},
    {"40b", "falcon.embedding_length", NAME, "falcon.embedding_lengtx", 0, GYR_MALFORMED,
     "key 'falcon.embedding_length' is missing" AGAIN},
    {"40b", "falcon.attention.head_count", NAME, "falcon.attention.head_xount", 0, GYR_MALFORMED,
     "key 'falcon.attention.head_count' is missing" AGAIN},
    {"40b", "general.architecture", NAME, "general.architexture", 0, GYR_MALFORMED,
     "has no key general.architecture; get another file"},
    // Keys with a wrong value.
    {"40b", "falcon", NAME, "falcom", 0, GYR_UNSUPPORTED,
     "architecture 'falcom' is not one gyr knows; it knows: falcon"},
    {"40b", "falcon.block_count", TYPE, NULL, 6, GYR_MALFORMED,
     "key falcon.block_count must be a whole number, not a fraction; the file is damaged or not a language model"},
    {"40b", "falcon.block_count", U32, NULL, 0, GYR_MALFORMED,
     "key falcon.block_count is 0, not within 1 to 4096" NOT_FOR},
    {"40b", "falcon.block_count", U32, NULL, 4294967295, GYR_MALFORMED,
     "key falcon.block_count is 4294967295, not within 1 to 4096" NOT_FOR},
    {"40b", "falcon.block_count", U32, NULL, 4096, GYR_MALFORMED,
     "tensor 'blk.2.attn_norm_2.weight' is missing" GET_AGAIN},
    {"40b", "falcon.attention.head_count", U32, NULL, 0, GYR_MALFORMED,
     "key falcon.attention.head_count is 0, not within 1 to 65536" NOT_FOR},
    {"40b", "falcon.attention.head_count", U32, NULL, 3, GYR_MALFORMED,
     "3 heads with 2 key/value heads do not divide a hidden size of 64" AGAIN},
    {"40b", "falcon.attention.head_count", U32, NULL, 64, GYR_MALFORMED,
     "a head of 1 cannot be rotated in pairs" AGAIN},
    {"40b", "falcon.attention.head_count_kv", U32, NULL, 0, GYR_MALFORMED,
     "key falcon.attention.head_count_kv is 0, not within 1 to 65536" NOT_FOR},
    {"40b", "falcon.attention.head_count_kv", U32, NULL, 3, GYR_MALFORMED,
     "4 heads with 3 key/value heads do not divide a hidden size of 64" AGAIN},
    {"40b", "falcon.context_length", U32, NULL, 0, GYR_MALFORMED,
     "key falcon.context_length is 0, not within 1 to 268435456" NOT_FOR},
    {"40b", "falcon.context_length", U32, NULL, 4294967295, GYR_MALFORMED,
     "key falcon.context_length is 4294967295, not within 1 to 268435456" NOT_FOR},
    {"40b", "falcon.attention.layer_norm_epsilon", F32, NULL, 0, GYR_MALFORMED,
     "key 'falcon.attention.layer_norm_epsilon' is 0; it must be positive"},
    {"40b", "falcon.attention.layer_norm_epsilon", F32, NULL, (double)NAN, GYR_MALFORMED,
     "key 'falcon.attention.layer_norm_epsilon' is nan; it must be positive"},
    {"rw", "falcon.attention.max_alibi_bias", F32, NULL, -8, GYR_MALFORMED,
     "key 'falcon.attention.max_alibi_bias' is -8; it must be positive"},
    {"rw", "falcon.attention.max_alibi_bias", F32, NULL, 8.5, GYR_UNSUPPORTED,
     "an ALiBi maximum of 8.5; gyr knows whole ones up to 64"},
    {"rw", "falcon.attention.max_alibi_bias", F32, NULL, 1e9, GYR_UNSUPPORTED,
     "an ALiBi maximum of 1e+09; gyr knows whole ones up to 64"},
    // Keys that disagree with the tensors.
    {"40b", "falcon.embedding_length", U32, NULL, 96, GYR_MALFORMED,
     "tensor 'token_embd.weight' is 64 x 288, but the hyperparameters make it 96 x 288" AGAIN},
    {"40b", "falcon.attention.head_count_kv", U32, NULL, 4, GYR_MALFORMED,
     "tensor 'blk.0.attn_qkv.weight' is 64 x 128, but the hyperparameters make it 64 x 192" AGAIN},
    {"40b", "falcon.feed_forward_length", U32, NULL, 81, GYR_MALFORMED,
     "tensor 'blk.0.ffn_up.weight' is 64 x 80, but the hyperparameters make it 64 x 81" AGAIN},
    {"40b", "falcon.feed_forward_length", NAME, "falcon.feed_forward_lengtx", 0, GYR_MALFORMED,
     "tensor 'blk.0.ffn_up.weight' is 64 x 80, but the hyperparameters make it 64 x 256" AGAIN},
    {"rw", "falcon.attention.max_alibi_bias", NAME, "falcon.attention.max_alibi_xias", 0, GYR_UNSUPPORTED,
     "architecture 'falcon' in a combination of traits that gyr does not know"},
    // Tensors that are not there, or of another shape.
    {"40b", "token_embd.weight", NAME, "token_embx.weight", 0, GYR_MALFORMED,
     "tensor 'token_embd.weight' is missing" GET_AGAIN},
    {"40b", "output_norm.weight", NAME, "output_norx.weight", 0, GYR_MALFORMED,
     "tensor 'output_norm.weight' is missing" GET_AGAIN},
    {"40b", "output_norm.bias", NAME, "output_norx.bias", 0, GYR_MALFORMED,
     "tensor 'output_norm.bias' is missing" GET_AGAIN},
    {"40b", "blk.1.attn_norm.weight", NAME, "blk.1.attn_norx.weight", 0, GYR_MALFORMED,
     "tensor 'blk.1.attn_norm.weight' is missing" GET_AGAIN},
    {"40b", "blk.1.attn_norm_2.bias", NAME, "blk.1.attn_norx_2.bias", 0, GYR_MALFORMED,
     "tensor 'blk.1.attn_norm_2.bias' is missing" GET_AGAIN},
    {"40b", "blk.1.attn_output.weight", NAME, "blk.1.attn_outpux.weight", 0, GYR_MALFORMED,
     "tensor 'blk.1.attn_output.weight' is missing" GET_AGAIN},
    {"40b", "blk.0.attn_norm_2.weight", NAME, "blk.0.attn_norx_2.weight", 0, GYR_UNSUPPORTED,
     "tensor 'blk.0.attn_norx_2.weight' has no place in a model of the Falcon-7B kind: multi-query, parallel, one "
     "norm"},
    {"11b", "output.weight", NAME, "outpux.weight", 0, GYR_UNSUPPORTED,
     "tensor 'outpux.weight' has no place in a model of the Falcon-7B kind: multi-query, parallel, one norm"},
    {"rw", "blk.1.ffn_down.bias", NAME, "blk.1.ffn_dowx.bias", 0, GYR_MALFORMED,
     "tensor 'blk.1.ffn_down.bias' is missing" GET_AGAIN},
    {"40b", "token_embd.weight", ROWS, NULL, 200, GYR_MALFORMED,
     "tensor 'token_embd.weight' has 200 rows for 288 tokens" AGAIN},
    {"40b", "blk.1.ffn_down.weight", COLUMNS, NULL, 40, GYR_MALFORMED,
     "tensor 'blk.1.ffn_down.weight' is 40 x 64, but the hyperparameters make it 80 x 64" AGAIN},
    {"40b", "output_norm.weight", COLUMNS, NULL, 32, GYR_MALFORMED,
     "tensor 'output_norm.weight' is 32 x 1, but the hyperparameters make it 64 x 1" AGAIN},
    {"11b", "output.weight", ROWS, NULL, 100, GYR_MALFORMED,
     "tensor 'output.weight' is 64 x 100, but the hyperparameters make it 64 x 288" AGAIN},
};

static void contradictions(void) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct bad *bad = &table[i];
        char file[64], want[512];
        snprintf(file, sizeof file, "%s/model.gguf", bad->file);
        snprintf(want, sizeof want, "tiny.gguf: %s", bad->message);
        struct image m = load(file);
        REQUIRE(m.size);
        CHECK(apply(&m, bad));
        gyr_error e = {0};
        gyr_model *model = gyr_model_open_memory("tiny.gguf", m.data, m.size, NULL, &e);
        if (model) printf("  opened, but should not: %s\n", bad->message);
        CHECK(!model);
        CHECK_INT(e.status, bad->status);
        if (strstr(want, "it knows: ")) e.message[strlen(want)] = 0; // the list grows
        CHECK_STR(e.message, want);
        if (model) gyr_model_close(model);
        free(m.data);
    }
}

// Every beginning of a file is refused.
static void cut_short(void) {
    struct image m = load("40b/model.gguf");
    REQUIRE(m.size);
    for (size_t size = 0; size < m.size; size += size < 16384 ? 7 : 4096) {
        uint8_t *part = malloc(size + 1); // a copy of its own, so that reading beyond it is seen
        memcpy(part, m.data, size);
        gyr_error e = {0};
        gyr_model *model = gyr_model_open_memory("tiny.gguf", part, size, NULL, &e);
        CHECK(!model);
        CHECK_INT(e.status, GYR_MALFORMED);
        CHECK(!strncmp(e.message, "tiny.gguf: ", 11));
        free(part);
        if (model) gyr_model_close(model);
    }
    free(m.data);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

// Runs what an image that was accepted can be asked to do.
static void use(gyr_model *model) {
    gyr_model_info info;
    gyr_model_get_info(model, &info);
    gyr_session *s = gyr_session_new(model, &(gyr_session_options){.context = 1}, NULL);
    if (s) gyr_session_feed(s, &(int32_t){(int32_t)info.vocab - 1}, 1, NULL, NULL);
    gyr_session_free(s);
}

// A few random bytes of the head changed: opened or refused, and nothing worse. The sanitizers are the judges.
static void random_damage(void) {
    static const char *const files[] = {"40b/model.gguf", "rw/model.gguf"};
    uint64_t state = 88172645463325252;
    size_t opened = 0, refused = 0;
    for (int f = 0; f < 2; f++) {
        struct image m = load(files[f]);
        REQUIRE(m.size);
        size_t head = (size_t)(after(&m, "output_norm.bias") - m.data) + 24;
        for (int round = 0; round < 1000; round++) {
            uint8_t saved[4];
            size_t at[4], n = 1 + next_random(&state) % 4;
            for (size_t i = 0; i < n; i++) {
                at[i] = next_random(&state) % head;
                saved[i] = m.data[at[i]];
                m.data[at[i]] = (uint8_t)(next_random(&state) % 3 ? next_random(&state) : next_random(&state) % 4);
            }
            gyr_error e = {0};
            gyr_model *model = gyr_model_open_memory("tiny.gguf", m.data, m.size, NULL, &e);
            CHECK(model || (e.status && !strncmp(e.message, "tiny.gguf: ", 11)));
            if (!model && strncmp(e.message, "tiny.gguf: ", 11)) printf("  %s\n", e.message);
            model ? opened++ : refused++;
            if (model) {
                use(model);
                gyr_model_close(model);
            }
            for (size_t i = n; i-- > 0;) m.data[at[i]] = saved[i];
        }
        free(m.data);
    }
    printf("  %zu opened, %zu refused\n", opened, refused);
    CHECK(opened > 20 && refused > 20);
}

static void part_in_memory(void) {
    struct image m = load("7b/model-00001-of-00002.gguf");
    REQUIRE(m.size);
    gyr_error e = {0};
    CHECK(!gyr_model_open_memory("tiny.gguf", m.data, m.size, NULL, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK_STR(e.message, "tiny.gguf: is one of the 2 parts of a model; open it by its path");
    free(m.data);
}

// What a session refuses leaves it as it was.
static void session_errors(void) {
    gyr_error e = {0};
    struct golden g;
    REQUIRE(golden_load("40b", &g));
    gyr_model *m = gyr_model_open(golden_path("40b/model.gguf"), NULL, &e);
    REQUIRE(m);
    gyr_session *s = gyr_session_new(m, &(gyr_session_options){.context = 100}, &e);
    REQUIRE(s);
    char want[512];
    CHECK(!gyr_session_logits(s));
    CHECK_INT(gyr_session_feed(s, g.text.id, 101, NULL, &e), GYR_TOO_LONG);
    snprintf(want, sizeof want,
             "%s: 101 tokens do not fit: the context is 100 and 0 are in it; shorten the prompt or choose a larger "
             "context",
             golden_path("40b/model.gguf"));
    CHECK_STR(e.message, want);
    CHECK_INT(gyr_session_length(s), 0);
    CHECK_INT(gyr_session_feed(s, g.text.id, 100, NULL, &e), GYR_OK);
    CHECK_INT(gyr_session_feed(s, g.text.id, 1, NULL, &e), GYR_TOO_LONG);
    CHECK_INT(gyr_session_length(s), 100);
    gyr_session_truncate(s, 99);
    static const int32_t wrong[] = {288, -1, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        CHECK_INT(gyr_session_feed(s, &wrong[i], 1, NULL, &e), GYR_USAGE);
        snprintf(want, sizeof want, "%s: token %d: ids are 0 to 287", golden_path("40b/model.gguf"), wrong[i]);
        CHECK_STR(e.message, want);
        CHECK_INT(gyr_session_length(s), 99);
    }
    CHECK(!gyr_session_new(m, &(gyr_session_options){.context = 513}, &e));
    CHECK_INT(e.status, GYR_USAGE);
    gyr_session_free(s);
    gyr_model_close(m);
    golden_free(&g);
}

int main(void) {
    RUN(contradictions);
    RUN(cut_short);
    RUN(random_damage);
    RUN(part_in_memory);
    RUN(session_errors);
    return test_end();
}
