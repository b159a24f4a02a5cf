// How well a model predicts a text.
#ifndef CLI_PERPLEXITY_H
#define CLI_PERPLEXITY_H

#include "gyr.h"
#include "progress.h"

// Windows of `context` tokens, each computed from nothing. Without a stride they lie side by side, begin with the
// tokens that the model wants at a text's beginning, and only what follows their first half is scored (llama.cpp's
// way); with one they move by that many tokens, and every token but the first is scored once (that of Hugging Face's
// documentation).
struct perplexity {
    gyr_model *model;
    gyr_session *session;
    const gyr_tokens *text;  // without any token added
    const gyr_tokens *begin; // tokens that the model wants at a text's beginning
    size_t context, stride;  // stride 0: windows side by side
    struct progress *bar;

    // ---- what comes out
    size_t windows, scored;     // tokens scored
    size_t bytes;               // that they stand for
    double sum, sum_of_squares; // of their negative log probabilities (natural logarithm)
};

// GYR_CANCELLED after Ctrl-C.
gyr_status perplexity_measure(struct perplexity *p, gyr_error *e);

double perplexity_mean(const struct perplexity *p);
// Standard error of the mean over the tokens.
double perplexity_error(const struct perplexity *p);
double perplexity_bits_per_byte(const struct perplexity *p);

#endif
