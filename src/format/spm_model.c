// SentencePiece's own file, tokenizer.model: a protocol buffer (google/sentencepiece, sentencepiece_model.proto) of
// pieces, how they were trained, and how text is normalized.
#include "format/hf.h"

#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
enum { SPM_UNIGRAM = 1, SPM_BPE = 2 };

// A message that is being read (protobuf.dev, "Encoding").
struct message {
    const uint8_t *p, *end;
    bool bad;
};

struct field {
    uint64_t number;
    uint64_t value;    // of a number
    struct text bytes; // of a string or a message
};

static uint64_t read_varint(struct message *m) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && m->p < m->end; shift += 7) {
        uint8_t byte = *m->p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return v;
    }
    m->bad = true;
    return 0;
}

static uint64_t read_fixed(struct message *m, size_t size) {
    uint64_t v = 0;
    if ((size_t)(m->end - m->p) < size)
        m->bad = true;
    else
        memcpy(&v, m->p, size), m->p += size;
    return v;
}

// False at the message's end, or where it is damaged.
static bool next(struct message *m, struct field *f) {
    if (m->bad || m->p == m->end) return false;
    uint64_t tag = read_varint(m);
    *f = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case WIRE_VARINT: f->value = read_varint(m); break;
    case WIRE_64: f->value = read_fixed(m, 8); break;
    case WIRE_32: f->value = read_fixed(m, 4); break;
    case WIRE_BYTES: {
        uint64_t size = read_varint(m);
        if (m->bad || size > (uint64_t)(m->end - m->p)) return !(m->bad = true);
        f->bytes = (struct text){(const char *)m->p, (size_t)size};
        m->p += size;
        break;
    }
    default: m->bad = true;
    }
    return !m->bad;
}

static struct message message_of(struct text s) {
    const uint8_t *p = (const uint8_t *)s.data;
    return (struct message){.p = p, .end = p + s.size};
}

struct spm {
    struct vocab *v;
    const char *where;
    gyr_error *e;
    size_t n; // pieces read
    uint64_t type;
    bool suffix, squeeze, escape;
    struct text charsmap;
};

static bool damaged(struct spm *s) {
    return fail(s->e, GYR_MALFORMED, "%s: is not a SentencePiece model, or is damaged; get the file again", s->where);
}

static bool read_piece(struct spm *s, struct text bytes) {
    struct message m = message_of(bytes);
    struct vocab *v = s->v;
    struct text name = {"", 0};
    uint64_t kind = TOKEN_NORMAL;
    uint32_t score = 0;
    for (struct field f; next(&m, &f);) {
        if (f.number == 1 && f.bytes.data) name = f.bytes;
        if (f.number == 2) score = (uint32_t)f.value;
        if (f.number == 3) kind = f.value;
    }
    if (m.bad || kind < TOKEN_NORMAL || kind > TOKEN_BYTE) return damaged(s);
    size_t i = s->n++;
    v->tokens[i] = (struct text){arena_copy(v->storage, name), name.size};
    v->kinds[i] = (uint8_t)kind;
    memcpy(&v->scores[i], &score, sizeof score);
    return v->tokens[i].data || fail_memory(s->e, s->where);
}

static bool read_trainer(struct spm *s, struct text bytes) {
    struct message m = message_of(bytes);
    struct vocab *v = s->v;
    for (struct field f; next(&m, &f);) switch (f.number) {
        case 3: s->type = f.value; break;
        case 24: s->suffix = f.value; break;
        case 35: v->byte_fallback = f.value; break;
        case 40: v->unk = (int32_t)f.value; break;
        case 41: v->bos = (int32_t)f.value; break;
        case 42: v->eos = (int32_t)f.value; break;
        case 43: v->pad = (int32_t)f.value; break;
        }
    return !m.bad || damaged(s);
}

static bool read_normalizer_spec(struct spm *s, struct text bytes) {
    struct message m = message_of(bytes);
    for (struct field f; next(&m, &f);) switch (f.number) {
        case 2: s->charsmap = f.bytes; break;
        case 3: s->v->space_prefix = f.value; break;
        case 4: s->squeeze = f.value; break;
        case 5: s->escape = f.value; break;
        }
    return !m.bad || damaged(s);
}

static bool read_fields(struct spm *s, struct text file) {
    struct message m = message_of(file);
    struct vocab *v = s->v;
    for (struct field f; next(&m, &f);) v->n += f.number == 1 && f.bytes.data;
    if (m.bad || !v->n || v->n > INT32_MAX) return damaged(s);
    v->tokens = arena_alloc(v->storage, v->n, sizeof *v->tokens);
    v->scores = arena_alloc(v->storage, v->n, sizeof *v->scores);
    v->kinds = arena_alloc(v->storage, v->n, 1);
    if (!v->tokens || !v->scores || !v->kinds) return fail_memory(s->e, s->where);
    m = message_of(file);
    for (struct field f; next(&m, &f);) {
        if (f.number == 1 && f.bytes.data && !read_piece(s, f.bytes)) return false;
        if (f.number == 2 && f.bytes.data && !read_trainer(s, f.bytes)) return false;
        if (f.number == 3 && f.bytes.data && !read_normalizer_spec(s, f.bytes)) return false;
    }
    return true;
}

static void check_id(const struct vocab *v, int32_t *id) {
    if (*id < 0 || (size_t)*id >= v->n) *id = -1;
}

bool spm_model(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e) {
    *v = (struct vocab){.bos = 1, .eos = 2, .eot = -1, .unk = 0, .pad = -1, .space_prefix = true};
    if (!(v->storage = calloc(1, sizeof(struct arena)))) return fail_memory(e, where);
    struct spm s = {.v = v, .where = where, .e = e, .type = SPM_UNIGRAM, .squeeze = true, .escape = true};
    if (!read_fields(&s, (struct text){data, size})) return false;
    if (s.type != SPM_UNIGRAM && s.type != SPM_BPE)
        return fail(e, GYR_UNSUPPORTED, "%s: a SentencePiece model of words or characters; gyr knows Unigram and BPE",
                    where);
    if (s.suffix || !s.escape)
        return fail(e, GYR_UNSUPPORTED, "%s: writes spaces in a way that gyr does not support; choose another model",
                    where);
    v->kind = s.type == SPM_BPE ? VOCAB_SPM : VOCAB_UNIGRAM;
    v->space_marker = v->add_bos = true;
    check_id(v, &v->bos), check_id(v, &v->eos), check_id(v, &v->unk), check_id(v, &v->pad);
    return vocab_sentencepiece(v, s.charsmap, s.squeeze) || fail_memory(e, where);
}
