// Who may speak to the server, as far as a request's headers tell. A page in somebody's browser can reach a server on
// the same machine, and with DNS rebinding under a name of its own choice; browsers say so in Host and Origin.
#ifndef SERVER_ORIGIN_H
#define SERVER_ORIGIN_H

#include "base/buf.h"

struct origin_rules {
    const char *const *hosts;   // names that the server goes by, beside addresses and localhost; NULL ends the list
    const char *const *origins; // that other sites' pages may have, such as "https://chat.example"; "*": any
};

// The host header, without its port, is an IP address, localhost or one of the rules' names. Rebinding needs a name.
bool origin_host_good(const struct origin_rules *r, const char *host);

enum origin_verdict {
    ORIGIN_NONE,    // not from a page, or from a page of the server's own: no headers are needed
    ORIGIN_ALLOWED, // from a page that the rules name: the reply needs access-control-allow-origin
    ORIGIN_REFUSED,
};

// Judges an origin header (NULL: there is none) that came with a host header.
enum origin_verdict origin_judge(const struct origin_rules *r, const char *origin, const char *host);

// The value of access-control-allow-origin for an origin that is allowed.
const char *origin_allow_header(const struct origin_rules *r, const char *origin);

// The key that a client sent: of "authorization: Bearer KEY", else of "x-api-key: KEY"; either may be NULL. Size 0:
// none.
struct text origin_key(const char *authorization, const char *x_api_key);

#endif
