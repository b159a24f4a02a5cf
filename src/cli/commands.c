// The commands of the chat: lines that begin with a slash.
#include "chat.h"
#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void help(struct chat *c, const char *rest);

static void clear(struct chat *c, const char *rest) {
    (void)rest;
    const char *system = chat_system(c);
    char *kept = system ? strdup(system) : NULL;
    json_array_clear(c->messages);
    chat_set_system(c, kept);
    free(kept);
    gyr_session_truncate(c->talk->session, 0);
    say_dim("(a new conversation)");
}

static void set_system(struct chat *c, const char *rest) {
    if (c->raw) {
        say_error("/system: without a chat template there is no system message");
        return;
    }
    chat_set_system(c, rest);
    say_dim(*rest ? "(set; it holds from the next message on)" : "(no system message)");
}

static const char *const settable[] = {
    "temperature",       "top-k",      "top-p", "min-p", "repeat-penalty", "presence-penalty",
    "frequency-penalty", "max-tokens", "seed",  NULL};

static void show_settings(struct chat *c) {
    gyr_sampling s;
    sampling_of(c->talk, &s);
    char most[32] = "none";
    if (c->talk->options->max_tokens) snprintf(most, sizeof most, "%zu", (size_t)c->talk->options->max_tokens);
    say_dim("temperature %g, top-k %u, top-p %g, min-p %g, repeat-penalty %g,", s.temperature, s.top_k, s.top_p,
            s.min_p, s.repetition_penalty);
    say_dim("presence-penalty %g, frequency-penalty %g, max-tokens %s, seed %llu", s.presence_penalty,
            s.frequency_penalty, most, (unsigned long long)s.seed);
}

// The setting that `name` spells or alone begins with; NULL if there is none.
static const char *find_setting(const char *name) {
    const char *found = NULL;
    size_t n = strlen(name), count = 0;
    for (size_t i = 0; settable[i]; i++) {
        if (strncmp(settable[i], name, n)) continue;
        if (!settable[i][n]) return settable[i];
        found = settable[i];
        count++;
    }
    return count == 1 ? found : NULL;
}

static void set(struct chat *c, const char *rest) {
    char word[32] = "";
    size_t n = strcspn(rest, " \t=");
    const char *value = rest + n + strspn(rest + n, " \t=");
    snprintf(word, sizeof word, "%.*s", (int)n, rest);
    if (!*word) {
        show_settings(c);
        return;
    }
    const char *name = find_setting(word);
    if (!name) {
        const char *near = did_you_mean(word, settable);
        say_error("/set: no such setting: %s; %s%s%s", word, near ? "did you mean " : "/set lists them",
                  near ? near : "", near ? "?" : "");
    } else if (!*value) {
        say_error("/set: %s needs a value, such as: /set %s 1", name, name);
    } else if (options_set(&run_syntax, name, value, c->talk->options)) {
        show_settings(c);
    }
}

static bool write_messages(const struct chat *c, FILE *f, bool json) {
    if (json) return !json_dumpf(c->messages, f, JSON_INDENT(2)) && putc('\n', f) != EOF;
    size_t i;
    json_t *m;
    json_array_foreach(c->messages, i, m) {
        const char *role = json_string_value(json_object_get(m, "role"));
        const json_t *text = json_object_get(m, "content");
        if (i) fputs("\n\n", f);
        if (role && strcmp(role, "assistant")) fputs(strcmp(role, "user") ? "(system) " : "> ", f);
        fwrite(json_string_value(text), 1, json_string_length(text), f);
    }
    return putc('\n', f) != EOF;
}

static void save(struct chat *c, const char *rest) {
    if (!*rest) {
        say_error("/save: needs a file name, such as poem.txt or chat.json");
        return;
    }
    size_t n = strlen(rest);
    FILE *f = fopen(rest, "wx");
    bool ok = f && write_messages(c, f, n > 5 && !strcmp(rest + n - 5, ".json"));
    if (f && fclose(f)) ok = false;
    if (ok)
        say_dim("(saved %zu messages to %s)", json_array_size(c->messages), rest);
    else
        say_error("%s: %s%s", rest, strerror(errno), errno == EEXIST ? "; choose another name" : "");
}

static void quit(struct chat *c, const char *rest) {
    (void)rest;
    c->leave = true;
}

static const struct command {
    const char *name, *value, *help;
    void (*run)(struct chat *c, const char *rest);
} commands[] = {
    {"help", "", "this list", help},
    {"clear", "", "forget the conversation", clear},
    {"system", "TEXT", "instructions for the model; none: take them away", set_system},
    {"set", "NAME VALUE", "change temperature, top-p, seed, ...; none: show them", set},
    {"save", "FILE", "write the conversation as text, or as JSON to *.json", save},
    {"quit", "", "leave (so do Ctrl-D, and Ctrl-C twice)", quit},
    {"exit", NULL, NULL, quit},
    {"bye", NULL, NULL, quit},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(struct chat *c, const char *rest) {
    (void)c;
    (void)rest;
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            print("/%s %-*s %s\n", commands[i].name, 16 - (int)strlen(commands[i].name), commands[i].value,
                  commands[i].help);
    print("\"\"\" begins and ends a message of several lines; so does \\ at the end of a line.\n"
          "Ctrl-C stops the answer. Up and down walk the history, Ctrl-R searches it.\n");
}

bool chat_command(struct chat *c, const char *line) {
    if (line[0] != '/' || !isalpha((unsigned char)line[1])) return false;
    const char *name = line + 1, *names[COMMANDS + 1] = {0};
    size_t n = 0;
    while (isalpha((unsigned char)name[n])) n++;
    if (name[n] && !isspace((unsigned char)name[n])) return false;
    char *rest = strdup(name + n + strspn(name + n, " \t\n"));
    for (size_t end = rest ? strlen(rest) : 0; end && isspace((unsigned char)rest[end - 1]); end--) rest[end - 1] = 0;
    size_t i = 0;
    for (; i < COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strlen(commands[i].name) == n && !memcmp(commands[i].name, name, n)) break;
    }
    if (rest && i < COMMANDS) {
        commands[i].run(c, rest);
    } else {
        char word[32];
        snprintf(word, sizeof word, "%.*s", (int)(n < 31 ? n : 31), name);
        const char *near = did_you_mean(word, names);
        say_error("/%s: no such command; %s%s%s", word, near ? "did you mean /" : "/help lists them", near ? near : "",
                  near ? "?" : "");
    }
    free(rest);
    return true;
}
