#include "tensor/type.h"

#include <strings.h>

#include "tensor/decode.h"
#include "tensor/encode.h"

static const struct type_info table[TYPE_LIMIT] = {
    [TYPE_F32] = {"f32", 1, 4, false, false, NULL, encode_f32},
    [TYPE_F16] = {"f16", 1, 2, false, false, NULL, encode_f16},
    [TYPE_BF16] = {"bf16", 1, 2, false, false, NULL, encode_bf16},
    [TYPE_Q4_0] = {"q4_0", 32, 18, true, false, unpack_q4_0, encode_q4_0},
    [TYPE_Q4_1] = {"q4_1", 32, 20, true, true, unpack_q4_1, encode_q4_1},
    [TYPE_Q5_0] = {"q5_0", 32, 22, true, false, unpack_q5_0, encode_q5_0},
    [TYPE_Q5_1] = {"q5_1", 32, 24, true, true, unpack_q5_1, encode_q5_1},
    [TYPE_Q8_0] = {"q8_0", 32, 34, true, false, unpack_q8_0, encode_q8_0},
    [TYPE_Q2_K] = {"q2_k", 256, 84, true, true, unpack_q2_k, encode_q2_k},
    [TYPE_Q3_K] = {"q3_k", 256, 110, true, false, unpack_q3_k, encode_q3_k},
    [TYPE_Q4_K] = {"q4_k", 256, 144, true, true, unpack_q4_k, encode_q4_k},
    [TYPE_Q5_K] = {"q5_k", 256, 176, true, true, unpack_q5_k, encode_q5_k},
    [TYPE_Q6_K] = {"q6_k", 256, 210, true, false, unpack_q6_k, encode_q6_k},
    [TYPE_IQ4_NL] = {"iq4_nl", 32, 18, true, false, unpack_iq4_nl, encode_iq4_nl},
    [TYPE_IQ4_XS] = {"iq4_xs", 256, 136, true, false, unpack_iq4_xs, encode_iq4_xs},
    [TYPE_MXFP4] = {"mxfp4", 32, 17, true, false, unpack_mxfp4, encode_mxfp4},
    [TYPE_NVFP4] = {"nvfp4", 64, 36, true, false, unpack_nvfp4, NULL},
    [TYPE_IQ1_S] = {"iq1_s", 256, 50, true, false, unpack_iq1_s, NULL},
    [TYPE_IQ1_M] = {"iq1_m", 256, 56, true, false, unpack_iq1_m, NULL},
    [TYPE_IQ2_XXS] = {"iq2_xxs", 256, 66, true, false, unpack_iq2_xxs, NULL},
    [TYPE_IQ2_XS] = {"iq2_xs", 256, 74, true, false, unpack_iq2_xs, NULL},
    [TYPE_IQ2_S] = {"iq2_s", 256, 82, true, false, unpack_iq2_s, NULL},
    [TYPE_IQ3_XXS] = {"iq3_xxs", 256, 98, true, false, unpack_iq3_xxs, NULL},
    [TYPE_IQ3_S] = {"iq3_s", 256, 110, true, false, unpack_iq3_s, NULL},
    [TYPE_TQ1_0] = {"tq1_0", 256, 54, true, false, unpack_tq1_0, NULL},
    [TYPE_TQ2_0] = {"tq2_0", 256, 66, true, false, unpack_tq2_0, NULL},
    [TYPE_Q1_0] = {"q1_0", 128, 18, true, false, unpack_q1_0, NULL},
    [TYPE_Q2_0] = {"q2_0", 64, 18, true, false, unpack_q2_0, NULL},
};

const struct type_info *type_info(uint32_t type) { return type < TYPE_LIMIT && table[type].name ? &table[type] : NULL; }

int type_by_name(const char *name) {
    for (int t = 0; t < TYPE_LIMIT; t++)
        if (table[t].name && !strcasecmp(table[t].name, name)) return t;
    return -1;
}

#define ENCODED "f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs, mxfp4"

const char *type_names(void) {
    return ENCODED ", nvfp4, iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, tq1_0, tq2_0, q1_0, q2_0";
}

const char *type_names_encoded(void) { return ENCODED; }

size_t type_row_bytes(enum type type, uint64_t n) {
    const struct type_info *t = type_info(type);
    size_t bytes;
    if (!t || n % t->block || __builtin_mul_overflow(n / t->block, t->bytes, &bytes)) return 0;
    return bytes;
}

void type_decode(enum type type, const void *row, size_t first, size_t n, float *out) {
    decode(type, row, first, n, out);
}
