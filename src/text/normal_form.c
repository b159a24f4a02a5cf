// Unicode's normal forms: characters are decomposed one by one, marks put in order, and composed again. utf8proc does
// the first and the last; its own ordering takes quadratic time on long runs of marks.
#include "text/normalize.h"

#include "base/buf.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

// No character decomposes into more (U+FDFA, UAX #15).
enum { MAX_POINTS = 18, FEW = 16 };

struct chars {
    utf8proc_int32_t *at;
    size_t n, room;
};

static bool make_room(struct chars *c, size_t more) { return ARRAY_GROW(c->at, c->n + more - 1, c->room); }

static bool decompose(const char *s, size_t size, bool compatible, struct chars *out) {
    utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0);
    for (size_t i = 0; i < size;) {
        uint32_t c;
        int length = utf8_decode(s + i, size - i, &c), boundary = 0;
        if (!length || !make_room(out, MAX_POINTS)) return false;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, out->at + out->n, MAX_POINTS, how, &boundary);
        if (n < 0 || n > MAX_POINTS) return false;
        out->n += (size_t)n;
        i += (size_t)length;
    }
    return true;
}

static int class_of(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Sorts marks by their class and leaves those of one class in their order.
static bool sort_marks(utf8proc_int32_t *c, size_t n) {
    if (n <= FEW) {
        for (size_t i = 1; i < n; i++) {
            utf8proc_int32_t mark = c[i];
            size_t k = i;
            for (int class = class_of(mark); k && class_of(c[k - 1]) > class; k--) c[k] = c[k - 1];
            c[k] = mark;
        }
        return true;
    }
    utf8proc_int32_t *copy = malloc(n * sizeof *copy);
    if (!copy) return false;
    memcpy(copy, c, n * sizeof *copy);
    size_t first[257] = {0};
    for (size_t i = 0; i < n; i++) first[class_of(copy[i]) + 1]++;
    for (int k = 0; k < 256; k++) first[k + 1] += first[k];
    for (size_t i = 0; i < n; i++) c[first[class_of(copy[i])]++] = copy[i];
    free(copy);
    return true;
}

static bool order(struct chars *c) {
    for (size_t i = 0, end; i < c->n; i = end) {
        for (end = i; end < c->n && class_of(c->at[end]); end++) {}
        if (end - i > 1 && !sort_marks(c->at + i, end - i)) return false;
        if (end == i) end++;
    }
    return true;
}

bool normal_form(enum normal_kind kind, const char *s, size_t size, struct buf *out) {
    struct chars c = {0};
    bool compatible = kind == NORMAL_NFKC || kind == NORMAL_NFKD;
    bool ok = decompose(s, size, compatible, &c) && order(&c);
    if (ok && (kind == NORMAL_NFC || kind == NORMAL_NFKC) && c.n) {
        utf8proc_ssize_t n = utf8proc_normalize_utf32(c.at, (utf8proc_ssize_t)c.n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        ok = n >= 0;
        c.n = ok ? (size_t)n : 0;
    }
    for (size_t i = 0; ok && i < c.n; i++) {
        char bytes[4];
        buf_append(out, bytes, (size_t)utf8_encode((uint32_t)c.at[i], bytes));
    }
    free(c.at);
    return ok && !out->failed;
}
