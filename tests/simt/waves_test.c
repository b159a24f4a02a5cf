// Products of many rows with the matrix instructions of AMD's RDNA 3 and 4 (kernels/waves.h), in the emulation: the
// bytes of the CPU's plain C, for every quantized type.
#include "pair.h"

static void try(enum type type, size_t rows, size_t outputs, size_t cols, bool bad) {
    struct weight w = random_weight(type, outputs, cols), other;
    uint8_t *p = (uint8_t *)w.data;
    for (size_t i = 0; bad && i < outputs * type_row_bytes(type, cols); i++) p[i] = (uint8_t)random_bits();
    other = w;
    float *x = (bad ? bad_floats : random_floats)(rows * cols), *bias = random_floats(outputs);
    float *want = malloc(rows * outputs * sizeof *want), *got = malloc(rows * outputs * sizeof *got);
    REQUIRE(cpu->ops->bind(cpu, &w, NULL) && card->ops->bind(card, &other, NULL));
    cpu->ops->matmul(cpu, &w, x, rows, bias, want);
    card->ops->matmul(card, &other, x, rows, bias, got);
    check_floats(type_info(type)->name, got, want, rows * outputs);
    cpu->ops->unbind(cpu, &w);
    card->ops->unbind(card, &other);
    free((void *)w.data);
    free(x);
    free(bias);
    free(want);
    free(got);
}

// Each size of their blocks; tiles and blocks that are not full; segments of several lengths, and without a block.
static void products(void) {
    for (uint32_t t = 0; t < TYPE_LIMIT; t++) {
        if (!type_info(t) || !type_info(t)->quantized) continue;
        size_t block = type_info(t)->block;
        try((enum type)t, 9, 18, block * random_size(8, 11), false);
        try((enum type)t, 20, 35, block * random_size(1, 3), true);
        try((enum type)t, 67, 3, block * random_size(1, 2), false);
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
