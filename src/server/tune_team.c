#include "server/tune_team.h"

#include "server/server.h"
#include "server/tuner.h"

#include "base/buf.h"
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// In front of the data, and of what it is validated with; identical machines read it as it is.
struct told {
    uint64_t data, valid, seed; // bytes
    double rate, beta;
    uint32_t epochs, batch, method, validates, products, none;
};

enum { MOST_DATA = 1 << 30 }; // bytes: more than that is no message

// ------------------------------------------------------------------------------------------------ rank 0

static bool append_file(struct buf *b, const char *path, uint64_t *n, gyr_error *e) {
    static const size_t piece = 1 << 16;
    FILE *f = fopen(path, "rbe");
    size_t before = b->size;
    if (!f) return fail(e, GYR_IO, "%s: %s", path, strerror(errno));
    char *room = malloc(piece);
    for (size_t some; room && b->size <= MOST_DATA && (some = fread(room, 1, piece, f));) buf_append(b, room, some);
    bool read = room && !ferror(f);
    fclose(f);
    free(room);
    *n = b->size - before;
    if (b->size > MOST_DATA) return fail(e, GYR_UNSUPPORTED, "%s: more than 1 GiB, which is not sent to others", path);
    return read ? !b->failed || fail_memory(e, path) : fail(e, GYR_IO, "%s: cannot be read", path);
}

bool team_call(gyr_ranks *beside, const gyr_tune_options *o, gyr_error *e) {
    struct told t = {.seed = o->seed,
                     .rate = o->learning_rate,
                     .beta = o->beta,
                     .epochs = o->epochs,
                     .batch = o->batch,
                     .method = o->method,
                     .products = o->products,
                     .validates = o->valid != NULL};
    struct buf b = {0};
    buf_append(&b, &t, sizeof t);
    bool ok = append_file(&b, o->data, &t.data, e) && (!o->valid || append_file(&b, o->valid, &t.valid, e));
    if (ok) memcpy(b.data, &t, sizeof t);
    ok = ok && !gyr_ranks_call(beside, b.data, b.size, e);
    buf_free(&b);
    return ok;
}

// ------------------------------------------------------------------------------------------------ others

struct serve_helper {
    pthread_t thread;
    atomic_bool stop, over;
    struct serve_help how;
};

// A job as it came.
struct work {
    struct serve_helper *h;
    gyr_ranks *beside;
    struct told told;
    int data, valid; // files in memory
    gyr_error error;
};

static bool go_on(void *user, double fraction) {
    const struct serve_helper *h = user;
    (void)fraction;
    return !atomic_load(&h->stop);
}

static bool on_progress(void *user, const gyr_tune_progress *p) {
    (void)p;
    return go_on(user, 0);
}

static bool agreed(struct work *w, bool ok) {
    return !gyr_ranks_agree(w->beside, ok ? GYR_OK : w->error.status, w->error.message, &w->error);
}

// What it takes has to be there at the beginning; whoever needs more later gets it from what the system can let go.
static bool has_room(const gyr_tune *tune, gyr_error *e) {
    gyr_tune_info i;
    gyr_tune_get_info(tune, &i);
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return i.bytes <= all || fail(e, GYR_NO_MEMORY, "training takes %.3g GB of memory, and this machine has %.3g GB",
                                  (double)i.bytes / 1e9, (double)all / 1e9);
}

static void train(struct work *w) {
    struct serve_helper *h = w->h;
    char data[40], valid[40];
    snprintf(data, sizeof data, "/proc/self/fd/%d", w->data);
    snprintf(valid, sizeof valid, "/proc/self/fd/%d", w->valid);
    gyr_model_options how = {.threads = 1, .device = "cpu", .mapped = true, .progress = go_on, .user = h};
    gyr_tune_options o = {.data = data,
                          .valid = w->told.validates ? valid : NULL,
                          .epochs = w->told.epochs,
                          .batch = w->told.batch,
                          .learning_rate = w->told.rate,
                          .method = (gyr_method)w->told.method,
                          .beta = w->told.beta,
                          .products = (gyr_products)w->told.products,
                          .seed = w->told.seed,
                          .threads = h->how.threads,
                          .progress = on_progress,
                          .user = h,
                          .ranks = w->beside};
    gyr_model *m = w->error.status ? NULL : gyr_model_open(h->how.model, &how, &w->error);
    gyr_tune *tune = m ? gyr_tune_open(m, &o, &w->error) : NULL;
    bool ok = tune && has_room(tune, &w->error);
    if (agreed(w, ok) && agreed(w, true)) gyr_tune_run(tune, &w->error); // what is wrong, rank 0 hears
    gyr_tune_close(tune);
    gyr_model_close(m);
}

// On a thread that steps back; the one that listens does not.
static void *work(void *arg) {
    struct work *w = arg;
    if (!w->h->how.fair) tuner_step_back();
    train(w);
    return NULL;
}

static int in_memory(const char *data, size_t n, gyr_error *e) {
    int fd = memfd_create("gyr-data", MFD_CLOEXEC);
    int why = errno;
    for (size_t done = 0; fd >= 0 && done < n;) {
        ssize_t some = write(fd, data + done, n - done);
        if (some > 0) {
            done += (size_t)some;
            continue;
        }
        why = errno;
        close(fd);
        fd = -1;
    }
    if (fd < 0) fail(e, GYR_NO_MEMORY, "no room for the data of a training: %s", strerror(why));
    return fd;
}

static void begin(struct serve_helper *h, gyr_ranks *beside, const char *data, size_t n) {
    struct work w = {.h = h, .beside = beside, .data = -1, .valid = -1};
    pthread_t thread;
    size_t left = n < sizeof w.told ? 0 : n - sizeof w.told;
    if (n >= sizeof w.told) memcpy(&w.told, data, sizeof w.told);
    data += sizeof w.told;
    if (n < sizeof w.told || w.told.data > left || w.told.valid != left - w.told.data)
        fail(&w.error, GYR_FAILED, "rank 0 sent a training that cannot be read");
    else if ((w.data = in_memory(data, (size_t)w.told.data, &w.error)) >= 0)
        w.valid = in_memory(data + w.told.data, (size_t)w.told.valid, &w.error);
    if (!pthread_create(&thread, NULL, work, &w)) {
        pthread_join(thread, NULL);
    } else {
        fail(&w.error, GYR_FAILED, "no more threads can be made; raise the limit of processes (ulimit -u)");
        agreed(&w, false);
    }
    if (w.data >= 0) close(w.data);
    if (w.valid >= 0) close(w.valid);
}

static void *help(void *arg) {
    const struct timespec moment = {0, 200000000};
    struct serve_helper *h = arg;
    while (!atomic_load(&h->stop)) {
        gyr_ranks *beside = gyr_ranks_beside(h->how.ranks, NULL);
        void *call = NULL;
        size_t n;
        while (beside && !atomic_load(&h->stop) && !gyr_ranks_listen(beside, &call, &n, NULL)) {
            begin(h, beside, call, n);
            gyr_free(call);
        }
        gyr_ranks_beside_end(beside);
        if (!atomic_load(&h->stop)) nanosleep(&moment, NULL); // until those that are left have closed up
    }
    atomic_store(&h->over, true);
    return NULL;
}

struct serve_helper *serve_help_begin(const struct serve_help *how) {
    struct serve_helper *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->how = *how;
    if (!pthread_create(&h->thread, NULL, help, h)) return h;
    free(h);
    return NULL;
}

void serve_help_end(struct serve_helper *h) {
    const struct timespec moment = {0, 10000000};
    if (!h) return;
    atomic_store(&h->stop, true);
    for (int i = 0; i < 1000 && !atomic_load(&h->over); i++) nanosleep(&moment, NULL);
    if (!atomic_load(&h->over)) return; // in the middle of an example; the process is about to end
    pthread_join(h->thread, NULL);
    free(h);
}
