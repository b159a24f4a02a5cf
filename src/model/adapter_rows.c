// Which rows of which of a model's matrices a row of an adapter's file stands for. Files and models may have queries,
// keys and values as one matrix or as three, in groups or not, with the rotated pairs in either order, and gates apart
// from what they gate or not.
#include "model/adapt.h"

const enum role adapt_roles[] = {
    ROLE_OUTPUT,
    ROLE_QKV,
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_ATTN_OUT,
    ROLE_GATE_UP,
    ROLE_GATE,
    ROLE_UP,
    ROLE_DOWN,
    ROLE_ROUTER,
    ROLE_EXPERT_GATE,
    ROLE_EXPERT_UP,
    ROLE_EXPERT_DOWN,
    ROLE_EXPERT_GATE_UP,
    ROLE_SHARED_GATE_UP,
    ROLE_SHARED_GATE,
    ROLE_SHARED_UP,
    ROLE_SHARED_DOWN,
    ROLE_SHARED_ROUTER,
    ROLE_Q_A,
    ROLE_KV_A,
    ROLE_STATE_IN,
    ROLE_STATE_Q,
    ROLE_STATE_K,
    ROLE_STATE_LOW,
    ROLE_STATE_GATE_LOW,
    ROLE_STATE_X,
    ROLE_STATE_DT,
    ROLE_STATE_GATE,
    ROLE_STATE_ALPHA,
    ROLE_STATE_BETA,
    ROLE_STATE_OUT,
    ROLE_INPUT_PROJECT,
    ROLE_INPUT_GATE,
    ROLE_INPUT_OUT,
};
const size_t adapt_roles_n = sizeof adapt_roles / sizeof *adapt_roles;

// Of a layer, but for its experts.
static struct linear *plain_linear(const struct model *m, struct layer *l, enum role role) {
    switch (role) {
    case ROLE_QKV: return &l->qkv;
    case ROLE_Q: return &l->q;
    case ROLE_K: return &l->k;
    case ROLE_V: return &l->v;
    case ROLE_ATTN_OUT: return &l->attn_out;
    case ROLE_GATE_UP: return &l->gate_up;
    case ROLE_GATE: return &l->gate;
    case ROLE_UP: return &l->up;
    case ROLE_DOWN: return &l->down;
    case ROLE_ROUTER: return &l->router;
    case ROLE_SHARED_GATE: return &l->shared.gate;
    case ROLE_SHARED_UP: return &l->shared.up;
    case ROLE_SHARED_DOWN: return &l->shared.down;
    case ROLE_SHARED_ROUTER: return &l->shared_router;
    case ROLE_Q_A: return &l->q_a;
    case ROLE_KV_A: return &l->kv_a;
    case ROLE_STATE_IN: return &l->state.in;
    case ROLE_STATE_Q: return &l->state.q;
    case ROLE_STATE_K: return &l->state.k;
    case ROLE_STATE_LOW: return &l->state.low;
    case ROLE_STATE_GATE_LOW: return &l->state.gate_low;
    case ROLE_STATE_X: return &l->state.x;
    case ROLE_STATE_DT: return &l->state.dt;
    case ROLE_STATE_GATE: return &l->state.gate;
    case ROLE_STATE_ALPHA: return &l->state.alpha;
    case ROLE_STATE_BETA: return &l->state.beta;
    case ROLE_STATE_OUT: return &l->state.out;
    case ROLE_INPUT_PROJECT: return l == m->layers ? (struct linear *)(uintptr_t)&m->inputs.project : NULL;
    case ROLE_INPUT_GATE: return &l->input_gate;
    case ROLE_INPUT_OUT: return &l->input_out;
    default: return NULL;
    }
}

struct linear *adapt_linear(const struct model *m, const struct layer *l, enum role role, uint32_t index) {
    struct expert *x = l->experts && index < m->h.experts ? &l->experts[index] : NULL;
    struct linear *of = role == ROLE_EXPERT_GATE   ? (x ? &x->gate : NULL)
                        : role == ROLE_EXPERT_UP   ? (x ? &x->up : NULL)
                        : role == ROLE_EXPERT_DOWN ? (x ? &x->down : NULL)
                                                   : plain_linear(m, (struct layer *)(uintptr_t)l, role);
    return of && of->w.rows && of->number ? of : NULL;
}

// What a file has in one matrix with others, in turns, is nothing that an adapter's file could be for.
static bool is_for_adapters(const struct model *m, enum role role, uint32_t layer) {
    char name[128];
    if (!adapt_of_state(role)) return true;
    return family_tensor(m->family, m->checkpoint, (struct place){role, PART_WEIGHT, layer, 0}, name);
}

void adapt_number(struct model *m) {
    uint32_t n = ADAPTS_LAYERS;
    for (uint32_t i = 0; i < m->h.layers; i++) {
        struct layer *l = &m->layers[i];
        for (size_t r = 0; r < adapt_roles_n; r++) {
            struct linear *of = plain_linear(m, l, adapt_roles[r]);
            if (of && of->w.rows && is_for_adapters(m, adapt_roles[r], i)) of->number = n++;
        }
        for (uint32_t x = 0; l->experts && x < m->h.experts; x++) {
            l->experts[x].gate.number = n++;
            l->experts[x].up.number = n++;
            l->experts[x].down.number = n++;
        }
    }
    m->adaptable = n;
}

bool adapt_of_experts(enum role r) {
    return r == ROLE_EXPERT_GATE || r == ROLE_EXPERT_UP || r == ROLE_EXPERT_DOWN || r == ROLE_EXPERT_GATE_UP;
}

static bool of_attention(enum role r) {
    return r == ROLE_QKV || r == ROLE_Q || r == ROLE_K || r == ROLE_V || r == ROLE_ATTN_OUT || r == ROLE_Q_A ||
           r == ROLE_KV_A;
}

bool adapt_place(const struct model *m, const struct family *f, enum checkpoint_source source, const char *name,
                 struct place *at) {
    enum role some[sizeof adapt_roles / sizeof *adapt_roles];
    size_t n = 0;
    if (!family_place(f, source, name, adapt_roles, adapt_roles_n, at)) return false;
    if (at->layer >= m->h.layers) return true;
    const struct layer_plan *p = &m->layers[at->layer].plan;
    for (size_t i = 0; i < adapt_roles_n; i++)
        if (adapt_of_state(adapt_roles[i]) ? p->recurs : p->attends || !of_attention(adapt_roles[i]))
            some[n++] = adapt_roles[i];
    struct place there;
    if (family_place(f, source, name, some, n, &there)) *at = there;
    return true;
}

bool adapt_of_state(enum role r) { return r >= ROLE_STATE_IN && r <= ROLE_STATE_OUT; }

size_t adapt_wide(const struct model *m, const struct layer *l, enum role role) {
    if (role == ROLE_EXPERT_GATE_UP) return m->h.expert_feed_forward;
    return role == ROLE_SHARED_GATE_UP ? l->shared.up.w.rows : l->plan.feed_forward;
}

float adapter_multiplier(const struct model *m, enum role role) {
    const struct recurrence *r = &m->h.recurrence;
    switch (role) {
    case ROLE_K: return r->attn_key;
    case ROLE_GATE: return r->gate;
    case ROLE_DOWN: return r->down;
    case ROLE_ATTN_OUT: return r->attn_out;
    case ROLE_STATE_OUT: return r->out;
    default: return 1;
    }
}

// Queries of latent attention that come straight from the input are called otherwise.
bool adapter_name(const struct model *m, const struct family *f, enum checkpoint_source to, struct place at,
                  char name[128]) {
    const struct layer *l = &m->layers[at.layer];
    bool straight = at.role == ROLE_Q && l->plan.latent && !l->q_a.w.rows;
    return (straight ? family_last_name : family_name)(f, to, at, name);
}

bool adapter_multiplies(const struct model *m) {
    for (size_t i = 0; i < adapt_roles_n; i++)
        if (adapter_multiplier(m, adapt_roles[i]) != 1) return true;
    return false;
}

// Heads of a layer: rows of all queries, of all keys, and of one head.
struct heads_rows {
    size_t q, kv, dim, groups;
};

static struct heads_rows heads_rows(const struct model *m, const struct layer_plan *p) {
    size_t dim = p->heads.head_dim, q = (size_t)m->h.heads * dim;
    return (struct heads_rows){p->gates_heads ? 2 * q : q, p->heads.kv_heads * dim, dim, p->heads.kv_heads};
}

// A row of queries, keys and values in one matrix.
static struct spot part_qkv(const struct heads_rows *h, bool grouped, size_t r) {
    size_t groups = grouped ? h->groups : 1, q = h->q / groups, kv = h->kv / groups, each = q + 2 * kv;
    size_t group = r / each, in = r % each;
    if (in < q) return (struct spot){ROLE_Q, group * q + in};
    return in < q + kv ? (struct spot){ROLE_K, group * kv + in - q} : (struct spot){ROLE_V, group * kv + in - q - kv};
}

static struct spot join_qkv(const struct heads_rows *h, bool grouped, struct spot s) {
    size_t groups = grouped ? h->groups : 1, q = h->q / groups, kv = h->kv / groups, each = q + 2 * kv;
    size_t own = s.role == ROLE_Q ? q : kv, before = s.role == ROLE_Q ? 0 : s.role == ROLE_K ? q : q + kv;
    return (struct spot){ROLE_QKV, s.row / own * each + before + s.row % own};
}

// Pairs as halves of a head put where neighbours would be, or the other way round.
static size_t turn(size_t r, size_t dim, enum pairs to) {
    size_t in = r % dim, half = dim / 2;
    return r - in + (to == PAIRS_ADJACENT ? in % half * 2 + in / half : in % 2 * half + in / 2);
}

static struct spot part(const struct heads_rows *h, const struct row_order *from, size_t wide, enum role role,
                        size_t row) {
    static const struct {
        enum role both, gate, up;
    } pairs[] = {{ROLE_GATE_UP, ROLE_GATE, ROLE_UP},
                 {ROLE_EXPERT_GATE_UP, ROLE_EXPERT_GATE, ROLE_EXPERT_UP},
                 {ROLE_SHARED_GATE_UP, ROLE_SHARED_GATE, ROLE_SHARED_UP}};
    if (role == ROLE_QKV) return h->dim && h->groups ? part_qkv(h, from->grouped, row) : (struct spot){ROLE_NONE, 0};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (role == pairs[i].both)
            return wide ? (struct spot){row < wide ? pairs[i].gate : pairs[i].up, row % wide}
                        : (struct spot){ROLE_NONE, 0};
    return (struct spot){role, row};
}

struct spot adapt_spot(const struct model *m, const struct layer_plan *p, const struct row_order *from,
                       const struct row_order *to, size_t wide, enum role role, size_t row) {
    struct heads_rows h = heads_rows(m, p);
    struct spot s = part(&h, from, wide, role, row);
    bool turns = from->pairs != to->pairs && h.dim && m->family->positions == POSITIONS_ROTARY;
    if (turns && (s.role == ROLE_Q || s.role == ROLE_K)) s.row = turn(s.row, h.dim, to->pairs);
    if (to->qkv && (s.role == ROLE_Q || s.role == ROLE_K || s.role == ROLE_V)) return join_qkv(&h, to->grouped, s);
    if (to->gate_up && (s.role == ROLE_GATE || s.role == ROLE_UP))
        return (struct spot){ROLE_GATE_UP, s.row + (s.role == ROLE_UP ? wide : 0)};
    return s;
}
