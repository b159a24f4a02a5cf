// Which files of a repository make the model that was asked for. Private to hub/.
#ifndef HUB_CHOOSE_H
#define HUB_CHOOSE_H

#include "hub/listing.h"

struct choice {
    const struct hub_file **files; // of the listing
    size_t n;
    char open[MAX_PATH + 1];      // what to open: the first file, or "." for the folder
    char type[32];                // "Q4_K_M", "safetensors"; "" if the name does not tell
    const struct hub_file *index; // a folder's list of its weights: fetch it, then choose_weights()
};

bool choose(const struct hub_name *name, const struct listing *l, uint64_t memory, struct choice *c, gyr_error *e);

// Adds the files that the index names; `text` is the index's content.
bool choose_weights(const struct hub_name *name, const struct listing *l, const char *text, size_t size,
                    struct choice *c, gyr_error *e);

void choice_free(struct choice *c);

// Does a file's name match what stands behind the colon, by its path or by its type?
bool path_matches(const char *path, const char *select);

#endif
