// Private to src/model: which traits go together.
#ifndef MODEL_TRAITS_H
#define MODEL_TRAITS_H

#include "model/hyper.h"

// Fails with GYR_UNSUPPORTED, naming both, where a model has two traits that the pass does not compute together.
// Without hyperparameters, which are not read yet, it is those of the row alone.
bool traits_compose(const struct family *f, const struct hyperparameters *h, const struct checkpoint *c, gyr_error *e);

#endif
