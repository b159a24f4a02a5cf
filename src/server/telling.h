// An answer on its way to the client, in terms that all APIs have: reasoning, text, and calls of tools, of one choice
// or several. An API is a table of functions that put this into its own words. All in the loop.
#ifndef SERVER_TELLING_H
#define SERVER_TELLING_H

#include "server/ask.h"
#include "server/output.h"
#include "server/write_json.h"

enum speech_kind { SPEECH_REASONING, SPEECH_TEXT, SPEECH_CALL, SPEECH_ARGUMENTS, SPEECH_CALL_END };

struct call {
    char id[32];
    char *name;
    struct buf arguments; // JSON; only its beginning if `cut`
    bool cut;             // the answer ended, or went wrong, within the arguments
};

// What one choice has said so far.
struct speech {
    unsigned index;
    struct buf text, reasoning;
    struct call *calls;
    size_t n_calls, calls_room;
    enum speech_kind last; // what the latest event was of
    bool spoken;           // there was one
    bool closed;           // there is to be none any more
    struct buf logprobs;   // of each token since it was cleared, as the surface's token() has it
    struct buf scores;     // of each token of the prompt, as the surface's prompt() has it
    struct buf ids;        // int32_t of each token
    struct buf receipt;    // JSON, if one is wanted and it is over
    size_t tokens, reasoning_tokens;
    int stop; // gyr_stop; 0: it goes on
    struct telling *telling;
    struct output *reader; // NULL: all is text
};

struct telling;

struct surface {
    const char *type; // of a whole reply
    const char *stream_type;
    bool objects; // clients get the arguments of calls as objects, and send them back so: spellings.h
    bool no_ids;  // and calls without an id
    void (*start)(struct telling *t);                         // a stream begins
    void (*read)(struct telling *t, const struct said *said); // more of the prompt is computed; may be NULL
    void (*begun)(struct telling *t, struct speech *s);       // in it, a choice: its prompt is computed
    void (*prompt)(struct telling *t, struct speech *s, const struct said *said); // a token of the prompt; may be NULL
    void (*event)(struct telling *t, struct speech *s, enum speech_kind kind, const char *text, size_t size);
    void (*token)(struct telling *t, struct speech *s, const struct said *said); // with log-probabilities; may be NULL
    void (*over)(struct telling *t, struct speech *s);                           // a choice is
    void (*done)(struct telling *t);                         // all are: the whole reply, or the stream's end
    void (*error)(struct buf *out, const struct fault *f);   // a reply that is an error
    void (*broke)(struct telling *t, const struct fault *f); // a stream that has begun ends with one
    void (*free_own)(void *own);                             // NULL: free()
};

struct telling {
    const struct surface *surface;
    struct job *job;
    const gyr_tokenizer *tokenizer;
    struct speller speller;
    json_t *tools; // that may be called; NULL: none
    struct speech *speeches;
    unsigned n;
    bool stream, usage, usage_each, started;
    bool wants_logprobs, wants_ids;
    size_t prompt_tokens, cached;
    size_t held; // bytes of the speeches
    long long created;
    struct buf out; // of a stream, not sent yet
    void *own;      // the surface's
    double prompt_seconds, answer_seconds;
    bool over; // a choice at least
    struct energy_spent energy;
};

// Gives the job its teller. False: memory is out.
bool telling_new(struct job *j, const struct surface *surface, const struct ask *a, struct fault *f);

// Has reasoning and calls of the tools (a hold of them is taken; NULL: none) told apart from text. Once the job has its
// prompt.
bool telling_reads(struct telling *t, json_t *tools, struct fault *f);

// What the prompt's end says of how the answer begins.
enum format_begins telling_begins(const struct telling *t);

// Puts an event "data: ..." into the stream; with a name, "event: NAME" before it.
void telling_event(struct telling *t, const char *name, const struct buf *json);

// Sends what `out` has.
void telling_send(struct telling *t);

// Replies whole, with the surface's type.
void telling_reply(struct telling *t, const struct buf *body);

// Puts what is known of the energy, once a choice is over: "energy": {"joules", "basis"}.
void telling_energy(struct js *o, const struct telling *t);

// Why a choice is over, as OpenAI says: "stop", "length" or "tool_calls".
const char *finish_reason(const struct speech *s);

// The text of a token, special or not: free with gyr_free(). NULL if memory is out.
char *token_text(const struct telling *t, int32_t id, size_t *size);

// Replies to a request with an error in the words of a surface. From any thread.
void reply_fault(struct exchange *x, const struct surface *surface, const struct fault *f);

#endif
