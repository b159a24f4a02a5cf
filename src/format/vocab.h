// What a file says about its tokenizer, in one form for GGUF and tokenizer.json. The tokenizer itself is in text/.
#ifndef FORMAT_VOCAB_H
#define FORMAT_VOCAB_H

#include "base/buf.h"

enum vocab_kind {
    VOCAB_NONE,      // the file has no tokenizer
    VOCAB_BPE,       // merges by rank (GGUF "gpt2", tokenizer.json "BPE")
    VOCAB_SPM,       // SentencePiece BPE: merges by the score of the joined piece (GGUF "llama")
    VOCAB_UNIGRAM,   // the most likely way to cut a word into pieces (GGUF "t5", tokenizer.json "Unigram")
    VOCAB_WORDPIECE, // the longest piece first (GGUF "bert", tokenizer.json "WordPiece")
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

// How an added token is found in the text (tokenizer.json's added_tokens); bits of vocab.finds.
enum {
    FIND_LSTRIP = 1,     // white space in front of it belongs to it
    FIND_RSTRIP = 2,     // white space after it does
    FIND_WORD = 4,       // not inside a word
    FIND_NORMALIZED = 8, // in the normalized text
};

// One step of a normalizer, which rewrites text before it is split.
enum normal_kind {
    NORMAL_NFC,
    NORMAL_NFD,
    NORMAL_NFKC,
    NORMAL_NFKD,
    NORMAL_LOWERCASE,
    NORMAL_STRIP,      // white space at the text's ends: `left`, `right`
    NORMAL_UNACCENT,   // marks are dropped: all, or with `left` those without width (Mn)
    NORMAL_REPLACE,    // matches of `pattern` become `content`
    NORMAL_PREPEND,    // `content` in front of a text
    NORMAL_CHARSMAP,   // SentencePiece's precompiled map in `content`; `left`: cluster by cluster, as Hugging Face does
    NORMAL_CLEAN,      // BERT's: control characters are dropped, white space becomes a space
    NORMAL_IDEOGRAPHS, // BERT's: a space on either side of each
    NORMAL_NMT,        // control characters are dropped, unusual spaces become a space
    NORMAL_SPACES,     // SentencePiece's remove_extra_whitespaces
};
struct normal {
    enum normal_kind kind;
    bool left, right;
    char *pattern;
    struct text content;
};

// One step of a pre-tokenizer: text is split at the matches of `pattern` (PCRE2, UTF); or, without a pattern, a space
// is put in front of each piece that has none.
enum split_behavior { SPLIT_ISOLATED, SPLIT_CONTIGUOUS, SPLIT_REMOVED, SPLIT_MERGED_PREVIOUS, SPLIT_MERGED_NEXT };
struct split {
    char *pattern;
    enum split_behavior behavior;
    bool invert; // matches and what lies between them change roles
    bool mapped; // with byte_level: the pattern sees text already mapped to GPT-2's alphabet (a step after ByteLevel)
    bool marked; // the pattern sees U+2581 for each space
    bool first;  // without a pattern: only at the beginning of the whole text
};

enum { MAX_LEAD = 4, MAX_NOTES = 8 };

// GGUF has no keys for these: others put the space in front of every text, and after every control token; and bos alone
// in front of a text.
#define GGUF_PREFIX_BARE "gyr.tokenizer.space_prefix_bare"
#define GGUF_PREFIX_ONCE "gyr.tokenizer.space_prefix_once"
#define GGUF_LEAD        "gyr.tokenizer.begin_ids"

// A chat template beside the plain one, such as "tool_use".
struct named_template {
    char *name, *source;
};

struct vocab {
    enum vocab_kind kind;
    size_t n;
    struct text *tokens; // as the file spells them (byte-level BPE: in GPT-2's byte alphabet)
    float *scores;       // SPM and Unigram; NULL if none
    double *exact;       // Unigram's scores where the file has more digits; NULL if not
    uint8_t *kinds;      // enum token_kind
    uint8_t *finds;      // FIND_... of added tokens; NULL: none
    struct text *merges; // "left right", best first
    size_t n_merges;
    char *pre;            // GGUF's tokenizer.ggml.pre, such as "falcon"; NULL if not given
    struct split *splits; // from tokenizer.json, in order
    size_t n_splits;
    struct normal *normals; // in order
    size_t n_normals;
    char *word_prefix, *word_suffix; // how BPE and WordPiece spell pieces that do not begin, or that end, a word
    size_t longest_word;             // WordPiece: characters of a word, beyond which it is unknown
    bool has_splits;                 // splits are to be used as they are (even if none), not looked up by `pre`
    bool byte_level;                 // text bytes are mapped to GPT-2's printable alphabet before merging
    bool byte_fallback;              // pieces outside the vocabulary become TOKEN_BYTE tokens
    bool space_marker;               // spaces are written as U+2581, before any split
    bool space_prefix;               // a space is put in front of the text
    bool prefix_bare;                // only where the text has none
    bool prefix_once;                // and not again after a control token
    bool drop_space;                 // the space that the splits put in front is dropped again
    bool ignore_merges;              // a word that is a token is taken whole, before merges
    bool fuse_unknown;               // what is unknown side by side is one token
    int32_t bos, eos, eot, unk, pad; // -1: none
    int32_t *ends;                   // tokens that end an answer, beside eos, eot and those whose names say it
    size_t n_ends;
    bool add_bos, add_eos;
    int32_t lead[MAX_LEAD]; // with add_bos: what a text begins with; without any, bos
    size_t n_lead;
    int32_t tail; // with add_eos: what a text ends with, if `tailed`; else eos
    bool tailed;
    char *chat_template; // Jinja; NULL: none
    struct named_template *templates;
    size_t n_templates;
    char *notes[MAX_NOTES]; // what was wrong but read anyway, a line each
    size_t n_notes;
    void *storage; // owns everything above that the file does not hold itself
};

enum { BERT_LONGEST_WORD = 100 };

// Sets what is done to a text, in memory of the vocabulary's; false: there is none. SentencePiece's is a map of
// characters (if it has any size), and without needless spaces. BERT's is in lower case, and without accents.
bool vocab_sentencepiece(struct vocab *v, struct text charsmap, bool squeeze);
bool vocab_bert(struct vocab *v, bool lower, bool accents);

// A vocabulary's first step of a kind; NULL: it has none.
const struct normal *vocab_normal(const struct vocab *v, enum normal_kind kind);

// Adds a token to those that end an answer; false: no memory.
bool vocab_add_end(struct vocab *v, int32_t id);

// Names that end a turn in the models known for them, one by one (NULL past the last), and whether a name is one.
const char *vocab_end_name(size_t i);
bool vocab_is_end_name(struct text s);

// Keeps a note for the caller; those beyond MAX_NOTES are dropped. False: no memory.
__attribute__((format(printf, 2, 3))) bool vocab_note(struct vocab *v, const char *format, ...);

// Of a vocabulary from format/; one made by hand is its maker's to free.
void vocab_free(struct vocab *v);

#endif
