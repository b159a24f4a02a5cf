// Positions: the frequencies of rotary embeddings under each scaling in use, and ALiBi's slopes.
#ifndef MODEL_POSITIONS_H
#define MODEL_POSITIONS_H

#include "model/family.h"

enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN, ROPE_LONG, ROPE_PROPORTIONAL };

struct rope {
    uint32_t dim; // elements of a head that are rotated; 0: none
    double base;
    enum rope_scaling scaling;
    double factor;
    double part;               // proportional: of the pairs, how many of the first are rotated
    double low, high;          // Llama 3: wavelengths per trained context between which frequencies blend
    double fast, slow;         // YaRN: rotations over the trained context between which they blend
    double mscale, mscale_all; // YaRN
    double attention;          // multiplies cosines and sines; 0: as the scaling says
    double trained;            // the context before scaling
    bool truncate;             // YaRN
    // LongRoPE on Hugging Face: [0] of sessions within the trained context, [1] of longer ones.
    const struct value *factors[2];
};

// Reads what the file says about rotation: r->dim is known, and r->base is what holds where the file does not say (0:
// the usual one); `context` is that of the model, and is cut to the trained one where longer sessions have other
// factors.
bool rope_read(const struct family *f, const struct checkpoint *c, bool local, struct rope *r, uint32_t *context,
               gyr_error *e);

// Whether there are factors for sessions beyond the trained context.
bool rope_reaches_far(const struct family *f, const struct checkpoint *c, const struct rope *r);

// Frequency of each pair ([r->dim / 2]), and what multiplies cosines and sines, in sessions beyond the trained context
// if `far`. `factors` divide the frequencies, and may be NULL.
void rope_angles(const struct rope *r, bool far, const float *factors, float *frequency, float *scale);

// What multiplies cosines and sines.
double rope_attention(const struct rope *r);

// What multiplies queries and keys where YaRN's mscale_all_dim is given; DeepSeek has its square in attention's scale.
double rope_stretch(const struct rope *r);

// Press et al., 2022.
void alibi_slopes(double max_bias, uint32_t heads, bool bf16, float *slopes);

#endif
