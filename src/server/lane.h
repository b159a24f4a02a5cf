// One model's answers on their way (of scheduler.c, lane*.c and turn.c only).
#ifndef SERVER_LANE_H
#define SERVER_LANE_H

#include "server/disk.h"
#include "server/pace.h"
#include "server/prefix.h"
#include "server/reasoning.h"
#include "server/scheduler.h"

// One choice of a job.
struct turn {
    struct job *job; // held
    unsigned index;
    struct prompt prompt;
    bool scores; // its prompt's tokens are told
    gyr_session *session;
    gyr_session
        *mark; // of a model that keeps a state: what of the prompt was computed before its last step; NULL: none
    gyr_answer *answer; // NULL: what the disk has is being read
    gyr_generate_options how;
    gyr_sampling sampling;
    gyr_matcher *matcher; // NULL: any text will do
    bool asleep;          // the grammar does not hold yet
    struct buf tail;      // of the text, while it does not
    struct reasoning reasoning;
    size_t free_tokens; // that came while it did not
    size_t cached;      // tokens of the prompt that were there
    size_t counted;     // of the answer, that the lane's count has
    size_t from_disk;   // of the session that are to be read before the answer begins
    uint64_t order;     // when it was admitted: the youngest has the highest
    bool begun;         // its prompt is computed
    bool aside;         // it has given its memory back until there is some
    bool yielded;       // and its place, to somebody who had fewer, until there is one
    bool broken;        // its grammar failed: `error` says why
    gyr_error error;
};

// Makes a turn. The session is taken over, unless it fails.
struct turn *turn_new(struct job *job, unsigned index, gyr_session *session, gyr_error *e);

// Begins its answer with what the session has of the prompt.
bool turn_start(struct turn *t, gyr_error *e);

// Ends it and hands its session, if it has one, to the cache.
void turn_free(struct turn *t, struct prefix_cache *cache);

// After a step of a model that keeps a state: hands copies of the session to the cache, once the prompt is computed.
// The next prompt may go on from its end, or, where an answer begins in other words, from a little before.
void turn_keep_state(struct turn *t, struct prefix_cache *cache);

// Tokens of its prompt that are not computed yet.
size_t turn_left(const struct turn *t);

// After a step: says that the prompt is computed, if it just was. True if the turn is over, which is said too.
bool turn_told(struct turn *t, struct scheduler_stats *stats);

// Among whom the beginnings of a job's prompts are shared.
struct sharers job_sharers(const struct job *j);

struct lane {
    struct served *served;
    const struct scheduler_options *o; // the scheduler's
    gyr_model *model;
    struct turn **turns;
    size_t n, room;
    gyr_answer **answers; // of a step
    size_t answers_room;
    struct job *waiting; // in the order in which they came
    unsigned n_waiting;
    struct job *working; // jobs without an answer, in the order in which they came
    uint64_t admitted;
    struct prefix_cache cache;
    struct disk *disk; // the scheduler's; NULL: none
    struct meter *meter;
    struct pace pace;
    struct account *accounts;
    size_t n_accounts, accounts_room;
    struct lane *next;
};

struct lane *lane_new(struct served *served, const struct scheduler_options *o, struct disk *disk);
void lane_free(struct lane *l); // no turn may be left

// Takes over a hold of the job.
void lane_queue(struct lane *l, struct job *job);

// Begins what waits and has room.
void lane_admit(struct lane *l, const struct scheduler_options *o, struct scheduler_stats *stats);

// A part of the next job that has no answer.
void lane_work(struct lane *l, struct scheduler_stats *stats);

// Answers that were set aside and not brought back yet.
unsigned lane_aside(const struct lane *l);

// A step of all that are on their way. False: there was nothing to do.
bool lane_step(struct lane *l, const struct scheduler_options *o, struct scheduler_stats *stats);

// Writes a part of a conversation to the disk. False: there is none to be written.
bool lane_save(struct lane *l, const struct scheduler_options *o);

// Fails all jobs.
void lane_fail(struct lane *l, const gyr_error *why);

// What each owner has had, fading with the tokens of all: who has had least comes first (accounts.c).
double account_of(const struct lane *l, uint64_t owner);
void account_add(struct lane *l, uint64_t owner, double tokens);

// Forgets what was to be kept of prompts under way. False: there was nothing.
bool lane_drop_marks(struct lane *l);

// The device failed: the model goes on on another one, where it computes what it knows once more, and nothing that was
// accepted is lost. What nobody waits for is forgotten. False: there is none, or none that can take it.
bool lane_goes_on(struct lane *l, const gyr_error *why);

// A rank is lost: those that are left go on, and compute again what the answers have so far. False: they cannot, or it
// is none of that.
bool lane_recovers(struct lane *l, const struct scheduler_options *o, gyr_error *e);

#endif
