#include "text/grammar.h"

#include "text/grammar/gbnf.h"
#include "text/grammar/grammar_parts.h"
#include "text/grammar/pattern.h"
#include "text/grammar/schema.h"

#include "format/json.h"
#include <stdlib.h>
#include <string.h>

// Memory for masks that only this grammar has.
enum { OWN_MASKS = 32 << 20 };

static const char *const names[] = {"schema", "schema", "regex", "grammar"};

// Models may begin JSON with a blank or a new line, which stands in the text's first token for some.
static uint32_t after_space(struct rules *r, uint32_t rule) {
    uint32_t outer = rules_add(r), begin = nfa_state(&r->nfa);
    if (r->nfa.status) return 0;
    struct rule x = r->items[outer];
    nfa_empty(&r->nfa, x.start, begin);
    nfa_bytes(&r->nfa, x.start, ' ', ' ', begin);
    nfa_bytes(&r->nfa, x.start, '\n', '\n', begin);
    nfa_call(&r->nfa, begin, rule, x.end);
    return outer;
}

static bool add_schema(struct rules *r, const char *text, size_t size, uint32_t *root, gyr_error *e) {
    json_t *j = json_parse_any(text, size, SCHEMA_DEPTH, r->what, e);
    bool ok = j && schema_add(r, j, root, e);
    if (ok) *root = after_space(r, *root);
    json_decref(j);
    return ok;
}

static bool read_grammar(struct rules *r, enum grammar_kind kind, const char *text, size_t size, uint32_t *root,
                         gyr_error *e) {
    static const char object[] = "{\"type\": \"object\"}";
    switch (kind) {
    case GRAMMAR_JSON: return add_schema(r, object, sizeof object - 1, root, e);
    case GRAMMAR_JSON_SCHEMA: return add_schema(r, text, size, root, e);
    case GRAMMAR_REGEX: return regex_add(r, text, size, root, e);
    case GRAMMAR_EBNF: return gbnf_add(r, text, size, root, e);
    }
    return fail(e, GYR_USAGE, "grammar: there is no kind %d", (int)kind);
}

static bool too_many_steps(const char *what, size_t steps, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED, "%s: too large: reading it takes more than %zu steps; use fewer and smaller parts",
                what, steps);
}

struct grammar *grammar_new(const struct tokenizer *t, enum grammar_kind kind, const char *text, size_t size,
                            gyr_error *e) {
    return grammar_new_within(t, kind, text, size, MAX_GRAMMAR_STEPS, e);
}

struct grammar *grammar_new_within(const struct tokenizer *t, enum grammar_kind kind, const char *text, size_t size,
                                   size_t steps, gyr_error *e) {
    struct rules r;
    uint32_t root = 0;
    const char *what = (unsigned)kind <= GRAMMAR_EBNF ? names[kind] : "grammar";
    if (size > MAX_SOURCE)
        return fail_null(e, GYR_UNSUPPORTED, "%s: too large: %zu bytes; %d is the most", what, size, MAX_SOURCE);
    struct lexicon *lexicon = lexicon_of(t, e);
    struct grammar *g = lexicon ? calloc(1, sizeof *g) : NULL;
    if (!g) return lexicon ? (fail_memory(e, what), NULL) : NULL;
    g->lexicon = lexicon;
    g->kind = kind;
    g->mask_steps = MAX_MASK_STEPS;
    buf_append(&g->source, text, size);
    memos_init(&g->memos, OWN_MASKS);
    rules_init(&r, what, steps, lexicon->trie.longest);
    bool ok = read_grammar(&r, kind, text, size, &root, e) && rules_check(&r, e) &&
              network_init(&g->network, &r, root, lexicon->secret, e);
    // Where the budget was used up, whoever noticed it said what was too large for him.
    if (!r.budget.left) ok = too_many_steps(what, steps, e);
    g->steps = steps - r.budget.left;
    rules_free(&r);
    if (ok && g->source.failed) ok = fail_memory(e, what);
    if (ok && !(g->hot = calloc(g->network.fsm.n + 1, sizeof *g->hot))) ok = fail_memory(e, what);
    if (ok) return g;
    grammar_free(g);
    return NULL;
}

void grammar_free(struct grammar *g) {
    if (!g) return;
    network_free(&g->network);
    memos_free(&g->memos);
    buf_free(&g->source);
    free(g->hot);
    free(g);
}

enum grammar_kind grammar_source(const struct grammar *g, struct text *text) {
    *text = (struct text){g->source.data ? g->source.data : "", g->source.size};
    return g->kind;
}
