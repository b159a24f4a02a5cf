// Operations on rows and elements, and attention, of a card of the emulation: the bytes of the CPU's plain C.
#include "device/cache.h"
#include "device/gpu/cards.h"
#include "device/gpu/gpu.h"
#include "device/gpu/kernels/args.h"
#include "pair.h"

enum { ROWS = 3 };

static void norms(void) {
    static const size_t dims[] = {1, 15, 64, 100, 4544, 8192, 9000};
    for (size_t i = 0; i < 14; i++) {
        size_t dim = dims[i % 7], parts = i % 4 == 3 ? 2 : 1;
        float *x = random_floats(ROWS * dim), *w = random_floats(parts * dim), *b = i % 3 ? random_floats(dim) : NULL;
        float *want = malloc(ROWS * dim * sizeof *want), *got = malloc(ROWS * dim * sizeof *got);
        if (i == 5) x[3] = NAN;
        enum norm_kind kind = i % 2 ? NORM_RMS : NORM_LAYER;
        cpu->ops->norm(cpu, kind, x, w, parts, b, 1e-5f, ROWS, dim, want);
        card->ops->norm(card, kind, x, w, parts, b, 1e-5f, ROWS, dim, got);
        check_floats("norm", got, want, ROWS * dim);
        free(x);
        free(w);
        free(b);
        free(want);
        free(got);
    }
}

#ifdef TEST_CARD
#define READ_RATE gpu_read_rate
#else
bool simt_gpu_read_rate(struct device *d, double *rate, gyr_error *e); // names.h
#define READ_RATE simt_gpu_read_rate
#endif

static void launch_reading(const struct read_args *a) {
    struct launch l = {"read_all", {a->blocks, 1, 1}, {THREADS, 1, 1}, 0, a, sizeof *a};
#ifdef TEST_CARD
    gyr_error e = {0};
    CHECK(gpu_launch(gpu_of(card), &l, &e) && card->ops->sync(card, &e));
#else
    simt_find(l.kernel)(l.grid, l.block, 0, l.args);
#endif
}

// All of it is read, whatever the number of blocks: the words together are those of the memory.
static void memory_is_read(void) {
    enum { N = 5 * 8 * 3 * THREADS + 77, MOST = 3 };
    uint32_t *x = malloc((size_t)N * 16), *out = malloc(MOST * THREADS * sizeof *out);
    double rate = 0;
    gyr_error e = {0};
    for (size_t n = 0; n < N; n += n < 2 * THREADS ? 97 : 3001)
        for (uint32_t blocks = 1; blocks <= MOST; blocks += 2) {
            uint32_t want = 0, got = 0;
            for (size_t i = 0; i < 4 * n; i++) want ^= x[i] = (uint32_t)(i * 2654435761u) ^ (uint32_t)(i >> 3);
            launch_reading(&(struct read_args){(const dbyte *)x, (dword *)out, n, blocks});
            for (size_t i = 0; i < blocks * THREADS; i++) got ^= out[i];
            CHECK_INT(got, want);
        }
    CHECK(READ_RATE(card, &rate, &e) && rate > 0);
    free(x);
    free(out);
}

static void elements(void) {
    enum { N = 1500 };
    float *x = bad_floats(N), *y = bad_floats(N), want[N], got[N];
    for (int i = 0; i < 10; i++) {
        struct device *both[] = {cpu, card};
        for (int d = 0; d < 2; d++) {
            const struct device_ops *ops = both[d]->ops;
            float *out = d ? got : want;
            memcpy(out, x, sizeof want);
            if (i < 6) ops->activate(both[d], (enum activation)i, out, N);
            if (i == 6) ops->scale(both[d], out, 0.3f, N);
            if (i == 7) ops->clamp(both[d], out, 0.7f, N);
            if (i == 8) ops->cap(both[d], out, 30, N);
            if (i == 9) ops->add(both[d], out, y, N);
        }
        check_floats("elements", got, want, N);
    }
    free(x);
    free(y);
}

// So many that a thread takes several.
static void many_elements(void) {
    enum { N = (1 << 17) + 333 };
    float *x = bad_floats(N), *y = bad_floats(N), *out[2] = {bad_floats(N), bad_floats(N)};
    for (int i = 0; i < 2; i++) {
        struct device *both[] = {cpu, card};
        for (int d = 0; d < 2; d++) {
            memcpy(out[d], x, N * sizeof *x);
            if (i)
                both[d]->ops->add(both[d], out[d], y, N);
            else
                both[d]->ops->activate(both[d], ACT_SILU, out[d], N);
        }
        check_floats("many elements", out[1], out[0], N);
    }
    free(x);
    free(y);
    free(out[0]);
    free(out[1]);
}

static void rows(void) {
    enum { DIM = 300, STRIDE = 310 };
    float *x = bad_floats((ROWS + 1) * STRIDE), *y = random_floats((ROWS + 1) * STRIDE), by[2 * ROWS];
    int32_t from[2 * ROWS];
    for (int i = 0; i < 2 * ROWS; i++) {
        from[i] = (int32_t)random_size(0, ROWS - 1);
        by[i] = random_float();
    }
    for (int i = 0; i < 6; i++) {
        float want[ROWS * STRIDE] = {0}, got[ROWS * STRIDE] = {0};
        for (int d = 0; d < 2; d++) {
            struct device *on = d ? card : cpu;
            float *out = d ? got : want;
            struct gate g = {i ? ACT_SILU : ACT_GELU, ROWS, DIM, STRIDE, x, y, out, i == 2 ? 7 : 0, 1.702f};
            if (i < 3) on->ops->gate(on, &g);
            if (i == 3) on->ops->move(on, x, STRIDE, out, DIM + 3, ROWS, DIM);
            if (i > 3) on->ops->sum_rows(on, &(struct sum_rows){ROWS, 2, DIM, from, i == 4 ? by : NULL, x, out});
        }
        check_floats("rows", got, want, ROWS * STRIDE);
    }
    free(x);
    free(y);
}

static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};

static void copy_slabs(struct kv_array to, struct kv_array from, size_t bytes) {
    for (size_t i = 0; from.slab[i]; i++) memcpy(to.slab[i], from.slab[i], bytes);
}

// Both write into a cache of the same bytes, which must be the same behind it.
static void try_qkv(struct qkv a, size_t length, bool normed, bool borrows) {
    size_t slab = SLAB_PAGES * (kv_key_bytes(&a.kv) + kv_value_bytes(&a.kv));
    struct cache c = random_cache(a.kv, 2, length), other = random_cache(a.kv, 2, length);
    copy_slabs(other.k, c.k, slab);
    struct attention_row row[ROWS];
    for (size_t r = 0; r < ROWS; r++)
        row[r] = (struct attention_row){(uint32_t)(r % 2 * c.per_sequence), (uint32_t)random_size(0, length - 1)};
    size_t group = a.heads / a.kv.heads, dim = a.kv.key_dim, n = ROWS * a.heads * dim;
    float *x = random_floats(ROWS * (a.heads + 2 * a.kv.heads) * (dim + a.kv.value_dim) + 1);
    float *w = random_floats(a.heads * dim), *angles = random_floats(ROWS * dim);
    float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
    size_t wide = group * dim + dim + a.kv.value_dim;
    a.q_in = (struct projected){x, a.kv.heads * wide, wide};
    a.k_in = (struct projected){x + group * dim, a.kv.heads * wide, wide};
    a.v_in = (struct projected){x + group * dim + dim, a.kv.heads * wide, wide};
    if (normed) a.q_norm = a.k_norm = w, a.norm_eps = 1e-6f, a.norm = a.heads % 2 ? NORM_RMS : NORM_LAYER;
    if (a.rotary_dim) a.angles = angles;
    for (int d = 0; d < 2; d++) {
        struct cache *to = d ? &other : &c;
        a.at = (struct seats){row, c.table, length};
        a.k = borrows ? (struct kv_array){0} : to->k;
        a.v = borrows ? (struct kv_array){0} : to->v;
        a.q = d ? got : want;
        (d ? card : cpu)->ops->qkv(d ? card : cpu, &a);
    }
    check_floats("queries", got, want, n);
    for (size_t i = 0; c.k.slab[i]; i++) CHECK(!memcmp(c.k.slab[i], other.k.slab[i], slab));
    free_cache(&c);
    free_cache(&other);
    free(x);
    free(w);
    free(angles);
    free(want);
    free(got);
}

static void qkv(void) {
    static const size_t dims[] = {64, 128, 24, 17, 1, 96, 320};
    for (size_t i = 0; i < 14; i++) {
        size_t dim = dims[i % 7], heads = random_size(1, 2);
        struct qkv a = {.rows = ROWS, .heads = heads * random_size(1, 3), .kv = {types[i % 3], heads, dim, dim}};
        if (i % 5 == 1) a.kv.value_dim = random_size(1, 50);
        a.rotary_dim = i % 3 ? dim / 2 * 2 : dim / 4 * 2;
        a.pairs = i % 2 ? PAIRS_ADJACENT : PAIRS_HALVES;
        a.norm_step = i % 4 == 2 ? dim : 0;
        try_qkv(a, 70, i % 4 > 1, i == 12);
    }
}

// As many of a row's positions as it may attend to, ascending.
static void choose(const struct attention *a, int32_t *chosen) {
    for (size_t r = 0; r < a->rows; r++) {
        size_t n = a->at.row[r].position + 1u, left = a->most;
        int32_t *out = chosen + r * a->most;
        for (size_t t = 0; t < n && n > a->most; t++)
            if (random_size(1, n - t) <= left) *out++ = (int32_t)t, left--;
    }
}

static void try_attention(struct attention a, size_t length, bool slopes, bool sinks, float size) {
    struct cache c = random_cache(a.kv, 2, length);
    struct attention_row row[ROWS] = {{0, (uint32_t)length - 1}};
    for (size_t r = 1; r < ROWS; r++) {
        uint32_t p = (uint32_t)random_size(0, length - 1);
        row[r] = (struct attention_row){(uint32_t)(r % 2 * c.per_sequence), p};
        if (r == 2) row[r].ahead = (uint32_t)random_size(0, length - 1 - p);
    }
    size_t n = ROWS * a.heads * a.kv.key_dim, m = ROWS * a.heads * a.kv.value_dim;
    float *q = malloc(n * sizeof *q), *want = malloc(m * sizeof *want), *got = malloc(m * sizeof *got), per_head[80];
    int32_t *chosen = malloc(ROWS * (a.most + 1) * sizeof *chosen);
    for (size_t i = 0; i < n; i++) q[i] = random_float() * size;
    for (size_t h = 0; h < a.heads; h++) per_head[h] = 1 / (float)(h + 2);
    a.rows = ROWS;
    a.q = q;
    a.k = c.k;
    a.v = c.v;
    a.at = (struct seats){row, c.table, length};
    a.scale = 1 / sqrtf((float)a.kv.key_dim);
    if (slopes) a.slopes = per_head;
    if (sinks) a.sinks = per_head;
    if (a.most) choose(&a, chosen), a.chosen = chosen;
    a.out = want;
    cpu->ops->attention(cpu, &a);
    a.out = got;
    card->ops->attention(card, &a);
    check_floats("attention", got, want, m);
    free_cache(&c);
    free(q);
    free(want);
    free(got);
    free(chosen);
}

static void attention(void) {
    static const size_t dims[] = {64, 80, 17, 128, 1, 300};
    for (size_t i = 0; i < 18; i++) {
        size_t heads = random_size(1, 2), dim = dims[i % 6];
        struct attention a = {.heads = heads * random_size(1, 3), .kv = {types[i % 3], heads, dim, dim}};
        if (i % 4 == 1) a.kv.value_dim = random_size(1, 70);
        if (i % 5 == 2) a.window = (uint32_t)random_size(1, 600);
        if (i % 4 == 3) a.softcap = 1.5f;
        a.alibi_bf16 = i % 2;
        try_attention(a, i % 3 ? 70 : 1100, i % 4 == 2, i % 5 == 1, i % 6 == 5 ? 300 : 2);
    }
}

// So many that blocks take several of them.
static void attention_of_many_heads(void) {
    static const size_t dims[] = {64, 40, 18, 128, 80, 250};
    for (size_t i = 0; i < 6; i++) {
        size_t heads = i % 2 + 1;
        struct attention a = {.heads = heads * (i % 3 ? 35 : 30),
                              .kv = {types[i % 3], heads, dims[i], dims[(i + i / 3) % 6]}};
        if (i == 4) a.window = 77;
        if (i == 3) a.softcap = 1.5f;
        try_attention(a, i % 2 ? 600 : 1100, i == 1, i == 2, 2);
    }
}

// Many queries at a time: rows of sequences side by side, more of them than a block takes.
static void attention_of_prompts(void) {
    enum { SEQUENCES = 2, ROWS_THERE = 30 };
    static const struct {
        size_t heads, group, key_dim, value_dim, length;
        uint32_t window;
    } all[] = {{1, 70, 64, 64, 540, 0}, {2, 25, 20, 44, 560, 90}, {1, 64, 132, 128, 525, 40}, {2, 60, 72, 4, 70, 0}};
    for (size_t i = 0; i < 4; i++) {
        size_t length = all[i].length, heads = all[i].heads, rows = ROWS_THERE, dim = all[i].key_dim;
        struct kv_shape kv = {TYPE_F16, heads, dim, all[i].value_dim};
        struct cache c = random_cache(kv, SEQUENCES, length);
        struct attention a = {.rows = rows, .heads = heads * all[i].group, .kv = kv, .k = c.k, .v = c.v};
        struct attention_row row[ROWS_THERE];
        for (size_t r = 0; r < rows; r++) {
            size_t sequence = r * SEQUENCES / rows;
            row[r] = (struct attention_row){(uint32_t)(sequence * c.per_sequence), (uint32_t)(length - rows + r)};
        }
        size_t n = rows * a.heads * dim, m = rows * a.heads * kv.value_dim;
        float *q = random_floats(n), *sinks = random_floats(a.heads), *want = malloc(m * sizeof *want),
              *got = malloc(m * sizeof *got);
        if (i == 2) q[100] = NAN;
        a.q = q;
        a.at = (struct seats){row, c.table, length, i == 1 ? rows : SEQUENCES};
        a.scale = 1 / sqrtf((float)dim);
        if (i == 1) a.sinks = sinks;
        a.window = all[i].window;
        a.out = want;
        cpu->ops->attention(cpu, &a);
        a.out = got;
        card->ops->attention(card, &a);
        check_floats("attention of prompts", got, want, m);
        free_cache(&c);
        free(q);
        free(sinks);
        free(want);
        free(got);
    }
}

static void attention_to_a_choice(void) {
    for (size_t i = 0; i < 6; i++) {
        struct attention a = {.heads = 4, .kv = {types[i % 3], 2, 32, 24}, .most = i < 3 ? 40 : 600};
        try_attention(a, i < 3 ? 100 : 800, false, false, 2);
    }
}

// Keys and values that are no numbers are seen; scales of all sizes.
static void bad_attention(void) {
    enum { DIM = 40, TOKENS = 560 };
    static const float sizes[] = {NAN, INFINITY, 0, 1e-45f, 1e-39f, 1e-34f, 1e30f, 1};
    for (size_t i = 0; i < 24; i++) {
        struct kv_shape s = {types[i % 3], 1, DIM, DIM};
        struct cache c = random_cache(s, 1, TOKENS);
        float x[DIM], *q = random_floats(DIM), want[DIM], got[DIM];
        for (size_t t = i / 3 < 2 ? 500 : 0; t < (i / 3 < 2 ? 501 : TOKENS); t++) {
            for (size_t k = 0; k < DIM; k++) x[k] = random_float() * sizes[i / 3];
            kv_write_value(&s, c.v, c.table[t / PAGE_TOKENS], 0, t % PAGE_TOKENS, x);
            if (i % 2) kv_write_key(&s, c.k, c.table[t / PAGE_TOKENS], 0, t % PAGE_TOKENS, x);
        }
        struct attention_row row = {0, TOKENS - 1};
        struct attention a = {1, 1, s, q, want, c.k, c.v, {&row, c.table, TOKENS}, .scale = 0.1f};
        cpu->ops->attention(cpu, &a);
        a.out = got;
        card->ops->attention(card, &a);
        check_floats("bad attention", got, want, DIM);
        free(q);
        free_cache(&c);
    }
}

int main(void) {
    BOTH_WARPS(RUN(norms); RUN(memory_is_read); RUN(elements); RUN(many_elements); RUN(rows); RUN(qkv); RUN(attention);
               RUN(attention_of_many_heads); RUN(attention_of_prompts); RUN(attention_to_a_choice); RUN(bad_attention);)
    return test_end();
}
