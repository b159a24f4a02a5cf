// What a client asks for when it makes a fine-tuning job.
#ifndef SERVER_TUNE_READ_H
#define SERVER_TUNE_READ_H

#include "server/routes.h"
#include "server/tunes.h"

#include <jansson.h>

// Reads a body; the wish points into it. Its model is served here. False: refused.
bool tune_read_wish(struct server *s, const struct exchange *x, const json_t *body, struct tune_wish *w,
                    struct fault *f);

// The model of that name, if it is one that this key may have trained. NULL: refused.
struct served *tune_base(struct server *s, const struct exchange *x, const json_t *name, struct fault *f);

// Reads a method with its hyperparameters; NULL: it is supervised.
bool tune_read_method(const json_t *object, struct tune_wish *w, struct fault *f);

// Reads n_epochs, batch_size and learning_rate_multiplier, and beta where the wish prefers. `in` is where they are.
bool tune_read_hyperparameters(const json_t *object, const char *in, struct tune_wish *w, struct fault *f);

#endif
