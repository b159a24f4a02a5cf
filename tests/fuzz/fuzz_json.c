// JSON of messages and of files: whatever the bytes, there is a tree whose every part can be read, or an error; and
// what Python's rules take of jansson's is taken.
#include "base/utf8.h"
#include "format/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const json_t *j) {
    const char *key;
    json_t *value;
    double f;
    struct text s = json_text(j);
    struct buf room = {0};
    if (s.data && !utf8_valid(s.data, s.size)) abort();
    if (json_strange(j) && (s.data || !json_real_of(j, &f))) abort();
    for (size_t i = 0; i < json_array_size(j); i++) walk(json_array_get(j, i));
    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        s = json_key(key, &room);
        if (!s.data || !utf8_valid(s.data, s.size)) abort();
        walk(value);
    }
    buf_free(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    gyr_error e = {0};
    json_t *talk = json_parse_talk(text, size, &e), *file = json_parse(text, size, 0, "F", NULL);
    if (!talk && (e.status != GYR_USAGE || !e.message[0])) abort();
    if (talk) walk(talk);
    if (file && !talk) abort();
    json_t *strict = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    // The same tree, unless it is deeper than what is read, or has a number of 4300 digits.
    if (strict && talk && !json_equal(strict, talk)) abort();
    json_decref(strict);
    json_decref(file);
    json_decref(talk);
    return 0;
}
