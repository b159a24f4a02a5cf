// A model's tiles in a file of the cache.
#include "engine/engine.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Less is rewritten faster than a person can tell.
enum { LEAST = 16 << 20 };

// What the tiles are made from: the form, the files' sizes and times, each matrix's shape and samples of its bytes.
static uint64_t key_of(struct gyr_model *m, struct weight *const *w, size_t n) {
    const struct device_ops *ops = m->device->ops;
    uint64_t stamp = checkpoint_stamp(m->checkpoint), key = cache_hash(ops->form, ops->kind, strlen(ops->kind));
    key = cache_hash(key, &stamp, sizeof stamp);
    for (size_t i = 0; i < n; i++) {
        uint64_t shape[] = {(uint64_t)w[i]->type, w[i]->rows, w[i]->cols};
        key = cache_hash(key, shape, sizeof shape);
        key = cache_sample(key, w[i]->data, w[i]->rows * type_row_bytes(w[i]->type, w[i]->cols));
    }
    return key;
}

struct kept {
    struct cache file;
    struct cache_want want;
    char source[1024];
    size_t *bytes;
    uint8_t **room;
    struct device *device;
    struct weight **weights; // while they are written
    bool found, writing;
    pthread_t writer;
};

static void fill_want(struct kept *k, struct gyr_model *m, struct weight *const *w, size_t n) {
    char *source = realpath(m->checkpoint->path, NULL);
    snprintf(k->source, sizeof k->source, "%s", source ? source : m->checkpoint->path);
    free(source);
    for (size_t i = 0; i < n; i++) k->bytes[i] = m->device->ops->form_bytes(m->device, w[i]);
    k->want = (struct cache_want){key_of(m, w, n), k->source, k->bytes, n};
}

struct kept *kept_open(struct gyr_model *m) {
    size_t n;
    struct weight **w = model_tiled_bytes(m->model) >= LEAST ? model_matrices(m->model, &n) : NULL;
    struct kept *k = w ? calloc(1, sizeof *k) : NULL;
    if (k && (k->bytes = calloc(n, sizeof *k->bytes)) && (k->room = calloc(n, sizeof *k->room))) {
        fill_want(k, m, w, n);
        k->found = cache_find(&k->file, &k->want, k->room);
    }
    bool ok = k && k->room && (k->found || cache_make(&k->file, &k->want));
    free(w);
    if (ok) return k;
    kept_close(k);
    return NULL;
}

uint8_t **kept_rooms(struct kept *k) { return k && k->found ? k->room : NULL; }

static bool give(void *arg, size_t i, size_t at, size_t bytes, void *to) {
    struct kept *k = arg;
    return k->device->ops->form_give(k->device, k->weights[i], at, bytes, to);
}

static void *write_tiles(void *arg) {
    struct kept *k = arg;
    cache_write(&k->file, &k->want, give, k);
    return NULL;
}

// Signals are for the program's own threads. Where a matrix found no memory and has no tiles to keep, nothing is.
void kept_write(struct kept *k, struct gyr_model *m) {
    size_t n = 0;
    if (!k || k->found || !(k->weights = model_matrices(m->model, &n))) return;
    k->device = m->device;
    sigset_t none, before;
    sigfillset(&none);
    pthread_sigmask(SIG_SETMASK, &none, &before);
    k->writing = !pthread_create(&k->writer, NULL, write_tiles, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void kept_close(struct kept *k) {
    if (!k) return;
    if (k->writing) pthread_join(k->writer, NULL);
    cache_close(&k->file);
    free(k->weights);
    free(k->bytes);
    free(k->room);
    free(k);
}
