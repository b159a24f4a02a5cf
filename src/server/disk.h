// Conversations on the disk, so that they are found again when memory had to be given back, and after a restart. A
// conversation is kept in parts of PART tokens, each in a file named by a hash of all tokens up to its end, so that
// those with a common beginning share its files; a model that keeps a state is kept whole, since its state does not go
// back. Of the engine's thread. (The files themselves are gyr_session_save()'s, which checks what it reads.)
#ifndef SERVER_DISK_H
#define SERVER_DISK_H

#include "base/error.h"

enum { PART = 256 };

struct disk;

// Opens the folder, and makes it where it is not there. Files used longest ago are removed beyond `most` bytes.
struct disk *disk_new(const char *folder, uint64_t most, gyr_error *e);
void disk_free(struct disk *d);

// Whose tokens they are: others' with the same tokens are others.
struct shelf {
    const char *model;
    gyr_kv_type kv_type;
    uint64_t salt;
    bool whole; // the model keeps a state
};

// How many of the first `count` tokens are there: 0, or those of whole parts.
size_t disk_find(struct disk *d, const struct shelf *shelf, const int32_t *ids, size_t count);

// Appends the part that comes next, of disk_find()'s; the session holds whole parts of these tokens. Whether it did:
// what cannot be read is forgotten, unless it is for want of memory or of a device (*e says so).
bool disk_load(struct disk *d, const struct shelf *shelf, gyr_session *session, const int32_t *ids, size_t count,
               gyr_error *e);

// Writes the first part of the session that is not there.
enum disk_saved {
    DISK_WROTE, // and there may be more
    DISK_DONE,  // all are there, or it cannot be written
    DISK_RESTS  // something could not be written just now: nothing is tried for a while
};
enum disk_saved disk_save(struct disk *d, const struct shelf *shelf, const gyr_session *session);

struct disk_stats {
    uint64_t bytes, saved, loaded, removed, failed; // bytes now; parts since the start
};
void disk_get_stats(const struct disk *d, struct disk_stats *stats);

#endif
