// How a model is shared out among ranks: by layers, or by the rows of its matrices and its experts. The second takes a
// message for every product, and all ranks compute at once; the first a message for every rank, and they take turns.
#include "engine/ranks.h"

#include "base/clock.h"
#include "device/read_rate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 4, STEPS = 8, MESSAGES = 4, LARGE = 256 << 20 }; // messages of a layer; weights worth measuring for

double weights_of(const struct gyr_model *m) {
    double bytes = 0;
    for (size_t i = 0; i < m->checkpoint->n_tensors; i++) bytes += (double)m->checkpoint->tensors[i].bytes;
    return bytes;
}

double split_speed(const struct gyr_model *m) {
    double rate = 0;
    if (weights_of(m) < LARGE) return 0;
    if (device_has_read_rate(m->device)) return device_read_rate(m->device, &rate, NULL) ? rate : 0;
    if (strcmp(m->device->ops->kind, "cpu")) return 0;
    return device_cpu_bandwidth(m->device, 0.05);
}

bool split_gap(struct ranks *r, double *gap, gyr_error *e) {
    struct buf b = {0};
    bool ok = true;
    *gap = INFINITY;
    for (int i = 0; ok && i < ROUNDS; i++) {
        double begun = now_seconds();
        ok = ranks_agree(r, true, NULL, &begun, sizeof begun, &b, e);
        if (now_seconds() - begun < *gap) *gap = now_seconds() - begun;
    }
    ok = ok && ranks_agree(r, true, NULL, gap, sizeof *gap, &b, e); // rank 0's is everybody's
    if (ok) memcpy(gap, b.data, sizeof *gap);
    buf_free(&b);
    return ok;
}

// Speeds as whole eighths of the fastest, so that what is measured of machines of one kind is one number.
void split_round(double *speed, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = speed[i] > most ? speed[i] : most;
    for (size_t i = 0; i < n; i++) {
        double steps = most > 0 ? floor(speed[i] / most * STEPS + 0.5) : STEPS;
        speed[i] = (steps < 1 ? 1 : steps) / STEPS;
    }
}

// Parts by speed, none larger than its machine's memory, what is too much for one being the others'.
bool split_parts(const double *speed, const uint64_t *memory, size_t n, double bytes, double *part) {
    double left = 1;
    bool *full = calloc(n, sizeof *full);
    for (size_t turn = 0; full && turn < n; turn++) {
        double all = 0;
        bool more = false;
        for (size_t i = 0; i < n; i++) all += full[i] ? 0 : speed[i];
        for (size_t i = 0; i < n && all > 0; i++) {
            if (full[i]) continue;
            part[i] = left * speed[i] / all;
            if (part[i] * bytes <= (double)memory[i]) continue;
            full[i] = more = true;
        }
        if (!more) break;
        left = 1;
        for (size_t i = 0; i < n; i++)
            if (full[i]) left -= part[i] = (double)memory[i] / bytes;
    }
    double sum = 0;
    for (size_t i = 0; full && i < n; i++) sum += part[i];
    bool ok = full && fabs(sum - 1) < 1e-9;
    free(full);
    return ok;
}

// Seconds of a token: in turns, or at once and with a message for each product. In units of what is read.
struct cost {
    double layers, rows, alone, first; // alone: on the best that has room; first: on rank 0
};

static struct cost cost_of(const struct shared *s, const struct model *look, double bytes) {
    struct cost c = {.layers = 0, .alone = INFINITY, .first = INFINITY};
    double all = 0, most = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        all += s->speed[i] * s->fastest;
        most = s->speed[i] > most && bytes * 1.1 <= (double)s->memory[i] ? s->speed[i] : most;
    }
    c.layers = s->count * bytes / all + s->count * s->gap / 2;
    c.rows = bytes / all + (look->h.layers * (double)MESSAGES + 1) * s->gap;
    if (most > 0) c.alone = bytes / (most * s->fastest);
    if (bytes * 1.1 <= (double)s->memory[0]) c.first = bytes / (s->speed[0] * s->fastest);
    return c;
}

// Cards have keys, values, states and activations whole beside their part: what room that leaves was counted.
static bool parts_of_rows(const struct shared *s, double bytes) {
    bool counted = s->cards && s->rows_bytes > 0;
    for (uint32_t i = 0; i < s->count && counted; i++) s->memory[i] = s->room[i] > 0 ? (uint64_t)s->room[i] : 0;
    return split_parts(s->speed, s->memory, s->count, counted ? s->rows_bytes : bytes, s->part);
}

bool split_choose(struct gyr_model *m, struct shared *s, gyr_error *e) {
    gyr_split want = m->options.split;
    struct model *look = model_look(m->checkpoint, m->device, e);
    if (!look) return false;
    double bytes = weights_of(m);
    struct cost c = cost_of(s, look, bytes);
    bool whole = look->h.layer_input || look->h.bidirectional; // such a model cannot be cut by layers
    double chosen;
    s->rows = want == GYR_SPLIT_ROWS ||
              ((want == GYR_SPLIT_AUTO || want == GYR_SPLIT_ANSWER) &&
               (whole || (!s->cards && c.rows < 0.9 * c.layers))); // what is better for cards, nobody has measured
    chosen = s->rows ? c.rows : c.layers;
    s->slower = c.alone < 0.95 * chosen ? chosen / c.alone : 0;
    s->alone = want == GYR_SPLIT_ANSWER && c.first < chosen;
    model_free(look);
    if (!s->rows || s->alone) return true;
    if (s->cards && s->cards < s->count)
        return fail(e, GYR_UNSUPPORTED,
                    "%s: %s all ranks need a card of their own or none, and rank %u has none; choose --device cpu, or "
                    "start fewer",
                    m->checkpoint->path, whole ? "cannot be cut by layers, and by rows" : "by rows", s->without);
    return parts_of_rows(s, bytes) ||
           fail(e, GYR_NO_MEMORY,
                "%s: the weights take %.1f GB, for which %u ranks have no room; choose a smaller type or more machines",
                m->checkpoint->path, bytes / 1e9, s->count);
}

bool shared_new(struct shared *s, uint32_t count, gyr_error *e) {
    *s = (struct shared){.count = count};
    s->sharers = calloc(count, sizeof *s->sharers);
    s->memory = calloc(count, sizeof *s->memory);
    s->speed = calloc(count, sizeof *s->speed);
    s->part = calloc(count, sizeof *s->part);
    s->room = calloc(count, sizeof *s->room);
    return (s->sharers && s->memory && s->speed && s->part && s->room) || fail_memory(e, "ranks");
}

void shared_free(struct shared *s) {
    free(s->sharers);
    free(s->memory);
    free(s->speed);
    free(s->part);
    free(s->room);
}
