// Cards that fail: each call of the driver in each way, launches, a card that is lost or does not answer, no memory.
#include "fakes.h"

#include "base/clock.h"
#include "test.h"

enum { N = 1000 };

static struct launch fill_launch(const struct fill_args *args) {
    return (struct launch){"fill", {4, 1, 1}, {256, 1, 1}, 0, args, sizeof *args};
}

// Opens a card, and has it fill and copy; the floats that came back. Each step is tried whatever became of those before
// it, as a model does that asks only at sync().
static bool compute(struct gpu *g, dfloat *a, dfloat *b, float value, float *got, gyr_error *e) {
    const struct device_ops *ops = g->device.ops;
    float one = value + 1;
    struct fill_args args = {a, N, value};
    struct launch l = fill_launch(&args);
    for (int i = 0; i < 3; i++) { // the second time it becomes a graph
        for (int k = 0; k < 4; k++) gpu_launch(g, &l, NULL);
        ops->copy(&g->device, b, a, N * sizeof *got);
    }
    ops->write(&g->device, b, &one, sizeof one);
    ops->read(&g->device, got, b, N * sizeof *got);
    return ops->sync(&g->device, e);
}

static bool is_right(const float *got, float value) {
    for (size_t i = 0; i < N; i++)
        if (got[i] != value + (i == 0)) return false;
    return true;
}

static bool one_line(const gyr_error *e, const char *begins) {
    bool known = e->status == GYR_DEVICE || e->status == GYR_NO_MEMORY || e->status == GYR_UNSUPPORTED;
    return known && !strncmp(e->message, begins, strlen(begins)) && strlen(e->message) > 20 &&
           !strchr(e->message, '\n');
}

// All that a model does, once. False, with the error: something failed; then it is tried once more, which must be right
// unless the card is lost.
static bool whole_program(int vendor, bool *lost, gyr_error *e) {
    struct gpu_api api;
    float got[N], before[N];
    load_fakes(&api, vendor);
    if (!api.driver.good || !api.compiler.good) return fail(e, GYR_UNSUPPORTED, "%s: at the start", "fake");
    struct gpu *g = gpu_open(&api, 0, &good_sources, e);
    if (!g) return false;
    const struct device_ops *ops = g->device.ops;
    bool ok = gpu_want(g, TYPE_Q4_0, e);
    dfloat *a = ok ? ops->alloc(&g->device, N * sizeof *got, e) : NULL;
    dfloat *b = a ? ops->alloc(&g->device, N * sizeof *got, e) : NULL;
    memset(before, 0xa5, sizeof before);
    memcpy(got, before, sizeof got);
    ok = b && compute(g, a, b, 3, got, e);
    CHECK(!ok || is_right(got, 3));
    CHECK(ok || !memcmp(got, before, sizeof got)); // nothing of what failed came
    gyr_error again = {0};
    if (b && !ok) {
        bool second = compute(g, a, b, 4, got, &again);
        CHECK(second ? is_right(got, 4) : one_line(&again, vendor == GPU_CUDA ? "cuda:0 (" : "hip:0 ("));
        // A program that could not be loaded is not tried again: a model is not opened with it.
        bool never = strstr(again.message, "loading a program") || strstr(again.message, "looking for a kernel");
        CHECK(second != (g->lost || never));
    }
    ops->free(&g->device, a);
    ops->free(&g->device, b);
    *lost = g->lost;
    ops->close(&g->device);
    return ok;
}

static void every_call_fails(int vendor) {
    static const int errors[] = {1, 2, 719, 999};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        bool ok = false;
        for (int n = 1; n < 300 && !ok; n++) {
            char how[64];
            bool lost = false;
            gyr_error e = {0};
            fake_start_again(vendor);
            snprintf(how, sizeof how, "any:%d:%d", n, errors[i]);
            setenv("GYR_FAKE_FAIL", how, 1);
            ok = whole_program(vendor, &lost, &e);
            unsetenv("GYR_FAKE_FAIL");
            CHECK(ok || one_line(&e, "") || !strcmp(e.message, "fake: at the start"));
            if (ok) CHECK(n > 30);
            // Of a card that is not lost everything is given back.
            if (errors[i] < 700 && !lost && !ok) CHECK_INT(fake_tells(vendor, "fake_held"), 0);
            if (test_bad) {
                printf("  the call %d with error %d: %s\n", n, errors[i], e.message);
                return;
            }
        }
        CHECK(ok); // all were tried
    }
    fake_start_again(vendor);
}

// A kernel that fails is heard of later, and the card is lost.
static void a_kernel_fails(int vendor) {
    struct gpu_api api;
    gyr_error e = {0}, again = {0};
    float got[N];
    uint64_t total, left;
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    dfloat *a = gpu_alloc(&g->device, sizeof got, &e), *b = gpu_alloc(&g->device, sizeof got, &e);
    CHECK(compute(g, a, b, 1, got, &e));
    setenv("GYR_FAKE_FAIL", "kernel:1:700", 1);
    CHECK(!compute(g, a, b, 2, got, &e));
    fake_behave();
    CHECK(is_right(got, 1));
    CHECK_INT(e.status, GYR_DEVICE);
    CHECK_STR(
        strchr(e.message, ')'),
        "): computing failed: error 700, a failure; this is a fault of gyr's kernels: please report it, and end this "
        "program and start it again");
    CHECK(!compute(g, a, b, 3, got, &again));
    CHECK_STR(again.message, e.message);
    CHECK(!gpu_alloc(&g->device, 4, &again));
    CHECK_INT(again.status, GYR_DEVICE);
    gpu_room(&g->device, &total, &left);
    CHECK_INT(total, 1 << 30);
    CHECK_INT(left, 0);
    gpu_free(&g->device, a);
    gpu_free(&g->device, b);
    gpu_close(&g->device);
    fake_start_again(vendor);
}

// It hangs: no call waits longer than it may, closing included.
static void a_card_stops_to_answer(int vendor) {
    struct gpu_api api;
    gyr_error e = {0};
    float got[N] = {5};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    dfloat *a = gpu_alloc(&g->device, sizeof got, &e), *b = gpu_alloc(&g->device, sizeof got, &e);
    CHECK(gpu_sync(&g->device, &e));
    g->patience = 0.2;
    setenv("GYR_FAKE_HANG", "1", 1);
    double begun = now_seconds();
    CHECK(!compute(g, a, b, 1, got, &e));
    double took = now_seconds() - begun;
    CHECK(took > 0.1 && took < 5);
    CHECK_INT(e.status, GYR_DEVICE);
    CHECK_STR(strchr(e.message, ')'), "): no answer in 0 seconds; end this program, and look at the system's log");
    CHECK(got[0] == 5);
    CHECK(!gpu_sync(&g->device, &e));
    gpu_free(&g->device, a);
    gpu_close(&g->device);
    CHECK(now_seconds() - begun < 5);
    fake_behave();
    fake_start_again(vendor);
}

static void a_large_copy_stops(int vendor) {
    struct gpu_api api;
    gyr_error e = {0};
    size_t size = 5 * (size_t)GPU_HALF;
    char *data = calloc(1, size);
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g && data);
    void *a = gpu_alloc(&g->device, size, &e);
    CHECK(a && gpu_sync(&g->device, &e));
    g->patience = 0.1;
    setenv("GYR_FAKE_HANG", "1", 1);
    gpu_write(&g->device, a, data, size);
    gpu_read(&g->device, data, a, size);
    CHECK(!gpu_sync(&g->device, &e));
    CHECK_INT(e.status, GYR_DEVICE);
    gpu_close(&g->device);
    fake_behave();
    fake_start_again(vendor);
    free(data);
}

static void memory_is_full(int vendor) {
    struct gpu_api api;
    gyr_error e = {0};
    float got[N];
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    dfloat *a = gpu_alloc(&g->device, sizeof got, &e), *b = gpu_alloc(&g->device, sizeof got, &e);
    CHECK(!gpu_alloc(&g->device, (size_t)2 << 30, &e));
    CHECK_INT(e.status, GYR_NO_MEMORY);
    CHECK_STR(strchr(e.message, ')'),
              "): 2.15 GB do not fit: of its 1.1 GB 1.07 are free; end other programs on the card, or choose a smaller "
              "context or model");
    CHECK(!gpu_alloc(&g->device, SIZE_MAX, &e));
    CHECK_INT(e.status, GYR_NO_MEMORY);
    CHECK(compute(g, a, b, 1, got, &e) && is_right(got, 1)); // it is none of its doing
    gpu_free(&g->device, a);
    gpu_free(&g->device, b);
    gpu_close(&g->device);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

FOR_BOTH(every_call_fails)
FOR_BOTH(a_kernel_fails)
FOR_BOTH(a_card_stops_to_answer)
FOR_BOTH(a_large_copy_stops)
FOR_BOTH(memory_is_full)

int main(void) {
    if (!fakes_begin()) return 1;
    RUN_BOTH(every_call_fails);
    RUN_BOTH(a_kernel_fails);
    RUN_BOTH(a_card_stops_to_answer);
    RUN_BOTH(a_large_copy_stops);
    RUN_BOTH(memory_is_full);
    return fakes_end(test_end());
}
