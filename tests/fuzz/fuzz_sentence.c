// sentence-transformers' files of a folder: modules.json, the config.json of two modules, and
// config_sentence_transformers.json, with a zero byte between them. Whatever they hold, the folder either says how
// embeddings are made, or why there are none.
#include "format/hf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/gyr-fuzz-sentence-XXXXXX";
static const char *const names[] = {"modules.json", "1_Pooling/config.json", "2_Dense/config.json",
                                    "config_sentence_transformers.json"};
enum { NAMES = sizeof names / sizeof *names };

static void path_of(const char *name, char path[128]) { snprintf(path, 128, "%s/%s", folder, name); }

static void remove_all(void) {
    char path[128];
    for (size_t i = 0; i < NAMES; i++) {
        path_of(names[i], path);
        unlink(path);
    }
    path_of("1_Pooling", path);
    rmdir(path);
    path_of("2_Dense", path);
    rmdir(path);
    rmdir(folder);
}

static void make_folder(void) {
    char path[128];
    static bool made;
    if (made) return;
    made = mkdtemp(folder);
    path_of("1_Pooling", path);
    mkdir(path, 0700);
    path_of("2_Dense", path);
    mkdir(path, 0700);
    atexit(remove_all);
}

static void write_file(const char *name, const char *p, size_t size) {
    char path[128];
    path_of(name, path);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, size, f) != size || fclose(f)) abort();
}

static void check(const struct checkpoint *c) {
    const struct sentence *s = &c->sentence;
    if (s->n_dense > MAX_DENSE || (s->refused && (!*s->refused || s->n_dense))) abort();
    if (s->told && !s->refused && !s->pooling) abort();
    for (size_t i = 0; i < s->n_prompts; i++)
        if (!s->prompts[i].name || !s->prompts[i].text) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *p = (const char *)data, *end = p + size;
    gyr_error e = {0};
    make_folder();
    for (size_t i = 0; i < NAMES; i++) {
        const char *stop = p < end && i + 1 < NAMES ? memchr(p, 0, (size_t)(end - p)) : NULL;
        if (!stop) stop = end;
        write_file(names[i], p, (size_t)(stop - p));
        p = stop < end ? stop + 1 : end;
    }
    struct checkpoint *c = checkpoint_new(folder, NULL);
    if (!c) abort();
    if (hf_sentence(c, &e))
        check(c);
    else if (!e.message[0] || strchr(e.message, '\n'))
        abort(); // a Dense module's weights are missing
    checkpoint_close(c);
    return 0;
}
