// What people write of cards and prices. The first byte says which: '@' a mix of cards, else a file of prices. Whatever
// it is, it is read or refused in one line.
#include "plan/mix.h"
#include "plan/prices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok) abort();
}

static void one_line(const gyr_error *e, gyr_status status) {
    must(e->status == status && e->message[0] && !strchr(e->message, '\n'));
}

static void cards(const char *text) {
    struct mix m;
    gyr_error e = {0};
    if (!mix_parse(&m, text, &e)) {
        one_line(&e, GYR_USAGE);
        return;
    }
    size_t n = mix_cards(&m);
    must(m.n >= 1 && m.n <= MAX_KINDS_OF_CARD && n >= m.n && n <= MAX_CARDS);
    for (size_t i = 0; i < m.n; i++) must(m.kind[i].card && m.kind[i].n >= 1);
}

static void prices(const char *text, size_t size) {
    gyr_error e = {0};
    struct prices *p = prices_parse(text, size, "prices", &e);
    if (!p) {
        one_line(&e, GYR_MALFORMED);
        return;
    }
    must(p->n >= 1 && p->n <= MAX_PRICES);
    for (size_t i = 0; i < p->n; i++) {
        const struct price *row = &p->row[i];
        must(row->source[0] && strlen(row->date) == 10 && (!isnan(row->hour) || !isnan(row->buy)));
        must((isnan(row->hour) || (row->hour >= 0 && row->hour <= 1e9)) &&
             (isnan(row->buy) || (row->buy >= 0 && row->buy <= 1e9)));
    }
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    char *text = malloc(size);
    must(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    if (*data == '@')
        cards(text);
    else
        prices(text, size - 1);
    free(text);
    return 0;
}
