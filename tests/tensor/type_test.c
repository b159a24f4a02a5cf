#include "tensor/type.h"

#include "test.h"

enum { N = 1024, FLOATS = 4096 };

static const uint32_t quantized[] = {
    TYPE_Q4_0,  TYPE_Q4_1,    TYPE_Q5_0,   TYPE_Q5_1,  TYPE_Q8_0,  TYPE_Q2_K,  TYPE_Q3_K,  TYPE_Q4_K,    TYPE_Q5_K,
    TYPE_Q6_K,  TYPE_IQ4_NL,  TYPE_IQ4_XS, TYPE_MXFP4, TYPE_NVFP4, TYPE_IQ1_S, TYPE_IQ1_M, TYPE_IQ2_XXS, TYPE_IQ2_XS,
    TYPE_IQ2_S, TYPE_IQ3_XXS, TYPE_IQ3_S,  TYPE_TQ1_0, TYPE_TQ2_0, TYPE_Q1_0,  TYPE_Q2_0};
enum { QUANTIZED = sizeof quantized / sizeof *quantized };

// A golden made by tools/goldens/element_types.py; *size is how much of it there is.
static unsigned char *golden(const char *type, size_t *size) {
    static unsigned char data[1 << 15];
    char name[64];
    snprintf(name, sizeof name, "types/%s.bin", type);
    FILE *f = fopen(test_data(name), "rb");
    *size = f ? fread(data, 1, sizeof data, f) : 0;
    if (f) fclose(f);
    return data;
}

static size_t differing(const float *a, const float *b, size_t n) {
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) bad += memcmp(a + i, b + i, sizeof *a) != 0;
    return bad;
}

static void decodes_as_gguf(void) {
    for (int t = 0; t < QUANTIZED; t++) {
        const struct type_info *info = type_info(quantized[t]);
        size_t size, bytes = type_row_bytes(quantized[t], N);
        unsigned char *row = golden(info->name, &size);
        REQUIRE(size >= bytes + 4 * N);
        float want[N], got[N];
        memcpy(want, row + bytes, sizeof want);
        type_decode(quantized[t], row, 0, N, got);
        if (differing(got, want, N)) printf("%s: %zu of %d differ\n", info->name, differing(got, want, N), N);
        CHECK(differing(got, want, N) == 0);
    }
}

static void decodes_from_any_group(void) {
    for (int t = 0; t < QUANTIZED; t++) {
        size_t size;
        unsigned char *row = golden(type_info(quantized[t])->name, &size);
        float all[N], part[96];
        type_decode(quantized[t], row, 0, N, all);
        for (size_t first = 0; first + 96 <= N; first += 32) {
            type_decode(quantized[t], row, first, 96, part);
            CHECK(differing(part, all + first, 96) == 0);
        }
    }
}

// See hashed() of the golden's script; `at` is where a block's scale lies, -1: it has none of its own.
static void all_codes_as_gguf(void) {
    static const struct {
        enum type type;
        int at;
    } types[] = {{TYPE_NVFP4, -1}, {TYPE_IQ1_S, 0},  {TYPE_IQ1_M, -1},  {TYPE_IQ2_XXS, 0},
                 {TYPE_IQ2_XS, 0}, {TYPE_IQ2_S, 0},  {TYPE_IQ3_XXS, 0}, {TYPE_IQ3_S, 0},
                 {TYPE_TQ1_0, 52}, {TYPE_TQ2_0, 64}, {TYPE_Q1_0, 0},    {TYPE_Q2_0, 0}};
    enum { BLOCKS = 1024 };
    size_t size;
    const unsigned char *want = golden("hashes", &size);
    REQUIRE(size == 8 * sizeof types / sizeof *types);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct type_info *info = type_info(types[t].type);
        unsigned char *row = malloc(BLOCKS * (size_t)info->bytes);
        uint64_t bits = 1, hash = 0xcbf29ce484222325u, expected;
        for (size_t i = 0; i < BLOCKS * (size_t)info->bytes; i++) {
            bits = bits * 6364136223846793005u + 1442695040888963407u;
            row[i] = (unsigned char)(bits >> 56);
        }
        for (unsigned char *b = row; b < row + BLOCKS * (size_t)info->bytes; b += info->bytes) {
            if (types[t].at >= 0) memcpy(b + types[t].at, "\0\x3c", 2);
            for (int i = 49; types[t].type == TYPE_IQ1_M && i < 56; i += 2)
                b[i] = (unsigned char)((b[i] & 15) | (i == 53 ? 0xc0 : i == 55 ? 0x30 : 0));
        }
        for (size_t i = 0; i < BLOCKS * (size_t)info->block; i += 32) {
            float x[32];
            unsigned char bytes[sizeof x];
            type_decode(types[t].type, row, i, 32, x);
            memcpy(bytes, x, sizeof x);
            for (size_t k = 0; k < sizeof x; k++) hash = (hash ^ bytes[k]) * 0x100000001b3u;
        }
        memcpy(&expected, want + 8 * t, sizeof expected);
        if (hash != expected) printf("%s: other values than gguf's\n", info->name);
        CHECK(hash == expected);
        free(row);
    }
}

static void encodes_as_gguf(void) {
    static const uint32_t types[] = {TYPE_Q4_0, TYPE_Q4_1, TYPE_Q5_0, TYPE_Q5_1, TYPE_Q8_0};
    for (int t = 0; t < 5; t++) {
        const struct type_info *info = type_info(types[t]);
        size_t size, bytes = type_row_bytes(types[t], N), bad = 0;
        unsigned char *data = golden(info->name, &size), row[N * 2];
        REQUIRE(size == 2 * (bytes + 4 * N));
        float x[N];
        memcpy(x, data + bytes + 4 * N, sizeof x);
        info->encode(x, N, row);
        const unsigned char *want = data + bytes + 8 * N;
        for (size_t i = 0; i < bytes; i++) bad += row[i] != want[i];
        if (bad) printf("%s: %zu of %zu bytes differ\n", info->name, bad, bytes);
        CHECK_INT(bad, 0);
    }
}

static void halves_as_numpy(void) {
    for (int b = 0; b < 2; b++) {
        const struct type_info *info = type_info(b ? TYPE_BF16 : TYPE_F16);
        size_t size;
        unsigned char *data = golden(info->name, &size);
        REQUIRE(size == 6 * FLOATS);
        uint16_t want[FLOATS], got[FLOATS];
        float x[FLOATS];
        memcpy(x, data, sizeof x);
        memcpy(want, data + sizeof x, sizeof want);
        info->encode(x, FLOATS, got);
        for (int i = 0; i < FLOATS; i++)
            if (got[i] != want[i]) {
                printf("%s of %a is %04x, not %04x\n", info->name, (double)x[i], got[i], want[i]);
                CHECK(got[i] == want[i]);
            }
    }
}

// What IEEE 754 says binary16 means, by ldexp.
static double half_value(unsigned h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) v = fraction ? (double)NAN : (double)INFINITY;
    if (exponent == 0) v = ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

static void all_halves(void) {
    int bad = 0;
    for (unsigned h = 0; h < 0x10000; h++) {
        float got = f16_to_f32((uint16_t)h), b = bf16_to_f32((uint16_t)h);
        double want = half_value(h);
        if (isnan(want))
            bad += !isnan(got) || !(f32_to_f16(got) & 0x3ff);
        else
            bad += (double)got != want || !!signbit(got) != (int)(h >> 15) || f32_to_f16(got) != h;
        if (isnan(b))
            bad += !isnan(bf16_to_f32(f32_to_bf16(b)));
        else
            bad += f32_to_bf16(b) != h;
    }
    CHECK_INT(bad, 0);
    CHECK_INT(f32_to_f16(NAN) & 0x7fff, 0x7e00);
    CHECK_INT(f32_to_bf16(NAN) & 0x7fff, 0x7fc0);
    CHECK_INT(f32_to_bf16(3.4e38f), 0x7f80);
}

// Halfway between two halves goes to the even one, and a hair more or less to the nearer.
static void halves_round_to_even(void) {
    int bad = 0;
    for (unsigned h = 0; h < 0x7bff; h++) {
        float a = f16_to_f32((uint16_t)h), b = f16_to_f32((uint16_t)(h + 1)), middle = (a + b) / 2;
        unsigned even = h & 1 ? h + 1 : h;
        bad += f32_to_f16(middle) != even || f32_to_f16(-middle) != (even | 0x8000);
        bad += f32_to_f16(nextafterf(middle, 0)) != h || f32_to_f16(nextafterf(middle, 1e9f)) != h + 1;
    }
    CHECK_INT(bad, 0);
}

static uint64_t state = 1;

static float uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(state >> 40) * 0x1p-23f - 1;
}

// Encoding and decoding weights in [-1, 1] loses at most about a step of the type, and far less on average.
static void encodes_closely(void) {
    static const struct {
        uint32_t type;
        double worst, rms;
    } bounds[] = {
        {TYPE_F32, 0, 0},           {TYPE_F16, 0.0003, 0.0002}, {TYPE_BF16, 0.002, 0.0012}, {TYPE_Q8_0, 0.005, 0.0025},
        {TYPE_Q4_0, 0.13, 0.045},   {TYPE_Q4_1, 0.07, 0.04},    {TYPE_Q5_0, 0.07, 0.022},   {TYPE_Q5_1, 0.034, 0.02},
        {TYPE_Q2_K, 0.45, 0.133},   {TYPE_Q3_K, 0.28, 0.07},    {TYPE_Q4_K, 0.09, 0.0315},  {TYPE_Q5_K, 0.05, 0.016},
        {TYPE_Q6_K, 0.035, 0.0078}, {TYPE_IQ4_NL, 0.13, 0.037}, {TYPE_IQ4_XS, 0.13, 0.037}, {TYPE_MXFP4, 0.17, 0.06},
    };
    for (size_t t = 0; t < sizeof bounds / sizeof *bounds; t++) {
        float x[N], y[N];
        unsigned char row[4 * N];
        for (int i = 0; i < N; i++) x[i] = uniform();
        type_info(bounds[t].type)->encode(x, N, row);
        type_decode(bounds[t].type, row, 0, N, y);
        double worst = 0, squares = 0;
        for (int i = 0; i < N; i++) {
            double e = fabs((double)y[i] - (double)x[i]);
            worst = e > worst ? e : worst;
            squares += e * e;
        }
        double rms = sqrt(squares / N);
        bool good = worst <= bounds[t].worst && rms <= bounds[t].rms;
        if (!good) printf("%s: worst %g, rms %g\n", type_info(bounds[t].type)->name, worst, rms);
        CHECK(good);
    }
}

// Whatever the weights are, encoding is defined, and zeros come back as zeros.
static void encodes_anything(void) {
    static const float odd[] = {0, -0.0f, 1e-45f, 1e-40f, 3.4e38f, -3.4e38f, INFINITY, -INFINITY, NAN, 1};
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        const struct type_info *info = type_info(t);
        if (!info || !info->encode) continue;
        float x[256] = {0}, y[256];
        unsigned char row[1024];
        info->encode(x, 256, row);
        type_decode((enum type)t, row, 0, 256, y);
        for (int i = 0; i < 256; i++) CHECK(y[i] == 0);
        for (int k = 0; k < 10; k++) {
            for (int i = 0; i < 256; i++) x[i] = i % 3 ? odd[k] : odd[i % 10];
            info->encode(x, 256, row);
            type_decode((enum type)t, row, 0, 256, y);
        }
    }
}

static void row_bytes(void) {
    CHECK_INT(type_row_bytes(TYPE_F32, 3), 12);
    CHECK_INT(type_row_bytes(TYPE_F16, 0), 0);
    CHECK_INT(type_row_bytes(TYPE_Q4_0, 64), 36);
    CHECK_INT(type_row_bytes(TYPE_Q4_0, 33), 0);
    CHECK_INT(type_row_bytes(TYPE_Q6_K, 512), 420);
    CHECK_INT(type_row_bytes(TYPE_Q6_K, 32), 0);
    CHECK_INT(type_row_bytes(TYPE_F32, UINT64_MAX), 0);
    CHECK_INT(type_row_bytes(TYPE_F32, UINT64_MAX / 4 + 1), 0);
    CHECK(type_row_bytes(TYPE_F32, UINT64_MAX / 4) == UINT64_MAX - 3);
    CHECK_INT(type_row_bytes(TYPE_Q8_0, UINT64_MAX - 31), 0);
    CHECK_INT(type_row_bytes((enum type)4, 32), 0);
    CHECK_INT(type_row_bytes((enum type)1000, 32), 0);
}

static void names(void) {
    CHECK_INT(type_by_name("q4_0"), TYPE_Q4_0);
    CHECK_INT(type_by_name("Q3_K"), TYPE_Q3_K);
    CHECK_INT(type_by_name("BF16"), TYPE_BF16);
    CHECK_INT(type_by_name("q3_k_m"), -1);
    CHECK_INT(type_by_name(""), -1);
    CHECK(type_info(5) == NULL && type_info(63) == NULL && type_info(64) == NULL && type_info(UINT32_MAX) == NULL);
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
        CHECK_INT(type_by_name(type_info(t)->name), t);
        CHECK(strstr(type_names(), type_info(t)->name));
    }
    CHECK_STR(type_names(), "f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, "
                            "iq4_nl, iq4_xs, mxfp4, nvfp4, iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, "
                            "iq3_s, tq1_0, tq2_0, q1_0, q2_0");
    CHECK_STR(type_names_encoded(), "f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, "
                                    "iq4_nl, iq4_xs, mxfp4");
}

int main(void) {
    RUN(decodes_as_gguf);
    RUN(decodes_from_any_group);
    RUN(all_codes_as_gguf);
    RUN(encodes_as_gguf);
    RUN(halves_as_numpy);
    RUN(all_halves);
    RUN(halves_round_to_even);
    RUN(encodes_closely);
    RUN(encodes_anything);
    RUN(row_bytes);
    RUN(names);
    return test_end();
}
