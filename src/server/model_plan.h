// How much memory a model will take, known before it is loaded.
#ifndef SERVER_MODEL_PLAN_H
#define SERVER_MODEL_PLAN_H

#include "server/server.h"

struct model_plan {
    uint64_t weights; // bytes
    uint64_t talk;    // kept free for its conversations: what --kv-memory says, or one of TALK_TOKENS
};

enum { TALK_TOKENS = 4096 };

// Reads the model's description. False: it cannot be served.
bool model_plan(struct model_plan *plan, const struct model_source *source, const gyr_model_options *o, gyr_error *e);

// What gyr plan says of it in a line: memory by part, and the speeds that gyr bench measured here; NULL: nothing.
// free().
char *model_summary(const char *path, const struct serve_options *o);

// What models may take together where nobody said: the machine's memory, but for a part that is left to the system.
uint64_t model_memory(void);

// A card of this machine that whole models may go to, and the memory that it has for them: what was free at the start,
// but for a part that is left to programs.
struct model_card {
    char name[32]; // as gyr_model_info.device has it
    uint64_t memory;
};

// Those that the options let them go to, `room` at most.
size_t model_cards(struct model_card *all, size_t room, const gyr_model_options *o);

#endif
