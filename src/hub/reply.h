// The header lines of a reply. Private to hub/.
#ifndef HUB_REPLY_H
#define HUB_REPLY_H

#include "hub/fetch.h"

// Takes one line in; the status line of the next reply (after a redirect) forgets the last one's.
void read_header(struct fetch *f, const char *line, size_t size);

#endif
