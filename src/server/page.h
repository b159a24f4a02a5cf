// The web page that the server has in it: files made of src/server/web by tools/web/pack.py.
#ifndef SERVER_PAGE_H
#define SERVER_PAGE_H

#include <stddef.h>

struct page_file {
    const char *name, *type;
    const char *tag;                  // of its bytes: another tag, another file
    size_t at, size;                  // in page_image
    size_t at_packed, size_of_packed; // the same, compressed by gzip; no bytes: it is not
};

extern const struct page_file page_files[];
extern const size_t page_file_count;
extern const char page_image[];

#endif
