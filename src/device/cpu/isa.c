// Which instruction sets this chip has.
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
// Every chip with AVX2 and FMA has F16C, which not all compilers can ask for.
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

// Bits 24 and 25 of leaf 7, sub-leaf 0: AMX-TILE and AMX-INT8. Linux gives a process the tiles' registers when it asks
// (Documentation/arch/x86/xstate.rst), for all of its threads.
static bool has_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a, b, c, d;
    if (!has_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 24 & 3) != 3) return false;
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

const struct kernels *cpu_kernels(const char *isa, gyr_error *e) {
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (isa && strcmp(isa, sets[i].kernels->isa)) continue;
        if (sets[i].here()) return sets[i].kernels;
        if (isa) return fail_null(e, GYR_UNSUPPORTED, "instruction set %s: this chip has none; choose scalar", isa);
    }
    return fail_null(e, GYR_USAGE,
                     "instruction set %s: not known; choose scalar, or on x86-64 avx2, avx512 or amx, or on "
                     "AArch64 neon",
                     isa);
}
