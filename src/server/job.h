// What a request asks of a model, whatever API it came by, and what comes of it. A clerk makes it, the scheduler has it
// answered, the loop tells the client.
#ifndef SERVER_JOB_H
#define SERVER_JOB_H

#include "server/exchange.h"
#include "server/fault.h"
#include "server/metering.h"

#include <pthread.h>

struct served;
struct tuned;
struct scheduler;
struct job;
struct budget;

// What the scheduler says of a job, in order.
enum said_kind {
    SAID_READ,   // `count` of the prompt's tokens are computed, `cached` of them were there; where it is wanted
    SAID_BEGUN,  // the prompt is computed: `count` of its tokens, `cached` were there
    SAID_PROMPT, // a token of the prompt is computed: as SAID_TOKEN, before SAID_BEGUN
    SAID_TOKEN,  // a token was chosen: `id`, its bytes; `count` likeliest ones if log-probabilities are asked for
    SAID_TEXT,   // text that is certain
    SAID_END,    // the choice is over: `stop`, `count` tokens
    SAID_FAILED  // so is the whole job: `status` and the message
};

struct said {
    enum said_kind kind;
    unsigned choice;
    int32_t id;
    float logprob;
    size_t count, cached;
    int stop, status;
    double seconds[2];          // SAID_END: of the prompt, of the answer
    struct energy_spent energy; // SAID_END: of the whole job until now
    const char *text;           // SAID_END: the receipt, if one is wanted
    size_t size;
    const int32_t *top_ids;
    const float *top_logprobs;
};

// How an API tells what is said. Called in the loop.
struct teller {
    void (*said)(struct job *job, const struct said *s);
    void (*done)(struct job *job);                          // all choices are over
    void (*failed)(struct job *job, const struct fault *f); // perhaps after some of it was told
};

struct prompt {
    int32_t *ids;
    size_t count;
};

struct job {
    struct exchange *x;
    struct served *model; // held
    struct tuned *tuned;  // held and open; NULL: the model as it is
    const struct teller *teller;
    void *telling; // the teller's own, freed by `forget`
    void (*forget)(void *telling);

    // What is asked.
    int32_t *prompt;
    size_t count;
    struct prompt *more; // prompts beside the first, `n_more` of them
    unsigned n_more;
    unsigned each;         // choices of each prompt: those of the first come first
    gyr_sampling sampling; // its biases are the job's
    int32_t *bias_ids;
    float *bias_values;
    size_t max_tokens, min_tokens;
    int32_t *stop_ids;
    size_t stop_id_count;
    char **stop;
    size_t stop_count;
    int32_t logprobs;         // as in gyr_generate_options
    int32_t prompt_logprobs;  // the same of the prompts' tokens; their beginnings are not looked for then
    bool prompt_each;         // told with each choice; else with the first of each prompt
    bool no_answer;           // the prompt is all that is wanted
    bool ignore_end, receipt; // a receipt is wanted
    bool progress;            // so is news of how much of the prompt is computed
    bool one_call;            // an answer ends with its first call of a tool
    unsigned n;
    bool (*work)(struct job *job, gyr_error *e); // instead of an answer: a part of it, on the engine's thread. True:
                                                 // there is more; false: done, or failed
    int priority;                                // lower comes first
    uint64_t owner;                              // who asks: what is fair is fair between owners
    uint64_t salt;                               // prefixes are shared among equals only; with what the adapter's is
    gyr_grammar *grammar;                        // NULL: none
    struct budget *budget;                       // for reasoning; NULL: none
    const char *wakes;                           // the grammar holds once this text has come; NULL: at once

    // Between the scheduler and the loop.
    struct scheduler *scheduler;
    pthread_mutex_t lock;
    struct buf queue; // of what was said and not told yet
    bool posted, over;
    atomic_bool cancelled;
    _Atomic uint64_t enough; // bit i: choice i has said all that is wanted
    atomic_uint holders;

    // What it took, for who keeps books: called when nobody holds it any more.
    void (*settle)(struct job *job);
    void *settling;
    uint64_t estimate;
    uint64_t took_prompt, took_cached, took_answer; // tokens; the scheduler's until then

    // The scheduler's.
    struct job *next;
    unsigned begun, open; // choices
    struct share share;   // of the machine's energy
    double queued;
};

// Holds all three; the adapter may be NULL. NULL: memory is out.
struct job *job_new(struct exchange *x, struct served *model, struct tuned *tuned);

// What the client calls what answers: the adapter's name, or the model's.
const char *job_model(const struct job *j);

// The prompt of a choice; tokens of all prompts.
struct prompt job_prompt(const struct job *j, unsigned choice);
size_t job_tokens(const struct job *j);

// Whether the tokens of a choice's prompt are told with it.
bool job_scores(const struct job *j, unsigned choice);

void job_hold(struct job *j);
void job_release(struct job *j);

// In the scheduler: says something; the loop is told.
void job_say(struct job *j, const struct said *s);

// In the loop: the client has left, or the teller wants no more.
void job_cancel(void *job);

#endif
