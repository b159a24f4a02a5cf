// The APIs: how each reads a request that is to be answered by a model, and tells the answer. A clerk calls them.
#ifndef SERVER_SURFACES_H
#define SERVER_SURFACES_H

#include "server/telling.h"

// Reads a->body into a->job: prompt, options, telling. False: refused.
bool chat_read(struct ask *a, struct fault *f);
bool completions_read(struct ask *a, struct fault *f);
bool messages_read(struct ask *a, struct fault *f);
bool responses_read(struct ask *a, struct fault *f);
bool ollama_chat_read(struct ask *a, struct fault *f);
bool ollama_generate_read(struct ask *a, struct fault *f);

bool embeddings_read(struct ask *a, struct fault *f);
bool rerank_read(struct ask *a, struct fault *f);
void ollama_error(struct buf *out, const struct fault *f);

// Requests that need a model's tokenizer alone: the reply's JSON.
bool messages_count(struct ask *a, struct buf *json, struct fault *f);
bool responses_count(struct ask *a, struct buf *json, struct fault *f);
bool tokenize_say(struct ask *a, struct buf *json, struct fault *f);
bool detokenize_say(struct ask *a, struct buf *json, struct fault *f);
bool template_say(struct ask *a, struct buf *json, struct fault *f);

extern const struct surface chat_surface, completions_surface, messages_surface, responses_surface, ollama_chat_surface,
    ollama_generate_surface;

extern const struct surface embeddings_surface, ollama_embed_surface, ollama_embeddings_surface, rerank_surface;

#endif
