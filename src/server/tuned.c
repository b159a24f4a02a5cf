#include "server/tuned.h"

#include "base/buf.h"
#include "base/clock.h"
#include "server/scheduler.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_NAME = 128 };

struct tuned {
    struct adapters *all;
    char *name, *path, *root;
    struct served *model;
    gyr_adapter *adapter; // NULL: not open
    char checksum[ADAPTER_CHECKSUM];
    uint64_t bytes;
    bool listed; // requests find it; one that is not goes with the last who holds it
    bool opening;
    bool made, named;            // trained here; named since adapters_made_begin()
    char base[ADAPTER_CHECKSUM]; // checksum of the model that it is for; "": not known
    int64_t owner;               // who may have it; OWNER_ANY: everybody
    unsigned holders;
    double used;
    time_t since;
};

struct adapters {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct models *models;
    struct scheduler *scheduler;
    char *folder; // its real path; NULL: none
    uint64_t memory, open;
    struct tuned **list; // behind the lock, as all below
    size_t n, room;
    struct errand sweep;
    pthread_mutex_t making; // held from adapters_made_begin() to adapters_made_end()
};

// ------------------------------------------------------------------------------------------------ the list

static void tuned_free(struct tuned *t) {
    if (!t) return;
    free(t->name);
    free(t->path);
    free(t->root);
    free(t);
}

static struct tuned *tuned_new(struct adapters *a, const char *name, const char *path, const char *root,
                               struct served *model) {
    struct tuned *t = calloc(1, sizeof *t);
    struct stat st;
    if (!t) return NULL;
    *t = (struct tuned){.all = a,
                        .name = strdup(name),
                        .path = strdup(path),
                        .root = strdup(root),
                        .model = model,
                        .owner = OWNER_ANY,
                        .since = time(NULL)};
    if (!stat(path, &st)) t->since = st.st_mtime;
    if (t->name && t->path && t->root) return t;
    tuned_free(t);
    return NULL;
}

// The lock is held.
static struct tuned *find(const struct adapters *a, const char *name) {
    for (size_t i = 0; i < a->n; i++)
        if (a->list[i]->listed && same_model_name(a->list[i]->name, name)) return a->list[i];
    return NULL;
}

static bool may_have(const struct tuned *t, int64_t sees) {
    return t->owner == OWNER_ANY || sees == OWNER_ANY || t->owner == sees;
}

struct tuned *tuned_find(struct adapters *a, const char *name, int64_t sees) {
    pthread_mutex_lock(&a->lock);
    struct tuned *t = find(a, name);
    if (t && !may_have(t, sees)) t = NULL;
    if (t) t->holders++;
    pthread_mutex_unlock(&a->lock);
    return t;
}

void tuned_hold(struct tuned *t) {
    pthread_mutex_lock(&t->all->lock);
    t->holders++;
    pthread_mutex_unlock(&t->all->lock);
}

void tuned_release(struct tuned *t) {
    struct adapters *a = t->all;
    pthread_mutex_lock(&a->lock);
    bool last = !--t->holders && !t->listed;
    pthread_mutex_unlock(&a->lock);
    if (last && a->scheduler) scheduler_post(a->scheduler, &a->sweep);
}

size_t adapters_each(struct adapters *a, const char *name, int64_t sees,
                     void (*each)(void *user, const struct tuned_state *t), void *user) {
    size_t n = 0;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n; i++) {
        const struct tuned *t = a->list[i];
        if (!t->listed || !may_have(t, sees) || (name && !same_model_name(t->name, name))) continue;
        n++;
        each(user, &(struct tuned_state){.name = t->name,
                                         .root = t->root,
                                         .model = t->model,
                                         .since = t->since,
                                         .open = t->adapter,
                                         .holders = t->holders,
                                         .bytes = t->bytes,
                                         .checksum = *t->checksum ? t->checksum : NULL});
    }
    pthread_mutex_unlock(&a->lock);
    return n;
}

const char *tuned_name(const struct tuned *t) { return t->name; }
struct served *tuned_model(const struct tuned *t) {
    return t->model;
}
int64_t tuned_owner(const struct tuned *t) { return t->owner; }
const gyr_adapter *tuned_adapter(const struct tuned *t) { return t->adapter; }

void tuned_checksum(const struct tuned *t, char checksum[ADAPTER_CHECKSUM]) {
    memcpy(checksum, t->checksum, sizeof t->checksum);
}

// ------------------------------------------------------------------------------------------------ opening

// The lock is held.
static void close_one(struct tuned *t) {
    if (!t->adapter) return;
    gyr_adapter_close(t->adapter);
    t->adapter = NULL;
    t->all->open -= t->bytes;
    served_note_adapter(t->model, -(int64_t)t->bytes);
}

// On the scheduler's thread, of one that no job has.
static void let_go(struct tuned *t) {
    if (t->adapter) scheduler_let_go(t->all->scheduler, t->model, t->adapter);
    close_one(t);
}

// On the scheduler's thread: those that are off the list and that nobody holds.
static void sweep(void *arg) {
    struct adapters *a = arg;
    pthread_mutex_lock(&a->lock);
    for (size_t i = a->n; i-- > 0;) {
        struct tuned *t = a->list[i];
        if (t->listed || t->holders) continue;
        let_go(t);
        memmove(a->list + i, a->list + i + 1, (--a->n - i) * sizeof *a->list);
        tuned_free(t);
    }
    pthread_mutex_unlock(&a->lock);
}

// On the scheduler's thread: closes those used longest ago that nobody holds, until the rest fits. The lock is held.
static void make_room(struct adapters *a) {
    while (a->open > a->memory) {
        struct tuned *least = NULL;
        for (size_t i = 0; i < a->n; i++) {
            struct tuned *t = a->list[i];
            if (t->adapter && !t->holders && (!least || t->used < least->used)) least = t;
        }
        if (!least) return;
        let_go(least);
    }
}

struct opening {
    struct tuned *tuned;
    gyr_error error;
};

static void open_now(void *arg) {
    struct opening *o = arg;
    struct tuned *t = o->tuned;
    gyr_adapter *adapter = NULL;
    do adapter = gyr_adapter_open(served_model(t->model), t->path, &o->error);
    while (!adapter && t->all->scheduler && scheduler_recovers(t->all->scheduler, t->model, &o->error));
    if (!adapter) return;
    pthread_mutex_lock(&t->all->lock);
    t->adapter = adapter;
    t->bytes = gyr_adapter_bytes(adapter);
    gyr_adapter_checksum(adapter, t->checksum);
    t->all->open += t->bytes;
    served_note_adapter(t->model, (int64_t)t->bytes);
    make_room(t->all);
    pthread_mutex_unlock(&t->all->lock);
}

// Whether what has the model's name is the model that it was trained for: another of the same shape would give
// answers.
static bool is_for(const struct tuned *t, gyr_error *e) {
    char is[ADAPTER_CHECKSUM];
    if (!*t->base) return true;
    if (gyr_model_checksum(served_model(t->model), is, e)) return false;
    return !strcmp(is, t->base) ||
           fail(e, GYR_UNSUPPORTED, "%s: was trained for another model than the one that is called %s now", t->name,
                served_name(t->model));
}

static bool have_open(struct tuned *t, gyr_error *e) {
    struct adapters *a = t->all;
    struct opening o = {.tuned = t};
    pthread_mutex_lock(&a->lock);
    while (t->opening) pthread_cond_wait(&a->changed, &a->lock);
    bool open = t->adapter;
    t->opening = !open;
    t->used = now_seconds();
    pthread_mutex_unlock(&a->lock);
    if (open) return true;
    if (is_for(t, &o.error)) scheduler_call(a->scheduler, open_now, &o);
    pthread_mutex_lock(&a->lock);
    t->opening = false;
    pthread_cond_broadcast(&a->changed);
    open = t->adapter;
    pthread_mutex_unlock(&a->lock);
    if (!open) *e = o.error;
    return open;
}

static bool open_for(struct tuned *t, bool asked, struct fault *f) {
    gyr_error e = {0};
    if (have_open(t, &e)) return true;
    refuse_error(f, &e, asked);
    hide_path(f->message, sizeof f->message, t->path, t->name);
    return false;
}

bool tuned_open(struct tuned *t, struct fault *f) { return open_for(t, false, f); }

bool adapters_open(struct adapters *a, gyr_error *e) {
    for (size_t i = 0; i < a->n; i++) {
        struct tuned *t = a->list[i];
        struct served_state state;
        struct fault f = {0};
        served_get(t->model, &state);
        if (!state.loaded) continue;
        if (!served_load(t->model, &f, e)) return false;
        tuned_hold(t);
        bool ok = have_open(t, e);
        tuned_release(t);
        served_release(t->model);
        if (!ok) return false;
    }
    return true;
}

void adapters_close(struct adapters *a, const struct served *model) {
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n; i++)
        if (a->list[i]->model == model) close_one(a->list[i]);
    pthread_mutex_unlock(&a->lock);
}

// --------------------------------------------------------------------------------------- loading and unloading

// The real path of one in the folder, and where it is there. The same is said of what is not there and of what is
// elsewhere, so that nobody learns what else this machine has.
static char *find_path(const struct adapters *a, const char *said, const char **root, struct fault *f) {
    char *asked = NULL, *real = NULL;
    size_t n = strlen(a->folder);
    if (*said != '/' && asprintf(&asked, "%s/%s", a->folder, said) < 0) asked = NULL;
    if (*said == '/' || asked) real = realpath(asked ? asked : said, NULL);
    free(asked);
    bool inside = real && !strncmp(real, a->folder, n) && (real[n] == '/' || n == 1) && real[n + (n > 1)];
    if (inside) {
        *root = real + n + (n > 1);
        return real;
    }
    free(real);
    refuse_as(f, 404, "adapter_not_found", "lora_path",
              "lora_path: '%.200s' is not in this server's folder of adapters", said);
    return NULL;
}

static bool good_name(const struct adapters *a, const char *name, struct fault *f) {
    size_t n = strlen(name);
    bool plain = n > 0 && n <= MAX_NAME;
    for (const char *c = name; *c; c++) plain &= (unsigned char)*c > ' ' && *c != 127;
    if (!plain)
        return refuse(f, 400, "lora_name", "lora_name: takes 1 to %d characters, none of them a space", MAX_NAME);
    if (!strncmp(name, "hf:", 3) || !strncmp(name, "hf.co/", 6)) // what is pulled has such names
        return refuse(f, 400, "lora_name", "lora_name: '%.128s' is the name of a model on the hub", name);
    return !models_find(a->models, name) ||
           refuse(f, 400, "lora_name", "lora_name: '%.128s' is the name of a model here", name);
}

static bool is_free(const struct tuned *there, const struct adapter_wish *w, struct fault *f) {
    return !there || w->in_place ||
           refuse(f, 400, "lora_name",
                  "lora_name: an adapter '%.128s' is loaded already; load_inplace has another take its place", w->name);
}

static bool check_wish(struct adapters *a, const struct adapter_wish *w, struct served **model, struct fault *f) {
    if (!a->folder) return refuse(f, 403, NULL, "this server was started without a folder of adapters (--adapters)");
    if (!good_name(a, w->name, f)) return false;
    pthread_mutex_lock(&a->lock);
    bool ok = is_free(find(a, w->name), w, f);
    pthread_mutex_unlock(&a->lock);
    if (!ok) return false;
    *model = models_find(a->models, w->model);
    return *model || refuse_as(f, 404, "model_not_found", "base_model_name", "no model '%.100s' is served here",
                               w->model ? w->model : "");
}

// Puts it where nobody finds it yet, held.
static struct tuned *add(struct adapters *a, const char *name, const char *path, const char *root,
                         struct served *model) {
    struct tuned *t = tuned_new(a, name, path, root, model);
    pthread_mutex_lock(&a->lock);
    if (t && !ARRAY_GROW(a->list, a->n, a->room)) {
        tuned_free(t);
        t = NULL;
    }
    if (t) {
        t->holders = 1;
        a->list[a->n++] = t;
    }
    pthread_mutex_unlock(&a->lock);
    return t;
}

// From now on requests find it, and not the one before it.
static bool enlist(struct tuned *t, const struct adapter_wish *w, struct fault *f) {
    struct adapters *a = t->all;
    pthread_mutex_lock(&a->lock);
    struct tuned *before = find(a, w->name);
    bool ok = is_free(before, w, f);
    if (ok && before) before->listed = false;
    if (ok) t->listed = true;
    pthread_mutex_unlock(&a->lock);
    if (ok && before) scheduler_post(a->scheduler, &a->sweep);
    return ok;
}

bool adapters_load(struct adapters *a, const struct adapter_wish *w, struct fault *f) {
    struct served *model = NULL;
    const char *root = NULL;
    char *path = check_wish(a, w, &model, f) ? find_path(a, w->path, &root, f) : NULL;
    struct tuned *t = NULL;
    bool ok = path && served_load(model, f, NULL);
    if (ok) {
        t = add(a, w->name, path, root, model);
        ok = (t || refuse(f, 503, NULL, "out of memory; try again later")) && open_for(t, true, f) && enlist(t, w, f);
        if (t) tuned_release(t);
        served_release(model);
    }
    free(path);
    return ok;
}

bool adapters_unload(struct adapters *a, const char *name, struct fault *f) {
    pthread_mutex_lock(&a->lock);
    struct tuned *t = find(a, name);
    if (t && t->made) t = NULL; // those are deleted, by whose they are
    if (t) t->listed = false;
    pthread_mutex_unlock(&a->lock);
    if (!t) return refuse_as(f, 404, "adapter_not_found", "lora_name", "no adapter '%.128s' is loaded here", name);
    scheduler_post(a->scheduler, &a->sweep);
    return true;
}

// ------------------------------------------------------------------------------------------ trained here

void adapters_made_begin(struct adapters *a) {
    pthread_mutex_lock(&a->making);
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n; i++) a->list[i]->named = false;
    pthread_mutex_unlock(&a->lock);
}

bool adapters_made(struct adapters *a, const struct adapter_made *m) {
    pthread_mutex_lock(&a->lock);
    struct tuned *there = find(a, m->name);
    if (there) there->named = true;
    pthread_mutex_unlock(&a->lock);
    struct tuned *t = there ? NULL : add(a, m->name, m->path, m->root, m->model);
    if (!t) return there;
    pthread_mutex_lock(&a->lock);
    t->made = t->named = t->listed = true;
    t->owner = m->owner;
    snprintf(t->base, sizeof t->base, "%s", m->checksum);
    t->holders--;
    pthread_mutex_unlock(&a->lock);
    return true;
}

void adapters_made_end(struct adapters *a, bool all) {
    bool gone = false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; all && i < a->n; i++) {
        struct tuned *t = a->list[i];
        if (!t->made || t->named || !t->listed) continue;
        t->listed = false;
        gone = true;
    }
    pthread_mutex_unlock(&a->lock);
    pthread_mutex_unlock(&a->making);
    if (gone) scheduler_post(a->scheduler, &a->sweep);
}

// ------------------------------------------------------------------------------------------ start and end

static bool add_source(struct adapters *a, const struct adapter_source *s, gyr_error *e) {
    const char *slash = strrchr(s->path, '/');
    struct served *model = models_find(a->models, s->model);
    struct fault f = {0};
    if (!model) return fail(e, GYR_USAGE, "--adapter %s: no model '%s' is served", s->name, s->model ? s->model : "");
    if (!good_name(a, s->name, &f)) return fail(e, GYR_USAGE, "--adapter: %s", f.message);
    if (find(a, s->name)) return fail(e, GYR_USAGE, "--adapter %s: two adapters have this name", s->name);
    struct tuned *t = add(a, s->name, s->path, slash && slash[1] ? slash + 1 : s->path, model);
    if (!t) return fail_memory(e, "adapters");
    t->listed = true;
    t->holders = 0;
    return true;
}

struct adapters *adapters_new(const struct adapters_options *o, struct models *m, gyr_error *e) {
    struct adapters *a = calloc(1, sizeof *a);
    struct stat st;
    if (!a) return fail_memory(e, "adapters"), NULL;
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->making, NULL);
    pthread_cond_init(&a->changed, NULL);
    a->models = m;
    a->memory = o->memory ? o->memory : models_memory(m) / 4;
    a->sweep = (struct errand){.run = sweep, .arg = a};
    bool ok = true;
    if (o->folder && (!(a->folder = realpath(o->folder, NULL)) || stat(a->folder, &st) || !S_ISDIR(st.st_mode)))
        ok = fail(e, GYR_USAGE, "%s: is no folder; --adapters takes the one from which adapters may be loaded",
                  o->folder);
    for (size_t i = 0; ok && i < o->n; i++) ok = add_source(a, &o->sources[i], e);
    if (ok) return a;
    adapters_free(a);
    return NULL;
}

void adapters_free(struct adapters *a) {
    if (!a) return;
    for (size_t i = 0; i < a->n; i++) {
        close_one(a->list[i]);
        tuned_free(a->list[i]);
    }
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->making);
    pthread_cond_destroy(&a->changed);
    free(a->list);
    free(a->folder);
    free(a);
}

void adapters_tell(struct adapters *a, struct scheduler *s) { a->scheduler = s; }
