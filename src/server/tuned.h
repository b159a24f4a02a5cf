// Models with adapters (LoRA): each has a name of its own, by which requests ask for it. The file is opened when it is
// first asked for, and closed when its model is unloaded, or when others want the memory; one that was taken off the
// list stays until the answers that it gives are over. Opening and closing happen on the scheduler's thread, between
// two steps, for the engine's device belongs to that thread.
#ifndef SERVER_TUNED_H
#define SERVER_TUNED_H

#include "server/files.h"
#include "server/models.h"

struct adapters;
struct tuned;

enum { ADAPTER_CHECKSUM = 65 };

struct adapters_options {
    const struct adapter_source *sources; // what was named at the start
    size_t n;
    const char *folder; // from which others may be loaded; NULL: none may
    uint64_t memory;    // most bytes of those that are open; 0: a quarter of what models may take
};

// The models must outlive it, and the scheduler's conversations must not.
struct adapters *adapters_new(const struct adapters_options *o, struct models *m, gyr_error *e);
void adapters_free(struct adapters *a);
void adapters_tell(struct adapters *a, struct scheduler *s);

// Opens those whose models are loaded. *e says what is wrong with one.
bool adapters_open(struct adapters *a, gyr_error *e);

// Closes those of a model that is about to be closed; nothing of the scheduler may have them any more.
void adapters_close(struct adapters *a, const struct served *model);

// What POST /v1/load_lora_adapter asks for.
struct adapter_wish {
    const char *name, *path, *model; // model: NULL: the first
    bool in_place;                   // another of that name makes room for it
};
bool adapters_load(struct adapters *a, const struct adapter_wish *w, struct fault *f);
bool adapters_unload(struct adapters *a, const char *name, struct fault *f);

// Those that were trained here (tunes.h), which the state has a list of: between these two, adapters_made() is called
// for each that there is, and what is not named any more is taken off the list. One thread at a time; others wait.
struct adapter_made {
    const char *name, *path, *root; // root: what clients are told of where it is
    struct served *model;
    int64_t owner;        // who may have it; OWNER_ANY: everybody
    const char *checksum; // of the model that it was trained for
};
void adapters_made_begin(struct adapters *a);
bool adapters_made(struct adapters *a, const struct adapter_made *m);
void adapters_made_end(struct adapters *a, bool all); // all: none was left out

// What there is to tell of one.
struct tuned_state {
    const char *name, *root; // where it is, as far as clients may know
    struct served *model;
    time_t since;
    bool open;
    unsigned holders;
    uint64_t bytes;       // that it takes; 0: it was not opened yet
    const char *checksum; // NULL: likewise
};
// Calls `each` for those of this name (NULL: all) that who sees so much (exchange_sees()) may have, oldest first; it
// must not call anything else of here. How many there are.
size_t adapters_each(struct adapters *a, const char *name, int64_t sees,
                     void (*each)(void *user, const struct tuned_state *t), void *user);

// The one of that name, held; NULL: there is none that may be had.
struct tuned *tuned_find(struct adapters *a, const char *name, int64_t sees);
void tuned_hold(struct tuned *t);
void tuned_release(struct tuned *t); // from any thread

// Has it open, as long as it and its model are held: true. Waits.
bool tuned_open(struct tuned *t, struct fault *f);

const char *tuned_name(const struct tuned *t);
struct served *tuned_model(const struct tuned *t);
int64_t tuned_owner(const struct tuned *t);

// Of one that is open and held.
const gyr_adapter *tuned_adapter(const struct tuned *t);
void tuned_checksum(const struct tuned *t, char checksum[ADAPTER_CHECKSUM]);

#endif
