// What people write for cards.
#include "plan/mix.h"
#include "test.h"

static void check(const char *text, size_t kinds, size_t n0, const char *name0, size_t n1, const char *name1) {
    struct mix m;
    gyr_error e = {0};
    bool ok = mix_parse(&m, text, &e);
    if (!ok) printf("  \"%s\": %s\n", text, e.message);
    REQUIRE(ok);
    CHECK_INT(m.n, kinds);
    CHECK_INT(m.kind[0].n, n0);
    CHECK_STR(m.kind[0].card->name, name0);
    if (kinds < 2) return;
    CHECK_INT(m.kind[1].n, n1);
    CHECK_STR(m.kind[1].card->name, name1);
}

static void mixes_are_read(void) {
    check("2 x H800 + 4 x RTX 4090", 2, 2, "H800 SXM 80", 4, "RTX 4090");
    check("2xH800+4x4090", 2, 2, "H800 SXM 80", 4, "RTX 4090");
    check("mi300x", 1, 1, "MI300X", 0, NULL);
    check("  8 * MI300X ", 1, 8, "MI300X", 0, NULL);
    check("2 \xc3\x97 MI300X", 1, 2, "MI300X", 0, NULL);
    check("8 mi-300x", 1, 8, "MI300X", 0, NULL);
    check("4090", 1, 1, "RTX 4090", 0, NULL);
    check("4090 D", 1, 1, "RTX 4090 D", 0, NULL);
    check("MI300X, MI300X, 3 x MI300X", 1, 5, "MI300X", 0, NULL);
    check("2 x Ryzen AI Max+ 395 (Strix Halo) + 1 x L4", 2, 2, "Ryzen AI Max+ 395 (Strix Halo)", 1, "L4");
    check("strix halo", 1, 1, "Ryzen AI Max+ 395 (Strix Halo)", 0, NULL);
    check("65536 x L4", 1, 65536, "L4", 0, NULL);
}

static void a_card_of_several_forms_is_the_largest_module(void) {
    struct mix m;
    REQUIRE(mix_parse(&m, "2 x H100", NULL));
    CHECK_STR(m.kind[0].card->name, "H100 SXM 80");
    CHECK(m.kind[0].others);
    REQUIRE(mix_parse(&m, "a100", NULL));
    CHECK_STR(m.kind[0].card->name, "A100 SXM 80");
    REQUIRE(mix_parse(&m, "H100 NVL", NULL));
    CHECK(!m.kind[0].others);
}

static void refused(const char *text, const char *because) {
    struct mix m;
    gyr_error e = {0};
    CHECK(!mix_parse(&m, text, &e));
    CHECK_INT(e.status, GYR_USAGE);
    if (!strstr(e.message, because)) printf("  \"%s\": %s\n", text, e.message);
    CHECK(strstr(e.message, because) != NULL);
    CHECK(!strchr(e.message, '\n'));
}

static void nonsense_is_refused_in_a_line(void) {
    refused("", "a card is missing");
    refused("+", "a card is missing");
    refused("H800 + ", "a card is missing");
    refused("0 x H800", "from 1 to 65536");
    refused("-1 x H800", "whole number");
    refused("1.5 x H800", "whole number");
    refused(".5 x H800", "whole number");
    refused("99999999999999999999 x H800", "from 1 to 65536");
    refused("40000 x H800 + 40000 x L4", "65536 are the most");
    refused("65536 x L4 + L4", "more than 65536");
    refused("nan x H800", "not a card that gyr knows");
    refused("inf x H800", "not a card that gyr knows");
    refused("MI301X", "the nearest is MI300X");
    refused("H8000", "the nearest is H800 SXM 80");
    refused("RTX 4091", "the nearest is RTX 4090");
    refused("GeForce", "not a card that gyr knows");
    refused("Ascend", "which one?");
    refused("\x01\n", "names no card");
    refused("H800\xff", "UTF-8");
    refused("%s%n%d", "not a card");
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    refused(long_text, "letters");
}

int main(void) {
    RUN(mixes_are_read);
    RUN(a_card_of_several_forms_is_the_largest_module);
    RUN(nonsense_is_refused_in_a_line);
    return test_end();
}
