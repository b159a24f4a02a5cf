#include "server/write_json.h"

#include "base/utf8.h"

#include <math.h>
#include <string.h>

// Length of the bytes at s that need no change: all but quotes, backslashes, control characters and what is not ASCII.
static size_t plain(const char *s, size_t size) {
    size_t n = 0;
    while (n < size && (unsigned char)s[n] >= 0x20 && (unsigned char)s[n] < 0x7f && s[n] != '"' && s[n] != '\\') n++;
    return n;
}

static void escape_control(struct buf *out, char c) {
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        buf_putc(out, '\\');
        buf_putc(out, to[at - from]);
    } else {
        buf_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
    }
}

void js_escape(struct buf *out, const char *s, size_t size) {
    for (size_t i = 0; i < size;) {
        size_t n = plain(s + i, size - i);
        buf_append(out, s + i, n);
        i += n;
        if (i == size) return;
        uint32_t c;
        int length = utf8_decode(s + i, size - i, &c);
        if (!length) {
            buf_puts(out, "\\ufffd");
            i += utf8_broken(s + i, size - i);
        } else if (length == 1 && c != 0x7f) {
            escape_control(out, s[i++]);
        } else {
            buf_append(out, s + i, (size_t)length);
            i += (size_t)length;
        }
    }
}

static void begin(struct js *j, const char *key) {
    if (j->comma) buf_putc(j->out, ',');
    j->comma = true;
    if (!key) return;
    buf_putc(j->out, '"');
    js_escape(j->out, key, strlen(key));
    buf_puts(j->out, "\":");
}

void js_open(struct js *j, const char *key, char bracket) {
    begin(j, key);
    buf_putc(j->out, bracket);
    j->comma = false;
}

void js_close(struct js *j, char bracket) {
    buf_putc(j->out, bracket);
    j->comma = true;
}

void js_text(struct js *j, const char *key, const char *text, size_t size) {
    begin(j, key);
    buf_putc(j->out, '"');
    js_escape(j->out, text, size);
    buf_putc(j->out, '"');
}

void js_string_of(struct js *j, const char *key, const char *text) {
    if (text)
        js_text(j, key, text, strlen(text));
    else
        js_none(j, key);
}

void js_whole(struct js *j, const char *key, int64_t value) {
    begin(j, key);
    buf_printf(j->out, "%lld", (long long)value);
}

void js_number(struct js *j, const char *key, double value) {
    if (!isfinite(value)) {
        js_none(j, key);
        return;
    }
    begin(j, key);
    buf_printf(j->out, "%.9g", value);
}

void js_bool(struct js *j, const char *key, bool value) {
    begin(j, key);
    buf_puts(j->out, value ? "true" : "false");
}

void js_none(struct js *j, const char *key) {
    begin(j, key);
    buf_puts(j->out, "null");
}

void js_raw(struct js *j, const char *key, const char *json, size_t size) {
    begin(j, key);
    buf_append(j->out, json, size);
}

void js_time(struct js *j, const char *key, time_t at) {
    char text[40];
    struct tm utc;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &utc));
    js_string_of(j, key, text);
}
