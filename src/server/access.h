// Who may ask, and how much: the Host and Origin of a request, its key, and the key's limits.
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include "server/keys.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/usage.h"

struct access_state;

// Opens the state. Without it nobody can show a key, so that it is an error only where keys are asked for; elsewhere *e
// says why there is none.
struct access_state *access_new(const struct serve_options *o, gyr_error *e);
void access_free(struct access_state *a);

// In the loop: whether the request may be handled. Puts CORS headers into the reply; its key is x->account from then
// on.
bool access_check(struct access_state *a, struct exchange *x, enum access needed, struct fault *f);

// The answer to a browser that asks first whether it may ask. False: that was no such question.
bool access_preflight(struct access_state *a, struct exchange *x);

// Whether the key of a checked request may ask now, as far as that can be said before the request is read.
bool access_look(struct access_state *a, struct exchange *x, struct fault *f);

// A request that no model answers, but which is work: takes it from the requests of its key.
bool access_once(struct access_state *a, struct exchange *x, struct fault *f);

// Before a job is queued: takes what it may need from the limits of its key, and has what it took written down.
bool access_begin(struct access_state *a, struct job *j, size_t context, struct fault *f);

// A request of the server's own is made for an owner, with the rights and limits of that key. False: the key is no
// more.
bool access_act_for(struct access_state *a, struct exchange *x, int64_t owner);

// Reads the keys again; writes usage down, if it is time.
bool access_reload(struct access_state *a, gyr_error *e);
void access_tick(struct access_state *a);

// Whether who asks may say what is loaded: with an administrator's key; on a server that this machine alone reaches and
// that asks for no keys, anybody.
bool access_manages(const struct access_state *a, const struct exchange *x);

// Writes down what was used, so that it can be read.
bool access_flush_usage(struct access_state *a, gyr_error *e);

bool access_needs_key(const struct access_state *a);
size_t access_keys(const struct access_state *a); // that there are

// The state; NULL: there is none.
struct store *access_store(struct access_state *a);

#endif
