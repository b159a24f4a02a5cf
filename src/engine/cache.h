// Files of tiles: what a model's matrices were rewritten to, kept for the next start and mapped then.
//
// A file is a header, then each matrix's tiles from a multiple of PAGE on. Its key says what it was made from: the
// device's form, the sizes and times of the model's files, and samples of every matrix. The samples of the tiles in the
// header show that they reached the disk. A file that does not match is not used, and written again.
#ifndef ENGINE_CACHE_H
#define ENGINE_CACHE_H

#include "base/cache.h"
#include "base/error.h"

// What a file is for: its key, the model's path (for people), and the bytes of each matrix.
struct cache_want {
    uint64_t key;
    const char *source;
    const size_t *bytes;
    size_t n;
};

struct cache {
    uint8_t *data; // mapped
    size_t size;
    char *path, *part; // `part`: to be written, under that name
    int fd;
};

// Maps the file that is wanted; rooms[i] receives where matrix i's tiles are. False if there is none.
bool cache_find(struct cache *c, const struct cache_want *want, uint8_t **rooms);

// Makes room for it on the disk by removing those used least recently. False if there is none.
bool cache_make(struct cache *c, const struct cache_want *want);

// Stores some of matrix i's bytes.
typedef bool cache_give(void *arg, size_t i, size_t at, size_t bytes, void *to);

// Writes the tiles; the file gets its name when all of it is on the disk.
void cache_write(struct cache *c, const struct cache_want *want, cache_give *give, void *arg);
void cache_close(struct cache *c);

// Hashes some of n bytes into `h`: those at the beginning, the middle and the end.
uint64_t cache_sample(uint64_t h, const uint8_t *p, size_t n);

// A file of the folder. `source` may be empty.
struct cache_entry {
    char name[32];
    char source[1024];
    uint64_t bytes;
    int64_t used; // nanoseconds since 1970
    bool part;    // left by a program that ended while writing it
};

// All files, those used last first; free(). *limit receives what they may take together.
struct cache_entry *cache_list(const char *folder, size_t *n, uint64_t *limit);
bool cache_remove(const char *folder, const struct cache_entry *entry);

// Removes parts whose writer is gone, and those used least recently until `bytes` more fit what the disk, and
// `most`, allow. False if they never do; then nothing is removed.
bool cache_room(const char *folder, uint64_t bytes, uint64_t most);

#endif
