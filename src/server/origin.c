#include "server/origin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { MAX_HOST = 255 };

// The name in a host header: what stands before the port, without the brackets of IPv6 and without a last dot. False if
// it is not written as one.
static bool read_host(const char *s, char name[MAX_HOST + 1], const char **port) {
    bool brackets = *s == '[';
    size_t n = strcspn(s + brackets, brackets ? "]" : ":");
    const char *p = s + brackets + n;
    if (!n || n > MAX_HOST || (brackets && *p++ != ']')) return false;
    if (*p == ':' ? !p[1] || strlen(p + 1) > 5 || p[1 + strspn(p + 1, "0123456789")] : *p != 0) return false;
    memcpy(name, s + brackets, n);
    name[n] = 0;
    if (!brackets && n > 1 && name[n - 1] == '.') name[n - 1] = 0;
    if (port) *port = *p ? p + 1 : "";
    return brackets == (strchr(name, ':') != NULL);
}

static bool is_address(const char *name) {
    unsigned char ignored[16];
    return inet_pton(AF_INET, name, ignored) == 1 || inet_pton(AF_INET6, name, ignored) == 1;
}

bool origin_host_good(const struct origin_rules *r, const char *host) {
    char name[MAX_HOST + 1];
    if (!host || !read_host(host, name, NULL)) return false;
    if (is_address(name) || !strcasecmp(name, "localhost")) return true;
    for (const char *const *h = r->hosts; h && *h; h++)
        if (!strcasecmp(name, *h)) return true;
    return false;
}

// A page that the server sent itself: its origin is the host that is asked now. Whether by TLS or not is the same to
// us: a proxy in front may speak it.
static bool is_own(const char *origin, const char *host) {
    char a[MAX_HOST + 1], b[MAX_HOST + 1];
    const char *port_a, *port_b;
    bool tls = !strncasecmp(origin, "https://", 8);
    if (!host || (!tls && strncasecmp(origin, "http://", 7))) return false;
    if (!read_host(origin + (tls ? 8 : 7), a, &port_a) || !read_host(host, b, &port_b)) return false;
    const char *usual = tls ? "443" : "80";
    return !strcasecmp(a, b) && !strcmp(*port_a ? port_a : usual, *port_b ? port_b : usual);
}

enum origin_verdict origin_judge(const struct origin_rules *r, const char *origin, const char *host) {
    if (!origin || is_own(origin, host)) return ORIGIN_NONE;
    for (const char *const *o = r->origins; o && *o; o++)
        if (!strcmp(*o, "*") || !strcasecmp(*o, origin)) return ORIGIN_ALLOWED;
    return ORIGIN_REFUSED;
}

// Never with credentials, so that "*" gives no page more than the key it has.
const char *origin_allow_header(const struct origin_rules *r, const char *origin) {
    for (const char *const *o = r->origins; o && *o; o++)
        if (!strcmp(*o, "*")) return "*";
    return origin;
}

static struct text trimmed(const char *s) {
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && strchr(" \t", s[n - 1])) n--;
    return (struct text){s, n};
}

struct text origin_key(const char *authorization, const char *x_api_key) {
    static const char scheme[] = "Bearer";
    size_t n = sizeof scheme - 1;
    if (authorization && !strncasecmp(authorization, scheme, n) && authorization[n] &&
        strchr(" \t", authorization[n])) {
        struct text key = trimmed(authorization + n);
        if (key.size) return key;
    }
    return x_api_key ? trimmed(x_api_key) : (struct text){"", 0};
}
