// Launches on their way to the card. They are kept for a moment, and go over some dozens at a time; a list that was
// seen before goes as a graph, one call of the driver for all of it. A step of a decode asks for the same launches as
// the one before: what differs from step to step is in the card's memory, not in arguments.
#ifndef DEVICE_GPU_RECORD_H
#define DEVICE_GPU_RECORD_H

#include "device/gpu/gpu.h"

bool gpu_record_new(struct gpu *g, gyr_error *e);
void gpu_record_free(struct gpu *g);

// Adds a launch of a function of the driver's. `name` is for messages, and stays in place.
bool gpu_record(struct gpu *g, void *function, const char *name, const struct launch *launch);

// The arguments of the launch that was asked for last, which may still be changed; NULL: it is on its way.
uint8_t *gpu_record_last(struct gpu *g);

// The next launch begins when all before it has ended, and so what comes behind it: weights may be fetched early.
void gpu_record_alone(struct gpu *g);

// Whatever else goes to the card, or waits for it, comes behind the launches that were asked for before.
bool gpu_flush(struct gpu *g);

// How often lists went as graphs, and how many graphs were made.
void gpu_record_count(const struct gpu *g, size_t *replayed, size_t *made);

// A step ends: the next launch is the first of another one, which mostly asks for the same.
void gpu_record_step(struct gpu *g);

// The card has done all that it was asked for: what it no longer needs is given back.
void gpu_record_settled(struct gpu *g);

#endif
