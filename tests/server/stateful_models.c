// Writes models of tests/data/models as GGUF files that gyr serve can answer with: with letters for tokens, a context
// of 4096 tokens, and a chat template. And those of model/wide.h, as they are.
//
//     stateful_models FOLDER NAME...
#include "model/drawn.h"
#include "model/wide.h"

// Makes the context of a "u ARCHITECTURE.context_length N" longer.
static void lengthen(struct drawn *d) {
    static const char key[] = ".context_length ";
    for (size_t i = 0; i < d->n_keys; i++) {
        char *at = strstr(d->keys[i], key), *longer = NULL;
        if (!at || asprintf(&longer, "%.*s4096", (int)(at - d->keys[i] + (ptrdiff_t)strlen(key)), d->keys[i]) < 0)
            continue;
        free(d->keys[i]);
        d->keys[i] = longer;
    }
}

static bool write_wide(const char *name, const char *path, gyr_error *e) {
    size_t i = 0;
    while (i < WIDE_MODELS && strcmp(wide_models[i].shape.name, name)) i++;
    return i < WIDE_MODELS && wide_write(i, path, e);
}

int main(int argc, char **argv) {
    static struct drawn d;
    gyr_error e = {0};
    for (int i = 2; i < argc; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.gguf", argv[1], argv[i]);
        if (write_wide(argv[i], path, &e)) continue;
        if (!drawn_load(&d, argv[i])) return 1;
        d.letters = true;
        lengthen(&d);
        if (!drawn_write_gguf(&d, path, &e)) {
            fprintf(stderr, "%s\n", e.message);
            return 1;
        }
        drawn_free(&d);
    }
    return 0;
}
