// Receipts: an answer's is good, whatever it was held to; one in which anything was changed is not, and the first token
// that is another one is named. On the poet, through the public interface alone.
#include "gyr.h"
#include "poet.h"
#include "small_falcon.h"
#include "test.h"

static gyr_model *poet;
static gyr_tokens prompt;
static gyr_error err;
static gyr_receipt_result result;
static const gyr_sampling greedy = {.top_p = 1, .repetition_penalty = 1}, drawn = {.temperature = 1.1f,
                                                                                   .top_k = 50,
                                                                                   .top_p = 0.98f,
                                                                                   .min_p = 0.01f,
                                                                                   .repetition_penalty = 1.1f,
                                                                                   .presence_penalty = 0.25f,
                                                                                   .frequency_penalty = 0.1f,
                                                                                   .seed = UINT64_MAX - 2};

// What the answer has to be, and whether it came so far.
struct held {
    gyr_matcher *matcher;
    size_t tokens, from;
};

static bool on_mask(void *user, uint32_t *allowed) {
    struct held *h = user;
    return h->tokens < h->from || !gyr_matcher_mask(h->matcher, allowed, &err);
}

static bool on_token(void *user, const gyr_token *t) {
    struct held *h = user;
    bool ok = h->tokens < h->from || !gyr_matcher_accept(h->matcher, t->id, &err);
    h->tokens++;
    return ok;
}

// An answer, and its receipt: gyr_free().
static char *receipt(gyr_generate_options o, const gyr_session_options *how, const gyr_receipt_options *r) {
    gyr_session *s = gyr_session_new(poet, how ? how : &(gyr_session_options){.context = 512}, &err);
    gyr_answer *a = gyr_answer_new(s, prompt.ids, prompt.count, &o, &err);
    gyr_status status = a ? GYR_OK : err.status;
    while (!status && !gyr_answer_done(a)) status = gyr_answers_step(&a, 1, 0, &err);
    char *text = status ? NULL : gyr_answer_receipt(a, r, &err);
    gyr_answer_free(a);
    gyr_session_free(s);
    return text;
}

static gyr_status check(const char *text) {
    err.message[0] = 0;
    return gyr_receipt_check(poet, text, strlen(text), NULL, &result, &err);
}

static void is_equal(char *text, const char *stopped, size_t most) {
    char end[32];
    CHECK(text != NULL);
    if (!text) return;
    snprintf(end, sizeof end, "\"stopped\":\"%s\"", stopped);
    CHECK(strstr(text, end) != NULL);
    CHECK_INT(check(text), GYR_OK);
    CHECK_STR(err.message, "");
    CHECK(result.equal);
    CHECK_INT(result.prompt_tokens, prompt.count);
    CHECK_INT(result.place, result.answer_tokens);
    CHECK(result.answer_tokens <= most);
    gyr_free(text);
}

static void answers_are_what_their_receipts_say(void) {
    is_equal(receipt((gyr_generate_options){.sampling = &greedy, .max_tokens = 12}, NULL, NULL), "length", 12);
    is_equal(receipt((gyr_generate_options){.max_tokens = 20, .ignore_end = true}, NULL, NULL), "length", 20);
    is_equal(receipt((gyr_generate_options){.sampling = &drawn, .ignore_end = true}, NULL, NULL), "length", 512);
    CHECK_INT(result.answer_tokens, 512 - prompt.count); // the context was full
    const int32_t ids[] = {prompt.ids[0], 65, 70};
    const float by[] = {-INFINITY, 1.25f, 0.1f};
    gyr_sampling biased = drawn;
    biased.bias_ids = ids;
    biased.bias_values = by;
    biased.bias_count = 3;
    is_equal(receipt((gyr_generate_options){.sampling = &biased, .max_tokens = 60, .min_tokens = 60}, NULL, NULL),
             "length", 60);
}

static void the_token_that_ends_an_answer_counts(void) {
    gyr_sampling how = drawn;
    char *text = NULL;
    for (how.seed = 0; how.seed < 30 && !(text && strstr(text, "\"stopped\":\"end\"")); how.seed++) {
        gyr_free(text);
        text = receipt((gyr_generate_options){.sampling = &how, .max_tokens = 400}, NULL, NULL);
    }
    is_equal(text, "end", 399);
    CHECK(result.said >= 0 && result.said == result.is && result.stop_is == GYR_STOP_END);
}

static void of_every_cache(void) {
    for (gyr_kv_type kv = GYR_KV_DEFAULT; kv <= GYR_KV_Q8; kv++)
        is_equal(receipt((gyr_generate_options){.sampling = &drawn, .max_tokens = 40},
                         &(gyr_session_options){.context = 400, .kv_type = kv}, NULL),
                 "length", 40);
}

static bool stop_soon(void *user, const gyr_token *t) {
    (void)t;
    return ++*(int *)user < 7;
}

static void whatever_ends_them(void) {
    const char *stop[] = {"never", "\n"};
    const int32_t ids[] = {65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78};
    is_equal(receipt((gyr_generate_options){.sampling = &greedy, .stop = stop, .stop_count = 2}, NULL, NULL), "string",
             100);
    int told = 0;
    is_equal(receipt((gyr_generate_options){.sampling = &greedy, .token = stop_soon, .user = &told}, NULL, NULL),
             "cancelled", 7);
    CHECK_INT(result.answer_tokens, 7);
    char *text = receipt((gyr_generate_options){.sampling = &drawn, .stop_ids = ids, .stop_id_count = 14}, NULL, NULL);
    CHECK(text && strstr(text, "\"end\":"));
    is_equal(text, "end", 400);
}

static void grammars_hold_again(void) {
    static const struct {
        gyr_grammar_kind kind;
        const char *text;
        size_t from;
    } grammars[] = {{GYR_GRAMMAR_REGEX, "[a-z]{3,9}( [a-z]{3,9}){4}", 0},
                    {GYR_GRAMMAR_JSON_SCHEMA,
                     "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,22,\"x\"]}},"
                     "\"required\":[\"a\"],\"additionalProperties\":false}",
                     0},
                    {GYR_GRAMMAR_EBNF, "root ::= (\"ab\" | \"ba\"){2,8} \".\"", 5},
                    {GYR_GRAMMAR_JSON, "", 0}};
    for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++) {
        size_t size = strlen(grammars[i].text);
        gyr_grammar *g = gyr_grammar_new(gyr_model_tokenizer(poet), grammars[i].kind, grammars[i].text, size, &err);
        struct held h = {gyr_matcher_new(g, &err), 0, grammars[i].from};
        gyr_receipt_options r = {.grammar = g, .grammar_from = grammars[i].from};
        gyr_generate_options o = {.sampling = &drawn, .max_tokens = 80, .mask = on_mask, .token = on_token, .user = &h};
        char *text = receipt(o, NULL, &r);
        CHECK(text && strstr(text, "\"grammar\":{\"kind\":"));
        is_equal(text, i == 3 && text && strstr(text, "\"stopped\":\"length\"") ? "length" : "end", 80);
        gyr_matcher_free(h.matcher);
        gyr_grammar_free(g);
    }
    struct held none = {.from = SIZE_MAX};
    gyr_generate_options o = {.sampling = &greedy, .max_tokens = 3, .mask = on_mask, .user = &none};
    CHECK(!receipt(o, NULL, NULL));
    CHECK_STR(err.message, "receipt: the answer had a mask, and a receipt can only tell of a grammar");
}

// A copy with the first `was` behind `after` replaced: free().
static char *changed(const char *text, const char *after, const char *was, const char *now) {
    const char *at = strstr(text, after);
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    if (at) at = strstr(at, was);
    if (!at || !f) {
        printf("no %s behind %s\n", was, after);
        exit(1);
    }
    fprintf(f, "%.*s%s%s", (int)(at - text), text, now, at + strlen(was));
    fclose(f);
    return out;
}

// A copy in which token `place` of the answer, which goes to *was, is 66 or, if it is that already, 67: free().
static char *with_another_token(const char *text, size_t place, long *was) {
    const char *p = strstr(text, "\"answer\":[") + strlen("\"answer\":[");
    char *end, *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    for (size_t i = 0; i < place; i++) p = strchr(p, ',') + 1;
    *was = strtol(p, &end, 10);
    fprintf(f, "%.*s%d%s", (int)(p - text), text, *was == 66 ? 67 : 66, end);
    fclose(f);
    return out;
}

static void the_first_token_that_differs_is_named(void) {
    char *good = receipt((gyr_generate_options){.sampling = &drawn, .max_tokens = 300}, NULL, NULL);
    static const size_t places[] = {0, 1, 17, 40};
    for (size_t i = 0; good && i < 4; i++) {
        long was;
        char *bad = with_another_token(good, places[i], &was);
        CHECK_INT(check(bad), GYR_OK);
        CHECK(!result.equal);
        CHECK_INT(result.place, places[i]);
        CHECK_INT(result.is, was);
        CHECK_INT(result.said, was == 66 ? 67 : 66);
        CHECK(!result.stop_is && !result.stop_said);
        free(bad);
    }
    gyr_free(good);
}

static void differs(const char *good, const char *after, const char *was, const char *now) {
    char *bad = changed(good, after, was, now);
    CHECK_INT(check(bad), GYR_OK);
    CHECK_STR(err.message, "");
    CHECK(!result.equal);
    free(bad);
}

static void all_that_makes_the_answer_counts(void) {
    char *good = receipt((gyr_generate_options){.sampling = &drawn, .max_tokens = 60}, NULL, NULL), first[32];
    REQUIRE(good);
    differs(good, "\"seed\"", "18446744073709551613", "18446744073709551612");
    CHECK(result.place < 60);
    differs(good, "\"temperature\"", "1.1", "1.3");
    differs(good, "\"max_tokens\"", "60", "59");
    CHECK_INT(result.place, 59);
    CHECK(result.stop_is == GYR_STOP_LENGTH && result.is == -1 && result.said >= 0 && !result.stop_said);
    differs(good, "\"max_tokens\"", "60", "0");
    CHECK_INT(result.place, 60);
    CHECK(!result.stop_is && result.is >= 0 && result.said == -1 && result.stop_said == GYR_STOP_LENGTH);
    differs(good, "\"stopped\"", "length", "string");
    snprintf(first, sizeof first, "[%d,", prompt.ids[0]);
    differs(good, "\"prompt\"", first, "[7,");
    differs(good, "\"stop\"", "[]", "[\"e\"]");
    CHECK(result.stop_is == GYR_STOP_STRING && result.place < 60);
    gyr_free(good);
}

static void refused(const char *good, const char *after, const char *was, const char *now, gyr_status status,
                    const char *message) {
    char *bad = changed(good, after, was, now);
    CHECK_INT(check(bad), status);
    CHECK_STR(err.message, message);
    free(bad);
}

static void what_is_no_receipt_is_refused(void) {
    char *good = receipt((gyr_generate_options){.sampling = &drawn, .max_tokens = 12}, NULL, NULL), edition[16];
    char few[160], many[160], vocab[160];
    gyr_model_info info;
    REQUIRE(good);
    gyr_model_get_info(poet, &info);
    snprintf(edition, sizeof edition, "%u", gyr_edition());
    snprintf(few, sizeof few, "receipt: %zu tokens in a context of 20; the model has at most %u", prompt.count + 12,
             info.context);
    snprintf(many, sizeof many, "receipt: %zu tokens in a context of 99999999999; the model has at most %u",
             prompt.count + 12, info.context);
    snprintf(vocab, sizeof vocab, "receipt: token 2000000000; the model's ids are 0 to %u", info.vocab - 1);
    refused(good, "{", "\"receipt\":1", "\"receipt\":2", GYR_UNSUPPORTED, "receipt: of format 2; this version reads 1");
    refused(good, "{", "\"receipt\":1", "\"receipt\":1,\"best_of\":2", GYR_MALFORMED,
            "receipt: \"best_of\" is nothing that a receipt has");
    refused(good, "\"context\"", "512", "20", GYR_MALFORMED, few);
    refused(good, "\"context\"", "512", "99999999999", GYR_MALFORMED, many);
    refused(good, "\"kv_type\"", "f16", "f17", GYR_MALFORMED,
            "receipt: \"kv_type\" is not one of the words that a receipt has there");
    refused(good, "\"top_p\"", "0.980000019", "98", GYR_MALFORMED, "receipt: top-p is 98; choose 0 to 1");
    refused(good, "\"min_tokens\"", "0", "13", GYR_MALFORMED,
            "receipt: at least 13 tokens and at most 12: nothing is both");
    refused(good, "\"seed\"", "18446744073709551613", "18446744073709551616", GYR_MALFORMED,
            "receipt: \"seed\" is not a whole number below 2^64, written as a string");
    refused(good, "\"prompt\"", "[", "[2000000000,", GYR_MALFORMED, vocab);
    refused(good, "\"prompt\"", "[", "[-1,", GYR_MALFORMED, "receipt: \"prompt\" is not a list of token ids");
    refused(good, "\"answer\"", "\"answer\"", "\"prompt\"", GYR_MALFORMED,
            "receipt: bad JSON in line 1: a key is there twice; get the file again");
    refused(good, "\"stopped\"", "\"stopped\":\"length\"", "\"end\":1,\"stopped\":\"length\"", GYR_MALFORMED,
            "receipt: \"end\" is there, and something else ended the answer");
    refused(good, "\"answer\"", ",\"stopped\":\"length\"", "", GYR_MALFORMED, "receipt: \"stopped\" is missing");
    char *later = changed(good, "\"edition\"", edition, "999");
    CHECK_INT(check(later), GYR_UNSUPPORTED);
    CHECK(!strncmp(err.message, "receipt: of edition 999 of the arithmetic; this is edition ", 59));
    free(later);
    for (size_t n = 0; n < strlen(good); n += 1 + n / 8)
        CHECK_INT(gyr_receipt_check(poet, good, n, NULL, &result, &err), GYR_MALFORMED);
    gyr_free(good);
}

static void another_model_is_told(void) {
    char path[] = "/tmp/gyr-receipt-XXXXXX", sum[65], other_sum[65];
    char *good = receipt((gyr_generate_options){.sampling = &drawn, .max_tokens = 12}, NULL, NULL);
    int file = mkstemp(path);
    REQUIRE(good && file >= 0 && small_falcon(path, false, 7, &err));
    close(file);
    gyr_model *other = gyr_model_open(path, NULL, &err);
    REQUIRE(other);
    CHECK_INT(gyr_receipt_check(other, good, strlen(good), NULL, &result, &err), GYR_FAILED);
    CHECK(!strncmp(err.message, "receipt: of another model, with checksum ", 41));
    CHECK(!gyr_model_checksum(poet, sum, &err) && !gyr_model_checksum(other, other_sum, &err));
    CHECK(strlen(sum) == 64 && strlen(other_sum) == 64 && strcmp(sum, other_sum) && strstr(good, sum));
    gyr_model_close(other);
    // The same weights, in another file.
    CHECK(small_falcon(path, false, 7, &err) && (other = gyr_model_open(path, NULL, &err)));
    CHECK(!gyr_model_checksum(other, sum, &err));
    CHECK_STR(sum, other_sum);
    gyr_model_close(other);
    CHECK(small_falcon(path, false, 8, &err) && (other = gyr_model_open(path, NULL, &err)));
    CHECK(!gyr_model_checksum(other, sum, &err) && strcmp(sum, other_sum));
    gyr_model_close(other);
    unlink(path);
    gyr_free(good);
}

static bool give_up(void *user, double fraction) {
    *(double *)user = fraction;
    return fraction < 0.5;
}

static void a_check_can_be_stopped(void) {
    double at = 0;
    gyr_receipt_check_options o = {.progress = give_up, .user = &at};
    char *good = receipt((gyr_generate_options){.sampling = &drawn, .ignore_end = true}, NULL, NULL);
    REQUIRE(good);
    CHECK_INT(gyr_receipt_check(poet, good, strlen(good), &o, &result, &err), GYR_CANCELLED);
    CHECK(at >= 0.5 && at < 1);
    CHECK_INT(check(good), GYR_OK);
    CHECK(result.equal);
    gyr_free(good);
}

int main(void) {
    poet = gyr_model_open(poet_path(), &(gyr_model_options){.threads = 2}, &err);
    if (!poet ||
        gyr_chat_tokens(poet, "[{\"role\":\"user\",\"content\":\"Write a poem about love\"}]", true, &prompt, &err)) {
        printf("%s\n0 passed, 1 failed, 0 skipped\n", err.message);
        return 1;
    }
    RUN(answers_are_what_their_receipts_say);
    RUN(the_token_that_ends_an_answer_counts);
    RUN(of_every_cache);
    RUN(whatever_ends_them);
    RUN(grammars_hold_again);
    RUN(the_first_token_that_differs_is_named);
    RUN(all_that_makes_the_answer_counts);
    RUN(what_is_no_receipt_is_refused);
    RUN(another_model_is_told);
    RUN(a_check_can_be_stopped);
    gyr_free(prompt.ids);
    gyr_model_close(poet);
    return test_end();
}
