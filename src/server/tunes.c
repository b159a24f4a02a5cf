#include "server/tunes.h"

#include "server/secret.h"
#include "server/tune_impl.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[TUNE_STATES] = {"validating_files", "queued", "running",  "paused",
                                               "succeeded",        "failed", "cancelled"};

const char *tune_state_name(enum tune_state state) { return names[state]; }

void tune_clear(struct tune *t) {
    free(t->metadata);
    free(t->error);
    t->metadata = t->error = NULL;
}

// ------------------------------------------------------------------------------------------------ rows

static void copy_text(sqlite3_stmt *q, int column, char *out, size_t size) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    snprintf(out, size, "%s", text ? text : "");
}

void tune_read(struct store *s, sqlite3_stmt *q, struct tune *t) {
    int state = sqlite3_column_int(q, 4);
    *t = (struct tune){.seq = sqlite3_column_int64(q, 0),
                       .owner = sqlite3_column_int64(q, 2),
                       .shared = sqlite3_column_int(q, 3) != 0,
                       .deleted = sqlite3_column_int(q, 12) != 0,
                       .seed = sqlite3_column_int64(q, 13),
                       .epochs = sqlite3_column_int64(q, 14),
                       .batch = sqlite3_column_int64(q, 15),
                       .rate = sqlite3_column_double(q, 16),
                       .steps = sqlite3_column_int64(q, 17),
                       .done = sqlite3_column_int64(q, 18),
                       .tokens = sqlite3_column_int64(q, 19),
                       .created = sqlite3_column_int64(q, 20),
                       .finished = sqlite3_column_int64(q, 21),
                       .finish_at = sqlite3_column_int64(q, 22),
                       .prefers = sqlite3_column_int(q, 25) != 0,
                       .beta = sqlite3_column_double(q, 26)};
    if (state < 0 || state >= TUNE_STATES)
        store_refuse(s, GYR_MALFORMED, "%s: has a fine-tuning job in a state that is none; restore it from a backup",
                     store_path(s));
    else
        t->state = (enum tune_state)state;
    copy_text(q, 1, t->id, sizeof t->id);
    copy_text(q, 5, t->base, sizeof t->base);
    copy_text(q, 6, t->training, sizeof t->training);
    copy_text(q, 7, t->validation, sizeof t->validation);
    copy_text(q, 8, t->result, sizeof t->result);
    copy_text(q, 9, t->suffix, sizeof t->suffix);
    copy_text(q, 10, t->model, sizeof t->model);
    copy_text(q, 11, t->checksum, sizeof t->checksum);
    t->metadata = store_text(s, q, 23);
    t->error = store_text(s, q, 24);
}

static void look(struct store *s, int64_t owner, const char *wanted, struct tune *t) {
    char id[64]; // the caller may have it in *t
    snprintf(id, sizeof id, "%s", wanted);
    *t = (struct tune){0};
    sqlite3_stmt *q =
        store_query(s, "SELECT " TUNE_COLUMNS " FROM tunes WHERE id = ?1 AND (owner = ?2 OR ?2 = -1)", "si", id, owner);
    if (!store_next(s, q)) {
        store_refuse(s, GYR_USAGE, "fine-tuning job %s: there is none", id);
        return;
    }
    tune_read(s, q, t);
    sqlite3_reset(q);
}

// Ends the transaction; a job of one that failed is not for the caller.
static bool end(struct store *s, struct tune *t, gyr_error *e) {
    if (store_end(s, e)) return true;
    tune_clear(t);
    return false;
}

void tune_note(struct store *s, int64_t tune, int level, const char *message, int64_t now) {
    char id[33] = "ftevent-";
    gyr_error e = {0};
    if (!secret_random(id + 8, 24, &e)) store_refuse(s, e.status, "%s", e.message);
    store_run(s, "INSERT INTO tune_events (tune, id, at, level, step, message, data) VALUES (?,?,?,?,0,?,'')", "isiis",
              tune, id, now, (int64_t)level, message);
}

// ------------------------------------------------------------------------------------------------ jobs

static bool good_metadata(const char *text) {
    json_t *o = strlen(text) <= TUNE_METADATA ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool good = json_is_object(o);
    json_decref(o);
    return good;
}

static void check_file(struct store *s, const struct tune_wish *w, const char *id, int64_t now, struct stored_file *f) {
    file_look(s, w->owner, id, now, f);
    if (store_good(s) && strcmp(f->purpose, "fine-tune"))
        store_refuse(s, GYR_USAGE, "file %s: its purpose is %s; fine-tuning needs one of purpose fine-tune", f->id,
                     f->purpose);
}

bool tune_add(struct store *s, const struct tune_wish *w, int64_t now, struct tune *made, gyr_error *e) {
    char id[TUNE_ID + 1] = "ftjob-", rate[40], beta[40];
    struct stored_file training = {0}, validation = {0};
    *made = (struct tune){0};
    if (w->metadata && !good_metadata(w->metadata))
        return fail(e, GYR_USAGE, "metadata: must be a JSON object of at most %d bytes", TUNE_METADATA);
    if (strlen(w->base) > TUNE_BASE || strlen(w->suffix) > TUNE_SUFFIX)
        return fail(e, GYR_USAGE, "model, suffix: too long");
    if (!secret_random(id + 6, TUNE_ID - 6, e) || !store_begin(s, STORE_WRITE, e)) return false;
    check_file(s, w, w->training, now, &training);
    if (w->validation) check_file(s, w, w->validation, now, &validation);
    if (w->most &&
        store_number(s, 0, "SELECT count(*) FROM tunes WHERE owner = ? AND state < 4", "i", w->owner) >= w->most)
        store_refuse(s, GYR_TOO_LONG, "fine-tuning: %lld jobs are under way, as many as may be; wait for one of them",
                     (long long)w->most);
    snprintf(rate, sizeof rate, "%.17g", w->rate);
    snprintf(beta, sizeof beta, "%.17g", w->beta);
    store_run(s,
              "INSERT INTO tunes (id, owner, shared, state, base, training, validation, suffix, metadata, seed, "
              "epochs, batch, rate, created, method, beta) VALUES (?,?,?,0,?,?,?,?,?,?,?,?,?,?,?,?)",
              "siisssssiiisiis", id, w->owner, (int64_t)w->shared, w->base, training.id, validation.id, w->suffix,
              w->metadata, w->seed, w->epochs, w->batch, rate, now, (int64_t)w->prefers, beta);
    look(s, w->owner, id, made);
    tune_note(s, made->seq, 0, "Created fine-tuning job", now);
    return end(s, made, e);
}

bool tune_find(struct store *s, int64_t owner, const char *id, struct tune *found, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return false;
    look(s, owner, id, found);
    return end(s, found, e);
}

// From which states a client may bring a job where, and what is told then.
static const struct {
    unsigned from;
    const char *verb, *message;
} turns[TUNE_STATES] = {
    [TUNE_QUEUED] = {1u << TUNE_PAUSED, "resumed", "Job goes on"},
    [TUNE_PAUSED] = {1u << TUNE_QUEUED | 1u << TUNE_RUNNING, "paused", "Job paused"},
    [TUNE_CANCELLED] = {1u << TUNE_VALIDATING | 1u << TUNE_QUEUED | 1u << TUNE_RUNNING | 1u << TUNE_PAUSED, "cancelled",
                        "Job cancelled"},
};

bool tune_turn(struct store *s, int64_t owner, const char *id, enum tune_state to, int64_t now, struct tune *found,
               gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    look(s, owner, id, found);
    if (store_good(s) && !(turns[to].from >> found->state & 1))
        store_refuse(s, GYR_FAILED, "fine-tuning job %s: is %s and cannot be %s", found->id, names[found->state],
                     turns[to].verb);
    store_run(s,
              "UPDATE tunes SET state = ?1, finish_at = 0, finished = CASE ?1 WHEN 6 THEN ?2 ELSE 0 END WHERE seq = ?3",
              "iii", (int64_t)to, now, found->seq);
    if (to == TUNE_CANCELLED) store_run(s, "DELETE FROM tune_checkpoints WHERE tune = ?", "i", found->seq);
    tune_note(s, found->seq, 0, turns[to].message, now);
    tune_clear(found);
    look(s, owner, id, found);
    return end(s, found, e);
}

// ------------------------------------------------------------------------------------------------ lists

// The place of what a page begins behind.
static int64_t place(struct store *s, const struct tune_page *p, const char *sql, int64_t of, const char *what) {
    if (!p->after) return INT64_MAX;
    int64_t from = store_number(s, -1, sql, "si", p->after, of);
    if (from < 0) store_refuse(s, GYR_USAGE, "after: %s %.64s: there is none", what, p->after);
    return from;
}

static void no_room(struct store *s) { store_refuse(s, GYR_NO_MEMORY, "fine-tuning: out of memory"); }

// Whether the row has room in the page.
static bool takes(struct tune_page *p) {
    p->more = p->count == p->limit;
    return !p->more;
}

struct tune *tunes_list(struct store *s, int64_t owner, struct tune_page *p, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return NULL;
    int64_t from = place(s, p, "SELECT seq FROM tunes WHERE id = ?1 AND (owner = ?2 OR ?2 = -1)", owner, "job");
    struct tune *all = calloc(p->limit + 1, sizeof *all);
    if (!all) no_room(s);
    sqlite3_stmt *q = store_query(s,
                                  "SELECT " TUNE_COLUMNS " FROM tunes WHERE (owner = ?1 OR ?1 = -1) AND seq < ?2 "
                                  "ORDER BY seq DESC LIMIT ?3",
                                  "iii", owner, from, (int64_t)p->limit + 1);
    while (store_next(s, q))
        if (takes(p)) tune_read(s, q, &all[p->count++]);
    if (store_end(s, e)) return all;
    for (size_t i = 0; all && i < p->count; i++) tune_clear(&all[i]);
    free(all);
    return NULL;
}

struct tune_event *tune_events(struct store *s, int64_t tune, struct tune_page *p, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return NULL;
    int64_t from = place(s, p, "SELECT seq FROM tune_events WHERE id = ?1 AND tune = ?2", tune, "event");
    struct tune_event *all = calloc(p->limit + 1, sizeof *all);
    if (!all) no_room(s);
    sqlite3_stmt *q = store_query(s,
                                  "SELECT id, at, level, step, message, data FROM tune_events WHERE tune = ?1 AND "
                                  "seq < ?2 ORDER BY seq DESC LIMIT ?3",
                                  "iii", tune, from, (int64_t)p->limit + 1);
    while (store_next(s, q))
        if (takes(p))
            all[p->count++] = (struct tune_event){.id = store_text(s, q, 0),
                                                  .at = sqlite3_column_int64(q, 1),
                                                  .level = sqlite3_column_int(q, 2),
                                                  .step = sqlite3_column_int64(q, 3),
                                                  .message = store_text(s, q, 4),
                                                  .data = store_text(s, q, 5)};
    if (store_end(s, e)) return all;
    tune_events_free(all, p->count);
    return NULL;
}

void tune_events_free(struct tune_event *all, size_t n) {
    for (size_t i = 0; all && i < n; i++) {
        free(all[i].id);
        free(all[i].message);
        free(all[i].data);
    }
    free(all);
}

struct tune_checkpoint *tune_checkpoints(struct store *s, int64_t tune, struct tune_page *p, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return NULL;
    int64_t from = place(s, p, "SELECT seq FROM tune_checkpoints WHERE id = ?1 AND tune = ?2", tune, "checkpoint");
    struct tune_checkpoint *all = calloc(p->limit + 1, sizeof *all);
    if (!all) no_room(s);
    sqlite3_stmt *q = store_query(s,
                                  "SELECT id, at, step, model, data FROM tune_checkpoints WHERE tune = ?1 AND "
                                  "seq < ?2 ORDER BY seq DESC LIMIT ?3",
                                  "iii", tune, from, (int64_t)p->limit + 1);
    while (store_next(s, q))
        if (takes(p))
            all[p->count++] = (struct tune_checkpoint){.id = store_text(s, q, 0),
                                                       .at = sqlite3_column_int64(q, 1),
                                                       .step = sqlite3_column_int64(q, 2),
                                                       .model = store_text(s, q, 3),
                                                       .data = store_text(s, q, 4)};
    if (store_end(s, e)) return all;
    tune_checkpoints_free(all, p->count);
    return NULL;
}

void tune_checkpoints_free(struct tune_checkpoint *all, size_t n) {
    for (size_t i = 0; all && i < n; i++) {
        free(all[i].id);
        free(all[i].model);
        free(all[i].data);
    }
    free(all);
}

// ------------------------------------------------------------------------------------------------ files

// An id becomes part of a path: this is all that may be in it, whatever the database says.
static bool good_id(const char *id) {
    return strlen(id) == TUNE_ID && !strncmp(id, "ftjob-", 6) &&
           strspn(id + 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == TUNE_ID - 6;
}

char *tune_path(struct store *s, const char *id, int64_t step, gyr_error *e) {
    struct buf b = {0};
    if (!good_id(id)) return fail_null(e, GYR_MALFORMED, "%s: has a job with a damaged id", store_path(s));
    buf_printf(&b, "%s/tuned/%s", store_place(s), id);
    if (step) buf_printf(&b, "-%lld", (long long)step);
    buf_puts(&b, ".gguf");
    char *path = buf_take(&b);
    if (!path) fail_memory(e, "fine-tuning");
    return path;
}

void tune_remove_files(struct store *s, const char *id, bool all) {
    struct buf b = {0};
    buf_printf(&b, "%s/tuned", store_place(s));
    DIR *folder = good_id(id) && !b.failed ? opendir(b.data) : NULL;
    for (struct dirent *d; folder && (d = readdir(folder));) {
        bool own = !strncmp(d->d_name, id, TUNE_ID), adapter = own && !strcmp(d->d_name + TUNE_ID, ".gguf");
        if (own && (all || !adapter)) unlinkat(dirfd(folder), d->d_name, 0);
    }
    if (folder) closedir(folder);
    buf_free(&b);
}

// ------------------------------------------------------------------------------------------------ forgetting

void tune_forget(struct store *s, int64_t seq) {
    store_run(s, "DELETE FROM tune_events WHERE tune = ?", "i", seq);
    store_run(s, "DELETE FROM tune_checkpoints WHERE tune = ?", "i", seq);
    store_run(s, "DELETE FROM tunes WHERE seq = ?", "i", seq);
}

// What a name is of: a job's own adapter (step 0), or one of its checkpoints.
static void find_model(struct store *s, int64_t owner, const char *model, char id[TUNE_ID + 1], int64_t *step) {
    sqlite3_stmt *q = store_query(s,
                                  "SELECT id, 0 FROM tunes WHERE model = ?1 AND state = 4 AND deleted = 0 AND "
                                  "(owner = ?2 OR ?2 = -1) UNION ALL SELECT tunes.id, c.step FROM tune_checkpoints c "
                                  "JOIN tunes ON tunes.seq = c.tune WHERE c.model = ?1 AND c.step < tunes.steps AND "
                                  "(owner = ?2 OR ?2 = -1)",
                                  "si", model, owner);
    if (!store_next(s, q)) {
        store_refuse(s, GYR_USAGE, "model %.200s: is no model that was fine-tuned here", model);
        return;
    }
    copy_text(q, 0, id, TUNE_ID + 1);
    *step = sqlite3_column_int64(q, 1);
    sqlite3_reset(q);
}

bool tune_delete_model(struct store *s, int64_t owner, const char *model, gyr_error *e) {
    char id[TUNE_ID + 1] = "";
    int64_t step = 0;
    if (!store_begin(s, STORE_WRITE, e)) return false;
    find_model(s, owner, model, id, &step);
    store_run(s, "DELETE FROM tune_checkpoints WHERE model = ?", "s", model);
    if (!step) store_run(s, "UPDATE tunes SET deleted = 1 WHERE id = ?", "s", id);
    if (!store_end(s, e)) return false;
    char *path = tune_path(s, id, step, NULL);
    if (path) unlink(path); // if that fails, a file is left that nothing names
    free(path);
    return true;
}

bool tunes_sweep(struct store *s, int64_t now, gyr_error *e) {
    enum { DAY = 86400, KEPT = 90 * DAY, AT_ONCE = 50 };
    char ids[AT_ONCE][TUNE_ID + 1];
    int64_t seqs[AT_ONCE];
    size_t n;
    do {
        n = 0;
        if (!store_begin(s, STORE_WRITE, e)) return false;
        store_run(s,
                  "UPDATE tunes SET state = 6, finished = ? WHERE state < 4 AND owner IN (SELECT id FROM keys WHERE "
                  "removed > 0)",
                  "i", now);
        sqlite3_stmt *q = store_query(s,
                                      "SELECT seq, id FROM tunes WHERE (finished > 0 AND finished <= ? AND (state > 4 "
                                      "OR deleted = 1)) OR (state > 3 AND owner IN (SELECT id FROM keys WHERE "
                                      "removed > 0)) LIMIT 50",
                                      "i", now - KEPT);
        for (; store_next(s, q); n++) {
            seqs[n] = sqlite3_column_int64(q, 0);
            copy_text(q, 1, ids[n], sizeof ids[n]);
        }
        for (size_t i = 0; i < n; i++) tune_forget(s, seqs[i]);
        if (!store_end(s, e)) return false;
        for (size_t i = 0; i < n; i++) tune_remove_files(s, ids[i], true);
    } while (n == AT_ONCE);
    return true;
}
