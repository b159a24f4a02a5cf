// Random numbers without a state: a draw depends on (seed, position) and nothing else, so an answer does not depend on
// what else was drawn before or beside it.
#ifndef ENGINE_RANDOM_H
#define ENGINE_RANDOM_H

#include <stdint.h>

// Uniform in [0, 1), 53 bits. Two rounds of splitmix64's mixer (Steele, Lea and Flood, 2014) over seed and position.
static inline double random_at(uint64_t seed, uint64_t position) {
    uint64_t z = seed;
    for (int round = 0; round < 2; round++) {
        z += 0x9e3779b97f4a7c15 * (position + 1);
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        z ^= z >> 31;
    }
    return (double)(z >> 11) * 0x1p-53;
}

#endif
