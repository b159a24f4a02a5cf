// Models by name: "hf:OWNER/NAME[@REVISION][:FILE]". Pulling them from the hub, and the store where they are kept.
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/error.h"

// Is this a name of a model on the hub rather than a path?
bool hub_is_name(const char *text);

// Pulls what is not here yet; the path to open. free(). `memory`: what a model to choose should fit into.
char *hub_pull(const gyr_pull_options *o, uint64_t memory, gyr_error *e);

// What a pull would bring, as JSON. free().
char *hub_preview(const gyr_pull_options *o, uint64_t memory, gyr_error *e);

// Writes the heads of the files that a pull would bring to a folder that is there: files of the right size, in which
// there is a hole for the weights. The path to open. free().
char *hub_heads(const gyr_pull_options *o, const char *folder, gyr_error *e);

// The path of a model that was pulled; without the network. free().
char *hub_find(const char *name, const char *store, gyr_error *e);

// The store as JSON. free().
char *hub_list(const char *store, gyr_error *e);

// Removes what the name names. *bytes: what that gave back, may be NULL.
bool hub_remove(const char *name, const char *store, uint64_t *bytes, gyr_error *e);

#endif
