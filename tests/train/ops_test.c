// The operations of training and their gradients against PyTorch's autograd (tests/data/train, by
// tools/goldens/backward.py), and the same bytes on any number of threads.
#include "../device/random.h"
#include "test.h"
#include "train/muon.h"
#include "train/ops.h"
#include "train/tree.h"

enum { ARRAYS = 512 };

static struct {
    char name[ARRAYS][32];
    float *at[ARRAYS];
    size_t n[ARRAYS], count;
    float *all;
} golden;

static const float tolerance = 2e-5f;

static bool load(void) {
    FILE *f = fopen(test_data("train/ops.txt"), "r"), *g = fopen(test_data("train/ops.bin"), "rb");
    char one[16], two[16];
    size_t n, total = 0;
    while (f && golden.count < ARRAYS && fscanf(f, "%15s %15s %zu", one, two, &n) == 3) {
        snprintf(golden.name[golden.count], sizeof golden.name[0], "%s.%s", one, two);
        golden.n[golden.count++] = n;
        total += n;
    }
    golden.all = malloc((total + 1) * sizeof(float));
    bool ok = g && golden.all && fread(golden.all, sizeof(float), total, g) == total && fgetc(g) == EOF;
    float *at = golden.all;
    for (size_t i = 0; ok && i < golden.count; at += golden.n[i++]) golden.at[i] = at;
    if (f) fclose(f);
    if (g) fclose(g);
    return ok && golden.count;
}

static const float *get(const char *name, size_t n) {
    for (size_t i = 0; i < golden.count; i++)
        if (!strcmp(golden.name[i], name) && golden.n[i] == n) return golden.at[i];
    printf("  no golden %s of %zu\n", name, n);
    abort();
}

static void near(const char *name, const float *got, size_t n) {
    const float *want = get(name, n);
    float far = 0;
    for (size_t i = 0; i < n; i++) {
        float d = fabsf(got[i] - want[i]) / (1 + fabsf(want[i]));
        far = d > far || isnan(d) ? d : far;
        if (isnan(d)) break;
    }
    if (!(far <= tolerance)) printf("  %s: farthest %.2g\n", name, (double)far);
    CHECK(far <= tolerance);
}

static const char *of(const char *one, const char *two) {
    static char name[4][32];
    static int turn;
    char *p = name[turn++ % 4];
    snprintf(p, sizeof name[0], "%s.%s", one, two);
    return p;
}

static void norms(void) {
    for (int mean = 0; mean < 2; mean++) {
        const char *c = mean ? "layer" : "rms";
        float y[160], dx[160], dw[32] = {0}, db[32] = {0}, saved[10];
        struct norm_op o = {mean, 5, 32, 1e-5f, get(of(c, "w"), 32), mean ? get(of(c, "b"), 32) : NULL};
        const float *x = get(of(c, "x"), 160);
        norm_forward(&o, x, y, saved);
        norm_backward(&o, x, saved, get(of(c, "dy"), 160), dx, dw, mean ? db : NULL);
        near(of(c, "y"), y, 160);
        near(of(c, "dx"), dx, 160);
        near(of(c, "dw"), dw, 32);
        near(of(c, "db"), db, 32);
    }
}

// A vector a head, each with weights of its own.
static void norms_of_heads(void) {
    float y[160], dx[160], dw[32] = {0}, saved[40];
    struct norm_op o = {.rows = 20, .dim = 8, .eps = 1e-5f, .w = get("heads.w", 32), .parts = 4};
    const float *x = get("heads.x", 160);
    norm_forward(&o, x, y, saved);
    norm_backward(&o, x, saved, get("heads.dy", 160), dx, dw, NULL);
    near("heads.y", y, 160);
    near("heads.dx", dx, 160);
    near("heads.dw", dw, 32);
}

enum { ROWS = 6, IN = 64, OUT = 40, RANK = 4 };

struct gradients {
    float y[ROWS * OUT], dx[ROWS * IN], da[RANK * IN], db[OUT * RANK];
};

static bool run_linear(enum type type, const void *w, unsigned threads, struct gradients *g) {
    struct pool *pool = pool_new(threads, NULL);
    float saved[ROWS * RANK];
    struct linear_op o = {.pool = pool,
                          .rows = ROWS,
                          .in = IN,
                          .out = OUT,
                          .rank = RANK,
                          .type = type,
                          .w = w,
                          .bias = get("linear.bias", OUT),
                          .a = get("linear.a", RANK * IN),
                          .b = get("linear.b", OUT * RANK),
                          .scale = 0.5f};
    const float *x = get("linear.x", ROWS * IN);
    memset(g, 0, sizeof *g);
    bool ok = pool && linear_forward(&o, x, g->y, saved, NULL) &&
              linear_backward(&o, x, saved, get("linear.dy", ROWS * OUT), g->dx, g->da, g->db, NULL);
    pool_free(pool);
    return ok;
}

static void linear(void) {
    static struct gradients one, three, quantized;
    const float *w = get("linear.w", OUT * IN);
    static uint8_t blocks[OUT * IN * 2];
    REQUIRE(run_linear(TYPE_F32, w, 1, &one) && run_linear(TYPE_F32, w, 3, &three));
    near("linear.y", one.y, ROWS * OUT);
    near("linear.dx", one.dx, ROWS * IN);
    near("linear.da", one.da, RANK * IN);
    near("linear.db", one.db, OUT * RANK);
    CHECK(!memcmp(&one, &three, sizeof one));
    type_info(TYPE_Q8_0)->encode(w, OUT * IN, blocks); // which holds them as they are
    REQUIRE(run_linear(TYPE_Q8_0, blocks, 2, &quantized));
    CHECK(!memcmp(&one, &quantized, sizeof one));
}

// Gradients of parameters are added to what is there.
static void gradients_are_added(void) {
    static struct gradients g;
    struct pool *pool = pool_new(1, NULL);
    struct linear_op o = {.pool = pool,
                          .rows = 1,
                          .in = 2,
                          .out = 1,
                          .rank = 1,
                          .type = TYPE_F32,
                          .w = (float[]){1, 2},
                          .a = (float[]){3, 4},
                          .b = (float[]){5},
                          .scale = 1};
    float x[] = {1, 1}, y, saved, dy = 1;
    g.da[0] = 100;
    g.db[0] = 1000;
    REQUIRE(pool && linear_forward(&o, x, &y, &saved, NULL));
    CHECK(y == 3 + 35);
    REQUIRE(linear_backward(&o, x, &saved, &dy, g.dx, g.da, g.db, NULL));
    CHECK(g.da[0] == 105 && g.da[1] == 5 && g.db[0] == 1007 && g.dx[0] == 16 && g.dx[1] == 22);
    pool_free(pool);
}

static void matrices_with_a_factor(void) {
    struct pool *pool = pool_new(1, NULL);
    struct linear_op o = {.pool = pool,
                          .rows = 3,
                          .in = 20,
                          .out = 10,
                          .type = TYPE_F32,
                          .w = get("by.w", 200),
                          .bias = get("by.bias", 10),
                          .by = 0.3f};
    float y[30], dx[60];
    REQUIRE(pool && linear_forward(&o, get("by.x", 60), y, NULL, NULL));
    REQUIRE(linear_backward(&o, get("by.x", 60), NULL, get("by.dy", 30), dx, NULL, NULL, NULL));
    near("by.y", y, 30);
    near("by.dx", dx, 60);
    pool_free(pool);
}

static void rotations(void) {
    for (int neighbours = 0; neighbours < 2; neighbours++) {
        const char *c = neighbours ? "neighbours" : "halves";
        float y[180], dx[180];
        struct rope_op o = {5, 3, 12, 8, neighbours, get(of(c, "angles"), 40)};
        memcpy(y, get(of(c, "x"), 180), sizeof y);
        memcpy(dx, get(of(c, "dy"), 180), sizeof dx);
        rope_forward(&o, y);
        rope_backward(&o, dx);
        near(of(c, "y"), y, 180);
        near(of(c, "dx"), dx, 180);
    }
}

struct attended {
    float y[288], dq[288], dk[144], dv[144];
};

static bool attend(const char *c, const struct attention_op *more, unsigned threads, struct attended *g) {
    struct pool *pool = pool_new(threads, NULL);
    struct attention_op o = *more;
    float saved[36];
    o.pool = pool;
    o.rows = 9, o.heads = 4, o.kv_heads = 2, o.dim = 8, o.scale = 1 / sqrtf(8);
    const float *q = get(of(c, "q"), 288), *k = get(of(c, "k"), 144), *v = get(of(c, "v"), 144);
    bool ok = pool && attention_forward(&o, q, k, v, g->y, saved, NULL) &&
              attention_backward(&o, q, k, v, g->y, saved, get(of(c, "dy"), 288), g->dq, g->dk, g->dv, NULL);
    pool_free(pool);
    return ok;
}

static void attention(void) {
    const struct {
        const char *name;
        struct attention_op o;
    } cases[] = {{"attention", {0}},
                 {"window", {.window = 3}},
                 {"capped", {.cap = 1.5f}},
                 {"alibi", {.slopes = get("alibi.slopes", 4)}},
                 {"rounded", {.slopes = get("rounded.slopes", 4), .slopes_bf16 = true}},
                 {"sinks", {.sinks = get("sinks.sinks", 4)}},
                 {"chunks", {.chunk = 4}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *c = cases[i].name;
        static struct attended one, three;
        REQUIRE(attend(c, &cases[i].o, 1, &one) && attend(c, &cases[i].o, 3, &three));
        near(of(c, "y"), one.y, 288);
        near(of(c, "dq"), one.dq, 288);
        near(of(c, "dk"), one.dk, 144);
        near(of(c, "dv"), one.dv, 144);
        CHECK(!memcmp(&one, &three, sizeof one));
    }
}

static void units(void) {
    static const char *const names[] = {"gelu", "gelu_tanh", "silu", "relu", "relu2", "sigmoid", "tanh"};
    for (int u = UNIT_GELU; u <= UNIT_TANH; u++) {
        const char *c = names[u];
        float y[64], dx[64], dgate[64], dup[64];
        const float *dy = get(of(c, "dy"), 64), *gate = get(of(c, "gate"), 64), *up = get(of(c, "up"), 64);
        unit_forward((enum unit)u, 64, get(of(c, "x"), 64), y);
        unit_backward((enum unit)u, 64, get(of(c, "x"), 64), dy, dx);
        near(of(c, "y"), y, 64);
        near(of(c, "dx"), dx, 64);
        gated_forward((enum unit)u, 64, gate, up, y);
        gated_backward((enum unit)u, 64, gate, up, dy, dgate, dup);
        near(of(c, "gated"), y, 64);
        near(of(c, "dgate"), dgate, 64);
        near(of(c, "dup"), dup, 64);
    }
}

static void bounds(void) {
    const struct bounded_op o = {64, 1.5f, 1.702f};
    const float *gate = get("bounded.gate", 64), *up = get("bounded.up", 64);
    float y[64], dx[64], dup[64];
    bounded_forward(&o, gate, up, y);
    bounded_backward(&o, gate, up, get("bounded.dy", 64), dx, dup);
    near("bounded.y", y, 64);
    near("bounded.dgate", dx, 64);
    near("bounded.dup", dup, 64);
    for (int hard = 0; hard < 2; hard++) {
        const char *c = hard ? "clamp" : "cap";
        memcpy(y, get(of(c, "x"), 64), sizeof y);
        memcpy(dx, get(of(c, "dy"), 64), sizeof dx);
        (hard ? clamp_forward : cap_forward)(64, 1.5f, y);
        (hard ? clamp_backward : cap_backward)(64, 1.5f, y, dx);
        near(of(c, "y"), y, 64);
        near(of(c, "dx"), dx, 64);
    }
}

static void routes(void) {
    const struct {
        const char *name;
        struct route_op o;
    } cases[] = {{"route-soft", {.score = ROUTE_SOFTMAX}},
                 {"route-normed", {.score = ROUTE_SOFTMAX, .normed = true}},
                 {"route-chosen", {.score = ROUTE_CHOSEN}},
                 {"route-sigmoid", {.score = ROUTE_SIGMOID, .normed = true, .groups = 4, .groups_used = 2}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *c = cases[i].name;
        struct route_op o = cases[i].o;
        float weight[21], chosen[21], saved[56], dlogits[56];
        int32_t expert[21];
        o.rows = 7, o.experts = 8, o.used = 3, o.scale = 1.5f;
        o.pairs = o.groups;
        o.shift = o.groups ? get(of(c, "shift"), 8) : NULL;
        REQUIRE(route_forward(&o, get(of(c, "logits"), 56), expert, weight, saved, NULL));
        route_backward(&o, expert, saved, get(of(c, "dweight"), 21), dlogits);
        for (int k = 0; k < 21; k++) chosen[k] = (float)expert[k];
        near(of(c, "expert"), chosen, 21);
        near(of(c, "weight"), weight, 21);
        near(of(c, "dlogits"), dlogits, 56);
    }
}

static void ids_of(const char *name, int32_t *ids) {
    for (int i = 0; i < 6; i++) ids[i] = (int32_t)get(name, 6)[i];
}

static void ends(void) {
    int32_t ids[6];
    float y[96], dtable[384] = {0}, dlogits[144], loss;
    ids_of("embed.ids", ids);
    embed_forward(TYPE_F32, get("embed.table", 384), 16, ids, 6, y);
    embed_backward(16, ids, 6, get("embed.dy", 96), dtable);
    near("embed.y", y, 96);
    near("embed.dtable", dtable, 384);
    ids_of("loss.target", ids);
    ids[0] = -1; // not looked at
    loss = (float)cross_entropy(6, 24, get("loss.logits", 144), ids, get("loss.weight", 6), 0.25f, dlogits);
    near("loss.loss", &loss, 1);
    near("loss.dlogits", dlogits, 144);
}

static void convolutions(void) {
    struct pool *pool = pool_new(2, NULL);
    struct conv_op o = {pool, 40, 6, 4, get("conv.w", 24), get("conv.bias", 6)};
    float y[240], dx[240], dw[24] = {0}, db[6] = {0};
    REQUIRE(pool);
    conv_forward(&o, get("conv.x", 240), y);
    conv_backward(&o, get("conv.x", 240), get("conv.dy", 240), dx, dw, db);
    near("conv.y", y, 240);
    near("conv.dx", dx, 240);
    near("conv.dw", dw, 24);
    near("conv.dbias", db, 6);
    memset(y, 0, sizeof y);
    conv_backward(&o, NULL, get("conv.dy", 240), y, NULL, NULL);
    CHECK(!memcmp(y, dx, sizeof dx));
    pool_free(pool);
}

struct recurred {
    float y[2800], dx[2800], dkey[240], dquery[240], ddt[2800], dbeta[160], da[210], ddt_bias[70], dskip[70];
};

static bool recur(const char *c, const struct recur_op *given, unsigned threads, struct recurred *g) {
    struct recur_op o = *given;
    bool each = o.kind == RECUR_CHANNELS;
    size_t inner = o.heads * o.dim, steps = each ? inner : o.heads, keys = 40 * o.groups * 3;
    struct recur_given in = {get(of(c, "x"), 40 * inner), get(of(c, "key"), keys), get(of(c, "query"), keys),
                             get(of(c, "dt"), 40 * steps), get(of(c, "beta"), 40 * o.heads)};
    struct recur_back back = {g->dx, g->dkey, g->dquery, g->ddt, g->dbeta, g->da, g->ddt_bias, g->dskip};
    o.pool = pool_new(threads, NULL);
    o.rows = 40, o.size = 3, o.dt_by = 0.8f;
    o.dt_bias = get(of(c, "dt_bias"), steps);
    o.a = get(of(c, "a"), each ? 3 * inner : o.heads);
    o.skip = o.kind == RECUR_DELTA ? NULL : get(of(c, "skip"), steps);
    bool ok = o.pool && recur_forward(&o, &in, g->y, NULL) &&
              recur_backward(&o, &in, get(of(c, "dy"), 40 * inner), &back, NULL);
    pool_free(o.pool);
    return ok;
}

// More rows than a block of those that are computed again.
static void recurrences(void) {
    const struct {
        const char *name;
        struct recur_op o;
    } cases[] = {
        {"channels", {.kind = RECUR_CHANNELS, .heads = 1, .dim = 70, .groups = 1}},
        {"states", {.kind = RECUR_HEADS, .heads = 4, .dim = 5, .groups = 2, .dt_least = 0.2f, .dt_most = 1.2f}},
        {"delta", {.kind = RECUR_DELTA, .heads = 4, .dim = 5, .groups = 2}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *c = cases[i].name;
        const struct recur_op *o = &cases[i].o;
        bool each = o->kind == RECUR_CHANNELS;
        size_t inner = o->heads * o->dim, steps = each ? inner : o->heads;
        static struct recurred one, three;
        memset(&one, 0, sizeof one);
        memset(&three, 0, sizeof three);
        REQUIRE(recur(c, o, 1, &one) && recur(c, o, 3, &three));
        near(of(c, "y"), one.y, 40 * inner);
        near(of(c, "dx"), one.dx, 40 * inner);
        near(of(c, "dkey"), one.dkey, 120 * o->groups);
        near(of(c, "dquery"), one.dquery, 120 * o->groups);
        near(of(c, "ddt"), one.ddt, 40 * steps);
        near(of(c, "da"), one.da, each ? 3 * inner : o->heads);
        near(of(c, "ddt_bias"), one.ddt_bias, steps);
        near(of(c, "dskip"), one.dskip, steps);
        near(of(c, "dbeta"), one.dbeta, 40 * o->heads);
        CHECK(!memcmp(&one, &three, sizeof one));
    }
}

static void orthogonal_steps(void) {
    for (size_t tall = 0; tall < 2; tall++) {
        const char *c = tall ? "muon-tall" : "muon-wide";
        float w[30], mean[30] = {0};
        memcpy(w, get(of(c, "before"), 30), sizeof w);
        for (size_t i = 0; i < 3; i++) {
            const float *g = get(of(c, "gradients"), 90) + 30 * i;
            struct muon_matrix m = {tall ? 10 : 3, tall ? 3 : 10, w, mean, g};
            REQUIRE(muon_step(&m, 0.1, 0.01, NULL));
        }
        near(of(c, "after"), w, 30);
    }
}

// As the tree is described: the left half has the largest power of two of leaves below all.
static float sum_of(const float *x, size_t n) {
    size_t left = 1;
    if (n < 2) return n ? *x : 0;
    while (left * 2 < n) left *= 2;
    return sum_of(x, left) + sum_of(x + left, n - left);
}

static void sums_are_a_tree_of_the_number(void) {
    struct tree *t = tree_new(1, NULL);
    REQUIRE(t);
    for (size_t n = 0; n < 40; n++) {
        float x[40], got = 7;
        for (size_t i = 0; i < n; i++) {
            x[i] = 1 / (float)(i * i + 3);
            REQUIRE(tree_add(t, &x[i], NULL));
        }
        tree_take(t, &got);
        float want = sum_of(x, n);
        CHECK(!memcmp(&got, &want, sizeof got));
    }
    tree_free(t);
}

// ----------------------------------------------------------------------- linear maps by integers of 16 bits

static void draw_map(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = random_float() * (random_bits() % 16 ? 1.0f : 40.0f);
}

enum { MAP_ROWS = 26, MAP_RANK = 3 };

struct map {
    float *y, *saved, *dx, *da, *db;
};

static struct map map_of(size_t in, size_t out) {
    float *all = calloc(MAP_ROWS * (out + MAP_RANK + in) + MAP_RANK * (in + out), sizeof *all);
    if (!all) abort();
    struct map g = {.y = all, .saved = all + MAP_ROWS * out};
    g.dx = g.saved + MAP_ROWS * MAP_RANK;
    g.da = g.dx + MAP_ROWS * in;
    g.db = g.da + MAP_RANK * in;
    return g;
}

static void run_map(struct linear_op o, unsigned threads, const float *in, const float *dy, struct map g) {
    o.pool = pool_new(threads, NULL);
    REQUIRE(o.pool && linear_forward(&o, in, g.y, g.saved, NULL) &&
            linear_backward(&o, in, g.saved, dy, g.dx, g.da, g.db, NULL));
    pool_free(o.pool);
}

// How far they are, of the length.
static double far(const float *got, const float *want, size_t n) {
    double d = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        all += (double)want[i] * (double)want[i];
    }
    return sqrt(d / all);
}

static void check_map(size_t in, size_t out, bool bias, float by) {
    float *values = malloc((MAP_ROWS * (in + out) + in * out + MAP_RANK * (in + out) + out) * sizeof *values),
          *p = values;
    if (!values) abort();
    draw_map(values, MAP_ROWS * (in + out) + in * out + MAP_RANK * (in + out) + out);
    const float *rows = p, *dy = p += MAP_ROWS * in;
    struct linear_op o = {.rows = MAP_ROWS, .in = in, .out = out, .rank = MAP_RANK, .scale = 0.7f, .by = by};
    o.w = p += MAP_ROWS * out;
    o.a = p += in * out;
    o.b = p += MAP_RANK * in;
    o.bias = bias ? p + MAP_RANK * out : NULL;
    struct map want = map_of(in, out), one = map_of(in, out), three = map_of(in, out);
    run_map(o, 1, rows, dy, want);
    o.shorts = true;
    run_map(o, 1, rows, dy, one);
    run_map(o, 3, rows, dy, three);
    CHECK(!memcmp(one.y, three.y, (MAP_ROWS * (out + MAP_RANK + in) + MAP_RANK * (in + out)) * sizeof(float)));
    CHECK(far(one.y, want.y, MAP_ROWS * out) < 1e-3 && far(one.y, want.y, MAP_ROWS * out) > 1e-6);
    CHECK(far(one.dx, want.dx, MAP_ROWS * in) < 2e-3 && far(one.dx, want.dx, MAP_ROWS * in) > 1e-6);
    CHECK(far(one.da, want.da, MAP_RANK * in) < 1e-3);
    CHECK(far(one.db, want.db, MAP_RANK * out) < 1e-3);
    free(want.y), free(one.y), free(three.y), free(values);
}

static void maps_near_those_in_float(void) {
    check_map(70, 52, true, 0);
    check_map(129, 261, false, 0.3f);
    check_map(5, 7, true, 1);
    check_map(8200, 40, true, 1); // more than a slab of inputs, and of outputs
    check_map(33, 8250, false, 1);
}

int main(void) {
    if (!load()) return 1;
    RUN(norms);
    RUN(norms_of_heads);
    RUN(linear);
    RUN(maps_near_those_in_float);
    RUN(gradients_are_added);
    RUN(matrices_with_a_factor);
    RUN(rotations);
    RUN(attention);
    RUN(units);
    RUN(bounds);
    RUN(routes);
    RUN(ends);
    RUN(orthogonal_steps);
    RUN(convolutions);
    RUN(recurrences);
    RUN(sums_are_a_tree_of_the_number);
    free(golden.all);
    return test_end();
}
