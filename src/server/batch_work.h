// The work on batches: one process of those that share a state does it. It asks for the next line, answers it, and
// records the answer; reading files, expiring, cancelling and finishing happen on the way, in batch_next().
#ifndef SERVER_BATCH_WORK_H
#define SERVER_BATCH_WORK_H

#include "server/batches.h"

// The right to work on batches. Any thread may use it, one call at a time.
struct batch_work;

struct batch_limits {
    int64_t lines, line_bytes; // most of a file's; 0: 50,000 lines, 1 MiB
};

// Takes the right to work on the batches of a state; lines that a dead process was working on are open again. NULL with
// GYR_CANCELLED: another process has it. It is free when that ends, whatever way.
struct batch_work *batch_work_new(struct store *s, const struct batch_limits *limits, gyr_error *e);
void batch_work_free(struct batch_work *w);

struct batch_line {
    int64_t batch, line;
    int64_t owner;
    char endpoint[BATCH_ENDPOINT + 1];
    char *custom_id, *body; // body: JSON text of an object
    size_t body_size;
};
void batch_line_clear(struct batch_line *l);

enum batch_turn {
    BATCH_LINE,   // a line to answer; no other call gives it
    BATCH_AGAIN,  // something else was done; ask again
    BATCH_NONE,   // nothing to do now
    BATCH_TROUBLE // the error says what; it goes on later with the same batch, meanwhile with others
};
enum batch_turn batch_next(struct batch_work *w, int64_t now, struct batch_line *line, gyr_error *e);

// A line's answer: the status and body (JSON text) that a client would have got; or, with `error_code`, why there is
// none.
struct batch_answer {
    int status;
    const char *request_id, *body, *error_code, *error_message;
    size_t body_size;
};

// Records a line's answer; when it returns true, that is on the disk, and the line will not be given again. With
// GYR_CANCELLED the answer is not wanted: the batch has been cancelled or has expired, or the line has an answer.
bool batch_record(struct batch_work *w, const struct batch_line *line, const struct batch_answer *a, gyr_error *e);

// The line will not be answered now; it is given again later, and no line of its batch before `until`.
bool batch_give_back(struct batch_work *w, const struct batch_line *line, int64_t until, gyr_error *e);

#endif
