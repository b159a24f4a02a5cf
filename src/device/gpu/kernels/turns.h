// Products of one row of activations as in paired.h, for types whose blocks are eight groups in whole 16 bytes. Eight
// blocks, one of each segment, lie side by side: the 16 lanes that have an output bring them to the block's memory
// together, 16 bytes a lane and all of them neighbours, two such turns ahead and across the ends of outputs. Then each
// lane takes its run out of the block of its segment.
#ifndef DEVICE_GPU_KERNELS_TURNS_H
#define DEVICE_GPU_KERNELS_TURNS_H

#include "paired.h"
#include "stage.h"

#if TURNED(TYPE)

enum { TEAMS = THREADS / PAIR_TEAM, TURN_QUADS = SEGMENTS * BODY / 16, QUADS_OF_LANE = (TURN_QUADS + 15) / 16 };

struct turns {
    ALIGNED16 uint8_t body[TURN_SLOTS][TEAMS][16 * TURN_QUADS];
    uint32_t rest[REST ? TURN_SLOTS : 1][THREADS]; // the word that the rest of a lane's block is in
};
enum { TURN_ROOM_IS_RIGHT = 1 / (sizeof(struct turns) == TURN_ROOM(TYPE)) };
enum { TURN_BODY = TEAMS * 16 * TURN_QUADS, TURN_REST = THREADS * 4 }; // from a slot to the next one

// Turns of an output, and the lane's place: its segment's block is number `segment` of a whole turn's, and `tail` of
// the last one's, if it has one there.
struct place_of_lane {
    unsigned n, whole, turns, step; // `step`: from an output to the next one
    unsigned segment, tail;
    bool has_tail;
};

FN struct place_of_lane place_of_lane(const struct product_args *a) {
    struct place_of_lane p;
    p.n = a->w.blocks;
    p.whole = p.n / SEGMENTS;
    p.turns = p.whole + (p.n % SEGMENTS != 0);
    p.step = a->blocks * TEAMS;
    p.segment = THREAD % SEGMENTS;
    p.tail = p.n % SEGMENTS * p.segment / SEGMENTS;
    p.has_tail = strip_length(p.n, p.segment) > p.whole;
    return p;
}

// The team's next turn: where it is, and the slot that it goes to.
struct next_turn {
    const uint8_t *body, *rest;
    unsigned t, slot;
    int left; // turns to come; below zero when all were asked for
};

// Asks for it. A word is whole, wherever what is wanted of it begins.
FN void ask_turn(const struct place_of_lane *p, struct next_turn *f, room_place body, room_place rest) {
    if (f->left > 0) {
        unsigned lane = THREAD % PAIR_TEAM, quads = f->t < p->whole ? TURN_QUADS : p->n % SEGMENTS * (BODY / 16);
        UNROLL
        for (unsigned k = 0; k < QUADS_OF_LANE; k++)
            if (lane + PAIR_TEAM * k < quads)
                copy_to_room(body + f->slot * TURN_BODY + 16 * (lane + PAIR_TEAM * k),
                             f->body + 16 * (lane + PAIR_TEAM * k));
        if (REST) {
            const uint8_t *at = f->rest + (f->t < p->whole ? p->segment : p->tail) * REST;
            copy_word_to_room(rest + f->slot * TURN_REST, (const uint8_t *)((size_t)at & ~(size_t)3));
        }
    }
    send_copies();
    f->left--;
    f->slot = (f->slot + 1) % TURN_SLOTS;
    f->t = f->t + 1 == p->turns ? 0 : f->t + 1;
    int on = f->t ? SEGMENTS : (int)(p->step * p->n) - (int)((p->turns - 1) * SEGMENTS);
    f->body += (long)on * BODY;
    f->rest += (long)on * REST;
}

// A lane's run of turn t, of the output that begins with the matrix's block `row`, of which the low bits are enough.
FN void terms_of_turn(const struct place_of_lane *p, const struct rounded *x, unsigned t, room_place body,
                      room_place rest, unsigned row, struct terms *to) {
    unsigned lane = THREAD / SEGMENTS % 2, block = t < p->whole ? p->segment : p->tail;
    struct piece run;
    take_run(in_room(body + block * BODY), lane, &run);
    if (REST) run.rest = word_in_room(rest) >> (row + t * SEGMENTS + block) * REST % 4 * 8;
    struct scales scales = scales_of_block((const uint8_t *)run.body, (const uint8_t *)&run.rest);
    struct rounded own = staged_block(x, t * SEGMENTS + block);
    run_of_integers(&own, &run, &scales, 0, RUN * lane, 1, to->a);
    to->b[0] = scale_of_run(&own, RUN * lane, 0);
}

// Row `r` of activations, which lies behind the slots. All lanes of a warp come to every turn.
FN void multiply_ahead(const struct product_args *a, unsigned r, uint8_t *memory) {
    struct turns *slots = (struct turns *)memory;
    struct chosen_matrix m = {a->w.body, a->w.rest, (const float *)0, a->bias, a->by, TYPE};
    if (a->choice.table) after_earlier();
    if (!choose_matrix(&a->choice, r, &m)) return;
    const struct place_of_lane p = place_of_lane(a);
    const room_place body = room_of(slots->body[0][THREAD / PAIR_TEAM]), rest = room_of(&slots->rest[0][THREAD]);
    unsigned output = BLOCK_X * TEAMS + THREAD / PAIR_TEAM, left = outputs_of_team(a, output, p.step);
    size_t first = (size_t)output * p.n;
    struct next_turn f = {m.body + first * BODY, m.rest + first * REST, 0, 0, (int)(left * p.turns)};
    for (unsigned i = 0; i < TURN_SLOTS - 1; i++) ask_turn(&p, &f, body, rest);
    after_earlier();
    const struct rounded x = stage_row(a, r, memory + sizeof *slots);
    unsigned slot = 0;
    for (unsigned all = (a->w.rows + p.step - 1) / p.step; all; all--, left -= left > 0) {
        float sum = 0;
        for (unsigned t = 0; t < p.turns; t++) {
            struct terms terms = {{0}, {0}};
            await_copies(TURN_SLOTS - 2);
            meet(); // what the others asked for is there, and nobody reads the turn before any more
            ask_turn(&p, &f, body, rest);
            if (t < p.whole || p.has_tail)
                terms_of_turn(&p, &x, t, body + slot * TURN_BODY, rest + slot * TURN_REST, output * p.n, &terms);
            slot = (slot + 1) % TURN_SLOTS;
            sum = add_terms(&terms, sum);
        }
        for (unsigned mask = 1; mask < SEGMENTS; mask *= 2) sum += swap_float(sum, mask);
        if (left && THREAD % PAIR_TEAM == 0) give_product(a, &m, r, output, sum);
        output += p.step;
    }
}

#endif

#endif
