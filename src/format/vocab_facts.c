// What is known of tokens by their names, and what a reader has to say about a vocabulary.
#include "format/arena.h"
#include "format/vocab.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// What chat models are trained to say at the end of a turn, as their makers spell it.
static const char *const ends[] = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<turn|>",
    "<|tool_response>",
    "</s>",
    "<|end_of_turn|>",
    "<|endofturn|>",
    "<end_of_utterance>",
    "<|eot|>",
    "<|eom|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "[EOS]",
    "<eos>",
    "<|end_of_role|>",
    "<|END_OF_TURN_TOKEN|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
};

const char *vocab_end_name(size_t i) { return i < sizeof ends / sizeof *ends ? ends[i] : NULL; }

bool vocab_is_end_name(struct text s) {
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strlen(ends[i]) == s.size && !memcmp(ends[i], s.data, s.size)) return true;
    return false;
}

bool vocab_add_end(struct vocab *v, int32_t id) {
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == id) return true;
    // A list doubles as it grows; its room is its size, rounded up.
    if (!(v->n_ends & (v->n_ends - 1))) {
        int32_t *more = arena_alloc(v->storage, v->n_ends ? v->n_ends * 2 : 1, sizeof *more);
        if (!more) return false;
        if (v->n_ends) memcpy(more, v->ends, v->n_ends * sizeof *more);
        v->ends = more;
    }
    v->ends[v->n_ends++] = id;
    return true;
}

bool vocab_note(struct vocab *v, const char *format, ...) {
    char text[400];
    va_list args;
    if (v->n_notes == MAX_NOTES) return true;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    char *copy = arena_copy(v->storage, (struct text){text, size});
    if (copy) v->notes[v->n_notes++] = copy;
    return copy;
}
