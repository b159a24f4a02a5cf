// Fetching several things at once, each tried again until it is whole. Private to hub/.
#ifndef HUB_FETCH_H
#define HUB_FETCH_H

#include "hub/http.h"

// The outcome of a fetch.
enum outcome {
    FETCH_WHOLE,  // complete, with the right checksum
    FETCH_SHORT,  // incomplete: to be continued
    FETCH_WRONG,  // not what the list says; dropped
    FETCH_FAILED, // a local failure, such as the disk or memory; the error says which
};

// Where the bytes go.
struct sink {
    uint64_t have;   // bytes already here: where a fetch continues
    uint64_t expect; // size of the whole file
    uint64_t limit;  // if not 0, the size is not known: at most this, and each try begins anew
    bool (*restart)(struct sink *s, gyr_error *e); // drops what is here
    bool (*data)(struct sink *s, const void *data, size_t size, gyr_error *e);
    enum outcome (*end)(struct sink *s, gyr_error *e);
};

enum { MAX_LINK = 2048 };

struct fetch {
    const char *what; // in messages
    char *url;
    struct sink *sink;
    char link[MAX_LINK]; // the reply's Link header
    bool done;

    // The rest is fetch.c's.
    struct hub *hub;
    CURL *curl;
    struct curl_slist *headers; // of a try that continues an earlier one; else the hub's
    uint32_t tries, wrongs;
    double again;           // when to try again; 0: now
    uint64_t began, pieces; // where this try began, and how often data came
    char etag[128], code[64];
    char kept[128]; // ETag of what is here
    uint64_t range_at, range_total;
    bool ranged;
    double wait; // Retry-After
    const char *fault;
    gyr_error error;
};

// Runs them all, at most hub->parallel at once. False once one has failed for good: the others stop, and what they
// received is kept.
bool fetch_all(struct hub *h, struct fetch *f, size_t n, gyr_error *e);

#endif
