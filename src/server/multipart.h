// multipart/form-data (RFC 7578): the fields of a form and the files in it, out of a body that is all there. Nothing is
// copied but names; time is linear in the body.
#ifndef SERVER_MULTIPART_H
#define SERVER_MULTIPART_H

#include "base/buf.h"
#include "base/error.h"

enum {
    MULTIPART_BOUNDARY = 70, // RFC 2046's limit
    MULTIPART_PARTS = 64,
    MULTIPART_HEADERS = 8192, // bytes of a part's headers
    MULTIPART_NAME = 64,
    MULTIPART_FILENAME = 255,
};

struct multipart {
    char boundary[MULTIPART_BOUNDARY + 1];
    const char *data;
    size_t size, at; // of what has been read
    size_t parts;
    bool begun, ended;
};

struct multipart_part {
    char name[MULTIPART_NAME + 1];
    char filename[MULTIPART_FILENAME + 1]; // "": it is a field; else without any folder before it
    char type[128];                        // its content-type, "" if it has none
    struct text data;                      // in the body
};

// Begins with a request's content-type header and its body, which stay the caller's. GYR_MALFORMED if the header is not
// one of a form.
bool multipart_begin(struct multipart *m, const char *content_type, const char *data, size_t size, gyr_error *e);

// The next part; false: there are no more (m->ended), or the body breaks the format (GYR_MALFORMED).
bool multipart_next(struct multipart *m, struct multipart_part *part, gyr_error *e);

#endif
