// Private to src/cluster: what a rank is made of.
#ifndef CLUSTER_PARTS_H
#define CLUSTER_PARTS_H

#include "cluster/ranks.h"
#include "cluster/transport.h"

#include <pthread.h>
#include <stdatomic.h>

// A message that MPI has not sent yet.
struct outgoing {
    void *handle;
    char *data;
    size_t n;
    uint32_t to;
};

struct courier;

struct ranks {
    struct ranks *main; // itself; or, of a line beside, whose signs of life are its own: see beside.c
    enum tag tag;
    void *module;
    const struct transport *t;
    uint32_t own, count;        // of those that are left
    uint32_t *number;           // [count], as MPI counts them
    char name[64], (*host)[64]; // of the transport; of each rank
    pthread_mutex_t lock;       // one thread at a time calls MPI; of `main`
    struct outgoing *out;
    size_t n_out, room_out, bytes_out;
    bool met;          // all are of one kind
    bool rested;       // rank 0 computed alone
    bool dismissed;    // and has told the others its end
    bool passes;       // it has asked for some
    atomic_bool ended; // and has ended
    int end_status;
    // Signs of life: see pulse.c.
    pthread_t pulse;
    bool has_pulse;
    atomic_bool stop;
    unsigned limit; // ticks
    unsigned *silent;
    void **beat;        // [count], on their way
    uint32_t *sign;     // [count], their words: `missed`
    atomic_int lost;    // a rank, behind rank 0 only that one; -1: none
    atomic_uint missed; // one that rank 0 is to be told of: MPI's number and 1; 0: none
    atomic_bool rests;  // nobody gives signs of life, or misses any
    // Going on without a rank that is lost: see close_up.c.
    atomic_uint epoch;  // how often they did
    atomic_uint called; // rank 0 has had them do so
    struct buf call;    // its words
    bool left_out;      // the others went on without this one
    // Lines beside: see beside.c.
    struct ranks *beside, *next; // of `main`: those that are open
    uint32_t lines;              // calls so far
    struct courier *courier;
    bool untidy;         // of one that ended, something may be on its way
    atomic_bool closing; // all are over
    uint32_t line;       // what rank 0 has called them for: what is of an earlier call is nobody's business any more
    bool used;           // they were called
    double deadline;     // of a call or a farewell; 0: none
};

// The thread that carries the messages of a line beside: has it do fn(arg), and waits for that. False, with the error
// set, if it was stopped.
bool courier_do(struct ranks *r, bool (*fn)(void *arg), void *arg, gyr_error *e);

// Where ranks end: stops the threads of all lines beside. False if there were some, or something of one may be on its
// way.
bool beside_stop(struct ranks *r);

// Opens the module for the MPI that started this process; NULL with the error set.
const struct transport *transport_open(void **module, gyr_error *e);

// Who is which by MPI's number; the count of ranks: none is.
uint32_t rank_numbered(const struct ranks *r, uint32_t number);

// Under the lock, on the thread that gives signs of life: hears whether rank 0 has the others close up.
void hear_call(struct ranks *r);

// Waits for a message of any form.
bool take_message(struct ranks *r, uint32_t from, struct buf *into, gyr_error *e);
bool post_message(struct ranks *r, uint32_t to, const void *head, size_t n_head, const void *data, size_t n,
                  gyr_error *e);

// Waits until no more than so many bytes are on their way; for a rank's end, of whatever it has sent before.
bool drain_messages(struct ranks *r, size_t most, gyr_error *e);
bool take_end(struct ranks *r, uint32_t from, struct buf *room);

bool pulse_start(struct ranks *r, gyr_error *e);
void pulse_stop(struct ranks *r);

#endif
