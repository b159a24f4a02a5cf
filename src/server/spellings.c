#include "server/spellings.h"

#include "base/buf.h"
#include "server/secret.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Sets of few places each, found by the hash: in a full one, what was used longest ago gives way.
enum { SETS = 1024, WAYS = 4, MAX_TEXT = 256 << 10, MAX_BYTES = 16 << 20 };

struct spelling {
    unsigned char hash[SECRET_HASH];
    char *text; // NULL: the place is free
    size_t size;
    uint64_t used;
};

struct spellings {
    pthread_mutex_t lock;
    struct spelling list[SETS * WAYS];
    size_t bytes;
    uint64_t uses;
};

struct spellings *spellings_new(void) {
    struct spellings *s = calloc(1, sizeof *s);
    if (s) pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void forget(struct spellings *s, struct spelling *at) {
    s->bytes -= at->size;
    free(at->text);
    *at = (struct spelling){0};
}

void spellings_free(struct spellings *s) {
    if (!s) return;
    for (size_t i = 0; i < SETS * WAYS; i++) free(s->list[i].text);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

// The value as any program may send it back: 1 for 1.0, which JavaScript does not tell apart. A new reference; NULL:
// memory is out.
static json_t *plain(json_t *value) {
    json_t *out, *item;
    const char *key;
    size_t i;
    double number = json_real_value(value);
    if (json_is_real(value) && number == trunc(number) && fabs(number) < 0x1p53)
        return json_integer((json_int_t)number);
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach(value, i, item) json_array_append_new(out, plain(item));
    } else if (json_is_object(value)) {
        out = json_object();
        json_object_foreach(value, key, item) json_object_set_new(out, key, plain(item));
    } else {
        return json_incref(value);
    }
    return out;
}

static bool hash_of(const struct speller *who, const char *id, const char *name, json_t *arguments,
                    unsigned char hash[SECRET_HASH]) {
    struct buf all = {0};
    json_t *value = plain(arguments);
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    buf_printf(&all, "%lld %llu %s%c%s%c%s%c%s", (long long)who->owner, (unsigned long long)who->salt, who->model, 0,
               id, 0, name, 0, text ? text : "");
    bool ok = text && !all.failed && secret_hash(all.data, all.size, hash);
    free(text);
    json_decref(value);
    buf_free(&all);
    return ok;
}

// Templates write JSON in this way, too.
static bool is_usual(const json_t *arguments, const char *text, size_t size) {
    char *usual = json_dumps(arguments, JSON_ENCODE_ANY);
    bool same = usual && strlen(usual) == size && !memcmp(usual, text, size);
    free(usual);
    return same;
}

static struct spelling *find(struct spellings *s, const unsigned char hash[SECRET_HASH]) {
    struct spelling *set = &s->list[(hash[0] | hash[1] << 8) % SETS * WAYS];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].text && !memcmp(set[i].hash, hash, SECRET_HASH)) return &set[i];
    return NULL;
}

static struct spelling *oldest(struct spelling *list, size_t n, bool free_too) {
    struct spelling *best = NULL;
    for (size_t i = 0; i < n; i++)
        if ((list[i].text || free_too) && (!best || list[i].used < best->used)) best = &list[i];
    return best;
}

static void keep(struct spellings *s, const unsigned char hash[SECRET_HASH], char *text, size_t size) {
    struct spelling *at = find(s, hash);
    if (!at) at = oldest(&s->list[(hash[0] | hash[1] << 8) % SETS * WAYS], WAYS, true);
    forget(s, at);
    while (s->bytes + size > MAX_BYTES) forget(s, oldest(s->list, SETS * WAYS, false));
    *at = (struct spelling){.text = text, .size = size, .used = ++s->uses};
    memcpy(at->hash, hash, SECRET_HASH);
    s->bytes += size;
}

void spelling_note(const struct speller *who, const char *id, const char *name, const char *text, size_t size) {
    struct spellings *s = who->all;
    unsigned char hash[SECRET_HASH];
    if (!s || !size || size > MAX_TEXT) return;
    json_t *value = json_loadb(text, size, 0, NULL);
    char *copy =
        value && !is_usual(value, text, size) && hash_of(who, id, name, value, hash) ? strndup(text, size) : NULL;
    json_decref(value);
    if (!copy) return;
    pthread_mutex_lock(&s->lock);
    keep(s, hash, copy, size);
    pthread_mutex_unlock(&s->lock);
}

json_t *spelling_of(const struct speller *who, const char *id, const char *name, json_t *arguments) {
    struct spellings *s = who->all;
    unsigned char hash[SECRET_HASH];
    json_t *text = NULL;
    if (!s || !hash_of(who, id, name, arguments, hash)) return json_incref(arguments);
    pthread_mutex_lock(&s->lock);
    struct spelling *at = find(s, hash);
    if (at) {
        text = json_stringn(at->text, at->size);
        at->used = ++s->uses;
    }
    pthread_mutex_unlock(&s->lock);
    return text ? text : json_incref(arguments);
}
