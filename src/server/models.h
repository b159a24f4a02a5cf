// The models that are served: by name, loaded when one is asked for, unloaded when its memory is wanted.
#ifndef SERVER_MODELS_H
#define SERVER_MODELS_H

#include "server/fault.h"
#include "server/formats.h"
#include "server/server.h"

#include <time.h>

struct served;
struct models;
struct scheduler;

// `options` are those of each; the sources' strings must live as long.
struct models *models_new(const struct model_source *sources, size_t n, const gyr_model_options *options, gyr_error *e);

// Closes all; nobody may hold one.
void models_free(struct models *m);

// Before a model is unloaded, the scheduler is asked to let go of it.
void models_tell(struct models *m, struct scheduler *s);

size_t models_count(const struct models *m);
struct served *models_at(const struct models *m, size_t i);

// The model of that name; "" and NULL: the first. NULL: there is none.
struct served *models_find(const struct models *m, const char *name);

// Has it loaded, if it is not, and held: true. Waits; others are unloaded for it if need be, those used longest ago
// first. *e (may be NULL) receives the library's own error.
bool served_load(struct served *s, struct fault *f, gyr_error *e);

void served_hold(struct served *s); // one that is held already
void served_release(struct served *s);

// Has a message of the library, which names files, name the model instead: paths are nothing for clients.
void served_hide_path(const struct served *s, char *message, size_t size);

const char *served_name(const struct served *s);
time_t served_since(const struct served *s); // the file's time

// Of a model that is held.
gyr_model *served_model(const struct served *s);
const gyr_model_info *served_info(const struct served *s);
const struct format *served_format(const struct served *s); // how it writes reasoning and calls

// What is known of it now.
struct served_state {
    bool loaded, loading;
    unsigned holders;
    double used; // by the clock
    double load_seconds;
};
void served_get(struct served *s, struct served_state *state);

#endif
