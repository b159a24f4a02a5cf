// The host's body of the words of src/device/gpu/kernels/chip.h: kernels compiled for the CPU, each thread of a block a
// fiber. What a card would do silently wrong is an error here: threads of a warp that meet at different places, a
// barrier that not all reach, a load that is not aligned, memory of the block that is read before it is written (it is
// full of garbage), memory of others (AddressSanitizer). The order of threads is random, by seed.
#ifndef TESTS_SIMT_SIMT_H
#define TESTS_SIMT_SIMT_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void simt_kernel(const unsigned grid[3], const unsigned block[3], unsigned shared, const void *args);

// Lanes of a warp, 32 or 64; and what the order of threads comes from.
extern unsigned simt_warp;
// Whose matrix instructions a warp of 32 has: AMD's gfx11 or gfx12 (11, 12); 0: NVIDIA's.
extern unsigned simt_waves;
extern uint64_t simt_seed;

// The kernel of that name; NULL: there is none.
simt_kernel *simt_find(const char *name);
// The i-th kernel's name; NULL: there are no more.
const char *simt_name(size_t i);

// Called by kernels.
void simt_register(const char *name, simt_kernel *kernel);
void simt_run(void (*body)(const void *args), const char *name, const unsigned grid[3], const unsigned block[3],
              unsigned room, const void *args, size_t size);
void simt_barrier(int line);
uint32_t simt_swap(uint32_t x, unsigned mask, int line);
void simt_mma(int *c, const uint32_t *weights, const uint32_t *rows, unsigned depth, int line);
void simt_wave(int *c, const uint32_t *weights, const uint32_t *rows, int line);
unsigned simt_wave_row(void);
void simt_rows(uint32_t *out, const void *p, int line);
void simt_copy(void *to, const void *from, unsigned bytes, int line);
void simt_send(void);
void simt_await(unsigned more);
void *simt_shared(size_t bytes);
void *simt_room(void);
_Noreturn void simt_stop(const char *what, int line);

// Where the running thread is.
struct simt_place {
    unsigned thread, block[3];
};
extern _Thread_local struct simt_place simt_here __attribute__((tls_model("initial-exec"))); // no call to find it

// The words, for programs of kernels alone.
#ifdef GPU_ON_HOST

typedef uint8_t *room_place;
#define FN                            static inline __attribute__((unused))
#define CONST                         static const
#define THREAD                        (simt_here.thread)
#define BLOCK_X                       (simt_here.block[0])
#define BLOCK_Y                       (simt_here.block[1])
#define BLOCK_Z                       (simt_here.block[2])
#define WARP                          simt_warp
#define barrier()                     simt_barrier(__LINE__)
#define swap_word(x, mask)            simt_swap(x, mask, __LINE__)
#define TENSOR                        1
#define TENSOR_LANES                  simt_warp
#define mma_bytes(c, a, b)            simt_mma(c, a, b, 32, __LINE__)
#define mma_half(c, a, b)             simt_mma(c, a, (const uint32_t[]){b}, 16, __LINE__)
#define mma_from(c, start, a, b)      (simt_fill(c, start), simt_mma(c, a, b, 32, __LINE__))
#define mma_half_from(c, start, a, b) (simt_fill(c, start), simt_mma(c, a, (const uint32_t[]){b}, 16, __LINE__))
#define WAVES                         simt_waves
#define wave_bytes(c, w, x)           simt_wave(c, w, x, __LINE__)
#define wave_row()                    simt_wave_row()
#define wave_apart()                  ((void)0)
#define kept(x)                       (x)
#define rows_at(out, p)               simt_rows(out, p, __LINE__)
#define COPIES_LATER                  (simt_warp == 32)
#define copy_later(to, from)          simt_copy(to, from, 16, __LINE__)
#define room_of(p)                    ((room_place)(p))
#define copy_to_room(to, from)        simt_copy(to, from, 16, __LINE__)
#define copy_word_to_room(to, from)   simt_copy(to, from, 4, __LINE__)
#define quad_in_room(at)              quad_at(at)
#define word_in_room(at)              word_at(at)
#define in_room(at)                   ((const uint8_t *)(at))
#define half_in_room(at)              half_at(at)
#define send_copies()                 simt_send()
#define await_copies(more)            simt_await(more)
#define FORGET(p)
#define FORGET_WORD(x)
#define UNROLL
#define meet()     ((void)simt_swap(0, 1, __LINE__))
#define ROOM(name) uint8_t *const name = simt_room()
#define ROLLED
#define SHARED(type, name)       type *const name = simt_shared(sizeof(type))
#define SIMT_TEXT_(x)            #x
#define SIMT_TEXT(x)             SIMT_TEXT_(x)
#define KERNEL(name, type)       SIMT_KERNEL(KERNEL_NAME(name), type)
#define EARLY_KERNEL(name, type) KERNEL(name, type)
#define after_earlier()          ((void)0)
#define hint_at(p)               ((void)(p))
#define SIMT_KERNEL(name, type)  SIMT_KERNEL_(name, type)
#define SIMT_KERNEL_(name, type)                                                                                       \
    static void name##_thread(const struct type a);                                                                    \
    static void name##_body(const void *args) { name##_thread(*(const struct type *)args); }                           \
    __attribute__((visibility("default"))) simt_kernel name;                                                           \
    void name(const unsigned grid[3], const unsigned block[3], unsigned shared, const void *args) {                    \
        simt_run(name##_body, #name, grid, block, shared, args, sizeof(struct type));                                  \
    }                                                                                                                  \
    __attribute__((constructor)) static void name##_register(void) { simt_register(#name, name); }                     \
    static void name##_thread(const struct type a)

static inline void simt_fill(int *c, int start) {
    for (int i = 0; i < 4; i++) c[i] = start;
}

static inline float float_of_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline uint32_t bits_of_float(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline int dot4(uint32_t a, uint32_t b, int c) {
    for (int i = 0; i < 4; i++) c += (int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i);
    return c;
}

static inline uint32_t pick4(uint32_t low, uint32_t high, uint32_t at) {
    uint64_t all = (uint64_t)high << 32 | low;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned from = at >> 8 * i & 255;
        if (from > 7) simt_stop("a byte that two words do not have", __LINE__);
        out |= (uint32_t)(all >> 8 * from & 255) << 8 * i;
    }
    return out;
}

struct quad {
    uint32_t w[4];
};

struct pair {
    uint32_t w[2];
};

static inline void simt_load(void *to, const void *from, size_t size) {
    if ((uintptr_t)from % size) simt_stop("a load that is not aligned", __LINE__);
    memcpy(to, from, size);
}
static inline uint32_t word_at(const void *p) {
    uint32_t v;
    simt_load(&v, p, sizeof v);
    return v;
}
static inline uint32_t half_at(const void *p) {
    uint16_t v;
    simt_load(&v, p, sizeof v);
    return v;
}
static inline struct pair pair_at(const void *p) {
    struct pair v;
    simt_load(&v, p, sizeof v);
    return v;
}
static inline void quad_to(void *p, struct quad q) {
    if ((uintptr_t)p % sizeof q) simt_stop("a store that is not aligned", __LINE__);
    memcpy(p, &q, sizeof q);
}
static inline struct quad quad_at(const void *p) {
    struct quad v;
    simt_load(&v, p, sizeof v);
    return v;
}

#endif // GPU_ON_HOST

#endif
