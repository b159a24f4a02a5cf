// How much of prompts goes into a step, by what steps took.
#include "server/pace.h"
#include "test.h"

// A step of so many tokens at a place of the prompt takes a millisecond for each and a microsecond for each that it
// sees, beside `alone`.
static double step(size_t tokens, size_t place, double alone) {
    return alone + (double)tokens * (1e-3 + (double)place * 1e-6);
}

static void a_long_prompt_holds_up_no_longer_at_its_end(void) {
    struct pace p = {0};
    double longest = 0;
    pace_note(&p, 0, 128, 0.05);
    CHECK_INT(pace_share(&p, 128), 128);
    for (size_t at = 0; at < 50000;) {
        size_t n = pace_share(&p, 128);
        double took = step(n, at, 0.05);
        pace_note(&p, n, 128, took);
        CHECK(n >= 16 && n <= 128);
        at += n;
        if (took > longest) longest = took;
    }
    CHECK(longest < 0.05 + 16 * (1e-3 + 0.05) + 0.01); // where 128 would have taken 6.6 seconds
    CHECK_INT(pace_share(&p, 128), 16);
    for (int i = 0; i < 12; i++) pace_note(&p, pace_share(&p, 128), 128, step(pace_share(&p, 128), 0, 0.05));
    CHECK_INT(pace_share(&p, 128), 128); // the next prompt
}

static void a_slow_model_has_as_much_again(void) {
    struct pace p = {0};
    for (int i = 0; i < 20; i++) pace_note(&p, 0, 128, 2);
    for (int i = 0; i < 40; i++) pace_note(&p, pace_share(&p, 128), 128, 2 + 0.1 * (double)pace_share(&p, 128));
    CHECK_INT(pace_share(&p, 128), 20);
}

static void odd_times_do_no_harm(void) {
    struct pace p = {0};
    pace_note(&p, 128, 128, 1000); // the machine slept
    CHECK_INT(pace_share(&p, 128), 16);
    CHECK_INT(pace_share(&p, 8), 8);
    pace_note(&p, 16, 128, 0);
    CHECK_INT(pace_share(&p, 128), 20);
    pace_note(&p, 3, 128, 0.001); // the rest of a prompt
    CHECK_INT(pace_share(&p, 128), 20);
    pace_note(&p, 20, 128, -1);
    CHECK_INT(pace_share(&p, 128), 25);
}

int main(void) {
    RUN(a_long_prompt_holds_up_no_longer_at_its_end);
    RUN(a_slow_model_has_as_much_again);
    RUN(odd_times_do_no_harm);
    return test_end();
}
