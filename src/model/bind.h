// Private to src/model: finding every tensor that a family's row names.
#ifndef MODEL_BIND_H
#define MODEL_BIND_H

#include "model/model.h"

// Binds all of m->checkpoint's tensors into m, whose hyperparameters are read.
bool bind_model(struct model *m, gyr_error *e);

#endif
