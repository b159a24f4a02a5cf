// Where a block of a row lies, and its activations. A row's eight segments (docs/arithmetic.md) are the work of eight
// neighbouring lanes, so blocks lie in the order in which these read them: block j of every segment, side by side, then
// block j + 1. Segments differ by a block at most; those that have one more have it at the end.
#ifndef DEVICE_GPU_KERNELS_STRIPS_H
#define DEVICE_GPU_KERNELS_STRIPS_H

// The host lays weights out with these functions too (../lay.c).
#ifndef FN
#define FN static inline
#endif

enum { SEGMENTS = 8 };

// A row of activations as stage.h has it: bytes of the codes of a turn, eight blocks of so many groups; and of all of
// it.
#define STAGED_CODES(groups) ((groups)*SEGMENTS * 32)
FN unsigned staged_bytes(unsigned groups, unsigned n) {
    return (n + SEGMENTS - 1) / SEGMENTS * (STAGED_CODES(groups) + groups * SEGMENTS * 8);
}

// Blocks of segment s of a row of n.
FN unsigned strip_length(unsigned n, unsigned s) {
    return n / SEGMENTS + (n % SEGMENTS * (s + 1) / SEGMENTS - n % SEGMENTS * s / SEGMENTS);
}

// Where block j of segment s lies, counted in blocks.
FN unsigned strip_at(unsigned n, unsigned s, unsigned j) {
    return j < n / SEGMENTS ? j * SEGMENTS + s : n / SEGMENTS * SEGMENTS + n % SEGMENTS * s / SEGMENTS;
}

// Which block of the row segment s begins with.
FN unsigned strip_start(unsigned n, unsigned s) { return n / SEGMENTS * s + n % SEGMENTS * s / SEGMENTS; }

// The segment that block b of the row is of, and its number there: of those that do not begin behind it the last one.
FN unsigned strip_segment(unsigned n, unsigned b, unsigned *j) {
    unsigned s = ((b + 1) * SEGMENTS - 1) / n;
    *j = b - strip_start(n, s);
    return s;
}

// Where block b of the row lies.
FN unsigned strip_of(unsigned n, unsigned b) {
    unsigned j, s = strip_segment(n, b, &j);
    return strip_at(n, s, j);
}

#endif
