// Where the scores of a session's last token lie: where the pass that made them has put them, until another pass needs
// that room; else in the session's own memory. So they are read by the device's copy alone, and by who chooses a token.
#ifndef ENGINE_SCORES_H
#define ENGINE_SCORES_H

#include "engine/engine.h"

static inline const float *session_scores(const struct gyr_session *s) { return s->given ? s->given : s->own; }

// The session's own memory, [vocab], to be written: its scores are there from now on.
static inline float *session_own_scores(struct gyr_session *s) {
    s->given = NULL;
    return s->own;
}

// Copies them there, if the session has any elsewhere.
void session_keep_scores(struct gyr_session *s);

// Room for what the next pass gives, in which nobody's scores are; at least so many floats. NULL: out of memory. It is
// the same until scores_taken().
float *scores_room(struct gyr_model *m, size_t floats, gyr_error *e);

// Sessions have their scores in that room from now on, and passes the other one.
static inline void scores_taken(struct gyr_model *m) { m->scores.turn ^= 1; }

void scores_free(struct gyr_model *m);

#endif
