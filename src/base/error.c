#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

// Names come from untrusted files: an escape sequence or a newline in one must not reach a terminal or a log line.
static void make_printable(char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

bool fail(gyr_error *e, gyr_status status, const char *format, ...) {
    if (!e) return false;
    e->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    make_printable(e->message);
    return false;
}

bool fail_memory(gyr_error *e, const char *what) {
    return fail(e, GYR_NO_MEMORY, "%s: out of memory; close other programs or choose a smaller model", what);
}
