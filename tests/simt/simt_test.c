// The emulation itself: what is wrong in a kernel is found, and what is right does not depend on the order of threads.
#define GPU_ON_HOST "simt.h"
#include "chip.h"

#include <stdio.h>
#include <sys/wait.h>

#include "test.h"

struct simt_args {
    float *x;
    unsigned n;
};

struct simt_room {
    float x[256];
};

KERNEL(lanes_apart, simt_args) {
    if (THREAD % 2)
        a.x[0] = (float)swap_word(1, 1);
    else
        a.x[0] = (float)swap_word(2, 1);
}

KERNEL(barriers_apart, simt_args) {
    if (THREAD % 2)
        barrier();
    else
        barrier();
    a.x[0] = 1;
}

KERNEL(barrier_missed, simt_args) {
    if (THREAD == 3) return;
    barrier();
    a.x[0] = 1;
}

KERNEL(not_aligned, simt_args) { a.x[0] = (float)word_at((const uint8_t *)a.x + 2); }

KERNEL(no_such_byte, simt_args) { a.x[0] = (float)pick4(1, 2, 8); }

KERNEL(never_written, simt_args) {
    SHARED(struct simt_room, room);
    a.x[THREAD] = room->x[THREAD];
}

// Who writes last is nobody's to say.
KERNEL(race, simt_args) { a.x[0] = (float)THREAD; }

// The sum of the threads' numbers, by exchanges and by the block's memory.
KERNEL(right, simt_args) {
    SHARED(struct simt_room, room);
    uint32_t sum = THREAD;
    for (unsigned mask = 1; mask < 32; mask *= 2) sum += swap_word(sum, mask);
    room->x[THREAD] = (float)sum;
    barrier();
    if (THREAD) return;
    float all = 0;
    for (int i = 0; i < 8; i++) all += room->x[32 * i];
    a.x[BLOCK_X] = all;
}

static int8_t first[16][32], second[32][8];

// As PTX's manual has the elements of fragments of m16n8k32 and m16n8k16 for 8-bit types.
KERNEL(documented, simt_args) {
    unsigned group = THREAD % 32 >> 2, in_group = THREAD % 4;
    uint32_t w[4] = {0}, v[2] = {0};
    int c[4] = {1, 2, 3, 4}, d[4] = {0};
    for (unsigned i = 0; i < 16; i++) {
        unsigned row = i < 4 || (i >= 8 && i < 12) ? group : group + 8, col = in_group * 4 + (i & 3) + (i < 8 ? 0 : 16);
        w[i / 4] |= (uint32_t)(uint8_t)first[row][col] << 8 * (i % 4);
    }
    for (unsigned i = 0; i < 8; i++)
        v[i / 4] |= (uint32_t)(uint8_t)second[in_group * 4 + (i & 3) + (i < 4 ? 0 : 16)][group] << 8 * (i % 4);
    mma_bytes(c, w, v);
    mma_half(d, w, v[0]);
    for (unsigned i = 0; i < 4 && THREAD < 32; i++) {
        unsigned at = (i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1);
        a.x[at] = (float)(c[i] - (int)(i + 1));
        a.x[128 + at] = (float)d[i];
    }
}

// As AMD's manual has those of v_mfma_i32_16x16x16_i8, activations first: `second` transposed, and again.
KERNEL(documented_of_64, simt_args) {
    unsigned lane = THREAD % 64;
    uint32_t w = 0, x = 0;
    int c[4] = {1, 2, 3, 4};
    for (unsigned i = 0; i < 4; i++) {
        unsigned k = 4 * (lane / 16) + i;
        w |= (uint32_t)(uint8_t)first[lane % 16][k] << 8 * i;
        x |= (uint32_t)(uint8_t)second[k][lane % 8] << 8 * i;
    }
    mma_half(c, &w, x);
    for (unsigned i = 0; i < 4 && THREAD < 64; i++)
        if (4 * (lane / 16) + i < 8) a.x[128 + lane % 16 * 8 + 4 * (lane / 16) + i] = (float)(c[i] - (int)(i + 1));
}

// As AMD's manuals have those of v_wmma_i32_16x16x16_iu8, with `second` and itself once more as rows of activations:
// they are numbered as wave_row() says.
KERNEL(documented_of_waves, simt_args) {
    unsigned lane = THREAD % 32;
    uint32_t w[4] = {0}, x[4] = {0};
    int c[8];
    for (unsigned i = 0; i < 16; i++) {
        w[i / 4] |= (uint32_t)(uint8_t)first[lane % 16][i] << 8 * (i % 4);
        x[i / 4] |= (uint32_t)(uint8_t)second[i + wave_row() / 8][wave_row() % 8] << 8 * (i % 4);
    }
    for (int k = 0; k < 8; k++) c[k] = k;
    wave_bytes(c, w, x);
    for (unsigned k = 0; k < 8 && THREAD < 32; k++) a.x[lane % 16 * 16 + 2 * k + lane / 16] = (float)(c[k] - (int)k);
}

// On gfx11 both halves give all of a row.
KERNEL(halves_differ, simt_args) {
    uint32_t w[4] = {0}, x[4] = {THREAD % 32 / 16};
    int c[8] = {0};
    wave_bytes(c, w, x);
}

static void run(const char *name, float *x, unsigned blocks) {
    struct simt_args a = {x, 0};
    simt_find(name)((const unsigned[]){blocks, 1, 1}, (const unsigned[]){256, 1, 1}, 0, &a);
}

// Whether a kernel is stopped.
static bool stops(const char *name) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static float x[256];
        if (!freopen("/dev/null", "w", stderr)) _Exit(2);
        run(name, x, 1);
        _Exit(0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && (WIFSIGNALED(status) || WEXITSTATUS(status) == 1);
}

static void wrong_kernels_are_stopped(void) {
    static const char *const names[] = {"lanes_apart", "barriers_apart", "barrier_missed", "not_aligned",
                                        "no_such_byte"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool stopped = stops(names[i]);
        if (!stopped) printf("%s was not stopped\n", names[i]);
        CHECK(stopped);
    }
    CHECK(!stops("right"));
}

static void memory_begins_as_garbage(void) {
    float x[256] = {0};
    run("never_written", x, 1);
    for (int i = 0; i < 256; i++) CHECK_INT(bits_of_float(x[i]), 0xa5a5a5a5);
}

static void the_order_of_threads_is_drawn(void) {
    float x[256], first = -1;
    bool differs = false;
    for (int i = 0; i < 8; i++) {
        run("race", x, 1);
        differs |= i && x[0] != first;
        first = x[0];
    }
    CHECK(differs);
}

static void what_is_right_does_not_depend_on_it(void) {
    for (simt_warp = 32; simt_warp <= 64; simt_warp += 32)
        for (int i = 0; i < 8; i++) {
            float x[3] = {0};
            run("right", x, 3);
            for (int k = 0; k < 3; k++) CHECK(x[k] == 255 * 128);
        }
    simt_warp = 32;
}

static void matrices_are_multiplied(void) {
    float x[256];
    uint32_t state = 1;
    for (int i = 0; i < 16 * 32; i++) {
        state = state * 1664525 + 1013904223;
        first[i / 32][i % 32] = (int8_t)(state >> 24);
        if (i < 32 * 8) second[i / 8][i % 8] = (int8_t)(state >> 16);
    }
    run("documented", x, 1);
    for (int row = 0; row < 16; row++)
        for (int col = 0; col < 8; col++) {
            int all = 0, half = 0;
            for (int k = 0; k < 32; k++) all += first[row][k] * second[k][col];
            for (int k = 0; k < 16; k++) half += first[row][k] * second[k][col];
            CHECK_INT(x[row * 8 + col], all);
            CHECK_INT(x[128 + row * 8 + col], half);
        }
    simt_warp = 64;
    memset(x + 128, 0, 128 * sizeof *x);
    run("documented_of_64", x, 1);
    simt_warp = 32;
    for (int i = 0; i < 128; i++) {
        int half = 0;
        for (int k = 0; k < 16; k++) half += first[i / 8][k] * second[k][i % 8];
        CHECK_INT(x[128 + i], half);
    }
}

static void waves_multiply_matrices(void) {
    float x[256];
    for (simt_waves = 11; simt_waves <= 12; simt_waves++) {
        memset(x, 0, sizeof x);
        run("documented_of_waves", x, 1);
        for (int output = 0; output < 16; output++)
            for (int row = 0; row < 16; row++) {
                int all = 0;
                for (int k = 0; k < 16; k++) all += first[output][k] * second[k + row / 8][row % 8];
                CHECK_INT(x[output * 16 + row], all);
            }
        CHECK(stops("halves_differ") == (simt_waves == 11));
    }
    simt_waves = 0;
}

int main(void) {
    RUN(wrong_kernels_are_stopped);
    RUN(memory_begins_as_garbage);
    RUN(the_order_of_threads_is_drawn);
    RUN(what_is_right_does_not_depend_on_it);
    RUN(matrices_are_multiplied);
    RUN(waves_multiply_matrices);
    return test_end();
}
