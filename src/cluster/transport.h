// Private to src/cluster: what a module gives (mpi.c), the few calls of MPI that gyr needs. A module is built against
// one MPI's headers, because their handles and constants differ; between it and the program there is nothing but this
// struct.
#ifndef CLUSTER_TRANSPORT_H
#define CLUSTER_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRANSPORT_VERSION = 1 };

// Streams of messages, each in order from one rank to another.
enum tag { TAG_PARCEL = 1, TAG_PULSE = 2, TAG_CALL = 3, TAG_FAULT = 4, TAG_BESIDE = 5 };

// One thread at a time calls these. None of them waits, but join(), which waits for all ranks, and leave().
struct transport {
    uint32_t version;
    // Joins the others; NULL, or why not. `name` is what the MPI calls itself.
    const char *(*join)(uint32_t *own, uint32_t *count, char name[64]);
    // Begin to send, or to receive what found() told of; the bytes stay in place until done(). NULL: it cannot be.
    void *(*send)(uint32_t to, enum tag tag, const void *data, size_t n);
    void *(*receive)(uint32_t from, enum tag tag, void *data, size_t n);
    // 1: it is done, and its handle gone; 0: not yet; -1: it failed, and its handle is gone.
    int (*done)(void *handle);
    // Whether a message is there: 1, 0, or -1 if that cannot be told.
    int (*found)(uint32_t from, enum tag tag, size_t *n);
    void (*leave)(void);
    // Ends every rank.
    void (*end_all)(int status);
};

// The name by which a module offers it.
#define TRANSPORT_SYMBOL "gyr_transport"

#endif
