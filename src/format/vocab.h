// What a file says about its tokenizer, in one form for GGUF and tokenizer.json. The tokenizer itself is in text/.
#ifndef FORMAT_VOCAB_H
#define FORMAT_VOCAB_H

#include "base/buf.h"

enum vocab_kind {
    VOCAB_NONE, // the file has no tokenizer
    VOCAB_BPE,  // merges by rank (GGUF "gpt2", tokenizer.json "BPE")
    VOCAB_SPM,  // SentencePiece BPE: merges by the score of the joined piece (GGUF "llama")
};

// GGUF's tokenizer.ggml.token_type.
enum token_kind {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3, // special: never made from plain text
    TOKEN_USER = 4,    // added token: matched before anything else, in plain text too
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6, // "<0xNN>"
};

// One step of a pre-tokenizer: text is split at the matches of `pattern` (PCRE2, UTF).
enum split_behavior { SPLIT_ISOLATED, SPLIT_CONTIGUOUS, SPLIT_REMOVED, SPLIT_MERGED_PREVIOUS, SPLIT_MERGED_NEXT };
struct split {
    char *pattern;
    enum split_behavior behavior;
    bool invert; // matches and what lies between them change roles
    bool mapped; // with byte_level: the pattern sees text already mapped to GPT-2's alphabet (a step after ByteLevel)
};

// A chat template beside the plain one, such as "tool_use".
struct named_template {
    char *name, *source;
};

struct vocab {
    enum vocab_kind kind;
    size_t n;
    struct text *tokens; // as the file spells them (byte-level BPE: in GPT-2's byte alphabet)
    float *scores;       // SPM; NULL if none
    uint8_t *kinds;      // enum token_kind
    struct text *merges; // "left right", best first
    size_t n_merges;
    char *pre;            // GGUF's tokenizer.ggml.pre, such as "falcon"; NULL if not given
    struct split *splits; // from tokenizer.json, in order
    size_t n_splits;
    bool has_splits;                 // splits are to be used as they are (even if none), not looked up by `pre`
    bool byte_level;                 // text bytes are mapped to GPT-2's printable alphabet before merging
    bool byte_fallback;              // pieces outside the vocabulary become TOKEN_BYTE tokens
    bool space_marker;               // spaces are written as U+2581, before any split
    bool space_prefix;               // a space is put in front of the text
    bool ignore_merges;              // a word that is a token is taken whole, before merges
    int32_t bos, eos, eot, unk, pad; // -1: none
    bool add_bos, add_eos;
    char *chat_template; // Jinja; NULL: none
    struct named_template *templates;
    size_t n_templates;
    void *storage; // owns everything above that the file does not hold itself
};

// Of a vocabulary from format/; one made by hand is its maker's to free.
void vocab_free(struct vocab *v);

#endif
