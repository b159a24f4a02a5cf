// A part of a session in a file (docs/formats.md): for those who write it and those who read it.
#ifndef ENGINE_SAVED_H
#define ENGINE_SAVED_H

#include "engine/image.h"

// Numbers are little-endian. Behind the header: the tokens [from, to), the logits after the last and the sequence's
// state, if they are there; then of each page that has one of these tokens what each array has of it, in the cache's
// order; and last the check of all before it.
struct saved {
    char magic[8];
    uint32_t version, edition;
    uint64_t model;         // model_identity()
    uint32_t type, far;     // of the cache: its enum type, and struct kv_cache.far
    uint64_t from, to;      // positions
    uint64_t before;        // saved_prefix() of the tokens in front of `from`
    uint64_t page;          // bytes of a page, of all arrays
    uint64_t logits, state; // how many floats of each
    uint64_t size;          // of the file
    uint64_t unused[4];     // 0
    uint64_t check;         // saved_check() of the header before this
};

_Static_assert(sizeof(struct saved) == 128 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as the format says");

// Buffers of this size, or of a page if that is larger.
enum { SAVED_VERSION = 1, SAVED_BUFFER = 4 << 20 };

extern const char saved_magic[8];

// A check of bytes that come in pieces: four sums over 32 bytes at a time. Any one word that changes changes it.
struct check {
    uint64_t lane[4], bytes;
    uint8_t rest[32];
};
void check_add(struct check *c, const void *data, size_t n);
uint64_t check_end(struct check *c);

uint64_t saved_prefix(const int32_t *ids, size_t n);
uint64_t saved_check(const struct saved *h);

// The file's size as the header has its parts; 0 if that is more than a number holds.
uint64_t saved_size(const struct saved *h);

// Bytes of a session's page, of all ranks; and n of its pages, the first of them number `page`, of which positions
// [from, to) count.
size_t saved_page(const struct gyr_session *s);
struct image saved_pages(const struct gyr_session *s, size_t page, size_t n, size_t from, size_t to);

// What the model's keys and values depend on: the kind of device, the file's keys, sizes and times, every tensor's
// name, type and shape and samples of its bytes. Never 0.
uint64_t model_identity(struct gyr_model *m);

// The same of what the files say and hold alone, wherever they are. Never 0.
uint64_t checkpoint_identity(const struct checkpoint *file);

#endif
