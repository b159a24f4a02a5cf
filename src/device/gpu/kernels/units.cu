// Units of MLPs as training has them, and back; each number by itself.
#include "chip.h"

#include "args.h"
#include "units.h"

KERNEL(unit_values, units_args) {
    for (size_t i = (size_t)BLOCK_X * THREADS + THREAD; i < a.n; i += (size_t)a.blocks * THREADS) {
        float value = unit_value((enum unit)a.unit, a.gate ? a.gate[i] : a.up[i]);
        a.y[i] = a.gate ? value * a.up[i] : value;
    }
}

// The gradients by what is gated, and by the gates; without those, by what goes in.
KERNEL(unit_slopes, units_args) {
    for (size_t i = (size_t)BLOCK_X * THREADS + THREAD; i < a.n; i += (size_t)a.blocks * THREADS) {
        float d = a.dy[i];
        if (!a.gate) {
            a.dup[i] = d * unit_slope((enum unit)a.unit, a.up[i]);
            continue;
        }
        float gate = a.gate[i], up = a.up[i];
        a.dup[i] = d * unit_value((enum unit)a.unit, gate);
        a.dgate[i] = d * up * unit_slope((enum unit)a.unit, gate);
    }
}
