// Ranks: processes that an MPI launcher has started together, on one machine or several. Rank 0 leads: it alone knows
// sessions, and says what is computed. MPI starts them and carries bytes; what they mean is gyr's.
//
// Every wait ends: when the bytes are there, when their sender says why there are none, or when a rank has given no
// sign of life for too long (pulse.c).
#ifndef CLUSTER_RANKS_H
#define CLUSTER_RANKS_H

#include "base/buf.h"
#include "base/error.h"

struct ranks;

// What a parcel is. The last has the same value in either byte order: it is for those who are not understood, too.
enum parcel {
    PARCEL_FACTS = 1, // to rank 0: what a rank has come to
    PARCEL_AGREED,    // from rank 0: everybody's facts
    PARCEL_PASS,      // from rank 0: rows to be computed
    PARCEL_STREAM,    // to the next rank: what the layers so far have made of them
    PARCEL_RESULT,    // to rank 0: what is wanted of them
    PARCEL_SLICE,     // to all: what a rank's part of a product has made; numbered by passes
    PARCEL_READY,     // on a line beside, to rank 0: a rank listens
    PARCEL_CALL,      // and from it: what they are called for
    PARCEL_END = 0x45454545,
};

// Whether a launcher started this process, with others or alone.
bool ranks_launched(void);

// Which of its machine's processes this one is, by what the launcher told it, from 0; 0 where none did.
uint32_t ranks_local(void);

// Joins the others. False, with the error set, if that cannot be, or if they are not alike; where rank 0 says what was
// wrong, the others' message is empty. The first call of all here; ranks_leave() is the last, of *ranks that is not
// NULL, whether this went well or not.
bool ranks_join(struct ranks **ranks, gyr_error *e);

uint32_t ranks_own(const struct ranks *r); // of those that are left
uint32_t ranks_count(const struct ranks *r);
const char *ranks_transport(const struct ranks *r); // what the MPI calls itself

// Sends a copy, without waiting for who gets it; or, in its place, why there is nothing to send.
bool ranks_send(struct ranks *r, uint32_t to, enum parcel kind, const void *data, size_t n, gyr_error *e);
bool ranks_send_numbered(struct ranks *r, uint32_t to, enum parcel kind, uint32_t number, const void *data, size_t n,
                         gyr_error *e);
bool ranks_send_failure(struct ranks *r, uint32_t to, enum parcel kind, uint32_t number, const gyr_error *why,
                        gyr_error *e);

// Waits for the next parcel of a rank, which must be of that kind. False, with the error set, also where the sender has
// sent an error, or has left.
bool ranks_receive(struct ranks *r, uint32_t from, enum parcel kind, struct buf *into, gyr_error *e);

// The same of a kind that is numbered, in ascending order: those with a lower number are dropped; without one, all are
// that nobody has asked for.
bool ranks_receive_numbered(struct ranks *r, uint32_t from, enum parcel kind, uint32_t number, struct buf *into,
                            gyr_error *e);

// Tells all others, beside parcels, that something with this number goes wrong here: for who waits for what is no
// parcel.
void ranks_tell_fault(struct ranks *r, uint32_t number, const gyr_error *why);

// Whether nothing speaks against waiting on: false, with the error set, where a rank is lost, or has told of a fault
// with this number or a higher one. Any thread may ask.
bool ranks_watch(struct ranks *r, uint32_t number, gyr_error *e);

// A step that all ranks take together: whether it went well here, and n bytes of facts. False on all ranks if it went
// wrong on one, with the error of the first of these; else `all` has the facts of all, in order.
bool ranks_agree(struct ranks *r, bool ok, const gyr_error *why, const void *facts, size_t n, struct buf *all,
                 gyr_error *e);

// Rank 0 needs nobody before the end: from now on no rank gives signs of life, and none is lost. All ranks call it.
void ranks_rest(struct ranks *r);

// On rank 0, before it leaves with this status: has the others end, and waits until each has heard it. False, with the
// error set, where one is lost. True on other ranks, and where it was called before.
bool ranks_dismiss(struct ranks *r, int status, gyr_error *e);

// Whether a rank was lost without which the others can go on: on rank 0, and on others once that has said so.
bool ranks_lost(const struct ranks *r);

// Goes on without it: fewer ranks, which are counted anew, and nothing of what was on its way. Rank 0 has the others do
// so, and these call this too. False, with the error set, if this rank is the one that is gone.
bool ranks_close_up(struct ranks *r, gyr_error *e);

// Another line between the same ranks, as they are now: parcels of the two are never mixed up, and one thread may use
// it while another uses `r`. What it sends and receives is carried by a thread of the priority that this caller has, so
// that one that is starved of time later keeps nobody else from the launcher's MPI. Where a rank is lost, all calls on
// it fail with GYR_DEVICE, for good; where rank 0 has ended, with GYR_CANCELLED. GYR_DEVICE: the ranks are about to
// close up. The end of it frees it; NULL is allowed.
struct ranks *ranks_beside(struct ranks *r, gyr_error *e);
void ranks_beside_end(struct ranks *r);

// On such a line, the beginning of what they do together: rank 0 waits for all others to listen, and then has them
// called for it. What is left of before is dropped.
bool ranks_call(struct ranks *r, const void *data, size_t n, gyr_error *e);
bool ranks_listen(struct ranks *r, struct buf *into, gyr_error *e);

// Sets the error that says which rank is meant, by the number that the launcher gave it.
bool ranks_blame(const struct ranks *r, uint32_t rank, gyr_status status, const char *what, gyr_error *e);

// Ends this rank's part, and rank 0's end is everybody's: the status to exit with. `why` tells the others what went
// wrong here; NULL: nothing. Frees it; NULL is allowed. Where a rank is lost, all processes are ended.
int ranks_leave(struct ranks *r, int status, const char *why);

#endif
