#include "cluster/mail.h"

#include "cluster/parts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TAGS = TAG_BESIDE + 1, ROOM = 16 << 20 };

// From one rank to another: lengths and bytes, one behind the other, and no place is used twice.
struct lane {
    atomic_size_t written;
    size_t read;
    unsigned char data[ROOM];
};

static struct post {
    atomic_long memory[MAIL_RANKS], sends[MAIL_RANKS];
    atomic_bool ended; // all are
    struct lane lane[TAGS][MAIL_RANKS][MAIL_RANKS];
} * post;

static unsigned own, count;
static _Thread_local bool counts;

static bool due(atomic_long *left) { return counts && atomic_load(left) > 0 && atomic_fetch_sub(left, 1) == 1; }

void mail_fail_memory(unsigned rank, long n) { atomic_store(&post->memory[rank], n); }
void mail_fail_send(unsigned rank, long n) { atomic_store(&post->sends[rank], n); }
long mail_left(unsigned rank) { return atomic_load(&post->memory[rank]) + atomic_load(&post->sends[rank]); }

// ------------------------------------------------------------------------------------------------ memory

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return post && due(&post->memory[own]) ? NULL : __real_malloc(n); }

void *__real_calloc(size_t n, size_t each);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_calloc(size_t n, size_t each) { return post && due(&post->memory[own]) ? NULL : __real_calloc(n, each); }

void *__real_realloc(void *at, size_t n);
void *__wrap_realloc(void *at, size_t n);
void *__wrap_realloc(void *at, size_t n) { return post && due(&post->memory[own]) ? NULL : __real_realloc(at, n); }

// ------------------------------------------------------------------------------------------------ messages

static const char *join(uint32_t *own_number, uint32_t *of, char name[64]) {
    *own_number = own;
    *of = count;
    snprintf(name, 64, "shared memory");
    return NULL;
}

static void *start_send(uint32_t to, enum tag tag, const void *data, size_t n) {
    struct lane *l = &post->lane[tag][own][to];
    size_t at = atomic_load(&l->written);
    if ((tag == TAG_PARCEL && due(&post->sends[own])) || n > ROOM - sizeof n - at) return NULL;
    memcpy(l->data + at, &n, sizeof n);
    memcpy(l->data + at + sizeof n, data, n);
    atomic_store(&l->written, at + sizeof n + n);
    return l;
}

static void *start_receive(uint32_t from, enum tag tag, void *data, size_t n) {
    struct lane *l = &post->lane[tag][from][own];
    memcpy(data, l->data + l->read + sizeof n, n);
    l->read += sizeof n + n;
    return l;
}

static int done(void *handle) { return handle ? 1 : -1; }

static int found(uint32_t from, enum tag tag, size_t *n) {
    struct lane *l = &post->lane[tag][from][own];
    if (atomic_load(&l->written) == l->read) return 0;
    memcpy(n, l->data + l->read, sizeof *n);
    return 1;
}

static void leave(void) {}
static void end_all(int status) {
    atomic_store(&post->ended, true);
    _exit(status);
}

static const struct transport shared = {
    TRANSPORT_VERSION, join, start_send, start_receive, done, found, leave, end_all};

const struct transport *__wrap_transport_open(void **module, gyr_error *e);
const struct transport *__wrap_transport_open(void **module, gyr_error *e) {
    (void)e;
    *module = NULL;
    return &shared;
}

// ------------------------------------------------------------------------------------------------ processes

void *mail_shared(size_t n) {
    void *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

bool mail_open(void) { return (post = mail_shared(sizeof *post)); }

static int ended(pid_t pid) {
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int mail_run(unsigned ranks, int (*fn)(unsigned rank, void *arg), void *arg) {
    pid_t pid[MAIL_RANKS] = {0};
    char number[16];
    madvise(post, sizeof *post, MADV_REMOVE); // zeros
    memset(post->memory, 0, sizeof post->memory);
    snprintf(number, sizeof number, "%u", ranks);
    setenv("OMPI_COMM_WORLD_SIZE", number, 1);
    fflush(stdout);
    for (unsigned i = 0; i < ranks; i++) {
        if ((pid[i] = fork()) < 0) return -1;
        if (pid[i]) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        own = i;
        count = ranks;
        counts = true;
        int status = fn(i, arg);
        fflush(stdout);
        exit(status);
    }
    int status = ended(pid[0]);
    bool all = status || atomic_load(&post->ended);
    for (unsigned i = 1; i < ranks; i++) {
        if (all) kill(pid[i], SIGKILL);
        int other = ended(pid[i]);
        if (!all && !status) status = other;
    }
    return status;
}
