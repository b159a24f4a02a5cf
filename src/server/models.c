#include "server/models.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/energy.h"
#include "server/scheduler.h"
#include "server/tuned.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Where a model was moved to, for as long as anybody may read it.
struct moved {
    struct moved *before;
    char device[32], placement[512];
};

struct served {
    struct models *all;
    struct model_source source;
    char *own_name, *own_path; // the source's strings, if it was added later
    gyr_model *model;          // NULL: not loaded
    gyr_model_info info;
    char architecture[64], types[128], device[32], placement[512]; // the info's own live only as long as the model
    struct moved *moved;
    struct format format;
    struct model_plan plan;
    char why[512]; // it could not be read; "": it could
    bool loading, draining;
    unsigned holders;
    double used, load_seconds;
    time_t since;
    _Atomic uint64_t held;    // bytes that its conversations take
    _Atomic int64_t adapters; // and its adapters
};

enum { MAX_CARDS = 16 };

struct models {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gyr_model_options options;
    uint64_t memory; // of the host
    struct model_card cards[MAX_CARDS];
    size_t n_cards;
    struct scheduler *scheduler;
    struct adapters *adapters;
    struct energy *energy;
    struct served **list; // behind the lock, as all below
    size_t n, room;
    bool busy;             // a model is being loaded, and others unloaded for it
    atomic_uint permille;  // of that model, loaded
    _Atomic int64_t other; // bytes that something else takes
    atomic_bool stopping;  // none is to be any more
};

// ------------------------------------------------------------------------------------------------ the list

// Its plan, or why there is none.
static void plan(struct served *s) {
    gyr_error e = {0};
    bool ok = model_plan(&s->plan, &s->source, &s->all->options, &e);
    snprintf(s->why, sizeof s->why, "%s", ok ? "" : e.message);
}

// One of a folder that cannot be read is nothing to wait for; one that was named may yet come.
static bool is_broken(const struct served *s) { return s->source.listed && *s->why; }

bool same_model_name(const char *is, const char *name) {
    static const char tag[] = ":latest"; // programs that speak to Ollama add it
    size_t n = strlen(is);
    return !strncmp(is, name, n) && (!name[n] || !strcmp(name + n, tag));
}

static struct served *find(const struct models *m, const char *name) {
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->list[i]->source.name, name)) return m->list[i];
    for (size_t i = 0; i < m->n; i++)
        if (same_model_name(m->list[i]->source.name, name)) return m->list[i];
    return NULL;
}

struct served *models_find(struct models *m, const char *name) {
    struct served *s = NULL;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; !(name && *name) && i < m->n && !s; i++)
        if (!is_broken(m->list[i])) s = m->list[i];
    if (name && *name) s = find(m, name);
    pthread_mutex_unlock(&m->lock);
    return s;
}

size_t models_count(struct models *m) {
    pthread_mutex_lock(&m->lock);
    size_t n = m->n;
    pthread_mutex_unlock(&m->lock);
    return n;
}

struct served *models_at(struct models *m, size_t i) {
    pthread_mutex_lock(&m->lock);
    struct served *s = m->list[i];
    pthread_mutex_unlock(&m->lock);
    return s;
}

static struct served *served_new(struct models *m, const struct model_source *source, gyr_error *e) {
    struct served *s = calloc(1, sizeof *s);
    struct stat st;
    if (!s) return fail_memory(e, "models"), NULL;
    *s = (struct served){.all = m, .source = *source, .since = time(NULL)};
    if (source->path && !stat(source->path, &st)) s->since = st.st_mtime;
    plan(s);
    return s;
}

static bool add(struct models *m, const struct model_source *source, gyr_error *e) {
    struct served *s = NULL;
    if (!ARRAY_GROW(m->list, m->n, m->room)) return fail_memory(e, "models");
    if (find(m, source->name))
        return fail(e, GYR_USAGE, "%s: two models have this name; give one an --alias", source->name);
    if (!(s = served_new(m, source, e))) return false;
    m->list[m->n++] = s;
    return true;
}

static bool go_on(void *user, double fraction) {
    struct models *m = user;
    atomic_store(&m->permille, (unsigned)(fraction * 1000));
    return !atomic_load(&m->stopping);
}

static void served_free(struct served *s) {
    if (!s) return;
    gyr_model_close(s->model);
    for (struct moved *m = s->moved, *before; m; m = before) {
        before = m->before;
        free(m);
    }
    free(s->own_name);
    free(s->own_path);
    free(s);
}

// With copies of the strings.
static struct served *served_of(struct models *m, const char *name, const char *path, gyr_error *e) {
    char *own_name = strdup(name), *own_path = strdup(path);
    struct model_source source = {.name = own_name, .path = own_path};
    struct served *s = own_name && own_path ? served_new(m, &source, e) : NULL;
    if (!s) {
        free(own_name);
        free(own_path);
        return fail_memory(e, "models"), NULL;
    }
    s->own_name = own_name;
    s->own_path = own_path;
    if (!*s->why) return s;
    fail(e, GYR_UNSUPPORTED, "%s", s->why);
    served_free(s);
    return NULL;
}

bool models_add(struct models *m, const char *name, const char *path, gyr_error *e) {
    struct served *s = served_of(m, name, path, e);
    if (!s) return false;
    pthread_mutex_lock(&m->lock);
    bool there = find(m, name), ok = there || ARRAY_GROW(m->list, m->n, m->room) || fail_memory(e, "models");
    if (ok && !there) m->list[m->n++] = s;
    pthread_mutex_unlock(&m->lock);
    if (!ok || there) served_free(s);
    return ok;
}

struct models *models_new(const struct model_source *sources, size_t n, const gyr_model_options *options,
                          uint64_t memory, gyr_error *e) {
    struct models *m = calloc(1, sizeof *m);
    if (!m) return fail_memory(e, "models"), NULL;
    *m = (struct models){.options = *options, .memory = memory ? memory : model_memory()};
    m->n_cards = model_cards(m->cards, MAX_CARDS, options);
    m->options.progress = go_on;
    m->options.user = m;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) ok = add(m, &sources[i], e);
    if (ok && !models_find(m, NULL))
        ok = fail(e, GYR_MALFORMED, "%s", m->n ? m->list[0]->why : "there is no model to serve");
    if (ok) return m;
    models_free(m);
    return NULL;
}

void models_free(struct models *m) {
    if (!m) return;
    for (size_t i = 0; i < m->n; i++) served_free(m->list[i]);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->changed);
    free(m->list);
    free(m);
}

void models_tell(struct models *m, struct scheduler *s, struct adapters *a, struct energy *e) {
    m->scheduler = s;
    m->adapters = a;
    m->energy = e;
}

void models_stop(struct models *m) {
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

gyr_ranks *models_team(const struct models *m) { return m->options.ranks; }
uint32_t models_ranks(const struct models *m) { return m->options.ranks ? gyr_ranks_count(m->options.ranks) : 1; }

uint64_t models_memory(const struct models *m) { return m->memory; }

// ------------------------------------------------------------------------------------------------ loading

// The loaded model used longest ago that somebody may be made to do without; NULL: there is none. Those that nobody
// holds come first.
static struct served *least_wanted(const struct models *m, const struct served *but) {
    struct served *least = NULL;
    for (size_t i = 0; i < m->n; i++) {
        struct served *s = m->list[i];
        if (s == but || !s->model) continue;
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
    if (m->adapters) adapters_close(m->adapters, s);
    gyr_model_close(model);
    atomic_store(&s->held, 0);
    pthread_mutex_lock(&m->lock);
    s->draining = false;
    pthread_cond_broadcast(&m->changed);
}

static gyr_model *open_source(const struct model_source *s, const gyr_model_options *o, gyr_error *e) {
    return s->path ? gyr_model_open(s->path, o, e) : gyr_model_open_memory(s->name, s->image, s->size, o, e);
}

gyr_model *served_open_apart(const struct served *s, const gyr_model_options *o, gyr_error *e) {
    return open_source(&s->source, o, e);
}

void models_note_other(struct models *m, int64_t more) { atomic_fetch_add(&m->other, more); }

static void count_card(struct energy *e, const char *name) {
    size_t i;
    gyr_device_info info;
    if (gyr_device_find(name, &i, NULL) || gyr_device_get_info(i, &info, NULL)) return;
    if (!info.threads) energy_add_card(e, info.kind, info.bus, info.name);
}

// The first grammar of a tokenizer makes a tree of its vocabulary, and the first answer in JSON finds the masks of
// strings and the like, which all of them share: no request is to wait for that, nor a step of the answers beside it.
static void read_for_grammars(const gyr_model *model, uint32_t vocab) {
    static const char json[] =
        "{\"some name\": [\"some text \\n\\u00e9 and more\", -1.5e1, {\"c\": true}, {}, []], \"d\": null}";
    const gyr_tokenizer *t = gyr_model_tokenizer(model);
    gyr_grammar *g = gyr_grammar_new(t, GYR_GRAMMAR_JSON, "", 0, NULL);
    gyr_matcher *m = g ? gyr_matcher_new(g, NULL) : NULL;
    uint32_t *mask = calloc((vocab + 31) / 32, sizeof *mask);
    gyr_tokens all = {0};
    if (m && mask) gyr_tokenize(t, json, sizeof json - 1, 0, &all, NULL);
    for (size_t i = 0; i < all.count; i++)
        if (gyr_matcher_mask(m, mask, NULL) || gyr_matcher_accept(m, all.ids[i], NULL)) break;
    gyr_free(all.ids);
    free(mask);
    gyr_matcher_free(m);
    gyr_grammar_free(g);
}

// What there is to know of a model that was opened.
static void learn(struct served *s, gyr_model *model) {
    const char *source = gyr_model_template_source(model);
    gyr_model_get_info(model, &s->info);
    snprintf(s->architecture, sizeof s->architecture, "%s", s->info.architecture);
    snprintf(s->types, sizeof s->types, "%s", s->info.types);
    snprintf(s->device, sizeof s->device, "%s", s->info.device);
    snprintf(s->placement, sizeof s->placement, "%s", s->info.placement);
    s->info.device = s->device;
    count_card(s->all->energy, s->device);
    s->info.placement = s->placement;
    s->info.architecture = s->architecture;
    s->info.types = s->types;
    format_find(&s->format, source ? source : "", source ? strlen(source) : 0, gyr_model_tokenizer(model));
    read_for_grammars(model, s->info.vocab);
}

// Bytes that a loaded model takes, with its adapters: its conversations no less than what was planned for them.
static uint64_t takes(struct served *s) {
    uint64_t held = atomic_load(&s->held);
    return s->plan.weights + (uint64_t)atomic_load(&s->adapters) + (held > s->plan.talk ? held : s->plan.talk);
}

// Those of them that are in the host's memory, where the model is on a card: its layers' part.
static uint64_t takes_host(struct served *s) {
    const gyr_model_info *i = &s->info;
    double all = (double)takes(s), weights = (double)s->plan.weights;
    double of_weights = i->weight_bytes ? (double)i->host_bytes / (double)i->weight_bytes : 1;
    double of_rest = of_weights;
    if (i->kv_bytes_per_token) of_rest = (double)i->host_kv_bytes_per_token / (double)i->kv_bytes_per_token;
    return (uint64_t)(weights * of_weights + (all - weights) * of_rest);
}

static uint64_t host_taken(const struct models *m, const struct served *but) {
    uint64_t all = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->list[i] != but && m->list[i]->model) all += takes_host(m->list[i]);
    return all;
}

// Whether a card has room for all of it beside those that are there.
static bool fits_card(const struct models *m, const struct served *s) {
    uint64_t need = s->plan.weights + s->plan.talk;
    for (size_t k = 0; k < m->n_cards; k++) {
        uint64_t taken = need;
        for (size_t i = 0; i < m->n; i++) {
            struct served *other = m->list[i];
            if (other != s && other->model && !strcmp(other->info.device, m->cards[k].name))
                taken += takes(other) - takes_host(other);
        }
        if (taken <= m->cards[k].memory) return true;
    }
    return false;
}

// What a model may take at most, alone.
static uint64_t most_memory(const struct models *m) {
    uint64_t all = 0;
    for (size_t k = 0; k < m->n_cards; k++) all += m->cards[k].memory;
    return m->options.no_cpu ? all : m->memory;
}

// Whether the model has room beside those that are loaded. One that has none even alone is the engine's to refuse.
static bool fits(const struct models *m, const struct served *s) {
    uint64_t all = s->plan.weights + s->plan.talk;
    if (fits_card(m, s)) return true;
    if (m->options.no_cpu) return false;
    if (all > m->memory) all = m->memory;
    all += (uint64_t)atomic_load(&m->other);
    return all + host_taken(m, s) <= m->memory;
}

uint64_t models_taken(struct models *m) {
    uint64_t all = (uint64_t)atomic_load(&m->other);
    pthread_mutex_lock(&m->lock);
    all += host_taken(m, NULL);
    pthread_mutex_unlock(&m->lock);
    return all;
}

static enum served_room room_for(const struct served *s) {
    if (s->model || fits(s->all, s)) return ROOM_NOW;
    return s->plan.weights > most_memory(s->all) ? ROOM_NEVER : ROOM_ALONE;
}

// Opens the model, making room as long as there is something to unload. The lock is held, but while it opens; one
// thread at a time does this.
static gyr_model *open_beside(struct served *s, gyr_error *e) {
    struct models *m = s->all;
    struct served *other;
    if (models_ranks(m) > 1 && s != *m->list)
        return fail_null(e, GYR_UNSUPPORTED, "%s: a server on several machines has the model that it was started with",
                         s->source.name);
    for (;;) {
        while (!m->stopping && !fits(m, s) && (other = least_wanted(m, s))) unload(other);
        if (m->stopping) return fail_null(e, GYR_CANCELLED, "the server is stopping");
        pthread_mutex_unlock(&m->lock);
        gyr_model *model = open_source(&s->source, &m->options, e);
        if (model) learn(s, model);
        pthread_mutex_lock(&m->lock);
        if (model || e->status != GYR_NO_MEMORY || s->plan.weights > most_memory(m)) return model;
        if (!(other = least_wanted(m, s))) return NULL;
        unload(other);
    }
}

static bool load(struct served *s, gyr_error *e) {
    struct models *m = s->all;
    double start = now_seconds();
    s->loading = m->busy = true;
    atomic_store(&m->permille, 0);
    if (*s->why) plan(s);
    s->model = open_beside(s, e);
    s->load_seconds = now_seconds() - start;
    s->loading = m->busy = false;
    pthread_cond_broadcast(&m->changed);
    return s->model;
}

gyr_status served_move(struct served *s, gyr_error *e) {
    gyr_model_info info;
    if (!strcmp(s->info.device, "cpu") || models_ranks(s->all) > 1)
        return fail(e, GYR_USAGE, "%s: has no other device to go to", s->source.name), GYR_USAGE;
    struct moved *to = malloc(sizeof *to);
    gyr_status status = to ? gyr_model_move(s->model, "auto", e) : (fail_memory(e, s->source.name), GYR_NO_MEMORY);
    if (status) {
        free(to);
        return status;
    }
    gyr_model_get_info(s->model, &info);
    bool cpu = !strcmp(info.device, "cpu");
    snprintf(to->device, sizeof to->device, "%s", info.device);
    const char *where = cpu && !*info.placement ? "cpu: the device that it was on failed" : info.placement;
    snprintf(to->placement, sizeof to->placement, "%s", where);
    count_card(s->all->energy, to->device);
    pthread_mutex_lock(&s->all->lock);
    to->before = s->moved;
    s->moved = to;
    s->info.device = to->device;
    s->info.placement = to->placement;
    s->info.host_bytes = info.host_bytes;
    s->info.host_kv_bytes_per_token = info.host_kv_bytes_per_token;
    pthread_mutex_unlock(&s->all->lock);
    return GYR_OK;
}

bool served_good(const struct served *s, struct fault *f) {
    if (!is_broken(s)) return true;
    refuse_as(f, 404, "model_not_found", "model", "%s cannot be served: %s", s->source.name, s->why);
    served_hide_path(s, f->message, sizeof f->message);
    return false;
}

bool served_load(struct served *s, struct fault *f, gyr_error *e) {
    struct models *m = s->all;
    gyr_error made = {0};
    bool ok = false;
    if (!served_good(s, f)) return false;
    pthread_mutex_lock(&m->lock);
    while (!m->stopping && (s->loading || s->draining || (!s->model && m->busy)))
        pthread_cond_wait(&m->changed, &m->lock);
    if (m->stopping)
        fail(&made, GYR_CANCELLED, "the server is stopping");
    else
        ok = s->model || load(s, &made);
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

bool served_unload(struct served *s, struct fault *f) {
    struct models *m = s->all;
    if (m->options.ranks)
        return refuse(f, 400, "model", "%s is on several machines, and stays until the server ends", s->source.name);
    pthread_mutex_lock(&m->lock);
    while (!m->stopping && (m->busy || s->draining)) pthread_cond_wait(&m->changed, &m->lock);
    bool ok = !m->stopping;
    if (ok && s->model) {
        m->busy = true; // so that nobody else unloads it, or is loaded into the room that it leaves
        unload(s);
        m->busy = false;
        pthread_cond_broadcast(&m->changed);
    }
    pthread_mutex_unlock(&m->lock);
    return ok || refuse(f, 503, NULL, "the server is stopping");
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

void served_hide_path(const struct served *s, char *message, size_t size) {
    if (s->source.path) hide_path(message, size, s->source.path, s->source.name);
}

// Where the file is, is nothing for clients; nor is a vocabulary of hundreds of thousands.
static void leave_out(json_t *about) {
    json_t *metadata = json_object_get(about, "metadata"), *value;
    const char *key;
    void *next;
    json_object_del(about, "path");
    json_object_foreach_safe(metadata, next, key, value) if (!strncmp(key, "tokenizer.", 10))
        json_object_del(metadata, key);
}

json_t *served_card(const struct served *s, struct fault *f) {
    gyr_error e = {0};
    if (!s->source.path) return NULL;
    char *text = gyr_inspect(s->source.path, false, &e);
    json_t *about = text ? json_loads(text, 0, NULL) : NULL;
    gyr_free(text);
    if (about) {
        leave_out(about);
        return about;
    }
    if (text) fail_memory(&e, s->source.name);
    refuse_error(f, &e, false);
    served_hide_path(s, f->message, sizeof f->message);
    return NULL;
}

const char *served_name(const struct served *s) { return s->source.name; }
time_t served_since(const struct served *s) { return s->since; }
gyr_model *served_model(const struct served *s) { return s->model; }
const gyr_model_info *served_info(const struct served *s) { return &s->info; }
const struct format *served_format(const struct served *s) { return &s->format; }

void served_note_held(struct served *s, uint64_t bytes) { atomic_store(&s->held, bytes); }
void served_note_adapter(struct served *s, int64_t more) { atomic_fetch_add(&s->adapters, more); }

void served_get(struct served *s, struct served_state *state) {
    pthread_mutex_lock(&s->all->lock);
    *state = (struct served_state){.loaded = s->model,
                                   .loading = s->loading,
                                   .draining = s->draining,
                                   .progress = s->loading ? atomic_load(&s->all->permille) / 1000.0 : 0,
                                   .room = room_for(s),
                                   .broken = is_broken(s),
                                   .why = s->why,
                                   .holders = s->holders,
                                   .used = s->used,
                                   .load_seconds = s->load_seconds,
                                   .plan = s->plan,
                                   .info = s->info};
    pthread_mutex_unlock(&s->all->lock);
}
