// What a hub says: a list of files, header lines, an index of weights; and what a user calls a model. Whatever it is,
// no file that is chosen can lie outside the model's folder, and what is refused is refused with a message.
#include "hub/choose.h"
#include "hub/hub.h"
#include "hub/reply.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char label[] = "hf:a/b";

static void expect(bool ok, const gyr_error *e) {
    if (!ok && (e->status == GYR_OK || !e->message[0])) abort();
}

static void check_choice(const struct choice *c) {
    for (size_t i = 0; i < c->n; i++)
        if (!path_is_safe(c->files[i]->path)) abort();
    if (!c->n || (strcmp(c->open, ".") && !path_is_safe(c->open))) abort();
}

static void use_list(const char *text, size_t size) {
    static const char *const selections[] = {"", "Q4_K_M", "safetensors", "a.gguf"};
    struct listing l = {0};
    gyr_error e = {0};
    bool ok = listing_add(&l, label, text, size, &e) && listing_check(&l, label, &e);
    expect(ok, &e);
    for (size_t i = 0; ok && i < sizeof selections / sizeof *selections; i++) {
        struct hub_name name = {.label = "hf:a/b"};
        struct choice c;
        memcpy(name.select, selections[i], strlen(selections[i]) + 1);
        e = (gyr_error){0};
        bool chosen = choose(&name, &l, (uint64_t)1 << 34, &c, &e);
        expect(chosen, &e);
        if (!chosen) continue;
        check_choice(&c);
        if (c.index) choose_weights(&name, &l, text, size, &c, &e);
        choice_free(&c);
    }
    listing_free(&l);
}

static void use_headers(const char *text, size_t size) {
    struct fetch f = {0};
    for (size_t at = 0, n; at < size; at += n) {
        const char *end = memchr(text + at, '\n', size - at);
        n = end ? (size_t)(end - text) + 1 - at : size - at;
        read_header(&f, text + at, n);
        if (strlen(f.link) >= sizeof f.link || strlen(f.etag) >= sizeof f.etag || !(f.wait >= 0)) abort();
    }
}

static void use_name(const char *text, size_t size) {
    struct hub_name name;
    gyr_error e = {0};
    char *copy = malloc(size + 4);
    if (!copy) return;
    memcpy(copy, "hf:", 3);
    memcpy(copy + 3, text, size);
    copy[3 + size] = 0;
    bool ok = hub_name_parse(&name, copy, &e);
    expect(ok, &e);
    if (ok && (!path_is_safe(name.owner) || !path_is_safe(name.repo) || (*name.select && !path_is_safe(name.select))))
        abort();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    use_list(text, size);
    use_headers(text, size);
    use_name(text, size);
    return 0;
}
