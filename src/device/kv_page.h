// What the bytes of a page of the KV cache mean: one place for those who write pages and those who read them.
//
// A page holds PAGE_TOKENS positions of one layer. Its keys lie transposed, [kv_head][dim][token], so that the scores
// of neighbouring positions are neighbouring lanes of a vector; its values lie [kv_head][token][dim], so that the
// output's elements are. With TYPE_Q8_0 elements are int8 codes, four that are multiplied and added lie side by side,
// keys [kv_head][dim / 4][token][4] and values [kv_head][token / 4][dim][4] (dimensions filled up to a multiple of 4),
// and the codes of a head are followed by a scale for each token, a float; x = code * scale. Keys are spread (spread.h)
// before they are rounded.
#ifndef DEVICE_KV_PAGE_H
#define DEVICE_KV_PAGE_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "device/memory.h"
#include "device/spread.h"
#include "tensor/float16.h"
#include "tensor/type.h"

enum { PAGE_TOKENS = 32, KV_FOUR = 4, KV_MOST_DIM = 1024 };

// Pages lie in slabs of SLAB_PAGES, which never move: page p is the (p % SLAB_PAGES)-th of slab p / SLAB_PAGES. In a
// slab each layer's pages of keys, and of values, are one array.
enum { SLAB_PAGES = 32 };

// The shape of a layer's cache. Types: TYPE_F32, TYPE_F16, TYPE_Q8_0. Dimensions are at most KV_MOST_DIM.
struct kv_shape {
    enum type type;
    size_t heads, key_dim, value_dim;
};

// Elements for which there is room.
static inline size_t kv_room(enum type type, size_t dim) {
    return type == TYPE_Q8_0 ? (dim + KV_FOUR - 1) / KV_FOUR * KV_FOUR : dim;
}

// Bytes that a head's `dim` elements of every token of a page take.
static inline size_t kv_head_bytes(enum type type, size_t dim) {
    size_t element = type == TYPE_F32 ? 4 : type == TYPE_F16 ? 2 : 1;
    return PAGE_TOKENS * (kv_room(type, dim) * element + (type == TYPE_Q8_0 ? sizeof(float) : 0));
}

// Bytes of a page of keys, and of one of values.
static inline size_t kv_key_bytes(const struct kv_shape *s) { return s->heads * kv_head_bytes(s->type, s->key_dim); }
static inline size_t kv_value_bytes(const struct kv_shape *s) {
    return s->heads * kv_head_bytes(s->type, s->value_dim);
}

// A layer's keys, or its values: in every slab from byte `at` on. No slabs: there are none.
struct kv_array {
    const dslab *slab; // [slabs]
    size_t at;
};

// A token's key or value in a head's part of a page, where the host can read it.
struct kv_vector {
    enum type type;
    bool key;
    uint8_t *data; // of its head
    size_t dim, token;
};

// Where element i lies, counted in elements.
static inline size_t kv_index(const struct kv_vector *v, size_t i) {
    size_t four = i / KV_FOUR, token = v->token / KV_FOUR;
    if (v->type != TYPE_Q8_0) return v->key ? i * PAGE_TOKENS + v->token : v->token * v->dim + i;
    return v->key ? (four * PAGE_TOKENS + v->token) * KV_FOUR + i % KV_FOUR
                  : (token * kv_room(v->type, v->dim) + i) * KV_FOUR + v->token % KV_FOUR;
}

static inline uint8_t *kv_scale(const struct kv_vector *v) {
    return v->data + PAGE_TOKENS * kv_room(v->type, v->dim) + sizeof(float) * v->token;
}

// A token of another page: its bytes as they are.
static inline void kv_copy(const struct kv_vector *to, const struct kv_vector *from) {
    size_t size = from->type == TYPE_F32 ? 4 : from->type == TYPE_F16 ? 2 : 1, room = kv_room(from->type, from->dim);
    // Elements that lie side by side.
    size_t run = from->type == TYPE_Q8_0 ? from->key ? KV_FOUR : 1 : from->key ? 1 : from->dim;
    for (size_t i = 0; i < room; i += run)
        memcpy(to->data + size * kv_index(to, i), from->data + size * kv_index(from, i), size * run);
    if (from->type == TYPE_Q8_0) memcpy(kv_scale(to), kv_scale(from), sizeof(float));
}

#ifdef DEVICE_IS_HOST

static inline uint8_t *kv_page(struct kv_array a, size_t bytes, size_t page) {
    return a.slab[page / SLAB_PAGES] + a.at + page % SLAB_PAGES * bytes;
}

// Where a head's keys or values begin in a page.
static inline uint8_t *kv_keys(const struct kv_shape *s, struct kv_array k, size_t page, size_t head) {
    return kv_page(k, kv_key_bytes(s), page) + head * kv_head_bytes(s->type, s->key_dim);
}
static inline uint8_t *kv_values(const struct kv_shape *s, struct kv_array v, size_t page, size_t head) {
    return kv_page(v, kv_value_bytes(s), page) + head * kv_head_bytes(s->type, s->value_dim);
}

// The scale and the codes of n floats: scale = max|x| / 127, NaN where there is a NaN or an infinity; code = x / scale
// to the nearest integer, ties to even, within 127; 0 where the scale is 0 or NaN.
static inline float kv_round(const float *x, size_t n, int8_t *code) {
    const float shift = 0x1.8p23f; // adding it rounds to an integer, ties to even
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = bits_of_float(x[i]) & 0x7fffffffu; // integers compare as the floats do, NaN above all
        most = magnitude > most ? magnitude : most;
    }
    float scale = most < 0x7f800000u ? float_of_bits(most) / 127.0f : NAN, by = scale > 0 ? scale : INFINITY;
    for (size_t i = 0; i < n; i++) {
        float q = scale > 0 ? x[i] / by : 0;
        q = q < 127.0f ? q : 127.0f;
        q = (q > -127.0f ? q : -127.0f) + shift;
        code[i] = (int8_t)(int32_t)(bits_of_float(q) - 0x4b400000u);
    }
    return scale;
}

static inline void kv_put_codes(const struct kv_vector *v, const float *x) {
    int8_t code[KV_MOST_DIM];
    float own[KV_MOST_DIM];
    if (v->key) {
        memcpy(own, x, v->dim * sizeof *x);
        spread(own, v->dim);
    }
    float scale = kv_round(v->key ? own : x, v->dim, code);
    memcpy(kv_scale(v), &scale, sizeof scale);
    for (size_t i = 0; i < v->dim; i++) v->data[kv_index(v, i)] = (uint8_t)code[i];
    for (size_t i = v->dim; i < kv_room(v->type, v->dim); i++) v->data[kv_index(v, i)] = 0;
}

// An F16 vector, from halves.
static inline void kv_put_halves(const struct kv_vector *v, const uint16_t *half) {
    if (!v->key) memcpy(v->data + 2 * kv_index(v, 0), half, v->dim * sizeof *half);
    for (size_t i = 0; i < v->dim && v->key; i++) memcpy(v->data + 2 * kv_index(v, i), half + i, sizeof *half);
}

static inline void kv_put(const struct kv_vector *v, const float *x) {
    for (size_t i = 0; i < v->dim && v->type == TYPE_F32; i++) memcpy(v->data + 4 * kv_index(v, i), x + i, 4);
    for (size_t i = 0; i < v->dim && v->type == TYPE_F16; i++) {
        uint16_t h = f32_to_f16(x[i]);
        memcpy(v->data + 2 * kv_index(v, i), &h, sizeof h);
    }
    if (v->type == TYPE_Q8_0) kv_put_codes(v, x);
}

// An element as it lies there: of keys in TYPE_Q8_0, of the spread key.
static inline float kv_get(const struct kv_vector *v, size_t i) {
    float f;
    uint16_t h;
    if (v->type == TYPE_F32) return memcpy(&f, v->data + 4 * kv_index(v, i), sizeof f), f;
    if (v->type == TYPE_F16) return memcpy(&h, v->data + 2 * kv_index(v, i), sizeof h), f16_to_f32(h);
    memcpy(&f, kv_scale(v), sizeof f);
    return (float)(int8_t)v->data[kv_index(v, i)] * f;
}

static inline struct kv_vector kv_key(const struct kv_shape *s, struct kv_array k, size_t page, size_t head,
                                      size_t token) {
    return (struct kv_vector){s->type, true, kv_keys(s, k, page, head), s->key_dim, token};
}
static inline struct kv_vector kv_value(const struct kv_shape *s, struct kv_array v, size_t page, size_t head,
                                        size_t token) {
    return (struct kv_vector){s->type, false, kv_values(s, v, page, head), s->value_dim, token};
}

// Write a token's key, or value, of one head: `x` is key_dim, or value_dim, floats.
static inline void kv_write_key(const struct kv_shape *s, struct kv_array k, size_t page, size_t head, size_t token,
                                const float *x) {
    struct kv_vector at = kv_key(s, k, page, head, token);
    kv_put(&at, x);
}
static inline void kv_write_value(const struct kv_shape *s, struct kv_array v, size_t page, size_t head, size_t token,
                                  const float *x) {
    struct kv_vector at = kv_value(s, v, page, head, token);
    kv_put(&at, x);
}

#endif // DEVICE_IS_HOST

#endif
