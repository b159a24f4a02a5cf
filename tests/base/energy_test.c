// Energy by the counters of a folder that looks like the system's: summed over packages and their memory, going on
// where a counter begins again, and not known rather than zero.
#include "base/energy.h"

#include "test.h"

#include <ftw.h>
#include <sys/stat.h>

static char root[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void make_root(void) {
    static const char *const folders[] = {"", "/class", "/class/powercap", "/class/power_supply"};
    snprintf(root, sizeof root, "/tmp/gyr-sysfs-XXXXXX");
    REQUIRE(mkdtemp(root));
    for (size_t i = 1; i < sizeof folders / sizeof *folders; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", root, folders[i]);
        mkdir(path, 0700);
    }
}

static void remove_root(void) { nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void put_in(const char *class, const char *zone, const char *file, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/class/%s/%s", root, class, zone);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/class/%s/%s/%s", root, class, zone, file);
    FILE *f = fopen(path, "w");
    REQUIRE(f);
    fputs(text, f);
    fclose(f);
}

static void put(const char *zone, const char *file, const char *text) { put_in("powercap", zone, file, text); }

static void zone(const char *name, const char *kind, const char *microjoules) {
    put(name, "name", kind);
    put(name, "max_energy_range_uj", "100000000000\n");
    put(name, "energy_uj", microjoules);
}

static bool near(double x, double y) { return x > y - 1e-6 && x < y + 1e-6; }

static double spent(struct energy *e, struct energy_mark *from, double now, enum energy_basis want) {
    struct energy_mark to = energy_now(e, now);
    struct energy_spent s = energy_between(e, from, &to);
    CHECK_STR(energy_basis_name(s.basis), energy_basis_name(want));
    *from = to;
    return s.joules;
}

static void packages_and_their_memory_are_summed(void) {
    double joules;
    make_root();
    zone("intel-rapl:0", "package-0\n", "99999000000\n");
    zone("intel-rapl:0:0", "core\n", "5\n");
    zone("intel-rapl:0:1", "dram\n", "1000000\n");
    zone("intel-rapl:1", "package-1\n", "7\n");
    zone("intel-rapl:2", "psys\n", "7\n");
    zone("intel-rapl-mmio:0", "package-0\n", "99999000000\n");
    struct energy *e = energy_open(root, 0, 100);
    REQUIRE(e);
    CHECK(strstr(energy_source(e), "package-0") && strstr(energy_source(e), "package-1"));
    CHECK(strstr(energy_source(e), "dram") && !*energy_why(e));
    CHECK(energy_since_start(e, &joules) && joules == 0);
    struct energy_mark from = energy_now(e, 100);
    put("intel-rapl:0", "energy_uj", "1000000\n"); // it came round
    put("intel-rapl:0:0", "energy_uj", "900000000\n");
    put("intel-rapl-mmio:0", "energy_uj", "900000000\n");
    put("intel-rapl:0:1", "energy_uj", "1500000\n");
    put("intel-rapl:1", "energy_uj", "3000007\n");
    energy_tick(e, 100.5); // too soon
    CHECK(energy_since_start(e, &joules) && joules == 0);
    energy_tick(e, 101.5);
    CHECK(energy_since_start(e, &joules) && near(joules, 5.5));
    CHECK(near(spent(e, &from, 102, ENERGY_ESTIMATED), 5.5)); // a short window
    put("intel-rapl:1", "energy_uj", "13000007\n");
    CHECK(near(spent(e, &from, 107, ENERGY_MEASURED), 10)); // of five seconds
    CHECK(near(spent(e, &from, 112, ENERGY_UNKNOWN), 0));   // no counter has moved: that is not nothing
    put("intel-rapl:1", "energy_uj", "");
    energy_tick(e, 113);
    CHECK(!energy_since_start(e, &joules));
    CHECK(near(spent(e, &from, 120, ENERGY_UNKNOWN), 0));
    energy_free(e);
    remove_root();
}

// A counter that would have gone faster than a package draws was set back; one that could have come round says nothing.
static void what_a_reset_hides_is_not_known(void) {
    double joules;
    make_root();
    zone("intel-rapl:0", "package-0\n", "500000000\n");
    put("intel-rapl:0", "max_energy_range_uj", "1000000000\n");
    struct energy *e = energy_open(root, 0, 0);
    REQUIRE(e);
    struct energy_mark from = energy_now(e, 0);
    put("intel-rapl:0", "energy_uj", "0\n");                  // 500 J in a tenth of a second?
    CHECK(near(spent(e, &from, 0.1, ENERGY_ESTIMATED), 500)); // the most that a second's delay explains
    put("intel-rapl:0", "energy_uj", "900000000\n");
    CHECK(near(spent(e, &from, 0.5, ENERGY_ESTIMATED), 900));
    put("intel-rapl:0", "energy_uj", "2000000000\n"); // beyond its own range
    CHECK(near(spent(e, &from, 0.6, ENERGY_UNKNOWN), 0));
    energy_free(e);

    put("intel-rapl:0", "max_energy_range_uj", "100000000000\n");
    put("intel-rapl:0", "energy_uj", "50000000000\n");
    e = energy_open(root, 0, 0);
    REQUIRE(e);
    from = energy_now(e, 0);
    put("intel-rapl:0", "energy_uj", "1000000\n"); // 50 kJ in six seconds: it was set back
    CHECK(near(spent(e, &from, 6, ENERGY_UNKNOWN), 0));
    put("intel-rapl:0", "energy_uj", "601000000\n");
    CHECK(near(spent(e, &from, 12, ENERGY_MEASURED), 600)); // and goes on
    put("intel-rapl:0", "energy_uj", "602000000\n");
    CHECK(near(spent(e, &from, 1000, ENERGY_UNKNOWN), 0)); // how often has it come round?
    CHECK(energy_since_start(e, &joules) && near(joules, 600));
    energy_free(e);
    remove_root();
}

static void what_is_not_told_is_not_known(void) {
    double joules;
    char path[128];
    struct energy_mark none;
    make_root();
    struct energy *e = energy_open("/none", 0, 0);
    REQUIRE(e);
    CHECK_STR(energy_why(e), "/none/class/powercap: no counter of a processor's energy");
    CHECK(!energy_since_start(e, &joules) && joules == 0);
    energy_free(e);
    zone("intel-rapl:0", "psys\n", "7\n");
    zone("intel-rapl:0:1", "dram\n", "7\n"); // of memory alone
    e = energy_open(root, 0, 0);
    REQUIRE(e);
    CHECK(!energy_since_start(e, &joules));
    energy_free(e);
    zone("intel-rapl:1", "package-0\n", "nothing\n");
    e = energy_open(root, 0, 0);
    REQUIRE(e);
    CHECK(strstr(energy_why(e), "intel-rapl:1/energy_uj: not a number"));
    CHECK(!energy_since_start(e, &joules));
    energy_free(e);
    zone("intel-rapl:1", "package-0\n", "5\n");
    put("intel-rapl:0:1", "energy_uj", "-1\n"); // one of them alone: the sum would be wrong
    e = energy_open(root, 0, 0);
    REQUIRE(e);
    CHECK(!energy_since_start(e, &joules));
    energy_free(e);
    zone("intel-rapl:0:1", "dram\n", "7\n");
    snprintf(path, sizeof path, "%s/class/powercap/intel-rapl:1/energy_uj", root);
    chmod(path, 0);
    e = energy_open(root, 50, 0);
    REQUIRE(e);
    if (geteuid()) CHECK(strstr(energy_why(e), "Permission denied; the system shows it to root alone"));
    energy_free(e);
    energy_tick(NULL, 1);
    none = energy_now(NULL, 1);
    CHECK(!energy_since_start(NULL, &joules) && energy_between(NULL, &none, &none).basis == ENERGY_UNKNOWN);
    energy_free(NULL);
    remove_root();
}

static void without_counters_it_is_estimated_or_a_battery_tells(void) {
    make_root();
    struct energy *e = energy_open(root, 70, 0);
    REQUIRE(e);
    struct energy_mark from = energy_now(e, 0);
    CHECK(near(spent(e, &from, 10, ENERGY_ESTIMATED), 700));
    energy_free(e);
    put_in("power_supply", "AC", "type", "Mains\n");
    put_in("power_supply", "BAT0", "type", "Battery\n");
    put_in("power_supply", "BAT0", "status", "Discharging\n");
    put_in("power_supply", "BAT0", "power_now", "10000000\n");
    e = energy_open(root, 70, 0);
    REQUIRE(e);
    CHECK_STR(energy_source(e), "battery BAT0");
    CHECK_STR(energy_why(e), "");
    from = energy_now(e, 0);
    put_in("power_supply", "BAT0", "power_now", "20000000\n");
    CHECK(near(spent(e, &from, 6, ENERGY_MEASURED), 90)); // 15 W on average
    put_in("power_supply", "BAT0", "status", "Charging\n");
    CHECK(near(spent(e, &from, 12, ENERGY_UNKNOWN), 0));
    energy_free(e);
    remove_root();
}

int main(void) {
    RUN(packages_and_their_memory_are_summed);
    RUN(what_a_reset_hides_is_not_known);
    RUN(what_is_not_told_is_not_known);
    RUN(without_counters_it_is_estimated_or_a_battery_tells);
    return test_end();
}
