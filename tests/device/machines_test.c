// The same bytes on every machine: a hash of what each operation gives for fixed data is a constant of this file,
// whatever the chip. To change one is to change docs/arithmetic.md.
#include "device/rope.h"

#include "cache.h"
#include "random.h"
#include "sets.h"

enum { ROWS = 3, WIDTH = 768 };

static struct device *devices[SETS];
static int count;

static void open_devices(void) {
    for (int i = 0; i < SETS; i++) {
        struct device *d = device_cpu((unsigned)i % 3 + 1, sets[i], NULL);
        if (d) devices[count++] = d;
    }
}

static bool device_has(const char *set) {
    for (int i = 0; i < count; i++)
        if (!strcmp(device_cpu_isa(devices[i]), set)) return true;
    return false;
}

// FNV-1a, 64 bits, of the floats' bits, the same in either order of bytes; a NaN is a NaN.
static uint64_t hash(const float *x, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        if (isnan(x[i])) bits = 0x7fc00000;
        for (int b = 0; b < 32; b += 8) h = (h ^ (bits >> b & 255)) * 0x100000001b3u;
    }
    return h;
}

static void check(const char *what, const struct device *d, const float *x, size_t n, uint64_t want) {
    uint64_t got = hash(x, n);
    if (got == want) return;
    printf("%s, %s: 0x%016llx\n", what, d ? device_cpu_isa(d) : "no device", (unsigned long long)got);
    CHECK(!"the hash that docs/arithmetic.md's arithmetic has");
}

static void products(void) {
    static const uint64_t want[TYPE_LIMIT] = {
        [TYPE_F32] = 0xcd40555eccdb8690,     [TYPE_F16] = 0x5bf18dcdbfb7ddbf,     [TYPE_Q4_0] = 0x3194c3227b893ab3,
        [TYPE_Q4_1] = 0x339c56650f284bff,    [TYPE_Q5_0] = 0x1ade68cc9f617543,    [TYPE_Q5_1] = 0xeb3d70456a97997e,
        [TYPE_Q8_0] = 0x21c34121de869833,    [TYPE_Q2_K] = 0xc7d132be1c099319,    [TYPE_Q3_K] = 0xce7d1441930ecac4,
        [TYPE_Q4_K] = 0xfc835d920dd72820,    [TYPE_Q5_K] = 0x0cac11cd24e74571,    [TYPE_Q6_K] = 0x1ffad3ac4374f735,
        [TYPE_IQ4_NL] = 0x6662f735f7ead986,  [TYPE_IQ4_XS] = 0x5df870d46fc09f89,  [TYPE_BF16] = 0x22262698990aa2bc,
        [TYPE_MXFP4] = 0x55939c08dcee97e1,   [TYPE_IQ2_XXS] = 0x927044699eaf9f29, [TYPE_IQ2_XS] = 0xa66ee9293ef7e276,
        [TYPE_IQ3_XXS] = 0x8a393c798ebcb3f8, [TYPE_IQ1_S] = 0xe3c7d870ee802e2b,   [TYPE_IQ3_S] = 0x34c34a06a4e262ad,
        [TYPE_IQ2_S] = 0xc038c62c7005a1fe,   [TYPE_IQ1_M] = 0x40cfc5c7518ddbb9,   [TYPE_TQ1_0] = 0x31b0df5bef9dfc73,
        [TYPE_TQ2_0] = 0x44cf39fa423a7043,   [TYPE_NVFP4] = 0x0161211d7c3b6521,   [TYPE_Q1_0] = 0x6364b3f215ffd3e1,
        [TYPE_Q2_0] = 0xa4ca71ddc2334952,
    };
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t)) continue;
        random_state = t + 1;
        struct weight w = random_weight((enum type)t, 37, WIDTH);
        float *x = random_floats(ROWS * WIDTH), *bias = random_floats(w.rows), y[ROWS * 37];
        for (int d = 0; d < count; d++) {
            const struct device_ops *ops = devices[d]->ops;
            REQUIRE(ops->bind(devices[d], &w, NULL));
            ops->matmul(devices[d], &w, x, ROWS, bias, y);
            check(type_info(t)->name, devices[d], y, ROWS * w.rows, want[t]);
            ops->unbind(devices[d], &w);
        }
        free(x);
        free(bias);
        free((void *)w.data);
    }
}

// A step on the way through the rows.
enum step {
    LAYER_NORM,
    RMS_NORM,
    GELU,
    GELU_TANH,
    SILU,
    RELU,
    RELU2,
    GATE,
    GATE_LIMITED,
    ADD,
    SCALE,
    CAP,
    CLAMP,
    STEPS
};

static void apply(struct device *d, enum step step, const float *x, const float *w, float *y) {
    static const enum activation kinds[] = {ACT_GELU, ACT_GELU_TANH, ACT_SILU, ACT_RELU, ACT_RELU2};
    const struct device_ops *ops = d->ops;
    struct gate g = {ACT_SILU, ROWS, WIDTH, WIDTH, x, w, y, .alpha = 1.702f};
    if (step == GATE_LIMITED) g.limit = 7;
    memcpy(y, x, ROWS * WIDTH * sizeof *y);
    switch (step) {
    case LAYER_NORM: ops->norm(d, NORM_LAYER, x, w, 1, w + WIDTH, 1e-5f, ROWS, WIDTH, y); return;
    case RMS_NORM: ops->norm(d, NORM_RMS, x, w, 1, NULL, 1e-6f, ROWS, WIDTH, y); return;
    case GATE:
    case GATE_LIMITED: ops->gate(d, &g); return;
    case ADD: ops->add(d, y, w, ROWS * WIDTH); return;
    case SCALE: ops->scale(d, y, 0.3f, ROWS * WIDTH); return;
    case CLAMP: ops->clamp(d, y, 0.7f, ROWS * WIDTH); return;
    case CAP: ops->cap(d, y, 30, ROWS * WIDTH); return;
    default: ops->activate(d, kinds[step - GELU], y, ROWS * WIDTH);
    }
}

static void steps(void) {
    static const char *const names[STEPS] = {"layer norm", "rms norm",     "gelu", "gelu by tanh", "silu",
                                             "relu",       "squared relu", "gate", "limited gate", "add",
                                             "scale",      "cap",          "clamp"};
    static const uint64_t want[STEPS] = {
        0xf037a05887d2ca66, 0x5e6ef2c32bc4c0cc, 0x3f1f74ce1a0ad0cb, 0xb80e022e72b5ee27, 0x69df89f8ab371437,
        0x82a1f1e8c3beff41, 0x3c7d16b88db965ee, 0xa17a92b01d542eb3, 0x4120d55bb5c42ca9, 0x8e46a741b0e095e0,
        0x4981c5bbe022cfb1, 0xf03593b3099aefd0, 0xe1920692c24152c6,
    };
    random_state = 1;
    float *x = random_floats(ROWS * WIDTH), *w = random_floats(ROWS * WIDTH), y[ROWS * WIDTH];
    for (int s = 0; s < STEPS; s++)
        for (int d = 0; d < count; d++) {
            apply(devices[d], (enum step)s, x, w, y);
            check(names[s], devices[d], y, ROWS * WIDTH, want[s]);
        }
    free(x);
    free(w);
}

static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8_0};

// Every second one has ALiBi and a soft cap, every third a window and sinks.
static void attention(void) {
    static const uint64_t want[12] = {
        0x89f1d4dbed35c148, 0x07e9eac826d1cbbf, 0x83bc1b7227bfe534, 0xe86033da9ce5a969,
        0x4dabde835b1ba4d9, 0x7c9afd28d3fa3d98, 0x8710541b4b1f16b4, 0xbde5ad31ff7fd135,
        0xd017f73fe9e90387, 0x5ad2785959e7e895, 0x3547bd1b2c50b62d, 0xd96f1d79c97fe8b8,
    };
    enum { HEADS = 6, DIM = 48, LENGTH = 1100 };
    for (int i = 0; i < 12; i++) {
        random_state = (uint64_t)i + 1;
        struct attention a = {.rows = ROWS, .heads = HEADS, .kv = {types[i % 3], i % 4 ? 2 : 6, DIM, i % 5 ? DIM : 40}};
        struct cache c = random_cache(a.kv, 1, LENGTH);
        struct attention_row row[ROWS] = {{0, LENGTH - 1}, {0, 300}, {0, 301}};
        float q[ROWS * HEADS * DIM], out[ROWS * HEADS * DIM], per_head[HEADS];
        for (int k = 0; k < ROWS * HEADS * DIM; k++) q[k] = random_float() * 4;
        for (int h = 0; h < HEADS; h++) per_head[h] = 1.0f / (float)(h + 3);
        a.q = q;
        a.out = out;
        a.k = c.k;
        a.v = c.v;
        a.at = (struct seats){row, c.table, LENGTH};
        a.scale = 0.15f;
        if (i % 2) a.slopes = per_head, a.softcap = 20, a.alibi_bf16 = i % 4 == 1;
        if (i % 3 == 2) a.window = 700, a.sinks = per_head;
        for (int d = 0; d < count; d++) {
            devices[d]->ops->attention(devices[d], &a);
            check("attention", devices[d], out, a.rows * a.heads * a.kv.value_dim, want[i]);
        }
        free_cache(&c);
    }
}

// Queries, keys and values with norms and rotation, and what the cache then holds.
static void qkv(void) {
    static const uint64_t want[6] = {
        0xe3994cfc5af09425, 0x4d2ea79a8595dcaa, 0x306d8da95465e0a8,
        0xc891a1b8ac2a3222, 0xb3498e7774391a52, 0xd3e474697f6dc1a7,
    };
    enum { HEADS = 4, DIM = 40, PAIRS = 16, POSITIONS = 70, OUT = ROWS * HEADS * DIM };
    float frequency[PAIRS], table[POSITIONS * PAIRS * 2], angles[ROWS * PAIRS * 2], in[ROWS * HEADS * DIM], y[3 * OUT];
    rope_frequencies(frequency, 2 * PAIRS, 10000);
    rope_table(table, POSITIONS, PAIRS, frequency, 1);
    for (int i = 0; i < 6; i++) {
        random_state = (uint64_t)i + 1;
        struct qkv a = {.rows = ROWS, .heads = HEADS, .kv = {types[i % 3], HEADS, DIM, DIM}, .q = y, .norm_eps = 1e-6f};
        struct cache c = random_cache(a.kv, 1, POSITIONS);
        struct attention_row row[ROWS] = {{0, 69}, {0, 0}, {0, 33}};
        for (int k = 0; k < OUT; k++) in[k] = random_float() * 3;
        a.q_in = a.k_in = a.v_in = (struct projected){in, HEADS * DIM, DIM};
        if (i > 2) a.norm = NORM_RMS, a.q_norm = a.k_norm = in;
        for (int r = 0; r < ROWS; r++)
            memcpy(angles + r * 2 * PAIRS, table + row[r].position * 2 * PAIRS, 2 * PAIRS * sizeof *table);
        a.angles = angles;
        a.rotary_dim = 2 * PAIRS;
        a.pairs = i % 2 ? PAIRS_ADJACENT : PAIRS_HALVES;
        a.at = (struct seats){row, c.table, POSITIONS};
        a.k = c.k;
        a.v = c.v;
        for (int d = 0; d < count; d++) {
            devices[d]->ops->qkv(devices[d], &a);
            for (size_t k = 0; k < OUT; k++) {
                size_t r = k / (HEADS * DIM), p = row[r].position, page = c.table[p / PAGE_TOKENS];
                struct kv_vector key = kv_key(&a.kv, c.k, page, k / DIM % HEADS, p % PAGE_TOKENS);
                struct kv_vector value = kv_value(&a.kv, c.v, page, k / DIM % HEADS, p % PAGE_TOKENS);
                y[OUT + k] = kv_get(&key, k % DIM);
                y[2 * OUT + k] = kv_get(&value, k % DIM);
            }
            check("qkv", devices[d], y, 3 * OUT, want[i]);
        }
        free_cache(&c);
    }
}

static void rope(void) {
    enum { PAIRS = 64, POSITIONS = 3000 };
    float frequency[PAIRS], *table = malloc(POSITIONS * PAIRS * 2 * sizeof *table);
    rope_frequencies(frequency, 2 * PAIRS, 500000);
    rope_table(table, POSITIONS, PAIRS, frequency, 1.1f);
    check("frequencies", NULL, frequency, PAIRS, 0x0b90a58d0c177ffe);
    check("rotations", NULL, table, (size_t)POSITIONS * PAIRS * 2, 0x9352938f57f69829);
    free(table);
}

static void routes(void) {
    enum { EXPERTS = 16, USED = 4 };
    static const uint64_t want[3] = {
        0x35459bd22af5364a,
        0x3b008eed09579fb7,
        0x8604998636850155,
    };
    float logits[ROWS * EXPERTS], work[2 * ROWS * EXPERTS], got[2 * ROWS * USED];
    int32_t expert[ROWS * USED];
    random_state = 1;
    for (int i = 0; i < ROWS * EXPERTS; i++) logits[i] = random_float() * 4;
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < count; d++) {
            struct route a = {.score = (enum route_score)i, .rows = ROWS, .experts = EXPERTS, .used = USED};
            a.logits = logits;
            a.normed = i == 2;
            a.scale = 2.5f;
            a.expert = expert;
            a.weight = got;
            a.work = work;
            devices[d]->ops->route(devices[d], &a);
            for (int k = 0; k < ROWS * USED; k++) got[ROWS * USED + k] = (float)expert[k];
            check("route", devices[d], got, 2 * ROWS * USED, want[i]);
        }
}

// What an indexer chooses, and attention to that.
static void choices(void) {
    static const uint64_t want[6] = {
        0x2a183ba3e96e6636, 0x90a0b0e3548a2961, 0x76a24af1c7025644,
        0x1f478b1f002d1bea, 0x7ea1a65dfd26b6fa, 0x9f62cacbf05e7963,
    };
    enum { HEADS = 7, DIM = 40, LENGTH = 700, MOST = 555 };
    for (int i = 0; i < 3; i++) {
        random_state = (uint64_t)i + 1;
        struct choice a = {.rows = ROWS, .heads = HEADS, .most = MOST, .kv = {types[i], 1, DIM, 0}, .scale = 0.1f};
        struct attention to = {.rows = ROWS, .heads = HEADS, .kv = {types[i], 1, DIM, DIM}, .scale = 0.2f};
        struct cache c = random_cache(a.kv, 1, LENGTH), kv = random_cache(to.kv, 1, LENGTH);
        struct attention_row row[ROWS] = {{0, LENGTH - 1}, {0, 554}, {0, 600}};
        static float q[ROWS * HEADS * DIM], weight[ROWS * HEADS], out[ROWS * HEADS * DIM], work[736],
            chosen[ROWS * MOST];
        static int32_t list[ROWS * MOST];
        for (int k = 0; k < ROWS * HEADS * DIM; k++) q[k] = random_float() * 4;
        for (int k = 0; k < ROWS * HEADS; k++) weight[k] = random_float();
        a.q = to.q = q;
        a.weight = weight;
        a.k = c.k;
        to.k = kv.k;
        to.v = kv.v;
        a.at = to.at = (struct seats){row, c.table, LENGTH};
        to.chosen = a.chosen = list;
        to.most = MOST;
        to.out = out;
        a.work = work;
        a.room = 736;
        for (int d = 0; d < count; d++) {
            memset(list, 0, sizeof list);
            devices[d]->ops->choose(devices[d], &a);
            for (int k = 0; k < ROWS * MOST; k++) chosen[k] = (float)list[k];
            check("choice", devices[d], chosen, (size_t)ROWS * MOST, want[i]);
            devices[d]->ops->attention(devices[d], &to);
            check("attention to it", devices[d], out, (size_t)ROWS * HEADS * DIM, want[3 + i]);
        }
        free_cache(&c);
        free_cache(&kv);
    }
}

#if defined(__x86_64__)
// Whether the system names all of these among the CPU's flags: what the CPU has and the system lets a program use.
static bool system_says(const char *const *flags) {
    static char line[8192];
    FILE *f = fopen("/proc/cpuinfo", "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line - 1, f)) found = !strncmp(line, "flags", 5);
    if (f) fclose(f);
    line[strcspn(line, "\n")] = ' '; // one after each flag
    for (; found && *flags; flags++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", *flags);
        found = strstr(line, word);
    }
    return found;
}

static void the_system_agrees_which_sets_are_here(void) {
    const char *const avx2[] = {"avx", "avx2", "fma", "f16c", NULL};
    const char *const avx512[] = {"avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", NULL};
    const char *const amx[] = {"avx512_vnni", "amx_tile", "amx_int8", NULL};
    const char *const none[] = {"sse2", NULL};
    if (!system_says(none)) SKIP("no flags in /proc/cpuinfo");
    CHECK_INT(device_has("avx2"), system_says(avx2));
    CHECK_INT(device_has("avx512"), system_says(avx512));
    CHECK(!device_has("amx") || system_says(amx)); // a sandbox may keep the tiles' registers from us
}
#endif

int main(void) {
    open_devices();
    sets_report(device_has);
#if defined(__x86_64__)
    RUN(the_system_agrees_which_sets_are_here);
#endif
    RUN(products);
    RUN(steps);
    RUN(attention);
    RUN(qkv);
    RUN(rope);
    RUN(routes);
    RUN(choices);
    for (int d = 0; d < count; d++) devices[d]->ops->close(devices[d]);
    return test_end();
}
