// Grammars, as the public interface offers them.
#include "engine/engine.h"
#include "text/grammar.h"

gyr_grammar *gyr_grammar_new(const gyr_tokenizer *t, gyr_grammar_kind kind, const char *text, size_t size,
                             gyr_error *e) {
    static const enum grammar_kind kinds[] = {GRAMMAR_JSON, GRAMMAR_JSON_SCHEMA, GRAMMAR_REGEX, GRAMMAR_EBNF};
    if ((unsigned)kind > GYR_GRAMMAR_EBNF) return fail_null(e, GYR_USAGE, "grammar: there is no kind %d", (int)kind);
    if (!tokenizer_there(t, e)) return NULL;
    return (gyr_grammar *)grammar_new(t->tokens, kinds[kind], text, size, e);
}

void gyr_grammar_free(gyr_grammar *g) { grammar_free((struct grammar *)g); }

gyr_matcher *gyr_matcher_new(const gyr_grammar *g, gyr_error *e) {
    return (gyr_matcher *)matcher_new((const struct grammar *)g, e);
}

void gyr_matcher_free(gyr_matcher *m) { matcher_free((struct matcher *)m); }

gyr_status gyr_matcher_mask(gyr_matcher *m, uint32_t *allowed, gyr_error *e) {
    gyr_error why = {0};
    return status_of(matcher_mask((struct matcher *)m, allowed, &why), &why, e);
}

gyr_status gyr_matcher_accept(gyr_matcher *m, int32_t id, gyr_error *e) {
    gyr_error why = {0};
    return status_of(matcher_accept((struct matcher *)m, id, &why), &why, e);
}

bool gyr_matcher_ended(const gyr_matcher *m) { return matcher_ended((const struct matcher *)m); }
