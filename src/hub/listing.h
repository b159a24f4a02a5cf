// What a repository holds. Private to hub/.
#ifndef HUB_LISTING_H
#define HUB_LISTING_H

#include "hub/http.h"
#include "hub/name.h"

enum sum { SUM_SHA256, SUM_GIT_SHA1 };

struct hub_file {
    char *path; // safe: see path_is_safe()
    uint64_t size;
    enum sum sum;
    char hex[65];
};

struct listing {
    char commit[COMMIT_SIZE + 1]; // what the revision is now
    struct hub_file *files;
    size_t n;
};

// Asks the hub. Files with names that could reach out of their folder are refused, all of the listing with them.
bool listing_get(struct hub *h, const struct hub_name *name, struct listing *l, gyr_error *e);

// Adds a page of the hub's list; and checks the whole once all are there, sorting it.
bool listing_add(struct listing *l, const char *label, const char *text, size_t size, gyr_error *e);
bool listing_check(struct listing *l, const char *label, gyr_error *e);

// Fetches a text of at most `limit` bytes. buf_free() it in any case.
bool hub_text(struct hub *h, char *url, const char *what, size_t limit, struct buf *text, gyr_error *e);

void listing_free(struct listing *l);

const struct hub_file *listing_find(const struct listing *l, const char *path);

#endif
