// Files mapped into memory, read-only.
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/error.h"

struct map {
    const uint8_t *data;
    size_t size;
    int64_t modified; // nanoseconds since 1970
};

// Maps a regular file; an empty one gives size 0 and a non-NULL pointer. Says what to do when it is not there, is a
// folder, or may not be read.
bool map_open(struct map *m, const char *path, gyr_error *e);
void map_close(struct map *m);

// The pages of a mapped file from p to p + n are read soon.
void map_want(const void *p, size_t n);

// Reads those of these pages that are not in memory.
void map_read(const void *p, size_t n);

// The pages of a mapped file between p and p + n need not stay in memory; read again, they come from the file.
void map_forget(const void *p, size_t n);

// Reads a whole small file, at most `limit` bytes (GYR_MALFORMED beyond). NUL-terminated; free(). *size may be NULL.
char *read_file(const char *path, size_t limit, size_t *size, gyr_error *e);

// Flushes the folder of a file that was just renamed. Best effort: some file systems cannot.
void sync_folder_of(const char *path);

#endif
