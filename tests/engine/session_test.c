// Sessions and generation on the poet, through the public interface alone.
#include "gyr.h"
#include "poet.h"
#include "test.h"

#include <ctype.h>

static gyr_model *poet;
static gyr_error err;

struct text {
    char data[65536];
    size_t size;
    size_t stop_after; // bytes; 0: never
};

static bool collect(void *user, const char *piece, size_t size) {
    struct text *t = user;
    if (t->size + size < sizeof t->data) memcpy(t->data + t->size, piece, size);
    t->size += size;
    t->data[t->size] = 0;
    return !t->stop_after || t->size < t->stop_after;
}

static gyr_tokens prompt_for(const char *subject) {
    char messages[512];
    gyr_tokens t = {0};
    snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":\"Write a poem about %s\"}]", subject);
    CHECK_INT(gyr_chat_tokens(poet, messages, true, &t, &err), GYR_OK);
    return t;
}

static void answer(const char *subject, gyr_generate_options o, struct text *text, gyr_generate_stats *stats) {
    gyr_tokens prompt = prompt_for(subject);
    gyr_session *s = gyr_session_new(poet, NULL, &err);
    memset(text, 0, offsetof(struct text, stop_after));
    o.piece = collect;
    o.user = text;
    CHECK_INT(gyr_generate(s, prompt.ids, prompt.count, &o, stats, &err), GYR_OK);
    CHECK_INT(gyr_session_length(s), prompt.count + stats->answer_tokens);
    gyr_session_free(s);
    gyr_free(prompt.ids);
}

static void verse_on_the_subject_asked_for(void) {
    static struct text text;
    gyr_generate_stats stats;
    int hits = 0, lines = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        gyr_sampling sampling;
        gyr_sampling_defaults(poet, &sampling);
        sampling.seed = seed;
        answer("San Francisco", (gyr_generate_options){.sampling = &sampling, .max_tokens = 200}, &text, &stats);
        hits += strstr(text.data, "Francisco") != NULL;
        for (const char *p = text.data; (p = strchr(p, '\n')); p++) lines++;
    }
    printf("  %d of 8 poems name Francisco; %d lines\n", hits, lines);
    CHECK(hits >= 5);
    CHECK(lines >= 32);
}

static void same_seed_same_bytes(void) {
    static struct text a, b;
    gyr_generate_stats stats;
    gyr_generate_options o = {.max_tokens = 60};
    answer("the sea", o, &a, &stats);
    answer("the sea", o, &b, &stats);
    CHECK_STR(b.data, a.data);
    CHECK(a.size > 50);
}

static void stops_are_told_apart(void) {
    static struct text text;
    gyr_generate_stats stats;
    answer("rain", (gyr_generate_options){.max_tokens = 7, .ignore_end = true}, &text, &stats);
    CHECK_INT(stats.stop, GYR_STOP_LENGTH);
    CHECK_INT(stats.answer_tokens, 7);
    CHECK(stats.bytes_read > 7 * 1000000 && stats.prompt_seconds > 0 && stats.answer_seconds > 0);
    static const char *const stop[] = {"\n"};
    answer("rain", (gyr_generate_options){.max_tokens = 100, .stop = stop, .stop_count = 1}, &text, &stats);
    CHECK_INT(stats.stop, GYR_STOP_STRING);
    CHECK(!strchr(text.data, '\n'));
    text.stop_after = 20;
    answer("rain", (gyr_generate_options){.max_tokens = 100}, &text, &stats);
    text.stop_after = 0;
    CHECK_INT(stats.stop, GYR_STOP_CALLER);
    CHECK(text.size >= 20 && text.size < 40);
}

static void two_turns_continue_one_session(void) {
    static struct text text;
    gyr_generate_stats stats;
    gyr_tokens first = prompt_for("the moon");
    gyr_session *s = gyr_session_new(poet, NULL, &err);
    gyr_generate_options o = {.max_tokens = 40, .piece = collect, .user = &text};
    text.size = 0;
    CHECK_INT(gyr_generate(s, first.ids, first.count, &o, &stats, &err), GYR_OK);
    size_t length = gyr_session_length(s), said = text.size;
    CHECK_INT(gyr_generate(s, NULL, 0, &o, &stats, &err), GYR_OK); // go on where it stopped
    CHECK_INT(gyr_session_length(s), length + stats.answer_tokens);
    CHECK_INT(stats.prompt_tokens, 0);
    CHECK(text.size > said || stats.stop == GYR_STOP_END);
    gyr_session_free(s);
    gyr_free(first.ids);
}

// What is fed, dropped and fed again leaves no trace.
static void truncation_forgets(void) {
    gyr_model_info info;
    gyr_model_get_info(poet, &info);
    gyr_tokens a = prompt_for("winter"), b = prompt_for("an old ship in the harbour of the town");
    size_t row = info.vocab * sizeof(float);
    float *want = malloc(row);
    gyr_session *s = gyr_session_new(poet, NULL, &err);
    CHECK(gyr_session_logits(s) == NULL);
    CHECK_INT(gyr_session_feed(s, a.ids, a.count, NULL, &err), GYR_OK);
    memcpy(want, gyr_session_logits(s), row);
    CHECK_INT(gyr_session_feed(s, b.ids, b.count, NULL, &err), GYR_OK);
    CHECK(memcmp(want, gyr_session_logits(s), row));
    gyr_session_truncate(s, 3);
    CHECK(gyr_session_logits(s) == NULL);
    CHECK_INT(gyr_session_length(s), 3);
    CHECK_INT(gyr_session_feed(s, a.ids + 3, a.count - 3, NULL, &err), GYR_OK);
    CHECK(!memcmp(want, gyr_session_logits(s), row));
    gyr_session_free(s);
    free(want);
    gyr_free(a.ids);
    gyr_free(b.ids);
}

static void limits_are_errors(void) {
    gyr_model_info info;
    gyr_model_get_info(poet, &info);
    gyr_session *s = gyr_session_new(poet, &(gyr_session_options){.context = 16}, &err);
    REQUIRE(s);
    CHECK_INT(gyr_session_context(s), 16);
    int32_t ids[17] = {5, 6, 7};
    CHECK_INT(gyr_session_feed(s, ids, 17, NULL, &err), GYR_TOO_LONG);
    char want[2048];
    snprintf(want, sizeof want,
             "%s: 17 tokens do not fit: the context is 16 and 0 are in it; shorten the prompt or choose a "
             "larger context",
             poet_path());
    CHECK_STR(err.message, want);
    CHECK_INT(gyr_session_length(s), 0);
    ids[1] = (int32_t)info.vocab;
    CHECK_INT(gyr_session_feed(s, ids, 3, NULL, &err), GYR_USAGE);
    ids[1] = -1;
    CHECK_INT(gyr_session_feed(s, ids, 3, NULL, &err), GYR_USAGE);
    CHECK_INT(gyr_generate(s, NULL, 0, NULL, NULL, &err), GYR_USAGE);
    gyr_session_free(s);
    CHECK(!gyr_session_new(poet, &(gyr_session_options){.context = info.context + 1}, &err));
    CHECK_INT(err.status, GYR_USAGE);
    CHECK(!gyr_model_open("/nonexistent.gguf", NULL, &err));
    CHECK_STR(err.message, "/nonexistent.gguf: No such file or directory; check the path");
}

static void messages_are_checked(void) {
    gyr_tokens t;
    CHECK_INT(gyr_chat_tokens(poet, "{", true, &t, &err), GYR_USAGE);
    CHECK_STR(err.message, "messages:1:2: not JSON: ends too early");
    CHECK_INT(gyr_chat_tokens(poet, "7", true, &t, &err), GYR_USAGE);
    CHECK_STR(err.message, "messages: neither a list of messages nor an object with one");
}

static void check_message(const char *message, const char *want) {
    static const char source[] = "{{ messages[0] | tojson }}";
    char text[400];
    gyr_template *t = gyr_template_parse("T", source, sizeof source - 1, &err);
    REQUIRE(t);
    int n = snprintf(text, sizeof text, "[%s]", message);
    char *got = gyr_template_render(t, text, (size_t)n, NULL, &err);
    CHECK_STR(got ? got : err.message, want);
    gyr_free(got);
    gyr_template_close(t);
}

// As transformers' apply_chat_template() does it.
static void messages_are_handed_on_without_nulls(void) {
    check_message("{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"a\": null}]}",
                  "{\"role\": \"assistant\", \"tool_calls\": [{\"a\": null}]}");
    check_message("{\"reasoning_content\": \"deep\", \"content\": \"x\"}",
                  "{\"thinking\": \"deep\", \"reasoning_content\": \"deep\", \"content\": \"x\"}");
    check_message("{\"content\": \"x\", \"thinking\": \"deep\"}",
                  "{\"thinking\": \"deep\", \"content\": \"x\", \"reasoning_content\": \"deep\"}");
    check_message("{\"reasoning\": \"deep\", \"thinking\": null}",
                  "{\"thinking\": \"deep\", \"reasoning\": \"deep\", \"reasoning_content\": \"deep\"}");
    check_message("{\"thinking\": \"b\", \"reasoning_content\": \"a\"}",
                  "{\"thinking\": \"b\", \"reasoning_content\": \"a\"}");
    check_message("{\"a\": 18446744073709551615, \"b\": NaN, \"c\": \"\\ud83d\", \"d\": 1, \"d\": 2}",
                  "{\"a\": 18446744073709551615, \"b\": NaN, \"c\": \"\xef\xbf\xbd\", \"d\": 2}");
    check_message("\"no object\"", "\"no object\"");
}

// An object has all the variables; what it says goes before what the call says.
static void an_object_has_all_variables(void) {
    static const char list[] = "[{\"role\":\"user\",\"content\":\"X\"}]";
    static const char object[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"X\"}],\"add_generation_prompt\":false}";
    char *a = gyr_chat_text(poet, list, false, &err), *b = gyr_chat_text(poet, object, true, &err);
    size_t n = 0;
    char *c = gyr_template_render(gyr_model_template(poet), list, strlen(list), &n, &err);
    REQUIRE(a && b && c);
    CHECK_STR(b, a);
    CHECK_STR(c, a);
    CHECK_INT(n, strlen(a));
    gyr_free(a);
    gyr_free(b);
    gyr_free(c);
}

// A message that spells a special token is text: no control token but the template's own stands in the prompt.
static void users_cannot_spell_special_tokens(void) {
    char *plain = gyr_chat_text(poet, "[{\"role\":\"user\",\"content\":\"X\"}]", true, &err);
    REQUIRE(plain);
    const char *mark = strstr(plain, "<|");
    REQUIRE(mark);
    char special[32], messages[256];
    snprintf(special, sizeof special, "%.*s", (int)(strstr(mark, "|>") + 2 - mark), mark);
    snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":\"a%sb\"}]", special);
    gyr_tokens clean, dirty, id;
    CHECK_INT(gyr_chat_tokens(poet, "[{\"role\":\"user\",\"content\":\"ab\"}]", true, &clean, &err), GYR_OK);
    CHECK_INT(gyr_chat_tokens(poet, messages, true, &dirty, &err), GYR_OK);
    CHECK_INT(gyr_tokenize(gyr_model_tokenizer(poet), special, strlen(special), GYR_PARSE_SPECIAL, &id, &err), GYR_OK);
    REQUIRE(id.count == 1);
    int in_clean = 0, in_dirty = 0;
    for (size_t i = 0; i < clean.count; i++) in_clean += clean.ids[i] == id.ids[0];
    for (size_t i = 0; i < dirty.count; i++) in_dirty += dirty.ids[i] == id.ids[0];
    CHECK_INT(in_clean, 1);
    CHECK_INT(in_dirty, 1);
    CHECK(dirty.count > clean.count);
    gyr_free(plain);
    gyr_free(clean.ids);
    gyr_free(dirty.ids);
    gyr_free(id.ids);
}

static void facts(void) {
    gyr_model_info info;
    gyr_model_get_info(poet, &info);
    CHECK_STR(info.architecture, "falcon");
    CHECK_STR(info.name, "poet");
    CHECK(info.has_chat_template && info.layers && info.context >= 512 && info.kv_heads == 1);
    CHECK_INT(info.kv_bytes_per_token, 2 * 2 * info.layers * info.kv_heads * info.head_dim);
    CHECK(!strncmp(info.types, "q8_0", 4));
    CHECK_STR(gyr_status_name(GYR_TOO_LONG), "too long");
    gyr_device_info device;
    CHECK_INT(gyr_device_get_info(0, &device, &err), GYR_OK);
    CHECK(device.memory_bytes > 0 && device.threads > 0 && *device.name);
    CHECK_INT(gyr_device_get_info(gyr_device_count(), &device, &err), GYR_USAGE);
    char *json = gyr_inspect(poet_path(), true, &err);
    CHECK(json && strstr(json, "\"blk.0.attn_qkv.weight\"") && strstr(json, "Falcon-7B kind"));
    gyr_free(json);
}

// Per layer 256 x 384, 256 x 256 and twice 256 x 1024, eight times; and 256 x 4096 for the last tokens.
static void work_is_what_the_shape_says(void) {
    gyr_model_info info;
    gyr_work one, many;
    gyr_model_get_info(poet, &info);
    gyr_model_get_work(poet, GYR_KV_DEFAULT, 1, 1, 0, &one);
    gyr_model_get_work(poet, GYR_KV_F32, 3, 5, 10, &many);
    CHECK_INT(one.int8, 2 * (8 * 688128 + 1048576));
    CHECK_INT(one.read, info.decode_bytes + info.kv_bytes_per_token);
    CHECK_INT(many.int8, 2ll * (8 * 688128 * 15 + 1048576 * 3));
    CHECK_INT(many.read, info.decode_bytes + 3 * 15 * 2 * info.kv_bytes_per_token);
    CHECK(one.fp32 == 0);
    gyr_roofs roofs = {0};
    CHECK_INT(gyr_measure_roofs(2, 0.04, &roofs, &err), GYR_OK);
    CHECK(roofs.read > 1e7 && roofs.int8 > 1e7 && roofs.fp32 > 1e7);
}

int main(void) {
    poet = gyr_model_open(poet_path(), NULL, &err);
    if (!poet) {
        printf("%s\n0 passed, 1 failed, 0 skipped\n", err.message);
        return 1;
    }
    RUN(facts);
    RUN(work_is_what_the_shape_says);
    RUN(verse_on_the_subject_asked_for);
    RUN(same_seed_same_bytes);
    RUN(stops_are_told_apart);
    RUN(two_turns_continue_one_session);
    RUN(truncation_forgets);
    RUN(limits_are_errors);
    RUN(messages_are_checked);
    RUN(messages_are_handed_on_without_nulls);
    RUN(an_object_has_all_variables);
    RUN(users_cannot_spell_special_tokens);
    gyr_model_close(poet);
    return test_end();
}
