// Energy of cards, by stand-ins of the vendors' management libraries: alone and with the processors', counters that
// stand still, go back or are lost, and libraries that are missing or too old.
#include "fakes.h"

#include "base/energy.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

static const char *const kinds[GPU_VENDORS] = {"cuda", "hip"};
static const char bus[] = "0000:41:00.0";

static const char *fakes(void) { return getenv("GYR_FAKES") ? getenv("GYR_FAKES") : "build/tests/device/gpu"; }

static void stands_at(const char *millijoules) { setenv("GYR_FAKE_MILLIJOULES", millijoules, 1); }

static void put(const char *root, const char *file, const char *text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/class/powercap/intel-rapl:0/%s", root, file);
    FILE *f = fopen(path, "w");
    REQUIRE(f);
    fputs(text, f);
    fclose(f);
}

// A folder that looks like the system's, with the counter of a processor or without.
static const char *system_folder(bool processor) {
    static const char *const folders[] = {"class", "class/powercap", "class/powercap/intel-rapl:0"};
    const char *root = new_folder();
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        if (processor) mkdir(path, 0700);
    }
    if (!processor) return root;
    put(root, "name", "package-0\n");
    put(root, "max_energy_range_uj", "100000000000\n");
    put(root, "energy_uj", "5000000\n");
    return root;
}

static double spent(struct energy *e, struct energy_mark *from, double now, enum energy_basis want) {
    struct energy_mark to = energy_now(e, now);
    struct energy_spent s = energy_between(e, from, &to);
    CHECK_STR(energy_basis_name(s.basis), energy_basis_name(want));
    *from = to;
    return s.joules;
}

static bool near(double x, double y) { return x > y - 1e-3 && x < y + 1e-3; }

static void it_is_the_cards_and_the_processors(int vendor) {
    const char *root = system_folder(true);
    double joules;
    setenv("GYR_GPU_LIBRARIES", fakes(), 1);
    stands_at("1000000");
    struct energy *e = energy_open(root, 99, 100);
    REQUIRE(e);
    energy_add_card(e, kinds[vendor], bus, "NVIDIA H200");
    CHECK(energy_counts(e));
    CHECK_STR(energy_source(e), "card (NVIDIA H200) and processor (package-0)");
    CHECK_STR(energy_why(e), "");
    CHECK(energy_least_seconds(e) == 0.5);
    struct energy_mark from = energy_now(e, 100);
    stands_at("1700000");
    put(root, "energy_uj", "25000000\n");
    CHECK(near(spent(e, &from, 101, ENERGY_ESTIMATED), 720));
    stands_at("3700000");
    CHECK(near(spent(e, &from, 107, ENERGY_MEASURED), 2000));
    CHECK(near(spent(e, &from, 113, ENERGY_UNKNOWN), 0)); // none has moved: that is not nothing
    stands_at("5");                                       // the driver was loaded anew
    CHECK(near(spent(e, &from, 119, ENERGY_UNKNOWN), 0));
    stands_at("500005");
    CHECK(near(spent(e, &from, 125, ENERGY_MEASURED), 500));
    stands_at("900000005"); // faster than a card draws
    CHECK(near(spent(e, &from, 131, ENERGY_UNKNOWN), 0));
    CHECK(energy_since_start(e, &joules) && near(joules, 3220));
    setenv("GYR_FAKE_METER", "15", 1); // it is lost
    CHECK(near(spent(e, &from, 137, ENERGY_UNKNOWN), 0));
    unsetenv("GYR_FAKE_METER");
    CHECK(near(spent(e, &from, 143, ENERGY_UNKNOWN), 0));
    CHECK(!energy_since_start(e, &joules));
    energy_free(e);
}

static void a_card_alone_says_why_the_processor_is_not_in_it(int vendor) {
    stands_at("7");
    struct energy *e = energy_open(system_folder(false), 0, 0);
    REQUIRE(e);
    energy_add_card(e, kinds[vendor], "0000:42:00.0", "Stand-in 1");
    CHECK(energy_counts(e));
    CHECK_STR(energy_source(e), "card (Stand-in 1)");
    CHECK(strstr(energy_why(e), "no counter of a processor's energy"));
    struct energy_mark from = energy_now(e, 0);
    stands_at("1007");
    CHECK(near(spent(e, &from, 2, ENERGY_ESTIMATED), 1));
    energy_free(e);
}

// Then the processor's alone is not the answer's.
static void not_known(const char *kind, const char *at, const char *why) {
    struct energy *e = energy_open(system_folder(true), 99, 0);
    REQUIRE(e);
    energy_add_card(e, kind, at, "Stand-in");
    CHECK(!energy_counts(e));
    CHECK_STR(energy_source(e), "");
    if (!strstr(energy_why(e), why)) CHECK_STR(energy_why(e), why);
    struct energy_mark from = energy_now(e, 0);
    CHECK(near(spent(e, &from, 6, ENERGY_UNKNOWN), 0));
    energy_free(e);
}

static void what_is_missing_is_told(int vendor) {
    const char *kind = kinds[vendor];
    not_known(kind, "", "the card's energy is not known: the driver does not tell its place on the bus");
    not_known(kind, "0000:51:00.0",
              vendor == GPU_CUDA ? "the card's energy is not known: NVML does not find it: error 6"
                                 : "the card's energy is not known: ROCm SMI does not find it");
    setenv("GYR_FAKE_METER", "3", 1);
    not_known(kind, bus, "the card's energy is not known: it has no counter");
    unsetenv("GYR_FAKE_METER");
}

// In a process of its own, which does not find the stand-ins where the system looks. A machine may have the real
// libraries, which know no such card.
static const char *self;

static void a_missing_library_is_told(void) {
    char command[4200];
    snprintf(command, sizeof command, "env -u LD_LIBRARY_PATH -u GYR_GPU_LIBRARIES '%s' missing", self);
    CHECK_INT(system(command), 0);
}

static void missing_here(void) {
    not_known("cuda", bus, "the card's energy is not known: ");
    not_known("hip", bus, "the card's energy is not known: ");
}

static void an_old_library_is_told(void) {
    char from[4096], to[4096];
    const char *folder = new_folder();
    snprintf(from, sizeof from, "%s/libnvidia-ml-old.so.1", fakes());
    snprintf(to, sizeof to, "%s/libnvidia-ml.so.1", folder);
    REQUIRE(!symlink(from, to));
    setenv("GYR_GPU_LIBRARIES", folder, 1);
    not_known("cuda", bus, "the card's energy is not known: NVIDIA's libnvidia-ml is too old; update the driver");
    setenv("GYR_GPU_LIBRARIES", fakes(), 1);
}

FOR_BOTH(it_is_the_cards_and_the_processors)
FOR_BOTH(a_card_alone_says_why_the_processor_is_not_in_it)
FOR_BOTH(what_is_missing_is_told)

int main(int argc, char **argv) {
    if (!fakes_begin()) return 1;
    self = argv[0];
    if (argc > 1) {
        missing_here();
        return fakes_end(test_bad);
    }
    RUN_BOTH(it_is_the_cards_and_the_processors);
    RUN_BOTH(a_card_alone_says_why_the_processor_is_not_in_it);
    RUN_BOTH(what_is_missing_is_told);
    RUN(a_missing_library_is_told);
    RUN(an_old_library_is_told);
    return fakes_end(test_end());
}
