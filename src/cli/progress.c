#include "progress.h"

#include "output.h"
#include "signals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What is done sooner than this needs no bar; a bar is drawn so often.
static const double patience = 0.3, interval = 0.1;

double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_start(struct progress *p, const char *label, const char *unit, double total) {
    *p = (struct progress){.label = label, .unit = unit, .total = total, .started = seconds_now()};
}

static void print_rest(char *out, size_t size, const struct progress *p, double fraction, double elapsed) {
    char rate[48] = "", left[32] = "";
    if (p->unit && p->total > 0) {
        double speed = fmax(p->total * fraction - p->kept, 0) / elapsed;
        bool bytes = !strcmp(p->unit, "B");
        snprintf(rate, sizeof rate, "  %s%s/s", bytes ? human_bytes(speed) : human_count(speed),
                 bytes ? "" : " tokens");
    }
    double before = p->total > 0 ? p->kept / p->total : 0, gained = fraction - before;
    double seconds = gained > 0.01 ? elapsed * (1 - fraction) / gained : -1;
    if (seconds >= 0 && seconds < 360000)
        snprintf(left, sizeof left, "  %d:%02d left", (int)seconds / 60, (int)seconds % 60);
    snprintf(out, size, "%3d%%%s%s", (int)(fraction * 100), rate, left);
}

void progress_at(struct progress *p, double fraction) {
    double now = seconds_now(), elapsed = now - p->started;
    const char *term = getenv("TERM");
    if (!err_is_terminal() || elapsed < patience || now - p->drawn < interval) return;
    if (!term || !strcmp(term, "dumb")) return;
    fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    char rest[96];
    print_rest(rest, sizeof rest, p, fraction, elapsed);
    int columns = err_columns(), room = columns - (int)strlen(p->label) - (int)strlen(rest) - 8;
    int width = room < 0 ? 0 : room > 40 ? 40 : room, full = (int)(fraction * width);
    static const char bar[] = "########################################",
                      dots[] = "........................................";
    fprintf(stderr, "\r\033[K%s  [%.*s%.*s] %s", p->label, full, bar, width - full, dots, rest);
    fflush(stderr);
    p->drawn = now;
    p->shown = true;
}

bool progress_report(void *bar, double fraction) {
    progress_at(bar, fraction);
    return !interrupted();
}

void progress_end(struct progress *p) {
    if (p->shown) fputs("\r\033[K", stderr);
    fflush(stderr);
    p->shown = false;
}
