// Energy by the counters of a folder that looks like the system's: summed over packages, going on where a counter
// begins again, and not known rather than zero.
#include "state.h"

#include "server/energy.h"

#include <stdlib.h>
#include <sys/stat.h>

static void put(const char *zone, const char *file, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", state_dir, zone);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/%s", state_dir, zone, file);
    FILE *f = fopen(path, "w");
    REQUIRE(f);
    fputs(text, f);
    fclose(f);
}

static void zone(const char *name, const char *kind, const char *microjoules) {
    put(name, "name", kind);
    put(name, "max_energy_range_uj", "1000000000\n");
    put(name, "energy_uj", microjoules);
}

static void packages_are_summed(void) {
    double joules;
    state_make();
    zone("intel-rapl:0", "package-0\n", "999000000\n");
    zone("intel-rapl:0:0", "core\n", "5\n");
    zone("intel-rapl:1", "package-1\n", "7\n");
    zone("intel-rapl:2", "psys\n", "7\n");
    struct energy *e = energy_open(state_dir);
    REQUIRE(e);
    CHECK(energy_since_start(e, &joules) && joules == 0);
    put("intel-rapl:0", "energy_uj", "1000000\n"); // it began again at 1000 J
    put("intel-rapl:0:0", "energy_uj", "900000000\n");
    put("intel-rapl:1", "energy_uj", "3000007\n");
    energy_tick(e, 10);
    CHECK(energy_since_start(e, &joules) && joules > 4.999 && joules < 5.001);
    put("intel-rapl:1", "energy_uj", "4000007\n");
    energy_tick(e, 10.5); // too soon
    CHECK(energy_since_start(e, &joules) && joules < 5.001);
    energy_tick(e, 11.5);
    CHECK(energy_since_start(e, &joules) && joules > 5.999 && joules < 6.001);
    put("intel-rapl:1", "energy_uj", "");
    energy_tick(e, 13);
    CHECK(!energy_since_start(e, &joules));
    energy_free(e);
    state_remove();
}

static void what_is_not_told_is_not_known(void) {
    double joules;
    state_make();
    CHECK(!energy_open("/none"));
    CHECK(!energy_open(state_dir));
    zone("intel-rapl:0", "psys\n", "7\n");
    CHECK(!energy_open(state_dir));
    zone("intel-rapl:1", "package-0\n", "nothing\n");
    CHECK(!energy_open(state_dir));
    CHECK(!energy_since_start(NULL, &joules));
    energy_tick(NULL, 1);
    energy_free(NULL);
    state_remove();
}

int main(void) {
    RUN(packages_are_summed);
    RUN(what_is_not_told_is_not_known);
    return test_end();
}
