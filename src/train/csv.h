// Tables of text (RFC 4180): fields between commas, semicolons or tabs, in quotes where they have those or line ends.
#ifndef TRAIN_CSV_H
#define TRAIN_CSV_H

#include "base/buf.h"
#include "base/error.h"

enum { CSV_FIELDS = 16 };

struct csv {
    const char *path, *data;
    size_t size, at, line; // line: that is read, from 1
    char separator;        // found in the first row
    struct buf fields[CSV_FIELDS];
    size_t n, first; // of the row that was read: fields, and the line that it begins on
};

// The contents of a file, which have to stay. Free what rows have taken with csv_free().
void csv_begin(struct csv *c, const char *path, const char *data, size_t size);
void csv_free(struct csv *c);

// The next row that is not empty. False: there is none, or (*e has a status) GYR_MALFORMED, "PATH:LINE: ...".
bool csv_next(struct csv *c, gyr_error *e);

#endif
