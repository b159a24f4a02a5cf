// What the bytes of a page of the KV cache mean: one place for those who write pages and those who read them.
//
// A page holds PAGE_TOKENS positions of one layer. Its keys lie transposed, [kv_head][dim][token], so that the scores
// of neighbouring positions are neighbouring lanes of a vector; its values lie [kv_head][token][dim], so that the
// output's elements are. With TYPE_Q8_0 elements are int8 codes, and the codes of a head are followed by its scales as
// halves: one for a token's run of KV_BLOCK elements, [block][token] for keys and [token][block] for values; x = code *
// scale.
#ifndef DEVICE_KV_PAGE_H
#define DEVICE_KV_PAGE_H

#include <math.h>
#include <string.h>

#include "tensor/type.h"

enum { PAGE_TOKENS = 32, KV_BLOCK = 32, KV_MOST_DIM = 1024 };

// The shape of a layer's cache. Types: TYPE_F32, TYPE_F16, TYPE_Q8_0. Dimensions are at most KV_MOST_DIM.
struct kv_shape {
    enum type type;
    size_t heads, key_dim, value_dim;
};

static inline size_t kv_blocks(size_t dim) { return (dim + KV_BLOCK - 1) / KV_BLOCK; }

// Bytes that a head's `dim` elements of every token of a page take.
static inline size_t kv_head_bytes(enum type type, size_t dim) {
    size_t element = type == TYPE_F32 ? 4 : type == TYPE_F16 ? 2 : 1;
    return PAGE_TOKENS * (dim * element + (type == TYPE_Q8_0 ? 2 * kv_blocks(dim) : 0));
}

// Bytes of a page of keys, and of one of values.
static inline size_t kv_key_bytes(const struct kv_shape *s) { return s->heads * kv_head_bytes(s->type, s->key_dim); }
static inline size_t kv_value_bytes(const struct kv_shape *s) {
    return s->heads * kv_head_bytes(s->type, s->value_dim);
}

// Where a head's keys or values begin in a layer's array of pages.
static inline uint8_t *kv_keys(const struct kv_shape *s, const void *k, size_t page, size_t head) {
    return (uint8_t *)k + page * kv_key_bytes(s) + head * kv_head_bytes(s->type, s->key_dim);
}
static inline uint8_t *kv_values(const struct kv_shape *s, const void *v, size_t page, size_t head) {
    return (uint8_t *)v + page * kv_value_bytes(s) + head * kv_head_bytes(s->type, s->value_dim);
}

// A token's vector in a head's part of a page: element i lies `step` elements after element i - 1.
struct kv_vector {
    enum type type;
    uint8_t *data; // of its head
    size_t dim, token, step;
};

static inline size_t kv_index(const struct kv_vector *v, size_t i) {
    return v->step == 1 ? v->token * v->dim + i : i * PAGE_TOKENS + v->token;
}

static inline uint8_t *kv_scale(const struct kv_vector *v, size_t block) {
    size_t at = v->step == 1 ? v->token * kv_blocks(v->dim) + block : block * PAGE_TOKENS + v->token;
    return v->data + PAGE_TOKENS * v->dim + 2 * at;
}

// One block of codes, a NaN in it seen in its scale: scale = max|x| / 127 rounded to a half, code = x / scale to the
// nearest integer, ties to even.
static inline void kv_put_block(const struct kv_vector *v, size_t first, size_t n, const float *x) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fabsf(x[i]) > most || isnan(x[i]) ? fabsf(x[i]) : most;
    uint16_t half = f32_to_f16(most / 127.0f);
    float scale = f16_to_f32(half);
    memcpy(kv_scale(v, first / KV_BLOCK), &half, sizeof half);
    for (size_t i = 0; i < n; i++) {
        float q = scale > 0 ? x[i] / scale : 0;
        q = q > 127 ? 127 : q > -127 ? q : -127;
        v->data[kv_index(v, first + i)] = (uint8_t)(int8_t)rintf(q);
    }
}

// Writes elements [first, first + n); first is a multiple of KV_BLOCK, and so is n unless it ends the vector.
static inline void kv_put(const struct kv_vector *v, size_t first, size_t n, const float *x) {
    for (size_t i = 0; i < n && v->type == TYPE_F32; i++) memcpy(v->data + 4 * kv_index(v, first + i), x + i, 4);
    for (size_t i = 0; i < n && v->type == TYPE_F16; i++) {
        uint16_t h = f32_to_f16(x[i]);
        memcpy(v->data + 2 * kv_index(v, first + i), &h, sizeof h);
    }
    for (size_t i = 0; i < n && v->type == TYPE_Q8_0; i += KV_BLOCK)
        kv_put_block(v, first + i, n - i < KV_BLOCK ? n - i : KV_BLOCK, x + i);
}

static inline float kv_get(const struct kv_vector *v, size_t i) {
    float f;
    uint16_t h;
    if (v->type == TYPE_F32) return memcpy(&f, v->data + 4 * kv_index(v, i), sizeof f), f;
    memcpy(&h, v->type == TYPE_F16 ? v->data + 2 * kv_index(v, i) : kv_scale(v, i / KV_BLOCK), sizeof h);
    return v->type == TYPE_F16 ? f16_to_f32(h) : (float)(int8_t)v->data[kv_index(v, i)] * f16_to_f32(h);
}

static inline struct kv_vector kv_key(const struct kv_shape *s, const void *k, size_t page, size_t head, size_t token) {
    return (struct kv_vector){s->type, kv_keys(s, k, page, head), s->key_dim, token, PAGE_TOKENS};
}
static inline struct kv_vector kv_value(const struct kv_shape *s, const void *v, size_t page, size_t head,
                                        size_t token) {
    return (struct kv_vector){s->type, kv_values(s, v, page, head), s->value_dim, token, 1};
}

// A token of another page: its bytes as they are.
static inline void kv_copy(const struct kv_vector *to, const struct kv_vector *from) {
    size_t size = from->type == TYPE_F32 ? 4 : from->type == TYPE_F16 ? 2 : 1;
    size_t run = from->step == 1 ? from->dim : 1; // elements that lie side by side
    for (size_t i = 0; i < from->dim; i += run)
        memcpy(to->data + size * kv_index(to, i), from->data + size * kv_index(from, i), size * run);
    for (size_t b = 0; b < kv_blocks(from->dim) && from->type == TYPE_Q8_0; b++)
        memcpy(kv_scale(to, b), kv_scale(from, b), 2);
}

// Write a token's key, or value, of one head: `x` is key_dim, or value_dim, floats.
static inline void kv_write_key(const struct kv_shape *s, void *k, size_t page, size_t head, size_t token,
                                const float *x) {
    struct kv_vector at = kv_key(s, k, page, head, token);
    kv_put(&at, 0, at.dim, x);
}
static inline void kv_write_value(const struct kv_shape *s, void *v, size_t page, size_t head, size_t token,
                                  const float *x) {
    struct kv_vector at = kv_value(s, v, page, head, token);
    kv_put(&at, 0, at.dim, x);
}

#endif
