// The words in which compilers for GPUs differ; everything else in this folder is C that all of them read, and a C
// compiler for the host too (tests/simt). Three bodies: CUDA (NVRTC, nvcc), HIP (hipRTC, clang), and the host's.
//
//   KERNEL(name, type) { .. a.member .. }   a kernel; it takes one struct by value, `a`, and blocks of THREADS threads
//   EARLY_KERNEL(name, type)                the same, which calls after_earlier() itself before it reads what kernels
//                                           before it write, or writes anything: until then it may fetch weights
//   FN                                      a function of kernels
//   CONST                                   a table that all threads read
//   SHARED(type, name)                      `name` points to memory of the block, garbage at first; once a kernel
//   ROOM(name)                              `name` points to as many bytes of it as the launch asked for; a kernel has
//                                           this or that. Where COPIES_LATER is true
//   meet()                                  all lanes of a warp come here together, and see what they wrote to memory
//                                           of the block before
//   THREAD BLOCK_X BLOCK_Y BLOCK_Z          which thread of its block, and which block, this is
//   WARP                                    lanes of a warp, 32 or 64
//   barrier()                               all threads of the block come here before any goes on
//   swap_word(x, mask)                      the word of the lane whose number differs from one's own by `mask`; all
//                                           lanes of a warp, of WARP lanes, come here together
//   dot4(a, b, c)                           c + four products of signed bytes
//   mma_bytes(c, w, x)                      where TENSOR is defined: c + products of signed bytes, 32 of each of
//                                           sixteen outputs and some rows, of a warp of TENSOR_LANES lanes, each of
//                                           which has a piece (tensor.h)
//   mma_half(c, w, x)                       the same of 16 bytes, x one word
//   mma_from(c, start, w, x)                c = start + products: all of c's sums start there; and mma_half_from()
//   wave_bytes(c, w, x)                     where WAVES is defined, and not 0: c + products of signed bytes, 16 of each
//                                           of sixteen outputs and sixteen rows, of a warp of 32 lanes: a lane gives
//   wave_row()                              the 16 bytes of output lane % 16 and of this row, and its eight sums are of
//                                           that output and of rows 2 * k + lane / 16
//   wave_apart()                            what is behind it is not begun before, which would take registers
//   float_of_half(h)                        the float that a half is, which the low 16 bits are; of a NaN some NaN
//   pick4(low, high, at)                    four of the eight bytes of two words: byte i is number (byte i of `at`) < 8
//   rows_at(out, p)                         where TENSOR_LANES is 32, out of memory of the block: lane i points to 16
//                                           bytes, row i % 8 of matrix i / 8, and is given word i % 4 of row i / 4 of
//                                           all four matrices
//   copy_later(to, from)                    16 bytes go to memory of the block, at some time before:
//   room_of(p)                              p, which points to memory of the block, as a room_place: bytes from there
//                                           on are room_of(p) + n
//   in_room(at)                             a pointer to what is there
//   quad_in_room(at) word_in_room(at)       16 and 4 bytes there,
//   half_in_room(at)                        2 bytes; copy_to_room(at, from) and copy_word_to_room(at, from)
//                                           bring them there later. COPIES_LATER: that is really later
//   send_copies()                           those that were asked for since the last time are a lot
//   await_copies(MORE)                      all lots of this thread but the last MORE have come
//   FORGET(p) FORGET_WORD(x)                the compiler forgets what it knows of the pointer p, of the word x
//   hint_at(p)                              what lies around p in the card's memory will be read soon
//   UNROLL                                  the loop behind it is unrolled, since it indexes registers
//   ROLLED                                  the loop behind it is not: a kernel that runs for a moment waits for its
//                                           instructions to come from memory
//   kept(x)                                 x, which the compiler is not to compute again each time it is used
//   ALIGNED16                               in front of an array: it begins at a multiple of 16
//   word_at(p) half_at(p) quad_at(p)        the 4 bytes, 2 bytes, 16 bytes at p, which is a multiple of that
//   pair_at(p)                              8 bytes likewise
//   quad_to(p, q)                           puts 16 bytes at p, which is a multiple of that
//   bits_of_float float_of_bits             as in tensor/float16.h
//   fmaf sqrtf fabsf copysignf              IEEE's, rounded once; so are + - * / (docs/devices.md: the flags)
//
// BLOCKS, where a program defines it, is how many blocks a processor is to have room for at least.
//
// A typed program is compiled once for each element type, with TYPE_NAME and TYPE set; its kernels have the type's name
// behind theirs.
#ifndef DEVICE_GPU_KERNELS_CHIP_H
#define DEVICE_GPU_KERNELS_CHIP_H

#define GPU_KERNEL 1
#define ALIGNED16  __attribute__((aligned(16)))

#define KERNEL_PASTE_(name, type) name##_##type
#define KERNEL_PASTE(name, type)  KERNEL_PASTE_(name, type)
#ifdef TYPE_NAME
#define KERNEL_NAME(name) KERNEL_PASTE(name, TYPE_NAME)
#else
#define KERNEL_NAME(name) name
#endif

#if defined(GPU_ON_HOST) // the header that has the host's body
#include GPU_ON_HOST
#else

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;

#if defined(__HIP__) || defined(__HIPCC_RTC__)

#if !defined(__HIPCC_RTC__) // hipRTC has these words, and C's functions, of its own
typedef __SIZE_TYPE__ size_t;
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define fmaf       __builtin_fmaf
#define sqrtf      __builtin_sqrtf
#define fabsf      __builtin_fabsf
#define copysignf  __builtin_copysignf
#endif
#define BOUNDS __attribute__((amdgpu_flat_work_group_size(1, 256)))
#define WITHIN static inline __device__ __attribute__((always_inline))
#define GIVEN
#define CONST   static __device__ const
#define THREAD  ((unsigned)__builtin_amdgcn_workitem_id_x())
#define BLOCK_X ((unsigned)__builtin_amdgcn_workgroup_id_x())
#define BLOCK_Y ((unsigned)__builtin_amdgcn_workgroup_id_y())
#define BLOCK_Z ((unsigned)__builtin_amdgcn_workgroup_id_z())
#define LANE    (__builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0u)))
#define FN      static inline __device__

FN void barrier(void) {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

FN uint32_t swap_word(uint32_t x, unsigned mask) {
    return (uint32_t)__builtin_amdgcn_ds_bpermute((int)((LANE ^ mask) * 4), (int)x);
}

FN int dot4(uint32_t a, uint32_t b, int c) {
#if defined(__gfx11__) || defined(__gfx12__) || defined(__GFX11__) || defined(__GFX12__)
    return __builtin_amdgcn_sudot4(true, (int)a, true, (int)b, c, false);
#else
    return __builtin_amdgcn_sdot4((int)a, (int)b, c, false);
#endif
}

FN uint32_t pick4(uint32_t low, uint32_t high, uint32_t at) { return __builtin_amdgcn_perm(high, low, at); }

#define FORGET(p)      asm("" : "+v"(p))
#define FORGET_WORD(x) asm("" : "+v"(x))

FN float float_of_half(uint32_t h) {
    union {
        uint16_t bits;
        _Float16 half;
    } w;
    w.bits = (uint16_t)h;
    return (float)w.half;
}

// Activations are the first matrix and weights the second, so that all four sums of a lane are of one output.
typedef int sums4 __attribute__((ext_vector_type(4)));
#if defined(__gfx908__) || defined(__gfx90a__)
#define TENSOR       1
#define TENSOR_LANES 64
FN sums4 mfma16(uint32_t x, uint32_t w, sums4 c) {
    return __builtin_amdgcn_mfma_i32_16x16x16i8((int)x, (int)w, c, 0, 0, 0);
}
FN sums4 mfma32(const uint32_t *x, const uint32_t *w, sums4 c) { return mfma16(x[1], w[1], mfma16(x[0], w[0], c)); }
#elif defined(__gfx940__) || defined(__gfx941__) || defined(__gfx942__)
#define TENSOR       1
#define TENSOR_LANES 64
FN sums4 mfma32(const uint32_t *x, const uint32_t *w, sums4 c) {
    long left = (long)((unsigned long)x[1] << 32 | x[0]), right = (long)((unsigned long)w[1] << 32 | w[0]);
    return __builtin_amdgcn_mfma_i32_16x16x32_i8(left, right, c, 0, 0, 0);
}
FN sums4 mfma16(uint32_t x, uint32_t w, sums4 c) {
    const uint32_t left[2] = {x, 0}, right[2] = {w, 0};
    return mfma32(left, right, c);
}
#endif
#ifdef TENSOR
FN void take_sums(int *c, sums4 s) {
    c[0] = s.x;
    c[1] = s.y;
    c[2] = s.z;
    c[3] = s.w;
}
FN void mma_bytes(int *c, const uint32_t *w, const uint32_t *x) {
    sums4 s = {c[0], c[1], c[2], c[3]};
    take_sums(c, mfma32(x, w, s));
}
FN void mma_half(int *c, const uint32_t *w, uint32_t x) {
    sums4 s = {c[0], c[1], c[2], c[3]};
    take_sums(c, mfma16(x, *w, s));
}
FN void mma_from(int *c, int start, const uint32_t *w, const uint32_t *x) {
    sums4 s = {start, start, start, start};
    take_sums(c, mfma32(x, w, s));
}
FN void mma_half_from(int *c, int start, const uint32_t *w, uint32_t x) {
    sums4 s = {start, start, start, start};
    take_sums(c, mfma16(x, *w, s));
}
#endif

// Rows are the first matrix, of which lane i has row i, and outputs the second ("RDNA3 Instruction Set Architecture",
// WMMA; so does AMD's matrix instruction calculator). On gfx11 both halves of a wave give all 16 bytes, and sum k is of
// row 2 * k + lane / 16; on gfx12 each half gives 8 of them, and sum k is of row k + 8 * (lane / 16), so which row is
// whose is changed.
#if defined(__GFX11__) || defined(__gfx1200__) || defined(__gfx1201__)
#define WAVES 1
typedef int wave_sums8 __attribute__((ext_vector_type(8)));
typedef int wave_words __attribute__((ext_vector_type(4)));
typedef int wave_pair __attribute__((ext_vector_type(2)));
#if defined(__GFX11__)
FN unsigned wave_row(void) { return LANE % 16; }
FN wave_sums8 wave_step(const uint32_t *w, const uint32_t *x, wave_sums8 c) {
    wave_words rows = {(int)x[0], (int)x[1], (int)x[2], (int)x[3]};
    wave_words outputs = {(int)w[0], (int)w[1], (int)w[2], (int)w[3]};
    return __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32(true, rows, true, outputs, c, false);
}
#else
FN unsigned wave_row(void) { return LANE % 8 * 2 + LANE % 16 / 8; }
FN wave_sums8 wave_step(const uint32_t *w, const uint32_t *x, wave_sums8 c) {
    bool high = LANE >= 16;
    wave_pair rows = {(int)(high ? x[2] : x[0]), (int)(high ? x[3] : x[1])};
    wave_pair outputs = {(int)(high ? w[2] : w[0]), (int)(high ? w[3] : w[1])};
    return __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32_gfx12(true, rows, true, outputs, c, false);
}
#endif
#define wave_apart() __builtin_amdgcn_sched_barrier(0)
FN void wave_bytes(int *c, const uint32_t *w, const uint32_t *x) {
    wave_sums8 s = {c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]};
    s = wave_step(w, x, s);
    _Pragma("unroll") for (int k = 0; k < 8; k++) c[k] = s[k];
}
#endif

typedef uint32_t vector4 __attribute__((ext_vector_type(4), may_alias));
typedef uint32_t vector2 __attribute__((ext_vector_type(2), may_alias));
typedef uint32_t seen_word __attribute__((may_alias));
typedef uint16_t seen_half __attribute__((may_alias));

FN void hint_at(const void *p) {}
#define COPIES_LATER       false
#define ROOM(name)         uint8_t *const name = (uint8_t *)0
FN void meet(void) {}
FN void copy_later(void *to, const void *from) { *(vector4 *)to = *(const vector4 *)from; }
FN void send_copies(void) {}
#define await_copies(more) ((void)0)
FN void rows_at(uint32_t *out, const void *p) {} // never called
FN unsigned kept(unsigned x) {
    asm volatile("" : "+v"(x));
    return x;
}

#else // CUDA

#ifdef BLOCKS // how many blocks a processor is to have room for: fewer, and each has more registers
#define BOUNDS __launch_bounds__(256, BLOCKS)
#else
#define BOUNDS __launch_bounds__(256)
#endif
#define WITHIN  static __device__ __forceinline__
#define GIVEN   __grid_constant__
#define CONST   static __device__ const
#define THREAD  threadIdx.x
#define BLOCK_X blockIdx.x
#define BLOCK_Y blockIdx.y
#define BLOCK_Z blockIdx.z
#define FN      static inline __device__

FN void barrier(void) { __syncthreads(); }
FN void meet(void) { __syncwarp(); }
FN uint32_t swap_word(uint32_t x, unsigned mask) { return __shfl_xor_sync(0xffffffffu, x, (int)mask); }
FN int dot4(uint32_t a, uint32_t b, int c) { return __dp4a((int)a, (int)b, c); }
FN float float_of_half(uint32_t h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"((uint16_t)h));
    return f;
}

#if __CUDA_ARCH__ >= 800
#define TENSOR       1
#define TENSOR_LANES 32
FN void mma_bytes(int *c, const uint32_t *a, const uint32_t *b) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
FN void mma_half(int *c, const uint32_t *a, uint32_t b) {
    asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b));
}
FN void mma_from(int *c, int start, const uint32_t *a, const uint32_t *b) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%10, %10, %10, %10};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(start));
}
FN void mma_half_from(int *c, int start, const uint32_t *a, uint32_t b) {
    asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b), "r"(start));
}
#endif

FN uint32_t pick4(uint32_t low, uint32_t high, uint32_t at) {
    at = (at | at >> 4) & 0x00ff00ffu;
    return __byte_perm(low, high, (at | at >> 8) & 0xffffu);
}

template <class T> static __device__ __forceinline__ void forget(T *&p) { // and stays one of the card's memory
    size_t at = __cvta_generic_to_global(p);
    asm("" : "+l"(at));
    p = (T *)__cvta_global_to_generic(at);
}
#define FORGET(p)      forget(p)
#define FORGET_WORD(x) asm("" : "+r"(x))

typedef uint4 vector4;
typedef uint2 vector2;
typedef uint32_t seen_word;
typedef uint16_t seen_half;

FN unsigned kept(unsigned x) {
    asm volatile("" : "+r"(x));
    return x;
}

FN void hint_at(const void *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
#if __CUDA_ARCH__ >= 800
#define COPIES_LATER       true
typedef unsigned room_place;
FN room_place room_of(const void *p) {
    room_place at = (unsigned)__cvta_generic_to_shared(p);
    asm volatile("" : "+r"(at)); // is not found anew each time
    return at;
}
FN void copy_to_room(room_place to, const void *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
FN void copy_word_to_room(room_place to, const void *from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
}
FN void copy_later(void *to, const void *from) { copy_to_room((unsigned)__cvta_generic_to_shared(to), from); }
FN void send_copies(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
FN void rows_at(uint32_t *out, const void *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((unsigned)__cvta_generic_to_shared(p))
                 : "memory");
}
#define await_copies(more) asm volatile("cp.async.wait_group %0;" ::"n"(more) : "memory")
#else
#define COPIES_LATER       false
FN void copy_later(void *to, const void *from) { *(vector4 *)to = *(const vector4 *)from; }
FN void send_copies(void) {}
#define await_copies(more) ((void)0)
#endif

#endif

#define WARP   GYR_WARP
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")

// A kernel may be on the card while the one before it ends, and waits for that end; so the next one's start costs
// little (programmatic dependent launch, chips from sm_90 on).
FN void after_earlier(void) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
FN void let_next_begin(void) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

#define KERNEL_AFTER(name, type, wait)                                                                                 \
    WITHIN void KERNEL_PASTE(name, body)(const struct type &a);                                                        \
    extern "C" __global__ void BOUNDS KERNEL_NAME(name)(GIVEN const struct type a) {                                   \
        let_next_begin();                                                                                              \
        wait;                                                                                                          \
        KERNEL_PASTE(name, body)(a);                                                                                   \
    }                                                                                                                  \
    WITHIN void KERNEL_PASTE(name, body)(const struct type &a)
#define KERNEL(name, type)       KERNEL_AFTER(name, type, after_earlier())
#define EARLY_KERNEL(name, type) KERNEL_AFTER(name, type, (void)0)
#if !defined(__HIP__) && !defined(__HIPCC_RTC__)
#define ROOM(name)                                                                                                     \
    extern __shared__ uint4 name##_there[];                                                                            \
    uint8_t *const name = (uint8_t *)name##_there
#endif
#define SHARED(type, name)                                                                                             \
    __shared__ type name##_there;                                                                                      \
    type *const name = &name##_there

struct quad {
    uint32_t w[4];
};

struct pair {
    uint32_t w[2];
};

union float_word {
    float f;
    uint32_t u;
};
FN uint32_t bits_of_float(float f) {
    union float_word w;
    w.f = f;
    return w.u;
}
FN float float_of_bits(uint32_t u) {
    union float_word w;
    w.u = u;
    return w.f;
}
FN uint32_t word_at(const void *p) { return *(const seen_word *)p; }
FN uint32_t half_at(const void *p) { return *(const seen_half *)p; }
FN struct quad quad_at(const void *p) {
    vector4 v = *(const vector4 *)p;
    struct quad q = {{v.x, v.y, v.z, v.w}};
    return q;
}
FN struct pair pair_at(const void *p) {
    vector2 v = *(const vector2 *)p;
    struct pair q = {{v.x, v.y}};
    return q;
}
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
FN struct quad quad_in_room(room_place at) {
    struct quad q;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(q.w[0]), "=r"(q.w[1]), "=r"(q.w[2]), "=r"(q.w[3])
                 : "r"(at)
                 : "memory");
    return q;
}
FN const uint8_t *in_room(room_place at) { return (const uint8_t *)__cvta_shared_to_generic(at); }
FN uint32_t word_in_room(room_place at) {
    uint32_t x;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x) : "r"(at) : "memory");
    return x;
}
FN uint32_t half_in_room(room_place at) {
    uint16_t x;
    asm volatile("ld.shared.u16 %0, [%1];" : "=h"(x) : "r"(at) : "memory");
    return x;
}
#else
typedef uint8_t *room_place;
FN room_place room_of(void *p) { return (room_place)p; }
FN void copy_to_room(room_place to, const void *from) { copy_later(to, from); }
FN void copy_word_to_room(room_place to, const void *from) { *(seen_word *)to = *(const seen_word *)from; }
FN struct quad quad_in_room(room_place at) { return quad_at(at); }
FN uint32_t word_in_room(room_place at) { return word_at(at); }
FN const uint8_t *in_room(room_place at) { return at; }
FN uint32_t half_in_room(room_place at) { return half_at(at); }
#endif
FN void quad_to(void *p, struct quad q) {
    vector4 v = {q.w[0], q.w[1], q.w[2], q.w[3]};
    *(vector4 *)p = v;
}
#ifndef INFINITY
#define INFINITY float_of_bits(0x7f800000u)
#endif
#ifndef NAN
#define NAN float_of_bits(0x7fc00000u)
#endif

#endif // not on the host

#define ELEMENTARY FN
#include "elementary.h"

// Rounding to the nearest integer, ties to even, of a float that is well below 2^22: adding SHIFT leaves the integer in
// the low bits.
#define SHIFT 0x1.8p23f
FN int integer_of_shifted(float x) { return (int)(bits_of_float(x) - 0x4b400000u); }

FN float swap_float(float x, unsigned mask) { return float_of_bits(swap_word(bits_of_float(x), mask)); }

#if defined(GPU_ON_HOST) // a card has one instruction for it
// A half's exponent and fraction, moved into place, are its value times 2^-112, subnormals too. NaNs come out quiet.
FN float float_of_half(uint32_t h) {
    uint32_t rest = h & 0x7fffu, bits = bits_of_float(float_of_bits(rest << 13) * 0x1p112f);
    if (rest >= 0x7c00u) bits |= 0x7f800000u;
    if (rest > 0x7c00u) bits |= 0x00400000u;
    return float_of_bits(bits | (h & 0x8000u) << 16);
}
#endif

// To the nearest half, ties to even (tensor/float16.c, whose bits these are).
FN uint16_t half_of_float(float f) {
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (rest < 0x38800000u) return (uint16_t)(sign | (bits_of_float(float_of_bits(rest) + 0.5f) - bits_of_float(0.5f)));
    return (uint16_t)(sign | ((rest - (112u << 23) + 0xfffu + (rest >> 13 & 1u)) >> 13));
}

FN uint32_t bfloat_of_float(float f) {
    uint32_t bits = bits_of_float(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
FN float round_bfloat(float f) { return float_of_bits(bfloat_of_float(f) << 16); }

#endif
