// A bar on stderr, only on a terminal, and only for what takes a while.
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

struct progress {
    const char *label;
    const char *unit; // of the rate: "B" or "tokens"; NULL: no rate
    double total;     // in that unit; 0: unknown
    double kept;      // of the total, what was there before: it counts for no rate
    double started, drawn;
    bool shown;
};

double seconds_now(void);
void progress_start(struct progress *p, const char *label, const char *unit, double total);
void progress_at(struct progress *p, double fraction);
// For a call that reports a fraction: `bar` is a struct progress. False, to stop, once Ctrl-C came.
bool progress_report(void *bar, double fraction);
// Wipes the bar out.
void progress_end(struct progress *p);

#endif
