// Products of some rows with F16 or BF16 weights on tensor cores.
#define BLOCKS 2
#include "chip.h"

#include "args.h"
#include "many16.h"

// Many rows, on tensor cores: MANY16 of them and MANY_OUTPUTS outputs a block.
KERNEL(product16_many, product16_args) {
    SHARED(struct many16_room, room);
    multiply_many16(&a, room);
}
