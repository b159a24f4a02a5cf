// What OpenAI's surfaces share.
#ifndef SERVER_OPENAI_H
#define SERVER_OPENAI_H

#include "server/telling.h"

// {"error": {...}}, as https://platform.openai.com/docs/guides/error-codes has it.
void openai_error(struct buf *out, const struct fault *f);
void openai_broke(struct telling *t, const struct fault *f);

// A token's log-probability and those of the likeliest, as chat completions and responses have them, into s->logprobs.
void openai_token(struct telling *t, struct speech *s, const struct said *said);
void openai_put_token(struct telling *t, struct js *o, const struct said *said);

// A token of the prompt, as vLLM has it, with the `tops` likeliest, into s->scores; and "prompt_logprobs" of them.
void openai_prompt_token(struct telling *t, struct speech *s, const struct said *said, size_t tops);
void openai_prompt_logprobs(struct js *o, const struct speech *s);

// How many of the likeliest tokens are wanted.
bool openai_count(const json_t *value, const char *name, size_t *count, struct fault *f);

void openai_ids(struct js *o, const char *key, const int32_t *ids, size_t n);

// Whether a receipt that is asked for can be given: of one choice. Has the model's checksum made, which takes long the
// first time. A clerk calls it, after the members were read.
bool openai_receipt_asked(const struct ask *a, struct fault *f);

// "receipt", if one is wanted.
void openai_receipt(struct js *o, const struct telling *t);

// "usage" of an answer so far.
void openai_usage(struct js *o, const char *key, const struct telling *t);

// "usage" in a chunk of a stream, if it was asked for: null unless it is to be in each.
void openai_chunk_usage(struct js *o, const struct telling *t);

// The end of an answer: the whole reply, or the stream's last chunk, if it was asked for, and its end. Frees `json`.
void openai_finish(struct telling *t, struct buf *json);

#endif
