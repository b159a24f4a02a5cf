// Private to src/train: an example on its way through the layers and back. Each step keeps what its gradient needs, and
// the way back is the same list of steps from its end.
#ifndef TRAIN_EXAMPLE_H
#define TRAIN_EXAMPLE_H

#include "train/trainee_parts.h"

// A gated unit or a plain one: gates (NULL: there are none), what they gate, and what comes out, [rows][wide].
struct kept_unit {
    float *gate, *up, *inner;
    size_t rows, wide;
    bool away; // a card has these, and they are not here
};

// Of experts: what the router gave and how it chose; their places, which are the rows of the first expert, then of the
// second, and so on; and what is kept of these.
struct kept_mix {
    float *logits, *scores;        // [rows][experts]
    float *weight, *dweight;       // [rows][used]
    int32_t *expert, *place;       // [rows][used]
    int32_t *row, *first;          // of each place; of each expert, [experts + 1]
    float *gathered, *given;       // [places][hidden]
    float *narrow[3];              // of the pairs of gates, ups and downs
    struct kept_unit unit, shared; // of all places; of the shared expert
    float *shared_given, *share;   // what that gave, and by how much it counts (NULL: in full)
};

// Of a layer that keeps a state: what the convolution read (where all weights are trained), what it gave, before and
// behind SiLU; keys, queries and what steps come
// from, in front of their norms and behind them; what the recurrence reads and gives; and what its gate lets through.
struct kept_state {
    float *before, *pre, *convolved; // of queries, keys and values that are convolved by themselves, one behind another
    float *key_in, *query_in, *low_in, *key, *query, *low, *key_saved, *query_saved, *low_saved;
    float *values, *step, *beta, *given;
    float *gate, *between, *saved, *ready;
    float *gate_low; // what gates come from, where it is not the input
};

// Of experts beside an MLP, [rows][hidden]: what the MLP gave; what the experts and their router read, which are norms
// of the stream; and what the experts gave. And what these norms keep.
struct kept_beside {
    float *dense, *read, *asked, *given;
    float *dense_saved, *read_saved, *asked_saved, *given_saved;
};

// Of a layer's part of per-layer inputs: what its matrix gives, the layer's own vectors, and what it lets through of
// them, [rows][width].
struct kept_input {
    float *gate, *own, *inner;
};

// Keys and values that later layers read, too, and the gradients by these that they give.
struct lent {
    float *k, *v, *dk, *dv;
};

// A branch's way into the stream: what its norm reads (NULL: it has none, or nothing is kept of it).
struct joint {
    float *in, *saved;
};

// What is kept of a layer. Streams and norms are [rows][hidden].
struct kept {
    float *x, *normed, *saved;           // in front of attention
    float *mid, *normed_mlp, *saved_mlp; // behind it, and in front of the MLP
    struct joint attn_joint, mlp_joint;  // and behind each
    float *late;                         // behind the MLP, where a per-layer input comes behind it
    struct joint input_joint;
    struct kept_input input;
    struct lent lent;                   // not NULL: somebody borrows
    uint32_t *chosen;                   // by the layer's indexer, choice_words() of each row; NULL: all are seen
    float *scaled;                      // what attention beside a state reads (NULL: the same as the state)
    float *q_low, *q_each;              // of latent attention, behind its norm, and what q_b gave (if it is trained)
    float *q_in, *k_in, *v_in;          // in front of norms of heads; what is behind them where there are none
    float *q_saved, *k_saved, *v_saved; // of those norms
    float *q, *k, *v, *mixed, *sums;    // as attention() sees them
    float *head_gate, *ready;           // of gated heads: the gates, and what they let through
    struct kept_unit unit;
    struct kept_mix mix;
    struct kept_beside beside;
    struct kept_state state;
    float *narrow[SLOTS]; // of each slot's pair
};

struct example {
    struct trainee *t;
    const float *numbers;
    float *gradients;
    float *angles[2], *temper; // [1]: of layers with a rotation of their own
    size_t rows, hidden;
    float *inputs, *dinputs, *inputs_in, *inputs_saved; // per-layer inputs, [rows][layers][width], and their norm's
    struct kept *kept;                                  // [layers + 1]: the last has the end's stream
    uint32_t again;      // layers, the first, that keep only their streams and are computed again on the way back
    float *memory, *end; // end: for the rows that are learned, some at a time
    float *room;         // of linear maps
    size_t used;
    gyr_error *e;
};

// Scratch of the way: as large as the widest thing of every row; and gradients, [rows][hidden], by the stream, by what
// attention and what is behind it read, and by what a branch gives.
struct scratch {
    float *a, *b, *c, *d, *e, *f, *some;
    float *dx, *dnormed, *dfed, *dbranch;
    float *beside[3]; // of a layer with two branches side by side
    float *state[4];  // gradients by a state's keys, queries, steps and betas
};

// n floats of the example's memory; while it is only counted, NULL.
float *example_room(struct example *x, size_t n);

// Sequence i of an example: rows [first, first + n). False past the last.
bool example_sequence(const struct example *x, size_t i, size_t *first, size_t *n);

// ------------------------------------------------------------------------------------------------ steps.c

// A linear map of some rows, by its slot. Back: dx += the gradient by what went in; `some` is scratch as large.
bool step_linear(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in, float *out,
                 float *narrow);
bool step_linear_back(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in,
                      const float *narrow, const float *dout, float *some, float *dx);

// The same of a dx that is zeros, and need not be yet.
bool step_linear_first_back(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in,
                            const float *narrow, const float *dout, float *some, float *dx);

// n numbers: zeros; to = by * from; to = from + by * plus. They may be the same.
void step_clear(const struct example *x, float *to, size_t n);
void step_scale(const struct example *x, float by, const float *from, float *to, size_t n);
void step_add(const struct example *x, const float *from, float by, const float *plus, float *to, size_t n);

// Maps between these may be computed together: none reads what another writes, and all is there behind the second,
// which returns `ok`, or false if they failed.
void step_together(struct example *x);
bool step_apart(struct example *x, bool ok);

// The map of a slot, and where the gradients of its pair are; for card.h.
struct linear_op step_op(const struct example *x, uint32_t layer, unsigned slot, size_t rows, float **da, float **db);

// The same of every row, keeping what is kept for the slot.
bool step_map(struct example *x, uint32_t layer, unsigned slot, const float *in, float *out);
bool step_map_back(struct example *x, uint32_t layer, unsigned slot, const float *in, const float *dout, float *some,
                   float *dx);

// A norm of every row, or of its vectors. Back: dx += the gradient by what went in.
void step_norm(const struct example *x, const struct host_norm *n, const float *in, float *out, float *saved);
void step_norm_back(const struct example *x, const struct host_norm *n, const float *in, const float *saved,
                    const float *dout, float *some, float *dx);

// u->inner = what the gates let through; back from `dinner` to dgate and dup.
void step_unit(const struct example *x, const struct kept_unit *u);
void step_unit_back(const struct example *x, const struct kept_unit *u, const float *dinner, float *dgate, float *dup);

// ------------------------------------------------------------- what a layer does of `in`, and its way back

// The way back adds to dx, the gradient by `in`; dout is that by `out`.
void attend_lay_out(struct example *x, uint32_t layer);
size_t attend_widest(const struct example *x, uint32_t layer);
bool attend_run(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
bool attend_back(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w, float *dx);

// The same of a state in attention's place.
void recall_lay_out(struct example *x, uint32_t layer);
size_t recall_widest(const struct example *x, uint32_t layer);
bool recall(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
bool recall_back(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w, float *dx);

// Of states: a convolution of every sequence. Back from dy to dx, and to the gradients of all weights; `before` is what
// it read.
void state_convolve(const struct example *x, uint32_t layer, const float *taps, const float *in, float *out);
bool state_convolve_back(struct example *x, uint32_t layer, const float *taps, const float *before, const float *dy,
                         float *dx);

// Of states whose keys decay by element: what the recurrence reads, and the way back from its gradients and the gates'.
void each_lay_out(struct example *x, uint32_t layer);
bool each_project(struct example *x, uint32_t layer, const float *in, struct scratch *w);
bool each_project_back(struct example *x, uint32_t layer, const float *in, const float *dgate,
                       const struct recur_back *d, struct scratch *w, float *dx);

// And of latent attention.
void latent_lay_out(struct example *x, uint32_t layer);
size_t latent_widest(const struct example *x, uint32_t layer);
bool latent_attend(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
bool latent_back(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w, float *dx);

// And of attention beside a state.
void both_lay_out(struct example *x, uint32_t layer);
size_t both_widest(const struct example *x, uint32_t layer);
bool both_run(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
bool both_back(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w, float *dx);

// What layers lend, which stays while others are computed again; and their gradients, zeros.
void attend_lay_out_lent(struct example *x);
void attend_clear_lent(const struct example *x);

// What indexers choose, which stays, too: a layer's own, from its input and the narrow vector that queries come from;
// and what a layer attends to, NULL if that is all.
void indexer_lay_out(struct example *x);
bool indexer_run(struct example *x, uint32_t layer, const float *in, const float *low);
const uint32_t *indexer_chosen(const struct example *x, uint32_t layer);

// Per-layer inputs: all of them, from what the first layer reads, and the way back from their gradients to w->dx; and a
// layer's part, which reads the stream `late`, whose gradient is w->dx.
void inputs_lay_out(struct example *x);
bool inputs_run(struct example *x, const int32_t *ids, struct scratch *w);
bool inputs_back(struct example *x, const int32_t *ids, struct scratch *w);
size_t inputs_widest(const struct example *x);
void input_lay_out(struct example *x, uint32_t layer);
bool input_run(struct example *x, uint32_t layer, float *out);
bool input_back(struct example *x, uint32_t layer, const float *dout, struct scratch *w);

void feed_lay_out(struct example *x, uint32_t layer);
size_t feed_widest(const struct example *x, uint32_t layer);
bool feed(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
bool feed_back(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w, float *dx);

void mix_lay_out(struct example *x, uint32_t layer);
size_t mix_widest(const struct example *x, uint32_t layer);
// The router reads `asked`, which may be `in`; dasked, which may be dx, is the gradient by that.
bool mix(struct example *x, uint32_t layer, const float *in, const float *asked, struct scratch *w, float *out);
bool mix_back(struct example *x, uint32_t layer, const float *in, const float *asked, const float *dout,
              struct scratch *w, float *dx, float *dasked);

// The layer's MLP alone; and experts beside it, which read the stream, whose gradient is w->dx.
bool mlp_run(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
bool mlp_back(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w, float *dx);
void feed_both_lay_out(struct example *x, uint32_t layer);
bool feed_both(struct example *x, uint32_t layer, const float *in, struct scratch *w, float *out);
bool feed_both_back(struct example *x, uint32_t layer, const float *in, const float *dout, struct scratch *w,
                    float *dx);

// A gated or plain MLP of some rows, by the slots that it has, and what is kept of their pairs (gate: or of gate_up's).
struct unit_slots {
    unsigned gate_up, gate, up, down; // NO_SLOT: it has none
};
struct narrow {
    float *gate, *up, *down;
};
void unit_lay_out(struct example *x, uint32_t layer, const struct unit_slots *s, size_t rows, struct kept_unit *u);
bool unit_run(struct example *x, uint32_t layer, const struct unit_slots *s, const struct narrow *kept, const float *in,
              const struct kept_unit *u, struct scratch *w, float *out);
bool unit_run_back(struct example *x, uint32_t layer, const struct unit_slots *s, const struct narrow *kept,
                   const float *in, const struct kept_unit *u, const float *dout, struct scratch *w, float *dx);

// ------------------------------------------------------------------------------------------------- end.c

// The rows whose next token is learned: the output matrix and the loss are for these alone, some at a time. dx is the
// gradient by what the final norm gives; NULL: it is not wanted.
struct ending {
    const int32_t *ids;
    const float *weight;
    float by;
    const float *normed;
    float *dx;
    struct told *told;
};
size_t end_floats(const struct example *x);
bool end_all(struct example *x, const struct ending *g);

// The logits of a row, from what the final norm gave, to where the trainee wants them.
bool end_last(struct example *x, const float *normed);

#endif
