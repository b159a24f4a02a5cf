#include "server/multipart.h"

#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool bad(gyr_error *e, const char *what) { return fail(e, GYR_MALFORMED, "multipart/form-data: %s", what); }

// ---------------------------------------------------------------------------------------------------- header values

static const char *skip_blanks(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    return p;
}

static bool is_token(char c) { return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c); }

// A parameter's value: a token, or a text in quotes, in which a backslash spells the next quote or backslash. (Others
// stand for themselves: browsers send Windows' paths so.) NULL if it is neither, or does not fit.
static const char *read_value(const char *p, const char *end, char *out, size_t size) {
    size_t n = 0;
    bool quoted = p < end && *p == '"';
    for (p += quoted; p < end && (quoted ? *p != '"' : is_token(*p)); p++) {
        if (quoted && *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\')) p++;
        if (n + 1 >= size || !*p) return NULL;
        out[n++] = *p;
    }
    out[n] = 0;
    if (!quoted) return n ? p : NULL;
    return p < end ? p + 1 : NULL;
}

enum found { ABSENT, FOUND, BROKEN };

// The value of a parameter in "; name=value; ...".
static enum found read_parameter(const char *p, const char *end, const char *name, char *out, size_t size) {
    enum found found = ABSENT;
    *out = 0;
    while ((p = skip_blanks(p, end)) < end) {
        char ignored[512];
        if (*p++ != ';') return BROKEN;
        const char *from = p = skip_blanks(p, end);
        if (p == end) break;
        while (p < end && is_token(*p)) p++;
        bool ours = (size_t)(p - from) == strlen(name) && !strncasecmp(from, name, (size_t)(p - from));
        if (p == from || p == end || *p != '=' || (ours && found)) return BROKEN;
        p = read_value(p + 1, end, ours ? out : ignored, ours ? size : sizeof ignored);
        if (!p) return BROKEN;
        if (ours) found = FOUND;
    }
    return found;
}

static bool good_boundary(const char *s) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("'()+_,-./:=? ", s[i])) return false;
    return n && s[n - 1] != ' ';
}

bool multipart_begin(struct multipart *m, const char *type, const char *data, size_t size, gyr_error *e) {
    static const char kind[] = "multipart/form-data";
    *m = (struct multipart){.data = data, .size = size};
    size_t n = strcspn(type, "; \t");
    if (n != sizeof kind - 1 || strncasecmp(type, kind, n)) return bad(e, "is not what the content-type header says");
    if (read_parameter(type + n, type + strlen(type), "boundary", m->boundary, sizeof m->boundary) != FOUND ||
        !good_boundary(m->boundary))
        return bad(e, "the content-type header has no boundary, or one that may not be");
    return true;
}

// ---------------------------------------------------------------------------------------------------- parts

// Where the next line "--boundary" begins, its line end before it included; `after` is set behind the boundary.
static const char *find_boundary(const struct multipart *m, size_t *after) {
    char mark[4 + MULTIPART_BOUNDARY + 1];
    int n = snprintf(mark, sizeof mark, "\r\n--%s", m->boundary);
    const char *from = m->data + m->at, *found;
    // The first may be at the very start, without a line end.
    if (!m->begun && m->size - m->at >= (size_t)n - 2 && !memcmp(from, mark + 2, (size_t)n - 2)) {
        *after = m->at + (size_t)n - 2;
        return from;
    }
    found = memmem(from, m->size - m->at, mark, (size_t)n);
    if (found) *after = (size_t)(found - m->data) + (size_t)n;
    return found;
}

// Behind a boundary: "--" ends the form, a line end begins a part.
static bool pass_boundary(struct multipart *m, size_t after, gyr_error *e) {
    const char *p = m->data + after, *end = m->data + m->size;
    m->begun = true;
    if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
        m->ended = true;
        return false;
    }
    p = skip_blanks(p, end);
    if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
        return bad(e, "a boundary is followed by something else than a line end");
    m->at = (size_t)(p - m->data) + 2;
    return true;
}

// A form's file may be sent with the path that it had on its machine.
static void cut_folders(char *name) {
    size_t from = 0;
    for (size_t i = 0; name[i]; i++)
        if (name[i] == '/' || name[i] == '\\') from = i + 1;
    memmove(name, name + from, strlen(name + from) + 1);
}

static bool good_text(const char *s) {
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return false;
    return utf8_valid(s, strlen(s));
}

static bool take_disposition(struct multipart_part *part, const char *p, const char *end, gyr_error *e) {
    static const char kind[] = "form-data";
    size_t n = sizeof kind - 1;
    if (*part->name) return bad(e, "a part has two content-disposition headers");
    if ((size_t)(end - p) < n || strncasecmp(p, kind, n)) return bad(e, "a part is not form-data");
    if (read_parameter(p + n, end, "name", part->name, sizeof part->name) != FOUND || !*part->name)
        return bad(e, "a part has no name, or one that is too long or not well written");
    if (read_parameter(p + n, end, "filename", part->filename, sizeof part->filename) == BROKEN)
        return bad(e, "a file's name is too long or not well written");
    cut_folders(part->filename);
    if (!good_text(part->name) || !good_text(part->filename))
        return bad(e, "a name has control characters or is not UTF-8");
    return true;
}

static bool take_header(struct multipart_part *part, const char *line, const char *end, gyr_error *e) {
    const char *p = line;
    while (p < end && is_token(*p)) p++;
    size_t n = (size_t)(p - line);
    if (!n || p == end || *p != ':') return bad(e, "a part has a header that is not well written");
    p = skip_blanks(p + 1, end);
    if (n == 19 && !strncasecmp(line, "content-disposition", n)) return take_disposition(part, p, end, e);
    if (n == 25 && !strncasecmp(line, "content-transfer-encoding", n)) {
        size_t size = (size_t)(end - p);
        bool plain = (size == 6 && !strncasecmp(p, "binary", 6)) || (size == 4 && !strncasecmp(p, "8bit", 4)) ||
                     (size == 4 && !strncasecmp(p, "7bit", 4));
        return plain || bad(e, "a part is encoded; send it as it is");
    }
    if (n == 12 && !strncasecmp(line, "content-type", n))
        snprintf(part->type, sizeof part->type, "%.*s", (int)(end - p < 127 ? end - p : 127), p);
    return true;
}

// The lines until the empty one.
static bool take_headers(struct multipart *m, struct multipart_part *part, gyr_error *e) {
    size_t room = m->size - m->at < MULTIPART_HEADERS ? m->size - m->at : MULTIPART_HEADERS;
    for (const char *p = m->data + m->at, *last = p + room;;) {
        const char *end = memmem(p, (size_t)(last - p), "\r\n", 2);
        if (!end) return bad(e, "a part's headers do not end, or are longer than 8 KiB");
        m->at = (size_t)(end - m->data) + 2;
        if (end == p) return *part->name || bad(e, "a part has no content-disposition header");
        if (memchr(p, 0, (size_t)(end - p))) return bad(e, "a part has a header with a zero byte");
        if (!take_header(part, p, end, e)) return false;
        p = end + 2;
    }
}

bool multipart_next(struct multipart *m, struct multipart_part *part, gyr_error *e) {
    size_t after = 0;
    *part = (struct multipart_part){0};
    if (m->ended) return false;
    // After a part, what is left begins behind the boundary that ended it.
    if (!m->begun && !find_boundary(m, &after)) return bad(e, "the body has no boundary");
    if (!pass_boundary(m, m->begun ? m->at : after, e)) return false;
    if (m->parts++ == MULTIPART_PARTS) return bad(e, "the form has more than 64 parts");
    if (!take_headers(m, part, e)) return false;
    // An empty part's boundary shares its line end with that of the headers.
    m->at -= 2;
    const char *end = find_boundary(m, &after);
    if (!end) return bad(e, "the body ends before the boundary that closes it");
    size_t from = m->at + 2, stop = (size_t)(end - m->data);
    part->data = (struct text){m->data + from, stop > from ? stop - from : 0};
    m->at = after;
    return true;
}
