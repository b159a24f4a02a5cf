// What the APIs have in common of a request's members: sampling, lengths, stop strings. Each API has a table of its
// members; what is in none of its rows is refused by name, because an answer must never ignore what was asked for.
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include "server/job.h"
#include "server/spellings.h"

#include <jansson.h>

enum field_kind {
    FIELD_IGNORED, // of no consequence for the answer
    FIELD_READ,    // read elsewhere
    FIELD_BOOL,    // bool
    FIELD_WHOLE,   // size_t
    FIELD_REAL,    // float
    FIELD_NULL,    // must be absent, null, false, empty or zero
    FIELD_OF       // by its own function
};

struct ask {
    struct job *job;
    const json_t *body;
    const gyr_tokenizer *tokenizer;
    struct spellings *spellings; // NULL: none are kept
    struct store *store;         // NULL: nothing can be kept
    int64_t owner;               // whose it would be
    bool stream, usage;          // streamed; with its usage at the end
    bool usage_each;             // and so far in each chunk
    struct buf *reply;           // what reading may put the whole reply's JSON into, where no model has to answer
    size_t context;              // most tokens of prompt and answer
    size_t n, top_k, top_logprobs, logprobs_count, seed, priority;
    bool logprobs;
    bool budgeted; // reasoning has a budget of so many tokens
    size_t budget;
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset; // in struct ask or, `of_sampling`, gyr_sampling; in struct job with `of_job`
    enum { IN_ASK, IN_SAMPLING, IN_JOB } in;
    double min, max;
    bool (*read)(struct ask *a, const json_t *value, const char *name, struct fault *f);
};

#define IN_ASK(member)      offsetof(struct ask, member), IN_ASK
#define IN_SAMPLING(member) offsetof(gyr_sampling, member), IN_SAMPLING
#define IN_JOB(member)      offsetof(struct job, member), IN_JOB

// Reads the body's members by the API's table and then by the common one.
bool ask_fields(struct ask *a, const struct field *own, size_t n, struct fault *f);

// The same for an object inside it, after which ask_settle() is due.
bool ask_members(struct ask *a, const json_t *object, const struct field *own, size_t n, struct fault *f);
void ask_settle(struct ask *a);

// A member that is a string; NULL if it is not.
static inline const char *ask_text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

// Reads stop strings, one or a list.
bool ask_stop(struct ask *a, const json_t *value, const char *name, struct fault *f);

// Whose calls the request's are.
struct speller ask_speller(const struct ask *a);

// A body that is a JSON object; NULL if it is not.
json_t *ask_body(const struct exchange *x, struct fault *f);

// Checks "metadata", which is kept and given back: an object of up to 16 texts. NULL and null are none.
bool ask_metadata(const json_t *metadata, struct fault *f);

// Takes the tokens over as the job's prompt; false (context_length_exceeded) if they do not fit.
bool ask_prompt(struct ask *a, gyr_tokens *tokens, struct fault *f);

// The text of a message's content: a string, or a list of parts that are text, joined by `joint`. NULL (not a fault):
// null or absent. What is no text is refused.
bool ask_content(const json_t *content, const char *joint, char **text, struct fault *f);

#endif
