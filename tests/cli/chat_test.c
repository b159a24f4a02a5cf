// The chat as a person sees it: the program on a terminal of its own, keys in, screen out.
//
// usage: chat_test GYR
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { PATIENCE = 60 }; // seconds; a sanitized build on a busy machine is slow

static const char *gyr;
static char home[] = "/tmp/gyr-chat-XXXXXX";

// A program on a terminal, and all that it has written to it.
struct screen {
    int fd;
    pid_t pid;
    char *text;
    size_t size, seen; // `seen`: up to where expect() has read
};

static void start(struct screen *s, const char *const *arguments, const char *no_color) {
    struct winsize window = {.ws_row = 24, .ws_col = 80};
    *s = (struct screen){.fd = -1};
    s->pid = forkpty(&s->fd, NULL, NULL, &window);
    if (s->pid) return;
    const char *words[24] = {gyr};
    for (int i = 0; arguments[i] && i < 22; i++) words[i + 1] = arguments[i];
    setenv("XDG_STATE_HOME", home, 1);
    setenv("HOME", home, 1);
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C", 1); // a bare machine; the program must know UTF-8 all the same
    unsetenv("GYR_MODEL");
    unsetenv("NO_COLOR");
    if (no_color) setenv("NO_COLOR", no_color, 1);
    execv(gyr, (char *const *)words);
    _exit(127);
}

// Reads what is there within so many milliseconds. False at the end.
static bool more(struct screen *s, int wait) {
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    if (poll(&p, 1, wait) <= 0) return true;
    char chunk[4096];
    ssize_t n = read(s->fd, chunk, sizeof chunk);
    if (n <= 0) return false;
    char *text = realloc(s->text, s->size + (size_t)n + 1);
    if (!text) return false;
    s->text = text;
    memcpy(text + s->size, chunk, (size_t)n);
    s->size += (size_t)n;
    text[s->size] = 0;
    return true;
}

// Waits until the screen says `what` after all that was expected before. The place, or NULL if it never comes.
static const char *expect(struct screen *s, const char *what) {
    time_t end = time(NULL) + PATIENCE;
    for (bool on = true;;) {
        const char *at = s->text ? memmem(s->text + s->seen, s->size - s->seen, what, strlen(what)) : NULL;
        if (at) {
            s->seen = (size_t)(at - s->text) + strlen(what);
            return at;
        }
        if (!on || time(NULL) > end) break;
        on = more(s, 100);
    }
    printf("  the screen never says \"%s\"; it says:\n%s\n", what, s->text ? s->text + s->seen : "");
    return NULL;
}

static void type(struct screen *s, const char *keys) {
    size_t n = strlen(keys);
    if (write(s->fd, keys, n) != (ssize_t)n) printf("  the terminal takes no keys: %s\n", strerror(errno));
}

// The exit status, or -1 when a signal ended it.
static int finish(struct screen *s) {
    int status = 0;
    time_t end = time(NULL) + PATIENCE;
    while (time(NULL) <= end && more(s, 100)) continue;
    if (time(NULL) > end) kill(s->pid, SIGKILL);
    waitpid(s->pid, &status, 0);
    close(s->fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// No character is ever cut or broken: the whole stream is UTF-8 (RFC 3629).
static bool is_utf8(const char *text, size_t size) {
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        int n = s[i] < 0x80                   ? 1
                : s[i] >= 0xc2 && s[i] < 0xe0 ? 2
                : (s[i] & 0xf0) == 0xe0       ? 3
                : s[i] >= 0xf0 && s[i] < 0xf5 ? 4
                                              : 0;
        if (!n || i + (size_t)n > size) return false;
        for (int k = 1; k < n; k++)
            if ((s[i + (size_t)k] & 0xc0) != 0x80) return false;
        i += (size_t)n;
    }
    return true;
}

static void done(struct screen *s) { free(s->text); }

static const char *const short_answers[] = {"run", "-n", "12", "--ignore-end", NULL};

static void three_turns_in_three_scripts(void) {
    struct screen s;
    start(&s, short_answers, NULL);
    REQUIRE(expect(&s, "Ctrl-D to leave"));
    static const char *const says[] = {"Write a poem about the sea", "\xe5\x86\x99\xe4\xb8\x80\xe9\xa6\x96\xe8\xaf\x97",
                                       "\xf0\x9f\x8c\x89 and \xc3\xa9toile?"};
    for (int i = 0; i < 3; i++) {
        CHECK(expect(&s, "> "));
        type(&s, says[i]);
        CHECK(expect(&s, says[i])); // what is typed is seen, as it is
        type(&s, "\r");
        CHECK(expect(&s, "; 12 answer tokens, "));
        CHECK(expect(&s, "\033[0m\r\n")); // the line is dim
    }
    CHECK(expect(&s, "> "));
    type(&s, "\004");
    CHECK_INT(finish(&s), 0);
    CHECK(is_utf8(s.text, s.size));
    done(&s);
}

// A second turn computes its own text and what the answer may have been tokenized differently; never all of the talk.
static void turns_are_not_computed_twice(void) {
    struct screen s;
    start(&s, short_answers, NULL);
    REQUIRE(expect(&s, "> "));
    type(&s,
         "Write a poem about the sea, the ships, the sailors, the harbour, the storm and the quiet of the evening\r");
    REQUIRE(expect(&s, " prompt tokens, "));
    CHECK(expect(&s, "> "));
    type(&s, "More\r");
    const char *at = expect(&s, " prompt tokens, ");
    REQUIRE(at);
    while (at > s.text && at[-1] >= '0' && at[-1] <= '9') at--;
    CHECK(strtol(at, NULL, 10) <= 12 + 12);
    REQUIRE(expect(&s, "> ")); // before it the terminal is in its own mode, where Ctrl-D is not a key
    type(&s, "\004");
    CHECK_INT(finish(&s), 0);
    done(&s);
}

static void ctrl_c_stops_the_answer_not_the_chat(void) {
    struct screen s;
    static const char *const endless[] = {"run", "--ignore-end", NULL};
    start(&s, endless, NULL);
    REQUIRE(expect(&s, "> "));
    type(&s, "Write\r");
    CHECK(expect(&s, "Write"));
    CHECK(expect(&s, "\n"));
    size_t before = s.size;
    for (int i = 0; i < PATIENCE * 10 && s.size < before + 20; i++) more(&s, 100);
    type(&s, "\003");
    const char *at = expect(&s, " answer token");
    REQUIRE(at);
    while (at > s.text && at[-1] >= '0' && at[-1] <= '9') at--;
    CHECK(strtol(at, NULL, 10) > 0);
    CHECK(strtol(at, NULL, 10) < 900);
    CHECK(expect(&s, "> "));
    type(&s, "/quit\r");
    CHECK_INT(finish(&s), 0);
    done(&s);
}

static void ctrl_c_clears_the_line_and_twice_leaves(void) {
    struct screen s;
    start(&s, short_answers, NULL);
    REQUIRE(expect(&s, "> "));
    type(&s, "never sent");
    CHECK(expect(&s, "sent"));
    type(&s, "\003");
    CHECK(expect(&s, "^C\r\n"));
    CHECK(expect(&s, "> "));
    type(&s, "/set\r");
    CHECK(expect(&s, "temperature "));
    CHECK(expect(&s, "seed 0"));
    CHECK(expect(&s, "> "));
    type(&s, "\003");
    CHECK(expect(&s, "(Ctrl-C again or Ctrl-D leaves)"));
    CHECK(expect(&s, "> "));
    type(&s, "\003");
    CHECK_INT(finish(&s), 0);
    CHECK(!memmem(s.text, s.size, "answer token", 12));
    done(&s);
}

static void commands_do_what_they_say(void) {
    struct screen s;
    char path[256], line[512];
    snprintf(path, sizeof path, "%s/talk.txt", home);
    start(&s, short_answers, NULL);
    REQUIRE(expect(&s, "> "));
    type(&s, "/hlep\r");
    CHECK(expect(&s, "gyr: /hlep: no such command; did you mean /help?"));
    type(&s, "/help\r");
    CHECK(expect(&s, "/save FILE"));
    type(&s, "/set temp 0\r");
    CHECK(expect(&s, "temperature 0, top-k"));
    type(&s, "/set top-p 3\r");
    CHECK(expect(&s, "gyr: --top-p: \"3\" is not a number from 0 to 1"));
    type(&s, "/set tempo 3\r");
    CHECK(expect(&s, "gyr: /set: no such setting: tempo; /set lists them"));
    type(&s, "/system Speak like the sea\r");
    CHECK(expect(&s, "(set; it holds from the next message on)"));
    type(&s, "\"\"\"two\rlines\"\"\"\r");
    CHECK(expect(&s, " prompt tokens, "));
    snprintf(line, sizeof line, "/save %s\r", path);
    type(&s, line);
    CHECK(expect(&s, "(saved 3 messages to "));
    type(&s, line);
    CHECK(expect(&s, "File exists; choose another name"));
    type(&s, "/clear\r");
    CHECK(expect(&s, "(a new conversation)"));
    type(&s, "/quit\r");
    CHECK_INT(finish(&s), 0);
    FILE *f = fopen(path, "r");
    REQUIRE(f);
    size_t n = fread(line, 1, sizeof line - 1, f);
    line[n] = 0;
    fclose(f);
    CHECK(!strncmp(line, "(system) Speak like the sea\n\n> two\nlines\n\n", 42));
    done(&s);
}

static void history_is_kept_for_its_owner(void) {
    struct screen s;
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/gyr/history", home);
    start(&s, short_answers, NULL);
    REQUIRE(expect(&s, "> "));
    type(&s, "remember \xe6\xb5\xb7\r");
    CHECK(expect(&s, " answer tokens, "));
    REQUIRE(expect(&s, "> "));
    type(&s, "\004");
    CHECK_INT(finish(&s), 0);
    done(&s);
    REQUIRE(!stat(path, &st));
    CHECK_INT(st.st_mode & 0777, 0600);
    start(&s, short_answers, NULL);
    REQUIRE(expect(&s, "> "));
    type(&s, "\033[A");
    CHECK(expect(&s, "remember \xe6\xb5\xb7"));
    type(&s, "\003");
    CHECK(expect(&s, "^C\r\n"));
    CHECK(expect(&s, "> "));
    type(&s, "\003");
    CHECK_INT(finish(&s), 0);
    done(&s);
}

// What is pasted (https://invisible-island.net/xterm/xterm-paste64.html) is one message, however many lines it has.
static void pasted_lines_stay_together(void) {
    struct screen s;
    start(&s, short_answers, NULL);
    CHECK(expect(&s, "\033[?2004h"));
    REQUIRE(expect(&s, "> "));
    type(&s, "\033[200~one\rtwo\033[201~");
    CHECK(expect(&s, "two"));
    CHECK(!memmem(s.text, s.size, "answer token", 12));
    type(&s, "\r");
    CHECK(expect(&s, " answer tokens, "));
    REQUIRE(expect(&s, "> "));
    type(&s, "\004");
    CHECK_INT(finish(&s), 0);
    CHECK(memmem(s.text, s.size, "\033[?2004l", 8));
    done(&s);
}

static void ctrl_c_ends_a_single_answer_with_130(void) {
    struct screen s;
    static const char *const endless[] = {"run", "--ignore-end", "Write", NULL};
    start(&s, endless, NULL);
    for (int i = 0; i < PATIENCE * 10 && s.size < 20; i++) more(&s, 100);
    type(&s, "\003");
    CHECK_INT(finish(&s), 130);
    CHECK(memmem(s.text, s.size, " answer token", 13));
    done(&s);
}

static void no_color_means_none(void) {
    struct screen s;
    static const char *const one[] = {"run", "-n", "5", "Write", NULL};
    start(&s, one, "1");
    CHECK_INT(finish(&s), 0);
    CHECK(memmem(s.text, s.size, " answer tokens, ", 16));
    CHECK(!memchr(s.text, '\033', s.size));
    done(&s);
}

// A model that is made to say ESC [ 3 1 m does not colour the terminal.
static void a_model_cannot_steer_the_terminal(void) {
    struct screen s;
    char id[32] = "", bias[64], command[1024];
    snprintf(command, sizeof command, "printf '\\033' | '%s' tokenize", gyr);
    FILE *f = popen(command, "r");
    REQUIRE(f && fgets(id, sizeof id, f));
    pclose(f);
    id[strcspn(id, "\n")] = 0;
    snprintf(bias, sizeof bias, "%s:1000", id);
    const char *const words[] = {"run", "-n", "3", "--logit-bias", bias, "--temperature", "0", "hi", NULL};
    start(&s, words, "1");
    CHECK_INT(finish(&s), 0);
    CHECK(!memchr(s.text, '\033', s.size));
    CHECK(memmem(s.text, s.size, "\xe2\x90\x9b", 3));
    done(&s);
}

int main(int argc, char **argv) {
    if (argc < 2 || !mkdtemp(home)) return 2;
    gyr = argv[1];
    signal(SIGPIPE, SIG_IGN);
    RUN(three_turns_in_three_scripts);
    RUN(turns_are_not_computed_twice);
    RUN(ctrl_c_stops_the_answer_not_the_chat);
    RUN(ctrl_c_clears_the_line_and_twice_leaves);
    RUN(commands_do_what_they_say);
    RUN(history_is_kept_for_its_owner);
    RUN(pasted_lines_stay_together);
    RUN(ctrl_c_ends_a_single_answer_with_130);
    RUN(no_color_means_none);
    RUN(a_model_cannot_steer_the_terminal);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", home);
    if (system(command)) printf("  %s is left\n", home);
    return test_end();
}
