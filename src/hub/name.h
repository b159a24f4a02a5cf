// Names of models, and which names of files are harmless. Private to hub/.
#ifndef HUB_NAME_H
#define HUB_NAME_H

#include "base/error.h"

enum { MAX_NAME = 96, MAX_REVISION = 128, MAX_PATH = 1024, COMMIT_SIZE = 40 };

struct hub_name {
    char owner[MAX_NAME + 1], repo[MAX_NAME + 1];
    char revision[MAX_REVISION + 1]; // "main" if none was given
    char select[MAX_PATH + 1];       // a file, or a type such as "Q4_K_M"; "": none was given
    bool has_revision;
    char label[2 * MAX_NAME + 8]; // "hf:OWNER/NAME", for messages
};

bool hub_name_parse(struct hub_name *n, const char *text, gyr_error *e);

// A relative path without "..", empty parts, control characters or backslashes, short enough for a file system.
bool path_is_safe(const char *path);

// `size` digits of lower-case base 16, and nothing after them.
bool is_hex(const char *s, size_t size);

#endif
