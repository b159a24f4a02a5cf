// Whole models through the driver layer, on stand-ins for both vendors' libraries whose cards run the kernels on the
// host: the CPU's bytes; and a card that fails, or stops, in the middle of an answer. The same of several cards that
// share the rows of a model: a dense one, a mixture, one with states.
#include "cluster/cards.h"
#include "device/gpu/gpu.h"
#include "engine/poet.h"
#include "gyr.h"
#include "model/drawn.h"
#include "model/wide.h"
#include "test.h"

#include <dlfcn.h>
#include <unistd.h>

enum { PROMPT = 7, TOKENS = 12 };

static const char *folders; // of libraries
static struct gpu_api apis[GPU_VENDORS];
static struct gpu *opened;

static size_t two(void) { return GPU_VENDORS; }

static struct device *open_card(size_t index, unsigned threads, gyr_error *e) {
    gpu_api_load(&apis[index], &gpu_vendors[index], folders);
    opened = gpu_open(&apis[index], 0, &gpu_sources, e);
    return opened ? &opened->device : NULL;
}

// Cards that are one device: two of CUDA's, three of HIP's, and one of each.
static size_t kinds_of_rows(void) { return 3; }

static struct device *open_rows(size_t index, unsigned threads, gyr_error *e) {
    static const double part[] = {1, 1.6, 1};
    struct device *all[3], *joined = NULL;
    uint32_t want = index == 1 ? 3 : 2, n = 0;
    for (; n < want; n++) {
        int vendor = index == 2 ? (int)n : (int)index;
        // Threads of an opened card read it.
        if (!n || index == 2) gpu_api_load(&apis[vendor], &gpu_vendors[vendor], folders);
        struct gpu *g = gpu_open(&apis[vendor], index == 2 ? 0 : (int)n, &gpu_sources, e);
        if (!g) break;
        opened = g;
        all[n] = &g->device;
    }
    if (n == want) joined = cards_join(all, n, part, e);
    while (!joined && n) n--, all[n]->ops->close(all[n]);
    return joined;
}

static void tokens(int32_t ids[TOKENS]) {
    for (int i = 0; i < TOKENS; i++) ids[i] = 3 + 97 * i % 1000;
}

static gyr_model *open_poet(const char *device, gyr_error *e) {
    return gyr_model_open(poet_path(), &(gyr_model_options){.threads = 1, .device = device}, e);
}

// The scores after each token, the prompt in one piece.
static float *scores(const char *device) {
    int32_t ids[TOKENS];
    gyr_error e = {0};
    gyr_model_info info = {0};
    gyr_model *m = open_poet(device, &e);
    gyr_session *s = m ? gyr_session_new(m, NULL, &e) : NULL;
    if (m) gyr_model_get_info(m, &info);
    float *out = s ? calloc((size_t)TOKENS * info.vocab, sizeof *out) : NULL;
    tokens(ids);
    bool ok = out && !gyr_session_feed(s, ids, PROMPT, out, &e);
    for (size_t i = PROMPT; ok && i < TOKENS; i++) ok = !gyr_session_feed(s, ids + i, 1, out + i * info.vocab, &e);
    if (!ok) printf("  on %s: %s\n", device, e.message);
    CHECK(ok);
    gyr_session_free(s);
    gyr_model_close(m);
    return out;
}

static size_t vocabulary(void) {
    gyr_model_info info = {0};
    gyr_model *m = open_poet("cpu", NULL);
    if (m) gyr_model_get_info(m, &info);
    gyr_model_close(m);
    return info.vocab;
}

static void the_bytes_are_the_cpus(void) {
    size_t bytes = TOKENS * vocabulary() * sizeof(float);
    float *want = scores("cpu"), *cuda = scores("drivers"), *hip = scores("drivers:1");
    REQUIRE(want && cuda && hip && bytes);
    CHECK(!memcmp(want, cuda, bytes));
    CHECK(!memcmp(want, hip, bytes));
    free(want);
    free(cuda);
    free(hip);
}

// A card fails behind the prompt: the session is as it was, and every later call says the same.
static void fail_in_the_middle(const char *device, const char *name, const char *value, const char *says) {
    int32_t ids[TOKENS];
    gyr_error e = {0}, again = {0};
    gyr_model *m = open_poet(device, &e);
    gyr_session *s = m ? gyr_session_new(m, NULL, &e) : NULL;
    tokens(ids);
    REQUIRE(s && !gyr_session_feed(s, ids, PROMPT, NULL, &e));
    opened->patience = 0.3;
    setenv(name, value, 1);
    CHECK_INT(gyr_session_feed(s, ids + PROMPT, 1, NULL, &e), GYR_DEVICE);
    unsetenv(name);
    CHECK(strstr(e.message, says));
    if (!strstr(e.message, says)) printf("  %s\n", e.message);
    CHECK_INT(gyr_session_length(s), PROMPT);
    CHECK_INT(gyr_session_feed(s, ids + PROMPT, 1, NULL, &again), GYR_DEVICE);
    CHECK_STR(again.message, e.message);
    CHECK_INT(gyr_session_length(s), PROMPT);
    gyr_session_free(s);
    gyr_model_close(m);
}

static void a_card_is_lost(void) {
    fail_in_the_middle("drivers", "GYR_FAKE_FAIL", "kernel:5:700", "computing failed: error 700");
}

static void a_card_stops(void) { fail_in_the_middle("drivers:1", "GYR_FAKE_HANG", "1", "no answer in"); }

// What can be tried again is: the same bytes as if nothing had been.
static void refuse_a_call(const char *device, const char *how) {
    int32_t ids[TOKENS];
    gyr_error e = {0};
    size_t vocab = vocabulary();
    gyr_model *m = open_poet(device, &e);
    gyr_session *s = m ? gyr_session_new(m, NULL, &e) : NULL;
    float *want = scores("cpu"), *got = calloc(vocab, sizeof *got);
    tokens(ids);
    REQUIRE(s && want && got && !gyr_session_feed(s, ids, PROMPT, NULL, &e));
    setenv("GYR_FAKE_FAIL", how, 1);
    CHECK_INT(gyr_session_feed(s, ids + PROMPT, 1, got, &e), GYR_DEVICE);
    unsetenv("GYR_FAKE_FAIL");
    CHECK_INT(gyr_session_length(s), PROMPT);
    CHECK_INT(gyr_session_feed(s, ids + PROMPT, 1, got, &e), GYR_OK);
    CHECK(!memcmp(got, want + PROMPT * vocab, vocab * sizeof *got));
    free(want);
    free(got);
    gyr_session_free(s);
    gyr_model_close(m);
}

static void a_call_is_refused(void) { refuse_a_call("drivers:1", "launch:5:1"); }

// As if the program had been ended and started again: a card that was lost is there again.
static void start_again(int vendor) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folders, vendor == GPU_CUDA ? "libcuda.so.1" : "libamdhip64.so.7");
    void *library = dlopen(path, RTLD_NOW), *address = library ? dlsym(library, "fake_reset") : NULL;
    void (*reset)(void) = NULL;
    memcpy(&reset, &address, sizeof reset);
    REQUIRE(reset);
    reset();
}

// Of several cards, one fails: all of them are one device.
static void one_of_several_fails(void) {
    fail_in_the_middle("rows", "GYR_FAKE_FAIL", "kernel:9:700", "failed: error 700");
    fail_in_the_middle("rows:1", "GYR_FAKE_FAIL", "peer_copy:7:719", "copying from another card failed: error 719");
    start_again(GPU_CUDA);
    start_again(GPU_HIP);
    refuse_a_call("rows", "peer_copy:7:1");
    refuse_a_call("rows:1", "stream_wait:4:1");
}

static long told(int vendor, const char *what) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folders, vendor == GPU_CUDA ? "libcuda.so.1" : "libamdhip64.so.7");
    void *library = dlopen(path, RTLD_NOW), *address = library ? dlsym(library, what) : NULL;
    long (*number)(void) = NULL;
    memcpy(&number, &address, sizeof number);
    return number ? number() : -1;
}

// Between opening a model and its first scores each kind of call fails at its n-th time, n growing until none does: one
// line with a documented status, and what was taken is given back. "call:N:ERROR" as GYR_FAKE_FAIL has it.
static bool fails_at(const char *device, const char *call, int n, int error) {
    char how[64];
    int32_t ids[TOKENS];
    gyr_error e = {0};
    snprintf(how, sizeof how, "%s:%d:%d", call, n, error);
    setenv("GYR_FAKE_FAIL", how, 1);
    gyr_model *m = open_poet(device, &e);
    gyr_session *s = m ? gyr_session_new(m, NULL, &e) : NULL;
    tokens(ids);
    if (s && !strcmp(call, "launch")) gyr_session_feed(s, ids, 1, NULL, &e);
    unsetenv("GYR_FAKE_FAIL");
    bool line = e.status == GYR_OK || (*e.message && !strchr(e.message, '\n'));
    bool known = e.status == GYR_OK || e.status == GYR_DEVICE || e.status == GYR_NO_MEMORY;
    if (!line || !known) printf("  %s: status %d, %s\n", how, (int)e.status, e.message);
    CHECK(line && known);
    gyr_session_free(s);
    gyr_model_close(m);
    return e.status;
}

static void opening_fails(void) {
    static const char *const calls[] = {"device", "attribute",   "stream_new", "event_new", "host_alloc", "alloc",
                                        "write",  "module_load", "function",   "event_put", "set",        "launch"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int n = 1, error = i % 2 ? 2 : 1; fails_at(i % 3 ? "drivers" : "drivers:1", calls[i], n, error); n += n) {
            CHECK_INT(told(GPU_CUDA, "fake_held"), 0);
            CHECK_INT(told(GPU_HIP, "fake_held"), 0);
        }
}

// ------------------------------------------------------------------------------- by rows

enum { ROWS_PROMPT = 5, ROWS_TOKENS = 9 };

// The scores of each token of a prompt, of some after it, and of a session that was cut short and fed again.
static float *scores_of(const char *path, const char *device, size_t vocab) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.threads = 1, .device = device}, &e);
    gyr_session *s = m ? gyr_session_new(m, NULL, &e) : NULL;
    float *out = s ? calloc((size_t)(ROWS_TOKENS + 2) * vocab, sizeof *out) : NULL;
    int32_t ids[ROWS_TOKENS];
    for (int i = 0; i < ROWS_TOKENS; i++) ids[i] = 1 + 23 * i % 60;
    bool ok = out && !gyr_session_feed(s, ids, ROWS_PROMPT, out, &e);
    for (size_t i = ROWS_PROMPT; ok && i < ROWS_TOKENS; i++) ok = !gyr_session_feed(s, ids + i, 1, out + i * vocab, &e);
    if (ok) gyr_session_truncate(s, 3);
    ok = ok && !gyr_session_feed(s, ids + 3, 2, out + ROWS_TOKENS * vocab, &e);
    if (!ok) printf("  %s on %s: %s\n", path, device, e.message);
    CHECK(ok);
    gyr_session_free(s);
    gyr_model_close(m);
    return out;
}

// `on`: which of the devices, as bits.
static void check_rows(const char *path, const char *name, size_t vocab, unsigned on) {
    static const char *const devices[] = {"rows", "rows:1", "rows:2"};
    size_t bytes = (size_t)(ROWS_TOKENS + 2) * vocab * sizeof(float);
    float *want = scores_of(path, "cpu", vocab);
    for (size_t i = 0; i < 3; i++) {
        if (!TEST_EVERYTHING && !(on >> i & 1)) continue;
        long before = told(GPU_CUDA, "fake_peers") + told(GPU_HIP, "fake_peers");
        float *got = scores_of(path, devices[i], vocab);
        bool same = want && got && !memcmp(want, got, bytes);
        CHECK(same);
        if (!same) printf("  %s on %s: not the CPU's bytes\n", name, devices[i]);
        long copies = told(GPU_CUDA, "fake_peers") + told(GPU_HIP, "fake_peers") - before;
        CHECK(i < 2 ? copies > 20 : copies == 0); // of two vendors: by way of the host
        free(got);
    }
    free(want);
    CHECK_INT(told(GPU_CUDA, "fake_held"), 0);
    CHECK_INT(told(GPU_HIP, "fake_held"), 0);
}

static char model_path[64];

// One with states beside attention, whose narrow matrices every card has whole.
static void by_rows_too(void) {
    static struct drawn d;
    static const unsigned on[WIDE_MODELS] = {7, 1, 3, 2};
    gyr_error e = {0};
    for (size_t i = 0; i < WIDE_MODELS; i++) {
        REQUIRE(wide_write(i, model_path, &e));
        check_rows(model_path, wide_models[i].shape.name, WIDE_VOCAB, on[i]);
    }
    REQUIRE(drawn_load(&d, "falcon-h1") && drawn_write_gguf(&d, model_path, &e));
    check_rows(model_path, "falcon-h1", (size_t)d.vocab, 2);
    drawn_free(&d);
}

// Where the machine lets no card reach another, the driver takes what crosses through the host: gyr asks for the same.
static void without_links_too(void) {
    gyr_error e = {0};
    REQUIRE(wide_write(0, model_path, &e));
    setenv("GYR_FAKE_LINKS", "0", 1);
    check_rows(model_path, "without links", WIDE_VOCAB, 1);
    unsetenv("GYR_FAKE_LINKS");
}

// Of a card's energy something is known from half a second on.
static void energy_is_the_cards(void) {
    size_t i;
    gyr_error e = {0};
    gyr_energy_info info;
    gyr_energy_spent spent;
    gyr_device_info device;
    setenv("GYR_GPU_LIBRARIES", folders, 1);
    setenv("GYR_SYSFS", "/nowhere", 1);
    CHECK_INT(gyr_device_find("cuda:1", &i, &e), GYR_USAGE);
    REQUIRE(!gyr_device_find("cuda", &i, &e) && !gyr_device_get_info(i, &device, &e));
    CHECK_STR(device.bus, "0000:41:00.0");
    gyr_energy *energy = gyr_energy_new("cuda", &e);
    REQUIRE(energy);
    gyr_energy_get_info(energy, &info);
    CHECK_STR(info.source, "card (Stand-in 0)");
    usleep(100000);
    gyr_energy_take(energy, &spent);
    CHECK_INT(spent.basis, GYR_ENERGY_UNKNOWN);
    CHECK(spent.joules == 0);
    usleep(600000);
    gyr_energy_take(energy, &spent);
    CHECK_INT(spent.basis, GYR_ENERGY_ESTIMATED);
    CHECK(spent.joules > 0.9 * 250 * 0.6 && spent.joules < 1.1 * 250 * (spent.seconds + 0.01));
    gyr_energy_free(energy);
    energy = gyr_energy_new("cpu", &e); // whatever cards there are
    REQUIRE(energy);
    gyr_energy_get_info(energy, &info);
    CHECK(!strstr(info.source, "card"));
    gyr_energy_free(energy);
    unsetenv("GYR_SYSFS");
}

// How fast the card's memory is read, and that it is kept for that card alone.
static void the_memorys_rate_is_measured_and_kept(void) {
    gyr_error e = {0};
    double rate = 0;
    gyr_device_info one = {.name = "NVIDIA H200", .isa = "sm_90a"}, other = {.name = "NVIDIA H200", .isa = "sm_100a"};
    gyr_model *m = open_poet("drivers", &e);
    REQUIRE(m);
    CHECK(!gyr_model_measure_read(m, &rate, &e) && rate > 1e3);
    setenv("GYR_FAKE_MEMORY", "60000000", 1);
    CHECK_INT(gyr_model_measure_read(m, &rate, &e), GYR_NO_MEMORY);
    CHECK(strstr(e.message, " GB are free, too little to measure how fast it is read"));
    CHECK(rate == 0);
    unsetenv("GYR_FAKE_MEMORY");
    CHECK(!gyr_model_measure_read(m, &rate, &e) && rate > 1e3); // nothing has failed for good
    gyr_model_close(m);
    CHECK(gyr_plan_kept_read(&one) == 0);
    CHECK(!gyr_plan_keep_read(&one, 4.6e12, &e) && !gyr_plan_keep_read(&other, 7e12, &e));
    CHECK(gyr_plan_kept_read(&one) == 4.6e12 && gyr_plan_kept_read(&other) == 7e12);
    CHECK(!gyr_plan_keep_read(&one, 4.5e12, &e) && gyr_plan_kept_read(&one) == 4.5e12);
}

int main(void) {
    static const struct device_kind kind = {"drivers", two, open_card}, rows = {"rows", kinds_of_rows, open_rows};
    char home[] = "/tmp/gyr-driver-XXXXXX", command[64];
    folders = getenv("GYR_FAKES");
    if (!mkdtemp(home) || !folders || !device_register(&kind) || !device_register(&rows)) return 1;
    snprintf(model_path, sizeof model_path, "%s/model.gguf", home);
    setenv("XDG_CACHE_HOME", home, 1);
    RUN(energy_is_the_cards);
    RUN(the_memorys_rate_is_measured_and_kept);
    RUN(the_bytes_are_the_cpus);
    RUN(opening_fails);
    RUN(a_call_is_refused);
    setenv("GYR_FAKE_CARDS", "3", 1);
    RUN(by_rows_too);
    RUN(without_links_too);
    RUN(one_of_several_fails);
    RUN(a_card_stops);
    RUN(a_card_is_lost);
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command) ? 1 : test_end();
}
