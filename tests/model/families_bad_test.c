// Files whose hyperparameters lie: every number of every model's metadata, replaced by others one at a time, gives a
// model that runs or one line that says what is wrong, and nothing worse.
#include "drawn.h"

#include <ctype.h>
#include <dirent.h>

static char folder[] = "/tmp/gyr-lies-XXXXXX";
static char names[256][64];
static size_t n_names;
static unsigned opened, refused;
static uint64_t state = 7;

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void list_names(void) {
    DIR *dir = opendir(test_data("models"));
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end = strstr(e->d_name, ".txt");
        if (!end || n_names == 256) continue;
        *end = 0;
        snprintf(names[n_names++], sizeof names[0], "%.60s", e->d_name);
    }
    if (dir) closedir(dir);
}

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static const char *const lies[] = {"0",          "1",  "2",    "3",     "5",    "7",     "8",
                                   "16",         "33", "64",   "127",   "1000", "65536", "2147483648",
                                   "4294967295", "-1", "1e30", "0.001", "-0.5"};

// Opens a file or folder; what opens must also run.
static void try_it(const char *path) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.threads = 1}, &e);
    if (!m) {
        refused++;
        CHECK(e.status && *e.message && !strchr(e.message, '\n'));
        return;
    }
    opened++;
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    gyr_session *s =
        gyr_session_new(m, &(gyr_session_options){.context = info.far_context < 64 ? info.far_context : 64}, &e);
    int32_t ids[] = {1, 2, 3, 4, 5};
    if (s) gyr_session_feed(s, ids, info.far_context < 5 ? info.far_context : 5, NULL, &e);
    gyr_session_free(s);
    gyr_model_close(m);
}

// A key of the GGUF file with another value of its kind.
static void lie_in_gguf(struct drawn *d) {
    size_t i = draw((uint32_t)d->n_keys);
    char *key = d->keys[i], name[128], kind, changed[256];
    if (sscanf(key, "%c %127s", &kind, name) != 2 || kind == 's') return;
    snprintf(changed, sizeof changed, "%c %s %s", kind, name, lies[draw(sizeof lies / sizeof *lies)]);
    d->keys[i] = changed;
    CHECK(drawn_write_gguf(d, file_of("model.gguf"), NULL));
    d->keys[i] = key;
    try_it(file_of("model.gguf"));
}

// A number of config.json with another.
static void lie_in_config(const struct drawn *d) {
    size_t n = strlen(d->config), at = draw((uint32_t)n), end;
    while (at < n && !(isdigit((unsigned char)d->config[at]) && !isalnum((unsigned char)d->config[at - 1]))) at++;
    if (at >= n) return;
    for (end = at; end < n && strchr("0123456789.e-+", d->config[end]); end++) continue;
    char *changed = malloc(n + 32);
    snprintf(changed, n + 32, "%.*s%s%s", (int)at, d->config, lies[draw(sizeof lies / sizeof *lies)], d->config + end);
    CHECK(drawn_write_text(file_of("config.json"), changed));
    free(changed);
    try_it(folder);
    gyr_error e = {0};
    bool told = gyr_convert(&(gyr_convert_options){.input = folder, .output = file_of("model.gguf")}, &e);
    CHECK(told == (*e.message != 0));
}

static void lies_do_no_harm(void) {
    static struct drawn d;
    for (size_t i = 0; i < n_names; i++) {
        bool ok = drawn_load(&d, names[i]) && drawn_write_safetensors(&d, file_of("model.safetensors"));
        CHECK(ok);
        for (size_t k = 0; ok && k < test_times(10, 12); k++) { // sanitizers are what sees harm
            lie_in_gguf(&d);
            lie_in_config(&d);
        }
        drawn_free(&d);
    }
    printf("  %u opened, %u refused\n", opened, refused);
    CHECK(opened > 100 && refused > 100);
}

static void refuses(const char *path, const char *why) {
    gyr_error e = {0};
    char message[512];
    gyr_model *m = gyr_model_open(path, NULL, &e);
    snprintf(message, sizeof message, "%s: %s", path, why);
    CHECK(!m);
    CHECK_INT(e.status, GYR_MALFORMED);
    CHECK_STR(e.message, message);
    if (m) gyr_model_close(m);
}

// The model with one key of its GGUF file changed.
static void refuses_key(struct drawn *d, const char *key, const char *value, const char *why) {
    for (size_t i = 0; i < d->n_keys; i++) {
        char *have = d->keys[i], changed[128];
        if (!strstr(have, key)) continue;
        snprintf(changed, sizeof changed, "u glm-dsa.%s %s", key, value);
        d->keys[i] = changed;
        CHECK(drawn_write_gguf(d, file_of("model.gguf"), NULL));
        d->keys[i] = have;
    }
    refuses(file_of("model.gguf"), why);
}

// A folder whose config has a word in another's place, once.
static void refuses_word(const struct drawn *d, const char *word, const char *other, const char *why) {
    size_t room = strlen(d->config) + 64;
    char *at = strstr(d->config, word), *changed = malloc(room);
    snprintf(changed, room, "%.*s%s%s", (int)(at - d->config), d->config, other, at + strlen(word));
    CHECK(drawn_write_text(file_of("config.json"), changed));
    free(changed);
    refuses(folder, why);
}

static void indexers_must_fit(void) {
    static struct drawn d;
    REQUIRE(drawn_load(&d, "glm5.2") && drawn_write_safetensors(&d, file_of("model.safetensors")));
    refuses_key(&d, "attention.indexer.key_length", "2",
                "an indexer with keys of 2, 4 rotated, and queries of 24; convert the model again");
    refuses_key(
        &d, "attention.indexer.key_length", "257",
        "key glm-dsa.attention.indexer.key_length is 257, not within 1 to 256; the file is damaged or not for gyr");
    refuses_key(
        &d, "attention.indexer.top_k", "0",
        "key glm-dsa.attention.indexer.top_k is 0, not within 1 to 1048576; the file is damaged or not for gyr");
    refuses_word(
        &d, "\"indexer_types\": [\"full\"", "\"indexer_types\": [\"shared\"",
        "an indexer with keys of 12, 4 rotated, and queries of 24, and none in the first layer; convert the model "
        "again");
    refuses_word(
        &d, "\"full\", \"shared\", \"full\"", "\"full\", \"full\", \"full\"",
        "tensor 'model.layers.2.self_attn.indexer.wq_b.weight' is missing; download or convert the model again");
    drawn_free(&d);
}

// Keys that any file may have, in one of a family that they do not go with.
static void traits_that_do_not_compose(void) {
    static const struct {
        const char *model, *keys[2], *why;
    } cases[] = {
        {"starcoder2",
         {"u starcoder2.expert_count 4", "u starcoder2.expert_used_count 2"},
         "MLPs without gates together with experts"},
        {"baichuan-13b", {"f baichuan.attn_logit_softcapping 30"}, "ALiBi together with capped scores"},
        {"deepseek-v3.2", {"u deepseek32.attention.sliding_window 8"}, "an indexer together with windows"},
    };
    static struct drawn d;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gyr_error e = {0};
        char want[256];
        REQUIRE(drawn_load(&d, cases[i].model));
        for (int k = 0; k < 2 && cases[i].keys[k]; k++) d.keys[d.n_keys++] = strdup(cases[i].keys[k]);
        REQUIRE(drawn_write_gguf(&d, file_of("model.gguf"), NULL));
        snprintf(want, sizeof want, "%s: %s is a combination that gyr does not compute; choose another model",
                 file_of("model.gguf"), cases[i].why);
        CHECK(!gyr_model_open(file_of("model.gguf"), NULL, &e));
        CHECK_INT(e.status, GYR_UNSUPPORTED);
        CHECK_STR(e.message, want);
        drawn_free(&d);
    }
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    list_names();
    RUN(indexers_must_fit);
    RUN(traits_that_do_not_compose);
    RUN(lies_do_no_harm);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
