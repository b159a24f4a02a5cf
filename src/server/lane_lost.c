// A device or a rank that is lost under way.
#include "base/clock.h"
#include "server/lane.h"
#include "server/models.h"

#include <stdio.h>
#include <string.h>

bool lane_drop_marks(struct lane *l) {
    bool some = false;
    for (size_t i = 0; i < l->n; i++) {
        some |= l->turns[i]->mark != NULL;
        gyr_session_free(l->turns[i]->mark);
        l->turns[i]->mark = NULL;
    }
    return some;
}

static void tell_move(struct lane *l, const gyr_error *why, const gyr_error *failed, double seconds) {
    const gyr_model_info *info = served_info(l->served);
    char line[2000], end[1100];
    bool cpu = !strcmp(info->device, "cpu");
    snprintf(end, sizeof end, "after %.1f s%s%s", seconds, cpu ? "" : ": ", cpu ? "" : info->placement);
    if (failed->status) snprintf(end, sizeof end, "no other device takes it: %s", failed->message);
    snprintf(line, sizeof line, "%s (%s is on %s%s, %s)", why->message, served_name(l->served),
             cpu ? "the CPU" : info->device, failed->status ? "" : " now", end);
    l->o->tell(l->o->user, line);
}

bool lane_goes_on(struct lane *l, const gyr_error *why) {
    gyr_error e = {0};
    if (why->status != GYR_DEVICE) return false;
    double begun = now_seconds();
    gyr_status status = served_move(l->served, &e);
    if (status != GYR_USAGE) tell_move(l, why, &e, now_seconds() - begun); // ranks have their own ways
    if (status) return false;
    while (prefix_drop(&l->cache)) {}
    lane_drop_marks(l);
    for (size_t i = 0; i < l->n; i++) // what was read for them
        if (!l->turns[i]->answer) gyr_session_truncate(l->turns[i]->session, 0);
    return true;
}

bool lane_recovers(struct lane *l, const struct scheduler_options *o, gyr_error *e) {
    gyr_error lost = *e;
    char line[700];
    double begun = now_seconds();
    if (e->status != GYR_DEVICE) return false;
    *e = (gyr_error){0};
    gyr_status status = gyr_model_recover(l->model, e);
    if (status == GYR_USAGE) *e = lost;
    if (status && status != GYR_USAGE) o->gone(o->user, e);
    if (status) return false;
    while (prefix_drop(&l->cache)) {}
    lane_drop_marks(l);
    snprintf(line, sizeof line, "%s (%s is on those that are left, after %.1f s)", lost.message, served_name(l->served),
             now_seconds() - begun);
    o->tell(o->user, line);
    return true;
}
