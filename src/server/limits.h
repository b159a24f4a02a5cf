// How much a key may use, by the minute, by the day and at once. All of it is in memory; any thread may use it.
//
// Rates are token buckets: a bucket holds a minute's (a day's) worth, begins full, is refilled evenly, and a request
// takes from it what it needs. What a request will need is not known before it has answered: it takes an estimate, and
// settles later. A bucket may owe after that, and is then empty until the debt is refilled.
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include "server/keys.h"

struct limits;

struct limits *limits_new(void); // NULL without memory
void limits_free(struct limits *l);

enum limit_reason {
    LIMIT_NONE,
    LIMIT_REQUESTS,        // requests per minute
    LIMIT_TOKENS,          // tokens per minute
    LIMIT_DAY,             // tokens per day
    LIMIT_CONCURRENCY,     // requests at once
    LIMIT_REQUEST_TOO_BIG, // it would not even fit a full bucket: waiting does not help
    LIMIT_NO_MEMORY,
};

// The figures are of after the decision. A limit of 0: none.
struct limit_verdict {
    enum limit_reason reason; // LIMIT_NONE: the request is let in
    double retry_after;       // seconds until it would be, if nobody else asks; 1 for LIMIT_CONCURRENCY
    uint64_t limit_requests, remaining_requests;
    uint64_t limit_tokens, remaining_tokens;
    double reset_requests, reset_tokens; // seconds until the bucket is full again
};

// Asks for a request that may take so many tokens, prompt and answer. `now`: seconds of a clock that does not go back.
// One that is let in is to be ended with limits_end(). One that is not took nothing.
struct limit_verdict limits_begin(struct limits *l, const struct key *k, uint64_t tokens, double now);

// Whether the requests of the minute, or those at once, are used up already: nothing is taken, and no headers of tokens
// are known. So who asks too often costs no reading.
struct limit_verdict limits_look(struct limits *l, const struct key *k, double now);

// The request is over: it took so many tokens, where the estimate was so many.
void limits_end(struct limits *l, const struct key *k, uint64_t estimate, uint64_t took, double now);

// The same for a line of a batch. Only the limit of the day holds it back: it comes after all requests, a few at once,
// and must not use up what its key has for them.
struct limit_verdict limits_begin_line(struct limits *l, const struct key *k, uint64_t tokens, double now);
void limits_end_line(struct limits *l, const struct key *k, uint64_t estimate, uint64_t took, double now);

// Whether the key's day has been drawn from, or begun with limits_seed().
bool limits_day_known(struct limits *l, const struct key *k);

// After a start: the key has used so many tokens today, of which so many seconds are over.
void limits_seed(struct limits *l, const struct key *k, uint64_t used_today, double seconds, double now);

// Gives the headers of a reply, under OpenAI's names: x-ratelimit-{limit,remaining,reset}-{requests,tokens} of the
// limits that the key has, and retry-after where the request was not let in.
void limits_headers(const struct limit_verdict *v, void (*put)(void *user, const char *name, const char *value),
                    void *user);

// One sentence for the client; NULL if it was let in.
const char *limits_message(const struct limit_verdict *v);

#endif
