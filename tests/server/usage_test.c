// What keys used: counted, written in batches, kept when the state cannot be written, and shown.
#include "state.h"

#include "server/keys.h"
#include "server/usage.h"

#include <jansson.h>
#include <pthread.h>

enum { DAY = 86400 };

static json_t *listed(struct store *s, const char *name) {
    gyr_error e = {0};
    char *text = usage_list(s, name, 0, &e);
    json_t *all = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return all;
}

static long long number(const json_t *all, size_t row, const char *key) {
    return json_integer_value(json_object_get(json_array_get(all, row), key));
}

static const char *string(const json_t *all, size_t row, const char *key) {
    return json_string_value(json_object_get(json_array_get(all, row), key));
}

static void counts_are_summed_by_key_day_and_model(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    char text[KEY_TEXT];
    struct key k = {.name = "ann"};
    CHECK(keys_add(s, &k, 1, text, &e));
    struct usage *u = usage_new(s);
    struct usage_entry ten = {10, 4, 2};
    CHECK(!usage_due(u, 100 * DAY));
    usage_add(u, 1, "poet", &ten, 100 * DAY);
    usage_add(u, 1, "poet", &ten, 100 * DAY + 5);
    usage_add(u, 1, "falcon", &ten, 100 * DAY + 5);
    usage_add(u, 0, "poet", &ten, 100 * DAY + 5);
    CHECK_INT(usage_today(u, 1, 100 * DAY + 9), 36);
    CHECK(usage_due(u, 100 * DAY));
    CHECK(usage_flush(u, 100 * DAY, &e));
    CHECK(!usage_due(u, 100 * DAY + 60));
    usage_add(u, 1, "poet", &ten, 100 * DAY + 3);
    CHECK(!usage_due(u, 100 * DAY + 4) && usage_due(u, 100 * DAY + 5));
    CHECK_INT(usage_today(u, 1, 100 * DAY + 9), 48);
    usage_add(u, 1, "poet", &ten, 101 * DAY);
    CHECK(usage_flush(u, 101 * DAY, &e));
    CHECK_INT(usage_today(u, 1, 101 * DAY), 12);
    json_t *all = listed(s, NULL);
    REQUIRE(json_array_size(all) == 4);
    CHECK(json_is_null(json_object_get(json_array_get(all, 0), "key")));
    CHECK_INT(number(all, 0, "requests"), 1);
    CHECK_STR(string(all, 1, "model"), "falcon");
    CHECK_STR(string(all, 2, "key"), "ann");
    CHECK_STR(string(all, 2, "day"), "1970-04-11");
    CHECK_INT(number(all, 2, "requests"), 3);
    CHECK_INT(number(all, 2, "prompt_tokens"), 30);
    CHECK_INT(number(all, 2, "cached_tokens"), 12);
    CHECK_INT(number(all, 2, "answer_tokens"), 6);
    CHECK_STR(string(all, 3, "day"), "1970-04-12");
    json_decref(all);
    CHECK(keys_remove(s, "ann", 2, &e));
    all = listed(s, "ann"); // what a removed key used stays
    CHECK_INT(json_array_size(all), 3);
    CHECK(json_is_true(json_object_get(json_array_get(all, 0), "removed")));
    json_decref(all);
    CHECK(!usage_list(s, "eve", 0, &e));
    CHECK_STR(e.message, "key eve: there is none, nor was there; 'gyr key list' shows them");
    usage_free(u);
    store_close(s);
    state_remove();
}

static void what_cannot_be_written_is_not_lost(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    struct usage *u = usage_new(s);
    struct usage_entry one = {1, 0, 1};
    usage_add(u, 1, "poet", &one, 0);
    sqlite3 *db = NULL;
    CHECK_INT(sqlite3_open(state_file("state.db"), &db), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, "ALTER TABLE usage RENAME TO elsewhere", NULL, NULL, NULL), SQLITE_OK);
    CHECK(!usage_flush(u, 0, &e));
    CHECK(strstr(e.message, "no such table: usage"));
    usage_add(u, 1, "poet", &one, 0);
    CHECK_INT(sqlite3_exec(db, "ALTER TABLE elsewhere RENAME TO usage", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    CHECK(usage_flush(u, 0, &e));
    json_t *all = listed(s, NULL);
    CHECK_INT(number(all, 0, "requests"), 2);
    json_decref(all);
    usage_free(u);
    store_close(s);
    state_remove();
}

static struct usage *shared;

static void *count_up(void *arg) {
    struct usage_entry one = {1, 0, 0};
    gyr_error e;
    for (int i = 0; i < 500; i++) {
        usage_add(shared, 1, arg, &one, 0);
        if (i % 100 == 0) usage_flush(shared, 0, &e);
    }
    return NULL;
}

static void threads_count_together(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    shared = usage_new(s);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(!pthread_create(&threads[i], NULL, count_up, (void *)(i ? "poet" : "falcon")));
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    CHECK(usage_flush(shared, 0, &e));
    json_t *all = listed(s, NULL);
    CHECK_INT(number(all, 0, "requests"), 500);
    CHECK_INT(number(all, 1, "requests"), 1000);
    json_decref(all);
    usage_free(shared);
    store_close(s);
    state_remove();
}

int main(void) {
    RUN(counts_are_summed_by_key_day_and_model);
    RUN(what_cannot_be_written_is_not_lost);
    RUN(threads_count_together);
    return test_end();
}
