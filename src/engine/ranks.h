// Private to src/engine: a model that several ranks compute. Rank 0 has the sessions; the others have the same pages
// and states by their numbers, and compute what rank 0 tells them.
#ifndef ENGINE_RANKS_H
#define ENGINE_RANKS_H

#include "cluster/ranks.h"
#include "cluster/spread.h"
#include "engine/engine.h"

struct gyr_ranks {
    struct ranks *ranks;
};

// What ranks have, and how the model is shared out among them; by number.
struct shared {
    uint32_t count;
    uint32_t *sharers; // how many have one memory together
    uint64_t *memory;  // bytes, its part of it
    double *speed;     // of the fastest one's: in whole eighths
    double fastest;    // bytes of weights a second
    double gap;        // seconds in which all have heard from all
    uint32_t cards;    // how many compute on one: rows are shared out if all do, or none
    uint32_t without;  // the first that does not
    double *room;      // [count], bytes that a card has for its part of the rows,
    double rows_bytes; // of so many; 0: not known
    bool rows;         // by rows and experts, of which rank i has part[i]; else by layers
    double *part;
    double slower; // how many times longer a token takes than on the best of the machines alone; 0: it does not
    bool alone;    // so rank 0 has all, and the others nothing
};
bool shared_new(struct shared *s, uint32_t count, gyr_error *e);
void shared_free(struct shared *s);

// Whether all ranks have the same model open, and what they have for it: fills s, whatever happens.
bool ranks_meet_model(struct gyr_model *m, struct ranks *r, bool oversize, bool ok, const gyr_error *why,
                      struct shared *s, gyr_error *e);

// How the model is shared out: by the options, or by which way a token takes less time. The same on all ranks.
bool split_choose(struct gyr_model *m, struct shared *s, gyr_error *e);

// Its parts. Bytes of all weights; bytes a second that this machine reads, 0 where the model is too small for that to
// matter; how long a message takes to all and from all; speeds made comparable; parts of so many bytes in all: false if
// there is no room.
double weights_of(const struct gyr_model *m);
double split_speed(const struct gyr_model *m);
bool split_gap(struct ranks *r, double *gap, gyr_error *e);
void split_round(double *speed, size_t n);
bool split_parts(const double *speed, const uint64_t *memory, size_t n, double bytes, double *part);

// Whether all have their part ready. Batches are then no larger than any of them takes, and rank 0 knows what the whole
// model has.
bool ranks_ready(struct gyr_model *m, const struct shared *s, bool ok, const gyr_error *why, gyr_error *e);

// Where a rank was lost: has those that are left close up, and binds the model among them anew. All sessions are empty
// then, but for their tokens.
bool ranks_recover(struct gyr_model *m, gyr_error *e);

// Tells the others of a pass that rank 0 is about to compute; and, before it, of a page or a state that was copied.
bool ranks_tell(struct gyr_model *m, const struct kv_cache *kv, const struct row *rows, size_t n, enum gives gives,
                gyr_error *e);
void ranks_note_page(struct gyr_model *m, const struct kv_cache *kv, uint32_t from, uint32_t to);
void ranks_note_state(struct gyr_model *m, const struct sequence_state *from, const struct sequence_state *to);

// Adapters, which have the same number on all ranks. Rank 0 tells the others to open one, each for its part; all agree
// on whether all could, and that it is the same (`checksum`); and that it is closed. One by its number; NULL: there is
// none.
bool ranks_tell_adapter(struct gyr_model *m, uint32_t number, const char *path, gyr_error *e);
bool ranks_agree_adapter(struct gyr_model *m, bool ok, const gyr_error *why, const char checksum[65], gyr_error *e);
void ranks_drop_adapter(const struct gyr_adapter *a);
struct gyr_adapter *ranks_adapter(const struct gyr_model *m, uint32_t number);

// Where the model is bound anew: lets go what adapters had of the old part, and has them bound to the new one, if all
// went well so far.
void ranks_let_go_adapters(struct gyr_model *m);
bool ranks_bind_adapters(struct gyr_model *m, bool ok, gyr_error *e);

// What rank 0 asks for; the first word of each message. Does it where it is an adapter's.
enum errand { ERRAND_PASS, ERRAND_OPEN, ERRAND_CLOSE, ERRAND_READ, ERRAND_WRITE };
bool ranks_errand(struct gyr_model *m, const struct buf *message);

// Wire format of a pass, in words of 32 bits; identical machines read it as it is. What reads or writes an image has
// the same beginning, to its one sequence.
struct pass_head {
    uint32_t errand, pass, pool, gives, rows, sequences, copies, forks, slabs[KV_POOLS];
    uint32_t linked; // by rows: rank 0 gathers by the cards' library in this pass
};

struct page_copy {
    uint32_t pool, from, to;
};

struct state_fork {
    uint64_t from, to;
};

struct sequence_head {
    uint64_t state;
    uint32_t pages, adapter; // 0: none
};

struct row_told {
    int32_t token;
    uint32_t position, ahead, sequence; // the highest bit of the last: wanted
};
enum { ROW_WANTED = 31 };

// Behind the sequence, which has the pages and the state: struct image; and behind that what is to be written.
struct image_told {
    uint64_t from, to, at, bytes;
};

// Begins a message: what others are to know of pools, pages and states before they do what it asks for. ranks_noted():
// they all know.
struct pass_head ranks_head(const struct gyr_model *m, const struct kv_cache *kv, enum errand errand);
void ranks_begin(const struct gyr_model *m, const struct pass_head *h, struct buf *b);
void ranks_noted(struct gyr_model *m);

// A pool of the model by its number, made if there is none yet.
struct kv_cache *model_pool(struct gyr_model *m, size_t i, gyr_error *e);

#endif
