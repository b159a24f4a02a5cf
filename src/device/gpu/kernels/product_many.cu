// Products of many rows with quantized weights on tensor cores. Compiled once for each TYPE_NAME. A kernel takes blocks
// of so many rows: for few rows there is one whose registers hold more of the weights that are on their way.
#if TYPE == 11 || TYPE == 19
#define BLOCKS 1
#else
#define BLOCKS 2
#endif
#include "chip.h"

#include "args.h"
#include "waves.h"

EARLY_KERNEL(product_many16, product_many_args) {
    const struct shape s = {1, 1, 4, 4, 2, true};
    SHARED(struct many_room, room);
    multiply_rows(&a, s, room);
}

// Where scales are floats two blocks of this size hide each other's waiting.
#if MANY_RUNS || TYPE >= 40
#undef BLOCKS
#define BLOCKS 1
#endif
EARLY_KERNEL(product_many32, product_many_args) {
    const struct shape s = {2, 2, 1, 1, 1, true};
    SHARED(struct many_room, room);
    multiply_rows(&a, s, room);
}

// Where they are integers unpacking a run takes most, and is shared by more rows. Others never launch this one, nor
// does a type that would not fit in the registers (../ops_product.c).
#undef BLOCKS
#define BLOCKS 1
EARLY_KERNEL(product_many64, product_many_args) {
    const struct shape s = {2, MANY_RUNS && TYPE != 11 ? 4 : 1, 1, 1, 1, true};
    SHARED(struct many_room, room);
    multiply_rows(&a, s, room);
}
