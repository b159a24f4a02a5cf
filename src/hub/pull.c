// A pull, from the name to the path.
#include "base/map.h"
#include "hub/choose.h"
#include "hub/hub.h"
#include "hub/part.h"
#include "hub/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { MAX_INDEX = 64 << 20 };
static const uint64_t spare = 64 << 20; // bytes of the disk that are left to others

struct pull {
    struct hub_name name;
    struct hub hub;
    struct shelf shelf;
    struct listing listing;
    struct choice choice;
    json_t *record; // of the shelf's
};

static bool wait_for_other(void *user, gyr_error *e) {
    struct hub *h = user;
    h->doing = "waiting for another gyr that holds this model";
    return hub_tell(h, NULL, e);
}

static json_t *make_record(const struct pull *p) {
    json_t *files = json_array();
    for (size_t i = 0; i < p->choice.n; i++) {
        const struct hub_file *f = p->choice.files[i];
        json_array_append_new(files,
                              json_pack("{s:s,s:I,s:s}", "path", f->path, "size", (json_int_t)f->size, "sum", f->hex));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:I,s:o}", "revision", p->name.revision, "select", p->name.select,
                     "commit", p->listing.commit, "open", p->choice.open, "type", p->choice.type, "complete", 0,
                     "pulled", (json_int_t)time(NULL), "files", files);
}

// Is this record for what the name asks, whatever the commit?
static bool is_ours(const struct pull *p, const json_t *r) {
    return !strcmp(record_string(r, "revision"), p->name.revision) &&
           !strcmp(record_string(r, "select"), p->name.select);
}

// Puts a record of the choice on the shelf, in the place of an earlier one of the same name and commit.
static bool put_record(struct pull *p, gyr_error *e) {
    p->record = make_record(p);
    if (!p->record || json_array_append_new(p->shelf.records, p->record)) return fail_memory(e, p->name.label);
    for (size_t i = json_array_size(p->shelf.records) - 1; i--;) {
        const json_t *r = json_array_get(p->shelf.records, i);
        bool same = is_ours(p, r) && !strcmp(record_string(r, "commit"), p->listing.commit);
        if (same && !shelf_remove(&p->shelf, i, NULL, e)) return false;
    }
    return shelf_save(&p->shelf, e);
}

// What the same name gave at other commits is no longer needed.
static bool drop_others(struct pull *p, gyr_error *e) {
    for (size_t i = json_array_size(p->shelf.records); i--;) {
        const json_t *r = json_array_get(p->shelf.records, i);
        if (r != p->record && is_ours(p, r) && !shelf_remove(&p->shelf, i, NULL, e)) return false;
    }
    return true;
}

static bool is_here(const char *path, uint64_t size) {
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

// A file of the same content that another commit has: a second name is all it takes.
static bool link_from_other(const struct pull *p, const struct hub_file *file, const char *path) {
    size_t i, k;
    const json_t *r, *f;
    bool linked = false;
    json_array_foreach(p->shelf.records, i, r) {
        json_array_foreach(json_object_get(r, "files"), k, f) {
            if (linked || strcmp(record_string(f, "sum"), file->hex)) continue;
            char *from = record_path(p->shelf.folder, r, record_string(f, "path"));
            linked = from && is_here(from, file->size) && make_folders(path, NULL) && !link(from, path);
            free(from);
        }
    }
    return linked;
}

static bool check_space(const struct pull *p, uint64_t need, gyr_error *e) {
    struct statvfs disk;
    if (statvfs(p->shelf.folder, &disk)) return true;
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (!need || need + spare <= room) return true;
    return fail(e, GYR_IO,
                "%s: needs %.2f GB more, and %s has %.2f GB; free some space, or set GYR_MODELS to a folder "
                "elsewhere",
                p->name.label, (double)need / 1e9, p->shelf.folder, (double)room / 1e9);
}

static char *file_url(const struct pull *p, const struct hub_file *f) {
    struct buf b = {0};
    buf_printf(&b, "%s/%s/%s/resolve/%s/", p->hub.endpoint, p->name.owner, p->name.repo, p->listing.commit);
    put_escaped(&b, f->path, true);
    return buf_take(&b);
}

// The files that are not here yet.
struct batch {
    struct part **parts;
    struct fetch *fetches;
    size_t n;
    uint64_t need; // bytes still to come
};

static bool add_file(struct pull *p, struct batch *b, const struct hub_file *f, gyr_error *e) {
    char *path = record_path(p->shelf.folder, p->record, f->path);
    bool ok = path || fail_memory(e, p->name.label);
    if (ok && (is_here(path, f->size) || link_from_other(p, f, path))) {
        p->hub.p.done += f->size;
        p->hub.p.kept += f->size;
        p->hub.p.files_done++;
    } else if (ok) {
        b->parts[b->n] = part_open(&p->hub, path, f, e);
        ok = b->parts[b->n];
    }
    if (ok && b->parts[b->n]) {
        struct sink *sink = part_sink(b->parts[b->n]);
        char *url = file_url(p, f);
        b->fetches[b->n++] = (struct fetch){.what = f->path, .sink = sink, .url = url};
        b->need += f->size - sink->have;
        ok = url || fail_memory(e, p->name.label);
    }
    free(path);
    return ok;
}

// Fetches what is missing of the files chosen.
static bool get_files(struct pull *p, gyr_error *e) {
    const struct choice *c = &p->choice;
    struct batch b = {.parts = calloc(c->n + 1, sizeof *b.parts), .fetches = calloc(c->n + 1, sizeof *b.fetches)};
    bool ok = (b.parts && b.fetches) || fail_memory(e, p->name.label);
    p->hub.p = (gyr_pull_progress){.files = c->n};
    for (size_t i = 0; i < c->n; i++) p->hub.p.total += c->files[i]->size;
    for (size_t i = 0; i < c->n && ok; i++) ok = add_file(p, &b, c->files[i], e);
    ok = ok && check_space(p, b.need, e);
    for (size_t i = 0; i < b.n && ok; i++) ok = part_reserve(b.parts[i], e);
    p->hub.doing = "pulling";
    ok = ok && (!b.n || fetch_all(&p->hub, b.fetches, b.n, e));
    for (size_t i = 0; i < b.n; i++) {
        free(b.fetches[i].url);
        part_close(b.parts[i]);
    }
    free(b.fetches);
    free(b.parts);
    return ok;
}

// A folder's weights are those that its index names, so the index comes first.
static bool get_index(struct pull *p, gyr_error *e) {
    if (!p->choice.index) return true;
    if (!get_files(p, e)) return false;
    size_t size = 0;
    char *path = record_path(p->shelf.folder, p->record, p->choice.index->path);
    char *text = path ? read_file(path, MAX_INDEX, &size, e) : NULL;
    bool ok = text ? choose_weights(&p->name, &p->listing, text, size, &p->choice, e) : path || fail_memory(e, "index");
    ok = ok && text && put_record(p, e);
    free(text);
    free(path);
    return ok;
}

static bool pull_all(struct pull *p, uint64_t memory, gyr_error *e) {
    p->hub.doing = "asking the hub";
    return hub_tell(&p->hub, NULL, e) && listing_get(&p->hub, &p->name, &p->listing, e) &&
           choose(&p->name, &p->listing, memory, &p->choice, e) && put_record(p, e) && get_index(p, e) &&
           get_files(p, e) && !json_object_set_new(p->record, "complete", json_true()) && drop_others(p, e) &&
           shelf_save(&p->shelf, e);
}

static json_t *describe(const struct pull *p, const char *name) {
    json_t *files = json_array();
    uint64_t total = 0;
    for (size_t i = 0; i < p->choice.n; i++) {
        const struct hub_file *f = p->choice.files[i];
        json_array_append_new(files, json_pack("{s:s,s:I}", "path", f->path, "size", (json_int_t)f->size));
        total += f->size;
    }
    return json_pack("{s:s,s:s,s:s,s:I,s:o}", "name", name, "commit", p->listing.commit, "type", p->choice.type,
                     "total", (json_int_t)total, "files", files);
}

// The weights that the index names, without keeping it.
static bool look_into_index(struct pull *p, gyr_error *e) {
    if (!p->choice.index) return true;
    struct buf text = {0};
    char *url = file_url(p, p->choice.index);
    bool ok = url ? hub_text(&p->hub, url, p->choice.index->path, MAX_INDEX, &text, e) : fail_memory(e, "index");
    ok = ok && choose_weights(&p->name, &p->listing, text.data ? text.data : "", text.size, &p->choice, e);
    buf_free(&text);
    free(url);
    return ok;
}

char *hub_preview(const gyr_pull_options *o, uint64_t memory, gyr_error *e) {
    struct pull p = {.shelf.lock = -1};
    if (!hub_name_parse(&p.name, o->name, e) || !hub_open(&p.hub, o, p.name.label, e)) return NULL;
    bool ok = listing_get(&p.hub, &p.name, &p.listing, e) && choose(&p.name, &p.listing, memory, &p.choice, e) &&
              look_into_index(&p, e);
    json_t *all = ok ? describe(&p, o->name) : NULL;
    char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    if (ok && !text) fail_memory(e, p.name.label);
    json_decref(all);
    choice_free(&p.choice);
    listing_free(&p.listing);
    hub_close(&p.hub);
    return text;
}

char *hub_pull(const gyr_pull_options *o, uint64_t memory, gyr_error *e) {
    struct pull p = {.shelf.lock = -1};
    char *path = NULL;
    if (!hub_name_parse(&p.name, o->name, e) || !hub_open(&p.hub, o, p.name.label, e)) return NULL;
    bool ok = shelf_open(&p.shelf, &p.name, o->store, true, wait_for_other, &p.hub, e) && pull_all(&p, memory, e);
    if (ok && !(path = record_path(p.shelf.folder, p.record, p.choice.open))) fail_memory(e, p.name.label);
    choice_free(&p.choice);
    listing_free(&p.listing);
    shelf_close(&p.shelf);
    hub_close(&p.hub);
    return path;
}
