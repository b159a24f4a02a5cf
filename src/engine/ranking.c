#include "engine/ranking.h"
#include "device/elementary.h"

#include <stdlib.h>
#include <string.h>

static const float LEAST = 0x1p-149f; // that is more than 0

enum { DIGIT = 11, DIGITS = 1 << DIGIT, FEW = 256 };

float peak_number(const float *peak, size_t n, size_t m, float *work) {
    memcpy(work, peak, n * sizeof *work);
    size_t low = 0, high = n - 1, at = m - 1;
    while (low < high) { // the m-th is between them (Hoare's quickselect)
        float pivot = work[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (work[i] > pivot) i++;
            while (work[j] < pivot) j--;
            if (i >= j) break;
            float t = work[i];
            work[i++] = work[j];
            work[j--] = t;
        }
        if (at <= j)
            high = j;
        else
            low = j + 1;
    }
    return work[at];
}

void select_best(struct candidate *c, size_t size, size_t n) {
    size_t low = 0, high = size - 1;
    while (low < high) {
        struct candidate pivot = c[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (better(c[i], pivot)) i++;
            while (better(pivot, c[j])) j--;
            if (i >= j) break;
            struct candidate t = c[i];
            c[i++] = c[j];
            c[j--] = t;
        }
        if (n <= j)
            high = j;
        else
            low = j + 1;
        if (low >= n) return;
    }
}

static int by_score(const void *a, const void *b) {
    return better(*(const struct candidate *)a, *(const struct candidate *)b) ? -1 : 1;
}

// Floats that are not negative compare as their bits do; turned around, the highest is first.
static uint32_t digit_of(float score, unsigned shift) { return ~bits_of_float(score) >> shift & (DIGITS - 1); }

void sort_best(struct candidate *c, size_t n, struct candidate *spare) {
    if (n <= FEW) {
        qsort(c, n, sizeof *c, by_score);
        return;
    }
    struct candidate *from = c, *to = spare;
    for (unsigned shift = 0; shift < 32; shift += DIGIT) { // digit by digit: equals stay in order of id
        uint32_t at[DIGITS + 1] = {0};
        for (size_t i = 0; i < n; i++) at[digit_of(from[i].score, shift) + 1]++;
        for (size_t d = 1; d < DIGITS; d++) at[d] += at[d - 1];
        for (size_t i = 0; i < n; i++) to[at[digit_of(from[i].score, shift)]++] = from[i];
        struct candidate *t = from;
        from = to;
        to = t;
    }
    if (from != c) memcpy(c, from, n * sizeof *c);
}

// Lists, in order of id, what is at least `least` and less than `above`.
static size_t collect(const struct ranking *r, float least, float above, struct candidate *out) {
    size_t n = 0;
    for (size_t b = 0; b < blocks_of(r->n); b++) {
        if (r->peak[b] < least) continue;
        size_t last = r->n - b * BLOCK < BLOCK ? r->n : (b + 1) * BLOCK;
        for (size_t i = b * BLOCK; i < last; i++) {
            float p = r->p[i];
            if (p < least || p >= above || (p != 1 && (double)p < r->floor)) continue;
            out[n++] = (struct candidate){p, (int32_t)i};
        }
    }
    return n;
}

bool rank_more(struct ranking *r) {
    size_t blocks = blocks_of(r->n);
    while (r->above > 0) {
        r->peaks = r->peaks ? r->peaks * 8 : 32;
        float least = r->peaks < blocks ? peak_number(r->peak, blocks, r->peaks, r->work) : 0;
        least = least > LEAST ? least : LEAST;
        size_t more = least < r->above ? collect(r, least, r->above, r->list + r->listed) : 0;
        sort_best(r->list + r->listed, more, r->spare);
        r->listed += more;
        r->above = least > LEAST && (double)least > r->floor ? least : 0;
        if (more) return true;
    }
    return false;
}
