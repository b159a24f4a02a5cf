// Which matrix a row of activations is multiplied by: the product's own, or one of a table's.
#ifndef DEVICE_GPU_KERNELS_CHOICE_H
#define DEVICE_GPU_KERNELS_CHOICE_H

#include "chip.h"

#include "args.h"

// False: the table's is of another type, and another program has the row.
FN bool choose_matrix(const struct choice_of_matrix *c, unsigned row, struct chosen_matrix *m) {
    if (!c->table) return true;
    *m = c->table[c->which[row]];
    return m->type == c->type;
}

#endif
