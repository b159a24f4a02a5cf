// What each key used, by day and model. Counted in memory and written to the state now and then: of a killed process
// the last seconds are missing. Any thread may use it.
#ifndef SERVER_USAGE_H
#define SERVER_USAGE_H

#include "server/store.h"

enum { USAGE_SECONDS = 5 }; // at most so long between two writes, if usage_flush() is called often enough

struct usage;

struct usage *usage_new(struct store *s); // NULL without memory
void usage_free(struct usage *u);         // what was not flushed is lost

// A request of a key (0: none) that is over. `now`: seconds since 1970.
struct usage_entry {
    uint64_t prompt_tokens, cached_tokens, answer_tokens; // cached: those of the prompt that were found, not computed
};
void usage_add(struct usage *u, int64_t key, const char *model, const struct usage_entry *entry, int64_t now);

// Whether it is time to write.
bool usage_due(struct usage *u, int64_t now);

// Writes what was counted. If that fails it stays in memory, and the next call tries again.
bool usage_flush(struct usage *u, int64_t now, gyr_error *e);

// Tokens (prompt and answer) that a key has used on the day of `now`, written or not; 0 if the state cannot be read.
uint64_t usage_today(struct usage *u, int64_t key, int64_t now);

// As a JSON list, by key, day and model: from the day of `since` on; of one key, or (name NULL) of all, those that were
// removed among them. free().
char *usage_list(struct store *s, const char *name, int64_t since, gyr_error *e);

#endif
