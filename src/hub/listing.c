// The hub's interface: https://huggingface.co/docs/hub/api. A revision is resolved to a commit first, so that all files
// are of one state of the repository even if it changes meanwhile.
#include "hub/listing.h"

#include "format/json.h"
#include "hub/fetch.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PAGE = 8 << 20, MAX_PAGES = 20, MAX_FILES = 10000 };
static const uint64_t size_most = (uint64_t)1 << 50;

// A sink in memory.
struct page {
    struct sink sink;
    struct buf text;
};

static bool page_restart(struct sink *s, gyr_error *e) {
    (void)e;
    buf_clear(&((struct page *)s)->text);
    s->have = 0;
    return true;
}

static bool page_data(struct sink *s, const void *data, size_t size, gyr_error *e) {
    struct page *p = (struct page *)s;
    buf_append(&p->text, data, size);
    s->have += size;
    return !p->text.failed || fail_memory(e, "the hub's list");
}

// A page without its end is known by libcurl, or by not being JSON.
static enum outcome page_end(struct sink *s, gyr_error *e) {
    (void)s, (void)e;
    return FETCH_WHOLE;
}

// Fetches a page of JSON. *link receives the address of the next one, "" if this is the last.
static bool get_page(struct hub *h, char *url, const char *what, struct page *p, char link[MAX_LINK], gyr_error *e) {
    *p = (struct page){.sink = {.limit = MAX_PAGE, .restart = page_restart, .data = page_data, .end = page_end}};
    struct fetch f = {.what = what, .url = url, .sink = &p->sink};
    bool ok = fetch_all(h, &f, 1, e);
    if (ok) buf_append(&p->text, "", 0);
    memcpy(link, f.link, MAX_LINK);
    return ok && (!p->text.failed || fail_memory(e, h->label));
}

bool hub_text(struct hub *h, char *url, const char *what, size_t limit, struct buf *text, gyr_error *e) {
    struct page p = {.sink = {.limit = limit, .restart = page_restart, .data = page_data, .end = page_end}};
    struct fetch f = {.what = what, .url = url, .sink = &p.sink};
    bool ok = fetch_all(h, &f, 1, e);
    *text = p.text;
    return ok;
}

static bool odd(const char *label, const char *what, gyr_error *e) {
    return fail(e, GYR_MALFORMED, "%s: the hub's list of files %s; try again later", label, what);
}

static char *api_url(const struct hub *h, const struct hub_name *n, const char *kind, const char *revision,
                     const char *query) {
    struct buf b = {0};
    buf_printf(&b, "%s/api/models/%s/%s/%s/", h->endpoint, n->owner, n->repo, kind);
    put_escaped(&b, revision, false);
    buf_puts(&b, query);
    return buf_take(&b);
}

static bool get_commit(struct hub *h, const struct hub_name *name, char commit[COMMIT_SIZE + 1], gyr_error *e) {
    char *url = api_url(h, name, "revision", name->revision, ""), link[MAX_LINK];
    if (!url) return fail_memory(e, h->label);
    struct page page;
    bool ok = get_page(h, url, "the model", &page, link, e);
    json_t *root = ok ? json_parse(page.text.data, page.text.size, 0, h->label, e) : NULL;
    const char *sha = json_c_string(json_object_get(root, "sha"));
    if (root && (!sha || !is_hex(sha, COMMIT_SIZE))) ok = odd(h->label, "names no commit", e);
    if (root && ok) memcpy(commit, sha, COMMIT_SIZE + 1);
    json_decref(root);
    buf_free(&page.text);
    free(url);
    return root && ok;
}

// The address of the next page: <URL>; rel="next" (RFC 8288), brought back to our endpoint: a mirror may pass on the
// hub's own, and no other host gets a token, or a say.
static char *next_page(const struct hub *h, const char *link) {
    const char *end = link[0] == '<' ? strchr(link, '>') : NULL;
    if (!end || !strstr(end, "rel=\"next\"")) return NULL;
    const char *path = strstr(link, "/api/models/");
    if (!path || path > end) return NULL;
    struct buf b = {0};
    buf_puts(&b, h->endpoint);
    buf_append(&b, path, (size_t)(end - path));
    return buf_take(&b);
}

// Large files are kept apart (LFS) and have a SHA-256; the others are Git's own, whose name is a SHA-1.
static bool read_file_entry(const char *label, const json_t *item, struct hub_file *f, gyr_error *e) {
    const json_t *lfs = json_object_get(item, "lfs"), *big = json_is_object(lfs) ? lfs : NULL;
    const json_t *size = json_object_get(big ? big : item, "size");
    const char *path = json_c_string(json_object_get(item, "path"));
    const char *hex = json_c_string(json_object_get(big ? big : item, "oid"));
    if (!path || !path_is_safe(path)) return odd(label, "has a name that no file may have", e);
    if (hex && !strncmp(hex, "sha256:", 7)) hex += 7;
    if (!json_is_integer(size) || json_integer_value(size) < 0 || (uint64_t)json_integer_value(size) > size_most)
        return odd(label, "has a size that no file has", e);
    if (!hex || !is_hex(hex, big ? 64 : 40)) return odd(label, "has no checksum for a file", e);
    *f = (struct hub_file){
        .path = strdup(path), .size = (uint64_t)json_integer_value(size), .sum = big ? SUM_SHA256 : SUM_GIT_SHA1};
    if (!f->path) return fail_memory(e, label);
    memcpy(f->hex, hex, strlen(hex) + 1);
    return true;
}

static bool add_entries(const char *label, const json_t *root, struct listing *l, gyr_error *e) {
    size_t i, count = json_array_size(root);
    const json_t *item;
    if (l->n + count > MAX_FILES) return odd(label, "is too long", e);
    struct hub_file *files = reallocarray(l->files, l->n + count + 1, sizeof *files);
    if (!files) return fail_memory(e, label);
    l->files = files;
    json_array_foreach(root, i, item) {
        const char *type = json_c_string(json_object_get(item, "type"));
        if (!type) return odd(label, "has an entry without a type", e);
        if (strcmp(type, "file")) continue;
        if (!read_file_entry(label, item, &l->files[l->n], e)) return false;
        l->n++;
    }
    return true;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct hub_file *)a)->path, ((const struct hub_file *)b)->path);
}

bool listing_add(struct listing *l, const char *label, const char *text, size_t size, gyr_error *e) {
    json_t *root = json_parse_list(text, size, 0, label, e);
    bool ok = root && add_entries(label, root, l, e);
    json_decref(root);
    return ok;
}

bool listing_check(struct listing *l, const char *label, gyr_error *e) {
    uint64_t total = 0;
    qsort(l->files, l->n, sizeof *l->files, by_path);
    for (size_t i = 0; i < l->n; i++) {
        total += l->files[i].size; // 10^4 files of 2^50 bytes
        if (i && !strcmp(l->files[i].path, l->files[i - 1].path)) return odd(label, "has a file twice", e);
    }
    return total < size_most || odd(label, "has a size that no model has", e);
}

static bool get_files(struct hub *h, const struct hub_name *name, struct listing *l, gyr_error *e) {
    char *url = api_url(h, name, "tree", l->commit, "?recursive=true"), link[MAX_LINK];
    bool ok = url || fail_memory(e, h->label);
    for (int pages = 0; ok && url; pages++) {
        struct page page = {0};
        ok = (pages < MAX_PAGES || odd(h->label, "is too long", e)) &&
             get_page(h, url, "the list of files", &page, link, e);
        ok = ok && listing_add(l, h->label, page.text.data, page.text.size, e);
        buf_free(&page.text);
        free(url);
        url = ok ? next_page(h, link) : NULL;
    }
    free(url);
    return ok && listing_check(l, h->label, e);
}

bool listing_get(struct hub *h, const struct hub_name *name, struct listing *l, gyr_error *e) {
    *l = (struct listing){0};
    if (get_commit(h, name, l->commit, e) && get_files(h, name, l, e)) return true;
    listing_free(l);
    return false;
}

void listing_free(struct listing *l) {
    for (size_t i = 0; i < l->n; i++) free(l->files[i].path);
    free(l->files);
    *l = (struct listing){0};
}

const struct hub_file *listing_find(const struct listing *l, const char *path) {
    struct hub_file key = {.path = (char *)path};
    return l->n ? bsearch(&key, l->files, l->n, sizeof key, by_path) : NULL;
}
