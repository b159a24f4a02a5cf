// gyr_convert() on the families of tests/data/models and on the small Falcons: what it writes has the tensors and keys
// that llama.cpp's converter gives them, and gives the same bytes as the folder.
#include "drawn.h"
#include "format/checkpoint.h"
#include "model/family.h"

#include <dirent.h>
#include <sys/stat.h>

static char folder[] = "/tmp/gyr-convert-XXXXXX";

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static gyr_status convert_to(const char *input, const char *output, const char *type, gyr_error *e) {
    return gyr_convert(&(gyr_convert_options){.input = input, .output = output, .type = type}, e);
}

// The logits of some tokens, [n][vocab]; NULL on failure.
static float *logits(const char *path, const int32_t *ids, size_t n, size_t *size) {
    gyr_error e = {0};
    gyr_model_info info;
    gyr_model *m = gyr_model_open(path, NULL, &e);
    gyr_session *s = NULL;
    float *out = NULL;
    if (m) gyr_model_get_info(m, &info);
    if (m) s = gyr_session_new(m, &(gyr_session_options){n > info.context ? info.far_context : 0}, &e);
    if (s) {
        *size = n * info.vocab * sizeof *out;
        out = malloc(*size);
        if (out && gyr_session_feed(s, ids, n, out, &e)) {
            free(out);
            out = NULL;
        }
    }
    if (!out) printf("  %s: %s\n", path, e.message);
    gyr_session_free(s);
    gyr_model_close(m);
    return out;
}

static bool same_logits(const char *a, const char *b, const int32_t *ids, size_t n) {
    size_t x_size = 0, y_size = 0;
    float *x = logits(a, ids, n, &x_size), *y = logits(b, ids, n, &y_size);
    bool same = x && y && x_size == y_size && !memcmp(x, y, x_size);
    free(x);
    free(y);
    return same;
}

// Every tensor of `want` is in `got`, byte for byte, and no other; but for frequencies, which may be a rounding away,
// and for layers that look ahead, which are not converted.
static bool same_tensors(const struct checkpoint *want, const struct checkpoint *got) {
    bool same = true;
    size_t ahead = 0;
    for (size_t i = 0; i < want->n_tensors; i++) {
        const struct tensor *a = &want->tensors[i];
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)a->name.size, a->name.data);
        if (strstr(name, ".nextn.")) {
            ahead++;
            continue;
        }
        const struct tensor *b = checkpoint_tensor(got, name);
        bool alike = b && b->type == a->type && b->n_dims == a->n_dims && b->bytes == a->bytes &&
                     !memcmp(a->dim, b->dim, sizeof a->dim);
        if (alike && strcmp(name, "rope_freqs.weight")) alike = !memcmp(a->data, b->data, a->bytes);
        for (size_t k = 0; alike && !strcmp(name, "rope_freqs.weight") && k < a->dim[0]; k++) {
            float x, y;
            type_decode(a->type, a->data, k, 1, &x);
            type_decode(b->type, b->data, k, 1, &y);
            alike = fabsf(x - y) <= 1e-6f * fabsf(x);
        }
        if (!alike) printf("  tensor %s %s\n", name, b ? "is another" : "is missing");
        same = same && alike;
    }
    if (want->n_tensors - ahead == got->n_tensors) return same;
    printf("  %zu tensors, not %zu\n", got->n_tensors, want->n_tensors - ahead);
    return false;
}

static bool same_value(const struct value *a, const struct value *b) {
    if (!b || a->kind != b->kind) return false;
    switch (a->kind) {
    case VALUE_UINT: return a->u == b->u;
    case VALUE_INT: return a->i == b->i;
    case VALUE_BOOL: return a->b == b->b;
    case VALUE_FLOAT: return (float)a->f == (float)b->f;
    case VALUE_STRING: return a->s.size == b->s.size && !memcmp(a->s.data, b->s.data, a->s.size);
    case VALUE_ARRAY: break;
    default: return false;
    }
    bool same = a->array.n == b->array.n && a->array.of == b->array.of;
    for (size_t i = 0; same && i < a->array.n; i++) {
        struct value x = value_at(a, i), y = value_at(b, i);
        same = same_value(&x, &y);
    }
    return same;
}

// Every key of `want` is in `got` with its value. More may be there; what is about rotation is missed only where there
// is any, and converted files count no layers that look ahead.
static bool same_keys(const struct checkpoint *want, const struct checkpoint *got) {
    struct text key;
    const struct value *v;
    bool same = true;
    char dimension[96], looks_ahead[96];
    snprintf(dimension, sizeof dimension, "%.60s.rope.dimension_count", got->architecture);
    snprintf(looks_ahead, sizeof looks_ahead, "%.60s.nextn_predict_layers", got->architecture);
    bool ahead = checkpoint_value(want, looks_ahead);
    for (size_t i = 0; checkpoint_key(want, i, &key, &v); i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)key.size, key.data);
        bool idle = strstr(name, ".rope.") && !checkpoint_value(got, dimension);
        idle = idle || (ahead && (strstr(name, ".block_count") || !strcmp(name, looks_ahead)));
        bool alike = idle || same_value(v, checkpoint_value(got, name));
        if (!alike) printf("  key %s is missing or another\n", name);
        same = same && alike;
    }
    return same;
}

// Families whose multipliers are in GGUF's weights, or whose heads are in another order there, are a rounding away.
static bool near_logits(const char *a, const char *b, const int32_t *ids, size_t n) {
    size_t x_size = 0, y_size = 0;
    float *x = logits(a, ids, n, &x_size), *y = logits(b, ids, n, &y_size);
    bool near = x && y && x_size == y_size;
    for (size_t i = 0; near && i < x_size / sizeof *x; i++) near = fabsf(x[i] - y[i]) <= 1e-4f;
    free(x);
    free(y);
    return near;
}

static bool is_exact(const char *path) {
    struct checkpoint *c = checkpoint_open(path, NULL);
    const struct family *f = c ? family_find(c, NULL) : NULL;
    bool exact = f && !f->scale.gguf_multiplied && !f->state.gguf_turns;
    checkpoint_close(c);
    return exact;
}

static void check_family(const char *name) {
    static struct drawn d;
    gyr_error e = {0};
    CHECK(drawn_load(&d, name) && drawn_write_text(file_of("config.json"), d.config) &&
          drawn_write_safetensors(&d, file_of("model.safetensors")) && drawn_write_gguf(&d, file_of("want.gguf"), &e));
    bool ok = !convert_to(folder, file_of("got.gguf"), NULL, &e);
    if (!ok) printf("  %s: %s\n", name, e.message);
    CHECK(ok);
    struct checkpoint *want = checkpoint_open(file_of("want.gguf"), &e);
    struct checkpoint *got = ok ? checkpoint_open(file_of("got.gguf"), &e) : NULL;
    bool tensors = want && got && same_tensors(want, got), keys = want && got && same_keys(want, got);
    ok = tensors && keys;
    bool (*alike)(const char *, const char *, const int32_t *, size_t) = is_exact(folder) ? same_logits : near_logits;
    ok = ok && alike(folder, file_of("got.gguf"), d.text, (size_t)d.text_n);
    if (!ok) printf("  %s: what was converted is not what it should be\n", name);
    CHECK(ok);
    checkpoint_close(want);
    checkpoint_close(got);
    drawn_free(&d);
}

static void families_become_what_llama_cpp_makes_of_them(void) {
    DIR *dir = opendir(test_data("models"));
    int n = 0;
    for (struct dirent *f; dir && (f = readdir(dir));) {
        char name[64], *end;
        snprintf(name, sizeof name, "%.60s", f->d_name);
        if (!(end = strstr(name, ".txt"))) continue;
        *end = 0;
        check_family(name);
        n++;
    }
    if (dir) closedir(dir);
    CHECK(n >= 7);
}

static const char *const falcons[] = {"7b", "11b", "40b", "rw"};

static const char *falcon(const char *kind, const char *file) {
    char name[64];
    snprintf(name, sizeof name, "falcon/%s/%s", kind, file);
    return test_data(name);
}

static char *text_of(const char *path) {
    static char text[256];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
    return text;
}

static int files_there(void) {
    DIR *dir = opendir(folder);
    int n = 0;
    while (dir && readdir(dir)) n++;
    if (dir) closedir(dir);
    return n;
}

// Layers in an order of their own: GGUF would say another thing. What was there under the name stays.
static void a_refusal_leaves_the_earlier_file(void) {
    static struct drawn d;
    gyr_error e = {0};
    REQUIRE(drawn_load(&d, "gemma2"));
    char *layers = strstr(d.config, "\"sliding_attention\", \"full_attention\"");
    REQUIRE(layers);
    memcpy(layers, "\"full_attention\", \"sliding_attention\"", strlen("\"full_attention\", \"sliding_attention\""));
    CHECK(drawn_write_text(file_of("config.json"), d.config) &&
          drawn_write_safetensors(&d, file_of("model.safetensors")) &&
          drawn_write_text(file_of("kept.gguf"), "an earlier file"));
    drawn_free(&d);
    int before = files_there();
    CHECK_INT(convert_to(folder, file_of("kept.gguf"), NULL, &e), GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "its layers are not those of other models of the Gemma 2, which GGUF cannot express"));
    CHECK_STR(text_of(file_of("kept.gguf")), "an earlier file");
    CHECK_INT(files_there(), before);
    CHECK_INT(convert_to(falcon("rw", "hf"), "/dev/null", NULL, &e), GYR_OK);
    CHECK(access("/dev/null", W_OK) == 0);
}

// The one number of Falcon-Mamba that llama.cpp has no key for.
static void the_epsilon_of_steps_comes_along(void) {
    static struct drawn d;
    gyr_error e = {0};
    REQUIRE(drawn_load(&d, "falcon-mamba"));
    char *eps = strstr(d.config, "\"mixer_rms_eps\": 1e-05");
    REQUIRE(eps);
    memcpy(eps, "\"mixer_rms_eps\": 5e-02", strlen("\"mixer_rms_eps\": 1e-05"));
    CHECK(drawn_write_text(file_of("config.json"), d.config) &&
          drawn_write_safetensors(&d, file_of("model.safetensors")) && drawn_write_gguf(&d, file_of("other.gguf"), &e));
    CHECK_INT(convert_to(folder, file_of("eps.gguf"), NULL, &e), GYR_OK);
    CHECK(same_logits(folder, file_of("eps.gguf"), d.text, (size_t)d.text_n));
    CHECK(!same_logits(folder, file_of("other.gguf"), d.text, (size_t)d.text_n));
    drawn_free(&d);
}

// What a folder has quantized already is not quantized again.
static void packed_experts_stay_as_they_are(void) {
    static struct drawn d;
    gyr_error e = {0};
    REQUIRE(drawn_load(&d, "gpt-oss-mxfp4") && drawn_write_text(file_of("config.json"), d.config) &&
            drawn_write_safetensors(&d, file_of("model.safetensors")) &&
            drawn_write_gguf(&d, file_of("want.gguf"), &e));
    CHECK_INT(convert_to(folder, file_of("q8.gguf"), "q8_0", &e), GYR_OK);
    struct checkpoint *want = checkpoint_open(file_of("want.gguf"), &e), *got = checkpoint_open(file_of("q8.gguf"), &e);
    REQUIRE(want && got);
    int packed = 0, quantized = 0;
    for (size_t i = 0; i < want->n_tensors; i++) {
        const struct tensor *a = &want->tensors[i];
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)a->name.size, a->name.data);
        const struct tensor *b = checkpoint_tensor(got, name);
        REQUIRE(b);
        if (a->type == TYPE_MXFP4) packed += b->type == a->type && !memcmp(a->data, b->data, a->bytes);
        quantized += b->type == TYPE_Q8_0;
    }
    CHECK_INT(packed, 6);
    CHECK(quantized >= 8);
    checkpoint_close(want);
    checkpoint_close(got);
    drawn_free(&d);
}

// Only experts may come in blocks and scales.
static void other_packed_matrices_are_refused(void) {
    static struct drawn d;
    gyr_error e = {0};
    REQUIRE(drawn_load(&d, "gpt-oss-mxfp4"));
    for (size_t i = 0; i < d.n_tensors; i++)
        if (strstr(d.tensor[i].name, "self_attn.q_proj.weight")) d.tensor[i].packed = true;
    CHECK(drawn_write_text(file_of("config.json"), d.config) &&
          drawn_write_safetensors(&d, file_of("model.safetensors")));
    CHECK_INT(convert_to(folder, file_of("none.gguf"), NULL, &e), GYR_UNSUPPORTED);
    CHECK(strstr(e.message,
                 "tensor 'model.layers.0.self_attn.q_proj.weight' is MXFP4, which gyr reads for experts only"));
    drawn_free(&d);
}

// Layers that look ahead stand behind the others in a folder, or under names of their own; they are left out.
static void layers_that_look_ahead_are_left_out(void) {
    static const char *const ahead[] = {"model.layers.3.self_attn.q_proj.weight", "model.layers.3.eh_proj.weight",
                                        "mtp.fc.weight"};
    static struct drawn d;
    gyr_error e = {0};
    REQUIRE(drawn_load(&d, "glm4.5") && drawn_write_text(file_of("config.json"), d.config) &&
            drawn_write_safetensors(&d, file_of("model.safetensors")));
    CHECK_INT(convert_to(folder, file_of("without.gguf"), NULL, &e), GYR_OK);
    char *layers = strstr(d.config, "\"num_nextn_predict_layers\": 0");
    REQUIRE(layers && d.n_tensors + 3 < DRAWN_TENSORS);
    layers[strlen("\"num_nextn_predict_layers\": ")] = '1';
    for (size_t i = 0; i < 3; i++) {
        struct drawn_tensor *t = &d.tensor[d.n_tensors++];
        *t = (struct drawn_tensor){.n_dims = 2, .dim = {2, 3}, .n = 6, .data = calloc(6, sizeof *t->data)};
        snprintf(t->name, sizeof t->name, "%s", ahead[i]);
    }
    CHECK(drawn_write_text(file_of("config.json"), d.config) &&
          drawn_write_safetensors(&d, file_of("model.safetensors")));
    CHECK_INT(convert_to(folder, file_of("with.gguf"), NULL, &e), GYR_OK);
    struct checkpoint *want = checkpoint_open(file_of("without.gguf"), &e);
    struct checkpoint *got = checkpoint_open(file_of("with.gguf"), &e);
    CHECK(want && got && same_tensors(want, got) && same_keys(want, got) && same_keys(got, want));
    checkpoint_close(want);
    checkpoint_close(got);
    drawn_free(&d);
}

static void falcons_give_the_same_bytes(void) {
    static const int32_t ids[] = {1, 5, 9, 2, 30, 31, 7, 8, 12, 40, 3, 3};
    gyr_error e = {0};
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT(convert_to(falcon(falcons[i], "hf"), file_of("falcon.gguf"), NULL, &e), GYR_OK);
        CHECK(same_logits(falcon(falcons[i], "hf"), file_of("falcon.gguf"), ids, 12));
    }
}

// What a folder's tokenizer makes of text, what was converted makes too.
static void tokenizers_come_along(void) {
    static const char text[] =
        "The quick brown fox's 12345 jumps, DON'T they?\n\n  caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd <|x|>";
    gyr_error e = {0};
    CHECK_INT(convert_to(falcon("40b", "hf"), file_of("falcon.gguf"), "q8_0", &e), GYR_OK);
    gyr_tokenizer *a = gyr_tokenizer_open(falcon("40b", "hf"), &e), *b = gyr_tokenizer_open(file_of("falcon.gguf"), &e);
    gyr_tokens x = {0}, y = {0};
    REQUIRE(a && b && !gyr_tokenize(a, text, sizeof text - 1, GYR_ADD_BOS, &x, &e) &&
            !gyr_tokenize(b, text, sizeof text - 1, GYR_ADD_BOS, &y, &e));
    CHECK(x.count == y.count && x.count && !memcmp(x.ids, y.ids, x.count * sizeof *x.ids));
    gyr_free(x.ids);
    gyr_free(y.ids);
    gyr_tokenizer_close(a);
    gyr_tokenizer_close(b);
}

// Quantizing on the way is quantizing afterwards.
static void types_are_those_of_quantize(void) {
    static const char *const types[] = {"q4_k_m", "q8_0", "f16", "iq4_xs"};
    gyr_error e = {0};
    CHECK_INT(convert_to(falcon("rw", "hf"), file_of("float.gguf"), "f32", &e), GYR_OK);
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT(convert_to(falcon("rw", "hf"), file_of("direct.gguf"), types[i], &e), GYR_OK);
        gyr_quantize_options o = {.input = file_of("float.gguf"), .output = file_of("later.gguf"), .type = types[i]};
        CHECK_INT(gyr_quantize(&o, &e), GYR_OK);
        struct checkpoint *want = checkpoint_open(file_of("later.gguf"), &e);
        struct checkpoint *got = checkpoint_open(file_of("direct.gguf"), &e);
        CHECK(want && got && same_tensors(want, got) && same_keys(want, got));
        checkpoint_close(want);
        checkpoint_close(got);
    }
}

static bool never(void *user, double fraction) {
    (void)user, (void)fraction;
    return false;
}

static void refuses(const char *input, const char *type, gyr_status status, const char *says) {
    gyr_error e = {0};
    CHECK_INT(convert_to(input, file_of("none.gguf"), type, &e), status);
    if (!strstr(e.message, says)) CHECK_STR(e.message, says);
    CHECK(access(file_of("none.gguf"), F_OK) != 0);
}

static void what_cannot_be_converted_is_told(void) {
    gyr_error e = {0};
    refuses(falcon("rw", "model.gguf"), NULL, GYR_USAGE, "is GGUF already; gyr quantize writes it in another type");
    refuses(falcon("rw", "hf"), "q9", GYR_USAGE, "type 'q9' is not one gyr knows; it knows: q2_k, ");
    refuses("nowhere", NULL, GYR_IO, "nowhere: No such file or directory");
    CHECK(drawn_write_text(file_of("config.json"), "{\"model_type\": \"foo\"}"));
    refuses(folder, NULL, GYR_UNSUPPORTED, "architecture 'foo' is not one gyr knows; it knows: falcon, ");
    gyr_convert_options o = {.input = falcon("rw", "hf"), .output = file_of("none.gguf"), .progress = never};
    CHECK_INT(gyr_convert(&o, &e), GYR_CANCELLED);
    CHECK(access(file_of("none.gguf"), F_OK) != 0);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(families_become_what_llama_cpp_makes_of_them);
    RUN(a_refusal_leaves_the_earlier_file);
    RUN(the_epsilon_of_steps_comes_along);
    RUN(packed_experts_stay_as_they_are);
    RUN(other_packed_matrices_are_refused);
    RUN(layers_that_look_ahead_are_left_out);
    RUN(falcons_give_the_same_bytes);
    RUN(tokenizers_come_along);
    RUN(types_are_those_of_quantize);
    RUN(what_cannot_be_converted_is_told);
    char clean[160];
    snprintf(clean, sizeof clean, "rm -rf '%s'", folder);
    return system(clean) ? 1 : test_end();
}
