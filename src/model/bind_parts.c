// Matrices that a file has as one, and that the pass multiplies with apart.
#include "model/bind.h"

#include <stdlib.h>
#include <string.h>

// Rows of `row` bytes, all groups' of a part side by side.
static void sort_rows(uint8_t *to, const uint8_t *from, size_t row, size_t groups, const struct share *p, int n) {
    size_t each = p[n - 1].first + p[n - 1].rows;
    for (int i = 0; i < n; i++)
        for (size_t g = 0; g < groups; g++, to += p[i].rows * row)
            memcpy(to, from + (g * each + p[i].first) * row, p[i].rows * row);
}

// The bytes of all parts, one part after the other: those of the file if they are so already.
static const uint8_t *sorted(struct binder *b, const struct tensor *t, size_t groups, const struct share *p, int n) {
    size_t cols = b->m->h.hidden, rows = groups * (p[n - 1].first + p[n - 1].rows);
    const uint8_t *data = bind_is_turned(b) ? bind_turned(b, t, cols, rows) : t->data;
    uint8_t *copy = groups > 1 ? bind_rewrite(b, t->bytes) : NULL;
    if (copy && data && !b->m->hollow) sort_rows(copy, data, type_row_bytes(t->type, cols), groups, p, n);
    return groups > 1 && data ? copy : data;
}

static bool sort_bias(struct binder *b, dfloat *bias, size_t groups, const struct share *p, int n) {
    size_t bytes = groups * (p[n - 1].first + p[n - 1].rows) * sizeof(float);
    uint8_t *as_read = malloc(bytes), *host = (uint8_t *)bind_host(b, bias);
    if (!as_read) return fail_memory(b->e, b->m->checkpoint->path);
    memcpy(as_read, host, bytes);
    sort_rows(host, as_read, sizeof(float), groups, p, n);
    free(as_read);
    return true;
}

// Hands the parts out.
static bool cut(struct binder *b, const struct tensor *t, const uint8_t *data, dfloat *bias, size_t groups,
                const struct share *p, int n) {
    struct model *m = b->m;
    size_t cols = m->h.hidden, row = type_row_bytes(t->type, cols);
    for (int i = 0; i < n; i++) {
        struct linear *l = p[i].to;
        size_t rows = groups * p[i].rows;
        if (l && !l->w.rows) *l = (struct linear){{.type = t->type, .cols = cols, .data = data}, .bias = bias, .by = 1};
        data += rows * row;
        bias = bias ? bias + rows : NULL;
        if (!l) continue;
        l->w.rows += rows;
        bool last = i + 1 == n || p[i + 1].to != l;
        if (last && !bind_weight(b, &l->w)) return false;
    }
    return true;
}

bool bind_parts(struct binder *b, enum role role, unsigned bias, uint32_t layer, size_t groups, const struct share *p,
                int n) {
    size_t cols = b->m->h.hidden, each = p[n - 1].first + p[n - 1].rows, rows = groups * each, read = 0;
    bool turned = bind_is_turned(b);
    dfloat *all = NULL;
    const struct tensor *t =
        bind_find(b, (struct place){role, PART_WEIGHT, layer, 0}, turned ? rows : cols, turned ? cols : rows, 1);
    if (!t || (turned && !bind_whole(b, t))) return false;
    if (bind_has_bias(b, role, bias, layer) && !bind_vector(b, &all, role, PART_BIAS, layer, rows, 1, 0)) return false;
    const uint8_t *data = sorted(b, t, groups, p, n);
    if (b->looking || !data) return b->looking;
    if (all && groups > 1 && !sort_bias(b, all, groups, p, n)) return false;
    for (int i = 0; i < n; i++) read += p[i].to ? p[i].rows : 0;
    bind_count(b->m, t, (double)read / (double)each);
    return cut(b, t, data, all, groups, p, n);
}
