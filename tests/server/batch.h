// What tests of batches have in common: a state, files of requests, files of answers.
#ifndef TESTS_SERVER_BATCH_H
#define TESTS_SERVER_BATCH_H

#include "server/batch_work.h"
#include "state.h"

#include <fcntl.h>

#define LINE(id)                                                                                                       \
    "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\": {\"n\": [0.5, "          \
    "\"x\"]}}\n"
#define LINES_1(a)                      LINE(a)
#define LINES_2(a, b)                   LINE(a) LINE(b)
#define LINES_3(a, b, c)                LINES_2(a, b) LINE(c)
#define LINES_4(a, b, c, d)             LINES_3(a, b, c) LINE(d)
#define LINES_OF(a, b, c, d, name, ...) name
#define LINES(...)                      LINES_OF(__VA_ARGS__, LINES_4, LINES_3, LINES_2, LINES_1, 0)(__VA_ARGS__)

static const struct batch_limits batch_no_limits = {0};
static const struct file_limits batch_no_file_limits = {0};
static const struct batch_answer batch_yes = {.status = 200, .request_id = "req", .body = "{}", .body_size = 2};

static inline struct store *batch_state(void) {
    state_make();
    return store_open(state_dir, NULL);
}

static inline bool batch_input(struct store *s, int64_t owner, const char *text, char id[64]) {
    gyr_error e = {0};
    struct stored_file f = {.owner = owner, .name = "in.jsonl", .purpose = "batch"}, made;
    struct file_writer *w = file_new(s, &f, &batch_no_file_limits, &e);
    bool good = w && file_write(w, text, strlen(text), &e) && file_finish(w, 1000, &made, &e);
    if (good) snprintf(id, 64, "%s", made.id);
    return good;
}

// The contents of a file, to be freed; NULL if it cannot be read.
static inline char *batch_file(struct store *s, const char *id) {
    gyr_error e = {0};
    int fd = file_open(s, id, &e);
    struct stat st;
    if (fd < 0) return NULL;
    char *text = fstat(fd, &st) ? NULL : malloc((size_t)st.st_size + 1);
    ssize_t n = text ? read(fd, text, (size_t)st.st_size) : -1;
    close(fd);
    if (n >= 0) text[n] = 0;
    return text;
}

static inline int batch_lines(struct store *s, const char *id) {
    char *text = batch_file(s, id);
    int n = 0;
    for (const char *p = text; p && *p; p++) n += *p == '\n';
    free(text);
    return n;
}

// Without the random part of each line's id, in place.
static inline char *batch_without_ids(char *text) {
    static const char mark[] = "\"id\":\"batch_req_";
    for (char *p = text; p && (p = strstr(p, mark));) {
        p += sizeof mark - 1;
        char *end = strchr(p, '"');
        if (end) memmove(p, end, strlen(end) + 1);
    }
    return text;
}

#endif
