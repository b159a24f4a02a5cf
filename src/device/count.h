// A device that computes nothing and counts what it is asked for: what a step of a model costs, found by running the
// pass itself. Weights need no bytes; memory is handed out and touched only where the host writes.
#ifndef DEVICE_COUNT_H
#define DEVICE_COUNT_H

#include "device/device.h"

// Elements are a norm's, a sum's and the like; those of activations, and of queries and keys that are rotated and
// written to the cache, take longer.
enum work { WORK_PRODUCT, WORK_ATTENTION, WORK_STATE, WORK_ELEMENTS, WORK_ACTIVATION, WORK_ROTATION };

// Equal operations, taken together: the numbers are those of one.
struct counted {
    enum work work;
    enum type type; // of the weights, or of the cache
    size_t rows;    // that go through each matrix
    size_t cols;    // of each matrix
    uint64_t calls;
    bool beside;    // others of the same call: it waits for none
    double weights; // bytes of matrices that are read
    double cache;   // bytes of keys, values and states that are read or written
    double stream;  // bytes of activations that are read and written
    double ops;     // arithmetic operations; a multiply-add is two
};

// `like`: the device whose form of the weights is counted; NULL: as the file has them. It stays the caller's.
// `rows`: most of a batch.
struct device *device_count(struct device *like, size_t rows, gyr_error *e);

// A device that is asked for nothing but what a matrix takes: on a card, whatever its vendor.
struct device *device_like_card(void);

// What was counted since the last device_count_clear(), *n of them.
const struct counted *device_counted(const struct device *d, size_t *n);
void device_count_clear(struct device *d);

// Bytes that are allocated now.
uint64_t device_count_held(const struct device *d);

// Whether counting failed for want of memory: what was counted is then not all.
bool device_count_failed(const struct device *d);

#endif
