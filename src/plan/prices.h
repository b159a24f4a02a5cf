// What cards cost: a file of the user's, since prices change and are never in the program.
#ifndef PLAN_PRICES_H
#define PLAN_PRICES_H

#include "plan/catalogue.h"

// A row. NAN: no such price.
struct price {
    const struct accelerator *card; // NULL: electricity, by the kWh
    double hour, buy;               // USD
    char date[11], source[120];
};

enum { MAX_PRICES = 1000 };

struct prices {
    struct price row[MAX_PRICES];
    size_t n;
};

// Reads the text of such a file; `where` stands in messages. free().
struct prices *prices_parse(const char *text, size_t size, const char *where, gyr_error *e);

struct prices *prices_open(const char *path, gyr_error *e);

// The row of a card, or of electricity (NULL); NULL if there is none. `p` may be NULL.
const struct price *price_of(const struct prices *p, const struct accelerator *card);

#endif
