// Files of prices, good and hostile.
#include "plan/prices.h"
#include "test.h"

#define HEAD "name\thour_usd\tbuy_usd\tdate\tsource\n"

static struct prices *parse(const char *text, gyr_error *e) { return prices_parse(text, strlen(text), "p.tsv", e); }

static void prices_are_read(void) {
    gyr_error e = {0};
    bool others;
    struct prices *p = parse("# what we were offered\n\n" HEAD "MI300X\t1.99\t-\t2026-11-01\ta mail\r\n"
                             "rtx 4090\t-\t1800\t2026-11-02\tthe shop around the corner\n"
                             "electricity\t0.30\t-\t2026-10-31\tthe bill",
                             &e);
    if (!p) printf("  %s\n", e.message);
    REQUIRE(p != NULL);
    CHECK_INT(p->n, 3);
    const struct price *rent = price_of(p, accelerator_named("MI300X", 6, &others, NULL));
    const struct price *buy = price_of(p, accelerator_named("RTX 4090", 8, &others, NULL));
    CHECK(rent && rent->hour == 1.99 && isnan(rent->buy) && !strcmp(rent->date, "2026-11-01"));
    CHECK(buy && isnan(buy->hour) && buy->buy == 1800);
    CHECK_STR(buy ? buy->source : NULL, "the shop around the corner");
    CHECK(price_of(p, NULL) && price_of(p, NULL)->hour == 0.30);
    CHECK(!price_of(p, accelerator_row(0)));
    free(p);
}

static void the_sample_is_read(void) {
    char path[512];
    gyr_error e = {0};
    const char *source = getenv("GYR_SOURCE");
    snprintf(path, sizeof path, "%s/examples/prices.tsv", source ? source : ".");
    struct prices *p = prices_open(path, &e);
    if (!p) printf("  %s\n", e.message);
    CHECK(p && p->n > 2);
    free(p);
}

static void refused(const char *rows, const char *because) {
    gyr_error e = {0};
    struct prices *p = parse(rows, &e);
    CHECK(!p);
    CHECK_INT(e.status, GYR_MALFORMED);
    if (!strstr(e.message, because)) printf("  %s\n", e.message);
    CHECK(strstr(e.message, because) != NULL && !strchr(e.message, '\n'));
    free(p);
}

static void hostile_files_are_refused_in_a_line(void) {
    refused("", "no price");
    refused(HEAD, "no price");
    refused("MI300X\t1\t-\t2026-11-01\ta\n", "the first row is");
    refused(HEAD "MI300X\tnan\t-\t2026-11-01\ta\n", "p.tsv:2: a price is a number");
    refused(HEAD "MI300X\tinf\t-\t2026-11-01\ta\n", "a price is a number");
    refused(HEAD "MI300X\t-1\t-\t2026-11-01\ta\n", "a price is a number");
    refused(HEAD "MI300X\t0x10\t-\t2026-11-01\ta\n", "a price is a number");
    refused(HEAD "MI300X\t1e300\t-\t2026-11-01\ta\n", "a price is a number");
    refused(HEAD "MI300X\t1 USD\t-\t2026-11-01\ta\n", "a price is a number");
    refused(HEAD "MI300X\t\t-\t2026-11-01\ta\n", "a price is a number");
    refused(HEAD "MI300X\t000000000000000000000000000000000000001\t-\t2026-11-01\ta\n", "a price is a number");
    refused(HEAD "MI300X\t-\t-\t2026-11-01\ta\n", "without a price");
    refused(HEAD "MI300X\t1\t-\tyesterday\ta\n", "a date is written");
    refused(HEAD "MI300X\t1\t-\t2026-13-01\ta\n", "a date is written");
    refused(HEAD "MI300X\t1\t-\t2026-11-01\t\n", "without a source");
    refused(HEAD "MI300X\t1\t-\t2026-11-01\ta\x07z\n", "control character");
    refused(HEAD "MI300X\t1\t2026-11-01\ta\n", "a row has");
    refused(HEAD "MI300X\t1\t-\t2026-11-01\ta\tb\n", "more than five");
    refused(HEAD "MI301X\t1\t-\t2026-11-01\ta\n", "the nearest is MI300X");
    refused(HEAD "H100\t1\t-\t2026-11-01\ta\n", "name one form of the card");
    refused(HEAD "MI300X\t1\t-\t2026-11-01\ta\nmi300x\t2\t-\t2026-11-01\ta\n", "p.tsv:3: a second price");
    refused(HEAD "\xff\xfe\t1\t-\t2026-11-01\ta\n", "UTF-8");
}

int main(void) {
    RUN(prices_are_read);
    RUN(the_sample_is_read);
    RUN(hostile_files_are_refused_in_a_line);
    return test_end();
}
