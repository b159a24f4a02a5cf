#include "chat.h"

#include "edit.h"
#include "open.h"
#include "output.h"
#include "signals.h"

#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const char *field(const json_t *message, const char *name) {
    const char *s = json_string_value(json_object_get(message, name));
    return s ? s : "";
}

static bool add(struct chat *c, const char *role, const char *text, size_t size) {
    json_t *m = json_pack("{s:s, s:s%}", "role", role, "content", text, size);
    return m && !json_array_append_new(c->messages, m);
}

const char *chat_system(const struct chat *c) {
    const json_t *first = json_array_get(c->messages, 0);
    return first && !strcmp(field(first, "role"), "system") ? field(first, "content") : NULL;
}

void chat_set_system(struct chat *c, const char *text) {
    if (chat_system(c)) json_array_remove(c->messages, 0);
    if (!text || !*text) return;
    json_t *m = json_pack("{s:s, s:s}", "role", "system", "content", text);
    if (!m || json_array_insert_new(c->messages, 0, m)) say_error("--system: not valid UTF-8; convert it (see iconv)");
}

// Takes the oldest question and its answers away. False if only the last question is left.
static bool drop_oldest(struct chat *c) {
    size_t first = chat_system(c) ? 1 : 0, n = json_array_size(c->messages), next = first + 1;
    while (next < n && strcmp(field(json_array_get(c->messages, next), "role"), "user")) next++;
    if (next >= n) return false;
    for (; next > first; next--) json_array_remove(c->messages, first);
    return true;
}

static int render(struct chat *c, gyr_tokens *out) {
    gyr_error e = {0};
    char *messages = json_dumps(c->messages, JSON_COMPACT);
    int status = messages ? gyr_chat_tokens(c->talk->model, messages, true, out, &e) : GYR_NO_MEMORY;
    free(messages);
    return status ? report(&e) : GYR_OK;
}

// Renders the conversation so that a quarter of the context stays free for the answer, at the cost of the oldest turns.
static int render_to_fit(struct chat *c, gyr_tokens *out) {
    size_t context = gyr_session_context(c->talk->session), dropped = 0;
    int status;
    while (!(status = render(c, out)) && out->count > context - context / 4 && drop_oldest(c)) {
        gyr_free(out->ids);
        *out = (gyr_tokens){0};
        dropped++;
    }
    if (dropped) say_dim("(the context of %zu tokens is full: forgot the oldest %zu)", context, dropped);
    return status;
}

// Keeps what the session and the tokens have in common; returns how much. One token at least is left to feed.
static size_t keep_common(gyr_session *s, const gyr_tokens *tokens) {
    const int32_t *held = gyr_session_tokens(s);
    size_t n = gyr_session_length(s), same = 0;
    while (same < n && same + 1 < tokens->count && held[same] == tokens->ids[same]) same++;
    gyr_session_truncate(s, same);
    return same;
}

// What is typed while an answer comes stays unseen, key by key, until the next prompt, where it is as if typed then.
static void echo_keys(bool on) {
    struct termios t;
    if (tcgetattr(STDIN_FILENO, &t)) return;
    const tcflag_t keys = ECHO | ICANON;
    t.c_lflag = on ? t.c_lflag | keys : t.c_lflag & ~keys;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

static int answer(struct chat *c, const int32_t *ids, size_t count, struct answer *a) {
    interrupted_clear();
    echo_keys(false);
    int status = give_answer(c->talk, ids, count, a);
    if (!status) end_answer(c->talk, a);
    echo_keys(true);
    interrupted_clear();
    gyr_session *s = c->talk->session;
    if (!status && a->stats.stop == GYR_STOP_LENGTH && gyr_session_length(s) >= gyr_session_context(s))
        say_dim("(the context of %zu tokens is full; /clear starts anew, -c gives more)", gyr_session_context(s));
    return status;
}

static void turn(struct chat *c, const char *text) {
    gyr_tokens tokens = {0};
    struct answer a = {0};
    if (!add(c, "user", text, strlen(text))) {
        say_error("the message is not valid UTF-8; type it again");
        return;
    }
    int status = render_to_fit(c, &tokens);
    if (!status) {
        size_t same = keep_common(c->talk->session, &tokens);
        status = answer(c, tokens.ids + same, tokens.count - same, &a);
    }
    bool said = !status && a.size && add(c, "assistant", a.text, a.size);
    if (!said) json_array_remove(c->messages, json_array_size(c->messages) - 1);
    gyr_free(tokens.ids);
    free(a.text);
}

static void raw_turn(struct chat *c, const char *text) {
    gyr_session *s = c->talk->session;
    gyr_tokens tokens = {0};
    struct answer a = {0};
    gyr_error e = {0};
    unsigned flags = gyr_session_length(s) ? 0 : GYR_ADD_BOS;
    if (gyr_tokenize(gyr_model_tokenizer(c->talk->model), text, strlen(text), flags, &tokens, &e))
        report(&e);
    else
        answer(c, tokens.ids, tokens.count, &a);
    gyr_free(tokens.ids);
    free(a.text);
}

static void greet(const struct chat *c) {
    const gyr_model_info *i = &c->talk->info;
    say_dim("%s (%s, %s parameters); /help for help, Ctrl-D to leave", model_label(c->talk->options->model),
            i->architecture, human_count((double)i->parameters));
    if (c->raw && !c->talk->options->raw)
        say_dim("No chat template: the model continues your text instead of answering.");
}

int chat(struct talk *t) {
    struct chat c = {.talk = t, .messages = json_array(), .raw = t->options->raw || !t->info.has_chat_template};
    struct editor *ed = editor_new();
    if (!c.messages || !ed) {
        say_error("out of memory for the chat; close other programs");
        c.leave = true;
    } else {
        chat_set_system(&c, t->options->system);
        greet(&c);
    }
    while (!c.leave) {
        char *text = NULL;
        enum edit_end end = editor_read(ed, &text);
        if (end == EDIT_LEAVE) c.leave = true;
        if (end == EDIT_LINE && text[strspn(text, " \t\n")] && !chat_command(&c, text))
            (c.raw ? raw_turn : turn)(&c, text);
        free(text);
        if (!print_flush()) c.leave = true;
    }
    editor_free(ed);
    json_decref(c.messages);
    return ed ? GYR_OK : GYR_NO_MEMORY;
}
