// The norm of a row (docs/arithmetic.md, "Norms"). Its sums are chains of sixteen lanes, n / 16 additions one after the
// other, and a row's time is theirs: so the row is in the block's memory, where the first warp goes along both chains
// with nothing in between, and what lanes add next is on its way.
#ifndef DEVICE_GPU_KERNELS_NORM_H
#define DEVICE_GPU_KERNELS_NORM_H

#include "rows.h"

// Of a row longer than a piece there is a piece at a time. Lanes take AT_ONCE elements at a time, and then as many
// more.
enum { PIECE = 8192, AT_ONCE = 16, TURN = 2 * AT_ONCE * LANES };

struct norm_room {
    ALIGNED16 float x[PIECE + AT_ONCE * LANES]; // behind the last turn something is asked for, and not used
    float mean, inverse;
};

// x[0 .. count - 1] comes to the block's memory; all of it is on its way together.
FN void keep_piece(const float *x, unsigned count, struct norm_room *room) {
    room_place to = room_of(room->x);
    unsigned quads = (size_t)x % 16 ? 0 : count / 4;
    ROLLED
    for (unsigned i = THREAD; i < quads; i += THREADS) copy_to_room(to + 16 * i, x + 4 * i);
    ROLLED
    for (unsigned i = 4 * quads + THREAD; i < count; i += THREADS) copy_word_to_room(to + 4 * i, x + i);
    send_copies();
    await_copies(0);
}

// Behind a piece a lane has whole turns of what changes no sum.
FN unsigned fill_turn(unsigned count, float rest, struct norm_room *room) {
    unsigned end = (count + TURN - 1) / TURN * TURN;
    ROLLED
    for (unsigned i = (count - THREAD % LANES + LANES - 1) / LANES * LANES + THREAD % LANES; i < end; i += LANES)
        room->x[i] = rest;
    return end;
}

FN void some_of_lane(room_place x, float *v) {
    UNROLL
    for (unsigned k = 0; k < AT_ONCE; k++) v[k] = float_of_bits(word_in_room(x + 4 * k * LANES));
}

FN float add_some(float lane, const float *v, bool squares, float mean) {
    UNROLL
    for (unsigned k = 0; k < AT_ONCE; k++) lane = add_element(lane, v[k], squares, mean);
    return lane;
}

// What a lane has of a piece, added to its sum.
FN float add_piece(float lane, unsigned count, bool squares, float mean, struct norm_room *room) {
    room_place x = room_of(room->x + THREAD % LANES), end = x + 4 * fill_turn(count, mean, room);
    float now[AT_ONCE], next[AT_ONCE];
    some_of_lane(x, now);
    ROLLED
    for (; x < end; x += 4 * TURN) {
        some_of_lane(x + 4 * AT_ONCE * LANES, next);
        lane = add_some(lane, now, squares, mean);
        some_of_lane(x + 4 * TURN, now);
        lane = add_some(lane, next, squares, mean);
    }
    return lane;
}

// A row that is no longer than a piece is read once, and is in the block's memory then.
FN struct norm_of_row norm_of(const float *x, unsigned n, bool layer, float eps, struct norm_room *room) {
    bool adds = THREAD / WARP == 0;
    float mean = 0;
    ROLLED
    for (unsigned squares = !layer; squares < 2; squares++) {
        float lane = 0;
        ROLLED
        for (unsigned first = 0; first < n; first += PIECE) {
            unsigned count = n - first < PIECE ? n - first : PIECE;
            if (!squares || !layer || n > PIECE) {
                if (first || (layer && squares)) barrier(); // what is there has been added
                keep_piece(x + first, count, room);
                barrier();
            }
            if (adds)
                lane = squares ? add_piece(lane, count, true, mean, room) : add_piece(lane, count, false, 0, room);
        }
        if (!adds) continue;
        lane = fold_lanes(lane) / (float)n;
        if (!squares) mean = lane;
        if (!squares || THREAD) continue;
        room->mean = mean;
        room->inverse = 1.0f / sqrtf(lane + eps);
    }
    barrier();
    struct norm_of_row r = {room->mean, room->inverse};
    return r;
}

#endif
