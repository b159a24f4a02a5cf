// The driver layer on stand-ins of the vendors' libraries: memory, order, launches, programs and their cache.
#include "fakes.h"

#include "device/gpu/compile.h"
#include "device/gpu/record.h"
#include "test.h"

#include <dirent.h>
#include <sys/stat.h>

static const char *const kinds[GPU_VENDORS] = {"cuda", "hip"};

// ------------------------------------------------------------------------------- memory and launches

static bool all_are(const float *x, size_t n, float value) {
    for (size_t i = 0; i < n; i++)
        if (x[i] != value) return false;
    return true;
}

static struct launch fill_launch(const char *kernel, const struct fill_args *args) {
    unsigned blocks = (unsigned)((args->n + 255) / 256);
    return (struct launch){kernel, {blocks, 1, 1}, {256, 1, 1}, 0, args, sizeof *args};
}

static void memory_is_zeroed_and_copied(int vendor) {
    // More than what is staged at a time, and no multiple of anything.
    enum { N = 3 * GPU_HALF + 12345 };
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    const struct device_ops *ops = d->ops;
    uint8_t *a = ops->alloc(d, N, &e), *b = ops->alloc(d, N, &e), *got = malloc(N), *want = calloc(1, N);
    REQUIRE(a && b && got && want);
    memset(got, 1, N);
    ops->read(d, got, a, N);
    CHECK(ops->sync(d, &e));
    CHECK(!memcmp(got, want, N));
    for (size_t i = 0; i < N; i++) want[i] = (uint8_t)(i * 7 + (i >> 9));
    memcpy(got, want, N);
    ops->write(d, a, got, N);
    memset(got, 0, N); // it was read at once
    ops->copy(d, b, a, N);
    for (size_t i = 0; i < 1000; i++) ops->read(d, got + i, b + i, 1);
    ops->read(d, got + 1000, b + 1000, N - 1000);
    CHECK(ops->sync(d, &e));
    CHECK(!memcmp(got, want, N));
    ops->free(d, a);
    ops->free(d, b);
    uint64_t total, left;
    ops->room(d, &total, &left);
    CHECK_INT(total, 1 << 30);
    CHECK_INT(left, 1 << 30);
    ops->close(d);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
    free(got);
    free(want);
}

// Pinned memory is read into at once, by parts too, and what is beside it is not.
static void pinned_memory_is_read_into(int vendor) {
    enum { N = 2 * GPU_HALF };
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    uint8_t *there = d->ops->alloc(d, N, &e), *want = malloc(N);
    uint8_t *a = d->ops->host_alloc(d, N, &e), *b = d->ops->host_alloc(d, 64, &e);
    REQUIRE(there && want && a && b);
    for (size_t i = 0; i < N; i++) want[i] = (uint8_t)(i * 13 + (i >> 8));
    d->ops->write(d, there, want, N);
    d->ops->read(d, a + 5, there + 5, N - 5);
    d->ops->read(d, b, there + 100, 64);
    CHECK(d->ops->sync(d, &e));
    CHECK(!memcmp(a + 5, want + 5, N - 5) && !memcmp(b, want + 100, 64));
    d->ops->host_free(d, a);
    d->ops->host_free(d, b);
    setenv("GYR_FAKE_FAIL", "host_alloc:1:2", 1);
    CHECK(!d->ops->host_alloc(d, 64, &e));
    CHECK_INT(e.status, GYR_NO_MEMORY);
    fake_behave();
    CHECK(d->ops->sync(d, &e));
    d->ops->free(d, there);
    d->ops->close(d);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
    free(want);
}

static void launches_go_in_order(int vendor) {
    enum { N = 1000 };
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    float got[N] = {0}, before[N];
    CHECK_INT(g->chip.warp, vendor == GPU_CUDA ? 32 : 64);
    CHECK_STR(g->chip.name, vendor == GPU_CUDA ? "sm_90a" : "gfx942:sramecc+:xnack-");
    dfloat *x = d->ops->alloc(d, sizeof got, &e);
    REQUIRE(x && gpu_want(g, TYPE_Q4_0, &e));
    struct fill_args args = {x, N, 1.5f};
    struct launch fill = fill_launch("fill", &args), twice = fill_launch("twice_q4_0", &args);
    CHECK(gpu_launch(g, &fill, &e));
    args.value = 7; // it was copied
    CHECK(gpu_launch(g, &twice, &e));
    d->ops->read(d, before, x, sizeof before);
    CHECK(gpu_launch(g, &fill, &e));
    d->ops->read(d, got, x, sizeof got);
    CHECK(all_are(got, N, 0)); // later
    CHECK(d->ops->sync(d, &e));
    CHECK(all_are(before, N, 3) && all_are(got, N, 7));
    d->ops->free(d, x);
    d->ops->close(d);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

// Lists of launches that come again go as graphs, whatever their length; others do not, and the order is the same.
static void lists_become_graphs(int vendor) {
    enum { N = 500 };
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    float got[N];
    size_t replayed, made;
    dfloat *x = d->ops->alloc(d, sizeof got, &e);
    REQUIRE(x && gpu_want(g, TYPE_Q4_0, &e));
    for (int round = 0; round < 5; round++) {
        struct fill_args args = {x, N, 1};
        struct launch fill = fill_launch("fill", &args), twice = fill_launch("twice_q4_0", &args);
        CHECK(gpu_launch(g, &fill, &e));
        for (int i = 0; i < 100; i++) { // three lists, the first of them short
            CHECK(gpu_launch(g, &twice, &e));
            if (i % 20 != 19) continue;
            args.value = round == 4 ? 5 : 3;
            CHECK(gpu_launch(g, &fill, &e));
        }
        CHECK(gpu_launch(g, &twice, &e));
        d->ops->read(d, got, x, sizeof got);
        CHECK(d->ops->sync(d, &e));
        CHECK(all_are(got, N, round == 4 ? 10 : 6));
    }
    gpu_record_count(g, &replayed, &made);
    CHECK_INT(made, 3);
    CHECK_INT(replayed, 10); // the second, third and fourth round, of three lists; the last begins as they do
    CHECK_INT(fake_tells(vendor, "fake_graphs"), 10);
    d->ops->free(d, x);
    d->ops->close(d);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

// Steps of several kinds that begin alike and go on otherwise, in turns: what came behind a list last time is a guess.
static void steps_take_turns(int vendor) {
    enum { N = 10 };
    static const int kinds_of_rounds[] = {0, 0, 0, 1, 0, 1, 1, 1, 2, 1, 2, 2, 0, 2, 3, 3, 3, 0, 1, 2, 3};
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    float got[N];
    dfloat *x = d->ops->alloc(d, sizeof got, &e);
    REQUIRE(x && gpu_want(g, TYPE_Q4_0, &e));
    for (size_t round = 0; round < sizeof kinds_of_rounds / sizeof *kinds_of_rounds; round++) {
        int kind = kinds_of_rounds[round];
        struct fill_args one = {x, N, 1}, more = {x, N, (float)kind};
        struct launch fill = fill_launch("fill", &one), twice = fill_launch("twice_q4_0", &one);
        for (int i = 0; i < 8; i++) CHECK(gpu_launch(g, i ? &twice : &fill, &e)); // of all kinds
        if (kind) fill.args = &more;
        if (kind) CHECK(gpu_launch(g, &fill, &e));
        for (int i = 0; i < 4 + kind / 3; i++) CHECK(gpu_launch(g, &twice, &e));
        d->ops->read(d, got, x, sizeof got);
        CHECK(d->ops->sync(d, &e));
        CHECK(all_are(got, N, (float[]){2048, 16, 32, 96}[kind]));
    }
    d->ops->free(d, x);
    d->ops->close(d);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

// More graphs than are kept.
static void graphs_go(int vendor) {
    enum { N = 4 };
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    float got[N];
    dfloat *x = d->ops->alloc(d, sizeof got, &e);
    for (int list = 0; list < 700; list++)
        for (int again = 0; again < 3; again++) {
            struct fill_args args = {x, N, (float)list};
            struct launch fill = fill_launch("fill", &args);
            for (int i = 0; i < 5; i++) CHECK(gpu_launch(g, &fill, &e));
            d->ops->read(d, got, x, sizeof got);
            if (list % 300 != 299 && again != 2) continue;
            CHECK(d->ops->sync(d, &e));
            CHECK(all_are(got, N, (float)list));
        }
    size_t replayed, made;
    gpu_record_count(g, &replayed, &made);
    CHECK(made > 600);
    CHECK_INT(replayed, 2 * made);
    d->ops->free(d, x);
    d->ops->close(d);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

static void a_kernel_that_is_not_there(int vendor) {
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    char want[128];
    struct launch none = {"none", {1, 1, 1}, {1, 1, 1}, 0, "", 1};
    snprintf(want, sizeof want, "%s:0 (Stand-in 0): there is no kernel none", kinds[vendor]);
    CHECK(!gpu_launch(g, &none, &e));
    CHECK_STR(e.message, want);
    CHECK(!g->device.ops->sync(&g->device, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK_STR(e.message, want);
    CHECK(g->device.ops->sync(&g->device, &e)); // once
    g->device.ops->close(&g->device);
}

static void large_shared_memory_is_asked_for(int vendor) {
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &good_sources, &e);
    REQUIRE(g);
    dfloat *x = gpu_alloc(&g->device, 4, &e);
    struct fill_args args = {x, 1, 1};
    struct launch l = fill_launch("fill", &args);
    l.shared = vendor == GPU_CUDA ? 90 << 10 : 48 << 10;
    CHECK(gpu_launch(g, &l, &e));
    CHECK(gpu_sync(&g->device, &e));
    l.shared = 200 << 10;
    CHECK(!gpu_launch(g, &l, &e));
    CHECK(!gpu_sync(&g->device, &e));
    gpu_free(&g->device, x);
    gpu_close(&g->device);
}

static void kernels_of_a_library_run(int vendor) {
    static const struct gpu_source files[] = {{"three.cu", "KERNEL(thrice, fill_args) {}\n", "thrice ", false}};
    struct gpu_api api;
    gyr_error e = {0};
    char path[4096];
    float got[4] = {0}, want[4] = {3, 6, 9, 12}, from[4] = {1, 2, 3, 4};
    snprintf(path, sizeof path, "%s/fake_kernels.so",
             getenv("GYR_FAKES") ? getenv("GYR_FAKES") : "build/tests/device/gpu");
    setenv("GYR_FAKE_KERNELS", path, 1);
    struct gpu *g = open_fake(&api, vendor, &(struct gpu_sources){files, 1}, &e);
    REQUIRE(g);
    dfloat *x = gpu_alloc(&g->device, sizeof got, &e);
    struct fill_args args = {x, 4, 0};
    struct launch l = fill_launch("thrice", &args);
    gpu_write(&g->device, x, from, sizeof from);
    CHECK(gpu_launch(g, &l, &e));
    gpu_read(&g->device, got, x, sizeof got);
    CHECK(gpu_sync(&g->device, &e));
    CHECK(!memcmp(got, want, sizeof got));
    gpu_free(&g->device, x);
    gpu_close(&g->device);
    unsetenv("GYR_FAKE_KERNELS");
}

// Once programs are there, what is small is fetched by a kernel, and no copy of the driver's is asked for.
static void what_is_small_is_fetched(int vendor) {
    static const struct gpu_source files[] = {{"move.cu", "KERNEL(move_rows, move_args) {}\n", "move_rows ", false}};
    enum { SMALL = 1000, MORE = 100000 };
    struct gpu_api api;
    gyr_error e = {0};
    char path[4096];
    static float from[MORE], got[MORE];
    snprintf(path, sizeof path, "%s/fake_kernels.so",
             getenv("GYR_FAKES") ? getenv("GYR_FAKES") : "build/tests/device/gpu");
    setenv("GYR_FAKE_KERNELS", path, 1);
    struct gpu *g = open_fake(&api, vendor, &(struct gpu_sources){files, 1}, &e);
    REQUIRE(g);
    struct device *d = &g->device;
    dfloat *x = d->ops->alloc(d, sizeof from, &e);
    REQUIRE(x && d->ops->sync(d, &e));
    setenv("GYR_FAKE_FAIL", "write:1:1", 1);
    for (int round = 1; round < 5; round++) {
        for (int i = 0; i < SMALL; i++) from[i] = (float)(i * round);
        d->ops->write(d, x, from, SMALL * sizeof *from);
        from[7] = -1; // it was read at once
        d->ops->write(d, x + SMALL, from, 8 * sizeof *from);
        d->ops->read(d, got, x, (SMALL + 8) * sizeof *got);
        CHECK(d->ops->sync(d, &e));
        from[7] = (float)(7 * round);
        CHECK(!memcmp(got, from, SMALL * sizeof *got) && got[SMALL + 7] == -1);
    }
    d->ops->write(d, x, from, sizeof from); // which is not small
    CHECK(!d->ops->sync(d, &e));
    CHECK(strstr(e.message, "copying to the card failed"));
    d->ops->write(d, x, from, 5); // nor a number of floats
    CHECK(d->ops->sync(d, &e));   // the second copy does not fail
    unsetenv("GYR_FAKE_FAIL");
    d->ops->free(d, x);
    d->ops->close(d);
    unsetenv("GYR_FAKE_KERNELS");
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

// ------------------------------------------------------------------------------- programs

static void count_programs(int vendor, const struct gpu_sources *sources, size_t compiled, size_t kept) {
    long before = fake_tells(vendor, "fake_compiles");
    struct gpu_api api;
    gyr_error e = {0};
    size_t got_compiled, got_kept;
    struct gpu *g = open_fake(&api, vendor, sources, &e);
    REQUIRE(g);
    CHECK(gpu_want(g, TYPE_Q4_0, &e) && gpu_want(g, TYPE_F16, &e) && gpu_want(g, TYPE_Q4_0, &e));
    CHECK(gpu_sync(&g->device, &e));
    gpu_programs_count(g, &got_compiled, &got_kept);
    CHECK_INT(got_compiled, compiled);
    CHECK_INT(got_kept, kept);
    if (compiled > 1) CHECK(fake_tells(vendor, "fake_compiles") > before);
    if (!compiled) CHECK_INT(fake_tells(vendor, "fake_compiles"), before);
    gpu_close(&g->device);
}

static void the_second_start_compiles_nothing(int vendor) {
    static const struct gpu_source changed[] = {
        {"plain.cu", "#include \"words.h\"\nKERNEL(fill, fill_args) {}\n", "fill ", false},
        {"typed.cu", "#include \"words.h\"\n// TYPE_NAME\nKERNEL(twice, fill_args) {}\n", "twice ", true},
        {"words.h", "#define KERNEL(name, type) name \n", NULL, false},
    };
    new_cache();
    count_programs(vendor, &good_sources, 3, 0);
    count_programs(vendor, &good_sources, 0, 3);
    count_programs(vendor, &(struct gpu_sources){changed, 3}, 3, 0);
    setenv(vendor == GPU_CUDA ? "GYR_FAKE_COMPILER" : "GYR_FAKE_VERSION", vendor == GPU_CUDA ? "131" : "60443483", 1);
    count_programs(vendor, &good_sources, 3, 0);
    count_programs(vendor, &good_sources, 0, 3);
    fake_behave();
    count_programs(vendor, &good_sources, 0, 3);
}

// Calls fn with each file of the cache.
static size_t each_file(bool (*fn)(const char *path)) {
    char folder[256];
    size_t n = 0;
    snprintf(folder, sizeof folder, "%s/gyr", getenv("XDG_CACHE_HOME"));
    DIR *d = opendir(folder);
    for (struct dirent *f; d && (f = readdir(d));) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        if (*f->d_name != '.' && fn(path)) n++;
    }
    if (d) closedir(d);
    return n;
}

static bool is_program(const char *path) { return strstr(path, ".program"); }

static bool change_byte(const char *path, long at) {
    FILE *f = fopen(path, "r+b");
    bool ok = f && !fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = ok ? fgetc(f) : EOF;
    ok = c != EOF && !fseek(f, -1, SEEK_CUR) && fputc(c ^ 1, f) != EOF;
    return f && !fclose(f) && ok;
}

static bool break_image(const char *path) { return change_byte(path, -3); }
static bool break_title(const char *path) { return change_byte(path, 50); }
static bool break_version(const char *path) { return change_byte(path, 8); }
static bool cut_short(const char *path) { return !truncate(path, 280); }
static bool cut_to_nothing(const char *path) { return !truncate(path, 0); }
static bool lengthen(const char *path) {
    FILE *f = fopen(path, "ab");
    return f && fputc('x', f) != EOF && !fclose(f);
}
static bool make_a_folder(const char *path) { return !unlink(path) && !mkdir(path, 0700); }
static bool make_a_link(const char *path) {
    char other[256];
    snprintf(other, sizeof other, "%s/other", new_folder());
    return !rename(path, other) && !symlink(other, path);
}

// One file takes the place of another.
static char first_file[600];
static bool exchange(const char *path) {
    if (!*first_file) return snprintf(first_file, sizeof first_file, "%s", path) > 0;
    return !unlink(path) && !link(first_file, path);
}

static void a_damaged_file_is_not_loaded(int vendor) {
    static bool (*const how[])(const char *) = {break_image,    break_title, break_version, cut_short,
                                                cut_to_nothing, lengthen,    make_a_link};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        new_cache();
        count_programs(vendor, &good_sources, 3, 0);
        CHECK_INT(each_file(how[i]), 3);
        count_programs(vendor, &good_sources, 3, 0);
        count_programs(vendor, &good_sources, 0, 3); // and were replaced
    }
    new_cache();
    *first_file = 0;
    count_programs(vendor, &good_sources, 3, 0);
    CHECK_INT(each_file(exchange), 3);
    count_programs(vendor, &good_sources, 2, 1);
    CHECK_INT(each_file(is_program), 3);
}

static void without_a_cache_programs_are_compiled(int vendor) {
    new_cache();
    count_programs(vendor, &good_sources, 3, 0);
    CHECK_INT(each_file(make_a_folder), 3); // nothing can be written there
    count_programs(vendor, &good_sources, 3, 0);
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    count_programs(vendor, &good_sources, 3, 0);
    new_cache();
}

// Compiles all programs, the typed one for Q4_0, into a folder for machines without a compiler.
static const char *ship(const struct gpu_api *api, const struct gpu_chip *chip) {
    const char *folder = new_folder();
    for (size_t i = 0; i < 2; i++) {
        const struct gpu_source *s = &good_sources.file[i];
        struct gpu_unit u = {&good_sources, s, s->typed ? TYPE_Q4_0 : -1, chip->name, chip->warp};
        struct gpu_image image = {0};
        gyr_error e = {0};
        CHECK(gpu_compile(api, &u, &image, &e) && gpu_image_ship(api, &u, &image, folder, &e));
        CHECK(!gpu_image_ship(api, &u, &image, "/nowhere", &e));
        CHECK_STR(e.message, "/nowhere: a program cannot be written there; choose another folder");
        free(image.data);
    }
    return folder;
}

static void programs_that_were_compiled_elsewhere(int vendor) {
    struct gpu_api api;
    struct gpu_chip chip;
    uint64_t left;
    size_t compiled, kept;
    gyr_error e = {0};
    char want[300];
    new_cache();
    load_fakes(&api, vendor);
    REQUIRE(gpu_look(&api, 0, &chip, &left, &e));
    const char *folder = ship(&api, &chip);
    api.compiler = (struct gpu_library){.why = "no compiler"};
    CHECK(!gpu_open(&api, 0, &good_sources, &e));
    CHECK(strstr(e.message, ": no compiler"));
    setenv("GYR_GPU_PROGRAMS", folder, 1);
    struct gpu *g = gpu_open(&api, 0, &good_sources, &e);
    REQUIRE(g);
    CHECK(gpu_want(g, TYPE_Q4_0, &e) && gpu_sync(&g->device, &e));
    gpu_programs_count(g, &compiled, &kept);
    CHECK_INT(compiled, 0);
    CHECK_INT(kept, 2);
    CHECK(gpu_want(g, TYPE_Q8_0, &e) && !gpu_sync(&g->device, &e));
    snprintf(want, sizeof want, "%s: %s has no program typed.cu for q8_0 of this gyr for it; %s", chip.name, folder,
             api.vendor->get_compiler);
    CHECK_STR(e.message, want);
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    gpu_close(&g->device);
    unsetenv("GYR_GPU_PROGRAMS");
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

static void the_compilers_error_is_told(int vendor) {
    static const struct gpu_source wrong[] = {
        {"wrong.cu", "KERNEL(fill, fill_args) {}\n\n#error no such chip\n", "fill ", false}};
    static const struct gpu_source lost[] = {{"lost.cu", "#include \"none.h\"\n", "fill ", false}};
    struct gpu_api api;
    gyr_error e = {0};
    char want[256];
    struct gpu *g = open_fake(&api, vendor, &(struct gpu_sources){wrong, 1}, &e);
    REQUIRE(g);
    snprintf(want, sizeof want, "%s refuses gyr's program wrong.cu: wrong.cu(3): error: #error directive: no such chip",
             vendor == GPU_CUDA ? "sm_90a: NVRTC 13.0" : "gfx942:sramecc+:xnack-: hipRTC 7.1");
    for (int i = 0; i < 2; i++) { // each time
        CHECK(!gpu_sync(&g->device, &e));
        CHECK_INT(e.status, GYR_UNSUPPORTED);
        CHECK_STR(e.message, want);
    }
    gpu_close(&g->device);
    g = open_fake(&api, vendor, &(struct gpu_sources){lost, 1}, &e);
    REQUIRE(g);
    CHECK(!gpu_sync(&g->device, &e));
    CHECK(strstr(e.message, "lost.cu(1): error: cannot open source file \"none.h\""));
    gpu_close(&g->device);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

static void a_program_without_its_kernel(int vendor) {
    static const struct gpu_source few[] = {{"few.cu", "KERNEL(fill, fill_args) {}\n", "fill empty ", false}};
    struct gpu_api api;
    gyr_error e = {0};
    struct gpu *g = open_fake(&api, vendor, &(struct gpu_sources){few, 1}, &e);
    REQUIRE(g);
    for (int i = 0; i < 2; i++) {
        CHECK(!gpu_sync(&g->device, &e));
        CHECK_INT(e.status, GYR_UNSUPPORTED);
        CHECK(strstr(e.message, "looking for a kernel failed: error 500"));
    }
    gpu_close(&g->device);
    CHECK_INT(fake_tells(vendor, "fake_held"), 0);
}

FOR_BOTH(memory_is_zeroed_and_copied)
FOR_BOTH(pinned_memory_is_read_into)
FOR_BOTH(launches_go_in_order)
FOR_BOTH(lists_become_graphs)
FOR_BOTH(steps_take_turns)
FOR_BOTH(graphs_go)
FOR_BOTH(a_kernel_that_is_not_there)
FOR_BOTH(large_shared_memory_is_asked_for)
FOR_BOTH(kernels_of_a_library_run)
FOR_BOTH(what_is_small_is_fetched)
FOR_BOTH(the_second_start_compiles_nothing)
FOR_BOTH(a_damaged_file_is_not_loaded)
FOR_BOTH(without_a_cache_programs_are_compiled)
FOR_BOTH(programs_that_were_compiled_elsewhere)
FOR_BOTH(the_compilers_error_is_told)
FOR_BOTH(a_program_without_its_kernel)

int main(void) {
    if (!fakes_begin()) return 1;
    RUN_BOTH(memory_is_zeroed_and_copied);
    RUN_BOTH(pinned_memory_is_read_into);
    RUN_BOTH(launches_go_in_order);
    RUN_BOTH(lists_become_graphs);
    RUN_BOTH(steps_take_turns);
    RUN_BOTH(graphs_go);
    RUN_BOTH(a_kernel_that_is_not_there);
    RUN_BOTH(large_shared_memory_is_asked_for);
    RUN_BOTH(kernels_of_a_library_run);
    RUN_BOTH(what_is_small_is_fetched);
    RUN_BOTH(the_second_start_compiles_nothing);
    RUN_BOTH(a_damaged_file_is_not_loaded);
    RUN_BOTH(without_a_cache_programs_are_compiled);
    RUN_BOTH(programs_that_were_compiled_elsewhere);
    RUN_BOTH(the_compilers_error_is_told);
    RUN_BOTH(a_program_without_its_kernel);
    return fakes_end(test_end());
}
