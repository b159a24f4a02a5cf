// Keys: made, recognized, limited to models, expired, removed, and noticed by a server that runs.
#include "state.h"

#include "server/keys.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>

static struct key named(const char *name) {
    struct key k = {0};
    snprintf(k.name, sizeof k.name, "%s", name);
    return k;
}

static struct text text_of(const char *s) { return (struct text){s, strlen(s)}; }

static enum key_verdict try_key(struct keyring *r, const char *text, int64_t now) {
    struct key *k;
    enum key_verdict v = keyring_find(r, text_of(text), now, &k);
    CHECK((v == KEY_GOOD) == (k != NULL));
    key_release(k);
    return v;
}

static void a_key_is_recognized(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    char one[KEY_TEXT], two[KEY_TEXT];
    struct key ann = named("ann"), bob = named("bob");
    ann.limits = (struct key_limits){60, 1000, 50000, 2};
    ann.models = (char *)"poet,falcon-7b";
    bob.admin = true;
    CHECK(keys_add(s, &ann, 1000, one, &e) && keys_add(s, &bob, 1000, two, &e));
    CHECK_INT(strlen(one), 44);
    CHECK(!strncmp(one, "gyr-", 4) && strcmp(one, two));
    CHECK_INT(strspn(one + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), 40);
    struct keyring *r = keyring_new(s, &e);
    REQUIRE(r);
    CHECK_INT(keyring_count(r), 2);
    struct key *k = NULL;
    REQUIRE(keyring_find(r, text_of(one), 2000, &k) == KEY_GOOD);
    CHECK_STR(k->name, "ann");
    CHECK(!k->admin && k->limits.requests_per_minute == 60 && k->limits.tokens_per_minute == 1000);
    CHECK(k->limits.tokens_per_day == 50000 && k->limits.concurrency == 2);
    CHECK(key_allows_model(k, "poet") && key_allows_model(k, "falcon-7b"));
    CHECK(!key_allows_model(k, "falcon") && !key_allows_model(k, "") && !key_allows_model(k, "poet,falcon-7b"));
    keyring_free(r); // a key that is held stays
    CHECK_STR(k->name, "ann");
    key_release(k);
    r = keyring_new(s, &e);
    REQUIRE(r && keyring_find(r, text_of(two), 2000, &k) == KEY_GOOD);
    CHECK(k->admin && key_allows_model(k, "anything"));
    key_release(k);
    CHECK(!keyring_get(r, 3, 2000, &k) && !k);
    REQUIRE(keyring_get(r, 1, 2000, &k));
    CHECK_STR(k->name, "ann");
    key_release(k);
    one[43] = one[43] == 'x' ? 'y' : 'x';
    CHECK_INT(try_key(r, one, 2000), KEY_UNKNOWN);
    CHECK_INT(try_key(r, "", 2000), KEY_UNKNOWN);
    CHECK_INT(try_key(r, "gyr-", 2000), KEY_UNKNOWN);
    keyring_free(r);
    store_close(s);
    state_remove();
}

// Neither the database nor its other files have the text of a key anywhere.
static void the_text_is_not_kept(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    char text[KEY_TEXT];
    struct key k = named("ann");
    REQUIRE(s && keys_add(s, &k, 1, text, &e));
    char *list = keys_list(s, 1, &e);
    REQUIRE(list);
    CHECK(!strstr(list, text) && strstr(list, text + KEY_TEXT - 1 - KEY_HINT));
    free(list);
    static const char *const names[] = {"state.db", "state.db-wal"};
    static char data[1 << 20];
    for (int i = 0; i < 2; i++) {
        int fd = open(state_file(names[i]), O_RDONLY);
        ssize_t n = read(fd, data, sizeof data);
        CHECK(n > 0 && !memmem(data, (size_t)n, text, 12) && !memmem(data, (size_t)n, text + 4, 12));
        close(fd);
    }
    store_close(s);
    state_remove();
}

static void keys_expire_and_are_removed(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e), *other = store_open(state_dir, &e);
    char text[KEY_TEXT], again[KEY_TEXT];
    struct key k = named("ann");
    k.expires = 100;
    REQUIRE(s && other && keys_add(other, &k, 1, text, &e));
    struct keyring *r = keyring_new(s, &e);
    REQUIRE(r);
    CHECK_INT(try_key(r, text, 99), KEY_GOOD);
    CHECK_INT(try_key(r, text, 100), KEY_EXPIRED);
    CHECK(keyring_refresh(r, &e));
    CHECK_INT(try_key(r, text, 99), KEY_GOOD);
    struct key *held;
    keyring_find(r, text_of(text), 50, &held);
    // As `gyr key rm` does, in another process or here by another connection.
    CHECK(keys_remove(other, "ann", 60, &e));
    CHECK_INT(try_key(r, text, 99), KEY_GOOD);
    CHECK(keyring_refresh(r, &e));
    CHECK_INT(try_key(r, text, 99), KEY_UNKNOWN);
    CHECK_STR(held->name, "ann");
    CHECK(!keyring_get(r, held->id, 50, &(struct key *){NULL})); // it is no more
    key_release(held);
    CHECK(keys_add(other, &k, 61, again, &e));
    CHECK(keyring_refresh(r, &e));
    struct key *new;
    REQUIRE(keyring_find(r, text_of(again), 62, &new) == KEY_GOOD);
    CHECK_INT(new->id, 2); // what the first ann left behind is not this one's
    key_release(new);
    keyring_free(r);
    store_close(s);
    store_close(other);
    state_remove();
}

static void refused(struct store *s, const struct key *k, const char *message) {
    gyr_error e = {0};
    char text[KEY_TEXT];
    CHECK(!keys_add(s, k, 1000, text, &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK_STR(e.message, message);
}

static void wrong_wishes_are_refused(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    char text[KEY_TEXT];
    struct key k = named("ann");
    CHECK(keys_add(s, &k, 1000, text, &e));
    refused(s, &k, "key ann: is there already; choose another name, or remove it first: gyr key rm ann");
    static const char *const names[] = {"", "-x", "a b", "a\nb", "\xc3\xa4", "a/b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        k = named(names[i]);
        CHECK(!keys_add(s, &k, 1000, text, &e));
        CHECK_INT(e.status, GYR_USAGE);
        CHECK(strstr(e.message, "a name has 1 to 64 letters, digits, '.', '_', '@' and '-'"));
    }
    k = named("bob");
    k.expires = 1000;
    refused(s, &k, "key bob: would have expired already");
    k.expires = 0;
    k.limits.concurrency = UINT64_MAX;
    refused(s, &k, "key bob: a limit is larger than 9223372036854775807");
    CHECK(!keys_remove(s, "eve", 1, &e));
    CHECK_STR(e.message, "key eve: there is none; 'gyr key list' shows them");
    store_close(s);
    state_remove();
}

static void the_list_is_json(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    REQUIRE(s);
    char text[KEY_TEXT];
    struct key a = named("zoe"), b = named("ann");
    a.expires = 500;
    b.models = (char *)"poet";
    CHECK(keys_add(s, &a, 100, text, &e) && keys_add(s, &b, 100, text, &e));
    char *list = keys_list(s, 600, &e);
    json_t *all = json_loads(list, 0, NULL), *first = json_array_get(all, 0), *last = json_array_get(all, 1);
    CHECK_INT(json_array_size(all), 2);
    CHECK_STR(json_string_value(json_object_get(first, "name")), "ann");
    CHECK_STR(json_string_value(json_object_get(first, "models")), "poet");
    CHECK(json_is_false(json_object_get(first, "expired")) && json_is_true(json_object_get(last, "expired")));
    CHECK_INT(json_integer_value(json_object_get(last, "created")), 100);
    CHECK(!json_object_get(first, "hash"));
    json_decref(all);
    free(list);
    store_close(s);
    state_remove();
}

static struct keyring *shared;
static char shared_text[KEY_TEXT];

static void *look_up(void *arg) {
    long found = 0;
    for (int i = 0; i < 2000; i++) {
        struct key *k;
        if (keyring_find(shared, text_of(shared_text), 1, &k) == KEY_GOOD) found += !strcmp(k->name, "ann");
        key_release(k);
    }
    return (void *)found;
}

static void keys_may_be_read_again_while_they_are_used(void) {
    state_make();
    gyr_error e = {0};
    struct store *s = store_open(state_dir, &e);
    struct key k = named("ann");
    REQUIRE(s && keys_add(s, &k, 1, shared_text, &e) && (shared = keyring_new(s, &e)));
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(!pthread_create(&threads[i], NULL, look_up, NULL));
    for (int i = 0; i < 200; i++) CHECK(keyring_reload(shared, &e) && keyring_refresh(shared, &e));
    for (int i = 0; i < 2; i++) {
        void *found;
        pthread_join(threads[i], &found);
        CHECK_INT((long)found, 2000);
    }
    keyring_free(shared);
    store_close(s);
    state_remove();
}

static void random_text_is_spread(void) {
    static char text[62001];
    gyr_error e = {0};
    int count[128] = {0};
    CHECK(secret_random(text, sizeof text - 1, &e));
    CHECK_INT(strlen(text), 62000);
    for (size_t i = 0; i < 62000; i++) count[(int)text[i]]++;
    int kinds = 0;
    for (int c = 0; c < 128; c++)
        if (count[c]) {
            CHECK(count[c] > 800 && count[c] < 1200); // 1000 expected, six standard deviations
            kinds++;
        }
    CHECK_INT(kinds, 62);
}

int main(void) {
    RUN(a_key_is_recognized);
    RUN(the_text_is_not_kept);
    RUN(keys_expire_and_are_removed);
    RUN(wrong_wishes_are_refused);
    RUN(the_list_is_json);
    RUN(keys_may_be_read_again_while_they_are_used);
    RUN(random_text_is_spread);
    return test_end();
}
