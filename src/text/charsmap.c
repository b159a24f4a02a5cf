// SentencePiece's precompiled map of characters (sentencepiece's normalizer.cc; the trie is a double array as
// Darts-clone lays it out): four bytes that say the size of the trie, the trie, and the replacements, each ended by a
// NUL. It comes from a file: every index is checked.
#include "text/normalize.h"

#include "base/utf8.h"
#include <string.h>
#include <utf8proc.h>

// Hugging Face's library looks up clusters of fewer bytes as a whole.
enum { CLUSTER = 6 };

struct charsmap {
    const uint8_t *trie;
    size_t n; // units of the trie
    struct text words;
};

static uint32_t load(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool open_map(struct text map, struct charsmap *m) {
    if (map.size < 4) return false;
    const uint8_t *p = (const uint8_t *)map.data;
    size_t size = load(p);
    if (size > map.size - 4 || size % 4 || !size) return false;
    *m = (struct charsmap){p + 4, size / 4, {map.data + 4 + size, map.size - 4 - size}};
    return m->words.size && !m->words.data[m->words.size - 1];
}

bool charsmap_valid(struct text map) {
    struct charsmap m;
    return open_map(map, &m);
}

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6); }

// The replacement of the longest (or the shortest) entry that s begins with, and the entry's length; 0: none.
static size_t look_up(const struct charsmap *m, const char *s, size_t size, bool shortest, struct text *word) {
    size_t found = 0, at = offset_of(load(m->trie));
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)s[i];
        at ^= byte;
        if (at >= m->n) break;
        uint32_t unit = load(m->trie + 4 * at);
        if ((unit & (1u << 31 | 0xff)) != byte) break;
        at ^= offset_of(unit);
        if (at >= m->n) break;
        if (!(unit >> 8 & 1)) continue;
        value = load(m->trie + 4 * at) & 0x7fffffff;
        found = i + 1;
        if (shortest) break;
    }
    if (!found || value >= m->words.size) return 0;
    *word = (struct text){m->words.data + value, strlen(m->words.data + value)};
    return found;
}

// The end of the cluster of characters that begins at s (UAX #29).
static size_t cluster_end(const char *s, size_t size) {
    uint32_t c, next;
    utf8proc_int32_t state = 0;
    size_t n = (size_t)utf8_decode(s, size, &c);
    for (int k; n < size && (k = utf8_decode(s + n, size - n, &next)); n += (size_t)k, c = next)
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)c, (utf8proc_int32_t)next, &state)) break;
    return n;
}

static void map_chars(const struct charsmap *m, const char *s, size_t size, struct buf *out) {
    for (size_t i = 0; i < size;) {
        uint32_t c;
        struct text word;
        size_t n = (size_t)utf8_decode(s + i, size - i, &c);
        if (look_up(m, s + i, n, true, &word))
            buf_append(out, word.data, word.size);
        else
            buf_append(out, s + i, n);
        i += n;
    }
}

static void map_clusters(const struct charsmap *m, const char *s, size_t size, struct buf *out) {
    for (size_t i = 0, n; i < size && !out->failed; i += n) {
        struct text word;
        n = cluster_end(s + i, size - i);
        if (n < CLUSTER && look_up(m, s + i, n, true, &word))
            buf_append(out, word.data, word.size);
        else
            map_chars(m, s + i, n, out);
    }
}

static void map_longest(const struct charsmap *m, const char *s, size_t size, struct buf *out) {
    for (size_t i = 0, n; i < size && !out->failed; i += n) {
        struct text word;
        uint32_t c;
        n = look_up(m, s + i, size - i, false, &word);
        if (!n) {
            n = (size_t)utf8_decode(s + i, size - i, &c);
            word = (struct text){s + i, n};
        }
        buf_append(out, word.data, word.size);
    }
}

bool charsmap_apply(struct text map, bool clusters, const char *s, size_t size, struct buf *out) {
    struct charsmap m;
    if (!open_map(map, &m)) return false;
    (clusters ? map_clusters : map_longest)(&m, s, size, out);
    return !out->failed;
}
