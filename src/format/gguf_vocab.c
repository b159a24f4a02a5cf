// The tokenizer.* keys of GGUF as a vocabulary.
#include "format/parts.h"

#include <stdlib.h>
#include <string.h>

struct vocab_reader {
    const struct keys *keys;
    const char *where;
    struct vocab *v;
    gyr_error *e;
};

// What a tokenizer.ggml.model means, where no key says otherwise; ids are -1 for none.
static const struct model {
    const char *name;
    enum vocab_kind kind;
    bool byte_level, byte_fallback, space_marker, space_prefix, add_bos, add_eos;
    int32_t bos, eos, unk;
} models[] = {
    {"gpt2", VOCAB_BPE, .byte_level = true, .bos = -1, .eos = -1, .unk = -1},
    {"llama", VOCAB_SPM, .byte_fallback = true, .space_marker = true, .space_prefix = true, .add_bos = true, .bos = 1,
     .eos = 2, .unk = 0},
    {"t5", VOCAB_UNIGRAM, .space_marker = true, .space_prefix = true, .add_eos = true, .bos = -1, .eos = 1, .unk = 2},
    {"bert", VOCAB_WORDPIECE, .space_marker = true, .add_bos = true, .add_eos = true, .bos = 101, .eos = 102,
     .unk = 100},
    {"gemma4", VOCAB_BPE, .byte_fallback = true, .space_marker = true, .bos = -1, .eos = -1, .unk = -1},
};

// Pre-tokenizers of BPE vocabularies that spell text as SentencePiece does, and cut it nowhere.
static const char *const spelled[] = {"gemma4", "granite-embed-multi-311m", "sarvam-moe"};

// Pre-tokenizers that imply more than a pattern: words that are tokens are not merged, and a text starts with bos.
static const char *const whole_words[] = {"llama3", "llama-v3", "llama-bpe", "falcon3",     "pixtral",
                                          "tekken", "midm-2.0", "lfm2",      "jina-v5-nano"};

// An array of that kind, with `n` items (0: any number); NULL and true if there is none.
static bool find_array(struct vocab_reader *r, const char *name, enum value_kind of, size_t n,
                       const struct value **out) {
    const struct value *v = *out = keys_get(r->keys, name);
    if (!v) return true;
    bool number = v->kind == VALUE_ARRAY && of == VALUE_INT && v->array.of == VALUE_UINT;
    if (v->kind != VALUE_ARRAY || (v->array.of != of && !number))
        return fail(r->e, GYR_MALFORMED, "%s: key %s must be an array of %s; the file is damaged, get it again",
                    r->where, name, of == VALUE_STRING ? "strings" : "numbers");
    if (n && v->array.n != n)
        return fail(r->e, GYR_MALFORMED, "%s: key %s has %zu items for %zu tokens; the file is damaged, get it again",
                    r->where, name, v->array.n, n);
    return true;
}

static bool find_text(struct vocab_reader *r, const char *name, struct text *out) {
    const struct value *v = keys_get(r->keys, name);
    if (!v) return true;
    if (v->kind != VALUE_STRING)
        return fail(r->e, GYR_MALFORMED, "%s: key %s must be a string; the file is damaged, get it again", r->where,
                    name);
    *out = v->s;
    return true;
}

static bool find_copy(struct vocab_reader *r, const char *name, char **out) {
    struct text s = {0};
    if (!find_text(r, name, &s)) return false;
    if (s.data) *out = arena_copy(r->v->storage, s);
    return !s.data || *out || fail_memory(r->e, r->where);
}

static bool find_flag(struct vocab_reader *r, const char *name, bool *out) {
    const struct value *v = keys_get(r->keys, name);
    if (!v) return true;
    if (v->kind != VALUE_BOOL)
        return fail(r->e, GYR_MALFORMED, "%s: key %s must be true or false; the file is damaged, get it again",
                    r->where, name);
    *out = v->b;
    return true;
}

// Converters write -1, in either width, for an id that there is not.
static bool find_id(struct vocab_reader *r, const char *name, int32_t *out) {
    const struct value *v = keys_get(r->keys, name);
    bool none = v && ((v->kind == VALUE_UINT && v->u == UINT32_MAX) || (v->kind == VALUE_INT && v->i == -1));
    uint64_t id = UINT64_MAX;
    if (none) *out = -1;
    if (none) return true;
    if (!keys_uint(r->keys, r->where, name, 0, UINT64_MAX, &id, r->e)) return false;
    if (id != UINT64_MAX && id >= r->v->n) {
        if (!vocab_note(r->v, "%s: %s is %llu, and there are %zu tokens; it is left out", r->where, name,
                        (unsigned long long)id, r->v->n))
            return fail_memory(r->e, r->where);
    } else if (id != UINT64_MAX) {
        *out = (int32_t)id;
    }
    if (*out >= 0 && (size_t)*out >= r->v->n) *out = -1;
    return true;
}

static bool read_tokens(struct vocab_reader *r) {
    struct vocab *v = r->v;
    const struct value *a;
    if (!find_array(r, "tokenizer.ggml.tokens", VALUE_STRING, 0, &a)) return false;
    if (!a || !a->array.n || a->array.n > INT32_MAX)
        return fail(r->e, GYR_MALFORMED, "%s: has a tokenizer without tokens; get another file", r->where);
    v->n = a->array.n;
    v->tokens = (struct text *)(uintptr_t)((const struct items *)a->array.items)->strings;
    if (!find_array(r, "tokenizer.ggml.scores", VALUE_FLOAT, v->n, &a)) return false;
    if (a && !(v->scores = arena_alloc(v->storage, v->n, sizeof *v->scores))) return fail_memory(r->e, r->where);
    for (size_t i = 0; a && i < v->n; i++) v->scores[i] = (float)value_at(a, i).f;
    return true;
}

// Files that were converted too early, or by others, call the ends of turns normal tokens.
static bool special_names(struct vocab_reader *r) {
    struct vocab *v = r->v;
    for (size_t i = 0; i < v->n; i++) {
        struct text s = v->tokens[i];
        if (v->kinds[i] != TOKEN_NORMAL || s.size < 5 || s.data[0] != '<' || s.data[s.size - 1] != '>' ||
            !vocab_is_end_name(s) || !(s.data[1] == '|' || memchr(s.data, '_', s.size)))
            continue;
        v->kinds[i] = TOKEN_CONTROL;
        if (!vocab_note(v, "%s: token %zu, %.*s, is no control token there; it is taken for one", r->where, i, shown(s),
                        s.data))
            return fail_memory(r->e, r->where);
    }
    return true;
}

static bool read_kinds(struct vocab_reader *r) {
    struct vocab *v = r->v;
    size_t strange = 0, first = 0;
    const struct value *a;
    if (!find_array(r, "tokenizer.ggml.token_type", VALUE_INT, v->n, &a)) return false;
    if (!(v->kinds = arena_alloc(v->storage, v->n, 1))) return fail_memory(r->e, r->where);
    for (size_t i = 0; i < v->n; i++) {
        uint64_t kind = a ? value_at(a, i).u : TOKEN_NORMAL;
        bool known = kind >= TOKEN_NORMAL && kind <= TOKEN_BYTE;
        v->kinds[i] = known ? (uint8_t)kind : TOKEN_NORMAL;
        if (!known && !strange++) first = i;
    }
    if (strange && !vocab_note(v,
                               "%s: %zu of its tokens, the first of them %zu, have a kind that GGUF does not know; "
                               "they are taken for normal ones",
                               r->where, strange, first))
        return fail_memory(r->e, r->where);
    return special_names(r);
}

static bool read_merges(struct vocab_reader *r) {
    const struct value *a;
    if (!find_array(r, "tokenizer.ggml.merges", VALUE_STRING, 0, &a)) return false;
    if (a) {
        r->v->n_merges = a->array.n;
        r->v->merges = (struct text *)(uintptr_t)((const struct items *)a->array.items)->strings;
    }
    return true;
}

static bool bert_steps(struct vocab_reader *r) {
    bool lower = true, accents;
    if (!find_flag(r, "tokenizer.ggml.normalizer.lowercase", &lower)) return false;
    accents = lower;
    if (!find_flag(r, "tokenizer.ggml.normalizer.strip_accents", &accents)) return false;
    return vocab_bert(r->v, lower, accents) || fail_memory(r->e, r->where);
}

static bool unigram_steps(struct vocab_reader *r) {
    bool squeeze = false;
    const struct value *a;
    if (!find_flag(r, "tokenizer.ggml.remove_extra_whitespaces", &squeeze) ||
        !find_array(r, "tokenizer.ggml.precompiled_charsmap", VALUE_INT, 0, &a))
        return false;
    const struct items *items = a ? a->array.items : NULL;
    if (items && gguf_type_size(items->type) != 1)
        return fail(r->e, GYR_MALFORMED, "%s: its map of characters is not a list of bytes; get the file again",
                    r->where);
    struct text map = {items ? (const char *)items->numbers : NULL, items ? a->array.n : 0};
    for (size_t i = 0; i < r->v->n && !r->v->byte_fallback; i++) r->v->byte_fallback = r->v->kinds[i] == TOKEN_BYTE;
    return vocab_sentencepiece(r->v, map, squeeze) || fail_memory(r->e, r->where);
}

// GGUF does not say which tokens swallow the white space after them; Phi 3's do (its tokenizer.json: "rstrip").
static bool phi3_finds(struct vocab_reader *r) {
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    struct vocab *v = r->v;
    struct text name = {0};
    if (!find_text(r, "general.architecture", &name)) return false;
    if (v->kind != VOCAB_SPM || name.size != 4 || memcmp(name.data, "phi3", 4)) return true;
    if (!(v->finds = arena_alloc(v->storage, v->n, 1))) return fail_memory(r->e, r->where);
    for (size_t i = 0; i < v->n; i++) {
        bool other = v->kinds[i] != TOKEN_CONTROL && v->kinds[i] != TOKEN_USER;
        for (size_t k = 0; k < sizeof others / sizeof *others && !other; k++)
            other = v->tokens[i].size == strlen(others[k]) && !memcmp(v->tokens[i].data, others[k], v->tokens[i].size);
        if (!other) v->finds[i] = FIND_RSTRIP;
    }
    return true;
}

static bool read_text_steps(struct vocab_reader *r) {
    if (!phi3_finds(r)) return false;
    if (r->v->kind == VOCAB_WORDPIECE) return bert_steps(r);
    return r->v->kind != VOCAB_UNIGRAM || unigram_steps(r);
}

// Files from before April 2024 do not name their pre-tokenizer. Some architectures have had but one.
static bool guess_pre(struct vocab_reader *r) {
    static const struct {
        const char *architecture, *pre;
    } known[] = {{"gpt2", "gpt-2"},
                 {"gptneox", "gpt-2"},
                 {"gptj", "gpt-2"},
                 {"falcon", "falcon"},
                 {"mpt", "mpt"},
                 {"bloom", "bloom"},
                 {"starcoder", "starcoder"},
                 {"starcoder2", "starcoder"},
                 {"refact", "refact"},
                 {"phi2", "gpt-2"},
                 {"qwen", "qwen2"},
                 {"qwen2", "qwen2"},
                 {"qwen2moe", "qwen2"},
                 {"olmo", "olmo"},
                 {"dbrx", "dbrx"},
                 {"command-r", "command-r"},
                 {"codeshell", "codeshell"},
                 {"jais", "jais"}};
    struct vocab *v = r->v;
    struct text name = {0};
    if (v->kind != VOCAB_BPE || !v->byte_level) return true;
    if (!find_text(r, "general.architecture", &name)) return false;
    for (size_t i = 0; i < sizeof known / sizeof *known && !v->pre; i++)
        if (strlen(known[i].architecture) == name.size && !memcmp(known[i].architecture, name.data, name.size))
            v->pre = (char *)(uintptr_t)known[i].pre;
    bool ok = vocab_note(v,
                         "%s: does not say how its tokenizer splits text (tokenizer.ggml.pre); taken for %s%s; "
                         "convert the model again if its answers are poor",
                         r->where, v->pre ? v->pre : "default", v->pre ? ", as its architecture has it" : "");
    return ok || fail_memory(r->e, r->where);
}

static bool read_end(struct vocab_reader *r, const char *name) {
    int32_t id = -1;
    return find_id(r, name, &id) && (id < 0 || vocab_add_end(r->v, id) || fail_memory(r->e, r->where));
}

// All of them, as ollama's converter writes them.
static bool read_end_list(struct vocab_reader *r) {
    const struct value *a;
    if (!find_array(r, "tokenizer.ggml.eos_token_ids", VALUE_INT, 0, &a)) return false;
    for (size_t i = 0; a && i < a->array.n; i++) {
        uint64_t id = value_at(a, i).u;
        if (id < r->v->n && !vocab_add_end(r->v, (int32_t)id)) return fail_memory(r->e, r->where);
    }
    return true;
}

static bool read_lead(struct vocab_reader *r) {
    struct vocab *v = r->v;
    const struct value *a;
    if (!find_array(r, GGUF_LEAD, VALUE_INT, 0, &a)) return false;
    for (size_t i = 0; a && i < a->array.n && i < MAX_LEAD; i++) {
        struct value id = value_at(a, i);
        if (id.kind == VALUE_INT ? id.i >= 0 && (uint64_t)id.i < v->n : id.u < v->n)
            v->lead[v->n_lead++] = (int32_t)id.u;
    }
    return true;
}

static bool read_rest(struct vocab_reader *r) {
    struct vocab *v = r->v;
    int32_t separator = -1;
    if (!find_copy(r, "tokenizer.ggml.pre", &v->pre) || (!v->pre && !guess_pre(r))) return false;
    for (size_t i = 0; v->pre && v->kind == VOCAB_BPE && i < sizeof spelled / sizeof *spelled; i++)
        if (!strcmp(v->pre, spelled[i])) v->byte_level = false, v->byte_fallback = v->space_marker = true;
    if (v->kind == VOCAB_BPE && !v->byte_level) v->has_splits = true;
    for (size_t i = 0; v->pre && v->kind == VOCAB_BPE && i < sizeof whole_words / sizeof *whole_words; i++)
        if (!strcmp(v->pre, whole_words[i])) v->ignore_merges = v->add_bos = true;
    return find_id(r, "tokenizer.ggml.bos_token_id", &v->bos) && find_id(r, "tokenizer.ggml.eos_token_id", &v->eos) &&
           find_id(r, "tokenizer.ggml.eot_token_id", &v->eot) && read_end(r, "tokenizer.ggml.eom_token_id") &&
           read_end_list(r) && find_id(r, "tokenizer.ggml.unknown_token_id", &v->unk) &&
           find_id(r, "tokenizer.ggml.seperator_token_id", v->kind == VOCAB_WORDPIECE ? &v->eos : &separator) &&
           find_id(r, "tokenizer.ggml.cls_token_id", v->kind == VOCAB_WORDPIECE ? &v->bos : &separator) &&
           find_id(r, "tokenizer.ggml.padding_token_id", &v->pad) &&
           find_flag(r, "tokenizer.ggml.add_bos_token", &v->add_bos) &&
           find_flag(r, "tokenizer.ggml.add_eos_token", &v->add_eos) &&
           find_flag(r, "tokenizer.ggml.add_space_prefix", &v->space_prefix) && read_lead(r) &&
           find_flag(r, GGUF_PREFIX_BARE, &v->prefix_bare) && find_flag(r, GGUF_PREFIX_ONCE, &v->prefix_once) &&
           read_text_steps(r);
}

static bool read_model(struct vocab_reader *r, struct text name) {
    const struct model *m = NULL;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strlen(models[i].name) == name.size && !memcmp(models[i].name, name.data, name.size)) m = &models[i];
    if (!m)
        return fail(r->e, GYR_UNSUPPORTED,
                    "%s: has a tokenizer of kind %.*s; gyr knows gpt2, llama, t5, bert and gemma4", r->where,
                    shown(name), name.data);
    struct vocab *v = r->v;
    v->kind = m->kind;
    v->byte_level = m->byte_level;
    v->byte_fallback = m->byte_fallback;
    v->space_marker = m->space_marker;
    v->space_prefix = m->space_prefix;
    v->add_bos = m->add_bos;
    v->add_eos = m->add_eos;
    v->bos = m->bos, v->eos = m->eos, v->unk = m->unk;
    return read_tokens(r) && read_kinds(r) && read_merges(r) && read_rest(r);
}

// Templates beside the plain one: their names are in a list, each one's source under a key of its own.
static bool read_templates(struct vocab_reader *r) {
    const struct value *names;
    if (!find_array(r, "tokenizer.chat_templates", VALUE_STRING, 0, &names)) return false;
    size_t n = names ? names->array.n : 0;
    if (n > MAX_TEMPLATES)
        return fail(r->e, GYR_MALFORMED, "%s: has %zu chat templates; gyr reads at most %d", r->where, n,
                    MAX_TEMPLATES);
    if (n && !(r->v->templates = arena_alloc(r->v->storage, n, sizeof *r->v->templates)))
        return fail_memory(r->e, r->where);
    for (size_t i = 0; i < n; i++) {
        struct named_template *t = &r->v->templates[r->v->n_templates];
        struct buf key = {0};
        t->name = arena_copy(r->v->storage, value_at(names, i).s);
        if (t->name) buf_printf(&key, "tokenizer.chat_template.%s", t->name);
        bool ok = t->name && !key.failed ? find_copy(r, key.data, &t->source) : fail_memory(r->e, r->where);
        buf_free(&key);
        if (!ok) return false;
        r->v->n_templates += t->source != NULL;
    }
    return true;
}

bool gguf_vocab(const struct keys *k, const char *where, struct vocab *v, gyr_error *e) {
    struct vocab_reader r = {k, where, v, e};
    struct text name = {0};
    *v = (struct vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1};
    if (!(v->storage = calloc(1, sizeof(struct arena)))) return fail_memory(e, where);
    if (!find_copy(&r, "tokenizer.chat_template", &v->chat_template) || !read_templates(&r)) return false;
    if (!find_text(&r, "tokenizer.ggml.model", &name)) return false;
    bool none = !name.size || (name.size == 4 && !memcmp(name.data, "none", 4)) ||
                (name.size == 8 && !memcmp(name.data, "no_vocab", 8));
    return none || read_model(&r, name);
}
