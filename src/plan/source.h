// The model that a plan is for: a file, a folder, the head of one on the hub, or a shape that gyr knows.
#ifndef PLAN_SOURCE_H
#define PLAN_SOURCE_H

#include "format/checkpoint.h"

// `type`: of a shape's matrices; NULL: 16 bits a weight. *shape: it is one. checkpoint_close().
struct checkpoint *source_open(const gyr_plan_options *o, bool *shape, gyr_error *e);

#endif
