#include "server/completions.h"
#include "server/models.h"
#include "server/openai.h"
#include "server/surfaces.h"

#include <stddef.h>
#include <stdlib.h>

enum { MAX_CHOICES = 1024 }; // of all prompts together

struct reading {
    struct ask ask;
    bool echo, ids;
    size_t best_of, logprobs, prompt_logprobs;
    bool logprobs_there, scores_there, no_answer;
};

static bool read_logprobs(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct reading *r = (struct reading *)a;
    r->logprobs_there = true;
    return openai_count(v, name, &r->logprobs, f);
}

static bool read_prompt_logprobs(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    struct reading *r = (struct reading *)a;
    r->scores_there = true;
    return openai_count(v, name, &r->prompt_logprobs, f);
}

// 0, where the prompt is echoed: it is all that is wanted.
static bool read_max_tokens(struct ask *a, const json_t *v, const char *name, struct fault *f) {
    double n = json_is_integer(v) ? (double)json_integer_value(v) : -1;
    if (n < 0 || n > 1e9) return refuse(f, 400, name, "%s: takes whole numbers from 0 to 1000000000", name);
    ((struct reading *)a)->no_answer = n == 0;
    a->job->max_tokens = (size_t)n;
    return true;
}

#define IN_READING(member) offsetof(struct reading, member), IN_ASK

static const struct field fields[] = {
    {"prompt", FIELD_READ},
    {"max_tokens", FIELD_OF, .read = read_max_tokens},
    {"echo", FIELD_BOOL, IN_READING(echo)},
    {"best_of", FIELD_WHOLE, IN_READING(best_of), 1, 64},
    {"logprobs", FIELD_OF, .read = read_logprobs},
    {"return_token_ids", FIELD_BOOL, IN_READING(ids)},
    {"receipt", FIELD_BOOL, IN_JOB(receipt)},
    {"suffix", FIELD_NULL},
    {"prompt_logprobs", FIELD_OF, .read = read_prompt_logprobs},
};

// ------------------------------------------------------------------------------------------------ prompts

static bool ids_of(struct ask *a, const json_t *list, gyr_tokens *out, struct fault *f) {
    size_t i, n = json_array_size(list);
    uint32_t vocab = served_info(a->job->model)->vocab;
    json_t *item;
    *out = (gyr_tokens){malloc((n + 1) * sizeof *out->ids), n};
    if (!out->ids) return refuse(f, 503, NULL, "out of memory");
    json_array_foreach(list, i, item) {
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id >= vocab) {
            gyr_free(out->ids);
            return refuse(f, 400, "prompt", "prompt[%zu]: token ids are 0 to %u", i, vocab - 1);
        }
        out->ids[i] = (int32_t)id;
    }
    return true;
}

// One prompt: a text, or a list of token ids.
static bool tokens_of(struct ask *a, const json_t *prompt, gyr_tokens *out, struct fault *f) {
    gyr_error e = {0};
    if (json_is_array(prompt)) return ids_of(a, prompt, out, f);
    if (!json_is_string(prompt))
        return refuse(f, 400, "prompt", "prompt: takes a string, a list of token ids, or a list of such prompts");
    return !gyr_tokenize(a->tokenizer, json_string_value(prompt), json_string_length(prompt), GYR_ADD_BOS, out, &e) ||
           refuse_error(f, &e, true);
}

static bool read_one(struct ask *a, const json_t *prompt, struct fault *f) {
    gyr_tokens tokens = {0};
    return tokens_of(a, prompt, &tokens, f) && ask_prompt(a, &tokens, f);
}

// Those beside the first are read as it was, and put aside.
static bool read_more(struct ask *a, const json_t *list, struct fault *f) {
    struct job *j = a->job;
    size_t n = json_array_size(list);
    struct prompt first = {j->prompt, j->count};
    bool ok = (j->more = calloc(n, sizeof *j->more)) || refuse(f, 503, NULL, "out of memory");
    for (size_t i = 1; ok && i < n; i++) {
        j->prompt = NULL;
        ok = read_one(a, json_array_get(list, i), f);
        if (j->prompt) j->more[j->n_more++] = (struct prompt){j->prompt, j->count};
    }
    j->prompt = first.ids;
    j->count = first.count;
    return ok;
}

static bool read_prompts(struct ask *a, const json_t *prompt, struct fault *f) {
    struct job *j = a->job;
    size_t n = json_array_size(prompt);
    if (!n || json_is_integer(json_array_get(prompt, 0))) return read_one(a, prompt, f);
    if (n * j->each > MAX_CHOICES)
        return refuse(f, 400, "prompt", "prompt: %zu prompts, %u choices of each: at most %d choices a request", n,
                      j->each, MAX_CHOICES);
    if (n > 1 && j->receipt) return refuse(f, 400, "receipt", "receipt: of one answer; send one prompt");
    j->n = j->open = (unsigned)n * j->each;
    return read_one(a, json_array_get(prompt, 0), f) && (n == 1 || read_more(a, prompt, f));
}

// ------------------------------------------------------------------------------------------------

static bool make_own(struct reading *r, struct fault *f) {
    struct telling *t = r->ask.job->telling;
    struct completion *c = t->own = calloc(1, sizeof *c);
    if (c) c->told = calloc(t->n, sizeof *c->told);
    if (!c || !c->told) return refuse(f, 503, NULL, "out of memory");
    c->echo = r->echo;
    c->echo_logprobs = r->echo && r->logprobs_there;
    c->scores = r->scores_there;
    c->tops = r->prompt_logprobs;
    t->wants_ids = r->ids;
    return true;
}

static bool settle(struct reading *r, struct fault *f) {
    struct job *j = r->ask.job;
    size_t scores = r->scores_there ? 1 + r->prompt_logprobs : 0, echoed = r->logprobs_there ? 1 + r->logprobs : 0;
    if (r->best_of > j->each) return refuse(f, 400, "best_of", "best_of: no more than n");
    if (r->no_answer && !r->echo) return refuse(f, 400, "max_tokens", "max_tokens: 0 takes \"echo\": true");
    if (r->scores_there && r->ask.stream)
        return refuse(f, 400, "prompt_logprobs", "prompt_logprobs: not in a stream; leave one of the two out");
    j->no_answer = r->no_answer;
    j->max_tokens = j->max_tokens ? j->max_tokens : r->no_answer ? 1 : 16; // 16, as OpenAI has it
    j->logprobs = (int32_t)echoed;
    j->prompt_each = r->echo && echoed;
    j->prompt_logprobs = (int32_t)(j->prompt_each && echoed > scores ? echoed : scores);
    return true;
}

bool completions_read(struct ask *common, struct fault *f) {
    struct reading r = {.ask = *common};
    struct ask *a = &r.ask;
    return ask_fields(a, fields, sizeof fields / sizeof *fields, f) && openai_receipt_asked(a, f) && settle(&r, f) &&
           read_prompts(a, json_object_get(a->body, "prompt"), f) && telling_new(a->job, &completions_surface, a, f) &&
           make_own(&r, f);
}
