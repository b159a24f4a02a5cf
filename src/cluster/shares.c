#include "cluster/shares.h"

#include <stdlib.h>

enum { GRAIN = 32, FEW = 2 * GRAIN }; // rows

bool shares_new(struct shares *s, uint32_t count, const double *part) {
    double all = 0, sum = 0;
    *s = (struct shares){count, calloc(count, sizeof *s->end)};
    for (uint32_t i = 0; i < count; i++) all += part[i];
    for (uint32_t i = 0; s->end && i < count; i++) s->end[i] = (sum += part[i]) / all;
    return s->end;
}

void shares_free(struct shares *s) {
    free(s->end);
    s->end = NULL;
}

struct range shares_range(const struct shares *s, uint32_t i, size_t n, size_t grain) {
    size_t units = (n + grain - 1) / grain;
    size_t first = i ? (size_t)(s->end[i - 1] * (double)units + 0.5) : 0;
    size_t end = i + 1 < s->count ? (size_t)(s->end[i] * (double)units + 0.5) : units;
    first = first * grain < n ? first * grain : n;
    end = end * grain < n ? end * grain : n;
    return (struct range){first, end - first};
}

struct range shares_rows(const struct shares *s, uint32_t i, size_t rows) {
    return shares_range(s, i, rows, GRAIN);
}

bool shares_is_whole(const struct weight *w) {
    return w->place == WEIGHT_WHOLE || (w->place < WEIGHT_EXPERT && w->rows < FEW);
}
