// The calls that gyr.h allows on any thread, on four threads at once, while the model's own thread computes: they give
// what they give alone. Built with -Db_sanitize=thread it shows races that do not show here.
#include "gyr.h"
#include "poet.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 60 };

static gyr_model *poet;
static const char text[] =
    "Ode to a h\xc3\xa9ron, 1234 \xe2\x80\x94 \xe4\xbd\xa0\xe5\xa5\xbd \xff<|end|> in the   rain\n\n";
static const char talk[] = "[{\"role\":\"system\",\"content\":\"Be short.\"},{\"role\":\"user\",\"content\":\"A poem "
                           "about <|end|> rain, please\"}]";
static const char variables[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 \\\"q\\\" 3.25\"}],\"n\":3}";

// What one thread was given, in one piece.
struct given {
    char data[4096];
    size_t size;
    bool failed;
};

static void put(struct given *g, const void *data, size_t size) {
    g->failed |= !data || size > sizeof g->data - g->size;
    if (g->failed) return;
    memcpy(g->data + g->size, data, size);
    g->size += size;
}

static void ask_everything(struct given *g) {
    const gyr_tokenizer *t = gyr_model_tokenizer(poet);
    gyr_tokens tokens, chat;
    gyr_model_info info;
    gyr_sampling sampling;
    gyr_error e;
    size_t size, length;
    g->failed |= gyr_tokenize(t, text, sizeof text - 1, GYR_ADD_BOS | GYR_PARSE_SPECIAL, &tokens, &e);
    put(g, tokens.ids, tokens.count * sizeof *tokens.ids);
    char *back = gyr_detokenize(t, tokens.ids, tokens.count, true, &size, &e);
    put(g, back, size);
    g->failed |= gyr_chat_tokens(poet, talk, true, &chat, &e);
    put(g, chat.ids, chat.count * sizeof *chat.ids);
    char *plain = gyr_chat_text(poet, talk, true, &e);
    put(g, plain, plain ? strlen(plain) : 0);
    char *rendered = gyr_template_render(gyr_model_template(poet), variables, sizeof variables - 1, &length, &e);
    put(g, rendered, length);
    g->failed |= !gyr_token_is_end(t, tokens.ids[tokens.count - 1]) == gyr_token_is_end(t, tokens.ids[0]);
    gyr_model_get_info(poet, &info);
    put(g, &info.vocab, sizeof info.vocab);
    put(g, info.name, strlen(info.name));
    gyr_sampling_defaults(poet, &sampling);
    put(g, &sampling.top_p, sizeof sampling.top_p);
    // Errors are the caller's own, too.
    bool refused = !gyr_template_render(gyr_model_template(poet), "[1", 2, &length, &e) && e.status == GYR_USAGE;
    g->failed |= !refused;
    put(g, e.message, strlen(e.message));
    void *all[] = {tokens.ids, back, chat.ids, plain, rendered};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) gyr_free(all[i]);
}

static struct given want;
static atomic_int different, rounds;

static void *ask(void *arg) {
    struct given *g = malloc(sizeof *g);
    for (int i = 0; g && i < ROUNDS; i++) {
        *g = (struct given){0};
        ask_everything(g);
        if (g->failed || g->size != want.size || memcmp(g->data, want.data, want.size)) atomic_fetch_add(&different, 1);
        atomic_fetch_add(&rounds, 1);
    }
    free(g);
    return NULL;
}

struct poem {
    char text[8192];
    size_t size;
};

static bool collect(void *user, const char *piece, size_t size) {
    struct poem *p = user;
    if (p->size + size <= sizeof p->text) memcpy(p->text + p->size, piece, size);
    p->size += size;
    return true;
}

static void recite(struct poem *p) {
    gyr_error e;
    gyr_tokens prompt;
    *p = (struct poem){0};
    REQUIRE(!gyr_chat_tokens(poet, talk, true, &prompt, &e));
    gyr_session *s = gyr_session_new(poet, NULL, &e);
    gyr_generate_options o = {.max_tokens = 60, .ignore_end = true, .piece = collect, .user = p};
    CHECK(s && !gyr_generate(s, prompt.ids, prompt.count, &o, NULL, &e));
    gyr_session_free(s);
    gyr_free(prompt.ids);
}

static void calls_of_other_threads_do_no_harm(void) {
    static struct poem alone, among;
    pthread_t threads[THREADS];
    ask_everything(&want);
    REQUIRE(!want.failed && want.size > 300);
    recite(&alone);
    for (int i = 0; i < THREADS; i++) REQUIRE(!pthread_create(&threads[i], NULL, ask, NULL));
    do {
        recite(&among);
        CHECK(among.size == alone.size && !memcmp(among.text, alone.text, alone.size));
    } while (atomic_load(&rounds) < THREADS * ROUNDS);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&different), 0);
}

int main(void) {
    gyr_error e;
    poet = gyr_model_open(poet_path(), &(gyr_model_options){.threads = 2}, &e);
    if (!poet) {
        printf("%s\n0 passed, 1 failed, 0 skipped\n", e.message);
        return 1;
    }
    RUN(calls_of_other_threads_do_no_harm);
    gyr_model_close(poet);
    return test_end();
}
