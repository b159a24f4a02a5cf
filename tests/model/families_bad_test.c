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

static const char *file_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

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
}

static void lies_do_no_harm(void) {
    static struct drawn d;
    for (size_t i = 0; i < n_names; i++) {
        bool ok = drawn_load(&d, names[i]) && drawn_write_safetensors(&d, file_of("model.safetensors"));
        CHECK(ok);
        for (int k = 0; ok && k < 24; k++) {
            lie_in_gguf(&d);
            lie_in_config(&d);
        }
        drawn_free(&d);
    }
    printf("  %u opened, %u refused\n", opened, refused);
    CHECK(opened > 100 && refused > 100);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    list_names();
    RUN(lies_do_no_harm);
    const char *files[] = {"config.json", "model.safetensors", "model.gguf"};
    for (int i = 0; i < 3; i++) unlink(file_of(files[i]));
    rmdir(folder);
    return test_end();
}
