// The parts of a Hugging Face folder. Private to format/.
#ifndef FORMAT_HF_H
#define FORMAT_HF_H

#include "format/checkpoint.h"
#include "format/json.h"
#include "format/parts.h"

// "FOLDER/NAME"; free(). NULL when out of memory.
char *folder_path(const char *folder, const char *name);

// Whether a name is that of a file or folder right in the folder: what a file names must not reach anywhere else.
bool plain_name(struct text s);

// True if the folder has such a file.
bool folder_has(const char *folder, const char *name);

// Adds the tensors of one file's image. `path` stands in messages. `places` is the weight_map of an index, and `part`
// what it calls the file; or NULL.
struct shard_of {
    const json_t *places;
    const char *name;
    const char *prefix; // what is put in front of its tensors' names; NULL: nothing
};
bool safetensors_read(struct checkpoint *c, const char *path, const uint8_t *data, size_t size,
                      const struct shard_of *part, gyr_error *e);

// Halves of MXFP4 matrices: whether a tensor's name says that it is one; adding one, as the matrix that it is of
// (`*is`: it is of one); and, once all are there, which matrices can be read.
bool mxfp4_half(struct text name);
bool mxfp4_add(struct checkpoint *c, const struct tensor *half, const char *where, bool *is, gyr_error *e);
void mxfp4_whole(struct checkpoint *c);

// A config.json as keys.
bool hf_config(const json_t *root, struct keys *keys, const char *where, gyr_error *e);

// Makes c->settled of c->keys.
bool hf_settle(struct checkpoint *c, gyr_error *e);

// What sentence-transformers' files say of a folder's embeddings, and the weights that they need.
bool hf_sentence(struct checkpoint *c, gyr_error *e);

// A tokenizer.json as a vocabulary. On failure *v must still be freed.
bool tokenizer_json(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e);

// A tokenizer.model of SentencePiece as a vocabulary. On failure *v must still be freed.
bool spm_model(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e);

// Vocabularies of ranks. A tiktoken.model does not say how text is split (v->pre is NULL). On failure *v must still be
// freed.
bool tiktoken_model(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e);
bool qwen_tiktoken(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e);
bool tekken_json(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e);

// Whether a folder has a file that a tokenizer is read from.
bool hf_has_vocab(const char *folder);

// All of a folder's tokenizer files, and the ids in `keys` (config.json). None: VOCAB_NONE.
bool hf_vocab(const char *folder, const struct keys *keys, struct vocab *v, struct sampling_advice *advice,
              gyr_error *e);

#endif
