// How a model is shared out among ranks, by the machines' speeds and memories and by how long a message takes; and when
// it is not.
#include "../test.h"
#include "engine/ranks.h"
#include "poet.h"

static gyr_model *m;

struct chosen {
    bool rows, alone, slower;
};

// Of two ranks; the second reads a gigabyte of weights a second, and the poet takes 7 ms there.
static struct chosen choose(gyr_split want, double gap, double speed, uint64_t memory) {
    gyr_error e = {0};
    struct shared s;
    struct chosen c = {0};
    bool ok = shared_new(&s, 2, &e);
    m->options.split = want;
    s.fastest = 1e9;
    s.gap = gap;
    s.speed[0] = speed;
    s.speed[1] = 1;
    s.memory[0] = memory;
    s.memory[1] = 1 << 30;
    CHECK(ok && split_choose(m, &s, &e));
    c = (struct chosen){s.rows, s.alone, s.slower > 0};
    shared_free(&s);
    return c;
}

static void the_delay_of_a_link_decides_between_rows_and_layers(void) {
    static const struct {
        double gap;
        bool rows, slower;
    } tries[] = {
        {1e-6, true, false}, {5e-5, true, false}, {1.5e-4, false, false}, {1e-3, false, true}, {5e-3, false, true}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct chosen c = choose(GYR_SPLIT_AUTO, tries[i].gap, 1, 1 << 30);
        CHECK_INT(c.rows, tries[i].rows);
        CHECK_INT(c.slower, tries[i].slower);
        CHECK(!c.alone);
    }
}

static void a_split_that_is_slower_than_rank_0_is_refused_for_an_answer(void) {
    static const struct {
        const char *why;
        gyr_split want;
        double gap, speed;
        uint64_t memory;
        bool alone;
    } tries[] = {{"a slow link", GYR_SPLIT_ANSWER, 1e-3, 1, 1 << 30, true},
                 {"no link is fast enough for layers", GYR_SPLIT_ANSWER, 1.5e-4, 1, 1 << 30, true},
                 {"rows are faster", GYR_SPLIT_ANSWER, 1e-5, 1, 1 << 30, false},
                 {"many answers", GYR_SPLIT_AUTO, 1e-3, 1, 1 << 30, false},
                 {"it was asked for", GYR_SPLIT_LAYERS, 1e-3, 1, 1 << 30, false},
                 {"it was asked for, by rows", GYR_SPLIT_ROWS, 1e-3, 1, 1 << 30, false},
                 {"no room on rank 0", GYR_SPLIT_ANSWER, 1e-3, 1, 4 << 20, false},
                 {"rank 0 is slow", GYR_SPLIT_ANSWER, 1e-3, 0.25, 1 << 30, false}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct chosen c = choose(tries[i].want, tries[i].gap, tries[i].speed, tries[i].memory);
        if (c.alone != tries[i].alone) printf("  %s\n", tries[i].why);
        CHECK_INT(c.alone, tries[i].alone);
    }
}

int main(void) {
    gyr_error e = {0};
    m = gyr_model_open(poet_path(), NULL, &e);
    if (!m) return puts(e.message), 1;
    RUN(the_delay_of_a_link_decides_between_rows_and_layers);
    RUN(a_split_that_is_slower_than_rank_0_is_refused_for_an_answer);
    gyr_model_close(m);
    return test_end();
}
