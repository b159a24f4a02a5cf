// Products of many rows with the matrix instructions of AMD's RDNA 3 and 4 (kernels/waves.h), in the emulation: the
// bytes of the CPU's plain C, for every quantized type.
#include "pair.h"

// Each size of their blocks; tiles and blocks that are not full; segments of several lengths, and without a block.
static void products(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || !type_info(t)->quantized) continue;
        size_t block = type_info(t)->block;
        try_product((enum type)t, 9, 18, block * random_size(8, 11), false);
        try_product((enum type)t, 20, 35, block * random_size(1, 3), true);
        try_product((enum type)t, 67, 3, block * random_size(1, 2), false);
    }
}

int main(void) {
    for (simt_waves = 11; simt_waves <= 12; simt_waves++) {
        open_pair(32);
        printf("gfx%u\n", simt_waves);
        RUN(products);
        close_pair();
    }
    return test_end();
}
