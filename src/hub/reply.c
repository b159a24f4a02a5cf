#include "hub/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static void take_etag(struct fetch *f, const char *value) { snprintf(f->etag, sizeof f->etag, "%s", value); }

static void take_code(struct fetch *f, const char *value) { snprintf(f->code, sizeof f->code, "%s", value); }

static void take_link(struct fetch *f, const char *value) { snprintf(f->link, sizeof f->link, "%s", value); }

// "bytes 100-999/1000"
static void take_range(struct fetch *f, const char *value) {
    unsigned long long at, last, total;
    f->ranged = sscanf(value, "bytes %20llu-%20llu/%20llu", &at, &last, &total) == 3;
    f->range_at = f->ranged ? at : 0;
    f->range_total = f->ranged ? total : 0;
}

// Seconds, or a date (RFC 9110, 10.2.3).
static void take_wait(struct fetch *f, const char *value) {
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end) {
        time_t then = curl_getdate(value, NULL);
        seconds = then == -1 ? 0 : difftime(then, time(NULL));
    }
    f->wait = seconds > 0 && seconds < 1e9 ? seconds : 0;
}

static const struct field {
    const char *name;
    void (*take)(struct fetch *f, const char *value);
} fields[] = {{"etag", take_etag},
              {"x-error-code", take_code},
              {"link", take_link},
              {"content-range", take_range},
              {"retry-after", take_wait}};

static void forget(struct fetch *f) {
    f->etag[0] = f->code[0] = f->link[0] = 0;
    f->ranged = false;
    f->wait = 0;
}

void read_header(struct fetch *f, const char *line, size_t size) {
    char value[MAX_LINK];
    if (size > 5 && !memcmp(line, "HTTP/", 5)) {
        forget(f);
        return;
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t n = strlen(fields[i].name);
        if (size <= n || line[n] != ':' || strncasecmp(line, fields[i].name, n)) continue;
        const char *from = line + n + 1, *end = line + size;
        while (from < end && (*from == ' ' || *from == '\t')) from++;
        while (end > from && (unsigned char)end[-1] <= ' ') end--;
        if ((size_t)(end - from) >= sizeof value) return;
        snprintf(value, sizeof value, "%.*s", (int)(end - from), from);
        fields[i].take(f, value);
    }
}
