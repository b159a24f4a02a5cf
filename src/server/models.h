// The models that are served: by name, loaded when one is asked for, unloaded when its memory is wanted.
#ifndef SERVER_MODELS_H
#define SERVER_MODELS_H

#include "server/fault.h"
#include "server/formats.h"
#include "server/model_plan.h"

#include <jansson.h>
#include <time.h>

struct adapters;
struct served;
struct models;
struct scheduler;

// `options` are those of each, `memory` what all together may take (0: what the machine has); the sources' strings must
// live as long.
struct models *models_new(const struct model_source *sources, size_t n, const gyr_model_options *options,
                          uint64_t memory, gyr_error *e);

// Adds a model that was not there at the start; true also if one of that name is. *e says why it cannot be served.
bool models_add(struct models *m, const char *name, const char *path, gyr_error *e);

// Closes all; nobody may hold one.
void models_free(struct models *m);

// Before a model is unloaded, the scheduler is asked to let go of it, and its adapters (may be NULL) are closed. Of a
// model on a card, the card's energy is counted (may be NULL).
struct energy;
void models_tell(struct models *m, struct scheduler *s, struct adapters *a, struct energy *e);

// The server ends: nothing is loaded any more, and who waits for that is refused.
void models_stop(struct models *m);

size_t models_count(struct models *m);
struct served *models_at(struct models *m, size_t i);
gyr_ranks *models_team(const struct models *m); // NULL: this process alone
uint32_t models_ranks(const struct models *m);  // that compute each model together; 1: this process alone
uint64_t models_memory(const struct models *m); // bytes that all may take; UINT64_MAX: not known
uint64_t models_taken(struct models *m);        // that those that are loaded take, as it is planned

// From any thread: what is no model takes so many bytes more (or less) of their memory.
void models_note_other(struct models *m, int64_t more);

// Whether somebody who says `name` means what is called `is`: "NAME:latest" is what programs say that speak to Ollama.
bool same_model_name(const char *is, const char *name);

// The model of that name; "" and NULL: the first that can be served. NULL: there is none.
struct served *models_find(struct models *m, const char *name);

// Whether it can be served; one of a folder that cannot be read is refused.
bool served_good(const struct served *s, struct fault *f);

// Has it loaded, if it is not, and held: true. Waits; others are unloaded for it if need be, those that nobody uses and
// that were used longest ago first, the others once their answers are finished. *e (may be NULL) receives the library's
// own error.
bool served_load(struct served *s, struct fault *f, gyr_error *e);

void served_hold(struct served *s); // one that is held already
void served_release(struct served *s);

// Opens its file once more, as `o` says, whether it is loaded or not: for who works on it for hours, and keeps nobody
// else from unloading it.
gyr_model *served_open_apart(const struct served *s, const gyr_model_options *o, gyr_error *e);

// Has a message of the library, which names files, name the model instead: paths are nothing for clients.
void served_hide_path(const struct served *s, char *message, size_t size);

const char *served_name(const struct served *s);
time_t served_since(const struct served *s); // the file's time

// Of a model that is held.
gyr_model *served_model(const struct served *s);
const gyr_model_info *served_info(const struct served *s);
const struct format *served_format(const struct served *s); // how it writes reasoning and calls

// Has it unloaded once those who hold it are done. False: the server is stopping.
bool served_unload(struct served *s, struct fault *f);

// On the scheduler's thread: has a model that is loaded go on elsewhere, because its device failed: on another card
// that has room, else on the CPU. GYR_USAGE: it is there already, or on several ranks.
gyr_status served_move(struct served *s, gyr_error *e);

// What its file says of it, as gyr_inspect() has it, without paths and without the vocabulary; NULL for one that is no
// file, or (*f says why) that cannot be read.
json_t *served_card(const struct served *s, struct fault *f);

// Whether there is room for it: beside those that are loaded; if others are unloaded; never.
enum served_room { ROOM_NOW, ROOM_ALONE, ROOM_NEVER };

// What is known of it now.
struct served_state {
    bool loaded, loading, draining;
    double progress; // of loading, 0 to 1
    enum served_room room;
    bool broken;     // it is one of a folder that cannot be read, and not served
    const char *why; // it could not be read; "": it could
    unsigned holders;
    double used; // by the clock
    double load_seconds;
    struct model_plan plan;
    gyr_model_info info; // once it was loaded
};
void served_get(struct served *s, struct served_state *state);

// From any thread: how much memory its conversations take.
void served_note_held(struct served *s, uint64_t bytes);

// From any thread: its adapters take so many bytes more (or less).
void served_note_adapter(struct served *s, int64_t more);

#endif
