// How the readers fill a checkpoint. Private to format/.
#ifndef FORMAT_PARTS_H
#define FORMAT_PARTS_H

#include "base/map.h"
#include "format/keys.h"

// Models have a few thousand files at most; GGUF counts parts in 16 bits.
enum { MAX_PARTS = 65535 };

// Of one model.
enum { MAX_TEMPLATES = 64 };

struct storage {
    struct arena arena; // tensor names that no file holds in place
    struct map *maps;
    size_t n_maps, tensor_room;
    struct index names; // of tensors
};

// Without tensors, keys or vocabulary.
struct checkpoint *checkpoint_new(const char *path, gyr_error *e);

// Maps a file until the checkpoint is closed.
bool storage_map(struct storage *s, const char *path, struct map *m, gyr_error *e);

// Adds a tensor. Fails on a name that is there, or is not UTF-8. `where` is the file it comes from.
bool checkpoint_add(struct checkpoint *c, const struct tensor *t, const char *where, gyr_error *e);

// The same where a tensor of that name may be there already. The one that an index places stays; of others one that
// differs makes it unread.
bool checkpoint_add_again(struct checkpoint *c, const struct tensor *t, const char *where, gyr_error *e);

// The value of `unread` for a tensor whose element type gyr does not have. Quantized folders have such, and may have a
// place for it (packed.h).
extern const char unread_type[];

// Sets t->bytes from type and dims. Fails when there are none, they overflow, or a row is not a whole number of blocks.
bool tensor_measure(struct tensor *t, const char *where, gyr_error *e);

// Each fills tensors, keys, architecture and vocab of an otherwise empty checkpoint.
bool gguf_open(struct checkpoint *c, gyr_error *e);
bool gguf_open_memory(struct checkpoint *c, const void *data, size_t size, gyr_error *e);
bool hf_open(struct checkpoint *c, gyr_error *e);

// What a GGUF file's keys say of its embeddings.
bool gguf_sentence(struct checkpoint *c, gyr_error *e);

bool gguf_vocab(const struct keys *k, const char *where, struct vocab *v, gyr_error *e);

#endif
