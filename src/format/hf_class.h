// What a config.json means: the configuration classes of transformers, as tables. Private to format/.
#ifndef FORMAT_HF_CLASS_H
#define FORMAT_HF_CLASS_H

#include "format/checkpoint.h"

// Where a class keeps what it knows of rotary positions.
enum hf_rope {
    HF_ROPE_NONE,
    HF_ROPE_FLAT,   // one object, rope_parameters, once rope_scaling; older configs have its base beside it
    HF_ROPE_PHI,    // the same; its trained context stands at the top, and its scalings are all LongRoPE
    HF_ROPE_LAYERS, // an object for layers with a window and one for those without; older configs as above
    HF_ROPE_GIVEN,  // the same, and no older configs
};

// A class, as a list of words:
//   key=value           read; left out, it means the value
//   key                 read; left out, it means null
//   key!value           must be this, as it is when left out: another value changes what is computed, and gyr does not
//                       do it; "key!a|b": or that
//   -key                changes nothing in the forward pass, or is not read by the class either
//   a,b=value           b is an older or another name of a
//   key:qomc=false      whether there are biases: of queries, keys and values (q), the attention's output (o), the MLP
//                       (m), the convolution (c)
//   key.*               an object whose keys are all read
// What a config has and its class does not, transformers does not read, and neither does gyr.
struct hf_class {
    const char *types; // model_type; several with blanks between
    const char *keys;
    enum hf_rope rope;
    double base, local_base; // of rotation, where the config says none
    double part;             // of a head that is rotated; 0: the class reads no such key
    bool told_base;          // HF_ROPE_LAYERS: layers with a window have a base that older configs say too
    // What older configs call the base, that of layers with a window, and the part; NULL: as most do.
    const char *old_base, *old_local_base, *old_part;
};

extern const struct hf_class hf_classes[];
extern const size_t hf_classes_n;

// Keys that mean the same in every class.
extern const char hf_common_keys[];

// The class of a model_type; NULL if there is none.
const struct hf_class *hf_class_of(const char *model_type);

// One word of a list.
enum hf_word_kind { HF_READ, HF_MUST, HF_HARMLESS, HF_OBJECT };
struct hf_word {
    enum hf_word_kind kind;
    const char *name; // the names, "a,b"
    size_t name_size;
    const char *roles, *value; // value: the default, or the alternatives; NULL: none
    size_t roles_size, value_size;
};

// The next word of a list; false at its end.
bool hf_word_next(const char **list, struct hf_word *w);

// Its first name, which is what everybody calls it.
void hf_word_name(const struct hf_word *w, char name[128]);

// Its i-th value, the default being the first; VALUE_NONE is null, or none.
struct value hf_word_value(const struct hf_word *w, size_t i);

// How many values it may have.
size_t hf_word_values(const struct hf_word *w);

#endif
