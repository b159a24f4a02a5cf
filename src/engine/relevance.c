// Cross-encoders: a query and a document are one text, and the model's head makes a number of it.
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

static bool check_model(const struct gyr_model *m, gyr_error *e) {
    return m->checkpoint->sentence.relevance ||
           fail(e, GYR_UNSUPPORTED, "%s: is no cross-encoder, whose head says how relevant a text is to another",
                m->checkpoint->path);
}

// [CLS] query [SEP] document [SEP]; RoBERTa has the mark in the middle twice (transformers'
// build_inputs_with_special_tokens()).
static bool join(const struct gyr_model *m, const gyr_tokens *query, const gyr_tokens *document, gyr_pair *pair,
                 gyr_error *e) {
    bool twice = m->checkpoint->vocab.kind != VOCAB_WORDPIECE;
    size_t first = query->count + twice, n = first + document->count, most = m->model->h.far_context;
    if (n > most)
        return fail(e, GYR_TOO_LONG,
                    "%s: the query and a document have %zu tokens together, and the model's context is %zu; shorten "
                    "one of them",
                    m->checkpoint->path, n, most);
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    if (!ids) return fail_memory(e, "relevance");
    memcpy(ids, query->ids, query->count * sizeof *ids);
    if (twice) ids[query->count] = ids[query->count - 1];
    if (document->count) memcpy(ids + first, document->ids, document->count * sizeof *ids);
    *pair = (gyr_pair){ids, n, first};
    return true;
}

gyr_status gyr_pair_new(const gyr_model *m, const char *query, size_t query_size, const char *document,
                        size_t document_size, gyr_pair *pair, gyr_error *err) {
    const gyr_tokenizer *t = gyr_model_tokenizer(m);
    gyr_error e = {0};
    gyr_tokens a = {0}, b = {0};
    *pair = (gyr_pair){0};
    bool ok = check_model(m, &e) && tokenizer_there(t, &e) &&
              !gyr_tokenize(t, query, query_size, GYR_ADD_BOS | GYR_ADD_EOS, &a, &e) &&
              !gyr_tokenize(t, document, document_size, GYR_ADD_EOS, &b, &e);
    if (ok && !a.count) ok = fail(&e, GYR_USAGE, "%s: the query has no tokens", m->checkpoint->path);
    ok = ok && join(m, &a, &b, pair, &e);
    gyr_free(a.ids);
    gyr_free(b.ids);
    return status_of(ok, &e, err);
}

static bool judge(struct gyr_model *m, const gyr_pair *pairs, size_t n, float *out, gyr_error *e) {
    static const gyr_embed_options as_it_is = {.unit = GYR_UNIT_NO};
    bool ok = true, types = m->model->types.rows > 1;
    gyr_tokens *texts = malloc((n + 1) * sizeof *texts);
    size_t *second = calloc(n + 1, sizeof *second);
    if (!texts || !second) ok = fail_memory(e, "relevance");
    for (size_t i = 0; ok && i < n; i++) {
        texts[i] = (gyr_tokens){pairs[i].ids, pairs[i].count};
        if (types) second[i] = pairs[i].second;
    }
    ok = ok && embed_texts(m, texts, second, n, &as_it_is, out, e);
    free(texts);
    free(second);
    return ok;
}

gyr_status gyr_relevance(gyr_model *m, const gyr_pair *pairs, size_t n, float *out, gyr_error *e) {
    gyr_error made = {0};
    return status_of(model_here(m, "relevance", &made) && check_model(m, &made) && judge(m, pairs, n, out, &made),
                     &made, e);
}
