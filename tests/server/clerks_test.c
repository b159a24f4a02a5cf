// Threads that serve many owners: nobody keeps all of them, and whoever has the fewest under way is next.
#include "server/clerks.h"

#include "test.h"

#include <pthread.h>

enum { MOST = CLERKS_SPARED + 2, MANY = 50 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static int begun[4], done[4], most_at_once[4];

// A task of owner `arg` that waits at the gate.
static void at_gate(void *arg) {
    const int *owner = arg;
    pthread_mutex_lock(&lock);
    begun[*owner]++;
    int at_once = begun[*owner] - done[*owner];
    if (at_once > most_at_once[*owner]) most_at_once[*owner] = at_once;
    pthread_cond_broadcast(&changed);
    while (!open_gate) pthread_cond_wait(&changed, &lock);
    done[*owner]++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for(const int *count, int least) {
    pthread_mutex_lock(&lock);
    while (*count < least) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static int owners[] = {0, 1, 2, 3};

static void nobody_has_all_threads(void) {
    gyr_error e;
    struct clerks *c = clerks_new(MOST, &e);
    REQUIRE(c);
    for (int i = 0; i < MANY; i++) CHECK(clerks_add(c, 1, at_gate, &owners[1]));
    wait_for(&begun[1], MOST - CLERKS_SPARED);
    for (int i = 0; i < MANY; i++) CHECK(clerks_add(c, 2, at_gate, &owners[2]));
    CHECK(clerks_add(c, 3, at_gate, &owners[3]));
    wait_for(&begun[2], 1); // or it hangs here
    wait_for(&begun[3], 1);
    CHECK_INT(begun[1], MOST - CLERKS_SPARED);
    CHECK(begun[2] <= MOST - CLERKS_SPARED);
    pthread_mutex_lock(&lock);
    open_gate = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    clerks_free(c); // waits for what was added
    CHECK_INT(done[1], MANY);
    CHECK_INT(done[2], MANY);
    CHECK_INT(done[3], 1);
    for (int i = 1; i < 4; i++) CHECK(most_at_once[i] <= MOST - CLERKS_SPARED);
}

int main(void) {
    RUN(nobody_has_all_threads);
    return test_end();
}
