// The models of tests/data/embeddings against sentence-transformers, from a Hugging Face folder and from a GGUF file:
// embeddings of texts from one token to more than a batch has rows. And the contract: a text's embedding is the same
// bytes whoever else is there, whatever the threads and the instruction set.
#include "drawn.h"
#include "far.h"
#include "format/checkpoint.h"
#include "sets_here.h"

#include <dirent.h>
#include <sys/stat.h>

enum { TEXTS = 6, MAX_TOKENS = 600, MOST_FILES = 16 };
static const float tolerance = 1e-5f, tolerance_raw = 1e-4f;
static char folder[] = "/tmp/gyr-embeddings-XXXXXX";
static const char *only; // GYR_FAMILY

// A golden, and what it has beside a drawn model's.
static struct drawn all, part;
static char *files[MOST_FILES];
static size_t n_files;
static int32_t ids[TEXTS][MAX_TOKENS];
static gyr_tokens texts[TEXTS];
static float *rows;
static size_t n_rows;

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static bool has_gguf(void) {
    bool any = false;
    for (size_t i = 0; i < all.n_tensors; i++) any |= all.tensor[i].gguf;
    return any;
}

static bool take_line(char *line, size_t *filled) {
    int32_t lengths[MAX_DRAWN];
    line[strcspn(line, "\n")] = 0;
    if (drawn_starts(line, "file ")) return n_files < MOST_FILES && (files[n_files++] = strdup(line + strlen("file ")));
    if (drawn_starts(line, "gguf_kind ")) return true;
    if (!drawn_starts(line, "lengths ")) return drawn_line(&all, line, filled);
    if (drawn_ids(line, "lengths", lengths) != TEXTS) return false;
    for (size_t k = 0; k < TEXTS; k++) {
        texts[k] = (gyr_tokens){ids[k], (size_t)lengths[k]};
        for (size_t i = 0; i < texts[k].count; i++)
            ids[k][i] = (int32_t)((3 * i * i + 7 * i + 11 * k) % (size_t)(all.vocab - 3)) + 3;
    }
    return true;
}

static bool load(const char *name) {
    char path[160];
    size_t filled = 0;
    char *line = malloc(DRAWN_LINE);
    snprintf(path, sizeof path, "embeddings/%.60s.txt", name);
    FILE *f = fopen(test_data(path), "r");
    bool ok = f && line;
    memset(&all, 0, sizeof all);
    n_files = 0;
    while (ok && fgets(line, DRAWN_LINE, f)) ok = take_line(line, &filled);
    if (f) fclose(f);
    free(line);
    snprintf(path, sizeof path, "embeddings/%.60s.bin", name);
    f = fopen(test_data(path), "rb");
    rows = malloc(1 << 16);
    n_rows = f && rows ? fread(rows, sizeof *rows, (1 << 16) / sizeof *rows, f) : 0;
    if (f) fclose(f);
    return ok && n_rows;
}

static void unload(void) {
    drawn_free(&all);
    free(rows);
    for (size_t i = 0; i < n_files; i++) free(files[i]);
}

// The tensors of one file of the folder: those whose names have `in` and a slash in front, or no slash.
static bool write_part(const char *in) {
    char path[100];
    size_t n = strlen(in);
    memset(&part, 0, sizeof part);
    for (size_t i = 0; i < all.n_tensors; i++) {
        const char *slash = strchr(all.tensor[i].name, '/');
        bool here = slash ? n == (size_t)(slash - all.tensor[i].name) && !strncmp(in, all.tensor[i].name, n) : !n;
        if (all.tensor[i].gguf || !here) continue;
        part.tensor[part.n_tensors] = all.tensor[i];
        if (slash) snprintf(part.tensor[part.n_tensors].name, sizeof part.tensor[0].name, "%.100s", slash + 1);
        part.n_tensors++;
    }
    snprintf(path, sizeof path, "%.60s%smodel.safetensors", in, n ? "/" : "");
    return drawn_write_safetensors(&part, file_of(path));
}

static bool write_folder(void) {
    bool ok = drawn_write_text(file_of("config.json"), all.config) && write_part("");
    for (size_t i = 0; ok && i < n_files; i++) {
        char *space = strchr(files[i], ' '), *slash = strchr(files[i], '/');
        *space = 0;
        if (slash) {
            *slash = 0;
            mkdir(file_of(files[i]), 0777);
            ok = !strstr(files[i], "Dense") || write_part(files[i]);
            *slash = '/';
        }
        ok = ok && drawn_write_text(file_of(files[i]), space + 1);
        *space = ' ';
    }
    return ok;
}

static void remove_folder(void) {
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_INT(system(command), 0);
    CHECK_INT(mkdir(folder, 0777), 0);
}

static gyr_model *model_of(const char *path, unsigned threads) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.threads = threads}, &e);
    if (!m) printf("  %s\n", e.message);
    return m;
}

static float *embed(gyr_model *m, const gyr_tokens *some, size_t n, const gyr_embed_options *o, size_t width) {
    gyr_error e = {0};
    float *out = malloc((n * width + 1) * sizeof *out);
    if (!gyr_embed(m, some, n, o, out, &e)) return out;
    printf("  %s\n", e.message);
    free(out);
    return NULL;
}

// By the model's own modules, and pooled in each way.
static void check_file(const char *name, const char *path) {
    gyr_model *m = model_of(path, 2);
    REQUIRE(m);
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    size_t own = info.embedding * (size_t)TEXTS, each = info.hidden * (size_t)TEXTS;
    CHECK_INT(own + 3 * each, n_rows);
    float *x = embed(m, texts, TEXTS, NULL, info.embedding), far = farthest(x, rows, own), far_raw = 0;
    for (gyr_pooling p = GYR_POOLING_MEAN; p <= GYR_POOLING_LAST && info.embedding == info.hidden; p++) {
        float *y = embed(m, texts, TEXTS, &(gyr_embed_options){p, GYR_UNIT_NO, 0}, info.embedding);
        if (!strstr(name, "gemma")) far_raw = fmaxf(far_raw, farthest(y, rows + own + ((size_t)p - 1) * each, each));
        free(y);
    }
    if (!(far <= tolerance) || !(far_raw <= tolerance_raw) || only)
        printf("  %-18s %s: farthest %.2g, not of length 1 %.2g\n", name, strstr(path, ".gguf") ? "gguf" : "hf  ",
               (double)far, (double)far_raw);
    CHECK(far <= tolerance);
    CHECK(far_raw <= tolerance_raw);
    free(x);
    gyr_model_close(m);
}

// Each text by itself, all in another order, and many times over, more than a call computes at once.
static void check_neighbours(const char *path) {
    enum { MANY = 150 };
    static gyr_tokens many[MANY];
    size_t n = test_times(MANY, 15);
    gyr_model *m = model_of(path, 3);
    REQUIRE(m);
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    size_t width = info.embedding, bytes = width * sizeof(float);
    for (size_t i = 0; i < n; i++) many[i] = texts[(i * 5 + i / 7) % (i % 40 ? 4 : TEXTS)];
    float *want = embed(m, texts, TEXTS, NULL, width), *got = embed(m, many, n, NULL, width);
    REQUIRE(want && got);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < TEXTS; k++)
            if (many[i].ids == texts[k].ids) CHECK(!memcmp(got + i * width, want + k * width, bytes));
    for (size_t k = 0; k < TEXTS; k++) {
        float *one = embed(m, &texts[k], 1, NULL, width);
        CHECK(one && !memcmp(one, want + k * width, bytes));
        free(one);
    }
    free(want);
    free(got);
    gyr_model_close(m);
}

static void check_sets(const char *path) {
    char *before = getenv("GYR_ISA") ? strdup(getenv("GYR_ISA")) : NULL;
    float *want = NULL;
    static int turn; // where that is slow, each model has the fastest set and one more, by turns
    int fastest = SETS - 1;
    while (!sets_here(sets[fastest])) fastest--;
    turn = fastest ? (turn + 1) % fastest : 0;
    for (int i = 0; i < SETS; i++) {
        if (!sets_here(sets[i]) || (TEST_SLOW && i != fastest && i != turn)) continue;
        setenv("GYR_ISA", sets[i], 1);
        gyr_model *m = model_of(path, (unsigned)i % 3 + 1);
        gyr_model_info info;
        CHECK(m);
        if (!m) break;
        gyr_model_get_info(m, &info);
        float *got = embed(m, texts, TEXTS, NULL, info.embedding);
        if (want) CHECK(got && !memcmp(got, want, TEXTS * info.embedding * sizeof *got));
        if (want) free(got);
        if (!want) want = got;
        gyr_model_close(m);
    }
    free(want);
    unsetenv("GYR_ISA");
    if (before) setenv("GYR_ISA", before, 1);
    free(before);
}

// Converted, it gives the same bytes, and has what llama.cpp's converter writes; Dense modules are refused.
static void check_converted(const char *name) {
    gyr_error e = {0};
    const char *got = file_of("got.gguf");
    gyr_convert_options o = {.input = folder, .output = got};
    if (strstr(name, "gemma") || strstr(name, "cls")) {
        CHECK_INT(gyr_convert(&o, &e), GYR_UNSUPPORTED);
        CHECK(strstr(e.message, "GGUF cannot express"));
        return;
    }
    CHECK_INT(gyr_convert(&o, &e), GYR_OK);
    if (e.status) printf("  %s: %s\n", name, e.message);
    gyr_model *m = model_of(folder, 1), *n = model_of(got, 1);
    REQUIRE(m && n);
    float *want = embed(m, texts, TEXTS, NULL, 32), *have = embed(n, texts, TEXTS, NULL, 32);
    CHECK(want && have && !memcmp(want, have, (size_t)TEXTS * 32 * sizeof *want));
    free(want);
    free(have);
    gyr_model_close(m);
    gyr_model_close(n);
    if (!has_gguf()) return;
    struct checkpoint *a = checkpoint_open(file_of("model.gguf"), &e), *b = checkpoint_open(got, &e);
    CHECK_INT(b->n_tensors, a->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        char tensor[128];
        snprintf(tensor, sizeof tensor, "%.*s", (int)a->tensors[i].name.size, a->tensors[i].name.data);
        const struct tensor *t = checkpoint_tensor(b, tensor);
        bool same = t && t->bytes == a->tensors[i].bytes && !memcmp(t->data, a->tensors[i].data, t->bytes);
        if (!same) printf("  %s: %s is another or missing\n", name, tensor);
        CHECK(same);
    }
    for (size_t i = 0; i < all.n_keys; i++) {
        char key[128];
        if (sscanf(all.keys[i], "%*c %127s", key) != 1) continue;
        bool there = checkpoint_value(b, key);
        if (!there) printf("  %s: no key %s\n", name, key);
        CHECK(there);
    }
    checkpoint_close(a);
    checkpoint_close(b);
}

static void check_kind(void) {
    char *text = gyr_inspect(folder, false, NULL), want[128];
    snprintf(want, sizeof want, "\"family\": \"%s\"", all.kind);
    CHECK(text && strstr(text, want));
    gyr_free(text);
}

// Where it is slow, a model has one of the two last checks, and the next model the other.
static void check(const char *name) {
    static size_t turn;
    size_t step = test_times(1, 2);
    gyr_error e = {0};
    bool ok = load(name) && write_folder() && (!has_gguf() || drawn_write_gguf(&all, file_of("model.gguf"), &e));
    if (!ok) printf("  %s: cannot be written: %s\n", name, e.message);
    CHECK(ok);
    if (ok) {
        check_kind();
        check_file(name, folder);
        if (has_gguf()) check_file(name, file_of("model.gguf"));
        if (turn % step == 0) check_neighbours(folder);
        check_converted(name);
        if (++turn % step == 0) check_sets(folder);
    }
    unload();
    remove_folder();
}

static void embeddings_are_those_of_sentence_transformers(void) {
    int n = 0;
    DIR *dir = opendir(test_data("embeddings"));
    for (struct dirent *f; dir && (f = readdir(dir));) {
        char name[64], *end;
        snprintf(name, sizeof name, "%.60s", f->d_name);
        if (!(end = strstr(name, ".txt"))) continue;
        *end = 0;
        if (only && strcmp(only, name)) continue;
        check(name);
        n++;
    }
    if (dir) closedir(dir);
    CHECK(n > 0);
}

static void vectors_are_cut_and_then_of_length_1(void) {
    REQUIRE(load("bert") && write_folder());
    gyr_model *m = model_of(folder, 1);
    REQUIRE(m);
    float *raw = embed(m, texts, 2, &(gyr_embed_options){.unit = GYR_UNIT_NO}, 32);
    float *cut = embed(m, texts, 2, &(gyr_embed_options){.dimensions = 5}, 5);
    float *cut_raw = embed(m, texts, 2, &(gyr_embed_options){.dimensions = 5, .unit = GYR_UNIT_NO}, 5);
    REQUIRE(raw && cut && cut_raw);
    for (size_t k = 0; k < 2; k++) {
        double square = 0;
        CHECK(!memcmp(cut_raw + k * 5, raw + k * 32, 5 * sizeof *raw));
        for (size_t i = 0; i < 5; i++) square += (double)raw[k * 32 + i] * (double)raw[k * 32 + i];
        for (size_t i = 0; i < 5; i++) CHECK(cut[k * 5 + i] == (float)((double)raw[k * 32 + i] / sqrt(square)));
    }
    free(raw);
    free(cut);
    free(cut_raw);
    gyr_model_close(m);
    unload();
    remove_folder();
}

static void prompts_are_the_folders(void) {
    REQUIRE(load("bert") && write_folder());
    gyr_model *m = model_of(folder, 1);
    REQUIRE(m);
    CHECK_STR(gyr_embed_prompt(m, "query"), "find: ");
    CHECK_STR(gyr_embed_prompt(m, "document"), "");
    CHECK_STR(gyr_embed_prompt(m, NULL), "");
    CHECK(!gyr_embed_prompt(m, "other"));
    CHECK_STR(gyr_embed_prompt_name(m, 0), "query");
    CHECK(!gyr_embed_prompt_name(m, 2));
    gyr_model_close(m);
    CHECK(drawn_write_text(file_of("config_sentence_transformers.json"),
                           "{\"prompts\": {\"query\": \"find: \"}, \"default_prompt_name\": \"query\"}"));
    m = model_of(folder, 1);
    REQUIRE(m);
    CHECK_STR(gyr_embed_prompt(m, NULL), "find: ");
    gyr_model_close(m);
    unload();
    remove_folder();
}

static void refused(gyr_model *m, const gyr_tokens *text, const gyr_embed_options *o, gyr_status status,
                    const char *why) {
    float out[64];
    gyr_error e = {0};
    CHECK_INT(gyr_embed(m, text, 1, o, out, &e), status);
    CHECK_STR(e.message + (strlen(e.message) >= strlen(folder) ? strlen(folder) : 0), why);
}

static void what_cannot_be_is_told(void) {
    int32_t few[] = {5, 64}, many[641] = {0};
    gyr_error e = {0};
    REQUIRE(load("bert") && write_folder());
    gyr_model *m = model_of(folder, 1);
    REQUIRE(m);
    refused(m, &(gyr_tokens){few, 0}, NULL, GYR_USAGE, ": text 1 has no tokens; an embedding needs one");
    refused(m, &(gyr_tokens){few, 2}, NULL, GYR_USAGE, ": text 1: token 64: ids are 0 to 63");
    refused(m, &(gyr_tokens){many, 641}, NULL, GYR_TOO_LONG,
            ": text 1 has 641 tokens, and the model's context is 640; shorten it or embed its parts");
    refused(m, &(gyr_tokens){few, 1}, &(gyr_embed_options){.dimensions = 33}, GYR_USAGE,
            ": 33 dimensions of an embedding of 32; ask for fewer");
    refused(m, &(gyr_tokens){few, 1}, &(gyr_embed_options){.pooling = (gyr_pooling)4}, GYR_USAGE,
            ": no such pooling or unit: 4, 0");
    CHECK(!gyr_session_new(m, NULL, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "is an encoder, which writes no text"));
    gyr_model_close(m);
    static const struct {
        const char *file, *content, *why;
    } odd[] = {
        {"1_Pooling/config.json", "{\"pooling_mode_max_tokens\": true}", "pooling by 'pooling_mode_max_tokens'"},
        {"1_Pooling/config.json", "{\"pooling_mode\": \"max\"}", "pooling by 'max'"},
        {"1_Pooling/config.json", "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}", "two ways"},
        {"1_Pooling/config.json", "{\"include_prompt\": false}", "leaves its prompt out"},
        {"1_Pooling/config.json", "[", "1_Pooling/config.json cannot be read"},
        {"modules.json", "{}", "modules.json is no list"},
        {"modules.json", "[{\"type\": \"x.Transformer\", \"path\": \"0\"}]", "first module is not a Transformer"},
        {"modules.json", "[{\"type\": \"x.Transformer\", \"path\": \"\"}, {\"type\": \"x.CNN\", \"path\": \"1\"}]",
         "a module 'CNN', which gyr does not compute"},
        {"modules.json",
         "[{\"type\": \"x.Transformer\", \"path\": \"\"}, {\"type\": \"x.Pooling\", \"path\": \"../x\"}]",
         "a module 'Pooling' without a folder"},
        {"modules.json", "[{\"type\": \"x.Transformer\", \"path\": \"\"}]", "it has no pooling module"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        float out[32];
        REQUIRE(write_folder() && drawn_write_text(file_of(odd[i].file), odd[i].content));
        m = model_of(folder, 1);
        REQUIRE(m);
        gyr_model_info info;
        gyr_model_get_info(m, &info);
        CHECK_INT(info.embedding, 0);
        CHECK_INT(gyr_embed(m, texts, 1, NULL, out, &e), GYR_UNSUPPORTED);
        if (!strstr(e.message, odd[i].why)) printf("  %s\n", e.message);
        CHECK(strstr(e.message, odd[i].why));
        gyr_model_close(m);
    }
    unload();
    remove_folder();
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    only = getenv("GYR_FAMILY");
    sets_report(sets_here);
    RUN(embeddings_are_those_of_sentence_transformers);
    RUN(vectors_are_cut_and_then_of_length_1);
    RUN(prompts_are_the_folders);
    RUN(what_cannot_be_is_told);
    rmdir(folder);
    return test_end();
}
