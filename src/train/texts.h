// Texts to learn from: files, each of which is one text; or *.jsonl files, whose lines have one each.
#ifndef TRAIN_TEXTS_H
#define TRAIN_TEXTS_H

#include "base/buf.h"
#include "base/error.h"

// Some texts of a file, all of valid UTF-8; none is empty.
struct some_texts {
    const char *path; // for messages
    const struct text *items;
    size_t n;
    double done; // what part of all bytes was read, these among them
};

// Calls fn with all texts in order, some at a time, until it returns false. GYR_MALFORMED, "PATH:LINE: what is wrong";
// files without a text are wrong, too.
bool texts_read(const char *const *paths, size_t n, bool (*fn)(void *arg, const struct some_texts *s), void *arg,
                gyr_error *e);

#endif
