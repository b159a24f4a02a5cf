// Lists of items with ids that are told page by page, as OpenAI's API does.
#ifndef SERVER_ITEMS_H
#define SERVER_ITEMS_H

#include "server/exchange.h"
#include "server/fault.h"

#include <jansson.h>

// "limit" of a request's query: 20 unless it is given, at most 100.
bool page_limit(const struct exchange *x, size_t *limit, struct fault *f);

// Whether the newest come first: as "order" (asc, desc) of the query says, else as `*newest_first` has it.
bool page_order(const struct exchange *x, bool *newest_first, struct fault *f);

// The page of `all`, the oldest of them first, that "after", "limit" and "order" of the query ask for. `all` may be
// reordered.
bool items_page(const struct exchange *x, json_t *all, bool newest_first, struct buf *out, struct fault *f);

// All of them, as a page.
void items_list(const json_t *all, struct buf *out);

#endif
