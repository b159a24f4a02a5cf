// Every family on every card of the catalogue: a plan is made, in less than a second, and its figures make sense.
#include "base/clock.h"
#include "drawn.h"
#include "format/checkpoint.h"
#include "plan/layout.h"

#include <dirent.h>

static char folder[] = "/tmp/gyr-plan-test-XXXXXX";

// How many cards gave a plan that makes sense.
static size_t plan_all(const struct demand *d) {
    const struct accelerator *a;
    size_t good = 0;
    for (size_t i = 0; (a = accelerator_row(i)); i++) {
        struct place_for p = {.card = a, .n = 1, .room = card_room(a), .watts = a->watts, .rates = rates_of_card(a)};
        struct layout l;
        lay_out(&l, d, &p, 1);
        bool ok = l.fits && l.bytes > 0 && l.bytes < l.room;
        ok = ok && (a->bf16 > 0 ? l.prompt.seconds > 0 && l.prompt.seconds < 1 : l.prompt.seconds == 0);
        ok = ok && (d->encoder ? l.answer.seconds == 0 : l.answer.seconds > 0 && l.answer.seconds < 1);
        ok = ok && (l.joules > 0) == (l.answer.seconds > 0 && a->watts > 0);
        if (!ok) printf("  %s: no sense\n", a->name);
        good += ok;
    }
    return good;
}

static void plan_one(const char *name, const char *path, size_t rows) {
    gyr_error e = {0};
    struct demand d = {0};
    struct usage u = {.users = 2, .rows = 256};
    double start = now_seconds();
    struct checkpoint *c = checkpoint_open(path, &e);
    bool ok = c && usage_settle(&u, c, &e) && demand_count(&d, c, &u, &e);
    if (!ok) printf("  %s: %s\n", name, e.message);
    CHECK(ok);
    if (ok) CHECK_INT(plan_all(&d), rows);
    CHECK(now_seconds() - start < 1 || !TEST_TIMED);
    demand_free(&d);
    checkpoint_close(c);
}

static void every_family_plans(void) {
    static struct drawn d;
    size_t rows = 0, families = 0;
    gyr_error e;
    while (accelerator_row(rows)) rows++;
    DIR *dir = opendir(test_data("models"));
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char name[64], *end = strstr(entry->d_name, ".txt");
        if (!end) continue;
        snprintf(name, sizeof name, "%.*s", (int)(end - entry->d_name < 60 ? end - entry->d_name : 60), entry->d_name);
        bool ok = drawn_load(&d, name) && drawn_write_text(drawn_file(folder, "config.json"), d.config) &&
                  drawn_write_safetensors(&d, drawn_file(folder, "model.safetensors")) &&
                  drawn_write_gguf(&d, drawn_file(folder, "model.gguf"), &e);
        CHECK(ok);
        if (ok) {
            plan_one(name, folder, rows);
            plan_one(name, drawn_file(folder, "model.gguf"), rows);
            families++;
        }
        drawn_free(&d);
    }
    if (dir) closedir(dir);
    CHECK(families > 40);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(every_family_plans);
    unlink(drawn_file(folder, "config.json"));
    unlink(drawn_file(folder, "model.safetensors"));
    unlink(drawn_file(folder, "model.gguf"));
    rmdir(folder);
    return test_end();
}
