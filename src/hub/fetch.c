#include "hub/fetch.h"

#include "base/clock.h"
#include "hub/reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { POLL_MS = 100, GOOD_START = 1 << 20, MAX_WRONGS = 2, MAX_RETRY_AFTER = 600, ERROR_BODY = 1 << 16 };

// The first bytes of a reply: do they go on where we are? A server may send the whole instead.
static bool accept_reply(struct fetch *f, long status) {
    struct sink *s = f->sink;
    memcpy(f->kept, f->etag, sizeof f->kept);
    if (status == 206) {
        bool fits = f->ranged && f->range_at == s->have && f->range_total == s->expect;
        if (!fits) f->fault = "the hub sends another part than was asked for";
        return fits || (s->restart(s, &f->error), false);
    }
    return !s->have || s->restart(s, &f->error);
}

static size_t on_data(char *data, size_t one, size_t size, void *user) {
    struct fetch *f = user;
    struct sink *s = f->sink;
    long status = 0;
    (void)one;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) {
        // The text of a refusal is not needed, but the connection is, if it is short.
        f->pieces += size;
        return f->pieces < ERROR_BODY ? size : 0;
    }
    if (!f->pieces++ && !accept_reply(f, status)) return 0;
    uint64_t most = s->limit ? s->limit : s->expect;
    if (size > most - s->have) {
        f->fault = s->limit ? "a list that is too long" : "more bytes than the hub lists";
        f->wrongs++;
        s->restart(s, &f->error);
        return 0;
    }
    if (!s->data(s, data, size, &f->error)) return 0;
    f->hub->worked = true;
    return size;
}

static size_t on_header(char *line, size_t one, size_t size, void *user) {
    (void)one;
    read_header(user, line, size);
    return size;
}

static bool start(CURLM *multi, struct fetch *f) {
    struct sink *s = f->sink;
    f->curl = s->limit && !s->restart(s, &f->error) ? NULL : hub_request(f->hub, f->url);
    if (!f->curl) return false;
    f->pieces = 0;
    f->began = s->have;
    f->fault = NULL;
    char range[32], condition[160];
    struct curl_slist *list = NULL, *all = NULL;
    bool ok = true;
    if (s->have) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)s->have);
        ok = !curl_easy_setopt(f->curl, CURLOPT_RANGE, range);
    }
    // A weak tag (RFC 9110, 8.8.1) must not be used here; and the headers are libcurl's for the whole transfer.
    if (ok && s->have && f->kept[0] == '"') {
        snprintf(condition, sizeof condition, "If-Range: %s", f->kept);
        for (struct curl_slist *h = f->hub->headers; h; h = h->next)
            if ((all = curl_slist_append(list, h->data))) list = all;
        if ((all = curl_slist_append(list, condition))) list = all;
        ok = all && !curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, list);
    }
    curl_slist_free_all(f->headers);
    f->headers = list;
    ok = ok && !curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, on_data) &&
         !curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, f) &&
         !curl_easy_setopt(f->curl, CURLOPT_HEADERFUNCTION, on_header) &&
         !curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, f) && !curl_easy_setopt(f->curl, CURLOPT_PRIVATE, (char *)f);
    if (ok && !curl_multi_add_handle(multi, f->curl)) return true;
    curl_easy_cleanup(f->curl);
    f->curl = NULL;
    return false;
}

// The hosts of two addresses are the same, port and all.
static bool same_host(const char *a, const char *b) {
    const char *x = strstr(a, "://"), *y = strstr(b, "://");
    if (!x || !y) return false;
    size_t n = strcspn(x + 3, "/?#");
    return n == strcspn(y + 3, "/?#") && !strncmp(x + 3, y + 3, n);
}

// What is not worth another try.
static bool is_final(CURLcode why) {
    static const CURLcode finals[] = {CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT,
                                      CURLE_OUT_OF_MEMORY,        CURLE_TOO_MANY_REDIRECTS,
                                      CURLE_SSL_CACERT_BADFILE,   CURLE_PEER_FAILED_VERIFICATION,
                                      CURLE_SSL_CERTPROBLEM};
    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++)
        if (why == finals[i]) return true;
    return false;
}

static const char *hint(CURLcode why) {
    switch (why) {
    case CURLE_TOO_MANY_REDIRECTS: return "the hub redirects in circles; try again later";
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PEER_FAILED_VERIFICATION:
        return "check the date, SSL_CERT_FILE if it is set, and that the package ca-certificates is installed";
    case CURLE_COULDNT_RESOLVE_PROXY: return "check https_proxy";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT: return "check the network, and HF_ENDPOINT if it is set";
    case CURLE_UNSUPPORTED_PROTOCOL: return "the hub sends to another protocol, which gyr does not follow";
    default: return "try again later";
    }
}

static double jitter(void) {
    uint32_t bits = 0x80000000;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) < 0) bits = 0x80000000;
    return 0.5 + (double)bits / 4294967296.0;
}

// Puts the next try off, or fails if there were enough. Waits double (and are spread, so that many clients of a hub
// that was down do not all come at once).
static bool put_off(struct fetch *f, const char *why, gyr_error *e) {
    struct hub *h = f->hub;
    if (f->sink->have >= f->began + GOOD_START) f->tries = 0;
    if (f->wait > MAX_RETRY_AFTER)
        return fail(e, GYR_IO, "%s: %s: the hub asks to wait %.0f minutes; try again then", h->label, f->what,
                    ceil(f->wait / 60));
    if (++f->tries > h->retries)
        return fail(e, GYR_IO, "%s: %s: %s, after %u tries; run the same command to continue", h->label, f->what, why,
                    f->tries);
    double seconds = h->timeout / 30 * exp2(f->tries - 1 < 6 ? f->tries - 1 : 6) * jitter();
    if (f->wait > seconds) seconds = f->wait;
    f->again = now_seconds() + seconds;
    char note[256];
    snprintf(note, sizeof note, "%.120s: %.80s; trying again in %.1f s", f->what, why, seconds);
    return hub_tell(h, note, e);
}

static bool complete(struct fetch *f, gyr_error *e) {
    switch (f->sink->end(f->sink, e)) {
    case FETCH_WHOLE: return f->done = true;
    case FETCH_FAILED: return false;
    case FETCH_SHORT: return put_off(f, "ended early", e);
    case FETCH_WRONG: break;
    }
    if (f->wrongs++ < MAX_WRONGS) return put_off(f, "the bytes do not match the checksum", e);
    return fail(e, GYR_MALFORMED, "%s: %s: the bytes received do not match the hub's checksum; try again later",
                f->hub->label, f->what);
}

// After a transfer that broke.
static bool broken(struct fetch *f, CURLcode why, gyr_error *e) {
    struct hub *h = f->hub;
    if (f->error.status) {
        if (e) *e = f->error;
        return false;
    }
    // All of it is here, whatever length was promised.
    if (!f->sink->limit && f->pieces && f->sink->have == f->sink->expect) return complete(f, e);
    const char *text = f->fault ? f->fault : why ? curl_easy_strerror(why) : "a reply without content";
    if (f->wrongs > MAX_WRONGS || (f->sink->limit && f->wrongs))
        return fail(e, GYR_MALFORMED, "%s: %s: %s; try again later", h->label, f->what, text);
    bool unreachable =
        why == CURLE_COULDNT_RESOLVE_HOST || why == CURLE_COULDNT_CONNECT || why == CURLE_COULDNT_RESOLVE_PROXY;
    if (!f->fault && (is_final(why) || (unreachable && !h->worked && f->tries)))
        return fail(e, GYR_IO, "%s: %s: %s; %s", h->label, h->endpoint, text, hint(why));
    return put_off(f, text, e);
}

// After a reply that was not the thing itself.
static bool refused(struct fetch *f, long status, const char *final_url, gyr_error *e) {
    char why[64];
    snprintf(why, sizeof why, "the hub answers %ld", status);
    if (status == 416) return f->sink->restart(f->sink, e) && put_off(f, why, e);
    // Where the hub has sent us, addresses hold for a while only: the hub gives a new one.
    bool elsewhere = (status == 403 || status == 404) && !same_host(final_url, f->hub->endpoint);
    if (status == 408 || status == 429 || status >= 500 || elsewhere) return put_off(f, why, e);
    return hub_refusal(f->hub, status, f->code, f->what, e);
}

static bool finish(CURLM *multi, const CURLMsg *msg, gyr_error *e) {
    struct fetch *f = NULL;
    char *final_url = NULL;
    long status = 0;
    CURLcode why = msg->data.result;
    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(f->curl, CURLINFO_EFFECTIVE_URL, &final_url);
    // libcurl has one word for a protocol that it must not speak and for bytes that are not HTTP.
    if (why == CURLE_UNSUPPORTED_PROTOCOL && hub_speaks(f->hub, final_url)) f->fault = "an answer that is not HTTP";
    bool good = status == 200 || status == 206, said = status >= 300 && (!why || why == CURLE_WRITE_ERROR);
    bool ok = said           ? refused(f, status, final_url ? final_url : "", e)
              : why || !good ? broken(f, why, e)
                             : complete(f, e);
    curl_multi_remove_handle(multi, f->curl);
    curl_easy_cleanup(f->curl);
    f->curl = NULL;
    return ok;
}

// Starts what is due while there is room. *left: how many are not done.
static bool start_due(CURLM *multi, struct hub *h, struct fetch *f, size_t n, size_t *left, gyr_error *e) {
    size_t running = 0;
    *left = 0;
    for (size_t i = 0; i < n; i++) {
        running += f[i].curl != NULL;
        *left += !f[i].done;
    }
    for (size_t i = 0; i < n && running < h->parallel; i++) {
        if (f[i].done || f[i].curl || f[i].again > now_seconds()) continue;
        if (!start(multi, &f[i])) return fail_memory(e, h->label);
        running++;
    }
    return true;
}

// Moves all transfers on, or waits until one can be.
static bool turn(CURLM *multi, gyr_error *e) {
    int running, queued;
    const CURLMsg *msg;
    bool ok = !curl_multi_perform(multi, &running) || fail(e, GYR_FAILED, "libcurl fails"), news = false;
    while (ok && (msg = curl_multi_info_read(multi, &queued)))
        if (msg->msg == CURLMSG_DONE) {
            news = true;
            ok = finish(multi, msg, e);
        }
    if (ok && !news) curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
    return ok;
}

bool fetch_all(struct hub *h, struct fetch *f, size_t n, gyr_error *e) {
    bool ok = true;
    size_t left = n;
    for (size_t i = 0; i < n; i++) f[i].hub = h;
    while (ok && left)
        ok = start_due(h->multi, h, f, n, &left, e) && (!left || turn(h->multi, e)) && hub_tell(h, NULL, e);
    for (size_t i = 0; i < n; i++) {
        if (f[i].curl) {
            curl_multi_remove_handle(h->multi, f[i].curl);
            curl_easy_cleanup(f[i].curl);
            f[i].curl = NULL;
        }
        curl_slist_free_all(f[i].headers);
        f[i].headers = NULL;
    }
    return ok;
}
