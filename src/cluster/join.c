// Joining: who was started with this process, and whether all are of one kind.
#include "cluster/parts.h"
#include "device/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The first that ranks say to each other, in a form that does not change: each version must understand those of others
// well enough to refuse them.
struct hello {
    char magic[8];
    uint32_t order, edition;
    char version[32], host[64];
};

static const char magic[8] = "gyrranks";
enum { ORDER = 0x01020304 };

// How many processes there are, as the launcher says; 0: none started this one. Slurm gives a process that it started
// alone a number too, and that is no reason to look for MPI.
static unsigned long started(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return strtoul(getenv(names[i]), NULL, 10);
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    bool numbered = getenv("PMIX_RANK") || getenv("PMI_RANK");
    unsigned long n = numbered && tasks ? strtoul(tasks, NULL, 10) : 0;
    return n > 1 ? n : 0;
}

bool ranks_launched(void) { return started(); }

static struct hello own_hello(void) {
    struct hello h = {.order = ORDER, .edition = EDITION};
    memcpy(h.magic, magic, sizeof magic);
    snprintf(h.version, sizeof h.version, "%s", gyr_version());
    if (gethostname(h.host, sizeof h.host - 1)) snprintf(h.host, sizeof h.host, "a machine without a name");
    return h;
}

static bool is_alike(const struct ranks *r, uint32_t rank, struct hello *h, gyr_error *e) {
    const struct hello own = own_hello();
    char what[256];
    h->version[sizeof h->version - 1] = h->host[sizeof h->host - 1] = 0;
    if (h->order != own.order)
        snprintf(what, sizeof what, "has another byte order than rank 0; use machines of one kind");
    else if (strcmp(h->version, own.version))
        snprintf(what, sizeof what, "is gyr %.31s, and rank 0 is gyr %.31s; install the same version on all machines",
                 h->version, own.version);
    else if (h->edition != own.edition)
        snprintf(what, sizeof what,
                 "computes by edition %u of the arithmetic, and rank 0 by edition %u; install the "
                 "same version on all machines",
                 h->edition, own.edition);
    else
        return true;
    return ranks_blame(r, rank, GYR_UNSUPPORTED, what, e);
}

// Rank 0 hears all of them, so that the first that is not alike is named,
static bool hear(struct ranks *r, gyr_error *e) {
    gyr_error first = {0};
    struct buf b = {0};
    bool heard = true;
    for (uint32_t i = 1; i < r->count && (heard = take_message(r, i, &b, e)); i++) {
        struct hello h;
        bool known = b.size == sizeof h && !memcmp(b.data, magic, sizeof magic);
        if (known) memcpy(&h, b.data, sizeof h);
        if (known) memcpy(r->host[i], h.host, sizeof h.host - 1);
        if (known ? is_alike(r, i, &h, first.status ? NULL : &first) : false) continue;
        if (!first.status) ranks_blame(r, i, GYR_UNSUPPORTED, "is not the same version of gyr as rank 0", &first);
    }
    buf_free(&b);
    return heard && (!first.status || fail(e, first.status, "%s", first.message));
}

// and says to all who is there, or what is wrong.
static bool welcome(struct ranks *r, bool ok, gyr_error *e) {
    gyr_error made = *e;
    for (uint32_t i = 1; i < r->count && atomic_load(&r->lost) < 0; i++)
        if (!ok)
            ranks_send_failure(r, i, PARCEL_AGREED, 0, &made, NULL);
        else if (!ranks_send(r, i, PARCEL_AGREED, r->host, r->count * sizeof *r->host, e))
            return false;
    return ok;
}

static bool meet(struct ranks *r, gyr_error *e) {
    struct hello own = own_hello();
    struct buf b = {0};
    memcpy(r->host[r->own], own.host, sizeof own.host);
    if (!r->own) return welcome(r, hear(r, e), e);
    bool ok = post_message(r, 0, &own, sizeof own, NULL, 0, e) && ranks_receive(r, 0, PARCEL_AGREED, &b, e);
    if (ok && b.size == r->count * sizeof *r->host) memcpy(r->host, b.data, b.size);
    buf_free(&b);
    return ok;
}

static bool start(struct ranks *r, gyr_error *e) {
    r->t = transport_open(&r->module, e);
    if (!r->t) return false;
    const char *why = r->t->join(&r->own, &r->count, r->name);
    if (why) return fail(e, GYR_DEVICE, "MPI: %s", why);
    unsigned long told = started();
    if (told && told != r->count)
        return fail(e, GYR_UNSUPPORTED,
                    "MPI: the launcher started %lu processes, and %s knows of %u; use the launcher of the same MPI",
                    told, r->name, r->count);
    r->host = calloc(r->count, sizeof *r->host);
    r->number = calloc(r->count, sizeof *r->number);
    for (uint32_t i = 0; r->number && i < r->count; i++) r->number[i] = i;
    return (r->host && r->number) || fail_memory(e, "ranks");
}

bool ranks_join(struct ranks **out, gyr_error *e) {
    gyr_error made = {0};
    struct ranks *r = *out = calloc(1, sizeof *r);
    if (!r) return fail_memory(e, "ranks");
    r->main = r;
    r->tag = TAG_PARCEL;
    atomic_init(&r->lost, -1);
    pthread_mutex_init(&r->lock, NULL);
    if (!start(r, e)) {
        free(r->host);
        free(r->number);
        free(r);
        *out = NULL;
        return false;
    }
    if (pulse_start(r, &made) && (r->met = meet(r, &made))) return true;
    return fail(e, made.status, "%s", r->own && made.status != GYR_DEVICE ? "" : made.message); // rank 0 says it
}

uint32_t ranks_own(const struct ranks *r) { return r->own; }
uint32_t ranks_count(const struct ranks *r) { return r->count; }
const char *ranks_transport(const struct ranks *r) { return r->name; }
