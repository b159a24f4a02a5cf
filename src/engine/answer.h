// An answer on its way, for the sources of this room that share it.
#ifndef ENGINE_ANSWER_H
#define ENGINE_ANSWER_H

#include "engine/engine.h"
#include "engine/stream.h"

struct gyr_answer {
    struct gyr_session *s;
    const int32_t *prompt;
    size_t count, fed;
    gyr_generate_options o;
    gyr_sampling sampling;
    struct stream stream;
    struct buf piece;
    size_t first;      // position of the answer's first token
    int32_t next;      // the token that was picked; -1: there is none
    bool picked;       // it was, and is not sent out yet
    bool told;         // but token() knows
    bool chosen;       // it was sent out, and is not computed yet
    bool refused;      // mask() said no
    bool listed;       // for a look whether it is there twice
    gyr_stop stop;     // that its text or a callback asked for; 0: none
    uint32_t *allowed; // [(vocab + 31) / 32]; NULL: nothing ever forbids a token
    int32_t *ends;     // [n_ends], tokens that end the answer, where some may be forbidden
    size_t n_ends;
    int32_t *top_ids; // [tops], with their logarithms of probabilities
    float *top_logprobs, logprob;
    size_t tops;
    float *scores; // of a piece of the prompt, a row for each token; NULL: nobody wants them
    size_t rows;   // that it has room for
    gyr_generate_stats stats;
};

// Whether the options are ones that can be obeyed; and memory for what they need.
bool answer_prepare(struct gyr_answer *a, gyr_error *e);

// Tokens that its session has to have before the next one of its prompt or of the answer is computed. There are fewer
// after gyr_answer_set_aside(); the session's array has them all.
size_t answer_due(const struct gyr_answer *a);

// Tells of `n` tokens of the prompt, from `fed` on, that were computed into `scores`. False: the caller stops.
bool answer_tell_prompt(struct gyr_answer *a, size_t n);

void answer_finish(struct gyr_answer *a, gyr_stop stop);

// The token that was chosen is in the session: the answer goes on, or ends with it.
void answer_token_done(struct gyr_answer *a);

// Chooses the next token of all that have their prompt computed and no token chosen, and sends it out; or finds that
// there is none. Once, also when the step is tried again.
bool answers_choose(gyr_answer *const *answers, size_t n, gyr_error *e);

#endif
