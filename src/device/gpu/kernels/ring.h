// Products of one row of activations as in paired.h, for types whose blocks are whole 16 bytes and have one group: a
// lane's blocks come to the block's memory by copies that it asks for long before, across the ends of outputs too, so
// that memory always has enough to do, and what is on its way takes no registers. Where a block is 16 bytes nobody else
// reads what a lane asked for, and nobody waits for anybody; longer ones the lanes of an output bring there together,
// so that neighbours ask for neighbouring bytes.
#ifndef DEVICE_GPU_KERNELS_RING_H
#define DEVICE_GPU_KERNELS_RING_H

#include "paired.h"
#include "stage.h"

#if RINGED(TYPE)

// Blocks of a lane that there is room for; all but one are on their way.
enum { RING = BODY == 16 ? 8 : 4, RING_QUADS = BODY / 16 };

struct ring {
    ALIGNED16 uint32_t body[RING][THREADS][RING_QUADS][4];
    uint32_t rest[RING][THREADS]; // the word that the block's rest is in
};
enum { SLOT_BODY = RING_QUADS * THREADS * 16, SLOT_REST = THREADS * 4 }; // from a slot to the next one
enum { RING_ROOM_IS_RIGHT = 1 / (sizeof(struct ring) == RING_ROOM(TYPE)) };

// What a lane's outputs have in common. In turn t it takes block 2 t + lane of its segment, which lies STRIDE blocks
// behind that of the turn before; a block that not all segments have lies elsewhere (strips.h), and comes last.
enum { STRIDE = 2 * SEGMENTS };
struct lane_of_ring {
    unsigned whole, turns; // of an output: in which all lanes have a block, and all
    unsigned first,
        start;     // where the first of the whole turns' lies, counted in blocks of the row; and the first of all
    unsigned last; // where that of the last turn lies, where it is not one of the whole; only if has_last
    bool has_last;
    unsigned step;       // from an output to the next one
    int to_last, to_row; // from the turn before to the last one's block, and from there to the next output's first
};

FN struct lane_of_ring lane_of_ring(const struct product_args *a) {
    unsigned n = a->w.blocks, even = n / SEGMENTS, segment = THREAD % SEGMENTS, lane = THREAD / SEGMENTS % 2;
    struct lane_of_ring l;
    l.whole = even / 2;
    l.turns = (even + (n % SEGMENTS != 0) + 1) / 2;
    l.first = lane * SEGMENTS + segment;
    unsigned j = 2 * l.whole + lane;
    l.last = j < even ? l.first + l.whole * STRIDE : strip_at(n, segment, even);
    l.has_last = j < strip_length(n, segment);
    l.step = a->blocks * (THREADS / PAIR_TEAM);
    if (!l.has_last) l.last = l.first + (l.whole - (l.whole > 0)) * STRIDE; // something that is there
    l.to_last = (int)l.last - (int)(l.first + l.whole * STRIDE) + STRIDE;
    l.start = l.whole ? l.first : l.last;
    l.to_row = (int)(l.step * n + l.start) - (int)(l.turns > l.whole ? l.last : l.first + (l.whole - 1) * STRIDE);
    return l;
}

// The lane's next block: where it is, its turn, how many are to come, and the slot that it goes to.
struct feed {
    const uint8_t *body, *rest;
    unsigned t, slot;
    int left; // below zero when all were asked for
};

// Asks for it; where a lane has no block in a turn, for another one. A word is whole, wherever what is wanted of it
// begins.
FN void ask_next(const struct lane_of_ring *l, struct feed *f, room_place body, room_place rest) {
    if (f->left > 0) {
        bool together = RING_QUADS > 1 && f->t < l->whole; // the team's blocks lie side by side
        long at = together ? 16 * (long)(THREAD % PAIR_TEAM) - (long)(THREAD % PAIR_TEAM * BODY) : 0;
        unsigned step = together ? 16 * PAIR_TEAM : 16;
        UNROLL
        for (unsigned q = 0; q < RING_QUADS; q++)
            copy_to_room(body + f->slot * SLOT_BODY + at + q * step, f->body + at + q * step);
        copy_word_to_room(rest + f->slot * SLOT_REST, (const uint8_t *)((size_t)f->rest & ~(size_t)3));
    }
    send_copies();
    f->left--;
    f->slot = (f->slot + 1) % RING;
    f->t++;
    int on = f->t == l->turns ? l->to_row : f->t == l->whole ? l->to_last : STRIDE;
    f->t = f->t == l->turns ? 0 : f->t;
    f->body += (long)on * BODY;
    f->rest += (long)on * REST;
}

// Out of a slot; what is wanted of its word begins with bit `begin`.
FN void take_block(room_place body, room_place rest, unsigned begin, struct piece *to) {
    UNROLL
    for (unsigned q = 0; q < RING_QUADS; q++) {
        struct quad w = quad_in_room(body + 16 * q);
        UNROLL
        for (unsigned i = 0; i < 4; i++) to->body[4 * q + i] = w.w[i];
    }
    to->rest = word_in_room(rest) >> begin;
}

FN void terms_of_block(const struct rounded *x, const struct piece *p, struct terms *to) {
    struct scales scales = scales_of_block((const uint8_t *)p->body, (const uint8_t *)&p->rest);
    uint32_t w[WORDS];
    codes_of_few((const uint8_t *)p->body, 0, x->grid, w);
    terms_of_group(x, p, &scales, w, 0, 0, 0, to->a, to->b);
}

// Row `r` of activations, which lies behind the ring. All lanes of a warp come to every turn.
FN void multiply_ahead(const struct product_args *a, unsigned r, uint8_t *memory) {
    struct ring *ring = (struct ring *)memory;
    struct chosen_matrix m = {a->w.body, a->w.rest, (const float *)0, a->bias, a->by, TYPE};
    if (a->choice.table) after_earlier();
    if (!choose_matrix(&a->choice, r, &m)) return;
    const struct lane_of_ring l = lane_of_ring(a);
    const room_place body = room_of(ring->body[0][THREAD]), rest = room_of(&ring->rest[0][THREAD]);
    unsigned output = BLOCK_X * (THREADS / PAIR_TEAM) + THREAD / PAIR_TEAM, left = outputs_of_team(a, output, l.step);
    size_t first = (size_t)output * a->w.blocks + l.start;
    struct feed f = {m.body + first * BODY, m.rest + first * REST, 0, 0, (int)(left * l.turns)};
    for (unsigned i = 0; i < RING - 1; i++) ask_next(&l, &f, body, rest);
    after_earlier();
    const struct rounded x = stage_row(a, r, memory + sizeof *ring), at_first = staged_block(&x, l.first),
                         at_last = staged_block(&x, l.last);
    unsigned slot = 0, row = output * a->w.blocks; // the row's low bits
    for (unsigned all = (a->w.rows + l.step - 1) / l.step; all; all--, left -= left > 0) {
        struct rounded own = at_first;
        unsigned begin = (row + l.first) * REST % 4 * 8;
        float sum = 0;
        for (unsigned t = 0; t < l.whole; t++) {
            struct terms terms;
            struct piece now;
            await_copies(RING - 2);
            if (RING_QUADS > 1) meet();
            take_block(body + slot * SLOT_BODY, rest + slot * SLOT_REST, begin, &now);
            terms_of_block(&own, &now, &terms);
            ask_next(&l, &f, body, rest); // to the slot that was read before this one
            slot = (slot + 1) % RING;
            sum = add_terms(&terms, sum);
            own.codes += STRIDE / SEGMENTS * STAGE_CODES;
            own.group += STRIDE / SEGMENTS * STAGE_GROUPS;
        }
        if (l.turns > l.whole) {
            struct terms terms = {{0}, {0}};
            await_copies(RING - 2);
            if (RING_QUADS > 1) meet();
            if (l.has_last) {
                struct piece now;
                take_block(body + slot * SLOT_BODY, rest + slot * SLOT_REST, (row + l.last) * REST % 4 * 8, &now);
                terms_of_block(&at_last, &now, &terms);
            }
            ask_next(&l, &f, body, rest);
            slot = (slot + 1) % RING;
            sum = add_terms(&terms, sum);
        }
        for (unsigned mask = 1; mask < SEGMENTS; mask *= 2) sum += swap_float(sum, mask);
        if (left && THREAD % PAIR_TEAM == 0) give_product(a, &m, r, output, sum);
        output += l.step;
        row += l.step * a->w.blocks;
    }
}

#endif

#endif
