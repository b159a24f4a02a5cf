#include "ranks.h"

#include "open.h"
#include "output.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What launchers tell a process: how many there are, which one this is, and which one of its machine's.
static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
static const char *const locals[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"};
static const char *const numbers[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"};

static long told(const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (getenv(names[i])) return strtol(getenv(names[i]), NULL, 10);
    return 0;
}

static gyr_ranks *joined;
static bool whole; // each rank has its own model

gyr_ranks *team_joined(void) { return joined; }

bool team_follows(void) { return joined && gyr_ranks_own(joined); }

void team_whole(void) { whole = true; }

bool team_join(int *status) {
    gyr_error e = {0};
    if (!gyr_ranks_launched()) return true;
    joined = gyr_ranks_join(&e);
    *status = e.status;
    output_quiet(joined ? team_follows() : told(locals, sizeof locals / sizeof *locals) > 0); // a line a machine
    if (*status && e.message[0]) report(&e);
    return !*status;
}

// How fast this machine decodes with the model, by what gyr bench kept: nothing is timed. 0: nothing was.
static float kept_speed(const char *path, const gyr_model_options *o) {
    gyr_plan_options how = {.model = path, .threads = o->threads, .kv_type = o->kv_type, .quick = true};
    gyr_error e = {0};
    char *text = path ? gyr_plan(&how, &e) : NULL;
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL, *decode = json_object_get(plan, "decode_tokens_per_s");
    double speed = json_number_value(json_is_object(decode) ? json_object_get(decode, "value") : decode);
    json_decref(plan);
    gyr_free(text);
    return (float)speed;
}

void team_share(const char *path, gyr_model_options *o) {
    o->ranks = whole ? NULL : joined;
    if (o->ranks && gyr_ranks_count(joined) > 1) o->speed = kept_speed(path, o);
}

gyr_split split_named(const char *name, gyr_split usual) {
    if (!name) return usual;
    return !strcmp(name, "layers") ? GYR_SPLIT_LAYERS : !strcmp(name, "rows") ? GYR_SPLIT_ROWS : GYR_SPLIT_AUTO;
}

bool team_follow(const char *path, gyr_model_options options, int *status) {
    gyr_error e = {0};
    if (!team_follows()) return false;
    *status = GYR_OK;
    gyr_model *model = open_model(path, options, status);
    if (model && (*status = gyr_ranks_follow(model, &e))) {
        output_quiet(e.status != GYR_DEVICE); // rank 0 is lost, and says nothing
        report(&e);
    }
    gyr_model_close(model);
    return true;
}

bool team_serves(bool one) {
    if (one || !joined || gyr_ranks_count(joined) < 2) return true;
    usage_error("--model: on several machines gyr serve has one model, and no folder of them; start a server for each");
    return false;
}

int team_end(int status) {
    gyr_ranks *r = joined;
    gyr_error e = {0};
    joined = NULL;
    if (r && gyr_ranks_dismiss(r, status, &e) && !status) report(&e);
    return gyr_ranks_leave(r, status, output_unsaid());
}

bool team_none(const char *verb) {
    if (told(sizes, sizeof sizes / sizeof *sizes) < 2) return true;
    output_quiet(told(numbers, sizeof numbers / sizeof *numbers) > 0);
    usage_error("%s: does not run on several ranks; start it without MPI's launcher (gyr run, bench, embed, serve, "
                "tune and train do)",
                verb);
    return false;
}
