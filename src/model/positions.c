#include "model/positions.h"
#include "device/rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Where a value stands: GGUF's key behind the architecture, and Hugging Face's, inside each object that may hold it.
enum {
    ROPE_BASE,
    ROPE_KIND,
    ROPE_FACTOR,
    ROPE_TRAINED,
    ROPE_ATTENTION,
    ROPE_LOW,
    ROPE_HIGH,
    ROPE_FAST,
    ROPE_SLOW,
    ROPE_MSCALE,
    ROPE_MSCALE_ALL,
    ROPE_TRUNCATE,
    ROPE_FACTORS,
    ROPE_PART,
    ROPE_FAR_FACTORS,
    ROPE_OLD_FACTOR,
};

static const struct {
    const char *gguf, *hf[2];
} names[] = {
    [ROPE_BASE] = {"rope.freq_base", {"rope_theta"}},
    [ROPE_KIND] = {"rope.scaling.type", {"rope_type", "type"}},
    [ROPE_FACTOR] = {"rope.scaling.factor", {"factor"}},
    [ROPE_TRAINED] = {"rope.scaling.original_context_length", {"original_max_position_embeddings"}},
    [ROPE_ATTENTION] = {"rope.scaling.attn_factor", {"attention_factor"}},
    [ROPE_LOW] = {"rope.scaling.low_freq_factor", {"low_freq_factor"}},
    [ROPE_HIGH] = {"rope.scaling.high_freq_factor", {"high_freq_factor"}},
    [ROPE_FAST] = {"rope.scaling.yarn_beta_fast", {"beta_fast"}},
    [ROPE_SLOW] = {"rope.scaling.yarn_beta_slow", {"beta_slow"}},
    [ROPE_MSCALE] = {"rope.scaling.yarn_log_multiplier", {"mscale"}},
    [ROPE_MSCALE_ALL] = {"rope.scaling.yarn_log_multiplier", {"mscale_all_dim"}},
    [ROPE_TRUNCATE] = {NULL, {"truncate"}},
    [ROPE_FACTORS] = {NULL, {"short_factor"}},
    [ROPE_PART] = {NULL, {"partial_rotary_factor"}},
    [ROPE_FAR_FACTORS] = {NULL, {"long_factor"}},
    [ROPE_OLD_FACTOR] = {"rope.scale_linear", {NULL}},
};

// The objects of config.json: one for each kind of layer, where they differ.
static const char *const global_homes[] = {"rope_parameters.full_attention.", "rope_parameters."};
static const char *const local_homes[] = {"rope_parameters.sliding_attention.", "rope_parameters.sliding_attention."};

static const struct value *hf_value(const struct checkpoint *c, int what, bool local, char key[128]) {
    const char *const *homes = local ? local_homes : global_homes;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2 && names[what].hf[k]; k++) {
            snprintf(key, 128, "%s%s", homes[i], names[what].hf[k]);
            const struct value *v = config_value(c, key);
            if (v) return v;
        }
    return NULL;
}

static const struct value *find(const struct family *f, const struct checkpoint *c, int what, bool local,
                                char key[128]) {
    if (c->source == CHECKPOINT_HF) return hf_value(c, what, local, key);
    if (!names[what].gguf || (local && what != ROPE_BASE)) return NULL;
    snprintf(key, 128, "%s.%s%s", f->architecture, names[what].gguf, local ? "_swa" : "");
    return checkpoint_value(c, key);
}

static bool get(const struct family *f, const struct checkpoint *c, int what, bool local, double *out, gyr_error *e) {
    char key[128];
    if (!find(f, c, what, local, key)) return true;
    if (!checkpoint_float(c, key, out, e)) return false;
    bool none = *out == 0 && what == ROPE_FACTOR && c->source == CHECKPOINT_GGUF; // as llama.cpp has it
    if (none || (*out > 0 && *out < 1e12)) return true;
    return fail(e, GYR_MALFORMED, "%s: key '%s' is %g; it must be positive", c->path, key, *out);
}

static bool get_kind(const struct family *f, const struct checkpoint *c, bool local, enum rope_scaling *kind,
                     gyr_error *e) {
    // "dynamic" changes nothing within the context of the config, and gyr goes no further.
    static const struct {
        const char *name;
        enum rope_scaling kind;
    } kinds[] = {{"default", ROPE_PLAIN}, {"none", ROPE_PLAIN},    {"dynamic", ROPE_PLAIN},
                 {"linear", ROPE_LINEAR}, {"llama3", ROPE_LLAMA3}, {"yarn", ROPE_YARN},
                 {"longrope", ROPE_LONG}, {"su", ROPE_LONG},       {"proportional", ROPE_PROPORTIONAL}};
    char key[128];
    struct text s = {0};
    // GGUF files need not name the usual one.
    *kind = c->source == CHECKPOINT_GGUF && !local ? ROPE_LINEAR : ROPE_PLAIN;
    if (!find(f, c, ROPE_KIND, local, key)) return true;
    if (!checkpoint_string(c, key, &s, e)) return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (s.size == strlen(kinds[i].name) && !memcmp(s.data, kinds[i].name, s.size)) {
            *kind = kinds[i].kind;
            return true;
        }
    return fail(e, GYR_UNSUPPORTED, "%s: rope scaling '%.*s' is not one gyr knows", c->path,
                (int)(s.size > 40 ? 40 : s.size), s.data);
}

static bool check_factors(const struct checkpoint *c, const struct rope *r, const struct value *factors, gyr_error *e) {
    if (!factors) return true;
    if (factors->kind == VALUE_ARRAY && factors->array.n == r->dim / 2) {
        bool ok = true;
        for (size_t i = 0; ok && i < r->dim / 2; i++) {
            struct value v = value_at(factors, i);
            ok = (v.kind == VALUE_FLOAT && v.f > 0 && v.f < 1e9) || (v.kind == VALUE_UINT && v.u > 0);
        }
        if (ok) return true;
    }
    return fail(e, GYR_MALFORMED, "%s: rope factors are not %u positive numbers; get the file again", c->path,
                r->dim / 2);
}

// What a config must say of a scaling. (llama.cpp has values of its own where a file says nothing.)
static bool needs_are_there(const struct family *f, const struct checkpoint *c, bool local, const struct rope *r,
                            gyr_error *e) {
    static const struct {
        enum rope_scaling scaling;
        int what;
    } needs[] = {{ROPE_LINEAR, ROPE_FACTOR}, {ROPE_LLAMA3, ROPE_FACTOR}, {ROPE_LLAMA3, ROPE_LOW},
                 {ROPE_LLAMA3, ROPE_HIGH},   {ROPE_YARN, ROPE_FACTOR},   {ROPE_LONG, ROPE_FACTORS}};
    char key[128];
    for (size_t i = 0; c->source == CHECKPOINT_HF && i < sizeof needs / sizeof *needs; i++)
        if (needs[i].scaling == r->scaling && !find(f, c, needs[i].what, local, key))
            return fail(e, GYR_MALFORMED, "%s: the rope scaling of its config has no '%s'; get the folder again",
                        c->path, names[needs[i].what].hf[0]);
    return true;
}

bool rope_read(const struct family *f, const struct checkpoint *c, bool local, struct rope *r, uint32_t *context,
               gyr_error *e) {
    char key[128];
    double base = r->base > 0 ? r->base : 10000;
    uint32_t dim = r->dim;
    *r = (struct rope){.dim = dim,
                       .base = base,
                       .part = 1,
                       .low = 1,
                       .high = 4,
                       .fast = 32,
                       .slow = 1,
                       .trained = *context,
                       .truncate = !f->rope.yarn_exact};
    if (!get(f, c, ROPE_BASE, local, &r->base, e) || !get_kind(f, c, local, &r->scaling, e) ||
        !get(f, c, find(f, c, ROPE_FACTOR, local, key) ? ROPE_FACTOR : ROPE_OLD_FACTOR, local, &r->factor, e) ||
        !get(f, c, ROPE_TRAINED, local, &r->trained, e) || !get(f, c, ROPE_ATTENTION, local, &r->attention, e) ||
        !get(f, c, ROPE_LOW, local, &r->low, e) || !get(f, c, ROPE_HIGH, local, &r->high, e) ||
        !get(f, c, ROPE_PART, local, &r->part, e) || !get(f, c, ROPE_FAST, local, &r->fast, e) ||
        !get(f, c, ROPE_SLOW, local, &r->slow, e))
        return false;
    // llama.cpp's files say it by having the factors.
    if (!local && family_tensor(f, c, (struct place){ROLE_ROPE_SHORT, PART_WEIGHT, 0, 0}, key)) r->scaling = ROPE_LONG;
    if (r->scaling == ROPE_YARN) {
        if (find(f, c, ROPE_TRUNCATE, local, key) && !checkpoint_bool(c, key, &r->truncate, e)) return false;
    }
    // DeepSeek's attention is stretched under any scaling.
    if (r->scaling == ROPE_YARN || (r->scaling != ROPE_PLAIN && f->latent.attends)) {
        if (!get(f, c, ROPE_MSCALE, local, &r->mscale, e) || !get(f, c, ROPE_MSCALE_ALL, local, &r->mscale_all, e))
            return false;
        double unit = c->source == CHECKPOINT_GGUF ? 10 : 1; // llama.cpp's files have a tenth of both
        r->mscale *= unit;
        r->mscale_all *= unit;
    }
    if (r->part > 1) return fail(e, GYR_MALFORMED, "%s: %g of a head rotated; get the file again", c->path, r->part);
    if (r->base < 2 || r->trained < 1 || r->high <= r->low)
        return fail(e, GYR_MALFORMED, "%s: rotary positions with base %g, trained context %g; convert the model again",
                    c->path, r->base, r->trained);
    if (r->scaling == ROPE_LONG) {
        r->factors[0] = find(f, c, ROPE_FACTORS, local, key);
        r->factors[1] = find(f, c, ROPE_FAR_FACTORS, local, key);
        if (r->factor == 0) r->factor = *context / r->trained;
        // The factors for longer texts would change what is in the cache of shorter ones: a session has one or the
        // other from its beginning.
        if (r->trained < *context) *context = (uint32_t)r->trained;
    }
    bool scaled = r->scaling == ROPE_YARN || r->scaling == ROPE_LONG;
    if (c->source == CHECKPOINT_HF && !scaled) r->attention = 0; // no other scaling of transformers reads it
    if (f->attention.qk_norm == QK_NORM_PLAIN) r->attention = 1; // queries and keys are normed once they are rotated
    if (!needs_are_there(f, c, local, r, e)) return false;
    if (r->factor == 0) r->factor = r->scaling == ROPE_YARN ? *context / r->trained : 1;
    return check_factors(c, r, r->factors[0], e) && check_factors(c, r, r->factors[1], e);
}

bool rope_reaches_far(const struct family *f, const struct checkpoint *c, const struct rope *r) {
    char name[128];
    return r->scaling == ROPE_LONG &&
           (r->factors[1] || family_tensor(f, c, (struct place){ROLE_ROPE_LONG, PART_WEIGHT, 0, 0}, name));
}

// The formulas are those of transformers (modeling_rope_utils.py), in the same order of float operations.

// Frequencies of wavelengths beyond the trained context are divided, and blended where it is only near. (The Llama 3.1
// release.)
static void stretch_llama3(const struct rope *r, float *f) {
    const float two_pi = 0x1.921fb6p2f, factor = (float)r->factor;
    const float long_wave = (float)(r->trained / r->low), short_wave = (float)(r->trained / r->high);
    for (uint32_t i = 0; i < r->dim / 2; i++) {
        float wave = two_pi / f[i];
        if (wave > long_wave)
            f[i] /= factor;
        else if (wave >= short_wave) {
            float smooth = ((float)r->trained / wave - (float)r->low) / (float)(r->high - r->low);
            f[i] = (1 - smooth) * f[i] / factor + smooth * f[i];
        }
    }
}

// The pair that turns `rotations` times over the trained context. (Peng et al., "YaRN", 2023)
static double pair_of(const struct rope *r, double rotations) {
    return r->dim * rope_ln(r->trained / (rotations * 0x1.921fb54442d18p2)) / (2 * rope_ln(r->base));
}

static void stretch_yarn(const struct rope *r, float *f) {
    double low = pair_of(r, r->fast), high = pair_of(r, r->slow);
    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = low < 0 ? 0 : low;
    high = high > r->dim - 1 ? r->dim - 1 : high;
    if (low == high) high += 0.001;
    for (uint32_t i = 0; i < r->dim / 2; i++) {
        float ramp = ((float)i - (float)low) / (float)(high - low);
        float keep = 1 - (ramp < 0 ? 0 : ramp > 1 ? 1 : ramp);
        f[i] = f[i] / (float)r->factor * (1 - keep) + f[i] * keep;
    }
}

static double mscale(double factor, double m) { return factor <= 1 ? 1 : 0.1 * m * rope_ln(factor) + 1; }

double rope_stretch(const struct rope *r) { return r->mscale_all > 0 ? mscale(r->factor, r->mscale_all) : 1; }

double rope_attention(const struct rope *r) {
    if (r->attention > 0) return r->attention;
    if (r->scaling == ROPE_YARN && r->mscale > 0 && r->mscale_all > 0)
        return mscale(r->factor, r->mscale) / mscale(r->factor, r->mscale_all);
    if (r->scaling == ROPE_YARN) return mscale(r->factor, 1);
    if (r->scaling == ROPE_LONG && r->factor > 1) return sqrt(1 + rope_ln(r->factor) / rope_ln(r->trained));
    return 1;
}

void rope_angles(const struct rope *r, bool far, const float *factors, float *frequency, float *scale) {
    uint32_t n = r->dim / 2, turning = (uint32_t)(floor(r->part * r->dim / 2));
    rope_frequencies(frequency, r->dim, r->base);
    for (uint32_t i = 0; i < n; i++) {
        if (factors) frequency[i] /= factors[i];
        if (r->scaling == ROPE_LINEAR || r->scaling == ROPE_PROPORTIONAL) frequency[i] /= (float)r->factor;
        if (r->scaling == ROPE_PROPORTIONAL && i >= turning) frequency[i] = 0;
        if (r->scaling != ROPE_LONG || !r->factors[far]) continue;
        struct value v = value_at(r->factors[far], i);
        frequency[i] /= (float)value_number(&v);
    }
    if (r->scaling == ROPE_LLAMA3) stretch_llama3(r, frequency);
    if (r->scaling == ROPE_YARN) stretch_yarn(r, frequency);
    *scale = (float)rope_attention(r);
}

// Slopes as in the ALiBi paper's reference: a geometric series for the largest power of two of heads, and every second
// term of the next finer series for the heads beyond it. exp2 of such fractions is the one place where the host's libm
// could differ, so the terms are built by repeated exact-as-possible square roots instead.
static double root_of_two(double max_bias, uint32_t n) {
    double base = 1;
    for (int i = 0; i < (int)max_bias; i++) base /= 2;
    for (; n > 1; n /= 2) base = sqrt(base);
    return base;
}

void alibi_slopes(double max_bias, uint32_t heads, bool bf16, float *slopes) {
    uint32_t n = 1;
    while (n * 2 <= heads) n *= 2;
    double base = root_of_two(max_bias, n), finer = root_of_two(max_bias, 2 * n), s = 1, t = finer;
    for (uint32_t i = 0; i < heads; i++) {
        double slope = i < n ? (s *= base) : t;
        if (i >= n) t *= finer * finer;
        slopes[i] = bf16 ? bf16_to_f32(f32_to_bf16((float)slope)) : (float)slope;
    }
}
