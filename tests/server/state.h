// A state folder for a case: made in $TMPDIR or in memory, removed with all that is in it.
#ifndef TESTS_SERVER_STATE_H
#define TESTS_SERVER_STATE_H

#include "server/store.h"
#include "test.h"

#include <ftw.h>
#include <sys/stat.h>

static char state_dir[256];

static inline void state_make(void) {
    const char *tmp = getenv("TMPDIR");
    // In memory a flush takes no time, and a killed process loses as little as it does on a disk.
    if (!tmp || !*tmp) tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
    snprintf(state_dir, sizeof state_dir, "%s/gyr-state-XXXXXX", tmp);
    if (!mkdtemp(state_dir)) exit(99);
}

static inline int state_remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void state_remove(void) { nftw(state_dir, state_remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static inline const char *state_file(const char *name) {
    static char path[2][512];
    static int turn;
    char *p = path[turn++ % 2];
    snprintf(p, sizeof path[0], "%s/%s", state_dir, name);
    return p;
}

// What an error says, with the folder's name as "DIR".
static inline const char *state_said(const gyr_error *e) {
    static char text[600];
    const char *at = strstr(e->message, state_dir);
    if (!at) return e->message;
    snprintf(text, sizeof text, "%.*sDIR%s", (int)(at - e->message), e->message, at + strlen(state_dir));
    return text;
}

#endif
