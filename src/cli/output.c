#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int out_errno; // why stdout failed; 0 as long as it has not

bool out_is_terminal(void) {
    static int known = -1;
    if (known < 0) known = isatty(STDOUT_FILENO);
    return known;
}

bool err_is_terminal(void) {
    static int known = -1;
    if (known < 0) known = isatty(STDERR_FILENO);
    return known;
}

int err_columns(void) {
    struct winsize w;
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col ? w.ws_col : 80;
}

static bool note_failure(void) {
    if (!out_errno) out_errno = errno ? errno : EIO;
    return false;
}

bool print_raw(const char *text, size_t size) {
    if (out_errno) return false;
    if (size && fwrite(text, 1, size, stdout) != size) return note_failure();
    return true;
}

bool print_flush(void) {
    if (out_errno) return false;
    return fflush(stdout) ? note_failure() : true;
}

// Writes text to a terminal. C0 controls but those in `keep` become their pictures (U+2400 and up), C1 controls (which
// some terminals obey as U+0080 to U+009F) become U+FFFD.
static bool write_harmless(FILE *f, const char *text, size_t size, const char *keep) {
    bool ok = true;
    for (size_t i = 0; i < size && ok; i++) {
        unsigned char c = (unsigned char)text[i];
        bool c1 = c == 0xc2 && i + 1 < size && (unsigned char)text[i + 1] >= 0x80 && (unsigned char)text[i + 1] < 0xa0;
        if (c1) {
            i++;
            ok = fputs("\xef\xbf\xbd", f) >= 0;
        } else if ((c < 0x20 && !(c && strchr(keep, c))) || c == 0x7f) {
            char picture[4] = {'\xe2', '\x90', (char)(0x80 | (c == 0x7f ? 0x21 : c)), 0};
            ok = fputs(picture, f) >= 0;
        } else {
            ok = putc(c, f) != EOF;
        }
    }
    return ok;
}

bool print_text(const char *text, size_t size) {
    if (out_errno) return false;
    if (!out_is_terminal()) return print_raw(text, size);
    return write_harmless(stdout, text, size, "\n\t") ? true : note_failure();
}

// Formats into memory of its own, which the caller frees; NULL when there is none left.
static char *format_text(const char *format, va_list args, size_t *size) {
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    if (n < 0) return NULL;
    *size = (size_t)n;
    return text;
}

bool print(const char *format, ...) {
    va_list args;
    size_t size;
    va_start(args, format);
    char *text = format_text(format, args, &size);
    va_end(args);
    bool ok = text ? print_text(text, size) : note_failure();
    free(text);
    return ok;
}

int print_end(int status) {
    print_flush();
    if (!out_errno && fclose(stdout)) note_failure();
    if (!out_errno) return status;
    say_error("standard output: %s", strerror(out_errno));
    return GYR_IO;
}

// One of several processes that do the same has others speak for it.
static bool quiet;
static char unsaid[512];

void output_quiet(bool yes) { quiet = yes; }

const char *output_unsaid(void) { return unsaid; }

// One write a line, because others write to the same place: ranks, launchers, programs in a pipe. stderr has no buffer.
static void say(const char *before, const char *format, va_list args, const char *after) {
    size_t size, whole;
    if (quiet) {
        vsnprintf(unsaid, sizeof unsaid, format, args);
        return;
    }
    char *text = format_text(format, args, &size), *line = NULL;
    FILE *f = text ? open_memstream(&line, &whole) : NULL;
    bool ok = f && fputs(before, f) >= 0 && write_harmless(f, text, size, "") && fputs(after, f) >= 0;
    if (f && fclose(f)) ok = false;
    if (ok)
        fwrite(line, 1, whole, stderr);
    else
        fputs("gyr: out of memory for what there is to say; close other programs\n", stderr);
    free(line);
    free(text);
}

void say_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say("gyr: ", format, args, "\n");
    va_end(args);
}

int usage_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say("gyr: ", format, args, "\n");
    va_end(args);
    return GYR_USAGE;
}

int report(const gyr_error *e) {
    say_error("%s", e->message);
    return e->status ? (int)e->status : GYR_FAILED;
}

void say_dim(const char *format, ...) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool dim = err_is_terminal() && (!no_color || !*no_color) && term && strcmp(term, "dumb");
    va_list args;
    va_start(args, format);
    say(dim ? "\033[2m" : "", format, args, dim ? "\033[0m\n" : "\n");
    va_end(args);
}

// n brought below 1000 with three digits, and the name of the power of 1000 that was taken out.
static const char *scaled(double n, const char *const *names, int last, const char *unit) {
    static char text[8][32];
    static int turn;
    int i = 0;
    for (; n >= 999.5 && i < last; i++) n /= 1000;
    char *out = text[turn++ % 8];
    int digits = !i || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
    snprintf(out, sizeof text[0], "%.*f%s%s", digits, n, names[i], unit);
    return out;
}

const char *human_bytes(double n) {
    static const char *const names[] = {" ", " k", " M", " G", " T", " P"};
    return scaled(n, names, 5, "B");
}

const char *human_count(double n) {
    static const char *const names[] = {"", " thousand", " million", " billion", " trillion"};
    return scaled(n, names, 4, "");
}
