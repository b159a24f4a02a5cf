#include "train/lessons.h"
#include "base/buf.h"
#include "train/chats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct writing {
    struct lessons *all;
    const gyr_model *m;
    const struct lesson_rules *rules;
    gyr_error *e;
};

// Some messages as the template prints them, and in tokens.
struct printed {
    char *text; // NULL: not printed
    gyr_tokens tokens;
};

// An answer: the prompt that the model is given for it, and the same with the answer.
struct turn {
    struct printed before, with;
};

static void free_printed(struct printed *p) {
    gyr_free(p->text);
    gyr_free(p->tokens.ids);
}

static void free_turn(struct turn *t) {
    free_printed(&t->before);
    free_printed(&t->with);
}

// The first `n` messages.
static bool render(const struct writing *w, const struct chat *c, size_t n, bool generate, struct printed *out) {
    json_t *some = json_array(), *all = json_object();
    for (size_t i = 0; i < n; i++) json_array_append(some, json_array_get(c->messages, i));
    bool ok = all && !json_object_set_new(all, "messages", some);
    ok = ok && (!c->tools || !json_object_set(all, "tools", c->tools));
    char *json = ok ? json_dumps(all, JSON_COMPACT) : NULL;
    gyr_error why = {0};
    json_decref(all);
    if (!json) return fail_memory(w->e, c->path);
    gyr_status status = gyr_chat_tokens(w->m, json, generate, &out->tokens, &why);
    ok = !status && (out->text = gyr_chat_text(w->m, json, generate, &why));
    free(json);
    if (ok) return true;
    // Of a template that refuses the conversation, the line is to be told.
    return why.status == GYR_MALFORMED ? fail(w->e, why.status, "%s:%zu: %s", c->path, c->line, why.message)
                                       : fail(w->e, why.status, "%s", why.message);
}

static size_t common(const gyr_tokens *a, const gyr_tokens *b) {
    size_t i = 0;
    while (i < a->count && i < b->count && a->ids[i] == b->ids[i]) i++;
    return i;
}

static bool begins(const struct printed *text, const struct printed *with) {
    return !strncmp(text->text, with->text, strlen(with->text));
}

// ---------------------------------------------------------------------------------------------- examples

static bool too_long(const struct writing *w, const struct lesson *l, const char *path) {
    return fail(w->e, GYR_TOO_LONG,
                "%s:%zu: has %zu tokens, and an example has at most %zu; make it shorter, or cut it", path, l->line,
                l->n, w->rules->most);
}

// Keeps a lesson, which it owns then in any case.
static bool keep(const struct writing *w, struct lesson l, const char *path) {
    size_t most = w->rules->most;
    bool ok = l.n <= most || w->rules->cut || too_long(w, &l, path);
    if (ok && l.n > most) {
        l.cut = l.n - most;
        l.n = most;
    }
    for (size_t i = 0; i < l.n; i++) l.learned += l.weight[i] != 0;
    if (ok && !l.learned)
        ok = fail(w->e, GYR_TOO_LONG, "%s:%zu: %s", path, l.line,
                  l.cut ? "nothing that is learned is left when it is cut; make it shorter"
                        : "the template prints nothing of the assistant's messages");
    if (ok && !ARRAY_GROW(w->all->items, w->all->n, w->all->room)) ok = fail_memory(w->e, path);
    if (ok)
        w->all->items[w->all->n++] = l;
    else
        free(l.ids), free(l.weight);
    return ok;
}

static bool copy(struct lesson *l, const struct chat *c, const gyr_tokens *text, gyr_error *e) {
    *l = (struct lesson){.line = c->line, .n = text->count, .base = (double)NAN};
    l->ids = malloc((text->count + 1) * sizeof *l->ids);
    l->weight = calloc(text->count + 1, sizeof *l->weight);
    if (l->ids && l->weight) {
        memcpy(l->ids, text->ids, text->count * sizeof *l->ids);
        return true;
    }
    free(l->ids);
    free(l->weight);
    return fail_memory(e, c->path);
}

// Marks an answer: from where the prompt ends (the last token of which may have grown, by what follows), to the last
// token that ends answers. weight[i] is that of token i + 1, given those up to i.
static void mark(const struct writing *w, struct lesson *l, const gyr_tokens *text, const struct turn *t) {
    const gyr_tokenizer *tokenizer = gyr_model_tokenizer(w->m);
    size_t from = common(text, &t->before.tokens), to = common(text, &t->with.tokens), end = to;
    while (end > from && !gyr_token_is_end(tokenizer, text->ids[end - 1])) end--;
    l->ends |= end > from;
    if (end > from) to = end;
    for (size_t i = from; i < to; i++)
        if (i) l->weight[i - 1] = 1;
}

// --------------------------------------------------------------------------------------------- all of one

// Answers that the whole conversation has as they were given are learned in it, together. Templates that print an
// answer differently once another follows (without what was thought, say) make an example of each such answer.
static bool add_turns(const struct writing *w, const struct chat *c, const struct printed *text,
                      const struct turn *turns, size_t n) {
    struct lesson l;
    bool any = false, ok = copy(&l, c, &text->tokens, w->e);
    if (!ok) return false;
    for (size_t i = 0; i < n; i++)
        if (turns[i].with.text && begins(text, &turns[i].before) && begins(text, &turns[i].with)) {
            mark(w, &l, &text->tokens, &turns[i]);
            any = true;
        }
    if (any)
        ok = keep(w, l, c->path);
    else
        free(l.ids), free(l.weight);
    for (size_t i = 0; ok && i < n; i++) {
        const struct turn *t = &turns[i];
        if (!t->with.text || (begins(text, &t->before) && begins(text, &t->with))) continue;
        if (!(ok = copy(&l, c, &t->with.tokens, w->e))) break;
        mark(w, &l, &t->with.tokens, t);
        ok = keep(w, l, c->path);
    }
    return ok;
}

static bool add_chat(void *arg, const struct chat *c) {
    const struct writing *w = arg;
    size_t n = json_array_size(c->messages);
    struct turn *turns = calloc(n, sizeof *turns);
    struct printed text = {0};
    bool ok = turns ? render(w, c, n, false, &text) : fail_memory(w->e, c->path);
    for (size_t i = 0; ok && i < n; i++) {
        if (!c->learned[i]) continue;
        ok = render(w, c, i, true, &turns[i].before) && render(w, c, i + 1, false, &turns[i].with);
        if (ok && !begins(&turns[i].with, &turns[i].before))
            ok = fail(w->e, GYR_UNSUPPORTED,
                      "%s:%zu: message %zu: the model's template prints the answer otherwise than its prompt for it "
                      "begins, so it cannot be learned; put what the prompt begins with into the answers",
                      c->path, c->line, i + 1);
    }
    ok = ok && add_turns(w, c, &text, turns, n);
    w->all->chats += ok;
    free_printed(&text);
    for (size_t i = 0; turns && i < n; i++) free_turn(&turns[i]);
    free(turns);
    return ok;
}

static bool check_pair(const struct lessons *all, size_t i, const char *path, gyr_error *e) {
    const struct lesson *a = &all->items[2 * i], *b = a + 1;
    bool same = a->n == b->n && !memcmp(a->ids, b->ids, a->n * sizeof *a->ids);
    return !same || fail(e, GYR_MALFORMED, "%s:%zu: both answers are the same%s, so that none is preferred", path,
                         a->line, a->cut ? " when they are cut" : "");
}

bool lessons_read(struct lessons *all, const gyr_model *m, const char *path, const struct lesson_rules *rules,
                  gyr_error *e) {
    struct writing w = {all, m, rules, e};
    all->each = rules->pairs ? 2 : 1;
    bool ok = chats_read(path, rules->pairs, add_chat, &w, e);
    all->chats /= all->each;
    for (size_t i = 0; ok && i < lessons_examples(all); i++) ok = rules->pairs ? check_pair(all, i, path, e) : true;
    return ok;
}

void lessons_free(struct lessons *all) {
    for (size_t i = 0; i < all->n; i++) {
        free(all->items[i].ids);
        free(all->items[i].weight);
    }
    free(all->items);
    *all = (struct lessons){0};
}
