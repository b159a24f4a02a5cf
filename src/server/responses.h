// OpenAI's Responses (https://platform.openai.com/docs/api-reference/responses): between responses.c, which tells an
// answer, and responses_read.c, which reads what is asked.
#ifndef SERVER_RESPONSES_H
#define SERVER_RESPONSES_H

#include "server/talks.h"
#include "server/telling.h"

// An item of the output: reasoning, a message, or a call.
struct item {
    enum speech_kind kind; // SPEECH_REASONING, SPEECH_TEXT or SPEECH_CALL
    struct buf text;       // or a call's arguments
    struct buf logprobs;   // of the tokens of the text: JSON, with commas between
    size_t call;           // its number
    bool open;
};

// A token that came, and what has not been told of its text.
struct heard {
    size_t text, json; // bytes
};

// The telling's own.
struct response {
    struct buf text, json; // of the tokens in `heard`, one behind the other
    struct heard *heard;
    size_t n_heard, heard_room;
    struct item *items;
    size_t n_items, room;
    size_t events;       // told so far
    json_t *echo;        // members of the request that the response repeats
    json_t *input;       // items, of this turn and those before it
    struct store *store; // to be kept in; NULL: not
    struct store *talks; // where the conversation is that this turn is added to; NULL: to none
    char talk[TALK_ID];
    json_t *turn; // what is added beside the answer
    int64_t owner;
};

extern const struct surface responses_surface;

// The response as a JSON object, as it stands: "in_progress" until `status` says otherwise.
void response_put(struct js *o, const char *key, const struct telling *t, const char *status, const struct fault *f);

// Keeps it, with what was asked, under its id; and adds both to its conversation.
void response_keep(const struct telling *t);

// Whether an item is one that this server understands; `name` is the member of the request that has it.
bool responses_item(const json_t *item, const char *name, struct fault *f);

#endif
