// Conversations to learn from, and pairs of answers. Whatever a file holds, each line is a conversation with something
// to learn (of a pair, two), or one line says why not; and the same is said the second time.
#include "train/chats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok) abort();
}

struct seen {
    bool pairs;
    size_t chats, line, learned;
};

static bool look(void *arg, const struct chat *c) {
    struct seen *s = arg;
    size_t n = json_array_size(c->messages), learned = 0;
    must(n && (c->line > s->line || (s->pairs && s->chats % 2 && c->line == s->line)) &&
         (!c->tools || json_is_array(c->tools)));
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(c->messages, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        must(role && !json_object_get(m, "weight"));
        must(!c->learned[i] || !strcmp(role, "assistant"));
        must(i + 1 < n || !strcmp(role, "assistant"));
        must(!s->pairs || c->learned[i] == (i + 1 == n));
        learned += c->learned[i];
    }
    must(learned);
    s->chats++;
    s->line = c->line;
    s->learned += learned;
    return true;
}

static gyr_status read_all(const char *path, bool pairs, struct seen *s, gyr_error *e) {
    *s = (struct seen){.pairs = pairs};
    *e = (gyr_error){0};
    if (chats_read(path, pairs, look, s, e)) {
        must(s->chats && (!pairs || s->chats % 2 == 0));
        return GYR_OK;
    }
    must(e->status == GYR_MALFORMED && !strncmp(e->message, path, strlen(path)) && !strchr(e->message, '\n'));
    return e->status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct seen first, again;
    gyr_error e, other;
    char path[32];
    int fd = memfd_create("chats", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int pairs = 0; pairs < 2; pairs++) {
        gyr_status status = read_all(path, pairs, &first, &e);
        must(read_all(path, pairs, &again, &other) == status && !strcmp(e.message, other.message));
        must(first.chats == again.chats && first.learned == again.learned);
    }
    close(fd);
    return 0;
}
