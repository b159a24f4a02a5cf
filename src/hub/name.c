#include "hub/name.h"

#include "base/utf8.h"
#include "hub/hub.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char scheme[] = "hf:";

bool hub_is_name(const char *text) { return !strncmp(text, scheme, strlen(scheme)); }

// Letters, digits and what else `more` has; the first is a letter, a digit or "_".
static bool is_word(const char *s, const char *more) {
    if (!isalnum((unsigned char)s[0]) && s[0] != '_') return false;
    for (; *s; s++)
        if ((unsigned char)*s > 0x7e || (!isalnum((unsigned char)*s) && !strchr(more, *s))) return false;
    return true;
}

bool is_hex(const char *s, size_t size) { return strspn(s, "0123456789abcdef") == size && !s[size]; }

bool path_is_safe(const char *path) {
    enum { MAX_PART = 200 }; // of the 255 bytes that file systems allow: room for ".part"
    size_t size = strlen(path);
    if (!size || size > MAX_PATH || !utf8_valid(path, size)) return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f || path[i] == '\\') return false;
    for (const char *part = path;; part++) {
        size_t n = strcspn(part, "/");
        bool dots = (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.');
        if (!n || n > MAX_PART || dots) return false;
        part += n;
        if (!*part) return true;
    }
}

// Copies text[0..n) if it fits.
static bool take(char *out, size_t most, const char *text, size_t n) {
    if (!n || n > most) return false;
    memcpy(out, text, n);
    out[n] = 0;
    return true;
}

bool hub_name_parse(struct hub_name *n, const char *text, gyr_error *e) {
    *n = (struct hub_name){.revision = "main"};
    const char *owner = text + strlen(scheme), *slash = strchr(owner, '/'), *repo = slash ? slash + 1 : "";
    const char *rest = repo + strcspn(repo, "@:");
    bool ok = slash && take(n->owner, MAX_NAME, owner, (size_t)(slash - owner)) &&
              take(n->repo, MAX_NAME, repo, (size_t)(rest - repo)) && is_word(n->owner, "._-") &&
              is_word(n->repo, "._-");
    if (ok && *rest == '@') {
        size_t size = strcspn(rest + 1, ":");
        ok = take(n->revision, MAX_REVISION, rest + 1, size) && is_word(n->revision, "._-/") &&
             path_is_safe(n->revision);
        n->has_revision = true;
        rest += 1 + size;
    }
    if (ok && *rest == ':') ok = take(n->select, MAX_PATH, rest + 1, strlen(rest + 1)) && path_is_safe(n->select);
    snprintf(n->label, sizeof n->label, "%s%s/%s", scheme, n->owner, n->repo);
    return ok || fail(e, GYR_USAGE,
                      "%.200s: not a model's name; write hf:OWNER/NAME, hf:OWNER/NAME@REVISION or "
                      "hf:OWNER/NAME:FILE, such as hf:Qwen/Qwen3-0.6B-GGUF:Q8_0",
                      text);
}
