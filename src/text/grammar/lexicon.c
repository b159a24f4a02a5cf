#include "text/grammar/lexicon.h"

#include "text/grammar/lexicon_slot.h"
#include "text/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// Memory for masks that grammars share.
enum { SHARED_MASKS = 32 << 20 };

struct lexicon_slot {
    pthread_mutex_t lock;
    struct lexicon *lexicon;
};

struct lexicon_slot *lexicon_slot_new(void) {
    struct lexicon_slot *s = calloc(1, sizeof *s);
    if (s) pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void lexicon_free(struct lexicon *w) {
    if (!w) return;
    trie_free(&w->trie);
    memos_free(&w->memos);
    free(w->ends);
    free(w->texts);
    free(w->spelled);
    free(w);
}

void lexicon_slot_free(struct lexicon_slot *s) {
    if (!s) return;
    lexicon_free(s->lexicon);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

// Tokens that text may be made of. What the model was not trained with, and what ends an answer, is none.
static bool is_text(const struct tokenizer *t, size_t i) {
    enum token_kind kind = token_kind_of(t->vocab, i);
    return (kind == TOKEN_NORMAL || kind == TOKEN_USER || kind == TOKEN_BYTE) && !tokenizer_is_end(t, (int32_t)i);
}

static bool is_special(const struct tokenizer *t, size_t i) {
    return token_kind_of(t->vocab, i) == TOKEN_CONTROL && !tokenizer_is_end(t, (int32_t)i);
}

void lexicon_spell_special(uint32_t id, char out[SPECIAL_SPELLING]) {
    out[0] = (char)0xff;
    for (int i = 1; i < SPECIAL_SPELLING; i++, id >>= 8) out[i] = (char)id;
}

// Spellings as they come out in the middle of an answer, one after the other in `all`.
static bool spell(struct lexicon *w, const struct tokenizer *t, struct buf *all, struct trie_item *items, size_t *n) {
    size_t *begins = malloc((w->vocab + 1) * sizeof *begins);
    for (size_t i = 0; begins && i < w->vocab; i++) {
        begins[i] = all->size;
        char special[SPECIAL_SPELLING];
        lexicon_spell_special((uint32_t)i, special);
        if (is_text(t, i)) tokenizer_decode(t, (int32_t)i, false, false, all);
        if (is_special(t, i)) buf_append(all, special, sizeof special);
        // No text of a grammar has the byte that special tokens begin with.
        size_t size = all->size - begins[i];
        bool taken = size && !is_special(t, i) && memchr(all->data + begins[i], special[0], size);
        if (taken || all->size - begins[i] > MAX_TOKEN_BYTES) all->size = begins[i];
    }
    if (begins) begins[w->vocab] = all->size;
    bool ok = begins && !all->failed;
    for (size_t i = 0; ok && i < w->vocab; i++) {
        struct text s = {all->data + begins[i], begins[i + 1] - begins[i]};
        w->texts[i] = s;
        if (s.size) items[(*n)++] = (struct trie_item){s, (int32_t)i};
    }
    free(begins);
    return ok;
}

static bool find_ends(struct lexicon *w, const struct tokenizer *t) {
    size_t room = 0;
    for (size_t i = 0; i < w->vocab; i++) {
        if (!tokenizer_is_end(t, (int32_t)i)) continue;
        if (!ARRAY_GROW(w->ends, w->n_ends, room)) return false;
        w->ends[w->n_ends++] = (int32_t)i;
    }
    return true;
}

static struct lexicon *lexicon_new(const struct tokenizer *t, gyr_error *e) {
    struct lexicon *w = calloc(1, sizeof *w);
    struct buf all = {0};
    size_t n = 0;
    if (!w) return fail_memory(e, t->where), NULL;
    memos_init(&w->memos, SHARED_MASKS);
    w->vocab = tokenizer_size(t);
    w->texts = calloc(w->vocab, sizeof *w->texts);
    struct trie_item *items = malloc(w->vocab * sizeof *items);
    bool ok = w->texts && items && spell(w, t, &all, items, &n) && trie_init(&w->trie, items, n) && find_ends(w, t) &&
              getrandom(w->secret, sizeof w->secret, 0) == (ssize_t)sizeof w->secret;
    free(items);
    w->spelled = all.data;
    if (ok) return w;
    lexicon_free(w);
    return fail_memory(e, t->where), NULL;
}

struct lexicon *lexicon_of(const struct tokenizer *t, gyr_error *e) {
    pthread_mutex_lock(&t->lexicon->lock);
    if (!t->lexicon->lexicon) t->lexicon->lexicon = lexicon_new(t, e);
    struct lexicon *w = t->lexicon->lexicon;
    pthread_mutex_unlock(&t->lexicon->lock);
    return w;
}
