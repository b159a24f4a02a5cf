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
};

struct ranks {
    void *module;
    const struct transport *t;
    uint32_t own, count;
    char name[64], (*host)[64]; // of the transport; of each rank
    pthread_mutex_t lock;       // one thread at a time calls MPI
    struct outgoing *out;
    size_t n_out, room_out, bytes_out;
    bool passes; // rank 0 has asked for some
    bool ended;  // and has ended
    int end_status;
    // Signs of life: see pulse.c.
    pthread_t pulse;
    bool has_pulse;
    atomic_bool stop;
    unsigned limit; // ticks
    unsigned *silent;
    void **beat;     // [count], on their way
    atomic_int lost; // a rank; -1: none
};

// Opens the module for the MPI that started this process; NULL with the error set.
const struct transport *transport_open(void **module, gyr_error *e);

// Waits for a message of any form.
bool take_message(struct ranks *r, uint32_t from, struct buf *into, gyr_error *e);
bool post_message(struct ranks *r, uint32_t to, const void *head, size_t n_head, const void *data, size_t n,
                  gyr_error *e);

bool pulse_start(struct ranks *r, gyr_error *e);
void pulse_stop(struct ranks *r);

#endif
