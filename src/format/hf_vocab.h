// The tokenizer files of a Hugging Face folder, one by one. Private to format/.
#ifndef FORMAT_HF_VOCAB_H
#define FORMAT_HF_VOCAB_H

#include "format/hf.h"

// The files beside the tokenizer's own; NULL where the folder has none.
struct hf_sides {
    json_t *config;     // tokenizer_config.json, with special_tokens_map.json where it is an old one
    json_t *added;      // added_tokens.json
    json_t *generation; // generation_config.json
};

// Adds the tokens that are beside the tokenizer's file. With `ids` those that the files give them are obeyed.
bool hf_added(const struct hf_sides *s, bool ids, struct vocab *v, const char *where, gyr_error *e);

// The chat templates: of tokenizer_config.json, or files of their own.
bool hf_templates(const json_t *config, const char *folder, struct vocab *v, gyr_error *e);

// Which tokens end an answer, and how the maker samples. `keys` is config.json.
bool hf_generation(const json_t *generation, const struct keys *keys, struct vocab *v, struct sampling_advice *advice,
                   const char *where, gyr_error *e);

#endif
