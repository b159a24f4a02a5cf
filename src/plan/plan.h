// Private to src/plan: what a plan is made of.
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "engine/inside.h"
#include "plan/layout.h"
#include "plan/prices.h"
#include "plan/record.h"
#include "plan/training.h"

#include <jansson.h>

struct budget {
    double usd; // 0: there is none
    bool hourly;
};

struct plan {
    const gyr_plan_options *o;
    struct checkpoint *checkpoint;
    bool shape; // the model is one
    struct usage usage;
    struct mix mix;
    struct place_for place[MAX_KINDS_OF_CARD];
    size_t n_places;
    struct device *here; // NULL: the plan is not for this machine
    char here_name[128];
    double here_free;
    struct placement where; // gyr run would have it here, where there is a card
    char machine[200], key[160]; // of what is kept: this machine, and the model
    struct record kept;
    bool from_kept;       // the rates are
    struct demand demand; // in the form that the places have weights in
    struct layout layout;
    struct lesson lesson; // where it is to be trained
    struct training training;
    struct prices *prices;
    struct budget budget;
    char date[11]; // today
};

// The whole as JSON; NULL if memory is out.
json_t *plan_json(const struct plan *p);

// Of a plan to train or tune.
json_t *training_json(const struct plan *p);

// The plan in a line, from its JSON: what it takes, of how much, and how fast it should be.
json_t *plan_summary(const json_t *all);

// What else would do, or do better: a list.
json_t *plan_advice(const struct plan *p);

// The weights in another type, as near as their sizes tell.
bool demand_as(struct demand *out, const struct demand *d, enum type type);
const struct type_info *demand_type(const struct demand *d);

#endif
