// Put in front of every C++ file of llama.cpp (-include). GCC before 14 tells its optimizer that _tile_loadconfig()
// reads eight bytes, not the 64 that it does read: stores to the rest are dropped, and the first AMX instruction of a
// thread is an illegal one. This makes all of them reach memory first.
#ifndef BENCH_PEERS_TILE_CONFIG_H
#define BENCH_PEERS_TILE_CONFIG_H

#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

static inline __attribute__((always_inline)) void tile_loadconfig_stored(const void *config) {
    __asm__ volatile("" : : "r"(config) : "memory");
    _tile_loadconfig(config);
}
#define _tile_loadconfig tile_loadconfig_stored
#endif

#endif
