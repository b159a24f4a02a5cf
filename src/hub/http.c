#include "hub/http.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *setting(const char *given, const char *variable, const char *otherwise) {
    const char *named = given ? given : getenv(variable);
    return named && *named ? named : otherwise;
}

// The host of an endpoint, and whether it is this very machine: what is sent there passes no wire.
static bool is_this_machine(const char *host) {
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (!strncmp(host, names[i], n) && (!host[n] || host[n] == ':' || host[n] == '/')) return true;
    }
    return false;
}

static bool set_endpoint(struct hub *h, gyr_error *e) {
    const char *url = setting(h->o->endpoint, "HF_ENDPOINT", "https://huggingface.co");
    bool https = !strncmp(url, "https://", 8), http = !strncmp(url, "http://", 7);
    const char *host = url + (https ? 8 : 7);
    size_t n = strlen(url);
    bool plain = n < 1024;
    for (size_t i = 0; plain && i < n; i++) plain = isgraph((unsigned char)url[i]) && !strchr("@?#\\", url[i]);
    if ((!https && !http) || !*host || !plain)
        return fail(e, GYR_USAGE, "HF_ENDPOINT: not the address of a hub; write it as https://huggingface.co");
    while (n && url[n - 1] == '/') n--;
    h->endpoint = strndup(url, n);
    h->token_held_back = http && !is_this_machine(host);
    return h->endpoint || fail_memory(e, h->label);
}

static bool add_header(struct hub *h, const char *line) {
    struct curl_slist *longer = line ? curl_slist_append(h->headers, line) : NULL;
    if (longer) h->headers = longer;
    return longer;
}

static bool set_headers(struct hub *h, gyr_error *e) {
    const char *token = setting(h->o->token, "HF_TOKEN", "");
    size_t n = strlen(token);
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)token[i]) || n > MAX_TOKEN)
            return fail(e, GYR_USAGE, "HF_TOKEN: has blanks or control characters; copy the token again");
    if (!n) h->token_held_back = false;
    if (!n || h->token_held_back) return true;
    struct buf line = {0};
    buf_printf(&line, "Authorization: Bearer %s", token);
    char *text = buf_take(&line);
    h->has_token = add_header(h, text);
    free(text);
    return h->has_token || fail_memory(e, h->label);
}

bool hub_open(struct hub *h, const gyr_pull_options *o, const char *label, gyr_error *e) {
    *h = (struct hub){.o = o,
                      .label = label,
                      .doing = "asking the hub",
                      .parallel = o->parallel ? o->parallel : 4,
                      .retries = o->retries ? o->retries : 5,
                      .timeout = o->timeout > 0 ? o->timeout : 30};
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) return fail(e, GYR_FAILED, "%s: libcurl does not start", label);
    h->multi = curl_multi_init();
    // Files that share one connection share its speed.
    if (!h->multi || curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING))
        fail_memory(e, label);
    else if (set_endpoint(h, e) && set_headers(h, e))
        return true;
    hub_close(h);
    return false;
}

void hub_close(struct hub *h) {
    if (h->multi) curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->headers);
    free(h->endpoint);
    h->headers = NULL;
    h->endpoint = NULL;
    curl_global_cleanup();
}

bool hub_tell(struct hub *h, const char *note, gyr_error *e) {
    h->p.doing = h->doing;
    h->p.note = note;
    if (!h->o->progress || h->o->progress(h->o->user, &h->p)) return true;
    return fail(e, GYR_CANCELLED, "%s: stopped; run the same command to continue", h->label);
}

void put_escaped(struct buf *b, const char *text, bool path) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c < 0x80 && isalnum(c)) || strchr("-._~", c) || (path && c == '/'))
            buf_putc(b, (char)c);
        else
            buf_printf(b, "%%%02X", c);
    }
}

// From https never down to http.
static const char *protocols_of(const struct hub *h) {
    return !strncmp(h->endpoint, "https:", 6) ? "https" : "http,https";
}

bool hub_speaks(const struct hub *h, const char *url) {
    return !strncmp(url, "https:", 6) || (!strncmp(url, "http:", 5) && !strncmp(h->endpoint, "http:", 5));
}

static bool is_readable(const char *path) { return path && *path && !access(path, R_OK); }

// Which certificates are trusted: those that the variables name, as for OpenSSL; else those that libcurl was built to
// trust, if they are on this machine; else those of the distribution, which a libcurl linked into gyr does not know.
static bool set_certificates(CURL *c) {
    static const char *const usual[] = {
        "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Gentoo
        "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, Red Hat
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem", // SUSE
        "/etc/ssl/cert.pem",
    };
    const char *file = setting(NULL, "SSL_CERT_FILE", NULL), *folder = setting(NULL, "SSL_CERT_DIR", NULL);
    if (!file && !folder) {
        curl_easy_getinfo(c, CURLINFO_CAINFO, &file);
        curl_easy_getinfo(c, CURLINFO_CAPATH, &folder);
        if (is_readable(file) || is_readable(folder)) return true;
        file = folder = NULL;
        for (size_t i = 0; !file && i < sizeof usual / sizeof *usual; i++)
            if (is_readable(usual[i])) file = usual[i];
    }
    return (!file || !curl_easy_setopt(c, CURLOPT_CAINFO, file)) &&
           (!folder || !curl_easy_setopt(c, CURLOPT_CAPATH, folder));
}

CURL *hub_request(const struct hub *h, const char *url) {
    CURL *c = curl_easy_init();
    if (!c) return NULL;
    long whole = h->timeout < 1 ? 1 : h->timeout > 86400 ? 86400 : (long)h->timeout;
    const char *protocols = protocols_of(h);
    bool ok = !curl_easy_setopt(c, CURLOPT_URL, url) && !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols) &&
              !curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, protocols) &&
              !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) &&
              !curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS) &&
              // Headers of ours go to the first host only: libcurl drops an Authorization at any other.
              !curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers) &&
              !curl_easy_setopt(c, CURLOPT_USERAGENT, "gyr/" GYR_VERSION) &&
              !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, whole) &&
              !curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 100L) &&
              !curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, whole) && set_certificates(c);
    if (ok) return c;
    curl_easy_cleanup(c);
    return NULL;
}

bool hub_refusal(const struct hub *h, long status, const char *code, const char *what, gyr_error *e) {
    const char *name = h->label, *where = h->endpoint;
    bool gated = !strcmp(code, "GatedRepo");
    if (h->token_held_back && (status == 401 || status == 403))
        return fail(e, GYR_IO,
                    "%s: the hub requires a token, which gyr does not send over plain http; make HF_ENDPOINT "
                    "an https address",
                    name);
    if (gated || status == 403)
        return fail(e, GYR_IO,
                    h->has_token ? "%s: gated, and HF_TOKEN's owner has no access (%ld); ask for it at %s/%s"
                                 : "%s: gated (%ld); accept its terms at %s/%s, then set HF_TOKEN",
                    name, status, where, name + 3);
    if (status == 401 && h->has_token)
        return fail(e, GYR_IO, "%s: the hub does not take this HF_TOKEN (401); make a new one at %s/settings/tokens",
                    name, where);
    if (status == 401)
        return fail(e, GYR_IO, "%s: not on the hub, or private (401); check the name, or set HF_TOKEN", name);
    if (status == 404 && !strcmp(code, "RevisionNotFound"))
        return fail(e, GYR_IO, "%s: has no such revision (404); see %s/%s/branches", name, where, name + 3);
    if (status == 404) return fail(e, GYR_IO, "%s: %s is not on the hub (404); check the name", name, what);
    return fail(e, GYR_IO, "%s: the hub answers %ld for %s; try again later", name, status, what);
}
