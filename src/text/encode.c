#include "text/tokenizer_impl.h"

#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

static bool push(struct work *w, int32_t id) { return tokens_push(w->out, id) || fail_memory(w->error, w->t->where); }

// What no token stands for is spelled byte by byte.
static bool push_bytes(struct work *w, const char *s, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)s[i];
        int32_t id = w->t->byte_ids[byte];
        if (id < 0) id = w->t->unknown;
        if (id < 0)
            return fail(w->error, GYR_UNSUPPORTED,
                        "%s: the vocabulary has no token for byte 0x%02x, and none for what is unknown", w->t->where,
                        byte);
        if (!push(w, id)) return false;
    }
    return true;
}

static bool flush(struct work *w, const char *text) {
    if (!w->n) return true;
    if (!join_symbols(w, text)) return false;
    for (uint32_t i = 0; i != UINT32_MAX; i = w->symbols[i].after) {
        const struct symbol *s = &w->symbols[i];
        if (!(s->id >= 0 ? push(w, s->id) : push_bytes(w, text + s->begin, s->size))) return false;
    }
    w->n = 0;
    return true;
}

static bool add_symbol(struct work *w, size_t begin, size_t size, int32_t id) {
    if (w->n == w->room) {
        size_t room = w->room ? w->room * 2 : 256;
        struct symbol *symbols = realloc(w->symbols, room * sizeof *symbols);
        if (!symbols) return fail_memory(w->error, w->t->where);
        w->symbols = symbols;
        w->room = room;
    }
    w->symbols[w->n++] = (struct symbol){(uint32_t)begin, (uint32_t)size, id, UINT32_MAX, UINT32_MAX};
    return true;
}

// The token that the character at s starts as, and its length.
static int32_t first_token(const struct tokenizer *t, const char *s, size_t size, size_t *length) {
    unsigned char byte = (unsigned char)*s;
    *length = 1;
    if (t->vocab->byte_level) return t->byte_ids[byte];
    if (byte < 128) return t->ascii_ids[byte];
    uint32_t c;
    int n = utf8_decode(s, size, &c);
    if (!n) return -1;
    *length = (size_t)n;
    size_t i = index_find(&t->by_bytes, t->bytes, sizeof *t->bytes, (struct text){s, *length});
    return i == SIZE_MAX ? -1 : (int32_t)i;
}

// A byte for which a byte-level vocabulary has no token. In valid text it is left out, as Hugging Face does; of other
// bytes each becomes a U+FFFD.
static bool replace_byte(struct work *w, const char *s, bool valid) {
    if (valid) return true;
    if (!flush(w, s)) return false;
    for (int i = 0; i < 3; i++)
        if (w->t->replacement[i] >= 0 && !push(w, w->t->replacement[i])) return false;
    return true;
}

static bool encode_word(struct work *w, const char *s, size_t size, bool valid) {
    const struct tokenizer *t = w->t;
    if (t->vocab->ignore_merges || t->pre.ignore_merges) {
        size_t i = index_find(&t->by_bytes, t->bytes, sizeof *t->bytes, (struct text){s, size});
        if (i != SIZE_MAX) return push(w, (int32_t)i);
    }
    w->n = 0;
    unsigned char last = 0; // byte of the symbol before
    for (size_t i = 0, length; i < size; i += length) {
        int32_t id = first_token(t, s + i, size - i, &length);
        if (id < 0 && t->vocab->byte_level && t->unknown < 0) {
            if (!replace_byte(w, s, valid)) return false;
            continue;
        }
        if (w->n && !bytes_follow(t, last, (unsigned char)s[i]) && !flush(w, s)) return false;
        if (!add_symbol(w, i, length, id)) return false;
        last = (unsigned char)s[i + length - 1];
    }
    return flush(w, s);
}

// Vocabularies that spell a space as U+2581 have patterns that expect it; `s` has spaces.
static bool encode_marked(struct work *w, const char *s, size_t size) {
    struct buf marked = {0};
    for (size_t i = 0; i < size; i++) s[i] == ' ' ? buf_puts(&marked, "\xe2\x96\x81") : buf_putc(&marked, s[i]);
    bool ok = !marked.failed && marked.size < UINT32_MAX &&
              pretokenize(&w->t->pre, &w->scan, marked.data, marked.size, &w->words);
    buf_free(&marked);
    if (!ok) return fail_memory(w->error, w->t->where);
    size_t at = 0, in_marked = 0;
    for (size_t k = 0; ok && k < w->words.spans.n; k++) {
        struct span span = w->words.spans.at[k];
        for (; in_marked < span.begin; at++) in_marked += s[at] == ' ' ? 3 : 1;
        size_t begin = at;
        for (; in_marked < span.end; at++) in_marked += s[at] == ' ' ? 3 : 1;
        ok = encode_word(w, s + begin, at - begin, true);
    }
    return ok;
}

static bool encode_valid(struct work *w, const char *s, size_t size) {
    if (!w->t->pre.n) return encode_word(w, s, size, true);
    if (w->t->vocab->space_marker) return encode_marked(w, s, size);
    if (!pretokenize(&w->t->pre, &w->scan, s, size, &w->words)) return fail_memory(w->error, w->t->where);
    for (size_t k = 0; k < w->words.spans.n; k++) {
        struct span span = w->words.spans.at[k];
        if (!encode_word(w, s + span.begin, span.end - span.begin, true)) return false;
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
        begin = i;
        while (i < size && !utf8_decode(s + i, size - i, &c)) i++;
        if (i > begin && !encode_word(w, s + begin, i - begin, false)) return false;
    }
    return true;
}

// Plain text between tokens found beforehand.
static bool encode_plain(struct work *w, const char *s, size_t size, bool prefix) {
    const struct vocab *v = w->t->vocab;
    if (!size) return true;
    // Byte-level vocabularies put the space only where there is none (Hugging Face's add_prefix_space).
    if (!prefix || !v->space_prefix || (!w->t->spaced && *s == ' ')) return encode_runs(w, s, size);
    struct buf spaced = {0};
    buf_putc(&spaced, ' ');
    buf_append(&spaced, s, size);
    bool ok = spaced.failed ? fail_memory(w->error, w->t->where) : encode_runs(w, spaced.data, spaced.size);
    buf_free(&spaced);
    return ok;
}

// The special token that the text at `at` begins with, the longest. Control tokens lie outside the user's runs, of
// which runs[0] is the first that does not end before `at`.
static const struct special *special_at(const struct tokenizer *t, const char *text, size_t size, size_t at,
                                        const size_t *runs, size_t n_runs) {
    size_t limit = n_runs ? (runs[0] > at ? runs[0] : at) : size;
    const struct special *any = specials_longest(&t->all, text + at, (limit < size ? limit : size) - at);
    const struct special *user = specials_longest(&t->user, text + at, size - at);
    return !any || (user && user->text.size >= any->text.size) ? user : any;
}

bool encode_text(struct work *w, const char *text, size_t size, const size_t *runs, size_t n_runs) {
    const struct tokenizer *t = w->t;
    if (size > INT32_MAX / 4)
        return fail(w->error, GYR_TOO_LONG, "%s: text of %zu bytes; cut it into parts below 512 MiB", t->where, size);
    if (t->pre.n && !scan_begin(&w->scan, size)) return fail_memory(w->error, t->where);
    bool prefix = true;
    size_t done = 0;
    for (size_t at = 0; at < size;) {
        for (; n_runs && runs[1] <= at; n_runs--) runs += 2;
        const struct special *found = special_at(t, text, size, at, runs, n_runs);
        if (!found) {
            at++;
            continue;
        }
        bool user = t->vocab->kinds[found->id] == TOKEN_USER;
        // SentencePiece puts its space in front of a user's token too; Hugging Face's BPE does not.
        if (user && !at && t->order && t->spaced && !encode_runs(w, " ", 1)) return false;
        if (!encode_plain(w, text + done, at - done, prefix) || !push(w, found->id)) return false;
        // A control token starts a new text, as in Meta's and Hugging Face's Llama; a user token is part of one.
        prefix = !user;
        done = at += found->text.size;
    }
    return encode_plain(w, text + done, size - done, prefix);
}

void work_free(struct work *w) {
    free(w->symbols);
    free(w->heap);
    words_free(&w->words);
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
    if (t->n == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        if (room > SIZE_MAX / 2 / sizeof *t->ids) return false;
        int32_t *ids = realloc(t->ids, room * sizeof *ids);
        if (!ids) return false;
        t->ids = ids;
        t->room = room;
    }
    t->ids[t->n++] = id;
    return true;
}

void tokens_free(struct tokens *t) {
    free(t->ids);
    *t = (struct tokens){0};
}
