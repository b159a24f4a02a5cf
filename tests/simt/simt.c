// Blocks of threads on the CPU: every thread a fiber with a stack of its own, on one thread of the system. A fiber runs
// until it meets others, at a barrier or in a warp; who goes on next is drawn.
#include "simt.h"

#include <stdio.h>
#include <sys/mman.h>

#include "fiber.h"

enum {
    MOST_THREADS = 256,
    MOST_WARP = 64,
    MOST_WORDS = 8,
    MOST_KERNELS = 1024,
    MOST_COPIES = 64,
    STACK = 256 << 10,
    APART = 13 * 64, // so that the stacks' tops, which are all that is used, are not in the same few sets of the caches
    GARBAGE = 0xa5
};

enum state { READY, WAITING, DONE };

// Copies that a thread asked for and that have not come; `lot` is that of the next one.
struct copies {
    struct {
        void *to;
        const void *from;
        unsigned lot, bytes;
    } of[MOST_COPIES];
    unsigned n, lot;
};

struct thread {
    struct fiber fiber;
    enum state state;
    struct copies copies;
};

struct words {
    uint32_t of[MOST_WORDS][MOST_WARP];
};

// A warp's meeting: operands of the current one and of the one before, which some lanes have yet to read.
struct warp {
    struct words words[2];
    unsigned arrived, turn;
    int line;
};

static struct {
    struct fiber scheduler;
    struct thread thread[MOST_THREADS];
    struct warp warp[MOST_THREADS / 32];
    unsigned ready[MOST_THREADS], n_ready; // numbers of threads that can go on
    unsigned threads, done, at_barrier;
    int barrier_line;
    void (*body)(const void *args);
    const void *args;
    const char *kernel;
    void *shared;
    size_t shared_bytes, room;
    uint8_t *stacks;
} s;

static struct {
    const char *name;
    simt_kernel *kernel;
} kernels[MOST_KERNELS];
static size_t n_kernels;

unsigned simt_warp = 32, simt_waves;
uint64_t simt_seed = 1;
_Thread_local struct simt_place simt_here;

_Noreturn void simt_stop(const char *what, int line) {
    fprintf(stderr, "kernel %s, block %u %u %u, thread %u, line %d: %s\n", s.kernel, simt_here.block[0],
            simt_here.block[1], simt_here.block[2], simt_here.thread, line, what);
    abort();
}

void simt_register(const char *name, simt_kernel *kernel) {
    if (n_kernels == MOST_KERNELS) abort();
    kernels[n_kernels].name = name;
    kernels[n_kernels++].kernel = kernel;
}

const char *simt_name(size_t i) { return i < n_kernels ? kernels[i].name : NULL; }

simt_kernel *simt_find(const char *name) {
    for (size_t i = 0; i < n_kernels; i++)
        if (!strcmp(kernels[i].name, name)) return kernels[i].kernel;
    return NULL;
}

static uint32_t draw(uint32_t n) {
    simt_seed ^= simt_seed << 13;
    simt_seed ^= simt_seed >> 7;
    simt_seed ^= simt_seed << 17;
    return (uint32_t)((simt_seed >> 32) * n >> 32);
}

static void wake(unsigned thread) {
    s.thread[thread].state = READY;
    s.ready[s.n_ready++] = thread;
}

// A thread that can go on; the scheduler, which began the first one, where there is none.
static struct fiber *next(void) {
    if (!s.n_ready) return &s.scheduler;
    unsigned i = draw(s.n_ready), t = s.ready[i];
    s.ready[i] = s.ready[--s.n_ready];
    simt_here.thread = t;
    return &s.thread[t].fiber;
}

// Gives the others a turn until this thread was woken.
static void wait(unsigned thread) {
    s.thread[thread].state = WAITING;
    fiber_switch(&s.thread[thread].fiber, next(), false);
}

void simt_barrier(int line) {
    unsigned me = simt_here.thread;
    if (!s.at_barrier) s.barrier_line = line;
    if (s.barrier_line != line) simt_stop("threads of a block wait at different barriers", line);
    if (++s.at_barrier < s.threads) {
        wait(me);
        return;
    }
    s.at_barrier = 0;
    for (unsigned t = 0; t < s.threads; t++)
        if (t != me) wake(t);
}

// A meeting of a warp: each lane leaves n words, and goes on when the last one has come. Returns where all of them are.
static const struct words *meet(const uint32_t *x, unsigned n, int line) {
    unsigned me = simt_here.thread, lane = me % simt_warp, first = me - lane;
    struct warp *w = &s.warp[me / simt_warp];
    unsigned turn = w->turn % 2;
    if (!w->arrived) w->line = line;
    if (w->line != line) simt_stop("lanes of a warp meet at different places", line);
    for (unsigned i = 0; i < n; i++) w->words[turn].of[i][lane] = x[i];
    if (++w->arrived < simt_warp) {
        wait(me);
    } else {
        w->arrived = 0;
        w->turn++;
        for (unsigned t = first; t < first + simt_warp; t++)
            if (t != me) wake(t);
    }
    return &w->words[turn];
}

uint32_t simt_swap(uint32_t x, unsigned mask, int line) {
    if (mask >= simt_warp) simt_stop("there is no such lane", line);
    return meet(&x, 1, line)->of[0][(simt_here.thread % simt_warp) ^ mask];
}

// The sum of the products of four signed bytes.
static int dot(uint32_t a, uint32_t b) {
    return (int8_t)a * (int8_t)b + (int8_t)(a >> 8) * (int8_t)(b >> 8) + (int8_t)(a >> 16) * (int8_t)(b >> 16) +
           (int8_t)(a >> 24) * (int8_t)(b >> 24);
}

// A matrix instruction as a meeting: each lane leaves its piece of the weights and of the activations.
//
// Of 32 lanes mma.m16n8k32 and mma.m16n8k16 of signed bytes, as "Matrix fragments" of PTX's manual has them. With
// `quad` = lane / 4 and `at` = lane % 4, a lane has of A rows quad and quad + 8, columns 4 * at .. + 3 and, of 32, 16
// further: registers (quad, low), (quad + 8, low), (quad, high), (quad + 8, high); of B the same rows of column quad;
// of C rows quad and quad + 8, columns 2 * at and 2 * at + 1. Weights are A, activations B.
//
// Of 64 lanes AMD's v_mfma_i32_16x16x16_i8, or two of them (v_mfma_i32_16x16x32_i8 has 8 bytes in place of twice 4): a
// lane has of A row lane % 16, of B column lane % 16, of both four of K from 4 * (lane / 16) on; and of C column lane %
// 16, rows 4 * (lane / 16) .. + 3. Activations are A, weights B.
void simt_mma(int *c, const uint32_t *weights, const uint32_t *rows, unsigned depth, int line) {
    enum { W = 4, X = 2 };
    bool wide = simt_warp == 64;
    unsigned lane = simt_here.thread % simt_warp, halves = depth / 16;
    uint32_t mine[W + X] = {0};
    memcpy(mine, weights, halves * (wide ? 1 : 2) * sizeof *weights);
    memcpy(mine + W, rows, halves * sizeof *rows);
    const struct words *all = meet(mine, W + X, line);
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = lane / 4 + 8 * (i / 2), col = 2 * (lane % 4) + i % 2;
        for (unsigned k = 0; k < depth; k += 4) {
            unsigned at = k % 16 / 4, half = k / 16;
            if (wide)
                c[i] += dot(all->of[half][lane % 16 + 16 * at], all->of[W + half][4 * (lane / 16) + i + 16 * at]);
            else
                c[i] += dot(all->of[row / 8 + 2 * half][row % 8 * 4 + at], all->of[W + half][col * 4 + at]);
        }
    }
}

// WMMA of signed bytes as a meeting. Rows of activations are A, outputs B. Of gfx11 lane i has row i % 16 of A and
// column i % 16 of B, whole, so that both halves of a warp must give the same, and of D column i % 16, rows 2 * k + i
// / 16. Of gfx12 it has eight of K from 8 * (i / 16) on, which the kernel's word takes from the sixteen that it is
// given, and of D rows k + 8 * (i / 16). So the manuals of RDNA 3 and 4, and AMD's matrix instruction calculator, have
// them.
void simt_wave(int *c, const uint32_t *weights, const uint32_t *rows, int line) {
    enum { WORDS = 4, DEPTH = 16, SUMS = 8 };
    unsigned lane = simt_here.thread % simt_warp, half = lane / 16;
    uint32_t mine[2 * WORDS] = {0};
    if (simt_warp != 32) simt_stop("only a warp of 32 is a wave", line);
    bool whole = simt_waves == 11;
    for (unsigned i = 0; i < (whole ? WORDS : WORDS / 2); i++) {
        mine[i] = weights[whole ? i : 2 * half + i];
        mine[WORDS + i] = rows[whole ? i : 2 * half + i];
    }
    const struct words *all = meet(mine, 2 * WORDS, line);
    for (unsigned i = 0; whole && i < 2 * WORDS; i++)
        if (all->of[i][lane] != all->of[i][lane ^ 16]) simt_stop("the halves of a wave give different rows", line);
    for (unsigned k = 0; k < SUMS; k++) {
        unsigned row = whole ? 2 * k + half : k + 8 * half;
        for (unsigned i = 0; i < DEPTH; i += 4) {
            unsigned reg = whole ? i / 4 : i % 8 / 4, from = whole ? 0 : 16 * (i / 8);
            c[k] += dot(all->of[reg][lane % 16 + from], all->of[WORDS + reg][row + from]);
        }
    }
}

unsigned simt_wave_row(void) {
    unsigned lane = simt_here.thread % 16;
    return simt_waves == 11 ? lane : lane % 8 * 2 + lane / 8;
}

// ldmatrix.x4, as PTX's manual has it.
void simt_rows(uint32_t *out, const void *p, int line) {
    uintptr_t at = (uintptr_t)p;
    if (simt_warp != 32) simt_stop("only a warp of 32 has rows", line);
    if (at % 16) simt_stop("a row that is not aligned", line);
    const uint32_t mine[] = {(uint32_t)at, (uint32_t)((uint64_t)at >> 32)};
    const struct words *all = meet(mine, 2, line);
    unsigned lane = simt_here.thread % simt_warp;
    for (unsigned m = 0; m < 4; m++) {
        uint64_t from = (uint64_t)all->of[1][8 * m + lane / 4] << 32 | all->of[0][8 * m + lane / 4];
        memcpy(&out[m], (const uint32_t *)(uintptr_t)from + lane % 4, sizeof *out);
    }
}

// A copy is garbage until it is waited for, and is made as late as can be.
void simt_copy(void *to, const void *from, unsigned bytes, int line) {
    struct copies *c = &s.thread[simt_here.thread].copies;
    if ((uintptr_t)to % bytes || (uintptr_t)from % bytes) simt_stop("a copy that is not aligned", line);
    if (c->n == MOST_COPIES) simt_stop("too many copies on their way", line);
    memset(to, GARBAGE, bytes);
    c->of[c->n].bytes = bytes;
    c->of[c->n].to = to;
    c->of[c->n].from = from;
    c->of[c->n++].lot = c->lot;
}

void simt_send(void) { s.thread[simt_here.thread].copies.lot++; }

void simt_await(unsigned more) {
    struct copies *c = &s.thread[simt_here.thread].copies;
    unsigned left = 0;
    for (unsigned i = 0; i < c->n; i++)
        if (c->of[i].lot + more < c->lot)
            memcpy(c->of[i].to, c->of[i].from, c->of[i].bytes);
        else
            c->of[left++] = c->of[i];
    c->n = left;
}

void *simt_shared(size_t bytes) {
    if (!s.shared) {
        s.shared = malloc(bytes);
        s.shared_bytes = bytes;
        memset(s.shared, GARBAGE, bytes);
    }
    if (s.shared_bytes != bytes) simt_stop("memory of the block is asked for twice", __LINE__);
    return s.shared;
}

// What the launch asked for; NULL: nothing.
void *simt_room(void) { return s.room ? simt_shared(s.room) : NULL; }

static void run_thread(void *arg) {
    unsigned me = (unsigned)(uintptr_t)arg;
    simt_here.thread = me;
    s.body(s.args);
    if (s.thread[me].copies.n) simt_stop("copies that nobody waits for", __LINE__);
    s.thread[me].state = DONE;
    s.done++;
    fiber_switch(&s.thread[me].fiber, next(), true);
}

static void run_block(void) {
    s.n_ready = s.done = s.at_barrier = 0;
    memset(s.warp, 0, sizeof s.warp);
    for (unsigned t = 0; t < s.threads; t++) {
        s.thread[t].copies.n = s.thread[t].copies.lot = 0;
        fiber_make(&s.thread[t].fiber, s.stacks + (size_t)t * (STACK + APART), STACK, run_thread, (void *)(uintptr_t)t);
        wake(t);
    }
    fiber_switch(&s.scheduler, next(), false);
    if (s.done < s.threads) simt_stop("some threads wait for others that have ended", __LINE__);
    free(s.shared);
    s.shared = NULL;
}

void simt_run(void (*body)(const void *args), const char *name, const unsigned grid[3], const unsigned block[3],
              unsigned room, const void *args, size_t size) {
    s.kernel = name;
    s.room = room;
    s.body = body;
    s.threads = block[0];
    s.scheduler.stack = NULL; // of whichever thread this is
    if (block[0] % simt_warp || block[0] > MOST_THREADS || block[1] != 1 || block[2] != 1)
        simt_stop("not a block of whole warps", __LINE__);
    if (grid[1] > 65535 || grid[2] > 65535) simt_stop("a grid that no card takes", __LINE__);
    if (!s.stacks) {
        s.stacks = mmap(NULL, (size_t)MOST_THREADS * (STACK + APART), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (s.stacks == MAP_FAILED) abort();
    }
    void *own = malloc(size);
    memcpy(own, args, size);
    s.args = own;
    unsigned *at = simt_here.block;
    for (at[2] = 0; at[2] < grid[2]; at[2]++)
        for (at[1] = 0; at[1] < grid[1]; at[1]++)
            for (at[0] = 0; at[0] < grid[0]; at[0]++) run_block();
    free(own);
}
