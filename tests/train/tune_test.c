// Fine-tuning from a file of conversations to an adapter: losses step by step as PEFT's (tools/goldens/training.py),
// the same bytes on any number of threads and with any interruptions, and data that is refused.
#include "../engine/poet.h"
#include "../test.h"
#include "gyr.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[] = "/tmp/gyr-tune-XXXXXX";
static gyr_model *model;

enum { STEPS = 12, EXAMPLES = 5, MOST_BYTES = 1 << 20 };

static const char *file_of(const char *name) {
    static char room[64][128];
    static int turn;
    char *path = room[turn++ % 64];
    snprintf(path, sizeof room[0], "%s/%s", folder, name);
    return path;
}

// What is told meanwhile, and where to stop.
struct watch {
    gyr_tune_progress step[STEPS];
    size_t n, calls, stop_at, kill_at;
};

static bool watch_step(void *user, const gyr_tune_progress *p) {
    struct watch *w = user;
    w->calls++;
    if (w->calls == w->kill_at) raise(SIGKILL);
    if (p->stepped && w->n < STEPS) w->step[w->n++] = *p;
    return w->calls != w->stop_at;
}

static gyr_tune_options options_of(const char *data, const char *output, struct watch *w) {
    return (gyr_tune_options){.data = data,
                              .output = output,
                              .rank = 4,
                              .alpha = 8,
                              .epochs = 4,
                              .batch = 2,
                              .learning_rate = 1e-2,
                              .seed = 7,
                              .threads = 1,
                              .progress = w ? watch_step : NULL,
                              .user = w};
}

static gyr_status train(const gyr_tune_options *o, gyr_error *e) {
    gyr_tune *t = gyr_tune_open(model, o, e);
    gyr_status status = t ? gyr_tune_run(t, e) : e->status;
    gyr_tune_close(t);
    return status;
}

static const char *poet_data(void) { return test_data("train/poet.jsonl"); }

// The bytes of an adapter's numbers, in PEFT's format.
static size_t read_bytes(const char *name, uint8_t *to) {
    char path[200];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", file_of(name));
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(to, 1, MOST_BYTES, f) : 0;
    if (f) fclose(f);
    return n;
}

static uint8_t undisturbed[MOST_BYTES], other[MOST_BYTES];
static size_t undisturbed_n;

static bool is_there(const char *name) { return !access(file_of(name), F_OK); }

static void same_as_undisturbed(const char *name) {
    size_t n = read_bytes(name, other);
    CHECK(n > 100000 && n == undisturbed_n && !memcmp(other, undisturbed, n));
}

// ------------------------------------------------------------------------------------------------ cases

static void near(double got, double want, double far) {
    if (!(fabs(got - want) <= far * fabs(want))) printf("  %.7g, not %.7g\n", got, want);
    CHECK(fabs(got - want) <= far * fabs(want));
}

static void steps_are_those_of_peft(void) {
    struct watch w = {0};
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), file_of("first"), &w);
    REQUIRE(train(&o, &e) == GYR_OK);
    FILE *f = fopen(test_data("train/poet.txt"), "r");
    REQUIRE(f);
    CHECK_INT(w.n, STEPS);
    CHECK_INT(w.calls, 4 * EXAMPLES);
    for (size_t i = 0; i < w.n; i++) {
        double loss, right, rate, length;
        REQUIRE(fscanf(f, "%lf %lf %lf %lf", &loss, &right, &rate, &length) == 4);
        // Each step makes the roundings of those before it larger.
        near(w.step[i].loss, loss, i < 8 ? 2e-4 : 1e-3);
        near(w.step[i].accuracy, right, 1e-5);
        near(w.step[i].rate, rate, 1e-6);
        near(w.step[i].norm, length, 2e-3);
    }
    fclose(f);
    undisturbed_n = read_bytes("first", undisturbed);
    CHECK(undisturbed_n > 100000);
    CHECK(!is_there("first.state"));
}

static void threads_change_no_byte(void) {
    static const uint32_t threads[] = {2, 3, 8};
    for (size_t i = 0; i < 3; i++) {
        gyr_error e = {0};
        gyr_tune_options o = options_of(poet_data(), file_of("threads"), NULL);
        o.threads = threads[i];
        REQUIRE(train(&o, &e) == GYR_OK);
        same_as_undisturbed("threads");
    }
}

// Stopped behind every few examples, so also in the middle of steps, and gone on from there.
static void stops_change_no_byte(void) {
    gyr_error e = {0};
    gyr_status status = GYR_CANCELLED;
    int runs = 0;
    for (; status == GYR_CANCELLED && runs < 100; runs++) {
        struct watch w = {.stop_at = 3};
        gyr_tune_options o = options_of(poet_data(), file_of("stops"), &w);
        o.resume = true;
        o.threads = runs % 3 + 1;
        status = train(&o, &e);
        CHECK(status == GYR_OK || is_there("stops.state"));
    }
    CHECK_INT(status, GYR_OK);
    CHECK(runs > 5);
    CHECK(!is_there("stops.state"));
    same_as_undisturbed("stops");
}

static void kills_change_no_byte(void) {
    struct watch w = {.kill_at = 13};
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), file_of("kills"), &w);
    o.save_steps = 3;
    pid_t child = fork();
    if (!child) {
        // No threads of the parent's are there: a model of its own.
        model = gyr_model_open(poet_path(), NULL, NULL);
        train(&o, &e);
        _exit(1);
    }
    int how = 0;
    REQUIRE(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    CHECK(is_there("kills.state") && !is_there("kills"));
    w = (struct watch){0};
    CHECK_INT(train(&o, &e), GYR_FAILED);
    CHECK(strstr(e.message, "kills.state: a checkpoint of an earlier training; resume it, or remove the file"));
    o.resume = true;
    o.threads = (uint32_t)test_times(1, 3); // where that is slow, what other threads give is seen here
    REQUIRE(train(&o, &e) == GYR_OK);
    CHECK_INT(w.n, STEPS - 6);
    CHECK_INT(w.step[0].step, 7);
    same_as_undisturbed("kills");
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    if (f) fputs(text, f), fclose(f);
}

#define USER   "{\"role\":\"user\",\"content\":\"a\"}"
#define ANSWER "{\"role\":\"assistant\",\"content\":\"b\"}"
#define GOOD   "{\"messages\":[" USER "," ANSWER "]}\n"

// Plain C, and what this machine has: a short example, as plain C takes its time.
static void instruction_sets_change_no_byte(gyr_products products) {
    static const char *const sets[] = {"scalar", "avx2", "avx512", "neon"};
    static uint8_t best[MOST_BYTES];
    size_t n = 0;
    write_text(file_of("short.jsonl"), GOOD);
    for (int i = -1; i < 4; i++) {
        gyr_error e = {0};
        gyr_tune_options o = options_of(file_of("short.jsonl"), file_of("sets"), NULL);
        o.epochs = 2;
        o.products = products;
        if (i >= 0) setenv("GYR_ISA", sets[i], 1); // one that is not here is plain C
        gyr_status status = train(&o, &e);
        unsetenv("GYR_ISA");
        REQUIRE(status == GYR_OK);
        if (i < 0)
            n = read_bytes("sets", best);
        else
            CHECK(n > 100000 && read_bytes("sets", other) == n && !memcmp(best, other, n));
    }
}

static void instruction_sets_in_float(void) { instruction_sets_change_no_byte(GYR_PRODUCTS_F32); }

static void instruction_sets_in_integers(void) { instruction_sets_change_no_byte(GYR_PRODUCTS_INT16); }

static size_t change(const char *name, size_t at, size_t keep) {
    FILE *f = fopen(file_of(name), "r+b");
    if (!f) return 0;
    size_t n = fread(other, 1, MOST_BYTES, f);
    other[at] ^= 1;
    rewind(f);
    fwrite(other, 1, n, f);
    fclose(f);
    return !keep || !truncate(file_of(name), (off_t)keep) ? n : 0;
}

static void checkpoints_are_checked(void) {
    struct watch w = {.stop_at = 4};
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), file_of("state"), &w);
    o.rank = 1; // small
    o.alpha = 2;
    CHECK_INT(train(&o, &e), GYR_CANCELLED);
    o.resume = true;
    o.seed = 8;
    CHECK_INT(train(&o, &e), GYR_FAILED);
    CHECK(strstr(e.message, "a checkpoint of another training"));
    o.seed = 7;
    o.products = GYR_PRODUCTS_INT16;
    CHECK_INT(train(&o, &e), GYR_FAILED);
    CHECK(strstr(e.message, "a checkpoint of another training"));
    o.products = GYR_PRODUCTS_F32;
    size_t n = change("state.state", 5000, 0);
    CHECK(n > 5000);
    CHECK_INT(train(&o, &e), GYR_MALFORMED);
    CHECK(strstr(e.message, "state.state: is damaged; remove it to begin anew"));
    change("state.state", 5000, n - 4);
    CHECK_INT(train(&o, &e), GYR_MALFORMED);
    CHECK(strstr(e.message, "is cut short"));
    change("state.state", 0, 0);
    CHECK_INT(train(&o, &e), GYR_MALFORMED);
    CHECK(strstr(e.message, "is no checkpoint of a training"));
    unlink(file_of("state.state"));
}

// ------------------------------------------------------------------------------------------ the adapter

static bool logits_of(const char *adapter, float *out) {
    gyr_error e = {0};
    gyr_adapter *a = adapter ? gyr_adapter_open(model, adapter, &e) : NULL;
    gyr_session *s = !adapter || a ? gyr_session_new(model, &(gyr_session_options){.adapter = a}, &e) : NULL;
    const int32_t ids[] = {5, 300, 17};
    bool ok = s && gyr_session_feed(s, ids, 3, NULL, &e) == GYR_OK;
    if (ok) memcpy(out, gyr_session_logits(s), 4096 * sizeof *out);
    if (!ok) printf("  %s\n", e.message);
    gyr_session_free(s);
    gyr_adapter_close(a);
    return ok;
}

static void either_format_is_the_same_adapter(void) {
    static float base[4096], peft[4096], gguf[4096];
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), file_of("one.gguf"), NULL);
    REQUIRE(train(&o, &e) == GYR_OK);
    REQUIRE(logits_of(NULL, base) && logits_of(file_of("first"), peft) && logits_of(file_of("one.gguf"), gguf));
    CHECK(!memcmp(peft, gguf, sizeof peft));
    CHECK(memcmp(base, peft, sizeof peft) != 0);
    unlink(file_of("one.gguf"));
}

static void validation_changes_nothing(void) {
    struct watch w = {0};
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), file_of("valid"), &w);
    o.valid = poet_data();
    REQUIRE(train(&o, &e) == GYR_OK);
    CHECK(isnan(w.step[1].valid_loss) && w.step[2].valid_loss > w.step[11].valid_loss);
    CHECK(w.step[11].valid_loss > 0 && w.step[11].valid_accuracy > 0.5);
    same_as_undisturbed("valid");
}

static void what_is_learned_is_marked(void) {
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), NULL, NULL);
    gyr_tune *t = gyr_tune_open(model, &o, &e);
    gyr_tune_example x;
    gyr_tune_info info;
    size_t size;
    REQUIRE(t);
    gyr_tune_get_info(t, &info);
    CHECK_INT(info.examples, EXAMPLES);
    CHECK_INT(info.tokens, 177);
    CHECK_INT(info.learned, 82);
    CHECK_INT(info.steps, STEPS);
    CHECK_INT(info.endless, 0);
    REQUIRE(gyr_tune_get_example(t, 3, &x) && !gyr_tune_get_example(t, 5, &(gyr_tune_example){0}));
    CHECK_INT(x.line, 5); // behind an empty one
    CHECK_INT(x.learned, 12);
    CHECK(x.weight[x.count - 1] == 0); // nothing comes behind the last
    size_t first = 0;
    while (x.weight[first] == 0) first++;
    char *text = gyr_detokenize(gyr_model_tokenizer(model), x.ids + first + 1, x.learned, true, &size, &e);
    CHECK_STR(text, "White is the hill,\nAnd all is still.<|end|>");
    gyr_free(text);
    CHECK_INT(gyr_tune_run(t, &e), GYR_USAGE);
    gyr_tune_close(t);
}

// ---------------------------------------------------------------------------------------------- bad data

static void bad_data_is_told_by_line(void) {
    static const struct {
        const char *text, *why;
    } tries[] = {
        {"", "bad.jsonl: has no conversation"},
        {"\n \n", "bad.jsonl: has no conversation"},
        {GOOD "hello\n", "bad.jsonl:2:1:"},
        {GOOD "\n[1]\n", "bad.jsonl:3: is no JSON object with 'messages'"},
        {"{\"prompt\":\"a\"}", "bad.jsonl:1: is a prompt and no chat"},
        {"{}", "bad.jsonl:1: has no 'messages'"},
        {"{\"messages\":[]}", "bad.jsonl:1: 'messages' is no list of messages"},
        {"{\"messages\":[" USER "," ANSWER "],\"x\":1}", "bad.jsonl:1: the line has a key 'x'"},
        {"{\"messages\":[" USER "]}", "bad.jsonl:1: has no assistant's message"},
        {"{\"messages\":[" USER "," ANSWER "," USER "]}", "bad.jsonl:1: the last message is not the assistant's"},
        {"{\"messages\":[" USER "," USER "]}", "message 2: roles are out of order: user behind a user's message"},
        {"{\"messages\":[" ANSWER "]}", "message 1: roles are out of order: assistant at the beginning"},
        {"{\"messages\":[" USER ",{\"role\":\"tool\",\"content\":\"\"}]}", "message 2: roles are out of order: tool"},
        {"{\"messages\":[{\"role\":\"bot\",\"content\":\"a\"}]}", "message 1: 'bot' is no role"},
        {"{\"messages\":[{\"content\":\"a\"}]}", "message 1 has no role"},
        {"{\"messages\":[{\"role\":\"user\"}]}", "message 1: content is missing"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "message 1: content is a list of parts"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":2}]}", "a weight is 0 or 1"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":0}]}",
         "all of its assistant's messages have weight 0"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"weight\":1}," ANSWER "]}",
         "message 1: only an assistant's message has a weight"},
        {"{\"messages\":[" USER ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}]}",
         "message 2: call 1 has no function.name"},
        {"{\"messages\":[" USER
         ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}]}",
         "message 2: the arguments of call 1 are no JSON object"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        gyr_error e = {0};
        write_text(file_of("bad.jsonl"), tries[i].text);
        gyr_tune_options o = options_of(file_of("bad.jsonl"), NULL, NULL);
        gyr_tune *t = gyr_tune_open(model, &o, &e);
        CHECK(!t);
        gyr_tune_close(t);
        CHECK_INT(e.status, GYR_MALFORMED);
        if (!strstr(e.message, tries[i].why)) printf("  %s\n  not: %s\n", e.message, tries[i].why);
        CHECK(strstr(e.message, tries[i].why));
    }
}

static const struct {
    const char *text, *why;
} tables[] = {
    {"", "bad.csv: has no conversation"},
    {"question,answer\n", "bad.csv: has no conversation"},
    {"hello\n", "bad.csv:1: the first line names the columns, and 'hello' is none"},
    {"question\na\n", "bad.csv:1: the first line names the columns: it needs question and answer"},
    {"question,prompt,answer\na,b,c\n", "bad.csv:1: two columns are the user's"},
    {"question,answer\na,b\n\nc\n", "bad.csv:4: has 1 fields, and the first line names 2 columns"},
    {"question,answer\na,b,c\n", "bad.csv:2: has 3 fields"},
    {"question,answer\n,b\n", "bad.csv:2: the user's field is empty"},
    {"question,answer\na,\"\"\n", "bad.csv:2: the assistant's field is empty"},
    {"question,answer\na,\xff\n", "bad.csv:2: the assistant's field is no UTF-8"},
    {"question,answer\n\"a\nb\n", "bad.csv:2: a field begins with a quote and has none at its end"},
    {"question,answer\n\"a\"x,b\n", "bad.csv:2: something stands behind a field's last quote"},
    {"question,answer\na \"b\",c\n", "bad.csv:2: a quote stands in a field"},
    {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\n", "bad.csv:1: has more columns"},
};

static void bad_tables_are_told_by_line(void) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        gyr_error e = {0};
        write_text(file_of("bad.csv"), tables[i].text);
        gyr_tune_options o = options_of(file_of("bad.csv"), NULL, NULL);
        gyr_tune *t = gyr_tune_open(model, &o, &e);
        CHECK(!t);
        gyr_tune_close(t);
        CHECK_INT(e.status, GYR_MALFORMED);
        if (!strstr(e.message, tables[i].why)) printf("  %s\n  not: %s\n", e.message, tables[i].why);
        CHECK(strstr(e.message, tables[i].why));
    }
}

// The same examples from a table as from lines, however it is written.
static void tables_are_conversations(void) {
    static const char *const same[] = {
        "question,answer,system\nWho?,\"I, a \"\"poet\"\".\nYes.\",Rhyme.\nWhy?,So.,\n",
        "\xef\xbb\xbfSystem;Prompt;Completion\r\nRhyme.;Who?;\"I, a \"\"poet\"\".\r\nYes.\"\r\n\r\n\"\";\"Why?\";So.",
        "assistant\tuser\tsystem\n\"I, a \"\"poet\"\".\nYes.\"\tWho?\tRhyme.\nSo.\tWhy?\t\n",
    };
    write_text(
        file_of("same.jsonl"),
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Rhyme.\"},{\"role\":\"user\",\"content\":\"Who?\"},"
        "{\"role\":\"assistant\",\"content\":\"I, a \\\"poet\\\".\\nYes.\"}]}\n"
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Why?\"},{\"role\":\"assistant\",\"content\":\"So.\"}]}\n");
    gyr_error e = {0};
    gyr_tune_options o = options_of(file_of("same.jsonl"), NULL, NULL);
    gyr_tune *want = gyr_tune_open(model, &o, &e);
    REQUIRE(want);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        write_text(file_of("same.csv"), same[i]);
        o.data = file_of("same.csv");
        gyr_tune *t = gyr_tune_open(model, &o, &e);
        gyr_tune_example a, b;
        size_t n = 0;
        if (!t) printf("  %s\n", e.message);
        REQUIRE(t);
        for (; gyr_tune_get_example(want, n, &a) && gyr_tune_get_example(t, n, &b); n++)
            CHECK(a.count == b.count && !memcmp(a.ids, b.ids, a.count * sizeof *a.ids));
        CHECK_INT(n, 2);
        CHECK(!gyr_tune_get_example(t, n, &b));
        gyr_tune_close(t);
    }
    gyr_tune_close(want);
}

// ------------------------------------------------------------------------------------------- templates

// The poet with another template, no longer than its own; a comment fills the rest.
static gyr_model *with_template(const char *source) {
    const char *own = gyr_model_template_source(model);
    size_t n = strlen(own), size = 0;
    FILE *f = fopen(poet_path(), "rb");
    char *all = f && !fseek(f, 0, SEEK_END) ? malloc((size = (size_t)ftell(f))) : NULL, *at;
    if (all) rewind(f), size = fread(all, 1, size, f);
    if (f) fclose(f);
    at = all ? memmem(all, size, own, n) : NULL;
    if (!at || strlen(source) + 4 > n) return free(all), NULL;
    memset(at, ' ', n);
    memcpy(at, "{#", 2);
    memcpy(at + n - strlen(source) - 2, "#}", 2);
    memcpy(at + n - strlen(source), source, strlen(source));
    f = fopen(file_of("other.gguf"), "wb");
    if (f) fwrite(all, 1, size, f), fclose(f);
    free(all);
    return gyr_model_open(file_of("other.gguf"), NULL, NULL);
}

#define HEAD "{% for m in messages %}<|{{ m.role }}|>"
#define TAIL "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>"
#define TALK "{\"messages\":[" USER "," ANSWER "," USER "," ANSWER "]}\n"

static void check_text(const gyr_model *m, const gyr_tune_example *x, const char *want) {
    gyr_error e = {0};
    size_t size;
    char *text = gyr_detokenize(gyr_model_tokenizer(m), x->ids, x->count, true, &size, &e);
    CHECK_STR(text, want);
    gyr_free(text);
}

// What was thought is printed with the last answer alone: each answer is learned behind the prompt it would have.
static void templates_that_forget_make_more_examples(void) {
    gyr_model *m = with_template(HEAD "{% if loop.last and m.role == 'assistant' %}hm {% endif %}" TAIL "{% endif %}");
    gyr_error e = {0};
    gyr_tune_example x;
    REQUIRE(m);
    write_text(file_of("talk.jsonl"), TALK);
    gyr_tune_options o = options_of(file_of("talk.jsonl"), NULL, NULL);
    gyr_tune *t = gyr_tune_open(m, &o, &e);
    if (!t) printf("  %s\n", e.message);
    REQUIRE(t && gyr_tune_get_example(t, 0, &x));
    check_text(m, &x, "<|user|>a<|end|><|assistant|>b<|end|><|user|>a<|end|><|assistant|>hm b<|end|>");
    REQUIRE(gyr_tune_get_example(t, 1, &x));
    check_text(m, &x, "<|user|>a<|end|><|assistant|>hm b<|end|>");
    CHECK(!gyr_tune_get_example(t, 2, &x));
    gyr_tune_close(t);
    gyr_model_close(m);
}

static void templates_whose_prompts_differ_are_refused(void) {
    gyr_model *m = with_template(HEAD TAIL "X{% endif %}");
    gyr_error e = {0};
    REQUIRE(m);
    write_text(file_of("talk.jsonl"), TALK);
    gyr_tune_options o = options_of(file_of("talk.jsonl"), NULL, NULL);
    CHECK(!gyr_tune_open(m, &o, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK(
        strstr(e.message, "talk.jsonl:1: message 2: the model's template prints the answer otherwise than its prompt"));
    gyr_model_close(m);
}

static void long_examples_are_refused_or_cut(void) {
    gyr_error e = {0};
    gyr_tune_info info;
    gyr_tune_options o = options_of(poet_data(), NULL, NULL);
    o.context = 40;
    CHECK(!gyr_tune_open(model, &o, &e));
    CHECK_INT(e.status, GYR_TOO_LONG);
    CHECK(strstr(e.message, "poet.jsonl:5: has 41 tokens, and an example has at most 40"));
    o.cut = true;
    gyr_tune *t = gyr_tune_open(model, &o, &e);
    REQUIRE(t);
    gyr_tune_get_info(t, &info);
    CHECK_INT(info.cut, 1);
    CHECK_INT(info.longest, 40);
    CHECK_INT(info.learned, 82); // what was cut off is not learned
    gyr_tune_close(t);
    o.context = 12;
    CHECK(!gyr_tune_open(model, &o, &e));
    CHECK(strstr(e.message, "nothing that is learned is left when it is cut"));
}

static void no_numbers_stop_it(void) {
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), file_of("nan"), NULL);
    o.learning_rate = 1e38;
    o.schedule = GYR_SCHEDULE_CONSTANT;
    CHECK_INT(train(&o, &e), GYR_FAILED);
    CHECK(strstr(e.message, "is not a number any more; try a smaller learning rate"));
    CHECK(!is_there("nan") && !is_there("nan.state"));
}

static void places_that_cannot_be_written_are_told_at_once(void) {
    struct watch w = {0};
    gyr_error e = {0};
    gyr_tune_options o = options_of(poet_data(), file_of("none/adapter"), &w);
    CHECK_INT(train(&o, &e), GYR_IO);
    CHECK_INT(w.calls, 0);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    model = gyr_model_open(poet_path(), NULL, NULL);
    if (!model) return 1;
    RUN(steps_are_those_of_peft);
    if (!TEST_SLOW) {
        RUN(threads_change_no_byte);
        RUN(instruction_sets_in_float);
        RUN(instruction_sets_in_integers);
        RUN(stops_change_no_byte);
        RUN(either_format_is_the_same_adapter);
        RUN(validation_changes_nothing);
    }
    RUN(kills_change_no_byte);
    RUN(checkpoints_are_checked);
    RUN(what_is_learned_is_marked);
    RUN(bad_data_is_told_by_line);
    RUN(bad_tables_are_told_by_line);
    RUN(tables_are_conversations);
    RUN(templates_that_forget_make_more_examples);
    RUN(templates_whose_prompts_differ_are_refused);
    RUN(long_examples_are_refused_or_cut);
    RUN(no_numbers_stop_it);
    RUN(places_that_cannot_be_written_are_told_at_once);
    gyr_model_close(model);
    char remove[64];
    snprintf(remove, sizeof remove, "rm -r %s", folder);
    return system(remove) | test_end();
}
