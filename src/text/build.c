// Turns what a file says about its tokenizer into tables that text can be looked up in.
#include "text/tokenizer_impl.h"

#include "base/utf8.h"
#include "format/alphabet.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char MARKER[] = "\xe2\x96\x81"; // U+2581, which SentencePiece writes for a space

static bool marked(const struct vocab *v) { return v->kind == VOCAB_SPM || v->space_marker; }

static bool has_scores(const struct vocab *v) { return v->kind == VOCAB_SPM || v->kind == VOCAB_UNIGRAM; }

// "<0xNN>" is a byte; -1 if the token is not spelled so.
static int byte_name(struct text s) {
    static const char digits[] = "0123456789ABCDEF0123456789abcdef";
    if (s.size != 6 || memcmp(s.data, "<0x", 3) || s.data[5] != '>') return -1;
    const char *high = memchr(digits, s.data[3], 32), *low = memchr(digits, s.data[4], 32);
    return high && low ? (int)((high - digits) % 16 * 16 + (low - digits) % 16) : -1;
}

// Byte-level spelling to bytes; SIZE_MAX if a character is not of the alphabet.
static size_t from_alphabet(struct text s, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.size;) {
        uint32_t c;
        int size = utf8_decode(s.data + i, s.size - i, &c), byte = size ? alphabet_byte(c) : -1;
        if (byte < 0) return SIZE_MAX;
        out[n++] = (char)byte;
        i += (size_t)size;
    }
    return n;
}

static size_t from_marked(struct text s, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < s.size;) {
        bool space = s.size - i >= 3 && !memcmp(s.data + i, MARKER, 3);
        out[n++] = space ? ' ' : s.data[i];
        i += space ? 3 : 1;
    }
    return n;
}

size_t from_spelling(const struct vocab *v, struct text s, char *out) {
    if (v->byte_level) return from_alphabet(s, out);
    if (marked(v)) return from_marked(s, out);
    memcpy(out, s.data, s.size);
    return s.size;
}

// The bytes of token i. False if plain text never becomes it.
static bool spell(const struct vocab *v, size_t i, char *out, size_t *size) {
    struct text s = v->tokens[i];
    enum token_kind kind = token_kind_of(v, i);
    int byte = kind == TOKEN_BYTE ? byte_name(s) : -1;
    *size = SIZE_MAX;
    if (byte >= 0)
        out[0] = (char)byte, *size = 1;
    else if (kind == TOKEN_NORMAL || kind == TOKEN_UNUSED)
        *size = from_spelling(v, s, out);
    else if (kind == TOKEN_USER && marked(v))
        *size = from_marked(s, out);
    bool plain = kind == TOKEN_USER || (kind == TOKEN_NORMAL && *size != SIZE_MAX);
    if (*size == SIZE_MAX) {
        memcpy(out, s.data, s.size);
        *size = s.size;
    }
    return plain && *size > 0;
}

static bool spell_all(struct tokenizer *t, bool *plain, gyr_error *e) {
    const struct vocab *v = t->vocab;
    size_t total = 1;
    for (size_t i = 0; i < v->n; i++)
        if (__builtin_add_overflow(total, v->tokens[i].size, &total)) return fail_memory(e, t->where);
    t->memory = malloc(total);
    t->bytes = calloc(v->n, sizeof *t->bytes);
    if (!t->memory || !t->bytes) return fail_memory(e, t->where);
    char *out = t->memory;
    for (size_t i = 0; i < v->n; i++) {
        size_t size = 0;
        plain[i] = v->tokens[i].size && spell(v, i, out, &size);
        t->bytes[i] = (struct text){out, size};
        out += size;
    }
    return true;
}

// Of tokens that are spelled alike the first is found; one that merges make goes before one that was added.
static bool index_tokens(struct tokenizer *t, const bool *plain, gyr_error *e) {
    const struct vocab *v = t->vocab;
    for (size_t i = 0; i < v->n; i++)
        if (index_add(&t->by_name, v->tokens, sizeof *v->tokens, i) == INDEX_NO_MEMORY) return fail_memory(e, t->where);
    for (int user = 0; user < 2; user++)
        for (size_t i = 0; i < v->n; i++)
            if (plain[i] && (token_kind_of(v, i) == TOKEN_USER) == user &&
                index_add(&t->by_bytes, t->bytes, sizeof *t->bytes, i) == INDEX_NO_MEMORY)
                return fail_memory(e, t->where);
    for (size_t i = 0; i < v->n; i++) {
        if (!plain[i]) continue;
        const unsigned char *s = (const unsigned char *)t->bytes[i].data;
        size_t size = t->bytes[i].size;
        if (size > t->longest) t->longest = size;
        for (size_t k = 1; k < size; k++) {
            unsigned bit = (unsigned)s[k - 1] << 8 | s[k];
            t->follows[bit >> 6] |= (uint64_t)1 << (bit & 63);
        }
    }
    return true;
}

static void index_bytes(struct tokenizer *t) {
    const struct vocab *v = t->vocab;
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        int32_t id = token_of(t, &c, 1);
        if (b < 128) t->ascii_ids[b] = id;
        t->byte_ids[b] = v->byte_level ? id : -1;
    }
    for (size_t i = v->n; !v->byte_level && (v->byte_fallback || has_scores(v)) && i-- > 0;) {
        int byte = token_kind_of(v, i) == TOKEN_BYTE ? byte_name(v->tokens[i]) : -1;
        if (byte >= 0) t->byte_ids[byte] = (int32_t)i;
    }
    // Byte-level files often name a control token here, which plain text must not become.
    bool usable = v->unk >= 0 && (!v->byte_level || token_kind_of(v, (size_t)v->unk) == TOKEN_UNKNOWN);
    t->unknown = usable ? v->unk : -1;
}

// The tokens of U+FFFD: one, or its bytes'.
static void index_replacement(struct tokenizer *t) {
    static const char replacement[] = "\xef\xbf\xbd";
    int32_t whole = token_of(t, replacement, 3);
    bool bytes = true;
    for (int i = 0; i < 3; i++) {
        t->replacement[i] = t->byte_ids[(unsigned char)replacement[i]];
        bytes = bytes && t->replacement[i] >= 0;
    }
    if (whole >= 0 || !bytes) t->replacement[0] = whole, t->replacement[1] = t->replacement[2] = -1;
}

static bool index_specials(struct tokenizer *t, gyr_error *e) {
    const struct vocab *v = t->vocab;
    for (size_t i = 0; i < v->n; i++) {
        enum token_kind kind = token_kind_of(v, i);
        bool user = kind == TOKEN_USER;
        struct text s = t->bytes[i];
        if ((!user && kind != TOKEN_CONTROL && kind != TOKEN_UNKNOWN) || !s.size) continue;
        if (s.size > MAX_SPECIAL)
            return fail(e, GYR_UNSUPPORTED, "%s: special token %zu has %zu bytes; gyr takes at most %d", t->where, i,
                        s.size, MAX_SPECIAL);
        if (user && v->finds && (v->finds[i] & FIND_NORMALIZED) && v->n_normals) continue; // see index_late()
        if ((user && !specials_add(&t->user, s, (int32_t)i)) || !specials_add(&t->all, s, (int32_t)i))
            return fail_memory(e, t->where);
    }
    specials_sort(&t->user);
    specials_sort(&t->all);
    return true;
}

// How the tokens are spelled that are found in normalized text.
static bool index_late(struct tokenizer *t, gyr_error *e) {
    const struct vocab *v = t->vocab;
    struct scan scan = {0};
    struct rewriting r = {.normalizer = &t->normalizer, .scan = &scan, .begins = true, .ends = true};
    size_t total = 0;
    for (size_t i = 0; i < v->n; i++) total += t->bytes[i].size;
    bool ok = !v->finds || !v->n_normals || scan_begin(&scan, total) || fail_memory(e, t->where);
    struct specials spans = {0}; // offsets for now: the names move while they grow
    for (size_t i = 0; ok && v->finds && v->n_normals && i < v->n; i++) {
        if (token_kind_of(v, i) != TOKEN_USER || !(v->finds[i] & FIND_NORMALIZED) || !t->bytes[i].size) continue;
        ok = normalize(&r, t->bytes[i].data, t->bytes[i].size) && r.out.size <= MAX_SPECIAL;
        if (!ok)
            fail(e, GYR_UNSUPPORTED, "%s: added token %zu grows too long when it is normalized", t->where, i);
        else if (r.out.size)
            ok = specials_add(&spans, (struct text){NULL, r.out.size}, (int32_t)i) || fail_memory(e, t->where);
        if (ok) buf_append(&t->late_names, r.out.data, r.out.size);
    }
    size_t at = 0;
    for (size_t i = 0; ok && i < spans.n; at += spans.items[i++].text.size)
        ok =
            specials_add(&t->late, (struct text){t->late_names.data + at, spans.items[i].text.size}, spans.items[i].id);
    specials_sort(&t->late);
    specials_free(&spans);
    rewriting_free(&r);
    scan_end(&scan);
    return ok && (!t->late_names.failed || fail_memory(e, t->where));
}

// All that plain text can become, to walk along it.
static bool index_pieces(struct tokenizer *t, const bool *plain, gyr_error *e) {
    const struct vocab *v = t->vocab;
    for (size_t i = 0; i < v->n; i++)
        if (plain[i] && token_kind_of(v, i) != TOKEN_USER && !specials_add(&t->pieces, t->bytes[i], (int32_t)i))
            return fail_memory(e, t->where);
    specials_sort(&t->pieces);
    return true;
}

// Scores as numbers that sort the other way round: the best is the lowest. A NaN is the worst.
static uint32_t order_of(float score) {
    uint32_t bits;
    score += 0.0f; // -0 is 0
    if (score != score) return UINT32_MAX - 1;
    memcpy(&bits, &score, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : (uint32_t)1 << 31;
    return ~bits;
}

static bool index_scores(struct tokenizer *t, gyr_error *e) {
    const struct vocab *v = t->vocab;
    if (!v->scores && !v->exact)
        return fail(e, GYR_MALFORMED, "%s: a SentencePiece vocabulary without scores; convert the model again",
                    t->where);
    // Far below the worst piece (sentencepiece, unigram_model.cc).
    const double penalty = 10;
    for (size_t i = 0; i < v->n; i++) {
        double score = v->exact ? v->exact[i] : (double)v->scores[i];
        if (!isfinite(score) && v->kind == VOCAB_UNIGRAM)
            return fail(e, GYR_MALFORMED, "%s: the score of token %zu is not a number; get the file again", t->where,
                        i);
        if (!i || score - penalty < t->unknown_score) t->unknown_score = score - penalty;
    }
    if (v->kind == VOCAB_UNIGRAM) return true;
    t->order = malloc(v->n * sizeof *t->order);
    if (!t->order) return fail_memory(e, t->where);
    for (size_t i = 0; i < v->n; i++) t->order[i] = order_of(v->scores[i]);
    return true;
}

static bool check(const struct vocab *v, const char *where, gyr_error *e) {
    if (v->kind == VOCAB_NONE)
        return fail(e, GYR_UNSUPPORTED, "%s: has no tokenizer that gyr knows (BPE, SentencePiece, Unigram, WordPiece)",
                    where);
    if (!v->n || v->n > INT32_MAX)
        return fail(e, GYR_MALFORMED, "%s: a vocabulary of %zu tokens; the file is damaged", where, v->n);
    if (v->unk < -1 || (v->unk >= 0 && (size_t)v->unk >= v->n))
        return fail(e, GYR_MALFORMED, "%s: the unknown token %d is not in the vocabulary of %zu", where, v->unk, v->n);
    return true;
}

static bool build(struct tokenizer *t, gyr_error *e) {
    const struct vocab *v = t->vocab;
    bool *plain = malloc(v->n * sizeof *plain);
    if (!plain) return fail_memory(e, t->where);
    bool walks = v->kind == VOCAB_UNIGRAM || v->kind == VOCAB_WORDPIECE;
    bool ok = spell_all(t, plain, e) && index_tokens(t, plain, e) && index_specials(t, e) &&
              (!walks || index_pieces(t, plain, e)) && normalizer_init(&t->normalizer, v, t->where, e) &&
              index_late(t, e) && pretokenizer_init(&t->pre, v, t->where, e);
    free(plain);
    if (!ok) return false;
    index_bytes(t);
    index_replacement(t);
    index_ends(t);
    t->spaced = v->space_prefix && marked(v);
    t->drops = t->spaced || v->drop_space;
    t->fuses = v->fuse_unknown || v->kind == VOCAB_SPM;
    if (v->kind == VOCAB_WORDPIECE) return true;
    return has_scores(v) ? index_scores(t, e) : index_merges(t, e);
}

struct tokenizer *tokenizer_new(const struct vocab *v, const char *where, gyr_error *e) {
    if (!check(v, where, e)) return NULL;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t || !(t->where = strdup(where)) || !(t->lexicon = lexicon_slot_new())) {
        if (t) free(t->where);
        free(t);
        return fail_memory(e, where), NULL;
    }
    t->vocab = v;
    if (build(t, e)) return t;
    tokenizer_free(t);
    return NULL;
}

void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    index_free(&t->by_name);
    index_free(&t->by_bytes);
    specials_free(&t->user);
    specials_free(&t->all);
    specials_free(&t->late);
    buf_free(&t->late_names);
    specials_free(&t->pieces);
    normalizer_free(&t->normalizer);
    pretokenizer_free(&t->pre);
    pairs_free(&t->merges);
    lexicon_slot_free(t->lexicon);
    free(t->order);
    free(t->bytes);
    free(t->memory);
    free(t->where);
    free(t);
}
