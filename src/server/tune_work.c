#include "server/tune_work.h"

#include "server/secret.h"
#include "server/tune_impl.h"
#include "server/write_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT_CHECKPOINTS = 3 };

bool tune_due(struct store *s, enum tune_task task, int64_t after, struct tune *t, gyr_error *e) {
    static const char check[] = "SELECT " TUNE_COLUMNS " FROM tunes WHERE state = 0 AND seq > ? ORDER BY seq LIMIT 1";
    static const char train[] = "SELECT " TUNE_COLUMNS " FROM tunes WHERE state IN (1, 2) AND seq > ? "
                                "ORDER BY state DESC, seq LIMIT 1";
    bool found = false;
    *t = (struct tune){0};
    if (!store_begin(s, STORE_READ, e)) return false;
    sqlite3_stmt *q = store_query(s, task == TUNE_CHECK ? check : train, "i", after);
    if (store_next(s, q)) {
        tune_read(s, q, t);
        found = true;
    }
    if (store_end(s, e)) return found;
    tune_clear(t);
    return false;
}

// Within a transaction: from a state to another.
static void move(struct store *s, const struct tune *t, const char *sql, enum tune_state to) {
    if (store_run(s, sql, "ii", (int64_t)to, t->seq) != 1)
        store_refuse(s, GYR_CANCELLED, "fine-tuning job %s: is not wanted any more", t->id);
}

bool tune_checked(struct store *s, const struct tune *t, const struct tune_plan *p, int64_t now, gyr_error *e) {
    char text[300];
    if (!store_begin(s, STORE_WRITE, e)) return false;
    move(s, t, "UPDATE tunes SET state = ? WHERE seq = ? AND state = 0", TUNE_QUEUED);
    store_run(s, "UPDATE tunes SET checksum = ?, epochs = ?, batch = ?, steps = ? WHERE seq = ?", "siiii", p->checksum,
              p->epochs, p->batch, p->steps, t->seq);
    snprintf(text, sizeof text,
             "Files validated: %lld examples, %lld tokens, %lld of them learned, longest %lld; %lld epochs, %lld steps",
             (long long)p->examples, (long long)p->tokens, (long long)p->learned, (long long)p->longest,
             (long long)p->epochs, (long long)p->steps);
    tune_note(s, t->seq, 0, text, now);
    tune_note(s, t->seq, 0, "Job queued", now);
    return store_end(s, e);
}

bool tune_begin(struct store *s, const struct tune *t, int64_t done, unsigned ranks, int64_t now, gyr_error *e) {
    char text[120];
    if (!store_begin(s, STORE_WRITE, e)) return false;
    move(s, t, "UPDATE tunes SET state = ? WHERE seq = ? AND state IN (1, 2)", TUNE_RUNNING);
    int n =
        snprintf(text, sizeof text, done ? "Training goes on behind step %lld" : "Training begins", (long long)done);
    if (ranks > 1) snprintf(text + n, sizeof text - (size_t)n, " on %u ranks", ranks);
    tune_note(s, t->seq, 0, text, now);
    return store_end(s, e);
}

bool tune_warn(struct store *s, const struct tune *t, const char *message, int64_t now, gyr_error *e) {
    if (!store_begin(s, STORE_WRITE, e)) return false;
    tune_note(s, t->seq, 1, message, now);
    return store_end(s, e);
}

// ------------------------------------------------------------------------------------------------ steps

// Of pairs of answers, by TRL's names for rewards.
static void put_measure(struct js *o, const struct tune *t, const char *of, double loss, double accuracy,
                        double margin) {
    char name[60];
    const struct {
        const char *what;
        double value;
        bool is;
    } rows[] = {{"loss", loss, true},
                {"mean_token_accuracy", accuracy, !t->prefers},
                {"reward_accuracy", accuracy, t->prefers},
                {"reward_margin", margin, t->prefers}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(name, sizeof name, "%s_%s", of, rows[i].what);
        if (rows[i].is) js_number(o, name, rows[i].value);
    }
}

static void put_metrics(struct buf *out, const struct tune *t, const struct tune_step *x) {
    struct js o = {.out = out};
    js_open(&o, NULL, '{');
    js_whole(&o, "step", x->step);
    js_whole(&o, "total_steps", t->steps);
    js_whole(&o, "epoch", x->epoch);
    put_measure(&o, t, "train", x->loss, x->accuracy, x->margin);
    if (x->valid_loss == x->valid_loss) { // the whole file is measured, each time
        put_measure(&o, t, "valid", x->valid_loss, x->valid_accuracy, x->valid_margin);
        put_measure(&o, t, "full_valid", x->valid_loss, x->valid_accuracy, x->valid_margin);
    }
    js_close(&o, '}');
}

void tune_name(const struct tune *t, int64_t step, char name[TUNE_MODEL + 1]) {
    int n = snprintf(name, TUNE_MODEL + 1, "ft:%s:gyr:%s:%.8s", t->base, t->suffix, t->id + 6);
    if (step) snprintf(name + n, (size_t)(TUNE_MODEL + 1 - n), ":ckpt-step-%lld", (long long)step);
}

static void note_step(struct store *s, const struct tune *t, const struct tune_step *x, const char *data, int64_t now) {
    char id[33] = "ftevent-", text[120];
    gyr_error e = {0};
    if (!secret_random(id + 8, 24, &e)) store_refuse(s, e.status, "%s", e.message);
    int n = snprintf(text, sizeof text, "Step %lld/%lld: training loss=%.4f", (long long)x->step, (long long)t->steps,
                     x->loss);
    if (x->valid_loss == x->valid_loss)
        snprintf(text + n, sizeof text - (size_t)n, ", validation loss=%.4f", x->valid_loss);
    store_run(s,
              "INSERT INTO tune_events (tune, id, at, level, step, message, data) VALUES (?,?,?,0,?,?,?) "
              "ON CONFLICT DO NOTHING",
              "isiiss", t->seq, id, now, x->step, text, data);
}

static void note_checkpoint(struct store *s, const struct tune *t, int64_t step, const char *data, int64_t now) {
    char id[32] = "ftckpt-", name[TUNE_MODEL + 1];
    gyr_error e = {0};
    if (!secret_random(id + 7, 24, &e)) store_refuse(s, e.status, "%s", e.message);
    tune_name(t, step == t->steps ? 0 : step, name);
    store_run(s,
              "INSERT INTO tune_checkpoints (tune, id, at, step, model, data) VALUES (?,?,?,?,?,?) "
              "ON CONFLICT DO NOTHING",
              "isiiss", t->seq, id, now, step, name, data);
}

// The oldest of more checkpoints than are kept: its step; 0: there is none.
static int64_t drop_checkpoint(struct store *s, const struct tune *t) {
    int64_t step =
        store_number(s, 0, "SELECT step FROM tune_checkpoints WHERE tune = ? ORDER BY step DESC LIMIT 1 OFFSET ?", "ii",
                     t->seq, (int64_t)KEPT_CHECKPOINTS);
    if (step) store_run(s, "DELETE FROM tune_checkpoints WHERE tune = ? AND step = ?", "ii", t->seq, step);
    return step;
}

static void remove_checkpoint(struct store *s, const struct tune *t, int64_t step) {
    char *path = step ? tune_path(s, t->id, step, NULL) : NULL;
    if (path) unlink(path);
    free(path);
}

bool tune_stepped(struct store *s, const struct tune *t, const struct tune_step *x, int64_t now, gyr_error *e) {
    struct buf data = {0};
    int64_t dropped = 0;
    put_metrics(&data, t, x);
    if (data.failed || !store_begin(s, STORE_NOTE, e)) {
        if (data.failed) fail_memory(e, "fine-tuning");
        buf_free(&data);
        return false;
    }
    // A step counts that was made while the job was paused, and so did what it goes on from.
    int64_t state = store_number(s, TUNE_CANCELLED, "SELECT state FROM tunes WHERE seq = ?", "i", t->seq);
    if (state > TUNE_PAUSED) store_refuse(s, GYR_CANCELLED, "fine-tuning job %s: is not wanted any more", t->id);
    store_run(s, "UPDATE tunes SET done = ?, tokens = ?, finish_at = CASE state WHEN 2 THEN ? ELSE 0 END WHERE seq = ?",
              "iiii", x->step, x->tokens, x->finish_at, t->seq);
    if (x->noted) note_step(s, t, x, data.data, now);
    if (x->checkpoint) {
        note_checkpoint(s, t, x->step, data.data, now);
        dropped = drop_checkpoint(s, t);
    }
    bool good = store_end(s, e);
    if (good) remove_checkpoint(s, t, dropped);
    buf_free(&data);
    return good && (state == TUNE_RUNNING || fail(e, GYR_CANCELLED, "fine-tuning job %s: is %s", t->id,
                                                  tune_state_name((enum tune_state)state)));
}

// ------------------------------------------------------------------------------------------------ the end

bool tune_fail(struct store *s, const struct tune *t, const char *code, const char *param, const char *message,
               int64_t now, gyr_error *e) {
    struct buf error = {0};
    struct js o = {.out = &error};
    js_open(&o, NULL, '{');
    js_string_of(&o, "code", code);
    js_string_of(&o, "message", message);
    js_string_of(&o, "param", param);
    js_close(&o, '}');
    if (error.failed || !store_begin(s, STORE_WRITE, e)) {
        if (error.failed) fail_memory(e, "fine-tuning");
        buf_free(&error);
        return false;
    }
    move(s, t, "UPDATE tunes SET state = ? WHERE seq = ? AND state < 4", TUNE_FAILED);
    store_run(s, "UPDATE tunes SET error = ?, finished = ?, finish_at = 0 WHERE seq = ?", "sii", error.data, now,
              t->seq);
    store_run(s, "DELETE FROM tune_checkpoints WHERE tune = ?", "i", t->seq);
    tune_note(s, t->seq, 2, message, now);
    bool good = store_end(s, e);
    if (good) tune_remove_files(s, t->id, true);
    buf_free(&error);
    return good;
}

static bool put_rows(struct store *s, const struct tune *t, struct buf *out, gyr_error *e) {
    static const char chats[] = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n",
                      pairs[] = "step,train_loss,train_reward_accuracy,train_reward_margin,valid_loss,"
                                "valid_reward_accuracy,valid_reward_margin\n",
                      of_chats[] = "SELECT step, data ->> 'train_loss', data ->> 'train_mean_token_accuracy', "
                                   "data ->> 'valid_loss', data ->> 'valid_mean_token_accuracy' "
                                   "FROM tune_events WHERE tune = ? AND step > 0 ORDER BY step",
                      of_pairs[] = "SELECT step, data ->> 'train_loss', data ->> 'train_reward_accuracy', "
                                   "data ->> 'train_reward_margin', data ->> 'valid_loss', "
                                   "data ->> 'valid_reward_accuracy', data ->> 'valid_reward_margin' "
                                   "FROM tune_events WHERE tune = ? AND step > 0 ORDER BY step";
    int columns = t->prefers ? 7 : 5;
    buf_puts(out, t->prefers ? pairs : chats);
    if (!store_begin(s, STORE_READ, e)) return false;
    sqlite3_stmt *q = store_query(s, t->prefers ? of_pairs : of_chats, "i", t->seq);
    while (store_next(s, q))
        for (int i = 0; i < columns; i++) {
            const char *text = (const char *)sqlite3_column_text(q, i);
            buf_printf(out, "%s%s", text ? text : "", i + 1 < columns ? "," : "\n");
        }
    return store_end(s, e) && (!out->failed || fail_memory(e, "fine-tuning"));
}

static struct file_writer *write_result(struct store *s, const struct tune *t, gyr_error *e) {
    static const struct file_limits none = {0};
    struct stored_file wish = {.owner = t->owner, .purpose = "fine-tune-results"};
    struct buf text = {0};
    snprintf(wish.name, sizeof wish.name, "%s_metrics.csv", t->id);
    struct file_writer *w = put_rows(s, t, &text, e) ? file_new(s, &wish, &none, e) : NULL;
    if (w && (!file_write(w, text.data, text.size, e) || !file_close(w, e))) {
        file_drop(w);
        w = NULL;
    }
    buf_free(&text);
    return w;
}

bool tune_succeed(struct store *s, struct tune *t, int64_t now, gyr_error *e) {
    struct stored_file made = {0};
    char text[TUNE_MODEL + 40];
    struct file_writer *w = write_result(s, t, e);
    tune_name(t, 0, t->model);
    snprintf(text, sizeof text, "New fine-tuned model created: %s", t->model);
    if (!w || !store_begin(s, STORE_WRITE, e)) {
        file_drop(w);
        return false;
    }
    move(s, t, "UPDATE tunes SET state = ? WHERE seq = ? AND state IN (1, 2, 3)", TUNE_SUCCEEDED);
    file_enter(w, now, &made);
    store_run(s, "UPDATE tunes SET model = ?, result = ?, finished = ?, finish_at = 0 WHERE seq = ?", "ssii", t->model,
              made.id, now, t->seq);
    tune_note(s, t->seq, 0, text, now);
    tune_note(s, t->seq, 0, "The job has successfully completed", now);
    bool good = store_end(s, e);
    if (good) file_kept(w);
    file_drop(w);
    return good;
}

bool tune_each_made(struct store *s, bool (*fn)(void *arg, const struct tune_made *m), void *arg, gyr_error *e) {
    bool go_on = true;
    if (!store_begin(s, STORE_READ, e)) return false;
    sqlite3_stmt *q = store_query(
        s,
        "SELECT model, id, base, checksum, 0, CASE shared WHEN 1 THEN -1 ELSE owner END FROM tunes WHERE state = 4 AND "
        "deleted = 0 UNION ALL SELECT c.model, tunes.id, base, checksum, c.step, CASE shared WHEN 1 THEN -1 ELSE owner "
        "END "
        "FROM tune_checkpoints c JOIN tunes ON tunes.seq = c.tune WHERE c.step < tunes.steps",
        "");
    while (go_on && store_next(s, q))
        go_on = fn(arg, &(struct tune_made){.model = (const char *)sqlite3_column_text(q, 0),
                                            .id = (const char *)sqlite3_column_text(q, 1),
                                            .base = (const char *)sqlite3_column_text(q, 2),
                                            .checksum = (const char *)sqlite3_column_text(q, 3),
                                            .step = sqlite3_column_int64(q, 4),
                                            .owner = sqlite3_column_int64(q, 5)});
    return store_end(s, e);
}
