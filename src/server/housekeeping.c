#include "server/housekeeping.h"

#include "base/clock.h"
#include "server/batches.h"
#include "server/chats.h"
#include "server/objects.h"
#include "server/tunes.h"

#include <stdio.h>
#include <time.h>

enum { HOUR = 3600 };

static void sweep(void *server) {
    static bool (*const sweeps[])(struct store *, int64_t, gyr_error *) = {tunes_sweep, files_sweep, objects_sweep,
                                                                           chats_sweep, batches_sweep};
    struct server *s = server;
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++) {
        gyr_error e = {0};
        char line[sizeof e.message + 32];
        if (sweeps[i](server_store(s), time(NULL), &e)) continue;
        snprintf(line, sizeof line, "housekeeping: %s", e.message);
        server_log(s, line);
    }
    atomic_store(&s->sweeping, false);
}

void housekeeping_tick(struct server *s) {
    double now = now_seconds();
    if (!server_store(s) || s->draining || (s->swept && now < s->swept + HOUR)) return;
    if (atomic_exchange(&s->sweeping, true)) return; // it is still at it
    s->swept = now;
    if (!clerks_add(s->clerks, CLERKS_HOUSE, sweep, s)) atomic_store(&s->sweeping, false);
}
