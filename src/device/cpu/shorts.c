// Sixteen-bit products of training (device/host.h): rounding, and sums in integers.
#include "device/cpu/isa.h"
#include "device/cpu/shorts_amx.h"
#include "device/cpu/simd.h"
#include "device/cpu/strips.h"

_Static_assert(HOST_RUN % 2 == 0, "a run is whole pairs");
_Static_assert((int64_t)HOST_MOST_X *HOST_MOST_W *HOST_RUN <= INT32_MAX, "a run's sum fits");

#ifndef AMX_HERE
enum { WORD = 4 };

static inline ivec words_of(const char *p) {
    ivec v;
    memcpy(&v, p, sizeof v);
    return v;
}

// The word at p in every lane.
static inline ivec in_all(const char *p) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    return x - (ivec){0};
}

// sum + the products of pairs of 16 bits, lane by lane.
static inline ivec add_pairs(ivec a, ivec b, ivec sum) {
#if defined(__AVX512VNNI__)
    return (ivec)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return sum + (ivec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__ARM_FEATURE_DOTPROD)
    int16x8_t x = vreinterpretq_s16_s32((int32x4_t)a), y = vreinterpretq_s16_s32((int32x4_t)b);
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y)), high = vmull_high_s16(x, y);
    return sum + (ivec)vpaddq_s32(low, high);
#else
    for (int i = 0; i < VEC; i++)
        sum[i] += (int16_t)(a[i] & 0xffff) * (int16_t)(b[i] & 0xffff) + (a[i] >> 16) * (b[i] >> 16);
    return sum;
#endif
}

static inline vec floats_of(ivec v) { return __builtin_convertvector(v, vec); }

static inline const char *weights_of(const struct host_shorts *p, size_t c) {
    return (const char *)p->w + (c / HOST_PANEL * p->w_group + c % HOST_PANEL) * WORD;
}

// `rows` and `wide` are known when this is compiled, and so is which sum is in which register.
static inline __attribute__((always_inline)) void block(const struct host_shorts *p, size_t r, size_t c, size_t rows,
                                                        size_t wide) {
    size_t first = r / HOST_ROWS * p->x_group + r % HOST_ROWS;
    const char *x = (const char *)p->x + first * WORD, *w[2];
    for (size_t j = 0; j < wide; j++) w[j] = weights_of(p, c + j * VEC);
    const float *x_scale = p->x_scale + first, *w_scale = p->w_scale + c;
    float *y = p->y + r * p->y_row + c;
    vec all[AT_A_TIME][2];
    vec_fetch(y, p->y_row, rows);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < wide; j++) all[i][j] = p->fresh ? (vec){0} : vec_load(y + i * p->y_row + j * VEC);
    for (size_t k = 0; k < p->n; k += HOST_RUN, x_scale += HOST_ROWS, w_scale += p->w_step) {
        size_t some = p->n - k < HOST_RUN ? (p->n - k + 1) / 2 : HOST_RUN / 2;
        ivec sum[AT_A_TIME][2];
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < wide; j++) sum[i][j] = (ivec){0};
        for (; some; some--, x += HOST_ROWS * WORD) {
            ivec by[2];
            for (size_t j = 0; j < wide; j++) {
                by[j] = words_of(w[j]);
                w[j] += HOST_PANEL * WORD;
            }
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < wide; j++) sum[i][j] = add_pairs(in_all(x + i * WORD), by[j], sum[i][j]);
        }
        for (size_t j = 0; j < wide; j++) {
            vec by = vec_load(w_scale + j * VEC);
            for (size_t i = 0; i < rows; i++)
                all[i][j] = vec_fma(floats_of(sum[i][j]), vec_fill(x_scale[i]) * by, all[i][j]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < wide; j++) vec_store(y + i * p->y_row + j * VEC, all[i][j]);
}

static inline __attribute__((always_inline)) void strip(const struct host_shorts *p, size_t r, size_t end, size_t c,
                                                        size_t wide) {
    for (; r + AT_A_TIME <= end; r += AT_A_TIME) block(p, r, c, AT_A_TIME, wide);
    for (; r + 4 <= end; r += 4) block(p, r, c, 4, wide);
    for (; r < end; r++) block(p, r, c, 1, wide);
}

// Rows that stay in the nearest cache while all columns come by.
enum { NEAR = 4 * HOST_ROWS };

void KERNEL(shorts)(const struct host_shorts *p) {
    for (size_t r = 0; r < p->rows; r += NEAR) {
        size_t end = p->rows - r < NEAR ? p->rows : r + NEAR, c = 0;
        for (; c + (size_t)2 * VEC <= p->cols; c += (size_t)2 * VEC) strip(p, r, end, c, 2);
        for (; c < p->cols; c += VEC) strip(p, r, end, c, 1);
    }
}

void KERNEL(arrange_x)(void *block) {}
void KERNEL(arrange_w)(void *block) {}
#endif

// ---------------------------------------------------------------------------------------------- rounding

// A float from 2^23 to 2^24 is an integer, and counts by its lowest bits: this, 1.5 times 2^23, plus a number below
// 2^22 is that number's nearest integer, the even one of two, in them.
#define NEAREST      0x1.8p23f
#define NEAREST_BITS 0x4b400000

static inline int32_t bits_of(float x) {
    int32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline int32_t nearest(float x, float by) { return bits_of(fmaf(x, by, NEAREST)) - NEAREST_BITS; }

// What a run's largest number, as bits without a sign, makes of its scale. An infinity or a NaN is the scale's, and the
// run's integers are zeros then, as they are where a scale would be too small to divide by.
static inline float scale_of(int32_t peak, float most, float *by) {
    float largest;
    memcpy(&largest, &peak, sizeof largest);
    bool usual = largest >= 0x1p-100f && largest <= 0x1.fffffep127f;
    *by = usual ? most / largest : 0;
    return usual ? largest / most : largest < 0x1p-100f ? 0 : NAN;
}

void KERNEL(round_along)(const float *restrict x, size_t n, float most, int16_t *restrict to, float *restrict scale) {
    for (size_t k = 0; k < n; k += HOST_RUN, x += HOST_RUN, to += HOST_RUN) {
        size_t some = n - k < HOST_RUN ? n - k : HOST_RUN;
        int32_t peak = 0;
        float by;
        for (size_t i = 0; i < some; i++) {
            int32_t u = bits_of(x[i]) & 0x7fffffff;
            peak = u > peak ? u : peak;
        }
        *scale++ = scale_of(peak, most, &by);
        if (by > 0)
            for (size_t i = 0; i < some; i++) to[i] = (int16_t)nearest(x[i], by);
        else
            memset(to, 0, some * sizeof *to);
        if (some % 2) to[some] = 0;
    }
}

enum { COLUMNS = 64 }; // at once

// A run of pairs of some columns. Lines beyond n are zeros.
static inline void round_run(const float *restrict x, size_t step, size_t n, size_t cols, float most,
                             int32_t *restrict to, size_t to_step, float *restrict scale) {
    int32_t peak[COLUMNS] = {0}, keep[COLUMNS];
    float by[COLUMNS], none[COLUMNS] = {0};
    for (size_t k = 0; k < n; k++)
        for (size_t c = 0; c < cols; c++) {
            int32_t u = bits_of(x[k * step + c]) & 0x7fffffff;
            peak[c] = u > peak[c] ? u : peak[c];
        }
    for (size_t c = 0; c < cols; c++) {
        scale[c] = scale_of(peak[c], most, &by[c]);
        keep[c] = by[c] > 0 ? -1 : 0;
    }
    for (size_t k = 0; k < n; k += 2) {
        const float *a = x + k * step, *b = k + 1 < n ? a + step : none;
        int32_t *pair = to + k / 2 * to_step;
        for (size_t c = 0; c < cols; c++) {
            uint32_t low = (uint32_t)(nearest(a[c], by[c]) & keep[c]),
                     high = (uint32_t)(nearest(b[c], by[c]) & keep[c]);
            pair[c] = (int32_t)((low & 0xffff) | high << 16);
        }
    }
}

void KERNEL(round_across)(const float *x, size_t step, size_t n, size_t cols, float most, void *to, size_t to_step,
                          float *scale) {
    for (size_t k = 0; k < n; k += HOST_RUN, scale += to_step)
        for (size_t c = 0; c < cols; c += COLUMNS) {
            size_t some = n - k < HOST_RUN ? n - k : HOST_RUN, wide = cols - c < COLUMNS ? cols - c : COLUMNS;
            round_run(x + k * step + c, step, some, wide, most, (int32_t *)to + k / 2 * to_step + c, to_step,
                      scale + c);
        }
}
