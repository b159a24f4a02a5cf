// Batches: from a file of requests to a file of answers, whatever comes in between.
#include "batch.h"

#include <sys/wait.h>

static void a_batch_is_worked_to_its_end(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b, now;
    struct batch_line l;
    char input[64];
    REQUIRE(s && batch_input(s, 1, LINES("a", "b", "c"), input));
    struct batch_wish w = {1, input, "/v1/chat/completions", "24h", "{\"for\":\"test\"}", 86400};
    REQUIRE(batch_add(s, &w, 1000, &b, &e));
    CHECK_INT(strlen(b.id), BATCH_ID);
    CHECK_STR(batch_state_name(b.state), "validating");
    CHECK(b.expires_at == 87400 && b.at[BATCH_VALIDATING] == 1000 && b.total == 0);
    CHECK_STR(b.metadata, "{\"for\":\"test\"}");
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work);
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_AGAIN);
    REQUIRE(batch_find(s, 1, b.id, &now, &e));
    CHECK(now.state == BATCH_IN_PROGRESS && now.total == 3 && now.at[BATCH_IN_PROGRESS] == 1001);
    batch_clear(&now);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(batch_next(work, 1002, &l, &e), BATCH_LINE);
        CHECK_STR(l.endpoint, "/v1/chat/completions");
        CHECK_INT(l.owner, 1);
        struct batch_answer a = {200, "req_1", l.body, NULL, NULL, l.body_size};
        static const char bad_request[] = "{\n\"error\": {}\r\n}";
        if (i == 1) a = (struct batch_answer){400, "req_2", bad_request, NULL, NULL, sizeof bad_request - 1};
        CHECK(batch_record(work, &l, &a, &e));
        CHECK(!batch_record(work, &l, &a, &e)); // once
        CHECK_INT(e.status, GYR_CANCELLED);
        batch_line_clear(&l);
    }
    CHECK_INT(batch_next(work, 1003, &l, &e), BATCH_AGAIN); // finalizing
    CHECK_INT(batch_next(work, 1003, &l, &e), BATCH_AGAIN); // completed
    CHECK_INT(batch_next(work, 1004, &l, &e), BATCH_NONE);
    REQUIRE(batch_find(s, 1, b.id, &now, &e));
    CHECK_STR(batch_state_name(now.state), "completed");
    CHECK(now.completed == 2 && now.failed == 1 && now.at[BATCH_FINALIZING] == 1003 && now.at[BATCH_COMPLETED] == 1003);
    char *text = batch_file(s, now.output_file);
    CHECK_STR(batch_without_ids(text), "{\"id\":\"batch_req_\",\"custom_id\":\"a\",\"response\":{\"status_code\":200,"
                                       "\"request_id\":\"req_1\",\"body\":"
                                       "{\"n\":[0.5,\"x\"]}},\"error\":null}\n"
                                       "{\"id\":\"batch_req_\",\"custom_id\":\"c\",\"response\":{\"status_code\":200,"
                                       "\"request_id\":\"req_1\",\"body\":"
                                       "{\"n\":[0.5,\"x\"]}},\"error\":null}\n");
    free(text);
    text = batch_file(s, now.error_file);
    CHECK_STR(batch_without_ids(text), "{\"id\":\"batch_req_\",\"custom_id\":\"b\",\"response\":{\"status_code\":400,"
                                       "\"request_id\":\"req_2\",\"body\":{ \"error\": {}  }},\"error\":null}\n");
    free(text);
    batch_clear(&b);
    CHECK(!batch_find(s, 2, now.id, &b, &e));
    CHECK(batch_find(s, OWNER_ANY, now.id, &b, &e));
    batch_clear(&b);
    batch_clear(&now);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

// What is wrong with a file is said by line.
static void fails(const char *text, const char *errors) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b, now = {0};
    struct batch_line l;
    char input[64];
    const struct batch_limits few = {3, 200};
    REQUIRE(s && batch_input(s, 1, text, input));
    struct batch_wish w = {1, input, "/v1/chat/completions", "24h", NULL, 86400};
    struct batch_work *work = batch_work_new(s, &few, &e);
    REQUIRE(work && batch_add(s, &w, 1000, &b, &e));
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_AGAIN);
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_NONE);
    CHECK(batch_find(s, 1, b.id, &now, &e));
    CHECK_STR(batch_state_name(now.state), "failed");
    CHECK_STR(now.errors, errors);
    CHECK(file_delete(s, 1, input, 1002, &e)); // not in use any more
    batch_clear(&now);
    batch_clear(&b);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

static void files_that_are_no_batches_fail(void) {
    fails("", "[{\"code\":\"empty_file\",\"message\":\"the file has no requests\",\"param\":null,\"line\":null}]");
    fails("\n\r\n \n",
          "[{\"code\":\"empty_file\",\"message\":\"the file has no requests\",\"param\":null,\"line\":null}]");
    fails(LINES("a", "a"),
          "[{\"code\":\"duplicate_custom_id\",\"message\":\"is used twice\",\"param\":\"a\",\"line\":null}]");
    fails(LINES("a") "nonsense\n[]\n",
          "[{\"code\":\"invalid_json_line\",\"message\":\"is not a JSON object\",\"param\":null,\"line\":2},"
          "{\"code\":\"invalid_json_line\",\"message\":\"is not a JSON object\",\"param\":null,\"line\":3}]");
    fails("{\"custom_id\":\"\"}\n{\"custom_id\":\"a\",\"method\":\"GET\"}\n{\"custom_id\":\"a\",\"method\":\"POST\","
          "\"url\":\"/x\"}\n"
          "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":[]}",
          "[{\"code\":\"invalid_custom_id\",\"message\":\"must be a text of 1 to 512 "
          "bytes\",\"param\":\"custom_id\",\"line\":1},"
          "{\"code\":\"invalid_method\",\"message\":\"must be POST\",\"param\":\"method\",\"line\":2},"
          "{\"code\":\"invalid_url\",\"message\":\"must be the batch's endpoint\",\"param\":\"url\",\"line\":3},"
          "{\"code\":\"invalid_body\",\"message\":\"must be an object\",\"param\":\"body\",\"line\":4}]");
    fails(LINES("a", "b", "c", "d"),
          "[{\"code\":\"too_many_tasks\",\"message\":\"the file has more requests than a batch may "
          "have\",\"param\":null,\"line\":4}]");
    char text[400];
    memset(text, ' ', sizeof text);
    text[0] = '{';
    text[398] = '}';
    text[399] = 0;
    fails(
        text,
        "[{\"code\":\"invalid_json_line\",\"message\":\"is longer than a request may be\",\"param\":null,\"line\":1}]");
}

static void wishes_are_checked(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b;
    char input[64];
    REQUIRE(s && batch_input(s, 1, LINES("a"), input));
    struct batch_wish good = {1, input, "/v1/chat/completions", "24h", NULL, 86400}, w = good;
    w.input_file = "file-none";
    CHECK(!batch_add(s, &w, 1, &b, &e));
    CHECK_STR(e.message, "file file-none: there is none");
    w = good;
    w.owner = 2; // another's file
    CHECK(!batch_add(s, &w, 1, &b, &e) && e.status == GYR_USAGE);
    w = good;
    w.metadata = "[1]";
    CHECK(!batch_add(s, &w, 1, &b, &e));
    CHECK_STR(e.message, "metadata: must be a JSON object of at most 16384 bytes");
    w = good;
    w.endpoint = "";
    CHECK(!batch_add(s, &w, 1, &b, &e));
    CHECK_STR(e.message, "endpoint: must be a path of at most 64 bytes");
    w = good;
    w.window = "a very long time indeed";
    CHECK(!batch_add(s, &w, 1, &b, &e));
    CHECK_STR(e.message, "completion_window: must be a time such as 24h");
    struct stored_file f = {.owner = 1, .name = "x", .purpose = "user_data"}, made;
    struct file_writer *writer = file_new(s, &f, &batch_no_file_limits, &e);
    REQUIRE(writer && file_finish(writer, 1, &made, &e));
    w = good;
    w.input_file = made.id;
    CHECK(!batch_add(s, &w, 1, &b, &e));
    CHECK(strstr(e.message, "its purpose is user_data; a batch needs one of purpose batch"));
    store_close(s);
    state_remove();
}

static void a_batch_can_be_cancelled(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b, now;
    struct batch_line one, two, l;
    char input[64];
    REQUIRE(s && batch_input(s, 1, LINES("a", "b", "c"), input));
    struct batch_wish w = {1, input, "/v1/chat/completions", "24h", NULL, 86400};
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work && batch_add(s, &w, 1000, &b, &e));
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_AGAIN);
    REQUIRE(batch_next(work, 1001, &one, &e) == BATCH_LINE && batch_next(work, 1001, &two, &e) == BATCH_LINE);
    CHECK(!file_delete(s, 1, input, 1002, &e));
    CHECK(strstr(e.message, "is in use by batch_"));
    CHECK(!batch_cancel(s, 2, b.id, 1002, &now, &e));
    REQUIRE(batch_cancel(s, 1, b.id, 1002, &now, &e));
    CHECK(now.state == BATCH_CANCELLING && now.at[BATCH_CANCELLING] == 1002);
    batch_clear(&now);
    CHECK(batch_cancel(s, 1, b.id, 1003, &now, &e)); // again: the same
    CHECK_INT(now.at[BATCH_CANCELLING], 1002);
    batch_clear(&now);
    // What is under way is waited for; nothing else is given.
    CHECK_INT(batch_next(work, 1003, &l, &e), BATCH_NONE);
    CHECK(batch_record(work, &one, &batch_yes, &e));
    CHECK_INT(batch_next(work, 1003, &l, &e), BATCH_NONE);
    CHECK(batch_give_back(work, &two, 0, &e));
    CHECK_INT(batch_next(work, 1004, &l, &e), BATCH_AGAIN);
    REQUIRE(batch_find(s, 1, b.id, &now, &e));
    CHECK(now.state == BATCH_CANCELLED && now.completed == 1 && now.at[BATCH_CANCELLED] == 1004);
    CHECK_INT(batch_lines(s, now.output_file), 1);
    CHECK_INT(batch_lines(s, now.error_file), 2);
    CHECK(!batch_record(work, &two, &batch_yes, &e) && e.status == GYR_CANCELLED);
    batch_clear(&b);
    CHECK(!batch_cancel(s, 1, now.id, 1005, &b, &e));
    CHECK(strstr(e.message, "is cancelled and cannot be cancelled any more"));
    batch_clear(&now);
    batch_line_clear(&one);
    batch_line_clear(&two);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

// A line whose answer never comes holds up the end for ten minutes.
static void a_cancelled_batch_does_not_wait_for_ever(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b, now;
    struct batch_line one, l;
    char input[64];
    REQUIRE(s && batch_input(s, 1, LINES("a"), input));
    struct batch_wish w = {1, input, "/v1/chat/completions", "24h", NULL, 86400};
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work && batch_add(s, &w, 1000, &b, &e));
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_AGAIN);
    CHECK_INT(batch_next(work, 1001, &one, &e), BATCH_LINE);
    REQUIRE(batch_cancel(s, 1, b.id, 1002, &now, &e));
    batch_clear(&now);
    CHECK_INT(batch_next(work, 1601, &l, &e), BATCH_NONE);
    CHECK_INT(batch_next(work, 1602, &l, &e), BATCH_AGAIN);
    CHECK(!batch_record(work, &one, &batch_yes, &e) && e.status == GYR_CANCELLED);
    REQUIRE(batch_find(s, 1, b.id, &now, &e));
    CHECK(now.state == BATCH_CANCELLED && now.completed == 0 && !*now.output_file);
    CHECK_INT(batch_lines(s, now.error_file), 1);
    batch_clear(&now);
    batch_clear(&b);
    batch_line_clear(&one);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

static void a_file_that_stays_unreadable_fails_its_batch(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b, now;
    struct batch_line l;
    char input[64], name[80];
    REQUIRE(s && batch_input(s, 1, LINES("a"), input));
    snprintf(name, sizeof name, "files/%s", input);
    CHECK(!remove(state_file(name)));
    struct batch_wish w = {1, input, "/v1/chat/completions", "24h", NULL, 86400};
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work && batch_add(s, &w, 1000, &b, &e));
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_TROUBLE);
    CHECK_INT(batch_next(work, 1002, &l, &e), BATCH_NONE); // it rests
    CHECK_INT(batch_next(work, 1031, &l, &e), BATCH_TROUBLE);
    CHECK_INT(batch_next(work, 87400, &l, &e), BATCH_AGAIN);
    REQUIRE(batch_find(s, 1, b.id, &now, &e));
    CHECK_STR(batch_state_name(now.state), "failed");
    CHECK_STR(now.errors, "[{\"code\":\"file_unreadable\",\"message\":\"the file could not be read until the batch "
                          "expired\",\"param\":null,\"line\":null}]");
    batch_clear(&now);
    batch_clear(&b);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

static void a_batch_expires(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b, now;
    struct batch_line one, two, l;
    char input[64];
    REQUIRE(s && batch_input(s, 1, LINES("a", "b", "c"), input));
    struct batch_wish w = {1, input, "/v1/chat/completions", "1m", NULL, 60};
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work && batch_add(s, &w, 1000, &b, &e));
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_AGAIN);
    REQUIRE(batch_next(work, 1001, &one, &e) == BATCH_LINE && batch_next(work, 1001, &two, &e) == BATCH_LINE);
    CHECK(batch_record(work, &one, &batch_yes, &e));
    CHECK_INT(batch_next(work, 1060, &l, &e), BATCH_AGAIN);
    CHECK(!batch_record(work, &two, &batch_yes, &e) && e.status == GYR_CANCELLED); // too late
    CHECK_INT(batch_next(work, 1060, &l, &e), BATCH_AGAIN);
    REQUIRE(batch_find(s, 1, b.id, &now, &e));
    CHECK(now.state == BATCH_EXPIRED && now.completed == 1 && now.at[BATCH_EXPIRED] == 1060);
    CHECK_INT(batch_lines(s, now.output_file), 1);
    char *text = batch_file(s, now.error_file);
    CHECK(text &&
          strstr(text, "\"custom_id\":\"b\",\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":"));
    CHECK_INT(batch_lines(s, now.error_file), 2);
    free(text);
    batch_clear(&now);
    batch_clear(&b);
    batch_line_clear(&one);
    batch_line_clear(&two);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

static void batches_take_turns(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b[3], *page;
    struct batch_line l;
    char input[64], order[8] = "";
    size_t n;
    bool more;
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work);
    static const char *const texts[] = {LINES("a", "b", "c"), LINES("x"), LINES("m", "n")};
    for (int i = 0; i < 3; i++) {
        CHECK(batch_input(s, 1, texts[i], input));
        struct batch_wish w = {1, input, "/v1/chat/completions", "24h", NULL, 86400};
        CHECK(batch_add(s, &w, 1000, &b[i], &e) && batch_next(work, 1000, &l, &e) == BATCH_AGAIN);
    }
    while (batch_next(work, 1001, &l, &e) == BATCH_LINE) {
        strncat(order, l.custom_id, 1);
        batch_line_clear(&l);
    }
    CHECK_STR(order, "axmbnc");
    REQUIRE((page = batches_list(s, 1, NULL, 2, &n, &more, &e)));
    CHECK(n == 2 && more && !strcmp(page[0].id, b[2].id) && !strcmp(page[1].id, b[1].id));
    for (size_t i = 0; i < n; i++) batch_clear(&page[i]);
    free(page);
    REQUIRE((page = batches_list(s, 1, b[1].id, 2, &n, &more, &e)));
    CHECK(n == 1 && !more && !strcmp(page[0].id, b[0].id));
    batch_clear(&page[0]);
    free(page);
    CHECK(!batches_list(s, 2, b[1].id, 2, &n, &more, &e) && e.status == GYR_USAGE);
    for (int i = 0; i < 3; i++) batch_clear(&b[i]);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

// One process works on batches; when it ends, its lines are open again.
static void the_work_is_one_processs(void) {
    struct store *s = batch_state(), *other = store_open(state_dir, NULL);
    gyr_error e = {0};
    struct batch b;
    struct batch_line one, again;
    char input[64];
    REQUIRE(s && other && batch_input(s, 1, LINES("a"), input));
    struct batch_wish w = {1, input, "/v1/chat/completions", "24h", NULL, 86400};
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work && batch_add(s, &w, 1000, &b, &e));
    CHECK(!batch_work_new(other, &batch_no_limits, &e));
    CHECK_INT(e.status, GYR_CANCELLED);
    CHECK_STR(state_said(&e), "DIR/batches.lock: another process works on the batches");
    CHECK_INT(batch_next(work, 1001, &one, &e), BATCH_AGAIN);
    CHECK_INT(batch_next(work, 1001, &one, &e), BATCH_LINE);
    CHECK_INT(batch_next(work, 1001, &again, &e), BATCH_NONE);
    batch_work_free(work);
    struct batch_work *second = batch_work_new(other, &batch_no_limits, &e);
    REQUIRE(second);
    CHECK_INT(batch_next(second, 1002, &again, &e), BATCH_LINE);
    CHECK_STR(again.custom_id, "a");
    CHECK(batch_record(second, &again, &batch_yes, &e));
    batch_clear(&b);
    batch_line_clear(&one);
    batch_line_clear(&again);
    batch_work_free(second);
    store_close(s);
    store_close(other);
    state_remove();
}

// Contents that are gone or changed behind the server's back: said, and other batches go on.
static void a_batch_in_trouble_rests(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b[2];
    struct batch_line l;
    char input[2][64];
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work);
    for (int i = 0; i < 2; i++) {
        CHECK(batch_input(s, 1, LINES("a"), input[i]));
        struct batch_wish w = {1, input[i], "/v1/chat/completions", "24h", NULL, 86400};
        CHECK(batch_add(s, &w, 1000, &b[i], &e) && batch_next(work, 1000, &l, &e) == BATCH_AGAIN);
    }
    char name[80], away[80];
    snprintf(name, sizeof name, "files/%s", input[0]);
    snprintf(away, sizeof away, "%s", state_file("away"));
    CHECK(!rename(state_file(name), away));
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_TROUBLE);
    CHECK_INT(e.status, GYR_IO);
    CHECK(strstr(e.message, "No such file or directory"));
    CHECK_INT(batch_next(work, 1001, &l, &e), BATCH_LINE);
    CHECK_INT(l.batch, b[1].seq);
    batch_line_clear(&l);
    CHECK_INT(batch_next(work, 1002, &l, &e), BATCH_NONE);
    CHECK_INT(batch_next(work, 1031, &l, &e), BATCH_TROUBLE);
    CHECK(!rename(away, state_file(name)));
    CHECK_INT(batch_next(work, 1062, &l, &e), BATCH_LINE);
    CHECK_INT(l.batch, b[0].seq);
    batch_line_clear(&l);
    for (int i = 0; i < 2; i++) batch_clear(&b[i]);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

// A line may be given back for a while: its batch rests, and others go on.
static void a_line_is_given_back_until_later(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b[2], refused = {0};
    struct batch_line one, l;
    char input[64];
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work);
    for (int i = 0; i < 2; i++) {
        CHECK(batch_input(s, 1, LINES("a", "b"), input));
        struct batch_wish w = {1, input, "/v1/chat/completions", "24h", NULL, 86400, 2};
        CHECK(batch_add(s, &w, 1000, &b[i], &e) && batch_next(work, 1000, &l, &e) == BATCH_AGAIN);
        if (i) CHECK(!batch_add(s, &w, 1000, &refused, &e));
    }
    CHECK_INT(e.status, GYR_TOO_LONG);
    CHECK_STR(e.message, "batches: 2 are under way, as many as may be; wait for one of them");
    CHECK_INT(batch_next(work, 1001, &one, &e), BATCH_LINE);
    CHECK(batch_give_back(work, &one, 1010, &e));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(batch_next(work, 1009, &l, &e), BATCH_LINE);
        CHECK(l.batch != one.batch);
        batch_line_clear(&l);
    }
    CHECK_INT(batch_next(work, 1009, &l, &e), BATCH_NONE);
    CHECK_INT(batch_next(work, 1010, &l, &e), BATCH_LINE);
    CHECK(l.batch == one.batch && l.line == one.line);
    batch_line_clear(&l);
    batch_line_clear(&one);
    batch_clear(&refused);
    for (int i = 0; i < 2; i++) batch_clear(&b[i]);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

static void old_batches_are_forgotten(void) {
    enum { DAY = 86400 };
    struct store *s = batch_state();
    gyr_error e = {0};
    struct batch b[3], now;
    struct batch_line l;
    char input[3][64];
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work);
    for (int i = 0; i < 3; i++) { // the last is not over
        CHECK(batch_input(s, 1, i == 2 ? LINES("a") : "nonsense", input[i]));
        struct batch_wish w = {1, input[i], "/v1/chat/completions", "24h", NULL, 365 * DAY};
        CHECK(batch_add(s, &w, 1000, &b[i], &e) && batch_next(work, 1000, &l, &e) == BATCH_AGAIN);
    }
    CHECK(file_delete(s, 1, input[0], 1001, &e));
    static const struct {
        int64_t now;
        bool there[3];
    } rows[] = {{1000 + DAY - 1, {true, true, true}},
                {1000 + DAY, {false, true, true}},
                {1000 + 90 * DAY - 1, {false, true, true}},
                {1000 + 90 * DAY, {false, false, true}}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        CHECK(batches_sweep(s, rows[r].now, &e));
        for (int i = 0; i < 3; i++) {
            bool there = batch_find(s, 1, b[i].id, &now, &e);
            CHECK_INT(there, rows[r].there[i]);
            if (there) batch_clear(&now);
        }
    }
    CHECK_INT(batch_next(work, 1002, &l, &e), BATCH_LINE);
    batch_line_clear(&l);
    for (int i = 0; i < 3; i++) batch_clear(&b[i]);
    batch_work_free(work);
    store_close(s);
    state_remove();
}

static void a_thousand_lines_are_all_there(void) {
    struct store *s = batch_state();
    gyr_error e = {0};
    struct buf text = {0};
    struct batch b, now;
    struct batch_line l;
    char input[64];
    enum batch_turn turn;
    for (int i = 0; i < 1003; i++)
        buf_printf(&text, "{\"custom_id\":\"line %d\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{}}\r\n",
                   i);
    REQUIRE(s && batch_input(s, 1, text.data, input));
    struct batch_wish w = {1, input, "/v1/embeddings", "24h", NULL, 86400};
    struct batch_work *work = batch_work_new(s, &batch_no_limits, &e);
    REQUIRE(work && batch_add(s, &w, 1000, &b, &e));
    while ((turn = batch_next(work, 1001, &l, &e)) != BATCH_NONE) {
        CHECK(turn == BATCH_AGAIN || turn == BATCH_LINE);
        if (turn == BATCH_LINE) CHECK(batch_record(work, &l, &batch_yes, &e));
        batch_line_clear(&l);
    }
    REQUIRE(batch_find(s, 1, b.id, &now, &e));
    CHECK(now.state == BATCH_COMPLETED && now.total == 1003 && now.completed == 1003 && !*now.error_file);
    CHECK_INT(batch_lines(s, now.output_file), 1003);
    batch_clear(&now);
    batch_clear(&b);
    batch_work_free(work);
    store_close(s);
    buf_free(&text);
    state_remove();
}

int main(void) {
    RUN(a_batch_is_worked_to_its_end);
    RUN(files_that_are_no_batches_fail);
    RUN(wishes_are_checked);
    RUN(a_batch_can_be_cancelled);
    RUN(a_cancelled_batch_does_not_wait_for_ever);
    RUN(a_file_that_stays_unreadable_fails_its_batch);
    RUN(a_batch_expires);
    RUN(batches_take_turns);
    RUN(the_work_is_one_processs);
    RUN(a_batch_in_trouble_rests);
    RUN(a_line_is_given_back_until_later);
    RUN(old_batches_are_forgotten);
    RUN(a_thousand_lines_are_all_there);
    return test_end();
}
