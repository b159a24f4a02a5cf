// What stands behind the public handles.
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/buf.h"
#include "base/threads.h"
#include "engine/cache.h"
#include "engine/inside.h"
#include "engine/sampler.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "model/run.h"
#include "model/sharing.h"
#include "text/template.h"
#include "text/tokenizer.h"

#include <pthread.h>

struct gyr_tokenizer {
    struct tokenizer *tokens;
    const struct vocab *vocab;
    struct checkpoint *checkpoint; // owned, when the tokenizer was opened alone
};

enum { KV_POOLS = 6 };

struct rank_has;
struct ranks;
struct spread;

// Operations for each row, and for each that wants logits.
struct shares {
    double row_int8, row_fp32, once_int8, once_fp32;
};

// What a model has in all, where this rank has a part of it.
struct whole {
    uint64_t parameters, weight_bytes, decode_bytes, kv_bytes, state_bytes;
    struct shares work;
    uint64_t kv_own, kv_tokens; // kv_bytes of this rank's; most tokens that all ranks have room for
};

// What happened to pages and states since the last pass (ranks.h).
struct notes {
    struct buf copies, forks;
};

struct gyr_model {
    struct checkpoint *checkpoint;
    struct homes on;       // its devices, which are closed with it
    struct device *device; // the last of them, where logits are made
    struct placement placement;
    struct model *model;
    struct gyr_tokenizer tokenizer;
    struct gyr_template *chat; // NULL: the file has none
    struct run *run;
    struct state_pool states;
    struct kv_cache *kv[KV_POOLS]; // F32, F16 and Q8, near and far, made when the first session wants one
    uint64_t weights[MAX_SIDES];   // bytes of what each device has
    uint64_t kv_limit;             // bytes that they may take; 0: what the memory leaves
    struct gyr_session *sessions;  // all of them
    struct gyr_adapter *adapters;  // likewise
    uint32_t adapters_opened;      // so far
    uint64_t clock;                // batches so far
    struct {                       // what passes give (scores.h)
        struct scores_room {
            float *at;
            size_t floats;
        } room[2];
        unsigned turn;
    } scores;
    struct pool *workers, *own_workers; // for what the host does between batches; the device's, or its own
    struct sampler *samplers;           // [n_samplers], room for each of the workers
    size_t n_samplers;                  // at least 1
    char *name, *types;
    struct kept *kept; // the tiles' file; NULL: they are in memory
    uint64_t identity; // model_identity(); 0: nobody asked yet
    pthread_mutex_t checksum_lock;
    char checksum[65];   // gyr_model_checksum(); "": nobody asked yet
    struct ranks *ranks; // that compute it together; NULL: this process alone
    struct whole whole;
    struct rank_has *has; // [of ranks], where each has some of the layers; NULL: what is kept is here, all of it
    struct notes notes;
    struct spread *spread; // where it is shared out by rows and experts; NULL: it is not
    uint32_t passes;
    gyr_model_options options; // that it was opened with, without strings and calls
    bool mapped;               // its weights are in a file
    bool texts;                // tokenizer and chat are there, as far as the file has them
    gyr_error gone;            // why nothing is computed any more
};

// Tiles in a file of the cache: one that is there, or one to be written. NULL: there is no room for it, or no use.
struct kept;
struct kept *kept_open(struct gyr_model *m);

// Where each matrix's tiles are; NULL: to be made, and then kept_write() writes them while the model is used.
uint8_t **kept_rooms(struct kept *k);
void kept_write(struct kept *k, struct gyr_model *m);

// Waits until they are written.
void kept_close(struct kept *k);

struct gyr_session {
    struct gyr_model *model;
    struct kv_cache *kv;
    struct pages pages;
    struct gyr_session *next, **link;  // in the model's list
    const struct gyr_adapter *adapter; // NULL: none
    gyr_kv_type kv_type;               // as asked for
    size_t context;                    // tokens
    bool promised;                     // all of it has a place in memory
    uint64_t used;                     // when it was fed last, by the model's clock
    int32_t *ids;                      // [length], room for context
    size_t length;
    struct sequence_state *state; // of models that keep one; NULL after session_set_aside()
    size_t known; // tokens that the state has seen, the length or less: what is between is computed again when needed
    bool lost;    // so is all else that a device kept of them: the model was moved, and the pages are gone
    float *own;   // [vocab], room for the scores of the last token
    const float *given; // where they are; NULL: there (scores.h)
    bool has_logits;
};

// What is computed here, of a model that others have parts of (work.c).
void work_shares(const struct gyr_model *m, struct shares *s);

// Bytes of the weights that this rank has.
uint64_t model_own_bytes(const struct gyr_model *m);

// The part of a model that this rank has, all ranks going through the same steps, however they end: whether it went
// well so far, and what becomes of it.
bool model_bind_part(struct gyr_model *m, bool ok, const gyr_error *why, gyr_error *e);

// Has a bound model ready on its devices; and gives back all that is on devices, which are closed.
bool model_settle(struct gyr_model *m, const gyr_model_options *o, gyr_error *e);
void model_unsettle(struct gyr_model *m);

// The device is as it was before products were shared out.
void model_unspread(struct gyr_model *m);

// How many samplers there are, more being made if it is fewer than `want`: one for each thread that chooses tokens.
size_t model_samplers(struct gyr_model *m, size_t want);

// The pool that a session's pages are of, made if there is none yet.
struct kv_cache *session_pool(const struct gyr_session *s, gyr_error *e);

// Makes the page that a session writes next, in the middle of which its length is, its own.
bool session_own_page(struct gyr_session *s, gyr_error *e);

// The element type of a session's cache.
enum type kv_type_of(const struct gyr_model *m, gyr_kv_type want);

// Whether the tokens fit the session and are ones the model has.
bool session_takes(const struct gyr_session *s, const int32_t *ids, size_t count, gyr_error *e);

// Gives back all the memory that a session holds on the device. Its tokens stay in s->ids, to be fed again from there.
void session_set_aside(struct gyr_session *s);

// A file's checksum, by which receipts know it: 64 digits and a NUL. `kind` says what sort of file it is.
bool file_checksum(const struct checkpoint *file, const char *kind, unsigned threads, char hex[65], gyr_error *e);

// Tokens on their way into a session.
struct intake {
    struct gyr_session *s;
    const int32_t *ids;
    size_t count;
    float *logits;     // of all of them, [count][vocab]; NULL: of the last one, into the session
    bool more;         // another part of the same prompt follows: no logits
    struct pool *pool; // takes the states of these tokens; no logits. All intakes of a batch have one, or none has
    size_t second;     // the place from which on tokens are of the second of two types; 0: none is
};

// What becomes of the states of a text's tokens: one vector.
struct pool {
    enum pooling kind;
    size_t count;  // tokens of the text
    size_t hidden; // elements of a state
    double *sum;   // [hidden]
};

// Whether the state of the token at place p is wanted; how many are, of `count` tokens from there on; and one of them,
// in order.
bool pool_wants(const struct pool *p, size_t place);
size_t pool_count(const struct pool *p, size_t place, size_t count);
void pool_take(struct pool *p, const float *state);

// A session, of a model that has no logits too.
gyr_session *session_of(gyr_model *m, const gyr_session_options *o, gyr_error *e);

// Memory of the KV caches (admission.c). A new session's context: chosen, if *context is 0, or else promised, beside
// the `held` pages that it begins with; false if it does not fit with what others were promised or hold.
bool kv_promise(const struct gyr_model *m, enum type type, size_t *context, size_t held, gyr_error *e);

// Makes each session's pool have as many free pages as the tokens need; false if they do not fit.
bool kv_admit(struct gyr_model *m, const struct intake *in, size_t n, gyr_error *e);

// Appends the tokens of all intakes, which it uses up, or, when it fails, of none.
bool sessions_feed(struct intake *in, size_t n, gyr_error *e);

// What embeddings, and a cross-encoder's numbers, are computed of: [n] texts and, unless NULL, where the second part of
// each begins. `out` has a row for each.
bool embed_texts(struct gyr_model *m, const gyr_tokens *texts, const size_t *second, size_t n,
                 const gyr_embed_options *o, float *out, gyr_error *e);

// Elements of a text's embedding; 0: the model makes none.
size_t embedding_size(const struct gyr_model *m);

// Fails for a model whose file has no tokenizer.
bool tokenizer_there(const gyr_tokenizer *t, gyr_error *e);

// Hands the ids over to the caller, or, where it failed, frees them.
gyr_status tokens_give(bool ok, struct tokens *made, gyr_tokens *out, const gyr_error *why, gyr_error *e);

// The chat template of that name; NULL: the plain one, and beside it the one for conversations with tools. `v` and
// `where` must outlive it.
struct gyr_template *template_of(const struct vocab *v, const char *where, const char *name, gyr_error *e);

// Renders messages (a JSON list), or all variables (a JSON object). `user` may be NULL: see template_render().
bool template_chat(const gyr_template *t, const char *messages, size_t size, bool generate, struct buf *text,
                   struct buf *user, gyr_error *e);

#endif
