// Private to src/engine: a model that several ranks compute. Rank 0 has the sessions; the others have the same pages
// and states by their numbers, and compute what rank 0 tells them.
#ifndef ENGINE_RANKS_H
#define ENGINE_RANKS_H

#include "cluster/ranks.h"
#include "engine/engine.h"

struct gyr_ranks {
    struct ranks *ranks;
};

// Whether all ranks have the same model open, and how much memory each has, in order: *memory is malloc'ed.
bool ranks_meet_model(struct gyr_model *m, struct ranks *r, bool oversize, bool ok, const gyr_error *why,
                      uint64_t **memory, gyr_error *e);

// Whether all have their part ready. Batches are then no larger than any of them takes, and rank 0 knows what the whole
// model has.
bool ranks_ready(struct gyr_model *m, bool ok, const gyr_error *why, gyr_error *e);

// Where a rank was lost: has those that are left close up, and binds the model among them anew. All sessions are empty
// then, but for their tokens.
bool ranks_recover(struct gyr_model *m, gyr_error *e);

// Tells the others of a pass that rank 0 is about to compute; and, before it, of a page or a state that was copied.
bool ranks_tell(struct gyr_model *m, const struct kv_cache *kv, const struct row *rows, size_t n, enum gives gives,
                gyr_error *e);
void ranks_note_page(struct gyr_model *m, const struct kv_cache *kv, uint32_t from, uint32_t to);
void ranks_note_state(struct gyr_model *m, const dfloat *from, const dfloat *to);

// Wire format of a pass, in words of 32 bits; identical machines read it as it is.
struct pass_head {
    uint32_t pool, gives, rows, sequences, copies, forks, slabs[KV_POOLS];
};

struct page_copy {
    uint32_t pool, from, to;
};

struct state_fork {
    uint64_t from, to;
};

struct sequence_head {
    uint64_t state;
    uint32_t pages, unused;
};

struct row_told {
    int32_t token;
    uint32_t position, ahead, sequence; // the highest bit of the last: wanted
};
enum { ROW_WANTED = 31 };

// A pool of the model by its number, made if there is none yet.
struct kv_cache *model_pool(struct gyr_model *m, size_t i, gyr_error *e);

#endif
