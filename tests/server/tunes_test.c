// Fine-tuning jobs in the state: from state to state, steps that count once, what is forgotten and when.
#include "server/tune_work.h"
#include "state.h"

#include "server/keys.h"

#include <fcntl.h>
#include <math.h>

enum { NOW = 1000000, DAY = 86400 };

static struct store *s;

static void begin(void) {
    state_make();
    s = store_open(state_dir, NULL);
    if (!s || mkdir(state_file("tuned"), 0700)) exit(99);
}

static void end(void) {
    store_close(s);
    state_remove();
}

static void file_of(int64_t owner, const char *purpose, char id[FILE_ID + 1]) {
    static const struct file_limits none = {0};
    struct stored_file f = {.owner = owner, .name = "chats.jsonl"}, made = {0};
    snprintf(f.purpose, sizeof f.purpose, "%s", purpose);
    struct file_writer *w = file_new(s, &f, &none, NULL);
    if (!w || !file_write(w, "{}\n", 3, NULL) || !file_finish(w, NOW, &made, NULL)) exit(99);
    memcpy(id, made.id, FILE_ID + 1);
}

static struct tune job_of(int64_t owner) {
    char file[FILE_ID + 1];
    struct tune made;
    gyr_error e = {0};
    file_of(owner, "fine-tune", file);
    struct tune_wish w = {.owner = owner, .base = "poet", .training = file, .suffix = "x", .rate = 0.1, .seed = 7};
    if (!tune_add(s, &w, NOW, &made, &e)) printf("  %s\n", e.message), exit(99);
    return made;
}

static const struct tune_plan plan = {.checksum = "abc", .epochs = 3, .batch = 2, .steps = 6, .examples = 4};

// Up to step `steps`.
static struct tune trained(int64_t owner, int64_t steps) {
    struct tune t = job_of(owner), now;
    gyr_error e = {0};
    CHECK(tune_checked(s, &t, &plan, NOW, &e) && tune_begin(s, &t, 0, 1, NOW, &e));
    tune_clear(&t);
    CHECK(tune_find(s, owner, t.id, &now, &e));
    for (int64_t i = 1; i <= steps; i++) {
        struct tune_step x = {
            .step = i, .loss = 1.0 / (double)i, .valid_loss = i % 2 ? (double)NAN : 0.5, .noted = true};
        x.checkpoint = i % 2 == 0;
        CHECK(tune_stepped(s, &now, &x, NOW, &e));
    }
    return now;
}

static size_t count(struct tune *t, bool checkpoints) {
    struct tune_page p = {.limit = 1000};
    if (checkpoints) {
        struct tune_checkpoint *all = tune_checkpoints(s, t->seq, &p, NULL);
        tune_checkpoints_free(all, p.count);
    } else {
        struct tune_event *all = tune_events(s, t->seq, &p, NULL);
        size_t steps = 0;
        for (size_t i = 0; all && i < p.count; i++) steps += all[i].step > 0;
        tune_events_free(all, p.count);
        return steps;
    }
    return p.count;
}

static void touch(const struct tune *t, int64_t step) {
    char *path = tune_path(s, t->id, step, NULL);
    int fd = path ? open(path, O_CREAT | O_WRONLY, 0600) : -1;
    CHECK(fd >= 0);
    close(fd);
    free(path);
}

static bool is_there(const struct tune *t, int64_t step) {
    char *path = tune_path(s, t->id, step, NULL);
    bool there = path && !access(path, F_OK);
    free(path);
    return there;
}

// ------------------------------------------------------------------------------------------------ cases

static void wishes_are_checked(void) {
    begin();
    char file[FILE_ID + 1], other[FILE_ID + 1];
    struct tune made;
    gyr_error e = {0};
    file_of(5, "fine-tune", file);
    file_of(5, "batch", other);
    struct tune_wish w = {.owner = 5, .base = "poet", .training = other, .suffix = "", .most = 1};
    CHECK(!tune_add(s, &w, NOW, &made, &e));
    CHECK(strstr(e.message, "its purpose is batch; fine-tuning needs one of purpose fine-tune"));
    w.training = file;
    w.owner = 6;
    CHECK(!tune_add(s, &w, NOW, &made, &e) && strstr(e.message, "there is none"));
    w.owner = 5;
    w.metadata = "[]";
    CHECK(!tune_add(s, &w, NOW, &made, &e) && strstr(e.message, "metadata"));
    w.metadata = "{\"a\":\"b\"}";
    REQUIRE(tune_add(s, &w, NOW, &made, &e));
    CHECK_STR(made.metadata, "{\"a\":\"b\"}");
    CHECK_STR(tune_state_name(made.state), "validating_files");
    tune_clear(&made);
    CHECK(!tune_add(s, &w, NOW, &made, &e));
    CHECK_INT(e.status, GYR_TOO_LONG);
    CHECK(!file_delete(s, 5, file, NOW, &e) && strstr(e.message, "is in use by ftjob-"));
    end();
}

static void states_follow_each_other(void) {
    static const struct {
        enum tune_state from, to;
        bool may;
    } rows[] = {{TUNE_VALIDATING, TUNE_PAUSED, false},   {TUNE_VALIDATING, TUNE_QUEUED, false},
                {TUNE_VALIDATING, TUNE_CANCELLED, true}, {TUNE_RUNNING, TUNE_QUEUED, false},
                {TUNE_RUNNING, TUNE_PAUSED, true},       {TUNE_RUNNING, TUNE_CANCELLED, true}};
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tune t = rows[i].from == TUNE_RUNNING ? trained(0, 1) : job_of(0), now;
        gyr_error e = {0};
        bool did = tune_turn(s, 0, t.id, rows[i].to, NOW, &now, &e);
        CHECK_INT(did, rows[i].may);
        CHECK_INT(did ? (int)now.state : (int)e.status, did ? (int)rows[i].to : (int)GYR_FAILED);
        if (did) tune_clear(&now);
        CHECK(!tune_turn(s, 9, t.id, rows[i].to, NOW, &now, &e));
        CHECK_INT(e.status, GYR_USAGE);
        tune_clear(&t);
    }
    end();
}

static void a_step_counts_once(void) {
    begin();
    struct tune t = trained(0, 3), now;
    gyr_error e = {0};
    struct tune_step again = {.step = 3, .loss = 9, .noted = true}, next = {.step = 4, .loss = 0.2, .noted = true};
    CHECK(tune_stepped(s, &t, &again, NOW, &e));
    CHECK_INT(count(&t, false), 3);
    // one that was made when the job had been paused counts, and ends it
    CHECK(tune_turn(s, 0, t.id, TUNE_PAUSED, NOW, &now, &e));
    tune_clear(&now);
    CHECK(!tune_stepped(s, &t, &next, NOW, &e));
    CHECK_INT(e.status, GYR_CANCELLED);
    CHECK_INT(count(&t, false), 4);
    CHECK(tune_turn(s, 0, t.id, TUNE_CANCELLED, NOW, &now, &e));
    tune_clear(&now);
    next.step = 5;
    CHECK(!tune_stepped(s, &t, &next, NOW, &e));
    CHECK_INT(count(&t, false), 4);
    CHECK_INT(count(&t, true), 0);
    tune_clear(&t);
    end();
}

struct found {
    int n;
    int64_t owner;
    char names[400];
};

static bool take(void *arg, const struct tune_made *m) {
    struct found *f = arg;
    f->n++;
    f->owner = m->owner;
    snprintf(f->names + strlen(f->names), sizeof f->names - strlen(f->names), "%s\n", m->model);
    return true;
}

static void models_come_and_go(void) {
    begin();
    struct tune t = trained(4, 6), now;
    gyr_error e = {0};
    struct found f = {0};
    touch(&t, 0);
    touch(&t, 4);
    REQUIRE(tune_succeed(s, &t, NOW, &e));
    CHECK(tune_each_made(s, take, &f, &e));
    CHECK_INT(f.n, 3); // its own, and those of steps 2 and 4
    CHECK_INT(f.owner, 4);
    CHECK(strstr(f.names, t.model) && strstr(f.names, ":ckpt-step-4\n") && !strstr(f.names, ":ckpt-step-6"));
    CHECK(!tune_delete_model(s, 3, t.model, &e) && is_there(&t, 0));
    CHECK(tune_delete_model(s, 4, t.model, &e) && !is_there(&t, 0) && is_there(&t, 4));
    CHECK(!tune_delete_model(s, 4, t.model, &e));
    f = (struct found){0};
    CHECK(tune_each_made(s, take, &f, &e) && f.n == 2);
    CHECK(tune_find(s, 4, t.id, &now, &e) && now.state == TUNE_SUCCEEDED && now.deleted && *now.result);
    tune_clear(&now);
    tune_clear(&t);
    end();
}

static void what_is_over_is_forgotten(void) {
    begin();
    gyr_error e = {0};
    struct tune good = trained(0, 2), bad = trained(0, 2), now;
    CHECK(tune_succeed(s, &good, NOW, &e));
    CHECK(tune_fail(s, &bad, "invalid_training_file", "training_file", "chats.jsonl:3: no", NOW, &e));
    CHECK(tune_find(s, 0, bad.id, &now, &e));
    CHECK_STR(now.error,
              "{\"code\":\"invalid_training_file\",\"message\":\"chats.jsonl:3: no\",\"param\":\"training_file\"}");
    tune_clear(&now);
    CHECK(tunes_sweep(s, NOW + 89 * DAY, &e) && tune_find(s, 0, bad.id, &now, &e));
    tune_clear(&now);
    CHECK(tunes_sweep(s, NOW + 91 * DAY, &e) && !tune_find(s, 0, bad.id, &now, &e));
    CHECK(tune_find(s, 0, good.id, &now, &e)); // its model is there
    tune_clear(&now);
    CHECK_INT(count(&bad, false), 0);
    tune_clear(&good);
    tune_clear(&bad);
    end();
}

static void with_its_key_all_goes(void) {
    begin();
    gyr_error e = {0};
    char text[KEY_TEXT];
    struct key k = {.name = "ann"};
    REQUIRE(keys_add(s, &k, NOW, text, &e));
    struct tune done = trained(1, 2), under_way = trained(1, 2), now;
    touch(&done, 0);
    CHECK(tune_succeed(s, &done, NOW, &e));
    CHECK(keys_remove(s, "ann", NOW, &e) && tunes_sweep(s, NOW + 1, &e));
    CHECK(!tune_find(s, OWNER_ANY, done.id, &now, &e) && !tune_find(s, OWNER_ANY, under_way.id, &now, &e));
    CHECK(!is_there(&done, 0));
    CHECK(!tune_stepped(s, &under_way, &(struct tune_step){.step = 3}, NOW, &e));
    CHECK_INT(e.status, GYR_CANCELLED);
    tune_clear(&done);
    tune_clear(&under_way);
    end();
}

int main(void) {
    RUN(wishes_are_checked);
    RUN(states_follow_each_other);
    RUN(a_step_counts_once);
    RUN(models_come_and_go);
    RUN(what_is_over_is_forgotten);
    RUN(with_its_key_all_goes);
    return test_end();
}
