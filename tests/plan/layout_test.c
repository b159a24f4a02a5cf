// Layers on cards.
#include "model/synth.h"
#include "plan/layout.h"
#include "test.h"

static struct demand demand;

static void count(const char *shape, const char *type) {
    gyr_error e = {0};
    struct usage u = {.users = 1, .context = 2048, .rows = 512};
    struct checkpoint *c = synth_hollow(shape, type, &e);
    REQUIRE(c && usage_settle(&u, c, &e) && demand_count(&demand, c, &u, &e));
    checkpoint_close(c);
}

static struct layout on(const char *cards) {
    struct mix m;
    struct place_for p[MAX_KINDS_OF_CARD] = {0};
    struct layout l = {0};
    bool ok = mix_parse(&m, cards, NULL);
    CHECK(ok);
    for (size_t i = 0; ok && i < m.n; i++)
        p[i] = (struct place_for){.card = m.kind[i].card,
                                  .n = m.kind[i].n,
                                  .room = card_room(m.kind[i].card),
                                  .watts = m.kind[i].card->watts,
                                  .rates = rates_of_card(m.kind[i].card)};
    if (ok) lay_out(&l, &demand, p, m.n);
    return l;
}

static void falcon_40b_fits_one_large_card_or_two(void) {
    count("falcon-40b", "f16");
    CHECK(on("MI300X").fits);
    CHECK(!on("H800").fits);
    CHECK(on("2 x H800").fits);
    CHECK(on("4 x RTX 4090").fits);
    CHECK(!on("3 x RTX 4090").fits);
    CHECK(on("H800 + RTX 4090").fits);
    // What one card has room for, where it has none for all: no layer less.
    struct layout l = on("H800");
    double layer = demand.layer + (demand.cache + demand.states) / demand.layers, rest = demand.rest + demand.work;
    CHECK(l.layers > 40 && l.layers < 60);
    CHECK(rest + layer * l.layers <= l.room && rest + layer * (l.layers + 1) > l.room);
    CHECK_INT(on("MI300X").layers, 60);
    demand_free(&demand);
}

static void all_layers_are_somewhere(void) {
    static const char *const mixes[] = {"2 x H800", "4 x RTX 4090 + H800", "RTX 4090 + 3 x L4 + MI300X", "8 x L4"};
    count("falcon-40b", "f16");
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        struct layout l = on(mixes[i]);
        uint32_t layers = 0;
        double bytes = 0;
        for (int k = 0; k < MAX_KINDS_OF_CARD; k++) layers += l.given[k].layers, bytes += l.given[k].bytes;
        if (!l.fits) continue;
        CHECK_INT(layers, 60);
        CHECK(bytes >= demand_bytes(&demand) * 0.999 && bytes <= l.room);
    }
    demand_free(&demand);
}

// A token goes through the cards in turn: two of a kind hold twice as much, and are no faster.
static void more_cards_are_no_faster_and_faster_cards_are_filled_first(void) {
    count("llama-3-8b", "f16");
    double one = on("MI300X").answer.seconds, two = on("2 x MI300X").answer.seconds;
    CHECK(one > 0 && fabs(one - two) < 1e-9);
    struct layout l = on("L4 + MI300X");
    CHECK_INT(l.given[0].layers, 0);
    CHECK_INT(l.given[1].layers, 32);
    CHECK(l.joules > 0);
    demand_free(&demand);
}

static void what_does_not_fit_says_how_much_it_takes(void) {
    count("llama-3.1-405b", "f16");
    struct layout l = on("MI300X");
    CHECK(!l.fits && l.bytes > 800e9 && l.room < 192e9);
    CHECK(on("5 x MI300X").fits);
    demand_free(&demand);
}

int main(void) {
    RUN(falcon_40b_fits_one_large_card_or_two);
    RUN(all_layers_are_somewhere);
    RUN(more_cards_are_no_faster_and_faster_cards_are_filled_first);
    RUN(what_does_not_fit_says_how_much_it_takes);
    return test_end();
}
