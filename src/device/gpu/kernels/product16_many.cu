// Products of several rows with F16 or BF16 weights on tensor cores, at the rate at which weights come from memory.
#define BLOCKS 3
#include "chip.h"

#include "args.h"

#define ROWS16       MANY16
#define OUTPUT_TILES 1
#define ROW_TILES    1
#define STAGES       4

#include "wide16.h"

KERNEL(product16_many, product16_args) {
    SHARED(struct wide16_room, room);
    multiply_wide16(&a, room);
}
