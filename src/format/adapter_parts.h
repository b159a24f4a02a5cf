// How the readers fill an adapter. Private to format/adapter*.c.
#ifndef FORMAT_ADAPTER_PARTS_H
#define FORMAT_ADAPTER_PARTS_H

#include "format/adapter.h"
#include "format/hf.h"

// Finds the two halves of each pair by what their names end in, and checks shapes and types. A tensor that is neither
// is refused by its name; `doing` is what is said of it.
struct adapter_names {
    const char *before; // in front of every name
    const char *a, *b;  // behind it
    const char *after;  // what the model's name has in their place
};
bool adapter_pair_up(struct adapter_file *f, const struct adapter_names *how, gyr_error *e);

// What adapter_config.json says of the pairs, whose ranks are known.
bool peft_config(struct adapter_file *f, const json_t *root, const char *where, gyr_error *e);

// Which of a pattern's keys is the first that a module's name matches, as PEFT decides it: the value. `*out` is NULL if
// none does.
bool peft_pattern(const json_t *patterns, const char *module, const json_t **out, const char *where, gyr_error *e);

#endif
