// The room's door for the command line: what it does to the state while a server may be running, which sees it at once.
#ifndef SERVER_ADMIN_H
#define SERVER_ADMIN_H

#include "gyr.h"

struct admin_key {
    const char *name;
    bool admin;
    uint64_t requests_per_minute, tokens_per_minute, tokens_per_day, concurrency; // 0: no limit
    const char *models; // names with commas in between; NULL: all
    uint64_t days;      // until it expires; 0: never
};

// Makes a key and returns its text, which cannot be had again; free(). NULL if it failed.
char *admin_key_add(const struct admin_key *wish, gyr_error *e);

bool admin_key_remove(const char *name, gyr_error *e);

// JSON lists; free(). Usage is of one key, or (NULL) of all.
char *admin_key_list(gyr_error *e);
char *admin_key_usage(const char *name, gyr_error *e);

#endif
