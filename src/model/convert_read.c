// A piece's elements, found where the folder has them, and written.
#include "model/convert_job.h"
#include "model/unit.h"

#include <math.h>
#include <string.h>

// What a read needs: the piece, and the model that it is of.
struct reader {
    const struct piece *p;
    const struct model *m;
};

// The row of the source that becomes row r.
static uint64_t source_row(const struct reader *s, uint64_t r) {
    const struct piece *p = s->p;
    const struct hyperparameters *h = &s->m->h;
    uint64_t dim = h->head_dim;
    if (p->row_of) return p->row_of(s->m, r);
    if (p->apart) return r / p->each * p->apart + p->first + r % p->each * p->every;
    // Neighbours are rotated together in GGUF, an element and one half a head further on in the folder.
    if (p->paired) r = r - r % dim + r % dim % 2 * (dim / 2) + r % dim / 2;
    r += p->first;
    if (!p->grouped) return r;
    // GGUF has all queries, then all keys, then all values; the folder has them group by group.
    uint64_t head = r / dim, heads = h->heads, kv = h->kv_heads, per = heads / kv;
    uint64_t of_keys = head < heads ? 0 : 1 + (head - heads) / kv;
    uint64_t group = head < heads ? head / per : (head - heads) % kv;
    uint64_t place = head < heads ? head % per : per + of_keys - 1;
    return (group * (per + 2) + place) * dim + r % dim;
}

// n elements of a row from column `col` on, where the source has them as [matrix][cols][all].
static void read_across(const struct piece *p, uint64_t row, uint64_t col, size_t n, float *out) {
    uint64_t between = p->apart ? p->apart : p->cols;
    uint64_t from = row / p->each * between * p->all + p->first + row % p->each * p->step;
    for (size_t i = 0; i < n; i++) tensor_decode(p->t, from + (col + i) * p->all, 1, out + i);
}

// The tensor that has a row; the row becomes its own.
static const struct tensor *tensor_of(const struct reader *s, uint64_t *row) {
    const struct piece *p = s->p;
    if (!p->indexed) return p->t;
    char name[128];
    struct place at = {p->at.role, p->at.part, p->at.layer, (uint32_t)(*row / p->each)};
    *row %= p->each;
    return family_tensor(s->m->family, s->m->checkpoint, at, name);
}

static void read_along(const struct reader *s, uint64_t row, uint64_t col, size_t n, float *out) {
    const struct piece *p = s->p;
    const struct tensor *t = tensor_of(s, &row);
    if (p->unit) {
        unit_decode(t, source_row(s, row), p->cols, col, n, out);
        return;
    }
    uint64_t from = source_row(s, row) * p->cols;
    if (!p->col_of) {
        tensor_decode(t, from + col, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++) tensor_decode(t, from + p->col_of(s->m, col + i), 1, out + i);
}

static void read_piece(const void *arg, uint64_t at, size_t n, float *out) {
    const struct reader *s = arg;
    const struct piece *p = s->p;
    if (p->given) {
        memcpy(out, p->given + at, n * sizeof *out);
        return;
    }
    for (size_t done = 0, k; done < n; done += k) {
        uint64_t row = (at + done) / p->cols, col = (at + done) % p->cols;
        k = n - done < p->cols - col ? n - done : (size_t)(p->cols - col);
        if (p->all)
            read_across(p, row, col, k, out + done);
        else
            read_along(s, row, col, k, out + done);
        float by = p->multiplied ? convert_factor(s->m, p->role, p->at.part, row) : 1;
        for (size_t i = done; i < done + k && by != 1; i++) out[i] *= by;
    }
    if (p->adapted) merge_add(&p->merged, at, n, out);
    for (size_t i = 0; i < n && p->plus != 0; i++) out[i] += p->plus;
    for (size_t i = 0; i < n && p->decays; i++) out[i] = (float)-exp((double)out[i]);
}

static void copy_piece(const void *arg, uint64_t at, size_t n, uint8_t *out) {
    const struct reader *s = arg;
    const struct piece *p = s->p;
    for (size_t done = 0, k; done < n; done += k) {
        uint64_t row = (at + done) / p->cols, col = (at + done) % p->cols;
        k = n - done < p->cols - col ? n - done : (size_t)(p->cols - col);
        const struct tensor *t = tensor_of(s, &row);
        tensor_blocks(t, source_row(s, row) * p->cols + col, k, out);
        out += type_row_bytes(p->t->type, k);
    }
}

bool convert_is_plain(const struct piece *p) {
    bool across = p->all && p->t && p->t->packing;
    return !p->unit && !p->col_of && !across && p->plus == 0 && !p->multiplied && !p->decays;
}

// Whether all tensors of a piece are of one type, as those of experts may not be.
static bool is_of_one_type(const struct job *j, const struct piece *p, gyr_error *e) {
    struct reader r = {p, j->m};
    for (uint64_t row = 0; p->indexed && type_info(p->to)->quantized && row < p->rows; row += p->each) {
        uint64_t own = row;
        if (tensor_of(&r, &own)->type != p->t->type)
            return fail(
                e, GYR_UNSUPPORTED,
                "%s: the tensors that make %s are quantized in different ways, which one tensor of GGUF cannot be; "
                "run the folder as it is",
                j->c->path, p->name);
    }
    return true;
}

bool convert_write(struct job *j, const struct piece *p, gyr_error *e) {
    struct reader r = {p, j->m};
    if (p->t && p->to == p->t->type && p->t->packing && !is_of_one_type(j, p, e)) return false;
    bool moved = p->indexed || p->all || p->apart || p->grouped || p->paired || p->first || p->row_of || p->col_of;
    bool as_is =
        p->t && !p->adapted && !p->t->scales && !moved && !p->unit && p->plus == 0 && !p->multiplied && !p->decays;
    struct recode_source s = {.name = {p->name, strlen(p->name)},
                              .count = p->cols * p->rows,
                              .from = p->t ? p->t->type : TYPE_F32,
                              .as_is = as_is ? p->t->data : NULL,
                              .copy = p->t && p->t->scales && !p->adapted && convert_is_plain(p) ? copy_piece : NULL,
                              .read = read_piece,
                              .arg = &r};
    return recode(j->recoder, j->w, &s, p->to, e);
}
