// A model on disk, whatever its format: named tensors, hyperparameters, tokenizer data. Weights stay mapped.
#ifndef FORMAT_CHECKPOINT_H
#define FORMAT_CHECKPOINT_H

#include "base/error.h"
#include "format/vocab.h"
#include "tensor/type.h"

enum { MAX_DIMS = 4 };

struct tensor {
    struct text name; // checked: valid UTF-8, unique
    enum type type;
    int n_dims;
    uint64_t dim[MAX_DIMS]; // dim[0] is the contiguous one (columns), dim[1] rows, ...; 1 beyond n_dims
    const uint8_t *data;    // mapped; `bytes` of it are inside the file, checked; any alignment (safetensors has none)
    size_t bytes;
    const uint8_t *scales; // not NULL: MXFP4; `data` is the blocks, a block's scale lies here. See tensor_blocks()
    const struct packing *packing; // not NULL: codes and scales apart; `data` is NULL. See tensor_blocks()
    const char *dtype;             // the file's name for an element type that gyr does not have; NULL: it is `type`
    // Not NULL: why the tensor cannot be read, behind its name. Folders may hold such, as long as no model asks for
    // them: tensor_readable() says it.
    const char *unread;
    gyr_status status; // of that
    bool placed;       // private to format/: an index says that this is the part it is in
};

// Whether a tensor can be read; `path` stands in the message.
bool tensor_readable(const struct tensor *t, const char *path, gyr_error *e);

// Elements [first, first + n) of a tensor as floats; of quantized types both are multiples of 32.
void tensor_decode(const struct tensor *t, uint64_t first, size_t n, float *out);

// The same as what its type has in memory (blocks, if it is quantized), of a tensor with `scales` or `packing`.
void tensor_blocks(const struct tensor *t, uint64_t first, size_t n, uint8_t *out);

enum value_kind { VALUE_NONE, VALUE_UINT, VALUE_INT, VALUE_FLOAT, VALUE_BOOL, VALUE_STRING, VALUE_ARRAY };

// A hyperparameter. Arrays are flat and of one kind; element i is read with value_at().
struct value {
    enum value_kind kind;
    uint8_t stored; // private to format/: GGUF's type of the value in the file, plus 1; 0: choose one that fits
    union {
        uint64_t u;
        int64_t i;
        double f;
        bool b;
        struct text s;
        struct {
            enum value_kind of;
            size_t n;
            const void *items; // private to format/
        } array;
    };
};

enum checkpoint_source {
    CHECKPOINT_GGUF, // keys such as "falcon.block_count", tensors such as "blk.0.attn_qkv.weight"
    CHECKPOINT_HF,   // config.json's keys ("hidden_size", nested: "rope_scaling.factor"), Hugging Face tensor names
};

// How the model's maker samples (generation_config.json, GGUF's general.sampling.*); NaN where nothing is said.
struct sampling_advice {
    double temperature, top_p, min_p, top_k, penalty_repeat;
};

enum { MAX_DENSE = 4, MAX_EMBEDDING = 1 << 20 };

// How a text's embedding is made of what the layers give of its tokens: their mean, the first, or the last.
enum pooling { POOLING_UNTOLD, POOLING_MEAN, POOLING_FIRST, POOLING_LAST };

// What is put in front of texts for a purpose, such as "query".
struct prompt {
    const char *name, *text;
};

// What a file says of the embeddings that it is for: sentence-transformers' files in a folder, or GGUF's keys.
struct sentence {
    enum pooling pooling;
    bool told;      // by modules.json,
    bool unit;      // which says that embeddings are made of length 1
    bool relevance; // the last of `dense` gives one number: how relevant the second text of a pair is to the first
    struct {
        const char *weight, *bias; // tensors; bias NULL: there is none
        bool tanh;                 // of what it gives
    } dense[MAX_DENSE];            // what an embedding goes through
    size_t n_dense;
    struct prompt *prompts;
    size_t n_prompts;
    const char *usual; // the prompt's name where nobody names one; NULL: none
    char *refused;     // why gyr makes no embeddings of this; NULL: it does
};

struct checkpoint {
    enum checkpoint_source source;
    char *path;         // as given, for messages
    char *architecture; // GGUF general.architecture; config.json's model_type
    struct tensor *tensors;
    size_t n_tensors;
    struct vocab vocab;
    struct sampling_advice advice;
    struct sentence sentence;
    struct keys *keys;       // private: the keys as the file has them
    struct keys *settled;    // private: what a config.json's class makes of them; NULL: just those
    struct storage *storage; // private: maps, names, index
};

// Opens a GGUF file (any part of a split: "-00001-of-00003.gguf") or a Hugging Face folder. NULL on failure.
struct checkpoint *checkpoint_open(const char *path, gyr_error *e);

// The same from a GGUF image in memory, which must outlive the checkpoint. `name` stands in messages.
struct checkpoint *checkpoint_open_memory(const char *name, const void *data, size_t size, gyr_error *e);

void checkpoint_close(struct checkpoint *c);

// Sizes and times of the mapped files: a different number means that one of them has changed. 0 for one in memory.
uint64_t checkpoint_stamp(const struct checkpoint *c);

// NULL if there is no such tensor. Constant time.
const struct tensor *checkpoint_tensor(const struct checkpoint *c, const char *name);

// NULL if there is no such key. A config.json's keys are those that its model's class in transformers reads, the text
// part's without "text_config." in front, under the names and with the defaults of that class (docs/formats.md).
const struct value *checkpoint_value(const struct checkpoint *c, const char *key);

// Typed look-ups. A missing key leaves *out alone and returns true, so *out holds the default; a value of the wrong
// kind, or out of [min, max], is GYR_MALFORMED.
bool checkpoint_uint(const struct checkpoint *c, const char *key, uint64_t min, uint64_t max, uint64_t *out,
                     gyr_error *e);
bool checkpoint_float(const struct checkpoint *c, const char *key, double *out, gyr_error *e);
bool checkpoint_bool(const struct checkpoint *c, const char *key, bool *out, gyr_error *e);
bool checkpoint_string(const struct checkpoint *c, const char *key, struct text *out, gyr_error *e);

// Element i of an array value, or the value itself if it is no array (then i is ignored).
struct value value_at(const struct value *v, size_t i);

// Whether a value, which may be NULL, is that text.
bool value_says(const struct value *v, const char *text);

// As a number; NAN if it is none.
double value_number(const struct value *v);

// As a truth value, for which some writers have numbers; `otherwise` if it is neither.
bool value_truth(const struct value *v, bool otherwise);

// Whether gyr computes what the file says. GYR_UNSUPPORTED, naming the key, where a key changes what the model computes
// in a way that gyr does not have, or the method, where weights are quantized by one that it does not read.
bool checkpoint_check(const struct checkpoint *c, gyr_error *e);

// Whether a config.json is of a multimodal model (vision or audio) with a text part.
bool checkpoint_has_parts(const struct checkpoint *c);

// Which biases a config.json says there are, a bit each: of queries, keys and values (1), the attention's output (2),
// the MLP (4), the convolution (64). `*told`: it says so; else they are there where their tensors are.
unsigned checkpoint_biases(const struct checkpoint *c, bool *told);

// Walks all keys as the file has them, in its order; returns false past the last. For `gyr inspect`.
bool checkpoint_key(const struct checkpoint *c, size_t i, struct text *key, const struct value **value);

#endif
