// Libraries that are missing, broken, too old, or do not go together; and what is told of cards.
#include "fakes.h"

#include "base/buf.h"
#include "device/gpu/cards.h"
#include "test.h"

#include <sys/stat.h>

static const char *fakes(void) { return getenv("GYR_FAKES") ? getenv("GYR_FAKES") : "build/tests/device/gpu"; }

// A folder with some of the stand-ins, "FILE" or "FILE=NAME", under these names.
static const char *folder_of(const char *const *files) {
    const char *folder = new_folder();
    for (; *files; files++) {
        char from[4096], to[4096];
        const char *name = strchr(*files, '=');
        snprintf(from, sizeof from, "%s/%.*s", fakes(), (int)strcspn(*files, "="), *files);
        snprintf(to, sizeof to, "%s/%s", folder, name ? name + 1 : *files);
        if (symlink(from, to)) return "/nowhere";
    }
    return folder;
}

// The vendor's row, but libraries are not looked for where a machine may really have them.
static struct gpu_vendor alone(int vendor) {
    static const char *const nowhere[] = {NULL};
    struct gpu_vendor v = gpu_vendors[vendor];
    v.folders = nowhere;
    v.python = NULL;
    return v;
}

static void write_file(const char *folder, const char *name, const char *text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    if (f) fputs(text, f);
    if (f) fclose(f);
}

// ------------------------------------------------------------------------------- the driver

static void no_driver(void) {
    static const char *const names[] = {"libgyr-none.so.1", NULL};
    struct gpu_vendor v = alone(GPU_CUDA);
    struct gpu_api api;
    v.driver_names = names;
    gpu_api_load(&api, &v, new_folder());
    CHECK(!api.driver.good && !api.driver.there);
    CHECK_STR(api.driver.why, "CUDA (libgyr-none.so.1) is not there; install NVIDIA's driver, version 525 or later");
    CHECK_INT(gpu_devices(&api, false), 0);
    CHECK_INT(gpu_devices(&api, true), 1); // there is a card, and no driver
    struct device_facts f;
    gpu_facts(&api, 0, &f);
    CHECK_STR(f.name, "NVIDIA card");
    CHECK_STR(f.why, api.driver.why);
    gyr_error e = {0};
    CHECK(!gpu_open(&api, 0, &good_sources, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
}

static void a_driver_that_is_no_library(void) {
    struct gpu_vendor v = alone(GPU_CUDA);
    struct gpu_api api;
    const char *folder = new_folder();
    static const char *const names[] = {"libgyr-broken.so.1", NULL};
    v.driver_names = names;
    write_file(folder, names[0], "this is no library");
    gpu_api_load(&api, &v, folder);
    CHECK(!api.driver.good && api.driver.there);
    CHECK(strstr(api.driver.why, "CUDA cannot be loaded: "));
    CHECK(strstr(api.driver.why, "libgyr-broken.so.1: file too short") || strstr(api.driver.why, "invalid ELF header"));
    CHECK_INT(gpu_devices(&api, false), 1);
}

static void a_driver_that_is_too_old(void) {
    struct gpu_api api;
    setenv("GYR_FAKE_VERSION", "11080", 1);
    load_fakes(&api, GPU_CUDA);
    CHECK_STR(api.driver.why,
              "NVIDIA's driver is too old: it has CUDA 11.8; install NVIDIA's driver, version 525 or later");
    setenv("GYR_FAKE_VERSION", "50731921", 1);
    load_fakes(&api, GPU_HIP);
    CHECK_STR(api.driver.why, "AMD's driver is too old: it has HIP 5.7; install AMD's ROCm runtime (package "
                              "hip-runtime-amd), version 6.0 or later");
    fake_behave();
}

static void a_driver_that_lacks_a_function(void) {
    struct gpu_vendor v = alone(GPU_CUDA);
    struct gpu_api api;
    gpu_api_load(&api, &v, folder_of((const char *const[]){"libcuda-old.so.1=libcuda.so.1", NULL}));
    CHECK_STR(api.driver.why, "CUDA 13.0 has no cuMemcpyDtoDAsync_v2; install NVIDIA's driver, version 525 or later");
}

static void a_driver_that_does_not_start(void) {
    struct gpu_api api;
    setenv("GYR_FAKE_FAIL", "init:1:803", 1);
    load_fakes(&api, GPU_CUDA);
    CHECK(!api.driver.good);
    CHECK_STR(api.driver.why,
              "NVIDIA's driver failed at its start: error 803, a failure; the driver was updated and the "
              "old one is still loaded: restart the machine");
    fake_behave();
    fake_start_again(GPU_CUDA);
}

static void a_driver_without_cards(void) {
    struct gpu_api api;
    setenv("GYR_FAKE_CARDS", "0", 1);
    load_fakes(&api, GPU_HIP);
    CHECK(api.driver.good);
    CHECK_INT(api.cards, 0);
    CHECK_INT(gpu_devices(&api, false), 0);
    CHECK_INT(gpu_devices(&api, true), 1);
    struct device_facts f;
    gpu_facts(&api, 0, &f);
    CHECK(strstr(f.why, "the driver finds no card; check that this user may use it"));
    fake_behave();
}

// ------------------------------------------------------------------------------- the compiler

static const char *under(const char *folder, const char *name) {
    static struct buf path[4];
    static int turn;
    struct buf *p = &path[turn++ % 4], made = {0};
    buf_printf(&made, "%s%s", folder, name);
    buf_free(p);
    *p = made;
    return p->data;
}

// A prefix that Python is installed in, with NVRTC where pip puts it.
static void install_nvrtc(const char *where) {
    static const char *const files[] = {"libnvrtc.so.13", "libnvrtc-builtins.so.13.0", NULL};
    static const char *const folders[] = {"", "/bin", "/lib", "/lib/python3.13", "/lib/python3.13/site-packages",
                                          "/lib/python3.13/site-packages/nvidia",
                                          "/lib/python3.13/site-packages/nvidia/cu13"};
    char prefix[1024];
    snprintf(prefix, sizeof prefix, "%.1000s", where);
    for (size_t i = 1; i < sizeof folders / sizeof *folders; i++) mkdir(under(prefix, folders[i]), 0700);
    CHECK(!symlink(folder_of(files), under(prefix, "/lib/python3.13/site-packages/nvidia/cu13/lib")));
    write_file(under(prefix, "/bin"), "python3", "");
    CHECK(!chmod(under(prefix, "/bin/python3"), 0700));
}

// In the site-packages of a virtual environment, of the python3 that is found first, or the user's.
static void a_compiler_of_pythons(void) {
    static const struct {
        const char *variable, *prefix, *value; // below the test's folder
    } from[] = {{"VIRTUAL_ENV", "", ""}, {"CONDA_PREFIX", "", ""}, {"PATH", "", "/bin"}, {"HOME", "/.local", ""}};
    char before[4][4096], driver[1024];
    snprintf(driver, sizeof driver, "%.1000s", folder_of((const char *const[]){"libcuda.so.1", NULL}));
    for (int i = 0; i < 4; i++) {
        const char *is = getenv(from[i].variable);
        snprintf(before[i], sizeof before[i], "%s", is ? is : "");
    }
    for (size_t k = 0; k < 5; k++) {
        struct gpu_vendor v = alone(GPU_CUDA);
        struct gpu_api api;
        char root[1024];
        snprintf(root, sizeof root, "%.1000s", new_folder());
        v.python = gpu_vendors[GPU_CUDA].python;
        for (int i = 0; i < 4; i++) setenv(from[i].variable, "/nowhere", 1);
        if (k == 3) mkdir(under(root, from[k].prefix), 0700);
        if (k < 4) install_nvrtc(under(root, from[k].prefix));
        if (k < 4) setenv(from[k].variable, under(root, from[k].value), 1);
        gpu_api_load(&api, &v, driver);
        CHECK(api.compiler.good == (k < 4) || (k == 4 && api.compiler.there)); // the machine may have one itself
    }
    for (int i = 0; i < 4; i++) setenv(from[i].variable, before[i], 1);
}

static void no_compiler(void) {
    static const char *const names[] = {"libgyr-none.so.13", NULL};
    struct gpu_vendor v = alone(GPU_CUDA);
    struct gpu_api api;
    struct device_facts f;
    v.compiler_names = names;
    gpu_api_load(&api, &v, folder_of((const char *const[]){"libcuda.so.1", NULL}));
    CHECK(api.driver.good && !api.compiler.good);
    CHECK_STR(api.compiler.why,
              "NVRTC (libgyr-none.so.13) is not there; install NVRTC: 'pip install nvidia-cuda-nvrtc' (90 MB); if it "
              "is there already, set GYR_GPU_LIBRARIES to the folder of libnvrtc.so");
    CHECK_INT(gpu_devices(&api, false), 1);
    gpu_facts(&api, 0, &f);
    CHECK_STR(f.name, "Stand-in 0");
    CHECK_STR(f.isa, "sm_90a");
    CHECK_STR(f.driver, "CUDA 13.0");
    CHECK_STR(f.compiler, "");
    CHECK_STR(f.why, api.compiler.why);
}

static void a_compiler_without_its_other_half(void) {
    struct gpu_vendor v = alone(GPU_CUDA);
    struct gpu_api api;
    v.companion = "libgyr-none.so";
    gpu_api_load(&api, &v, folder_of((const char *const[]){"libcuda.so.1", "libnvrtc.so.13", NULL}));
    CHECK(!api.compiler.good);
    CHECK(strstr(api.compiler.why, "NVRTC 13.0 lacks libgyr-none.so.13.0 beside it; install NVRTC"));
}

static void a_compiler_that_is_newer_than_the_driver(void) {
    struct gpu_api api;
    setenv("GYR_FAKE_VERSION", "12040", 1);
    load_fakes(&api, GPU_CUDA);
    CHECK(!api.compiler.good);
    CHECK_STR(api.compiler.why,
              "NVRTC 13.0 makes programs for newer drivers than this one, of CUDA 12; update the driver, "
              "or install a compiler of version 12: 'pip install nvidia-cuda-nvrtc-cu12'");
    // Of two, the one that goes with the driver is taken.
    struct gpu_vendor v = alone(GPU_CUDA);
    static const char *const names[] = {"libnvrtc.so.12", NULL};
    v.compiler_names = names;
    v.companion = NULL;
    setenv("GYR_FAKE_COMPILER", "128", 1);
    gpu_api_load(&api, &v, folder_of((const char *const[]){"libcuda.so.1", "libnvrtc.so.13=libnvrtc.so.12", NULL}));
    CHECK(api.compiler.good);
    CHECK_INT(api.compiler.minor, 8);
    fake_behave();
}

static void a_compiler_that_is_too_old(void) {
    struct gpu_api api;
    setenv("GYR_FAKE_COMPILER", "115", 1);
    load_fakes(&api, GPU_CUDA);
    CHECK_STR(
        api.compiler.why,
        "NVRTC 11.5 is too old; install NVRTC: 'pip install nvidia-cuda-nvrtc' (90 MB); if it is there "
        "already, set GYR_GPU_LIBRARIES to "
        "the folder of libnvrtc.so");
    fake_behave();
}

static void a_chip_that_the_compiler_does_not_know(void) {
    struct gpu_api api;
    struct device_facts f;
    gyr_error e = {0};
    setenv("GYR_FAKE_CHIP", "140", 1);
    load_fakes(&api, GPU_CUDA);
    CHECK(!gpu_open(&api, 0, &good_sources, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK_STR(e.message, "cuda:0 (Stand-in 0): NVRTC 13.0 does not know its chip, sm_140a; install a newer one");
    gpu_facts(&api, 0, &f);
    CHECK_STR(f.isa, "sm_140a");
    CHECK_STR(f.why, "NVRTC 13.0 does not know its chip; install a newer one");
    CHECK_INT(fake_tells(GPU_CUDA, "fake_held"), 0);
    fake_behave();
}

// ------------------------------------------------------------------------------- cards

static void cards_are_told_of(void) {
    struct gpu_api api;
    struct device_facts f;
    gyr_error e = {0};
    setenv("GYR_FAKE_CARDS", "2", 1);
    load_fakes(&api, GPU_HIP);
    CHECK_INT(gpu_devices(&api, false), 2);
    gpu_facts(&api, 1, &f);
    CHECK_STR(f.name, "Stand-in 1");
    CHECK_STR(f.isa, "gfx942");
    CHECK_STR(f.driver, "HIP 7.1");
    CHECK_STR(f.compiler, "hipRTC 7.1");
    CHECK_INT(f.memory, 1 << 30);
    CHECK_INT(f.available, 1 << 30);
    CHECK(!gpu_open(&api, 2, &good_sources, &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK_STR(e.message, "hip:2: no such card; there are 2");
    fake_behave();
}

static void a_card_that_does_not_answer(void) {
    struct gpu_api api;
    struct device_facts f;
    load_fakes(&api, GPU_CUDA);
    setenv("GYR_FAKE_FAIL", "retain:1:46", 1);
    gpu_facts(&api, 0, &f);
    CHECK_STR(f.name, "Stand-in 0");
    CHECK_STR(f.why,
              "cuda:0: opening the card failed: error 46, a failure; another program has the card for itself, or it "
              "is being reset: try again later");
    fake_behave();
}

// What was tried is used, and what runs the same code; other cards only where somebody asks for them.
static void chips_that_were_tried(void) {
    static const struct {
        int vendor;
        const char *chip;
        bool usable, untried;
    } chips[] = {
        {GPU_CUDA, "90", true, false}, {GPU_CUDA, "80", true, true},  {GPU_CUDA, "86", true, true},
        {GPU_CUDA, "120", true, true}, {GPU_CUDA, "75", false, true}, {GPU_HIP, "90", false, true},
    };
    struct gpu_api api;
    struct device_facts f;
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        setenv("GYR_FAKE_CHIP", chips[i].chip, 1);
        load_fakes(&api, chips[i].vendor);
        api.compiler.good = true;
        api.chips = NULL; // whichever the compiler knows
        gpu_facts(&api, 0, &f);
        CHECK_INT(!*f.why, chips[i].usable);
        CHECK_INT(f.untried, chips[i].untried);
        if (*f.why)
            CHECK_STR(f.why,
                      "gyr's kernels have not been tried on a chip of its kind yet; GYR_GPU_UNTRIED=1 uses it all "
                      "the same");
        setenv("GYR_GPU_UNTRIED", "1", 1);
        gpu_facts(&api, 0, &f);
        CHECK_STR(f.why, "");
        unsetenv("GYR_GPU_UNTRIED");
    }
    fake_behave();
}

static void put_card(const char *root, const char *name, const char *class, const char *vendor) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", root, name);
    if (mkdir(folder, 0700)) return;
    write_file(folder, "class", class);
    write_file(folder, "vendor", vendor);
}

static void cards_on_the_bus(void) {
    const char *root = new_folder();
    CHECK(!gpu_on_bus(root, 0x10de));
    CHECK(!gpu_on_bus("/nowhere", 0x10de));
    put_card(root, "0000:00:1f.3", "0x040300\n", "0x10de\n"); // its sound
    CHECK(!gpu_on_bus(root, 0x10de));
    put_card(root, "0000:01:00.0", "0x030200\n", "0x10de\n");
    put_card(root, "0000:02:00.0", "0x120000\n", "0x1002\n");
    CHECK(gpu_on_bus(root, 0x10de) && gpu_on_bus(root, 0x1002));
    CHECK(!gpu_on_bus(root, 0x8086));
}

int main(void) {
    if (!fakes_begin()) return 1;
    RUN(no_driver);
    RUN(a_driver_that_is_no_library);
    RUN(a_driver_that_is_too_old);
    RUN(a_driver_that_lacks_a_function);
    RUN(a_driver_that_does_not_start);
    RUN(a_driver_without_cards);
    RUN(no_compiler);
    RUN(a_compiler_of_pythons);
    RUN(a_compiler_without_its_other_half);
    RUN(a_compiler_that_is_newer_than_the_driver);
    RUN(a_compiler_that_is_too_old);
    RUN(a_chip_that_the_compiler_does_not_know);
    RUN(cards_are_told_of);
    RUN(a_card_that_does_not_answer);
    RUN(chips_that_were_tried);
    RUN(cards_on_the_bus);
    return fakes_end(test_end());
}
