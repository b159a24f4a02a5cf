// An opened card: its context, stream, memory and programs. What device.h asks of a device in memory, completion and
// failure is here; operations are made of launches (launch.h).
#ifndef DEVICE_GPU_GPU_H
#define DEVICE_GPU_GPU_H

#include "device/gpu/api.h"
#include "device/gpu/launch.h"
#include "device/gpu/sources.h"

// Facts of a card, also of one that is not opened.
struct gpu_chip {
    char name[64];  // of its kind, as compilers know it: "sm_90a", "gfx942:sramecc+:xnack-"
    char card[100]; // "NVIDIA H200"
    char bus[24];   // its place on the PCI bus, "0000:41:00.0"; "": not known
    uint64_t memory;
    int warp;       // lanes that go together: 32 or 64
    int processors; // SMs, or compute units
    int shared;     // bytes of shared memory that a block may have
    int threads;    // that a block may have
    bool early;     // a kernel may begin while the one before it ends (kernels/chip.h)
    bool tensor;    // it multiplies small matrices of bytes, as kernels/chip.h has them,
    bool waves;     // or larger ones (wave_bytes() there)
    bool copies;    // what a block asks for comes to its memory later (COPIES_LATER there)
};

// Memory of the host that the card's copies reach by themselves: what is on its way there, or back.
enum { GPU_HALF = 16 << 20, GPU_BACK = 8 << 20, GPU_LANDINGS = 64 };

struct gpu_sending {
    uint8_t *at; // two halves, used in turns
    size_t used; // of the one in use
    int turn;
    void *event[2]; // the card has read what was in a half
};

struct gpu_landing {
    void *to;
    size_t at, bytes;
};

struct gpu_receiving {
    uint8_t *at;
    size_t used;
    struct gpu_landing list[GPU_LANDINGS];
    size_t n;
};

// Memory of the host that is read into at once (host_alloc()).
struct gpu_pinned {
    struct gpu_pinned *next;
    uint8_t *at;
    size_t bytes;
};

struct gpu_link;
struct gpu_programs;
struct gpu_record;
struct gpu_work;

struct gpu {
    struct device device;
    const struct gpu_api *api;
    struct gpu_chip chip;
    char name[128];                          // in messages: "cuda:0 (NVIDIA H200)"
    int number;                              // the driver's, of the card
    void *context, *stream, *mark, *offered; // offered: others wait for it (peers.c); NULL: none asked to
    double patience;                         // seconds that sync() waits for what was asked for
    double waited;                           // that it waited last
    gyr_error failed;                        // what sync() is to say; GYR_OK: nothing
    bool lost;                               // for good
    struct gpu_sending out;
    struct gpu_receiving in;
    struct gpu_pinned *pinned;
    unsigned threads;  // of the host, that may copy; 0: one for each CPU
    struct pool *pool; // NULL: not made yet, or it cannot be
    bool alone;        // it cannot be
    struct gpu_programs *programs;
    struct gpu_record *record; // launches on their way
    struct gpu_work *work;     // what operations keep; NULL at first
    struct gpu_link *link;     // with cards of other processes; NULL: none
};

static inline struct gpu *gpu_of(struct device *d) { return (struct gpu *)d; }

// Card `index` with the programs of `sources`, whose compilation begins. Its table has what is declared here.
struct gpu *gpu_open(const struct gpu_api *api, int index, const struct gpu_sources *sources, gyr_error *e);

// Facts of a card. False: what the driver says against it.
bool gpu_describe(const struct gpu_api *api, int index, struct gpu_chip *chip, gyr_error *e);

// And how much of its memory is free now, for which the card is opened for a moment.
bool gpu_look(const struct gpu_api *api, int index, struct gpu_chip *chip, uint64_t *available, gyr_error *e);

// For every call that goes to the card: whether it may. The thread is then one that may call the driver.
bool gpu_begin(struct gpu *g);

// The same of what goes there later.
static inline bool gpu_may(const struct gpu *g) { return !g->failed.status && !g->lost; }

// Whether the driver's call was good; what was not is remembered for sync(). `doing`: "copying to the card".
bool gpu_good(struct gpu *g, int error, const char *doing);

// Remembers a failure that is not the driver's.
__attribute__((format(printf, 3, 4))) bool gpu_fails(struct gpu *g, enum gyr_status status, const char *format, ...);

// Waits until the card has come to `event`, or `patience` is at its end; the card is lost then.
bool gpu_wait(struct gpu *g, void *event);

// Of the table.
bool gpu_sync(struct device *d, gyr_error *e);
void gpu_close(struct device *d);
void gpu_room(struct device *d, uint64_t *total, uint64_t *available);
void *gpu_alloc(struct device *d, size_t bytes, gyr_error *e);
void gpu_free(struct device *d, void *p);
void *gpu_host_alloc(struct device *d, size_t bytes, gyr_error *e);
void gpu_host_free(struct device *d, void *p);
void gpu_write(struct device *d, void *dst, const void *src, size_t bytes);
void gpu_read(struct device *d, void *dst, const void *src, size_t bytes);
void gpu_copy(struct device *d, void *dst, const void *src, size_t bytes);

// Other cards of the same driver (peers.c).
bool gpu_reaches(struct device *d, struct device *from);
void gpu_offer(struct device *d);
void gpu_await(struct device *d, struct device *from);
void gpu_take(struct device *d, void *dst, struct device *from, const void *src, size_t bytes);

// Cards of other processes, by the vendor's library of collectives (link.c). gpu_link_good(): whether nothing that came
// from them is garbage; what is, is remembered for sync().
bool gpu_linkable(struct device *d, char name[48], gyr_error *e);
bool gpu_ticket(struct device *d, uint8_t ticket[LINK_TICKET], gyr_error *e);
bool gpu_link(struct device *d, const struct link_terms *terms, gyr_error *e);
void gpu_gather(struct device *d, const dfloat *from, dfloat *to, const size_t *floats);
void gpu_unlink(struct device *d, bool now);
bool gpu_link_good(struct gpu *g);

// Room for `bytes`, at most GPU_HALF, in the memory that copies to the card go through: the caller fills it and sends
// it, in one piece or several from its beginning on, before anything else is asked for. NULL: something failed.
uint8_t *gpu_stage(struct gpu *g, size_t bytes);
bool gpu_send(struct gpu *g, void *dst, const uint8_t *from, size_t bytes);

// The same where a launch that was asked for will read the bytes: nobody writes there until it has.
void gpu_staged(struct gpu *g, const uint8_t *from, size_t bytes);

// Calls fn(arg, i) for every i below n, in the threads that fill that memory, and returns when all are done.
void gpu_share(struct gpu *g, size_t n, void (*fn)(void *arg, size_t i), void *arg);

// The memory that copies go through.
bool gpu_staging_new(struct gpu *g, gyr_error *e);
void gpu_staging_free(struct gpu *g);

// What was read goes where it was to go; `keep` false: nowhere. The card has done all before.
void gpu_deliver(struct gpu *g, bool keep);

// Programs: compiled in threads, from the cache where it has them.
bool gpu_programs_new(struct gpu *g, const struct gpu_sources *sources, gyr_error *e);
void gpu_programs_free(struct gpu *g);

// Has the typed programs compiled for an element type, if they are not yet.
bool gpu_want(struct gpu *g, enum type type, gyr_error *e);

// Waits for all programs that are wanted, and loads them.
bool gpu_programs_settle(struct gpu *g);

// Whether all programs that are wanted are there, this kernel among them; nothing is waited for.
bool gpu_has(struct gpu *g, const char *kernel);

// How many were compiled, and how many the cache had.
void gpu_programs_count(const struct gpu *g, size_t *compiled, size_t *kept);

#endif
