#include "engine/ranks.h"

#include <stdlib.h>

bool gyr_ranks_launched(void) { return ranks_launched(); }

gyr_ranks *gyr_ranks_join(gyr_error *e) {
    gyr_ranks *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(e, "ranks"), NULL;
    ranks_join(&r->ranks, e);
    if (r->ranks) return r;
    free(r);
    return NULL;
}

struct ranks *ranks_inside(const gyr_ranks *r) {
    return r->ranks;
}

uint32_t gyr_ranks_own(const gyr_ranks *r) { return ranks_own(r->ranks); }

uint32_t gyr_ranks_count(const gyr_ranks *r) { return ranks_count(r->ranks); }

int gyr_ranks_leave(gyr_ranks *r, int status, const char *why) {
    if (!r) return status;
    status = ranks_leave(r->ranks, status, why);
    free(r);
    return status;
}
