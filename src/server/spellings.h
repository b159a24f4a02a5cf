// How models wrote the arguments of their calls, for the APIs whose clients get them as an object and send an object
// back (Anthropic's Messages, Ollama's): the same object in other words would be other tokens in the next prompt, and
// nothing from there on would be found again. What is written as templates write it anyway is not kept.
#ifndef SERVER_SPELLINGS_H
#define SERVER_SPELLINGS_H

#include <jansson.h>
#include <stdint.h>

struct spellings;

// Whose call it was: nobody else finds it.
struct speller {
    struct spellings *all; // NULL: none are kept
    int64_t owner;
    uint64_t salt;
    const char *model;
};

struct spellings *spellings_new(void);
void spellings_free(struct spellings *s);

// Notes the text of a call's arguments; `id` is "" where the API has none. From any thread. If too many are kept, or
// memory is out, some are forgotten.
void spelling_note(const struct speller *who, const char *id, const char *name, const char *text, size_t size);

// The arguments of a call as the model wrote them, a string; where that is not known, they themselves. A new reference.
json_t *spelling_of(const struct speller *who, const char *id, const char *name, json_t *arguments);

#endif
