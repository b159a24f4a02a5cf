// gyr_convert() on the families of tests/data/models and on the small Falcons: what it writes has the tensors and keys
// that llama.cpp's converter gives them, and gives the same bytes as the folder.
#include "drawn.h"
#include "format/checkpoint.h"
#include "model/family.h"

#include <dirent.h>
#include <sys/stat.h>

static char folder[] = "/tmp/gyr-convert-XXXXXX";

static const char *file_of(const char *name) {
    static char path[4][128];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

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

// Models that keep a state are not converted yet.
static bool refused(gyr_error *e) {
    struct checkpoint *c = checkpoint_open(folder, e);
    const struct family *f = c ? family_find(c, e) : NULL;
    char message[256];
    bool state = f && f->mixers != MIXERS_ATTENTION;
    if (state) {
        snprintf(message, sizeof message, "%s: gyr runs models of the %s and does not convert them yet", folder,
                 f->kind);
        CHECK_INT(convert_to(folder, file_of("got.gguf"), NULL, e), GYR_UNSUPPORTED);
        CHECK_STR(e->message, message);
    }
    checkpoint_close(c);
    return state;
}

static void check_family(const char *name) {
    static struct drawn d;
    gyr_error e = {0};
    CHECK(drawn_load(&d, name) && drawn_write_text(file_of("config.json"), d.config) &&
          drawn_write_safetensors(&d, file_of("model.safetensors")) && drawn_write_gguf(&d, file_of("want.gguf"), &e));
    if (refused(&e)) {
        drawn_free(&d);
        return;
    }
    bool ok = !convert_to(folder, file_of("got.gguf"), NULL, &e);
    if (!ok) printf("  %s: %s\n", name, e.message);
    CHECK(ok);
    struct checkpoint *want = checkpoint_open(file_of("want.gguf"), &e);
    struct checkpoint *got = ok ? checkpoint_open(file_of("got.gguf"), &e) : NULL;
    bool tensors = want && got && same_tensors(want, got), keys = want && got && same_keys(want, got);
    ok = tensors && keys;
    ok = ok && same_logits(folder, file_of("got.gguf"), d.text, (size_t)d.text_n);
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
    RUN(falcons_give_the_same_bytes);
    RUN(tokenizers_come_along);
    RUN(types_are_those_of_quantize);
    RUN(what_cannot_be_converted_is_told);
    char clean[160];
    snprintf(clean, sizeof clean, "rm -rf '%s'", folder);
    return system(clean) ? 1 : test_end();
}
