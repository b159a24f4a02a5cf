// Turns what a file says about its tokenizer into tables that text can be looked up in.
#include "text/tokenizer_impl.h"

#include "base/utf8.h"
#include "text/bytes.h"
#include <stdlib.h>
#include <string.h>

// A merge may be split at several spaces if its pieces have some; no more than this many are tried.
enum { MAX_SPACES = 32 };

static const char MARKER[] = "\xe2\x96\x81"; // U+2581, which SentencePiece writes for a space

static enum token_kind kind_of(const struct vocab *v, size_t i) { return v->kinds ? v->kinds[i] : TOKEN_NORMAL; }

static bool marked(const struct vocab *v) { return v->kind == VOCAB_SPM || v->space_marker; }

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

// Writes the bytes that a spelling stands for in plain text, at most as many as it has; SIZE_MAX if none can.
static size_t from_spelling(const struct vocab *v, struct text s, char *out) {
    if (v->byte_level) return from_alphabet(s, out);
    if (marked(v)) return from_marked(s, out);
    memcpy(out, s.data, s.size);
    return s.size;
}

// The bytes of token i. False if plain text never becomes it.
static bool spell(const struct vocab *v, size_t i, char *out, size_t *size) {
    struct text s = v->tokens[i];
    enum token_kind kind = kind_of(v, i);
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
            if (plain[i] && (kind_of(v, i) == TOKEN_USER) == user &&
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

static int32_t find_bytes(const struct tokenizer *t, const char *s, size_t size) {
    size_t i = index_find(&t->by_bytes, t->bytes, sizeof *t->bytes, (struct text){s, size});
    return i == SIZE_MAX ? -1 : (int32_t)i;
}

static void index_bytes(struct tokenizer *t) {
    const struct vocab *v = t->vocab;
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        int32_t id = find_bytes(t, &c, 1);
        if (b < 128) t->ascii_ids[b] = id;
        t->byte_ids[b] = v->byte_level ? id : -1;
    }
    for (size_t i = v->n; !v->byte_level && (v->byte_fallback || v->kind == VOCAB_SPM) && i-- > 0;) {
        int byte = kind_of(v, i) == TOKEN_BYTE ? byte_name(v->tokens[i]) : -1;
        if (byte >= 0) t->byte_ids[byte] = (int32_t)i;
    }
    // Byte-level files often name a control token here, which plain text must not become.
    bool usable = v->unk >= 0 && (!v->byte_level || kind_of(v, (size_t)v->unk) == TOKEN_UNKNOWN);
    t->unknown = usable ? v->unk : -1;
}

// The tokens of U+FFFD: one, or its bytes'.
static void index_replacement(struct tokenizer *t) {
    static const char replacement[] = "\xef\xbf\xbd";
    int32_t whole = find_bytes(t, replacement, 3);
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
        enum token_kind kind = kind_of(v, i);
        bool user = kind == TOKEN_USER;
        struct text s = t->bytes[i];
        if ((!user && kind != TOKEN_CONTROL && kind != TOKEN_UNKNOWN) || !s.size) continue;
        if (s.size > MAX_SPECIAL)
            return fail(e, GYR_UNSUPPORTED, "%s: special token %zu has %zu bytes; gyr takes at most %d", t->where, i,
                        s.size, MAX_SPECIAL);
        if ((user && !specials_add(&t->user, s, (int32_t)i)) || !specials_add(&t->all, s, (int32_t)i))
            return fail_memory(e, t->where);
    }
    specials_sort(&t->user);
    specials_sort(&t->all);
    return true;
}

// A spelling's token, control tokens too; `room` has place for its bytes.
static int32_t find_piece(const struct tokenizer *t, struct text s, char *room) {
    size_t size = from_spelling(t->vocab, s, room), i = SIZE_MAX;
    int32_t id = size == SIZE_MAX ? -1 : find_bytes(t, room, size);
    if (id < 0) i = index_find(&t->by_name, t->vocab->tokens, sizeof *t->vocab->tokens, s);
    return i == SIZE_MAX ? id : (int32_t)i;
}

// Finds the tokens of "left right" and of both together.
static bool read_merge(const struct tokenizer *t, struct text merge, char *room, int32_t ids[3]) {
    const char *end = merge.data + merge.size, *space = merge.data;
    char *joined = room + merge.size;
    for (int tries = 0; tries < MAX_SPACES && space + 1 < end; tries++) {
        space = memchr(space + 1, ' ', (size_t)(end - space - 1));
        if (!space) return false;
        size_t left = (size_t)(space - merge.data), right = merge.size - left - 1;
        memcpy(joined, merge.data, left);
        memcpy(joined + left, space + 1, right);
        ids[0] = find_piece(t, (struct text){merge.data, left}, room);
        if (ids[0] >= 0 && (ids[1] = find_piece(t, (struct text){space + 1, right}, room)) >= 0 &&
            (ids[2] = find_piece(t, (struct text){joined, left + right}, room)) >= 0)
            return true;
    }
    return false;
}

static bool plain_kind(const struct vocab *v, int32_t id) {
    return kind_of(v, (size_t)id) == TOKEN_NORMAL || kind_of(v, (size_t)id) == TOKEN_USER;
}

static bool index_merges(struct tokenizer *t, gyr_error *e) {
    const struct vocab *v = t->vocab;
    size_t longest = 0;
    for (size_t i = 0; i < v->n_merges; i++)
        if (v->merges[i].size > longest) longest = v->merges[i].size;
    char *room = longest < SIZE_MAX / 4 ? malloc(2 * longest + 1) : NULL;
    bool ok = room && v->n_merges < UINT32_MAX && pairs_init(&t->merges, v->n_merges);
    if (!ok) fail_memory(e, t->where);
    for (size_t i = 0; ok && i < v->n_merges; i++) {
        struct text merge = v->merges[i];
        int32_t ids[3];
        ok = read_merge(t, merge, room, ids);
        if (!ok)
            fail(e, GYR_MALFORMED,
                 "%s: merge %zu (\"%.*s\") does not join two tokens into a third; the file is damaged or was converted "
                 "wrongly",
                 t->where, i, merge.size < 80 ? (int)merge.size : 80, merge.data);
        // Plain text must never become a control token, not even by way of a merge.
        else if (plain_kind(v, ids[0]) && plain_kind(v, ids[1]) && plain_kind(v, ids[2]))
            pairs_add(&t->merges, ids[0], ids[1], (uint32_t)i, ids[2]);
    }
    free(room);
    return ok;
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
    if (!v->scores)
        return fail(e, GYR_MALFORMED, "%s: a SentencePiece vocabulary without scores; convert the model again",
                    t->where);
    t->order = malloc(v->n * sizeof *t->order);
    if (!t->order) return fail_memory(e, t->where);
    for (size_t i = 0; i < v->n; i++) t->order[i] = order_of(v->scores[i]);
    return true;
}

static bool check(const struct vocab *v, const char *where, gyr_error *e) {
    if (v->kind == VOCAB_NONE)
        return fail(e, GYR_UNSUPPORTED, "%s: has no tokenizer that gyr knows (byte-level BPE, SentencePiece BPE)",
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
    bool ok = spell_all(t, plain, e) && index_tokens(t, plain, e) && index_specials(t, e) &&
              pretokenizer_init(&t->pre, v, t->where, e);
    free(plain);
    if (!ok) return false;
    index_bytes(t);
    index_replacement(t);
    t->spaced = v->space_prefix && marked(v);
    return v->kind == VOCAB_SPM ? index_scores(t, e) : index_merges(t, e);
}

struct tokenizer *tokenizer_new(const struct vocab *v, const char *where, gyr_error *e) {
    if (!check(v, where, e)) return NULL;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t || !(t->where = strdup(where))) {
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
    pretokenizer_free(&t->pre);
    pairs_free(&t->merges);
    free(t->order);
    free(t->bytes);
    free(t->memory);
    free(t->where);
    free(t);
}
