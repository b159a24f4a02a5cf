// Gathering with cards of other processes, by the stand-ins of NCCL and RCCL: what of it one card alone can show. How
// several do is shown by tests/cluster/card_rows_test.py.
#include "fakes.h"
#include "test.h"

#include <stdatomic.h>

enum { N = 1000 };

static atomic_int nobody_comes;

static bool watch(void *arg, gyr_error *e) {
    if (!atomic_load(&nobody_comes)) return true;
    return fail(e, GYR_DEVICE, "rank 1 on node: is gone");
}

static struct gpu *open_linked(struct gpu_api *api, int vendor, gyr_error *e) {
    struct gpu *g = open_fake(api, vendor, &good_sources, e);
    struct link_terms terms = {.count = 1, .watch = watch};
    char name[48] = "";
    atomic_store(&nobody_comes, 0);
    if (!g) return NULL;
    CHECK(gpu_linkable(&g->device, name, e));
    CHECK_STR(name, vendor == GPU_CUDA ? "NCCL 2.27.3" : "RCCL 2.27.3");
    CHECK(gpu_ticket(&g->device, terms.ticket, e));
    if (gpu_link(&g->device, &terms, e)) return g;
    gpu_close(&g->device);
    return NULL;
}

// What came of gathering N floats; they are counted from 1.
static bool gathers(struct gpu *g, gyr_error *e) {
    float made[N], came[N] = {0};
    size_t floats[] = {N};
    dfloat *from = gpu_alloc(&g->device, sizeof made, e), *to = gpu_alloc(&g->device, sizeof came, e);
    for (int i = 0; i < N; i++) made[i] = (float)(i + 1);
    gpu_write(&g->device, from, made, sizeof made);
    gpu_gather(&g->device, from, to, floats);
    gpu_read(&g->device, came, to, sizeof came);
    bool ok = gpu_sync(&g->device, e);
    gpu_free(&g->device, from);
    gpu_free(&g->device, to);
    if (ok) CHECK(!memcmp(made, came, sizeof made));
    return ok;
}

static void one_gathers_with_itself(int vendor) {
    struct gpu_api api;
    gyr_error e = {0};
    fake_start_again(vendor);
    struct gpu *g = open_linked(&api, vendor, &e);
    REQUIRE(g);
    CHECK(gathers(g, &e));
    CHECK(gathers(g, &e));
    gpu_unlink(&g->device, false);
    CHECK(!g->link);
    gpu_close(&g->device);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

static void what_the_library_says_against_it_is_told(int vendor) {
    static const char *const calls[] = {"nccl_join:1:3", "nccl_gather:1:3", "nccl_gather:2:3"};
    static const char *const says[] = {"joining all cards: 3", "joining all cards: 3", "gathering: 3"};
    for (size_t i = 0; i < 3; i++) {
        struct gpu_api api;
        gyr_error e = {0};
        fake_start_again(vendor);
        setenv("GYR_FAKE_FAIL", calls[i], 1);
        struct gpu *g = open_linked(&api, vendor, &e);
        CHECK(i == 2 ? g && !gathers(g, &e) : !g);
        CHECK_INT(e.status, GYR_DEVICE);
        CHECK(strstr(e.message, says[i]) && strstr(e.message, "GYR_RANK_GATHER=host"));
        unsetenv("GYR_FAKE_FAIL");
        if (g) CHECK(gathers(g, &e));
        if (g) gpu_close(&g->device);
        CHECK_INT(fake_tells(vendor, "fake_held"), 0);
    }
}

// A card that waits for what does not come, until the library says so, or the watch does, or nothing more is wanted.
static void what_does_not_come_ends(int vendor) {
    static const char *const says[] = {"gathering: 6, a failure", "rank 1 on node: is gone"};
    for (int i = 0; i < 2; i++) {
        struct gpu_api api;
        gyr_error e = {0}, again = {0};
        fake_start_again(vendor);
        setenv("GYR_FAKE_FAIL", i ? "nccl_stall:2:7" : "nccl_stall:2:6", 1); // 7: it is still at it
        struct gpu *g = open_linked(&api, vendor, &e);
        REQUIRE(g);
        if (i) atomic_store(&nobody_comes, 1);
        CHECK(!gathers(g, &e));
        CHECK_INT(e.status, GYR_DEVICE);
        CHECK(strstr(e.message, says[i]));
        unsetenv("GYR_FAKE_FAIL");
        CHECK(!gathers(g, &again));
        CHECK_STR(again.message, e.message);
        gpu_unlink(&g->device, true);
        CHECK(!g->link && gpu_sync(&g->device, &e));
        gpu_close(&g->device);
        CHECK_INT(fake_tells(vendor, "fake_held"), 0);
    }
}

FOR_BOTH(one_gathers_with_itself)
FOR_BOTH(what_the_library_says_against_it_is_told)
FOR_BOTH(what_does_not_come_ends)

int main(void) {
    if (!fakes_begin()) return 1;
    setenv("GYR_GPU_LIBRARIES", getenv("GYR_FAKES") ? getenv("GYR_FAKES") : "build/tests/device/gpu", 1);
    new_cache();
    RUN_BOTH(one_gathers_with_itself);
    RUN_BOTH(what_the_library_says_against_it_is_told);
    RUN_BOTH(what_does_not_come_ends);
    return fakes_end(test_end());
}
