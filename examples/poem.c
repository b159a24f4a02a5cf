// The library in 40 lines: opens a model, asks it for a poem, and prints the answer as it comes.
//
//     cc poem.c $(pkg-config --cflags --libs gyr) -o poem
//     ./poem models/poet.gguf "Write a poem about the sea"
#include <gyr.h>
#include <stdio.h>
#include <string.h>

static bool print(void *user, const char *text, size_t size) {
    return fwrite(text, 1, size, user) == size && fflush(user) == 0;
}

static gyr_status answer(gyr_session *session, const gyr_tokens *prompt, gyr_error *err) {
    gyr_generate_options options = {.max_tokens = 200, .piece = print, .user = stdout};
    gyr_generate_stats stats;
    gyr_status status = gyr_generate(session, prompt->ids, prompt->count, &options, &stats, err);
    if (status == GYR_OK) printf("\n\n%zu tokens in %.1f s\n", stats.answer_tokens, stats.answer_seconds);
    return status;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: poem MODEL QUESTION\n"), GYR_USAGE;
    char messages[1024];
    if (strpbrk(argv[2], "\"\\\n")) return fprintf(stderr, "poem: ask without quotes, please\n"), GYR_USAGE;
    snprintf(messages, sizeof messages, "[{\"role\": \"user\", \"content\": \"%.900s\"}]", argv[2]);

    gyr_error err = {GYR_OK, ""};
    gyr_tokens prompt = {NULL, 0};
    gyr_model *model = gyr_model_open(argv[1], NULL, &err);
    gyr_session *session = model ? gyr_session_new(model, NULL, &err) : NULL;
    if (session && gyr_chat_tokens(model, messages, true, &prompt, &err) == GYR_OK) answer(session, &prompt, &err);
    if (err.status != GYR_OK) fprintf(stderr, "poem: %s\n", err.message);

    gyr_free(prompt.ids);
    gyr_session_free(session);
    gyr_model_close(model);
    return (int)err.status;
}
