#include "text/tokenizer_impl.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "text/chars.h"
#include <stdlib.h>
#include <string.h>

bool push_token(struct work *w, int32_t id) { return tokens_push(w->out, id) || fail_memory(w->error, w->t->where); }

int32_t token_of(const struct tokenizer *t, const char *s, size_t size) {
    size_t i = index_find(&t->by_bytes, t->bytes, sizeof *t->bytes, (struct text){s, size});
    return i == SIZE_MAX ? -1 : (int32_t)i;
}

bool push_unknown(struct work *w, const char *s, size_t size) {
    const struct tokenizer *t = w->t;
    bool all = true;
    unsigned char missing = 0;
    for (size_t i = 0; i < size && all; i++) all = t->byte_ids[missing = (unsigned char)s[i]] >= 0;
    for (size_t i = 0; i < size && all; i++)
        if (!push_token(w, t->byte_ids[(unsigned char)s[i]])) return false;
    if (all) return true;
    if (t->unknown >= 0) return push_token(w, t->unknown);
    return fail(w->error, GYR_UNSUPPORTED,
                "%s: the vocabulary has no token for byte 0x%02x, and none for what is unknown", t->where, missing);
}

static bool flush(struct work *w, const char *text) {
    if (!w->n) return true;
    if (!join_symbols(w, text)) return false;
    for (uint32_t i = 0; i != UINT32_MAX; i = w->symbols[i].after) {
        const struct symbol *s = &w->symbols[i];
        size_t end = s->begin + s->size, begin = s->begin;
        while (s->id < 0 && w->t->fuses && s->after != UINT32_MAX && w->symbols[s->after].id < 0) {
            i = s->after;
            s = &w->symbols[i];
            end += s->size;
        }
        if (!(s->id >= 0 ? push_token(w, s->id) : push_unknown(w, text + begin, end - begin))) return false;
    }
    w->n = 0;
    return true;
}

static bool add_symbol(struct work *w, size_t begin, size_t size, int32_t id) {
    if (!ARRAY_GROW(w->symbols, w->n, w->room)) return fail_memory(w->error, w->t->where);
    w->symbols[w->n++] = (struct symbol){(uint32_t)begin, (uint32_t)size, id, UINT32_MAX, UINT32_MAX};
    return true;
}

// The token of a character as it is spelled where it stands in its word.
static int32_t affixed_token(struct work *w, const char *s, size_t size, bool begins, bool ends) {
    const struct vocab *v = w->t->vocab;
    buf_clear(&w->piece);
    if (!begins && v->word_prefix) buf_puts(&w->piece, v->word_prefix);
    buf_append(&w->piece, s, size);
    if (ends && v->word_suffix) buf_puts(&w->piece, v->word_suffix);
    return w->piece.failed ? -1 : token_of(w->t, w->piece.data, w->piece.size);
}

// The token that the character at s starts as, and its length.
static int32_t first_token(struct work *w, const char *s, size_t size, bool begins, size_t *length) {
    const struct tokenizer *t = w->t;
    unsigned char byte = (unsigned char)*s;
    *length = 1;
    uint32_t c;
    int n = byte < 128 || t->vocab->byte_level ? 1 : utf8_decode(s, size, &c);
    if (n) *length = (size_t)n;
    if (t->vocab->word_prefix || t->vocab->word_suffix) return affixed_token(w, s, *length, begins, *length == size);
    if (t->vocab->byte_level) return t->byte_ids[byte];
    if (byte < 128) return t->ascii_ids[byte];
    return n ? token_of(t, s, *length) : -1;
}

// A byte for which a byte-level vocabulary has no token. In valid text it is left out, as Hugging Face does; of other
// bytes each becomes a U+FFFD.
static bool replace_byte(struct work *w, const char *s, bool valid) {
    if (valid) return true;
    if (!flush(w, s)) return false;
    for (int i = 0; i < 3; i++)
        if (w->t->replacement[i] >= 0 && !push_token(w, w->t->replacement[i])) return false;
    return true;
}

static bool encode_word(struct work *w, const char *s, size_t size, bool valid) {
    const struct tokenizer *t = w->t;
    if (t->vocab->kind == VOCAB_UNIGRAM) return encode_unigram(w, s, size);
    if (t->vocab->kind == VOCAB_WORDPIECE) return encode_wordpiece(w, s, size);
    if (t->vocab->ignore_merges || t->pre.ignore_merges) {
        int32_t id = token_of(t, s, size);
        if (id >= 0) return push_token(w, id);
    }
    w->n = 0;
    unsigned char last = 0; // byte of the symbol before
    for (size_t i = 0, length; i < size; i += length) {
        int32_t id = first_token(w, s + i, size - i, !i, &length);
        if (id < 0 && t->vocab->byte_level && t->unknown < 0) {
            if (!replace_byte(w, s, valid)) return false;
            continue;
        }
        bool fuses = w->n && id < 0 && t->fuses && w->symbols[w->n - 1].id < 0;
        if (w->n && !fuses && !bytes_follow(t, last, (unsigned char)s[i]) && !flush(w, s)) return false;
        if (!add_symbol(w, i, length, id)) return false;
        last = (unsigned char)s[i + length - 1];
    }
    return flush(w, s);
}

static bool encode_valid(struct work *w, const char *s, size_t size) {
    if (!w->t->pre.n) return encode_word(w, s, size, true);
    if (!pretokenize(&w->t->pre, &w->scan, s, size, &w->words)) return fail_memory(w->error, w->t->where);
    for (size_t k = 0; k < w->words.spans.n; k++) {
        struct span span = w->words.spans.at[k];
        if (!encode_word(w, w->words.text + span.begin, span.end - span.begin, true)) return false;
    }
    return true;
}

// The patterns are defined on Unicode text: each run of valid characters is cut into words of its own, and each run
// of other bytes is a word.
static bool encode_runs(struct work *w, const char *s, size_t size) {
    uint32_t c;
    for (size_t i = 0; i < size;) {
        size_t begin = i;
        for (int n; i < size && (n = utf8_decode(s + i, size - i, &c)); i += (size_t)n) {}
        if (i > begin && !encode_valid(w, s + begin, i - begin)) return false;
        w->words.begins = false;
        begin = i;
        while (i < size && !utf8_decode(s + i, size - i, &c)) i++;
        if (i > begin && !encode_word(w, s + begin, i - begin, false)) return false;
    }
    return true;
}

// Normalized text between tokens found beforehand.
static bool encode_piece(struct work *w, const char *s, size_t size, bool prefix) {
    const struct vocab *v = w->t->vocab;
    if (!size) return true;
    // Byte-level vocabularies put the space only where there is none (Hugging Face's add_prefix_space), as its
    // Metaspace does.
    bool bare = !w->t->spaced || v->prefix_bare;
    if (!prefix || !v->space_prefix || (bare && *s == ' ')) return encode_runs(w, s, size);
    struct buf spaced = {0};
    buf_putc(&spaced, ' ');
    buf_append(&spaced, s, size);
    bool ok = spaced.failed ? fail_memory(w->error, w->t->where) : encode_runs(w, spaced.data, spaced.size);
    buf_free(&spaced);
    return ok;
}

static bool in_word(const char *s, size_t size, bool last) {
    uint32_t c;
    size_t at = last && size ? size - 1 : 0;
    while (last && at && size - at < 4 && ((unsigned char)s[at] & 0xc0) == 0x80) at--;
    return size && utf8_decode(s + at, size - at, &c) && char_is_word(c);
}

static bool is_found(const struct tokenizer *t, int32_t id, const char *text, size_t size, size_t at, size_t length) {
    if (!t->vocab->finds || !(t->vocab->finds[id] & FIND_WORD)) return true;
    return !in_word(text, at, true) && !in_word(text + at + length, size - at - length, false);
}

// Normalized text, in which some added tokens are found only now.
static bool encode_normalized(struct work *w, const char *s, size_t size, bool prefix) {
    const struct tokenizer *t = w->t;
    size_t done = 0;
    for (size_t at = 0; t->late.n && at < size;) {
        const struct special *found = specials_longest(&t->late, s + at, size - at);
        if (!found || !is_found(t, found->id, s, size, at, found->text.size)) {
            at++;
            continue;
        }
        size_t end = at + found->text.size, finds = t->vocab->finds[found->id], before = at - done;
        if (finds & FIND_LSTRIP) before -= spaces_after(s + done, before);
        if (!encode_piece(w, s + done, before, prefix) || !push_token(w, found->id)) return false;
        if (finds & FIND_RSTRIP) end += spaces_before(s + end, size - end);
        w->words.begins = false;
        done = at = end;
    }
    return encode_piece(w, s + done, size - done, prefix);
}

static bool encode_plain(struct work *w, const char *s, size_t size, bool prefix, bool ends) {
    if (!size || !w->t->normalizer.n) return encode_piece(w, s, size, prefix);
    struct rewriting *r = &w->rewriting;
    r->normalizer = &w->t->normalizer;
    r->scan = &w->scan;
    r->begins = w->words.begins;
    r->ends = ends;
    if (!normalize(r, s, size))
        return fail(w->error, GYR_UNSUPPORTED, "%s: its normalizer makes the text too long; shorten the text",
                    w->t->where);
    return encode_normalized(w, r->out.data ? r->out.data : "", r->out.size, prefix);
}

// The special token that the text at `at` begins with, the longest. Control tokens lie outside the user's runs, of
// which runs[0] is the first that does not end before `at`.
static const struct special *special_at(const struct tokenizer *t, const char *text, size_t size, size_t at,
                                        const size_t *runs, size_t n_runs) {
    size_t limit = n_runs ? (runs[0] > at ? runs[0] : at) : size;
    const struct special *any = specials_longest(&t->all, text + at, (limit < size ? limit : size) - at);
    const struct special *user = specials_longest(&t->user, text + at, size - at);
    if (!any || (user && user->text.size >= any->text.size)) any = user;
    return any && is_found(t, any->id, text, size, at, any->text.size) ? any : NULL;
}

bool encode_text(struct work *w, const char *text, size_t size, const size_t *runs, size_t n_runs) {
    const struct tokenizer *t = w->t;
    if (size > INT32_MAX / 4)
        return fail(w->error, GYR_TOO_LONG, "%s: text of %zu bytes; cut it into parts below 512 MiB", t->where, size);
    if ((t->pre.n || t->normalizer.n) && !scan_begin(&w->scan, size)) return fail_memory(w->error, t->where);
    bool prefix = true;
    size_t done = 0;
    w->words.begins = true;
    for (size_t at = 0; at < size;) {
        for (; n_runs && runs[1] <= at; n_runs--) runs += 2;
        const struct special *found = special_at(t, text, size, at, runs, n_runs);
        if (!found) {
            at++;
            continue;
        }
        bool user = t->vocab->kinds[found->id] == TOKEN_USER;
        size_t finds = t->vocab->finds ? t->vocab->finds[found->id] : 0, before = at - done;
        if (finds & FIND_LSTRIP) before -= spaces_after(text + done, before);
        // SentencePiece puts its space in front of a user's token too; Hugging Face's BPE does not.
        if (user && !at && (t->order || t->pieces.n) && t->spaced && !t->vocab->prefix_bare && !encode_runs(w, " ", 1))
            return false;
        if (!encode_plain(w, text + done, before, prefix, false) || !push_token(w, found->id)) return false;
        // A control token starts a new text, as in Meta's and Hugging Face's Llama; a user token is part of one.
        prefix = !user && !t->vocab->prefix_once;
        w->words.begins = false;
        at += found->text.size;
        if (finds & FIND_RSTRIP) at += spaces_before(text + at, size - at);
        done = at;
    }
    return encode_plain(w, text + done, size - done, prefix, true);
}

void work_free(struct work *w) {
    free(w->symbols);
    free(w->heap);
    words_free(&w->words);
    rewriting_free(&w->rewriting);
    buf_free(&w->piece);
    free(w->cells);
    scan_end(&w->scan);
}

bool tokenizer_encode_chat(const struct tokenizer *t, const char *text, size_t size, const size_t *user, size_t n_user,
                           struct tokens *out, gyr_error *e) {
    struct work w = {.t = t, .out = out, .error = e};
    size_t before = out->n;
    bool ok = encode_text(&w, text, size, user, n_user);
    if (!ok) out->n = before;
    work_free(&w);
    return ok;
}

bool tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, bool special, struct tokens *out,
                      gyr_error *e) {
    const size_t all[2] = {0, size};
    return tokenizer_encode_chat(t, text, size, all, !special, out, e);
}

bool tokens_push(struct tokens *t, int32_t id) {
    if (!ARRAY_GROW(t->ids, t->n, t->room)) return false;
    t->ids[t->n++] = id;
    return true;
}

void tokens_free(struct tokens *t) {
    free(t->ids);
    *t = (struct tokens){0};
}
