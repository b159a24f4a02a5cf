// What is tried on a real card, and what can be tried without one: that the vendor's compiler takes every program.
//
//     gpu_card_test [--link]                      all cards that are here; ends with 77 if there is none; --link: NCCL
//                                                 or RCCL alone
//     gpu_card_test --compile [--keep FOLDER] [--type T].. CHIP..
//         compiles all programs for these chips, "sm_90a" or "gfx942", the typed ones for these types, or for all
//         quantized ones; and keeps them, for a machine with a driver and without a compiler ($GYR_GPU_PROGRAMS)
//
// Two tests have a card fail for good. They run in processes of their own: gpu_card_test --fail KERNEL KIND INDEX.
#include "base/clock.h"
#include "base/threads.h"
#include "device/gpu/compile.h"
#include "device/gpu/gpu.h"
#include "test.h"

#include <sys/wait.h>
#include <time.h>

struct args {
    float *x;
    size_t n;
};

// Products and sums are rounded each by itself, division and root as IEEE says, subnormal numbers stay. `spin` ends by
// itself, in case nobody else ends it.
static const char source[] = "struct args { float *x; unsigned long long n; };\n"
                             "#define KERNEL(name) extern \"C\" __global__ void name(args a)\n"
                             "#define HERE ((unsigned long long)blockIdx.x * blockDim.x + threadIdx.x)\n"
                             "KERNEL(number) { if (HERE < a.n) a.x[HERE] = (float)HERE; }\n"
                             "KERNEL(formula) {\n"
                             "    if (HERE >= a.n) return;\n"
                             "    float x = a.x[HERE], y = x * 1.1f + 0.3f;\n"
                             "    a.x[HERE] = sqrtf(y) / (x + 3.0f) + x * 1.0e-42f;\n"
                             "}\n"
                             "KERNEL(stray) { if (HERE == 0) *(float *)16 = 1; }\n"
                             "KERNEL(spin) {\n"
                             "    long long end = clock64() + 20000000000ll;\n"
                             "    while (clock64() < end) a.x[0] = 1;\n"
                             "}\n";
static const struct gpu_source own_files[] = {{"own.cu", source, "number formula stray spin ", false}};
static const struct gpu_sources own = {own_files, 1};

static struct gpu_api api;
static int card;
static bool link_alone;
static double found_seconds; // that finding the driver took

static float formula(float x) {
    float y = x * 1.1f;
    y = y + 0.3f;
    float tiny = x * 1.0e-42f;
    return sqrtf(y) / (x + 3.0f) + tiny;
}

static bool launch(struct gpu *g, const char *kernel, void *x, size_t n, gyr_error *e) {
    struct args a = {x, n};
    return gpu_launch(g, &(struct launch){kernel, {(unsigned)((n + 255) / 256), 1, 1}, {256, 1, 1}, 0, &a, sizeof a},
                      e);
}

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (!(call)) printf("  %s\n", e.message);                                                                      \
        REQUIRE(!e.status);                                                                                            \
    } while (0)

static void it_computes_as_the_host_does(void) {
    enum { N = 1 << 20 };
    gyr_error e = {0};
    struct gpu *g = gpu_open(&api, card, &own, &e);
    MUST(g);
    float *got = malloc(N * sizeof *got);
    void *x = gpu_alloc(&g->device, N * sizeof *got, &e);
    MUST(x && got);
    MUST(launch(g, "number", x, N, &e) && launch(g, "formula", x, N, &e));
    gpu_read(&g->device, got, x, N * sizeof *got);
    MUST(gpu_sync(&g->device, &e));
    size_t wrong = 0;
    for (size_t i = 0; i < N; i++) wrong += got[i] != formula((float)i);
    CHECK_INT(wrong, 0);
    gpu_free(&g->device, x);
    gpu_close(&g->device);
    free(got);
}

static void memory_keeps_what_is_copied(void) {
    gyr_error e = {0};
    struct gpu *g = gpu_open(&api, card, &own, &e);
    MUST(g);
    size_t size = ((size_t)256 << 20) + 12345;
    uint8_t *data = malloc(size), *got = calloc(1, size);
    void *a = gpu_alloc(&g->device, size, &e), *b = gpu_alloc(&g->device, size, &e);
    MUST(a && b && data && got);
    for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(i * 31 + (i >> 11));
    double t0 = now_seconds();
    gpu_write(&g->device, a, data, size);
    MUST(gpu_sync(&g->device, &e));
    double t1 = now_seconds();
    for (int i = 0; i < 20; i++) gpu_copy(&g->device, b, a, size);
    MUST(gpu_sync(&g->device, &e));
    double t2 = now_seconds();
    gpu_read(&g->device, got, b, size);
    MUST(gpu_sync(&g->device, &e));
    double t3 = now_seconds();
    CHECK(!memcmp(got, data, size));
    printf("  to the card %.1f GB/s, on it %.0f GB/s (read and written), from it %.1f GB/s\n",
           (double)size / (t1 - t0) / 1e9, 40.0 * (double)size / (t2 - t1) / 1e9, (double)size / (t3 - t2) / 1e9);
    gpu_free(&g->device, a);
    gpu_free(&g->device, b);
    gpu_close(&g->device);
    free(data);
    free(got);
}

// What a model's loading is made of beside its copies: opening the card, and memory for each matrix.
static void memory_comes_quickly(void) {
    enum { PIECES = 64 };
    gyr_error e = {0};
    void *piece[PIECES];
    double t0 = now_seconds();
    struct gpu *g = gpu_open(&api, card, &own, &e);
    MUST(g && gpu_sync(&g->device, &e));
    double t1 = now_seconds();
    for (int i = 0; i < PIECES; i++) {
        piece[i] = gpu_alloc(&g->device, (16 << 20) - 4096, &e);
        MUST(piece[i]);
    }
    MUST(gpu_sync(&g->device, &e));
    double t2 = now_seconds();
    void *whole = gpu_alloc(&g->device, 1 << 30, &e);
    MUST(whole && gpu_sync(&g->device, &e));
    double t3 = now_seconds();
    printf(
        "  driver found in %.2f s, card opened in %.2f s; memory: a piece of 16 MiB in %.3f ms, of 1 GiB in %.3f ms\n",
        found_seconds, t1 - t0, (t2 - t1) / PIECES * 1e3, (t3 - t2) * 1e3);
    for (int i = 0; i < PIECES; i++) gpu_free(&g->device, piece[i]);
    gpu_free(&g->device, whole);
    gpu_close(&g->device);
}

static void too_much_memory_is_refused(void) {
    gyr_error e = {0};
    uint64_t total, left;
    struct gpu *g = gpu_open(&api, card, &own, &e);
    MUST(g);
    gpu_room(&g->device, &total, &left);
    CHECK(total >= left && left > 0);
    CHECK(!gpu_alloc(&g->device, total + 1, &e));
    CHECK_INT(e.status, GYR_NO_MEMORY);
    printf("  %s\n", e.message);
    CHECK(gpu_sync(&g->device, &e));
    gpu_close(&g->device);
}

static void small_steps_are_fast(void) {
    gyr_error e = {0};
    struct gpu *g = gpu_open(&api, card, &own, &e);
    MUST(g);
    float one = 0;
    void *x = gpu_alloc(&g->device, 4096, &e);
    MUST(x && gpu_sync(&g->device, &e));
    double begun = now_seconds();
    for (int i = 0; i < 2000; i++) {
        gpu_write(&g->device, x, &one, sizeof one);
        launch(g, "number", x, 256, NULL);
        gpu_read(&g->device, &one, x, sizeof one);
        MUST(gpu_sync(&g->device, &e));
    }
    double step = (now_seconds() - begun) / 2000;
    begun = now_seconds();
    for (int i = 0; i < 20000; i++) launch(g, "number", x, 256, NULL);
    MUST(gpu_sync(&g->device, &e));
    printf("  a step of a write, a launch and a read takes %.1f us; a launch among many %.2f us\n", step * 1e6,
           (now_seconds() - begun) / 20000 * 1e6);
    gpu_free(&g->device, x);
    gpu_close(&g->device);
}

static void every_program_is_compiled_once(void) {
    static const enum type types[] = {TYPE_Q4_0, TYPE_Q8_0, TYPE_Q4_K, TYPE_Q6_K, TYPE_IQ4_XS, TYPE_MXFP4};
    size_t compiled = 0, kept = 0;
    for (int again = 0; again < 2; again++) {
        gyr_error e = {0};
        double begun = now_seconds();
        struct gpu *g = gpu_open(&api, card, &gpu_sources, &e);
        MUST(g);
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) MUST(gpu_want(g, types[i], &e));
        MUST(gpu_sync(&g->device, &e));
        gpu_programs_count(g, &compiled, &kept);
        printf("  %zu compiled, %zu from the cache: %.2f s\n", compiled, kept, now_seconds() - begun);
        gpu_close(&g->device);
    }
    CHECK_INT(compiled, 0);
}

// ------------------------------------------------------------------------------- failing for good

static int fail_for_good(const char *kernel) {
    gyr_error e = {0}, again = {0};
    struct gpu *g = gpu_open(&api, card, &own, &e);
    void *x = g ? gpu_alloc(&g->device, 4096, &e) : NULL;
    if (!x || !gpu_sync(&g->device, &e)) return printf("  %s\n", e.message), 1;
    g->patience = 1;
    launch(g, kernel, x, 256, NULL);
    bool good = gpu_sync(&g->device, &e);
    printf("  %s\n", good ? "nothing failed" : e.message);
    bool stays = !gpu_sync(&g->device, &again) && again.status == GYR_DEVICE && !gpu_alloc(&g->device, 4, &again);
    bool right = !good && e.status == GYR_DEVICE && stays && g->lost;
    gpu_close(&g->device);
    return !right;
}

static const char *self;

static void in_a_process_of_its_own(const char *kernel) {
    char index[16];
    snprintf(index, sizeof index, "%d", card);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        execl(self, self, "--fail", kernel, api.vendor->kind, index, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

static void a_stray_write_is_told(void) { in_a_process_of_its_own("stray"); }
static void a_kernel_that_does_not_end_is_told(void) { in_a_process_of_its_own("spin"); }

// ------------------------------------------------------------------------------- all cards

static bool nobody_leaves(void *arg, gyr_error *e) { return true; }

// NCCL or RCCL with one card: it works in gyr's context and on its stream, behind what was asked for before, and does
// not wait for the host.
static void it_gathers_with_itself(void) {
    enum { COUNT = 1 << 20, TIMES = 200 };
    struct link_terms terms = {.count = 1, .watch = nobody_leaves};
    size_t floats[] = {COUNT};
    gyr_error e = {0};
    char name[48] = "";
    struct gpu *g = gpu_open(&api, card, &own, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    float *came = calloc(COUNT, sizeof *came);
    dfloat *from = gpu_alloc(d, COUNT * sizeof(float), &e), *to = gpu_alloc(d, COUNT * sizeof(float), &e);
    if (gpu_linkable(d, name, &e)) {
        double begun = now_seconds(), asked;
        MUST(gpu_ticket(d, terms.ticket, &e) && gpu_link(d, &terms, &e));
        printf("  %s, linked in %.2f s\n", name, now_seconds() - begun);
        MUST(launch(g, "number", from, COUNT, &e));
        gpu_gather(d, from, to, floats);
        gpu_read(d, came, to, COUNT * sizeof *came);
        MUST(gpu_sync(d, &e));
        size_t wrong = 0;
        for (size_t i = 0; i < COUNT; i++) wrong += came[i] != (float)i;
        CHECK_INT(wrong, 0);
        *floats = 4096;
        begun = now_seconds();
        for (int i = 0; i < TIMES; i++) gpu_gather(d, from, to, floats);
        asked = now_seconds() - begun;
        MUST(gpu_sync(d, &e));
        printf("  16 KB: asked for in %.1f us, done in %.1f us each\n", 1e6 * asked / TIMES,
               1e6 * (now_seconds() - begun) / TIMES);
        gpu_unlink(d, true);
        MUST(gpu_sync(d, &e));
    } else
        printf("  NOT TRIED: %s\n", e.message);
    free(came);
    gpu_close(d);
}

static void try_card(void) {
    struct gpu_chip chip;
    uint64_t left;
    gyr_error e = {0};
    if (!gpu_look(&api, card, &chip, &left, &e)) {
        printf("FAILED  %s\n", e.message);
        test_failed++;
        return;
    }
    printf("%s:%d: %s, %s, %d processors, %.1f GB, %.1f free; %s %d.%d, %s %d.%d\n", api.vendor->kind, card, chip.card,
           chip.name, chip.processors, (double)chip.memory / 1e9, (double)left / 1e9, api.vendor->driver_title,
           api.driver.major, api.driver.minor, api.vendor->compiler_title, api.compiler.major, api.compiler.minor);
    if (link_alone) {
        RUN(it_gathers_with_itself);
        return;
    }
    RUN(it_computes_as_the_host_does);
    RUN(memory_keeps_what_is_copied);
    RUN(memory_comes_quickly);
    RUN(too_much_memory_is_refused);
    RUN(small_steps_are_fast);
    RUN(it_gathers_with_itself);
    RUN(every_program_is_compiled_once);
    RUN(a_stray_write_is_told);
    RUN(a_kernel_that_does_not_end_is_told);
}

static int try_all(void) {
    int cards = 0;
    time_t now = time(NULL);
    printf("gpu_card_test, %s", ctime(&now));
    for (int v = 0; v < GPU_VENDORS; v++) {
        double begun = now_seconds();
        gpu_api_load(&api, &gpu_vendors[v], getenv("GYR_GPU_LIBRARIES"));
        found_seconds = now_seconds() - begun;
        if (!api.driver.good || !api.cards) {
            printf("%s: no card to try: %s\n", gpu_vendors[v].kind, api.driver.good ? "none is here" : api.driver.why);
            continue;
        }
        if (!gpu_compiles(&api)) {
            printf("FAILED  %s: %s\n", gpu_vendors[v].kind, api.compiler.why);
            test_failed++;
        }
        for (card = 0; card < api.cards && gpu_compiles(&api); card++, cards++) try_card();
    }
    if (!cards && !test_failed) {
        printf("SKIPPED: NOTHING WAS RUN ON A CARD, there is none\n");
        return 77;
    }
    return test_end();
}

// ------------------------------------------------------------------------------- compiling alone

struct compiling {
    const char *keep; // folder; NULL: none
    struct gpu_unit *unit;
    size_t n;
    gyr_error *error;
    size_t *bytes;
    double *took;
};

static void compile_one(void *arg, size_t i) {
    struct compiling *c = arg;
    struct gpu_image image = {0};
    double begun = now_seconds();
    bool ok = gpu_compile(&api, &c->unit[i], &image, &c->error[i]);
    c->took[i] = now_seconds() - begun;
    if (ok && c->keep) gpu_image_ship(&api, &c->unit[i], &image, c->keep, &c->error[i]);
    c->bytes[i] = image.size;
    free(image.data);
}

static void compile_for(const char *chip, const bool types[TYPE_LIMIT], const char *keep) {
    enum { MOST = 2000 }; // and this test's own
    static struct gpu_unit unit[MOST + 1];
    static gyr_error error[MOST + 1];
    static size_t bytes[MOST + 1];
    static double took[MOST + 1];
    struct compiling c = {keep, unit, 0, error, bytes, took};
    int warp = !strncmp(chip, "gfx9", 4) ? 64 : 32;
    for (size_t i = 0; i < gpu_sources.n; i++)
        for (int type = -1; type < TYPE_LIMIT; type++) {
            const struct gpu_source *s = &gpu_sources.file[i];
            bool wanted = s->kernels && (s->typed ? type >= 0 && types[type] : type < 0);
            if (wanted && c.n < MOST) unit[c.n++] = (struct gpu_unit){&gpu_sources, s, type, chip, warp};
        }
    unit[c.n++] = (struct gpu_unit){&own, own_files, -1, chip, warp};
    memset(error, 0, sizeof error);
    struct pool *pool = pool_new(0, NULL);
    if (pool) pool_run(pool, c.n, compile_one, &c);
    pool_free(pool);
    for (size_t i = 0; i < c.n; i++) {
        char name[128];
        gpu_unit_name(&unit[i], name, sizeof name);
        printf("%-7s %s: %s, %.2f s, %zu bytes\n", error[i].status ? "FAILED" : "ok", chip, name, took[i], bytes[i]);
        if (error[i].status) printf("        %s\n", error[i].message);
        (*(error[i].status ? &test_failed : &test_passed))++;
    }
}

static int compile_all(int argc, char **argv) {
    bool types[TYPE_LIMIT] = {0}, some = false;
    const char *keep = NULL;
    if (argc > 1 && !strcmp(*argv, "--keep")) {
        keep = argv[1];
        argc -= 2, argv += 2;
    }
    for (; argc > 1 && !strcmp(*argv, "--type"); argc -= 2, argv += 2) {
        int type = type_by_name(argv[1]);
        if (type < 0) return printf("%s: no such type\n", argv[1]), 2;
        types[type] = some = true;
    }
    for (uint32_t t = 0; t < TYPE_LIMIT && !some; t++) types[t] = type_info(t) && type_info(t)->quantized;
    for (; argc > 0; argc--, argv++) {
        int vendor = strncmp(*argv, "gfx", 3) ? GPU_CUDA : GPU_HIP;
        gpu_api_load_compiler(&api, &gpu_vendors[vendor], getenv("GYR_GPU_LIBRARIES"));
        if (!api.compiler.good) return printf("SKIPPED: %s\n", api.compiler.why), 77;
        if (!gpu_api_knows(&api, *argv)) return printf("%s: the compiler does not know it\n", *argv), 2;
        compile_for(*argv, types, keep);
    }
    return test_end();
}

int main(int argc, char **argv) {
    self = argv[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "--compile")) return compile_all(argc - 2, argv + 2);
    if (argc == 5 && !strcmp(argv[1], "--fail")) {
        gpu_api_load(&api, &gpu_vendors[strcmp(argv[3], "hip") ? GPU_CUDA : GPU_HIP], getenv("GYR_GPU_LIBRARIES"));
        card = (int)strtol(argv[4], NULL, 10);
        return fail_for_good(argv[2]);
    }
    link_alone = argc > 1 && !strcmp(argv[1], "--link");
    return try_all();
}
