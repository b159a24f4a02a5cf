// POST /v1/completions (https://platform.openai.com/docs/api-reference/completions): between completions.c, which tells
// an answer, and completions_read.c, which reads what is asked.
#ifndef SERVER_COMPLETIONS_H
#define SERVER_COMPLETIONS_H

#include "server/telling.h"

// The telling's own.
struct completion {
    bool echo;          // the prompt's text comes first
    bool echo_logprobs; // and its log-probabilities
    bool scores;        // vLLM's prompt_logprobs are wanted
    size_t tops;        // of each of their tokens
    size_t *told;       // characters of each choice whose tokens were told
};

void completion_free(void *own);

#endif
