#include "edit.h"

#include "output.h"
#include "signals.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

struct editor {
    EditLine *el;
    History *history;
    char path[PATH_MAX]; // of the history file; "" if there is no place for one
    const char *prompt;
    bool had_text; // when Ctrl-C came
    int presses;   // of Ctrl-C in a row
};

static char *prompt_of(EditLine *el) {
    struct editor *ed;
    el_get(el, EL_CLIENTDATA, &ed);
    return (char *)ed->prompt;
}

// Where the cursor is below the line's first row, once a terminal of another width has wrapped the line anew.
static int rows_above(EditLine *el, const char *prompt) {
    const LineInfoW *line = el_wline(el);
    int cells = (int)strlen(prompt), columns = err_columns();
    for (const wchar_t *c = line->buffer; c < line->cursor; c++) {
        int width = wcwidth(*c);
        cells += width > 0 ? width : 0;
    }
    return cells / columns;
}

// The line again, in its place. After Ctrl-Z the shell has left the terminal in its own mode, which libedit does not
// know.
static void redraw(EditLine *el, const char *prompt) {
    char keys[32];
    int up = rows_above(el, prompt);
    int n = up ? snprintf(keys, sizeof keys, "\r\033[%dA\033[J", up) : snprintf(keys, sizeof keys, "\r\033[J");
    print_raw(keys, (size_t)n);
    print_flush();
    el_set(el, EL_PREP_TERM, 0);
    el_set(el, EL_PREP_TERM, 1);
    el_resize(el);
    el_set(el, EL_REFRESH);
}

// Moves the cursor behind the line, so that what is printed next does not overwrite it. True if there is a line.
static bool go_to_end(EditLine *el) {
    const LineInfoW *line = el_wline(el);
    el_cursor(el, (int)(line->lastchar - line->cursor));
    el_set(el, EL_REFRESH);
    return line->lastchar != line->buffer;
}

// libedit's own reader swallows the first interruption; here Ctrl-C ends the line and a new window size redraws it.
static int read_char(EditLine *el, wchar_t *out) {
    struct editor *ed;
    mbstate_t state = {0};
    el_get(el, EL_CLIENTDATA, &ed);
    for (;;) {
        char byte;
        ssize_t n = interrupted() ? -1 : read(STDIN_FILENO, &byte, 1);
        if (interrupted()) {
            ed->had_text = go_to_end(el);
            return -1;
        }
        if (n < 0 && errno == EINTR) {
            if (terminal_changed()) redraw(el, ed->prompt);
            continue;
        }
        if (n <= 0) return (int)n;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-2) continue;
        if (used == (size_t)-1) *out = 0xfffd;
        return 1;
    }
}

static bool ends_with(const wchar_t *text, size_t n, const wchar_t *end) {
    size_t m = wcslen(end);
    return n >= m && !wmemcmp(text + n - m, end, m);
}

// A terminal in bracketed-paste mode frames what is pasted, so that its line ends do not send the message
// (https://invisible-island.net/xterm/xterm-paste64.html).
static void frame_pastes(bool on) {
    const char *term = getenv("TERM");
    if (!term || !strcmp(term, "dumb")) return;
    print_raw(on ? "\033[?2004h" : "\033[?2004l", 8);
    print_flush();
}

static unsigned char paste(EditLine *el, int c) {
    static const wchar_t end[] = L"\033[201~";
    size_t n = 0, room = 0;
    wchar_t *text = NULL, key;
    (void)c;
    while (!(text && ends_with(text, n, end)) && el_wgetc(el, &key) == 1) {
        if (n + 2 > room) {
            wchar_t *more = realloc(text, (room = room ? room * 2 : 256) * sizeof *text);
            if (!more) break;
            text = more;
        }
        text[n++] = key == '\r' ? '\n' : key;
        text[n] = 0;
    }
    if (text && ends_with(text, n, end)) {
        text[n - wcslen(end)] = 0;
        el_winsertstr(el, text);
    }
    free(text);
    return CC_REFRESH;
}

// $XDG_STATE_HOME/gyr/history (https://specifications.freedesktop.org/basedir-spec), folders made as needed.
static void find_history(struct editor *ed) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (state && state[0] == '/')
        n = snprintf(ed->path, sizeof ed->path, "%s/gyr/history", state);
    else if (home && *home)
        n = snprintf(ed->path, sizeof ed->path, "%s/.local/state/gyr/history", home);
    if (n < 0 || (size_t)n >= sizeof ed->path) ed->path[0] = 0;
    for (char *p = ed->path; *p && (p = strchr(p + 1, '/'));) {
        *p = 0;
        mkdir(ed->path, 0700);
        *p = '/';
    }
}

struct editor *editor_new(void) {
    struct editor *ed = calloc(1, sizeof *ed);
    if (!ed) return NULL;
    HistEvent event;
    ed->el = el_init("gyr", stdin, stdout, stderr);
    ed->history = history_init();
    if (!ed->el || !ed->history) {
        editor_free(ed);
        return NULL;
    }
    el_set(ed->el, EL_CLIENTDATA, ed);
    el_set(ed->el, EL_PROMPT, prompt_of);
    el_set(ed->el, EL_EDITOR, "emacs");
    el_set(ed->el, EL_HIST, history, ed->history);
    el_wset(ed->el, EL_GETCFN, read_char);
    el_wset(ed->el, EL_ADDFN, L"gyr-paste", L"Insert pasted text", paste);
    el_set(ed->el, EL_BIND, "\033[200~", "gyr-paste", NULL);
    el_set(ed->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(ed->el, NULL);
    history(ed->history, &event, H_SETSIZE, 1000);
    history(ed->history, &event, H_SETUNIQUE, 1);
    find_history(ed);
    if (ed->path[0]) history(ed->history, &event, H_LOAD, ed->path);
    frame_pastes(true);
    return ed;
}

void editor_free(struct editor *ed) {
    if (!ed) return;
    if (ed->el && ed->history) frame_pastes(false);
    if (ed->history) history_end(ed->history);
    if (ed->el) el_end(ed->el);
    free(ed);
}

static void remember(struct editor *ed, const char *text) {
    HistEvent event;
    if (!*text) return;
    history(ed->history, &event, H_ENTER, text);
    mode_t mask = umask(077);
    if (ed->path[0]) history(ed->history, &event, H_SAVE, ed->path);
    umask(mask);
}

// One line without its end; NULL when Ctrl-C or Ctrl-D ended it.
static const char *read_line(struct editor *ed, const char *prompt, size_t *size) {
    int n = 0;
    ed->prompt = prompt;
    if (terminal_changed()) el_resize(ed->el);
    el_set(ed->el, EL_PREP_TERM, 1); // libedit does so after the prompt, and what is typed between the two is lost
    const char *line = el_gets(ed->el, &n);
    if (!line || n <= 0) return NULL;
    *size = (size_t)n - (line[n - 1] == '\n');
    return line;
}

static bool quotes(const char *line, size_t size) { return size >= 3 && !memcmp(line, "\"\"\"", 3); }

// Adds lines to `f` until the message is whole. False when the user gave up.
static bool read_lines(struct editor *ed, FILE *f) {
    size_t size;
    const char *line = read_line(ed, "> ", &size);
    if (!line) return false;
    bool quoted = quotes(line, size);
    if (quoted) {
        line += 3;
        size -= 3;
    }
    for (;;) {
        bool closed = quoted && size >= 3 && quotes(line + size - 3, 3);
        bool more = quoted ? !closed : size && line[size - 1] == '\\';
        fwrite(line, 1, size - (closed ? 3 : !quoted && more), f);
        if (!more) return true;
        if (size || !quoted || ftell(f)) putc('\n', f);
        line = read_line(ed, ". ", &size);
        if (!line) return false;
    }
}

static enum edit_end gave_up(struct editor *ed) {
    if (!interrupted()) {
        print_raw("\n", 1);
        return EDIT_LEAVE;
    }
    interrupted_clear();
    ed->presses = ed->had_text ? 1 : ed->presses + 1;
    print_raw("^C\n", 3);
    print_flush();
    if (ed->presses >= 2) return EDIT_LEAVE;
    if (!ed->had_text) say_dim("(Ctrl-C again or Ctrl-D leaves)");
    return EDIT_CLEARED;
}

enum edit_end editor_read(struct editor *ed, char **text) {
    size_t size = 0;
    *text = NULL;
    FILE *f = open_memstream(text, &size);
    bool whole = f && read_lines(ed, f);
    if (f) fclose(f);
    if (whole && *text) {
        ed->presses = 0;
        remember(ed, *text);
        return EDIT_LINE;
    }
    free(*text);
    *text = NULL;
    return gave_up(ed);
}
