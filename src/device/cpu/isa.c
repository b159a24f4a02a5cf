// Which instruction sets this chip has.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "device/cpu/cpu.h"

static bool always(void) { return true; }

#if defined(__x86_64__)
// CPUID itself, since __builtin_cpu_supports() is a call into a library that not every compiler's run time has.
struct cpuid {
    unsigned a, b, c, d;
};

static struct cpuid cpuid(unsigned leaf) {
    struct cpuid r = {0};
    return __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d) ? r : (struct cpuid){0};
}

static bool has_bits(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

// Whether the system saves these registers of a process (bits of XCR0).
static bool saves(unsigned state) {
    unsigned low, high, osxsave = 1u << 27;
    if (!has_bits(cpuid(1).c, osxsave)) return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return has_bits(low, state);
}

static bool has_avx2(void) {
    const unsigned fma = 1u << 12, avx = 1u << 28, f16c = 1u << 29, avx2 = 1u << 5, xmm_ymm = 0x6;
    return has_bits(cpuid(1).c, fma | avx | f16c) && has_bits(cpuid(7).b, avx2) && saves(xmm_ymm);
}

static bool has_avx512(void) {
    const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31, vnni = 1u << 11, mask_zmm = 0xe0;
    return has_avx2() && has_bits(cpuid(7).b, f | dq | bw | vl) && has_bits(cpuid(7).c, vnni) && saves(mask_zmm);
}

// Bits 24 and 25 of leaf 7, sub-leaf 0: AMX-TILE and AMX-INT8. Linux gives a process the tiles' registers when it asks
// (Documentation/arch/x86/xstate.rst), for all of its threads.
static bool has_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    if (!has_avx512() || !has_bits(cpuid(7).d, 3u << 24)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#elif defined(__aarch64__)
// The dot product of four bytes, of Armv8.2; bit 20 of the kernel's word (HWCAP_ASIMDDP).
static bool has_neon(void) { return getauxval(AT_HWCAP) & 1ul << 20; }
#endif

// Best first.
static const struct {
    const struct kernels *kernels;
    bool (*here)(void);
} sets[] = {
#if defined(__x86_64__)
    {&kernels_amx, has_amx},
    {&kernels_avx512, has_avx512},
    {&kernels_avx2, has_avx2},
#elif defined(__aarch64__)
    {&kernels_neon, has_neon},
#endif
    {&kernels_scalar, always},
};

// What the chip says is kept: in a virtual machine each question is a trap that takes longer than a small product, and
// training asks before every one.
static bool is_here(size_t i) {
    enum { UNASKED, YES, NO };
    static atomic_uchar known[sizeof sets / sizeof *sets];
    unsigned char is = atomic_load_explicit(&known[i], memory_order_relaxed);
    if (is == UNASKED) atomic_store_explicit(&known[i], is = sets[i].here() ? YES : NO, memory_order_relaxed);
    return is == YES;
}

const struct kernels *cpu_kernels(const char *isa, gyr_error *e) {
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (isa && strcmp(isa, sets[i].kernels->isa)) continue;
        if (is_here(i)) return sets[i].kernels;
        if (isa)
            return fail_null(e, GYR_UNSUPPORTED, "instruction set %s: this CPU does not have it; choose scalar", isa);
    }
    return fail_null(e, GYR_USAGE,
                     "instruction set %s: not known; choose scalar, or on x86-64 avx2, avx512 or amx, or on "
                     "AArch64 neon",
                     isa);
}

static const struct kernels *here(void) {
    const char *isa = getenv("GYR_ISA");
    const struct kernels *k = cpu_kernels(isa && *isa ? isa : NULL, NULL);
    return k ? k : &kernels_scalar;
}

host_exps *host_exps_here(void) { return here()->exps; }

host_peaks *host_peaks_here(void) { return here()->peaks; }

const struct host_gradients *host_gradients_here(void) { return &here()->gradients; }
