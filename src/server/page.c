// GET / and /page/NAME: the web page.
#include "server/page.h"

#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Scripts and styles are files of this server alone, and nothing is loaded from elsewhere, whatever a model writes. No
// text becomes markup or code but through the policies named, which are the page's own and DOMPurify's.
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types gyr dompurify";

static const struct page_file *find(const char *name) {
    for (size_t i = 0; i < page_file_count; i++)
        if (!strcmp(page_files[i].name, name)) return &page_files[i];
    return NULL;
}

// Whether a list such as "br;q=1, gzip;q=0.5" has gzip in it and does not refuse it.
static bool takes_gzip(const char *list) {
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " \t");
        size_t n = strcspn(at, ",; \t");
        if (!(n == 4 && !strncasecmp(at, "gzip", 4)) && !(n == 1 && *at == '*')) continue;
        const char *q = at + n + strspn(at + n, " \t");
        if (*q != ';') return true;
        q += 1 + strspn(q + 1, " \t");
        return strncasecmp(q, "q=", 2) || strtod(q + 2, NULL) > 0;
    }
    return false;
}

static void put_headers(struct exchange *x, const char *tag) {
    static const char *const headers[][2] = {{"Cache-Control", "no-cache"},
                                             {"Vary", "Accept-Encoding"},
                                             {"Content-Security-Policy", policy},
                                             {"Referrer-Policy", "no-referrer"},
                                             {"X-Frame-Options", "DENY"},
                                             {"Cross-Origin-Opener-Policy", "same-origin"},
                                             {"Cross-Origin-Resource-Policy", "same-origin"},
                                             {"Service-Worker-Allowed", "/"},
                                             {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) exchange_add_header(x, headers[i][0], headers[i][1]);
    exchange_add_header(x, "ETag", tag);
}

void handle_page(struct server *s, struct exchange *x) {
    const struct page_file *file = s->o->no_page ? NULL : find(x->tail ? x->tail : "index.html");
    const char *known = exchange_header(x, "if-none-match");
    struct fault f;
    char tag[64];
    if (!file) {
        refuse(&f, 404, NULL, "%.200s: there is nothing here; /v1/models lists the models", x->path);
        reply_fault(x, x->route->surface, &f);
        return;
    }
    bool packed = file->size_of_packed && takes_gzip(exchange_header(x, "accept-encoding"));
    snprintf(tag, sizeof tag, "\"%s%s\"", file->tag, packed ? "-gzip" : "");
    put_headers(x, tag);
    if (known && strstr(known, tag)) {
        reply_whole(x, 304, NULL, "", 0);
        return;
    }
    if (packed) exchange_add_header(x, "Content-Encoding", "gzip");
    reply_whole(x, 200, file->type, page_image + (packed ? file->at_packed : file->at),
                packed ? file->size_of_packed : file->size);
}
