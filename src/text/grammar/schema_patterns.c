// Regular expressions of a schema: each is compiled once, however often it is named.
#include "text/grammar/schema_parts.h"

#include <stdlib.h>
#include <string.h>

// What it is found by: how it has to match, and its text.
struct pattern_of {
    struct text key;
    struct fsm *fsm;
};

void schema_free_patterns(struct compiler *c) {
    for (size_t i = 0; i < c->n_patterns; i++) {
        fsm_free(c->patterns[i].fsm);
        free(c->patterns[i].fsm);
        free((char *)(uintptr_t)c->patterns[i].key.data);
    }
    free(c->patterns);
    index_free(&c->pattern_names);
}

// Takes the key.
static const struct fsm *add(struct compiler *c, struct buf *key, enum pattern_match match, gyr_error *why) {
    struct fsm *f = calloc(1, sizeof *f);
    bool room = f && ARRAY_GROW(c->patterns, c->n_patterns, c->pattern_room);
    if (!room) fail_memory(why, c->rules->what);
    if (room &&
        pattern_compile(f, key->data + 1, key->size - 1, match, SPELL_JSON, "pattern", &c->rules->budget, why)) {
        c->patterns[c->n_patterns] = (struct pattern_of){{key->data, key->size}, f};
        if (index_add(&c->pattern_names, c->patterns, sizeof *c->patterns, c->n_patterns) == INDEX_ADDED) {
            c->n_patterns++;
            return f;
        }
        fail_memory(why, c->rules->what);
    }
    if (f) fsm_free(f);
    free(f);
    buf_free(key);
    return NULL;
}

const struct fsm *schema_pattern(struct compiler *c, struct text s, enum pattern_match match, gyr_error *why) {
    struct buf key = {0};
    buf_putc(&key, (char)('0' + match));
    buf_append(&key, s.data, s.size);
    if (key.failed) {
        buf_free(&key);
        fail_memory(why, c->rules->what);
        return NULL;
    }
    size_t i = index_find(&c->pattern_names, c->patterns, sizeof *c->patterns, (struct text){key.data, key.size});
    spend(&c->rules->budget, 16 + s.size / 4);
    if (i == SIZE_MAX) return add(c, &key, match, why);
    buf_free(&key);
    return c->patterns[i].fsm;
}

const struct fsm *schema_any_text(struct compiler *c, gyr_error *why) {
    return schema_pattern(c, (struct text){"", 0}, PATTERN_FIND, why);
}

bool schema_bad_pattern(struct compiler *c, const json_t *at, const char *where, const gyr_error *why) {
    if (why->status == GYR_NO_MEMORY) return schema_no_memory(c);
    return schema_fail(c, at, why->status, "%s%s", where, why->message);
}
