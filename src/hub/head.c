// The heads of a model's files on the hub, without the weights: files of the right size in which all else is a hole.
#include "hub/choose.h"
#include "hub/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST = 256 << 10, MAX_HEAD = 256 << 20, MAX_INDEX = 64 << 20, TRIES = 4 };

struct heads {
    struct hub_name name;
    struct hub hub;
    struct listing listing;
    struct choice choice;
    const char *folder;
    CURL *curl; // one connection for all
};

// The first bytes of a file.
struct start {
    uint8_t *data;
    size_t n, want;
};

static size_t take(char *data, size_t size, size_t n, void *user) {
    struct start *s = user;
    size_t all = size * n, more = s->want - s->n < all ? s->want - s->n : all;
    memcpy(s->data + s->n, data, more);
    s->n += more;
    return more; // fewer than came: enough is here, and the transfer ends
}

static char *url_of(const struct heads *h, const char *path) {
    struct buf b = {0};
    buf_printf(&b, "%s/%s/%s/resolve/%s/", h->hub.endpoint, h->name.owner, h->name.repo, h->listing.commit);
    put_escaped(&b, path, true);
    return buf_take(&b);
}

// One try: whether the bytes are here. *again: another may go better.
static bool ask(struct heads *h, const char *path, struct start *s, bool *again, gyr_error *e) {
    char range[64], *url = url_of(h, path);
    long status = 0;
    *again = false;
    if (!url) return fail_memory(e, h->name.label);
    if (!h->curl) h->curl = hub_request(&h->hub, url);
    snprintf(range, sizeof range, "0-%zu", s->want - 1);
    s->n = 0;
    bool ready =
        h->curl && !curl_easy_setopt(h->curl, CURLOPT_URL, url) && !curl_easy_setopt(h->curl, CURLOPT_RANGE, range) &&
        !curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take) && !curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, s);
    CURLcode code = ready ? curl_easy_perform(h->curl) : CURLE_OUT_OF_MEMORY;
    free(url);
    if (code == CURLE_OUT_OF_MEMORY) return fail_memory(e, h->name.label);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    bool came = status == 200 || status == 206, broke = code && code != CURLE_WRITE_ERROR;
    *again = came || broke || status >= 500 || status == 429;
    if (came && s->n == s->want) return true;
    if (!came && !broke) return hub_refusal(&h->hub, status, "", path, e);
    return fail(e, GYR_IO, "%s: %s: %s; try again later", h->name.label, path,
                broke ? curl_easy_strerror(code) : "the hub sent less than was asked for");
}

static bool get(struct heads *h, const struct hub_file *f, struct start *s, size_t want, gyr_error *e) {
    bool again = true;
    s->want = want < f->size ? want : (size_t)f->size;
    uint8_t *data = realloc(s->data, s->want + !s->want);
    if (!data) return fail_memory(e, h->name.label);
    s->data = data;
    if (!s->want) return true;
    for (int i = 0; i < TRIES && again; i++) {
        if (!hub_tell(&h->hub, NULL, e)) return false;
        if (i) usleep(200000u << i);
        if (ask(h, f->path, s, &again, e)) return true;
    }
    return false;
}

static bool ends_with(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

static uint64_t little(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    while (n--) v = v << 8 | p[n];
    return v;
}

// A reader of GGUF's head that only wants to know where it ends: false where that is behind the bytes that are here.
struct walk {
    const uint8_t *data;
    size_t at, size;
};

static bool number(struct walk *w, size_t bytes, uint64_t *v) {
    if (bytes > w->size - w->at) return false;
    *v = little(w->data + w->at, bytes);
    w->at += bytes;
    return true;
}

static bool skip(struct walk *w, uint64_t n, size_t each) {
    if (n > (w->size - w->at) / each) return false;
    w->at += (size_t)n * each;
    return true;
}

static bool skip_text(struct walk *w) {
    uint64_t n;
    return number(w, 8, &n) && skip(w, n, 1);
}

static bool skip_value(struct walk *w, uint64_t type, int depth) {
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    uint64_t of, n;
    if (type >= sizeof sizes || depth > 4) return false;
    if (type == 8) return skip_text(w);
    if (type != 9) return skip(w, 1, sizes[type]);
    if (!number(w, 4, &of) || !number(w, 8, &n)) return false;
    if (of < sizeof sizes && sizes[of]) return skip(w, n, sizes[of]);
    while (n--)
        if (!skip_value(w, of, depth + 1)) return false;
    return true;
}

static bool gguf_whole(const struct start *s) {
    struct walk w = {s->data, 8, s->n};
    uint64_t tensors, keys, dims, type;
    if (s->n < 24 || !number(&w, 8, &tensors) || !number(&w, 8, &keys)) return false;
    while (keys--)
        if (!skip_text(&w) || !number(&w, 4, &type) || !skip_value(&w, type, 0)) return false;
    while (tensors--)
        if (!skip_text(&w) || !number(&w, 4, &dims) || !skip(&w, dims, 8) || !skip(&w, 1, 12)) return false;
    return true;
}

// As much of a file as says what tensors it has.
static bool get_head(struct heads *h, const struct hub_file *f, struct start *s, gyr_error *e) {
    bool tensors = ends_with(f->path, ".safetensors");
    size_t want = FIRST;
    if (!get(h, f, s, want, e)) return false;
    if (tensors) {
        uint64_t n = s->n >= 8 ? little(s->data, 8) : 0;
        if (n > MAX_HEAD)
            return fail(e, GYR_MALFORMED, "%s: %s: its head would have %llu bytes", h->name.label, f->path,
                        (unsigned long long)n);
        return n + 8 <= s->n || get(h, f, s, (size_t)n + 8, e);
    }
    while (!gguf_whole(s)) {
        if (s->n == f->size || want >= MAX_HEAD)
            return fail(e, GYR_MALFORMED, "%s: %s: its head has no end", h->name.label, f->path);
        want *= 4;
        if (!get(h, f, s, want, e)) return false;
    }
    return true;
}

static bool put_file(const struct heads *h, const struct hub_file *f, const struct start *s, gyr_error *e) {
    struct buf path = {0};
    buf_printf(&path, "%s/%s", h->folder, f->path);
    int fd = path.failed ? -1 : open(path.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    for (size_t at = 0; ok && at < s->n;) {
        ssize_t n = write(fd, s->data + at, s->n - at);
        ok = n > 0 || (n < 0 && errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
    ok = ok && !ftruncate(fd, (off_t)f->size);
    if (!ok) fail(e, GYR_IO, "%s: %s", path.failed ? h->folder : path.data, strerror(errno));
    if (fd >= 0) close(fd);
    buf_free(&path);
    return ok;
}

// Weights' heads, and what describes the model; its tokenizer is of no interest, and files of subfolders are not.
static bool wanted(const struct hub_file *f) {
    if (strchr(f->path, '/')) return ends_with(f->path, ".gguf");
    if (ends_with(f->path, ".gguf") || ends_with(f->path, ".safetensors")) return true;
    return ends_with(f->path, ".json") && f->size <= MAX_INDEX && strncmp(f->path, "tokenizer", 9) &&
           strncmp(f->path, "vocab", 5) && strcmp(f->path, "merges.json");
}

static bool get_all(struct heads *h, gyr_error *e) {
    bool ok = true;
    for (size_t i = 0; ok && i < h->choice.n; i++) {
        struct hub_file f = *h->choice.files[i];
        struct start s = {0};
        if (!wanted(&f)) continue;
        h->hub.p.files_done = i;
        bool json = ends_with(f.path, ".json");
        ok = json ? get(h, &f, &s, (size_t)f.size, e) : get_head(h, &f, &s, e);
        if (strrchr(f.path, '/')) f.path = strrchr(f.path, '/') + 1;
        ok = ok && put_file(h, &f, &s, e);
        free(s.data);
    }
    return ok;
}

static bool look_into_index(struct heads *h, gyr_error *e) {
    struct start s = {0};
    const struct hub_file *index = h->choice.index;
    if (!index) return true;
    if (index->size > MAX_INDEX) return fail(e, GYR_MALFORMED, "%s: %s is too large", h->name.label, index->path);
    bool ok = get(h, index, &s, (size_t)index->size, e) &&
              choose_weights(&h->name, &h->listing, (const char *)s.data, s.n, &h->choice, e);
    free(s.data);
    return ok;
}

char *hub_heads(const gyr_pull_options *o, const char *folder, gyr_error *e) {
    struct heads h = {.folder = folder};
    struct buf path = {0};
    if (!hub_name_parse(&h.name, o->name, e) || !hub_open(&h.hub, o, h.name.label, e)) return NULL;
    h.hub.doing = "reading heads";
    bool ok = listing_get(&h.hub, &h.name, &h.listing, e) &&
              choose(&h.name, &h.listing, UINT64_MAX / 2, &h.choice, e) && look_into_index(&h, e);
    h.hub.p.files = h.choice.n;
    ok = ok && get_all(&h, e);
    if (ok) {
        const char *name = strrchr(h.choice.open, '/') ? strrchr(h.choice.open, '/') + 1 : h.choice.open;
        buf_printf(&path, "%s/%s", folder, name);
        if (path.failed) fail_memory(e, h.name.label);
    }
    if (h.curl) curl_easy_cleanup(h.curl);
    choice_free(&h.choice);
    listing_free(&h.listing);
    hub_close(&h.hub);
    if (ok && !path.failed) return buf_take(&path);
    buf_free(&path);
    return NULL;
}
