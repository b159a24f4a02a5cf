// What scales a model's rotation, as the tensors that GGUF has for it.
#include "model/convert_job.h"

#include <math.h>
#include <stdlib.h>

// A divisor that takes `plain` to `scaled` as exactly as a float can.
static float divisor(float plain, float scaled) {
    float best = plain / scaled, tries[] = {best, nextafterf(best, 0), nextafterf(best, INFINITY)};
    for (int i = 2; i >= 0; i--)
        if (plain / tries[i] == scaled) best = tries[i];
    return best;
}

// Llama 3's scaling is a tensor in GGUF: what each frequency is divided by.
static bool add_llama3_factors(struct job *j, gyr_error *e) {
    const struct rope *r = &j->m->h.rope;
    struct rope plain = *r;
    uint32_t n = r->dim / 2;
    float scale, *of = malloc((2 * n + 1) * sizeof *of);
    j->factors[0] = of;
    if (!of) return fail_memory(e, j->o->output);
    plain.scaling = ROPE_PLAIN;
    rope_angles(&plain, false, NULL, of, &scale);
    rope_angles(r, false, NULL, of + n, &scale);
    for (uint32_t i = 0; i < n; i++) of[i] = divisor(of[i], of[n + i]);
    return convert_add_numbers(j, "rope_freqs.weight", of, n, e);
}

// Pairs that do not turn have no word in GGUF either: llama.cpp divides their frequencies by so much that they stand.
static bool add_turning(struct job *j, gyr_error *e) {
    const struct rope *r = &j->m->h.rope;
    uint32_t n = r->dim / 2;
    float scale, *of = malloc((n + 1) * sizeof *of);
    j->factors[0] = of;
    if (!of) return fail_memory(e, j->o->output);
    rope_angles(r, false, NULL, of, &scale);
    for (uint32_t i = 0; i < n; i++) of[i] = of[i] > 0 ? (float)r->factor : 1e30f;
    return convert_add_numbers(j, "rope_freqs.weight", of, n, e);
}

// LongRoPE's are two: for texts within the trained context, and for longer ones.
static bool add_long_factors(struct job *j, gyr_error *e) {
    static const char *const names[] = {"rope_factors_short.weight", "rope_factors_long.weight"};
    uint32_t n = j->m->h.rope.dim / 2;
    for (int i = 0; i < 2; i++) {
        const struct value *v = j->m->h.rope.factors[i];
        if (!v)
            return fail(e, GYR_MALFORMED,
                        "%s: config.json has not %u numbers as rope_parameters.%s_factor; get the file again",
                        j->c->path, n, i ? "long" : "short");
        if (!(j->factors[i] = malloc((n + 1) * sizeof(float)))) return fail_memory(e, j->o->output);
        for (uint32_t k = 0; k < n; k++) {
            struct value x = value_at(v, k);
            j->factors[i][k] = (float)value_number(&x);
        }
        if (!convert_add_numbers(j, names[i], j->factors[i], n, e)) return false;
    }
    return true;
}

bool convert_list_factors(struct job *j, gyr_error *e) {
    switch (j->m->h.rope.scaling) {
    case ROPE_LLAMA3: return add_llama3_factors(j, e);
    case ROPE_PROPORTIONAL: return add_turning(j, e);
    case ROPE_LONG: return add_long_factors(j, e);
    default: return true;
    }
}
