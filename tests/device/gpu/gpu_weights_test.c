// Matrices on their way to a card: blocks lie where kernels look for them, whatever the shape, the number of threads
// and the pieces they go in; and copies that fail.
#include "fakes.h"

#include "base/threads.h"
#include "device/gpu/kernels/strips.h"
#include "device/gpu/lay.h"
#include "device/gpu/work.h"
#include "test.h"

// Of the types whose scale is at a block's end.
static bool is_last(enum type type) {
    return type == TYPE_Q3_K || type == TYPE_Q6_K || type == TYPE_TQ1_0 || type == TYPE_TQ2_0;
}

static void reference(enum type type, const struct weight *w, uint8_t *body, uint8_t *rest) {
    const struct type_info *info = type_info(type);
    struct lay l = lay_of(type);
    size_t blocks = w->cols / info->block;
    const uint8_t *file = w->data;
    for (size_t i = 0; i < w->rows * blocks; i++, file += info->bytes) {
        size_t at = i / blocks * blocks + strip_of((unsigned)blocks, (unsigned)(i % blocks));
        memcpy(body + at * l.body, file + (is_last(type) ? 0 : l.rest), l.body);
        memcpy(rest + at * l.rest, file + (is_last(type) ? l.body : 0), l.rest);
    }
}

static uint8_t *numbers(size_t n) {
    uint8_t *data = malloc(n + !n);
    uint32_t state = 1;
    for (size_t i = 0; data && i < n; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (uint8_t)(state >> 24);
    }
    return data;
}

static bool came(struct gpu *g, const struct weight *w) {
    const struct card_weight *c = w->own;
    struct lay l = lay_of(w->type);
    gyr_error e = {0};
    size_t n = w->rows * w->cols / type_info(w->type)->block, body = n * l.body, rest = n * l.rest;
    uint8_t *want = malloc(body + rest), *got = calloc(1, body + rest);
    bool ok = want && got;
    if (ok) {
        reference(w->type, w, want, want + body);
        gpu_read(&g->device, got, c->body, body);
        gpu_read(&g->device, got + body, c->rest, rest);
        ok = gpu_sync(&g->device, &e) && !memcmp(got, want, body + rest);
    }
    free(want);
    free(got);
    return ok;
}

static void try_shape(struct gpu *g, enum type type, size_t rows, size_t blocks) {
    size_t cols = blocks * type_info(type)->block;
    uint8_t *data = numbers(rows * type_row_bytes(type, cols));
    struct weight w = {.type = type, .rows = rows, .cols = cols, .data = data};
    gyr_error e = {0};
    REQUIRE(data);
    bool ok = work_weight_bind(&g->device, &w, &e) && came(g, &w);
    if (!ok) printf("  %s, %zu rows of %zu blocks: %s\n", type_info(type)->name, rows, blocks, e.message);
    CHECK(ok);
    work_weight_unbind(&g->device, &w);
    free(data);
}

static void blocks_lie_in_strips(int vendor) {
    static const size_t shapes[][2] = {{3, 1}, {2, 7}, {5, 8}, {1, 9}, {4, 15}, {3, 71}};
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    size_t types = 0;
    for (unsigned t = 0; t < TYPE_LIMIT; t++) {
        const struct type_info *info = type_info(t);
        if (!info || !info->quantized) continue;
        struct lay l = lay_of((enum type)t);
        CHECK_INT(l.body + l.rest, info->bytes);
        CHECK_INT(l.body % 4, 0);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            try_shape(g, (enum type)t, shapes[i][0], shapes[i][1]);
        types++;
    }
    CHECK_INT(types, 25);
    gpu_close(&g->device);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

// Matrices that are several times what is on its way at once, and rows that are longer than that.
static void large_ones_go_in_pieces(int vendor) {
    struct gpu_api api;
    gyr_error e = {0};
    size_t wide = GPU_HALF / 34;
    for (unsigned threads = 0; threads <= 3; threads++) {
        struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
        REQUIRE(g);
        g->threads = threads;
        g->alone = threads == 3; // as if none could be made
        try_shape(g, TYPE_Q4_0, 3001, 999);
        try_shape(g, TYPE_Q8_0, 1, wide);
        try_shape(g, TYPE_Q8_0, 2, wide + 1);
        CHECK_INT(g->pool ? 1 : 0, threads == 2 || (!threads && cpu_count() > 1) || threads == 1);
        gpu_close(&g->device);
        CHECK_INT(fake_tells(vendor, "fake_held"), 0);
    }
}

// Each copy of a matrix fails, and each wait: binding or the next sync() says so, and all memory is given back.
static void copies_fail(int vendor) {
    static const char *const calls[] = {"alloc", "set", "write", "event_put", "event_query"};
    struct gpu_api api;
    uint8_t *data = numbers((size_t)1500 * 999 * 34);
    REQUIRE(data);
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        for (int n = 1; n < 4; n++) {
            char how[64];
            gyr_error e = {0};
            struct weight w = {.type = TYPE_Q8_0, .rows = 1500, .cols = 999 * 32, .data = data};
            struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
            REQUIRE(g && gpu_want(g, TYPE_Q8_0, &e) && gpu_sync(&g->device, &e));
            snprintf(how, sizeof how, "%s:%d:1", calls[c], n);
            setenv("GYR_FAKE_FAIL", how, 1);
            bool bound = work_weight_bind(&g->device, &w, &e);
            bool good = gpu_sync(&g->device, &e);
            fake_behave();
            CHECK(!bound || !good || (c < 2 && n == 3));
            if (!bound || !good) CHECK_INT(e.status, GYR_DEVICE);
            CHECK(!bound || (gpu_sync(&g->device, &e) && (good || !came(g, &w)))); // it is not as it should be
            work_weight_unbind(&g->device, &w);
            gpu_close(&g->device);
            CHECK_INT(fake_tells(vendor, "fake_held"), 0);
        }
    free(data);
}

FOR_BOTH(blocks_lie_in_strips)
FOR_BOTH(large_ones_go_in_pieces)
FOR_BOTH(copies_fail)

int main(void) {
    if (!fakes_begin()) return 1;
    RUN_BOTH(blocks_lie_in_strips);
    RUN_BOTH(large_ones_go_in_pieces);
    RUN_BOTH(copies_fail);
    return fakes_end(test_end());
}
