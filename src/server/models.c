#include "server/models.h"

#include "base/clock.h"
#include "server/scheduler.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct served {
    struct models *all;
    struct model_source source;
    gyr_model *model; // NULL: not loaded
    gyr_model_info info;
    struct format format;
    bool loading, draining;
    unsigned holders;
    double used, load_seconds;
    time_t since;
};

struct models {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gyr_model_options options;
    struct scheduler *scheduler;
    struct served *list;
    size_t n;
};

struct models *models_new(const struct model_source *sources, size_t n, const gyr_model_options *options,
                          gyr_error *e) {
    struct models *m = calloc(1, sizeof *m);
    struct served *list = calloc(n, sizeof *list);
    if (!m || !list) {
        free(m);
        free(list);
        return fail_memory(e, "models"), NULL;
    }
    *m = (struct models){.options = *options, .list = list, .n = n};
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        list[i] = (struct served){.all = m, .source = sources[i], .since = time(NULL)};
        if (sources[i].path && !stat(sources[i].path, &st)) list[i].since = st.st_mtime;
        if (models_find(m, sources[i].name) == &list[i]) continue;
        fail(e, GYR_USAGE, "%s: two models have this name; give one an --alias", sources[i].name);
        models_free(m);
        return NULL;
    }
    return m;
}

void models_free(struct models *m) {
    if (!m) return;
    for (size_t i = 0; i < m->n; i++) gyr_model_close(m->list[i].model);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->changed);
    free(m->list);
    free(m);
}

void models_tell(struct models *m, struct scheduler *s) { m->scheduler = s; }

size_t models_count(const struct models *m) { return m->n; }

struct served *models_at(const struct models *m, size_t i) {
    return &m->list[i];
}

struct served *models_find(const struct models *m, const char *name) {
    static const char tag[] = ":latest"; // programs that speak to Ollama add it
    size_t n = name ? strlen(name) : 0;
    if (!n) return &m->list[0];
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->list[i].source.name, name)) return &m->list[i];
    if (n < sizeof tag || strcmp(name + n - (sizeof tag - 1), tag)) return NULL;
    for (size_t i = 0; i < m->n; i++) {
        const char *is = m->list[i].source.name;
        if (strlen(is) == n - (sizeof tag - 1) && !strncmp(is, name, strlen(is))) return &m->list[i];
    }
    return NULL;
}

// The loaded model used longest ago that somebody may be made to do without; NULL: there is none. Those that nobody
// holds come first.
static struct served *least_wanted(const struct models *m, const struct served *but) {
    struct served *least = NULL;
    for (size_t i = 0; i < m->n; i++) {
        struct served *s = &m->list[i];
        if (s == but || !s->model || s->draining) continue;
        bool better =
            !least || !s->holders > !least->holders || (!s->holders == !least->holders && s->used < least->used);
        if (better) least = s;
    }
    return least;
}

// Unloads a model once those who hold it are done; who comes meanwhile waits. The lock is held, but while it waits.
static void unload(struct served *s) {
    struct models *m = s->all;
    s->draining = true;
    while (s->holders) pthread_cond_wait(&m->changed, &m->lock);
    gyr_model *model = s->model;
    s->model = NULL;
    pthread_mutex_unlock(&m->lock);
    if (m->scheduler) scheduler_forget(m->scheduler, s);
    gyr_model_close(model);
    pthread_mutex_lock(&m->lock);
    s->draining = false;
    pthread_cond_broadcast(&m->changed);
}

static gyr_model *open_source(const struct model_source *s, const gyr_model_options *o, gyr_error *e) {
    return s->path ? gyr_model_open(s->path, o, e) : gyr_model_open_memory(s->name, s->image, s->size, o, e);
}

// What there is to know of a model that was opened.
static void learn(struct served *s) {
    const char *source = gyr_model_template_source(s->model);
    gyr_model_get_info(s->model, &s->info);
    format_find(&s->format, source ? source : "", source ? strlen(source) : 0, gyr_model_tokenizer(s->model));
    // The first grammar of a tokenizer makes a tree of its vocabulary, which no request is to wait for.
    gyr_grammar_free(gyr_grammar_new(gyr_model_tokenizer(s->model), GYR_GRAMMAR_JSON, "", 0, NULL));
}

// Opens the model, making room as long as there is something to unload. The lock is held, but while it opens.
static bool load(struct served *s, gyr_error *e) {
    struct models *m = s->all;
    double start = now_seconds();
    s->loading = true;
    for (;;) {
        pthread_mutex_unlock(&m->lock);
        gyr_model *model = open_source(&s->source, &m->options, e);
        pthread_mutex_lock(&m->lock);
        struct served *other = model || e->status != GYR_NO_MEMORY ? NULL : least_wanted(m, s);
        if (other) {
            unload(other);
            continue;
        }
        s->model = model;
        break;
    }
    s->load_seconds = now_seconds() - start;
    if (s->model) learn(s);
    s->loading = false;
    pthread_cond_broadcast(&m->changed);
    return s->model;
}

bool served_load(struct served *s, struct fault *f, gyr_error *e) {
    struct models *m = s->all;
    gyr_error made = {0};
    pthread_mutex_lock(&m->lock);
    while (s->loading || s->draining) pthread_cond_wait(&m->changed, &m->lock);
    bool ok = s->model || load(s, &made);
    if (ok) {
        s->holders++;
        s->used = now_seconds();
    }
    pthread_mutex_unlock(&m->lock);
    if (!ok && e) *e = made;
    if (ok) return true;
    refuse_error(f, &made, false);
    served_hide_path(s, f->message, sizeof f->message);
    return false;
}

void served_hold(struct served *s) {
    pthread_mutex_lock(&s->all->lock);
    s->holders++;
    pthread_mutex_unlock(&s->all->lock);
}

void served_release(struct served *s) {
    pthread_mutex_lock(&s->all->lock);
    s->used = now_seconds();
    if (!--s->holders) pthread_cond_broadcast(&s->all->changed);
    pthread_mutex_unlock(&s->all->lock);
}

// Replaces each `old` in the text.
static void replace(char *text, size_t size, const char *old, const char *by) {
    size_t n = strlen(old), m = strlen(by);
    for (char *at = text; n && (at = strstr(at, old)); at += m) {
        char rest[512];
        snprintf(rest, sizeof rest, "%s", at + n);
        snprintf(at, size - (size_t)(at - text), "%s%s", by, rest);
        if (m >= size - (size_t)(at - text)) return;
    }
}

void served_hide_path(const struct served *s, char *message, size_t size) {
    char folder[4096];
    const char *path = s->source.path, *slash = path ? strrchr(path, '/') : NULL;
    if (!path) return;
    replace(message, size, path, s->source.name);
    if (!slash) return;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path); // of other parts of a split file
    if (slash > path) replace(message, size, folder, "");
}

const char *served_name(const struct served *s) { return s->source.name; }
time_t served_since(const struct served *s) { return s->since; }
gyr_model *served_model(const struct served *s) { return s->model; }
const gyr_model_info *served_info(const struct served *s) { return &s->info; }
const struct format *served_format(const struct served *s) { return &s->format; }

void served_get(struct served *s, struct served_state *state) {
    pthread_mutex_lock(&s->all->lock);
    *state = (struct served_state){s->model, s->loading, s->holders, s->used, s->load_seconds};
    pthread_mutex_unlock(&s->all->lock);
}
