#include "engine/ranks.h"

#include <stdlib.h>
#include <string.h>

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

gyr_ranks *gyr_ranks_beside(gyr_ranks *ranks, gyr_error *e) {
    gyr_ranks *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(e, "ranks"), NULL;
    if ((r->ranks = ranks_beside(ranks->ranks, e))) return r;
    free(r);
    return NULL;
}

void gyr_ranks_beside_end(gyr_ranks *r) {
    if (r) ranks_beside_end(r->ranks);
    free(r);
}

gyr_status gyr_ranks_call(gyr_ranks *r, const void *data, size_t n, gyr_error *e) {
    gyr_error made = {0};
    return status_of(ranks_call(r->ranks, data, n, &made), &made, e);
}

gyr_status gyr_ranks_listen(gyr_ranks *r, void **data, size_t *n, gyr_error *e) {
    gyr_error made = {0};
    struct buf b = {0};
    bool ok = ranks_listen(r->ranks, &b, &made);
    *n = ok ? b.size : 0;
    *data = ok ? b.data : NULL;
    if (!ok) buf_free(&b);
    return status_of(ok, &made, e);
}

gyr_status gyr_ranks_agree(gyr_ranks *r, gyr_status own, const char *why, gyr_error *e) {
    gyr_error made = {0}, mine = {.status = own};
    struct buf all = {0};
    if (own) fail(&mine, own, "%s", why ? why : "failed");
    bool ok = ranks_agree(r->ranks, !own, &mine, NULL, 0, &all, &made);
    buf_free(&all);
    return status_of(ok, &made, e);
}

gyr_status gyr_ranks_dismiss(gyr_ranks *r, int status, gyr_error *e) {
    gyr_error made = {0};
    return status_of(ranks_dismiss(r->ranks, status, &made), &made, e);
}

int gyr_ranks_leave(gyr_ranks *r, int status, const char *why) {
    if (!r) return status;
    status = ranks_leave(r->ranks, status, why);
    free(r);
    return status;
}
