#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include "base/buf.h"
#include "base/utf8.h"
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct regex {
    pcre2_code *code;
};

enum {
    MAX_PATTERN = 1 << 14,
    FIRST_WINDOW = 256,
    FIRST_STACK = 64 << 10,
    MAX_STACK = 8 << 20,
    MAX_HEAP_KIB = 64 << 10,
};

// White_Space of Unicode; PCRE2's \s also has U+180E, which Unicode dropped from it in version 6.3.
#define SPACE "\\p{Z}\\t-\\r\\x{85}"

// What \\w matches in Oniguruma and in Rust; PCRE2 leaves out marks and connectors.
#define WORD                                                                                                           \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{"    \
    "1f189}"

// Rewrites what Oniguruma and PCRE2 read differently. False: something that PCRE2 cannot say.
static bool translate(const char *pattern, struct buf *out, const char **what) {
    bool in_class = false;
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            if (*p == 's')
                buf_puts(out, in_class ? SPACE : "[" SPACE "]");
            else if (*p == 'S' && !in_class)
                buf_puts(out, "[^" SPACE "]");
            else if (*p == 'w')
                buf_puts(out, in_class ? WORD : "[" WORD "]");
            else if (*p == 'W' && !in_class)
                buf_puts(out, "[^" WORD "]");
            else
                buf_append(out, p - 1, 2);
            continue;
        }
        if (in_class && *p == '&' && p[1] == '&') return *what = "an intersection of character classes", false;
        if (in_class && *p == '[' && p[1] != ':') return *what = "a character class inside another", false;
        bool opens = !in_class && *p == '[';
        if (in_class && *p == '[') {
            const char *end = strstr(p, ":]");
            if (!end) return *what = "an unfinished character class", false;
            buf_append(out, p, (size_t)(end - p) + 2);
            p = end + 1;
            continue;
        }
        buf_putc(out, *p);
        if (opens && p[1] == '^') buf_putc(out, *++p);
        if (opens && p[1] == ']') buf_putc(out, *++p);
        in_class = opens || (in_class && *p != ']');
    }
    return true;
}

static struct regex *compile(const struct buf *source, const char *pattern, const char *where, gyr_error *e) {
    struct regex *r = calloc(1, sizeof *r);
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!r || !context) {
        free(r);
        pcre2_compile_context_free(context);
        return fail_memory(e, where), NULL;
    }
    // In Oniguruma ^ and $ are those of a line, and a line ends at LF alone.
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code = 0;
    PCRE2_SIZE at = 0;
    r->code = pcre2_compile((PCRE2_SPTR)source->data, source->size, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!r->code) {
        char message[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
        free(r);
        return fail_null(e, GYR_UNSUPPORTED, "%s: pre-tokenizer pattern \"%.200s\": %s", where, pattern, message);
    }
    // Without a just-in-time compiler for this chip the interpreter matches, only slower.
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
    return r;
}

struct regex *regex_new(const char *pattern, const char *where, gyr_error *e) {
    const char *what = NULL;
    struct buf source = {0};
    struct regex *r = NULL;
    if (strlen(pattern) > MAX_PATTERN)
        fail(e, GYR_UNSUPPORTED, "%s: pre-tokenizer pattern of %zu bytes; gyr takes at most %d", where, strlen(pattern),
             MAX_PATTERN);
    else if (!utf8_valid(pattern, strlen(pattern)))
        fail(e, GYR_MALFORMED, "%s: pre-tokenizer pattern is not valid UTF-8; the file is damaged", where);
    else if (!translate(pattern, &source, &what))
        fail(e, GYR_UNSUPPORTED, "%s: pre-tokenizer pattern \"%.200s\" has %s", where, pattern, what);
    else if (source.failed)
        fail_memory(e, where);
    else
        r = compile(&source, pattern, where, e);
    buf_free(&source);
    return r;
}

void regex_free(struct regex *r) {
    if (r) pcre2_code_free(r->code);
    free(r);
}

bool scan_begin(struct scan *s, size_t text_size) {
    s->match = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->budget = text_size > (SIZE_MAX >> 8) ? SIZE_MAX : text_size * 64 + (1 << 20);
    s->spent = false;
    if (!s->match || !s->context) return false;
    pcre2_set_heap_limit(s->context, MAX_HEAP_KIB);
    return true;
}

void scan_end(struct scan *s) {
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    *s = (struct scan){0};
}

// The end of a window of about `window` bytes from `from`, moved back to where a character begins.
static size_t window_end(const char *text, size_t size, size_t from, size_t window) {
    if (size - from <= window) return size;
    size_t end = from + window;
    while (((unsigned char)text[end] & 0xc0) == 0x80) end--;
    return end;
}

static int attempt(const struct regex *r, struct scan *s, const char *text, size_t end, size_t from, uint32_t options) {
    size_t limit = 32 * (end - from) + 4096;
    pcre2_set_match_limit(s->context, limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit);
    options |= PCRE2_NO_UTF_CHECK;
    int rc = pcre2_match(r->code, (PCRE2_SPTR)text, end, from, options, s->match, s->context);
    // Compiled code has 32 KiB of stack to begin with, which few patterns and fewer texts need.
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !s->stack &&
        (s->stack = pcre2_jit_stack_create(FIRST_STACK, MAX_STACK, NULL))) {
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
        rc = pcre2_match(r->code, (PCRE2_SPTR)text, end, from, options, s->match, s->context);
    }
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, (PCRE2_SPTR)text, end, from, options | PCRE2_NO_JIT, s->match, s->context);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && rc != PCRE2_ERROR_PARTIAL) s->spent = true;
    return rc;
}

// Tries at `from` alone, in ever larger windows, until the attempt does not reach the window's end.
static int attempt_here(const struct regex *r, struct scan *s, const char *text, size_t size, size_t from) {
    for (size_t window = 4 * FIRST_WINDOW;; window *= 4) {
        size_t end = window_end(text, size, from, window);
        if (end - from > s->budget) s->spent = true;
        if (s->spent) return PCRE2_ERROR_NOMATCH;
        s->budget -= end - from;
        uint32_t partial = end < size ? PCRE2_PARTIAL_HARD : 0;
        int rc = attempt(r, s, text, end, from, PCRE2_ANCHORED | partial);
        if (rc != PCRE2_ERROR_PARTIAL) return rc;
    }
}

bool regex_find(const struct regex *r, struct scan *s, const char *text, size_t size, size_t from, size_t *begin,
                size_t *end) {
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(s->match);
    while (from < size && !s->spent) {
        size_t stop = window_end(text, size, from, FIRST_WINDOW);
        int rc = attempt(r, s, text, stop, from, stop < size ? PCRE2_PARTIAL_HARD : 0);
        if (rc == PCRE2_ERROR_PARTIAL) {
            from = found[0];
            rc = attempt_here(r, s, text, size, from);
            stop = from + 1;
            while (stop < size && ((unsigned char)text[stop] & 0xc0) == 0x80) stop++;
        }
        if (rc >= 0 && found[0] >= from && found[1] >= found[0]) return *begin = found[0], *end = found[1], true;
        from = stop;
    }
    return false;
}
