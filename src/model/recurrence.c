#include "model/recurrence.h"

#include <math.h>
#include <stdio.h>

enum number { TAPS, INNER, SIZE, STEPS, GROUPS, EXPAND, HEADS, VALUE, WIDE, EACH_SIZE, EACH_HEADS, NUMBERS };

enum { MAX_NAMES = 4 };

// GGUF's names behind the architecture, and Hugging Face's, those of other families first or last. The heads of Mamba-2
// and of the delta rule are steps in GGUF.
static const struct {
    const char *gguf, *hf[MAX_NAMES];
} names[NUMBERS] = {
    [TAPS] = {"ssm.conv_kernel",
              {"conv_kernel", "mamba_d_conv", "linear_attn_config.short_conv_kernel_size", "linear_conv_kernel_dim"}},
    [INNER] = {"ssm.inner_size", {"mamba_d_ssm"}},
    [SIZE] = {"ssm.state_size", {"state_size", "mamba_d_state", "linear_key_head_dim"}},
    [STEPS] = {"ssm.time_step_rank", {"time_step_rank"}},
    [GROUPS] = {"ssm.group_count", {"n_groups", "mamba_n_groups", "linear_num_key_heads"}},
    [EXPAND] = {NULL, {"expand", "mamba_expand"}},
    [HEADS] = {"ssm.time_step_rank", {"num_heads", "mamba_n_heads", "linear_num_value_heads"}},
    [VALUE] = {NULL, {"linear_value_head_dim"}},
    [EACH_SIZE] = {"kda.head_dim", {"linear_attn_config.head_dim", "linear_head_dim"}},
    [EACH_HEADS] = {"attention.head_count", {"linear_attn_config.num_heads", "linear_num_heads"}},
    [WIDE] = {NULL, {"intermediate_size"}}, // of Mamba; other models call their MLP's width so
};

struct reader {
    const struct family *f;
    const struct checkpoint *c;
    gyr_error *e;
};

// The name that the file has for a key; false if it has none.
static bool find(const struct reader *r, const char *name, char key[128]) {
    bool gguf = r->c->source == CHECKPOINT_GGUF;
    snprintf(key, 128, "%s%s%s", gguf ? r->f->architecture : "", gguf ? "." : "", name);
    return config_value(r->c, key);
}

// In [1, most]; a missing key gives `missing`, or GYR_MALFORMED if that is 0.
static bool whole(const struct reader *r, enum number n, uint32_t most, uint32_t missing, uint32_t *out) {
    const char *gguf[] = {names[n].gguf, NULL}, *const *list = r->c->source == CHECKPOINT_GGUF ? gguf : names[n].hf;
    char key[128] = "";
    uint64_t v = missing;
    bool there = false;
    for (int i = 0; i < MAX_NAMES && list[i] && !there; i++) there = find(r, list[i], key);
    if (there && !checkpoint_uint(r->c, key, 1, most, &v, r->e)) return false;
    *out = (uint32_t)v;
    if (v) return true;
    return fail(r->e, GYR_MALFORMED, "%s: key '%s' is missing; convert the model again", r->c->path, list[0]);
}

// n multipliers: a number, or a list of them.
static bool multipliers(const struct reader *r, const char *name, size_t n, float *out) {
    const struct value *list = r->c->source == CHECKPOINT_HF ? config_value(r->c, name) : NULL;
    for (size_t i = 0; i < n; i++) out[i] = 1;
    if (!list) return true;
    bool fits = list->kind != VALUE_ARRAY ? n == 1 : list->array.n == n;
    for (size_t i = 0; i < n && fits; i++) {
        struct value v = value_at(list, i);
        double x = value_number(&v);
        fits = fabs(x) < 1e6;
        out[i] = (float)x;
    }
    return fits ||
           fail(r->e, GYR_MALFORMED, "%s: key '%s' is not %zu numbers; get the file again", r->c->path, name, n);
}

static bool read_multipliers(const struct reader *r, struct recurrence *s) {
    float in, mlp[2];
    if (!multipliers(r, "ssm_in_multiplier", 1, &in) || !multipliers(r, "ssm_multipliers", 5, s->part) ||
        !multipliers(r, "ssm_out_multiplier", 1, &s->out) || !multipliers(r, "mlp_multipliers", 2, mlp) ||
        !multipliers(r, "attention_in_multiplier", 1, &s->attn_in) ||
        !multipliers(r, "attention_out_multiplier", 1, &s->attn_out) ||
        !multipliers(r, "key_multiplier", 1, &s->attn_key))
        return false;
    for (int i = 0; i < 5; i++) s->part[i] *= in;
    s->gate = mlp[0];
    s->down = mlp[1];
    return true;
}

// A number of a list of two; NAN if it is none.
static double item(const struct value *list, size_t i) {
    struct value v = list && list->kind == VALUE_ARRAY && list->array.n == 2 ? value_at(list, i) : (struct value){0};
    return value_number(&v);
}

// [least, most] of steps; an infinite one bounds nothing.
static bool read_limit(const struct reader *r, struct recurrence *s) {
    static const char name[] = "time_step_limit";
    const struct value *told = r->c->source == CHECKPOINT_HF ? config_value(r->c, name) : NULL;
    double limit[2] = {told ? item(told, 0) : 0, told ? item(told, 1) : INFINITY};
    bool fits = limit[0] >= 0 && limit[0] < limit[1];
    s->step_least = (float)limit[0];
    s->step_most = limit[0] > 0 || limit[1] < INFINITY ? (float)fmin(limit[1], 1e30) : 0;
    return fits || fail(r->e, GYR_MALFORMED, "%s: key '%s' is not two numbers, the smaller first; get the file again",
                        r->c->path, name);
}

// The rank of what steps are made from, which configs may leave to the hidden size.
static bool read_rank(const struct reader *r, uint32_t hidden, struct recurrence *s) {
    bool hf = r->c->source == CHECKPOINT_HF;
    if (hf && value_says(config_value(r->c, "time_step_rank"), "auto")) {
        s->rank = (hidden + 15) / 16;
        return true;
    }
    return whole(r, STEPS, 1u << 16, 0, &s->rank);
}

// The inner size, which some configs say as a multiple of the hidden one, or as that of a head.
static bool read_inner(const struct reader *r, uint32_t hidden, struct recurrence *s) {
    uint32_t times = 2, value = 0;
    if (r->c->source == CHECKPOINT_GGUF) return whole(r, INNER, 1u << 24, 0, &s->inner);
    if (s->kind == RECUR_DELTA) {
        if (!whole(r, VALUE, MAX_HEAD, 0, &value)) return false;
        s->inner = s->heads * value;
        return true;
    }
    enum number which = s->kind == RECUR_CHANNELS ? WIDE : INNER;
    return whole(r, EXPAND, 16, 2, &times) && whole(r, which, 1u << 24, times * hidden, &s->inner);
}

static bool fits(const struct reader *r, const struct recurrence *s) {
    bool ok = s->inner % s->heads == 0 && s->heads % s->groups == 0 && (s->rank || s->dim <= MAX_HEAD);
    return ok || fail(r->e, GYR_MALFORMED,
                      "%s: states of %u heads of %u elements in all, with %u keys; convert the model again", r->c->path,
                      s->heads, s->inner, s->groups);
}

// Kimi delta attention: each head has a key of its own, as wide as its value.
static bool read_each(const struct reader *r, struct recurrence *s) {
    s->each = s->norm_first = true;
    if (!whole(r, TAPS, 64, 4, &s->taps) || !whole(r, EACH_SIZE, MAX_HEAD, 0, &s->size) ||
        !whole(r, EACH_HEADS, 1u << 16, 0, &s->heads))
        return false;
    s->groups = s->heads;
    s->dim = s->size;
    s->inner = s->steps = s->heads * s->dim;
    s->channels = s->columns = s->inner; // one after the other
    return true;
}

bool recurrence_read(const struct family *f, const struct checkpoint *c, uint32_t hidden, struct recurrence *s,
                     gyr_error *e) {
    struct reader r = {f, c, e};
    double eps = 0;
    char key[128];
    *s = (struct recurrence){.kind = f->state.kind, .heads = 1, .groups = 1};
    if (!read_multipliers(&r, s) || s->kind == RECUR_NONE) return s->kind == RECUR_NONE;
    if (f->state.each) return read_each(&r, s);
    bool channels = s->kind == RECUR_CHANNELS;
    if (!whole(&r, TAPS, 64, 4, &s->taps) || !whole(&r, SIZE, MAX_HEAD, 0, &s->size) ||
        (channels && !read_rank(&r, hidden, s)) || (s->kind == RECUR_HEADS && !read_limit(&r, s)) ||
        (!channels && (!whole(&r, HEADS, 1u << 16, 0, &s->heads) ||
                       !whole(&r, GROUPS, 1u << 16, c->source == CHECKPOINT_GGUF, &s->groups))) ||
        !read_inner(&r, hidden, s))
        return false;
    bool hf = c->source == CHECKPOINT_HF, told = find(&r, hf ? "mixer_rms_eps" : "ssm.dt_b_c_rms_epsilon", key);
    if (told && !checkpoint_float(c, key, &eps, e)) return false;
    if (find(&r, "mamba_norm_before_gate", key) && !checkpoint_bool(c, key, &s->norm_first, e)) return false;
    s->norm_first |= s->kind == RECUR_DELTA;
    s->norms_eps = (float)eps;
    s->dim = s->inner / s->heads;
    s->steps = channels ? s->inner : s->heads;
    s->channels = s->inner + (channels ? 0 : 2 * s->groups * s->size);
    s->columns = channels ? 2 * s->inner : s->kind == RECUR_DELTA ? s->channels : s->inner + s->channels + s->heads;
    return fits(&r, s);
}

size_t recurrence_tail(const struct recurrence *r) {
    return r->taps ? (size_t)(r->taps - 1) * r->channels * (r->each ? 3 : 1) : 0;
}

size_t recurrence_floats(const struct recurrence *r) { return recurrence_tail(r) + (size_t)r->size * r->inner; }
