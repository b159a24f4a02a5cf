// JSON as Python's json module reads it, and what is refused.
#include "format/json.h"
#include "test.h"

#include <math.h>

static gyr_error err;

static json_t *parse(const char *text) {
    err = (gyr_error){0};
    return json_parse(text, strlen(text), 0, "F", &err);
}

static double number(const json_t *object, const char *key) {
    double f = -1;
    CHECK(json_real_of(json_object_get(object, key), &f));
    return f;
}

static void plain(void) {
    json_t *j =
        parse(" {\"i\": -12, \"r\": 2.5e-1, \"s\": \"a\\n\\\"\\u00e9\\ud83d\\ude00/\\/\", \"l\": [1, [], {}, null], "
              "\"t\": true, \"f\": false, \"\": 0, \"big\": 9223372036854775807, \"small\": -9223372036854775808} ");
    REQUIRE(j);
    CHECK_INT(json_integer_value(json_object_get(j, "i")), -12);
    CHECK(json_real_value(json_object_get(j, "r")) == 0.25);
    CHECK_STR(json_string_value(json_object_get(j, "s")), "a\n\"\xc3\xa9\xf0\x9f\x98\x80//");
    CHECK_INT(json_array_size(json_object_get(j, "l")), 4);
    CHECK(json_is_null(json_array_get(json_object_get(j, "l"), 3)));
    CHECK(json_is_true(json_object_get(j, "t")));
    CHECK(json_is_false(json_object_get(j, "f")));
    CHECK(json_is_integer(json_object_get(j, "")));
    CHECK_INT(json_integer_value(json_object_get(j, "big")), INT64_MAX);
    CHECK_INT(json_integer_value(json_object_get(j, "small")), INT64_MIN);
    json_decref(j);
}

static void numbers_that_jansson_has_not(void) {
    json_t *j = parse("{\"n\": NaN, \"i\": Infinity, \"m\": -Infinity, \"o\": 1e999, \"p\": -1e999, \"u\": 1e-999, "
                      "\"b\": 18446744073709551616, \"c\": -9223372036854775809, \"s\": \"NaN\"}");
    REQUIRE(j);
    CHECK(isnan(number(j, "n")));
    CHECK(number(j, "i") == INFINITY);
    CHECK(number(j, "m") == -INFINITY);
    CHECK(number(j, "o") == INFINITY);
    CHECK(number(j, "p") == -INFINITY);
    CHECK(number(j, "u") == 0);
    CHECK(number(j, "b") == 18446744073709551616.0);
    CHECK_STR(json_strange(json_object_get(j, "b")), "18446744073709551616");
    CHECK_STR(json_strange(json_object_get(j, "c")), "-9223372036854775809");
    CHECK_STR(json_strange(json_object_get(j, "p")), "-Infinity");
    CHECK(!json_strange(json_object_get(j, "s")));
    CHECK(!json_text(json_object_get(j, "n")).data);
    CHECK(!json_c_string(json_object_get(j, "n")));
    CHECK(!json_is(json_object_get(j, "n"), "NaN"));
    CHECK(json_is(json_object_get(j, "s"), "NaN"));
    double f;
    CHECK(!json_real_of(json_object_get(j, "s"), &f));
    json_decref(j);
}

static void strings(void) {
    json_t *j = parse("\xef\xbb\xbf{\"half\": \"\\ud83dx\\ude00\\ud83d\\ud83d\\ude00\", \"zero\": \"a\\u0000b\", "
                      "\"k\\u0000\\u0000z\": 1, \"twice\": 1, \"other\": 0, \"twice\": 2}");
    REQUIRE(j);
    CHECK_STR(json_string_value(json_object_get(j, "half")), "\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80");
    struct text zero = json_text(json_object_get(j, "zero"));
    CHECK_INT(zero.size, 3);
    CHECK(zero.data && !memcmp(zero.data, "a\0b", 3));
    CHECK(!json_c_string(json_object_get(j, "zero")));
    CHECK(!json_is(json_object_get(j, "zero"), "a"));
    CHECK_INT(json_integer_value(json_object_get(j, "twice")), 2);
    struct buf room = {0};
    const char *key;
    json_t *value;
    size_t keys = 0;
    json_object_foreach(j, key, value) {
        struct text s = json_key(key, &room);
        if (keys == 2) CHECK(s.size == 4 && !memcmp(s.data, "k\0\0z", 4));
        if (keys == 3) CHECK(s.data == key && s.size == 5);
        keys++;
    }
    CHECK_INT(keys, 5);
    buf_free(&room);
    json_decref(j);
}

static void check_refused(const char *text, const char *why) {
    json_t *j = parse(text);
    CHECK(!j);
    CHECK_INT(err.status, GYR_MALFORMED);
    struct buf want = {0};
    buf_printf(&want, "F: bad JSON%s; get the file again", why);
    CHECK_STR(err.message, want.data);
    buf_free(&want);
    json_decref(j);
}

static void refuses(void) {
    static const char *const cases[][2] = {
        {"", " in line 1: ends too early"},
        {"{", " in line 1: ends too early"},
        {"{\"a\": \"x", " in line 1: ends too early"},
        {"{\"a\": \"x\\", " in line 1: ends too early"},
        {"[1]", ": not an object"},
        {"NaN", ": not an object"},
        {"{\"a\": nul}", " in line 1: a value is missing"},
        {"{\"a\": nan}", " in line 1: a value is missing"},
        {"{\"a\": +1}", " in line 1: a value is missing"},
        {"{\"a\": .5}", " in line 1: a value is missing"},
        {"{\"a\": -}", " in line 1: a digit is missing"},
        {"{\"a\": 1.}", " in line 1: a comma is missing"},
        {"{\"a\": 01}", " in line 1: a comma is missing"},
        {"{\"a\": 0x1}", " in line 1: a comma is missing"},
        {"{\"a\": 1e}", " in line 1: a comma is missing"},
        {"{\"a\": 1,}", " in line 1: a key in quotes is missing"},
        {"{\"a\": [1,]}", " in line 1: a value is missing"},
        {"{\"a\" 1}", " in line 1: a colon is missing"},
        {"{'a': 1}", " in line 1: a key in quotes is missing"},
        {"{\"a\": 1}\n{}", " in line 2: text after its end"},
        {"{\"a\": \"\n\"}", " in line 1: a control character in a string"},
        {"{\"a\": \"\\x41\"}", " in line 1: a wrong escape in a string"},
        {"{\"a\": \"\\u12g4\"}", " in line 1: a wrong escape in a string"},
        {"{\"a\": \"\xff\"}", " in line 1: not UTF-8"},
        {"{\"a\": \"\xed\xa0\x80\"}", " in line 1: not UTF-8"},
        {"{\"a\": \"\xc3\"}", " in line 1: not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_refused(cases[i][0], cases[i][1]);
    char digits[5000];
    memset(digits, '7', sizeof digits);
    memcpy(digits, "{\"a\": ", 6), memcpy(digits + 4400, "}", 2);
    check_refused(digits, " in line 1: an integer of more than 4300 digits");
    const char twice[] = "{\"a\": 1, \"a\": 1}";
    CHECK(!json_parse(twice, strlen(twice), JSON_REJECT_DUPLICATES, "F", &err));
    CHECK_STR(err.message, "F: bad JSON in line 1: a key is there twice; get the file again");
}

static void messages(void) {
    char deep[1000];
    memset(deep, '[', 400), memset(deep + 400, ']', 400);
    json_t *j = json_parse_talk(deep, 800, &err);
    CHECK(j);
    json_decref(j);
    memset(deep, '[', 401), memset(deep + 401, ']', 401);
    CHECK(!json_parse_talk(deep, 802, &err));
    CHECK_STR(err.message, "messages:1:401: not JSON: nested too deep");
    CHECK_INT(err.status, GYR_USAGE);
    CHECK(!json_parse_talk("[\n\"\xc3\xa9\", ]", 9, &err));
    CHECK_STR(err.message, "messages:2:7: not JSON: a value is missing");
}

int main(void) {
    RUN(plain);
    RUN(numbers_that_jansson_has_not);
    RUN(strings);
    RUN(refuses);
    RUN(messages);
    return test_end();
}
