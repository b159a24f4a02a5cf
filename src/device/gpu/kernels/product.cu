// Products with quantized weights, and rows of a quantized table (docs/arithmetic.md, "Products with quantized
// weights"). Compiled once for each TYPE_NAME.
// Told nothing, the compiler keeps some registers of these in memory. BLOCKS is how many blocks of threads a processor
// is to have room for.
#if TYPE == 11 || TYPE == 16 || TYPE == 18 || TYPE == 19 || TYPE == 29 || TYPE == 40
#define BLOCKS 1
#endif
#include "chip.h"

#include "args.h"
#include "few.h"
#include "fours.h"
#include "ring.h"
#include "strips.h"
#include "turns.h"
#include "types.h"

#if RINGED(TYPE) || TURNED(TYPE)
EARLY_KERNEL(product, product_args) {
    ROOM(room);
    if (COPIES_LATER && a.room)
        multiply_ahead(&a, BLOCK_Y, room); // ring.h, turns.h
    else
        multiply_paired(&a, BLOCK_Y);
}
#elif PAIRED(TYPE)
EARLY_KERNEL(product, product_args) { multiply_paired(&a, BLOCK_Y); }
#elif defined(BLOCKS) && TYPE != 40
#undef BLOCKS
#define BLOCKS 2
EARLY_KERNEL(product, product_args) { multiply(&a, BLOCK_Y, 1); }
#undef BLOCKS
#define BLOCKS 1
#else
EARLY_KERNEL(product, product_args) { multiply(&a, BLOCK_Y, 1); }
#endif

// FEW rows at a time, BLOCK_Y of them; the last ones may be fewer.
EARLY_KERNEL(product_few, product_args) { multiply(&a, BLOCK_Y * FEW, FEW); }

// Rows of a table: BLOCK_X is the row. Eight neighbouring threads have a group, which each unpacks, and four elements
// each.
KERNEL(embed, embed_args) {
    unsigned n = a.table.blocks, t = BLOCK_Y * THREADS + THREAD, g = t / WORDS, own = t % WORDS, i = g % GROUPS;
    if (g >= n * GROUPS) return;
    unsigned place = kept(strip_of(n, g / GROUPS)); // found while the row's number is on its way
    size_t block = (size_t)a.ids[BLOCK_X] * n + place;
    const uint8_t *body = a.table.body + block * BODY;
    struct scales s = scales_of_block(body, a.table.rest + block * REST);
    int scale = scale_of_half(body, i, 2 * own / WORDS), minimum = minimum_of_half(body, i, 2 * own / WORDS);
    uint32_t w[WORDS], word = 0;
    codes_of_group(body, i, a.table.grid, w);
    UNROLL
    for (unsigned k = 0; k < WORDS; k++) word = own == k ? w[k] : word;
    float v[4];
    for (unsigned k = 0; k < 4; k++) {
        float x = s.d * (float)scale * (float)((int)(int8_t)(word >> 8 * k) - ZERO);
        v[k] = OFFSET ? x + s.low * (float)minimum : x;
    }
    four_to(a.y + (size_t)BLOCK_X * a.table.cols + 4 * (size_t)t, 4, v);
}
