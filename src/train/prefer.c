#include "train/prefer.h"
#include "device/elementary.h"

#include <math.h>

static bool find_base(struct gyr_tune *t, struct lesson *l, gyr_error *e) {
    struct told told;
    if (!isnan(l->base)) return true;
    if (!trainee_example(t->t, NULL, l->ids, l->weight, l->n, 1, &told, NULL, e)) return false;
    l->base = told.loss;
    return true;
}

// Both answers' gradients are computed before it is known by how much they count, which is the same for both: so each
// goes through the model once.
bool prefer(struct gyr_tune *t, struct lesson *pair, float by, struct told *told, float *gradients, gyr_error *e) {
    struct told of[2];
    double reward[2];
    for (int i = 2; i--;) {
        struct lesson *l = &pair[i];
        if (!find_base(t, l, e) ||
            !trainee_example(t->t, t->numbers, l->ids, l->weight, l->n, i ? -1 : 1, &of[i], gradients, e))
            return false;
        reward[i] = t->o.beta * (l->base - of[i].loss);
    }
    float margin = (float)(reward[0] - reward[1]);
    *told = (struct told){(double)softplus_f(-margin), margin > 0 ? 1 : 0, (double)margin};
    float share = by * (float)t->o.beta / (1 + exp_f(margin));
    for (size_t i = 0; gradients && i < t->adam.n; i++) gradients[i] *= share;
    return true;
}
