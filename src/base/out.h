// A file that appears under its name only when it is whole.
#ifndef BASE_OUT_H
#define BASE_OUT_H

#include "base/error.h"

struct out;

// Creates a temporary file beside `path`, with the permissions `mode`. A character device, such as /dev/null, is
// written to in place.
struct out *out_open(const char *path, unsigned mode, gyr_error *e);

// Claims the disk space of `size` bytes now where the file system can, so that a full disk is found before the work.
bool out_reserve(struct out *o, uint64_t size, gyr_error *e);

// Brings what was written so far to the file, and the file to its later size: *temp is where it lies until it gets its
// name, NULL for a device.
bool out_show(struct out *o, uint64_t size, const char **temp, gyr_error *e);

bool out_write(struct out *o, const void *data, size_t size, gyr_error *e);

// With `keep` the file is flushed to disk and renamed to its name; otherwise, or on failure, nothing remains.
// Frees `o`. Without `keep` it cannot fail.
bool out_close(struct out *o, bool keep, gyr_error *e);

#endif
