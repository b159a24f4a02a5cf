// What stands behind the public handles.
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/sampler.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "text/template.h"
#include "text/tokenizer.h"

struct gyr_tokenizer {
    struct tokenizer *tokens;
    struct checkpoint *checkpoint; // owned, when the tokenizer was opened alone
};

struct gyr_model {
    struct checkpoint *checkpoint;
    struct device *device;
    struct model *model;
    struct gyr_tokenizer tokenizer;
    struct chat_template *chat; // NULL: the file has none
    struct kv_cache *kv[3];     // F32, F16 and Q8, made when the first session wants one
    size_t reserved[3];         // pages promised to sessions
    struct sampler sampler;
    char *name, *types;
};

struct gyr_session {
    struct gyr_model *model;
    struct kv_cache *kv;
    struct pages pages;
    size_t context, promised; // tokens; pages
    int32_t *ids;             // [length], room for context
    size_t length;
    float *logits; // [vocab], of the last token
    bool has_logits;
};

// Bytes of memory a model could use now: what the machine and this process's limits leave.
uint64_t memory_total(void);
uint64_t memory_available(void);

// Copies a message already made into the caller's error; returns its status. For calls that return a gyr_status.
gyr_status status_of(bool ok, const gyr_error *made, gyr_error *e);

// Appends `count` tokens; progress may stop it between pieces (GYR_CANCELLED; what was computed stays).
bool session_feed(struct gyr_session *s, const int32_t *ids, size_t count, float *logits,
                  bool (*progress)(void *user, size_t done, size_t total), void *user, gyr_error *e);

#endif
