#include "server/gate.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { MAX_HEAD = 33 << 10 }; // a little more than libevent is told to take: it refuses what is longer

// What is to become of the bytes that come next.
enum mode {
    HEAD,  // they are a request's head, and held until it is whole
    BODY,  // `left` bytes of a body go on
    WASTE, // `left` bytes of a body are dropped
    ALL,   // all go on: where a body in chunks ends, the gate does not see
    NONE   // all are dropped: the connection ends with the reply
};

struct gate {
    struct gate_rules rules;
    struct bufferevent *b;
    struct evbuffer *held, *passed; // what came and did not go on yet; what went on, while more is looked at
    enum mode mode;
    uint64_t left;
    size_t counted; // of the bodies
    bool busy;
};

struct head {
    struct exchange x; // of which there are method, path and headers
    char *line;        // the request's first
    bool has_body;     // libevent reads one after this method
    bool chunked, expects;
    uint64_t length;
};

bool head_is_certain(const struct exchange *x) {
    unsigned lengths = 0, codings = 0, hosts = 0;
    const char *name = x->headers.data, *end = name + x->headers.size;
    for (const char *value; name < end; name = value + strlen(value) + 1) {
        value = name + strlen(name) + 1;
        if (!*name || strpbrk(name, " \t")) return false;
        hosts += !strcasecmp(name, "host");
        if (!strcasecmp(name, "content-length")) {
            if (++lengths > 1 || !*value || value[strspn(value, "0123456789")]) return false;
        } else if (!strcasecmp(name, "transfer-encoding")) {
            if (++codings > 1 || strcasecmp(value, "chunked")) return false;
        }
    }
    return hosts <= 1 && lengths + codings <= 1;
}

// The next line, without its end; NULL: there is none. `*at` moves on.
static const char *next_line(const char **at, const char *end, size_t *size) {
    const char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) return NULL;
    *at = stop + 1;
    *size = (size_t)(stop - line) - (stop > line && stop[-1] == '\r');
    return line;
}

// Bytes up to the empty line and with it; 0: it has not come.
static size_t head_size(const char *data, size_t n) {
    const char *at = data;
    size_t size;
    while (next_line(&at, data + n, &size))
        if (!size) return (size_t)(at - data);
    return 0;
}

static bool read_first(struct head *h, const char *line, size_t size) {
    static const char *const with_body[] = {"POST", "PUT", "PATCH"};
    while (size && line[size - 1] == ' ') size--;
    h->line = strndup(line, size);
    char *copy = strndup(line, size), *target = copy ? strchr(copy, ' ') : NULL;
    char *version = target ? strrchr(target, ' ') : NULL;
    struct evhttp_uri *uri = NULL;
    if (version && version != target) {
        *target++ = *version = 0;
        uri = evhttp_uri_parse_with_flags(target, EVHTTP_URI_NONCONFORMANT);
        for (size_t i = 0; i < 3; i++) h->has_body |= !strcmp(copy, with_body[i]);
    }
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    if (uri) h->x.path = evhttp_uridecode(path && *path ? path : "/", 0, NULL);
    if (uri) evhttp_uri_free(uri);
    h->x.method = copy;
    return h->line && h->x.path;
}

static bool read_field(struct head *h, const char *line, size_t size) {
    const char *colon = memchr(line, ':', size), *value = colon ? colon + 1 : NULL, *end = line + size;
    if (!colon || *line == ' ' || *line == '\t') return false;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
    buf_append(&h->x.headers, line, (size_t)(colon - line));
    buf_putc(&h->x.headers, 0);
    buf_append(&h->x.headers, value, (size_t)(end - value));
    buf_putc(&h->x.headers, 0);
    return !h->x.headers.failed;
}

// False: no request that can be answered.
static bool read_head(struct head *h, const char *data, size_t n) {
    const char *at = data, *line;
    size_t size;
    if (memchr(data, 0, n) || !(line = next_line(&at, data + n, &size)) || !read_first(h, line, size)) return false;
    while ((line = next_line(&at, data + n, &size)) && size)
        if (!read_field(h, line, size)) return false;
    const char *length = exchange_header(&h->x, "content-length");
    if (!head_is_certain(&h->x) || (length && strlen(length) > 18)) return false;
    h->length = length ? strtoull(length, NULL, 10) : 0;
    h->chunked = exchange_header(&h->x, "transfer-encoding");
    h->expects = exchange_header(&h->x, "expect");
    return true;
}

static void forget(struct head *h) {
    if (h->x.account) h->x.release_account(h->x.account);
    free((char *)h->x.method);
    free(h->x.path);
    free(h->x.why);
    free(h->line);
    buf_free(&h->x.headers);
    buf_free(&h->x.extra);
}

// The head of the same request without a body; with `last`, of the connection's last one.
static void put_bodiless(struct evbuffer *in, const struct head *h, bool last, bool full) {
    static const char *const left_out[] = {"content-length", "transfer-encoding", "expect", "connection"};
    evbuffer_add_printf(in, "%s\r\n", h->line);
    const char *name = h->x.headers.data, *end = name + h->x.headers.size;
    for (const char *value; name < end; name = value + strlen(value) + 1) {
        bool out = false;
        value = name + strlen(name) + 1;
        for (size_t i = 0; i < (last ? 4 : 3); i++) out |= !strcasecmp(name, left_out[i]);
        if (!out) evbuffer_add_printf(in, "%s: %s\r\n", name, value);
    }
    evbuffer_add_printf(in, "Content-Length: 0\r\n%s%s\r\n", last ? "Connection: close\r\n" : "",
                        full ? GATE_FULL ": 1\r\n" : "");
}

// A head without end, or with two: libevent is to refuse it, and sees nothing else of this connection.
static void turn_away(struct gate *g, struct evbuffer *in) {
    evbuffer_drain(g->held, evbuffer_get_length(g->held));
    evbuffer_add_printf(in, "?\r\n\r\n");
    g->mode = NONE;
}

// Whether there is no room for the body. One in chunks says nothing of its size, and one that is larger than any may be
// is libevent's to refuse.
static bool is_full(const struct gate *g, const struct head *h) {
    size_t have = atomic_load(g->rules.bodies), most = g->rules.most;
    return have >= most || (h->length <= most && h->length > most - have);
}

static void decide(struct gate *g, struct evbuffer *in, struct head *h, size_t size) {
    bool none = !h->length && !h->chunked;
    bool welcome = none || (h->has_body && g->rules.welcome(g->rules.user, &h->x)), full = !none && is_full(g, h);
    if (welcome && !full) {
        evbuffer_remove_buffer(g->held, in, size);
        g->mode = none ? HEAD : h->chunked ? ALL : BODY;
        g->left = h->length;
        return;
    }
    // Whether a body still comes when the client has expected leave to send it, nobody knows; and libevent would take
    // one behind a GET for another request.
    bool last = h->chunked || h->expects || !h->has_body;
    evbuffer_drain(g->held, size);
    put_bodiless(in, h, last, welcome);
    g->mode = last ? NONE : WASTE;
    g->left = h->length;
}

// False: more has to come.
static bool take_head(struct gate *g, struct evbuffer *in) {
    size_t have = evbuffer_get_length(g->held), look = have < MAX_HEAD ? have : MAX_HEAD;
    const char *data = (const char *)evbuffer_pullup(g->held, (ssize_t)look);
    size_t size = data ? head_size(data, look) : 0;
    if (data && !size && have < MAX_HEAD) return false;
    if (!size) {
        turn_away(g, in);
        return true;
    }
    struct head h = {0};
    if (read_head(&h, data, size))
        decide(g, in, &h, size);
    else
        turn_away(g, in);
    forget(&h);
    return true;
}

// Bytes of a body go on. Beyond what all may have, the connection ends: no other client can be told from a hostile one.
static void count(struct gate *g, size_t n) {
    g->counted += n;
    if (atomic_fetch_add(g->rules.bodies, n) + n > g->rules.most) shutdown(bufferevent_getfd(g->b), SHUT_RDWR);
}

void gate_taken(struct gate *g) {
    if (!g) return;
    atomic_fetch_sub(g->rules.bodies, g->counted);
    g->counted = 0;
}

static bool go_on(struct gate *g, struct evbuffer *in) {
    size_t n = evbuffer_get_length(g->held);
    if (g->mode == HEAD) return take_head(g, in);
    if (g->mode <= WASTE && n > g->left) n = (size_t)g->left;
    if (g->mode == BODY || g->mode == ALL) {
        evbuffer_remove_buffer(g->held, in, n);
        count(g, n);
    } else {
        evbuffer_drain(g->held, n);
    }
    if (g->mode <= WASTE && !(g->left -= n)) g->mode = HEAD;
    return true;
}

// What came stands at the end of the buffer: it is taken out, and put back as far as it may go on.
static void on_bytes(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg) {
    struct gate *g = arg;
    if (g->busy || !info->n_added) return;
    if (!evbuffer_get_length(g->held) && (g->mode == ALL || (g->mode == BODY && info->n_added < g->left))) {
        if (g->mode == BODY) g->left -= info->n_added;
        count(g, info->n_added);
        return;
    }
    g->busy = true;
    evbuffer_remove_buffer(in, g->passed, evbuffer_get_length(in) - info->n_added);
    evbuffer_add_buffer(g->held, in);
    evbuffer_add_buffer(in, g->passed);
    while (evbuffer_get_length(g->held) && go_on(g, in)) {}
    g->busy = false;
}

struct gate *gate_new(struct bufferevent *b, const struct gate_rules *rules) {
    struct gate *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->rules = *rules;
    g->b = b;
    g->held = evbuffer_new();
    g->passed = evbuffer_new();
    if (g->held && g->passed && evbuffer_add_cb(bufferevent_get_input(b), on_bytes, g)) return g;
    gate_free(g);
    return NULL;
}

void gate_open(struct gate *g, struct bufferevent *b) {
    struct evbuffer *in = bufferevent_get_input(b);
    if (!g) return;
    evbuffer_remove_cb(in, on_bytes, g);
    evbuffer_unfreeze(in, 0);
    evbuffer_add_buffer(in, g->held);
    evbuffer_freeze(in, 0);
}

void gate_free(struct gate *g) {
    if (!g) return;
    gate_taken(g);
    if (g->held) evbuffer_free(g->held);
    if (g->passed) evbuffer_free(g->passed);
    free(g);
}
