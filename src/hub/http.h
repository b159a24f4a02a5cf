// What all requests to the hub have in common. Private to hub/.
#ifndef HUB_HTTP_H
#define HUB_HTTP_H

#include "base/buf.h"
#include "base/error.h"

#include <curl/curl.h>

enum { MAX_REDIRECTS = 5, MAX_TOKEN = 4096 };

// One pull: what was asked, and how the hub is reached.
struct hub {
    const gyr_pull_options *o;
    const char *label; // "hf:OWNER/NAME"
    const char *doing; // for the progress
    char *endpoint;    // without a trailing slash
    CURLM *multi;
    struct curl_slist *headers;
    bool has_token, token_held_back; // held back: the endpoint is plain http on another machine
    bool worked;                     // the hub has answered: the network is fine
    uint32_t parallel, retries;
    double timeout;
    gyr_pull_progress p;
};

bool hub_open(struct hub *h, const gyr_pull_options *o, const char *label, gyr_error *e);
void hub_close(struct hub *h);

// Reports progress to the caller; note may be NULL. False (GYR_CANCELLED) if the caller wants to stop.
bool hub_tell(struct hub *h, const char *note, gyr_error *e);

// Appends text with everything but unreserved characters (RFC 3986), and "/" if `path`, as %XX.
void put_escaped(struct buf *b, const char *text, bool path);

// May requests go to this address, by its protocol?
bool hub_speaks(const struct hub *h, const char *url);

// A new handle for `url`, set up but for its callbacks. NULL if memory is out.
CURL *hub_request(const struct hub *h, const char *url);

// The error for a reply that asking again will not change. `code`: the hub's own word for it
// (X-Error-Code); `what`: the file or list that was asked for.
bool hub_refusal(const struct hub *h, long status, const char *code, const char *what, gyr_error *e);

#endif
