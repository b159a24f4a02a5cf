// The tensors of layers that keep a state.
#include "model/convert_job.h"

// How GGUF has a role's tensor.
enum form {
    FORM_SAME,    // as the folder does
    FORM_CHANNEL, // a row for each channel of the convolution
    FORM_TAPS, // the same: [channels][1][taps], less the axis in the middle but where key elements decay each by itself
    FORM_HEAD, // a number for each head; Mamba-2's as columns
    FORM_VALUE,  // a row for each element of the heads' values
    FORM_ACROSS, // a column for each
    FORM_GROUP,  // a row for each group of heads
};

static const struct recurrence *shape_of(const struct model *m) { return &m->h.recurrence; }

// Where heads take keys in turns, the first head of each key comes first in GGUF, and those of one key in the folder.
static uint64_t head_of(const struct model *m, uint64_t i) {
    const struct recurrence *r = shape_of(m);
    return i % r->groups * (r->heads / r->groups) + i / r->groups;
}

static uint64_t value_of(const struct model *m, uint64_t i) {
    uint64_t dim = shape_of(m)->dim;
    return head_of(m, i / dim) * dim + i % dim;
}

// Queries and keys come first, and in the same order.
static uint64_t channel_of(const struct model *m, uint64_t i) {
    uint64_t keys = 2ull * shape_of(m)->groups * shape_of(m)->size;
    return i < keys ? i : keys + value_of(m, i - keys);
}

// In a projection that has query, key, values and gates key by key: rows of `size` from `first` on of each.
static uint64_t of_key(const struct model *m, uint64_t i, uint64_t size, uint64_t first) {
    const struct recurrence *r = shape_of(m);
    return i / size * 2 * (r->size + r->inner / r->groups) + first + i % size;
}

static uint64_t fused_channel_of(const struct model *m, uint64_t i) {
    const struct recurrence *r = shape_of(m);
    uint64_t size = r->size, keys = r->groups * size;
    if (i < keys) return of_key(m, i, size, 0);
    if (i < 2 * keys) return of_key(m, i - keys, size, size);
    return of_key(m, i - 2 * keys, r->inner / r->groups, 2 * size);
}

static uint64_t fused_gate_of(const struct model *m, uint64_t i) {
    const struct recurrence *r = shape_of(m);
    uint64_t values = r->inner / r->groups;
    return of_key(m, i, values, 2ull * r->size + values);
}

static bool add_fused_key(struct job *j, uint32_t layer, gyr_error *e) {
    const struct recurrence *r = shape_of(j->m);
    struct place at = {ROLE_STATE_QKVZ, PART_WEIGHT, layer, 0};
    struct piece *p;
    if (!convert_start(j, ROLE_STATE_IN, at, &p, e)) return false;
    if (!p) return true;
    convert_shape(p, 2, j->m->h.hidden, r->channels, 1);
    p->row_of = fused_channel_of;
    if (!convert_start(j, ROLE_STATE_GATE, at, &p, e)) return false;
    convert_shape(p, 2, j->m->h.hidden, r->inner, 1);
    p->row_of = fused_gate_of;
    return true;
}

static void shape(const struct model *m, struct piece *p, enum form form) {
    const struct recurrence *r = shape_of(m);
    const struct tensor *t = p->t;
    bool column = form == FORM_HEAD && r->kind == RECUR_HEADS && p->at.part == PART_WEIGHT;
    if (form == FORM_TAPS && r->each)
        convert_shape(p, 4, r->taps, 1, t->dim[2]);
    else if (form == FORM_TAPS && t->n_dims > 1)
        convert_shape(p, 2, r->taps, r->channels, 1);
    else if (column)
        convert_shape(p, 2, 1, r->heads, 1);
    else if (form == FORM_GROUP && r->kind == RECUR_HEADS)
        convert_shape(p, 2, r->inner / r->groups, r->groups, 1);
    else
        convert_shape(p, t->n_dims, t->dim[0], t->dim[1], t->dim[2]);
}

// The order of rows, or of columns, where heads take keys in turns.
static void order(const struct model *m, struct piece *p, enum form form) {
    static uint64_t (*const rows[])(const struct model *m, uint64_t i) = {[FORM_CHANNEL] = channel_of,
                                                                          [FORM_TAPS] = channel_of,
                                                                          [FORM_HEAD] = head_of,
                                                                          [FORM_VALUE] = value_of,
                                                                          [FORM_GROUP] = NULL};
    if (!m->family->state.gguf_turns) return;
    if (form == FORM_ACROSS)
        p->col_of = value_of;
    else
        p->row_of = rows[form];
}

bool convert_list_state(struct job *j, uint32_t layer, gyr_error *e) {
    bool delta = shape_of(j->m)->kind == RECUR_DELTA, channels = shape_of(j->m)->kind == RECUR_CHANNELS, ok = true;
    const struct {
        enum role role;
        enum form form;
    } roles[] = {
        {ROLE_STATE_IN, delta ? FORM_CHANNEL : FORM_SAME},
        {ROLE_STATE_GATE, FORM_VALUE},
        {ROLE_STATE_BA, FORM_SAME},
        {ROLE_STATE_BETA, FORM_HEAD},
        {ROLE_STATE_ALPHA, FORM_HEAD},
        {ROLE_STATE_LOW, FORM_SAME},
        {ROLE_STATE_GATE_LOW, FORM_SAME},
        {ROLE_STATE_Q, FORM_SAME},
        {ROLE_STATE_K, FORM_SAME},
        {ROLE_STATE_CONV, FORM_TAPS},
        {ROLE_STATE_CONV_Q, FORM_TAPS},
        {ROLE_STATE_CONV_K, FORM_TAPS},
        {ROLE_STATE_X, FORM_SAME},
        {ROLE_STATE_DT, channels ? FORM_SAME : FORM_HEAD},
        {ROLE_STATE_A, channels ? FORM_SAME : FORM_HEAD},
        {ROLE_STATE_D, channels ? FORM_SAME : FORM_HEAD},
        {ROLE_STATE_NORM, FORM_GROUP},
        {ROLE_STATE_OUT, FORM_ACROSS},
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles && ok; i++)
        for (int part = PART_WEIGHT; part <= PART_BIAS && ok; part++) {
            struct piece *p;
            ok = convert_start(j, roles[i].role, (struct place){roles[i].role, part, layer, 0}, &p, e);
            if (!ok || !p) continue;
            shape(j->m, p, roles[i].form);
            order(j->m, p, roles[i].form);
            p->decays = roles[i].role == ROLE_STATE_A;
        }
    return ok && add_fused_key(j, layer, e);
}

// The parts of the projection: gate, values, keys, queries, steps.
static float part_factor(const struct recurrence *r, uint64_t row) {
    uint64_t keys = (uint64_t)r->groups * r->size;
    const uint64_t rows[] = {r->inner, r->inner, keys, keys};
    int part = 0;
    for (; part < 4 && row >= rows[part]; part++) row -= rows[part];
    return r->part[part];
}

float convert_factor(const struct model *m, enum role role, enum part part, uint64_t row) {
    const struct recurrence *r = shape_of(m);
    float in = part == PART_BIAS ? 1 : r->attn_in;
    switch (role) {
    case ROLE_EMBEDDING: return m->h.embed_scale;
    case ROLE_OUTPUT: return m->h.logit_scale;
    case ROLE_GATE: return r->gate;
    case ROLE_DOWN: return r->down;
    case ROLE_Q:
    case ROLE_V: return in;
    case ROLE_K: return in * r->attn_key;
    case ROLE_ATTN_OUT: return r->attn_out;
    case ROLE_STATE_IN: return part_factor(r, row);
    case ROLE_STATE_OUT: return r->out;
    default: return 1;
    }
}
