#include "train/chats.h"
#include "base/map.h"
#include "format/json.h"
#include "train/csv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

// What came last, as a bit: which roles may follow is a matter of that.
enum { START = 1, SYSTEM = 2, USER = 4, ASSISTANT = 8, CALLS = 16, TOOL = 32 };

static const struct role {
    const char *name, *as; // as: what templates call it
    unsigned is, behind;   // behind which it may come
} roles[] = {{"system", "system", SYSTEM, START},
             {"developer", "system", SYSTEM, START},
             {"user", "user", USER, START | SYSTEM | ASSISTANT},
             {"assistant", "assistant", ASSISTANT, USER | TOOL},
             {"tool", "tool", TOOL, CALLS | TOOL}};

// A conversation being read.
struct reading {
    struct chat chat;
    bool pairs; // of answers, in place of conversations
    bool *learned;
    const char *in;  // the part of the line that is read, with a colon; "" where there is one
    size_t room, at; // the message that is read, from 0
    size_t first;    // of the part
    unsigned last;
    gyr_error *e;
};

static size_t number(const struct reading *r) { return r->at - r->first + 1; }

__attribute__((format(printf, 2, 3))) static bool wrong(const struct reading *r, const char *format, ...) {
    char what[300];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fail(r->e, GYR_MALFORMED, "%s:%zu: %s%s", r->chat.path, r->chat.line, r->in, what);
}

static const char *text_of(const json_t *j) {
    const char *s = json_c_string(j);
    return s ? s : "";
}

// Keys that a member of the file may have: what gyr would ignore is refused, or something else would be learned than
// the file says.
static bool known_keys(const struct reading *r, const json_t *j, const char *const *keys, const char *what) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key)) i++;
        if (!keys[i] && !json_is_null(value))
            return wrong(r, "%s has a key '%.60s', which gyr does not know; take it out", what, key);
    }
    return true;
}

// ---------------------------------------------------------------------------------------------- messages

static const struct role *find_role(const char *name) {
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(roles[i].name, name)) return &roles[i];
    return NULL;
}

// Calls' arguments come as JSON in a string, and templates want the object.
static bool read_calls(const struct reading *r, json_t *message) {
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    size_t i;
    if (!json_is_array(calls) || !json_array_size(calls))
        return wrong(r, "message %zu: tool_calls is no list of calls", number(r));
    json_array_foreach(calls, i, call) {
        json_t *function = json_object_get(call, "function"), *given = json_object_get(function, "arguments");
        if (!*text_of(json_object_get(function, "name")))
            return wrong(r, "message %zu: call %zu has no function.name", number(r), i + 1);
        if (!json_is_string(given)) continue;
        json_t *object = json_parse(json_string_value(given), json_string_length(given), 0, "", NULL);
        if (!object) return wrong(r, "message %zu: the arguments of call %zu are no JSON object", number(r), i + 1);
        if (json_object_set_new(function, "arguments", object)) return fail_memory(r->e, r->chat.path);
    }
    return true;
}

static bool read_content(const struct reading *r, json_t *message, bool calls) {
    json_t *content = json_object_get(message, "content");
    if (json_is_array(content))
        return wrong(r, "message %zu: content is a list of parts, and gyr learns from text; write a string", number(r));
    if (json_text(content).data) return true;
    if (!calls || (content && !json_is_null(content)))
        return wrong(r, "message %zu: content is %s; write a string", number(r), content ? "no string" : "missing");
    return !json_object_set_new(message, "content", json_string("")) || fail_memory(r->e, r->chat.path);
}

static bool read_weight(const struct reading *r, json_t *message, bool assistant, bool *learned) {
    const json_t *weight = json_object_get(message, "weight");
    double is = 1;
    *learned = assistant;
    if (!weight || json_is_null(weight)) return true;
    if (r->pairs) return wrong(r, "message %zu: has a weight, and a pair's messages have none", number(r));
    if (!assistant) return wrong(r, "message %zu: only an assistant's message has a weight", number(r));
    if (!json_real_of(weight, &is) || (is != 0 && is != 1))
        return wrong(r, "message %zu: a weight is 0 or 1", number(r));
    *learned = is != 0;
    return !json_object_del(message, "weight");
}

static const char *last_name(unsigned last) {
    return last == START       ? "at the beginning"
           : last == SYSTEM    ? "behind a system message"
           : last == USER      ? "behind a user's message"
           : last == ASSISTANT ? "behind an assistant's message"
           : last == CALLS     ? "behind an assistant's calls"
                               : "behind a tool's message";
}

static bool read_message(struct reading *r, json_t *message) {
    static const char *const keys[] = {"role",         "content",           "name",    "weight", "tool_calls",
                                       "tool_call_id", "reasoning_content", "refusal", NULL};
    char what[32];
    snprintf(what, sizeof what, "message %zu", number(r));
    if (!json_is_object(message)) return wrong(r, "%s is no object of role and content", what);
    const json_t *named = json_object_get(message, "role");
    const struct role *role = find_role(text_of(named));
    if (!named) return wrong(r, "%s has no role", what);
    if (!role)
        return wrong(r, "%s: '%.40s' is no role; roles are system, user, assistant and tool", what, text_of(named));
    json_t *calls = json_object_get(message, "tool_calls");
    bool assistant = role->is == ASSISTANT, has_calls = calls && !json_is_null(calls);
    if (!known_keys(r, message, keys, what)) return false;
    if (!(role->behind & r->last))
        return wrong(r, "%s: roles are out of order: %s %s", what, role->name, last_name(r->last));
    if (has_calls && !assistant) return wrong(r, "%s: only an assistant's message has tool_calls", what);
    if (has_calls && !read_calls(r, message)) return false;
    r->last = has_calls ? CALLS : role->is;
    if (strcmp(role->as, role->name) && json_object_set_new(message, "role", json_string(role->as)))
        return fail_memory(r->e, r->chat.path);
    return read_content(r, message, has_calls) && read_weight(r, message, assistant, &r->learned[r->at]);
}

static bool make_room(struct reading *r, size_t n) {
    bool *more = n > r->room ? realloc(r->learned, n * sizeof *more) : r->learned;
    if (n > r->room && !more) return fail_memory(r->e, r->chat.path);
    r->learned = more;
    if (n > r->room) r->room = n;
    return true;
}

// The messages of a list from one on.
static bool read_each(struct reading *r, json_t *messages, size_t first) {
    size_t n = json_array_size(messages);
    r->first = first;
    if (!make_room(r, n)) return false;
    for (r->at = first; r->at < n; r->at++)
        if (!read_message(r, json_array_get(messages, r->at))) return false;
    return true;
}

static bool is_list(const struct reading *r, const json_t *messages) {
    if (!messages) return wrong(r, "has no 'messages'");
    return json_array_size(messages) || wrong(r, "'messages' is no list of messages");
}

static bool read_messages(struct reading *r, json_t *messages) {
    size_t assistants = 0, learned = 0;
    if (!is_list(r, messages)) return false;
    r->last = START;
    if (!read_each(r, messages, 0)) return false;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        assistants += !strcmp(text_of(json_object_get(json_array_get(messages, i), "role")), "assistant");
        learned += r->learned[i];
    }
    if (!assistants) return wrong(r, "has no assistant's message, so there is nothing to learn");
    if (!(r->last & (ASSISTANT | CALLS))) return wrong(r, "the last message is not the assistant's");
    if (!learned) return wrong(r, "all of its assistant's messages have weight 0, so there is nothing to learn");
    r->chat.messages = messages;
    return true;
}

// ----------------------------------------------------------------------------------------- conversations

static bool read_tools(struct reading *r, const json_t *all) {
    json_t *tools = json_object_get(all, "tools");
    if (json_is_null(tools)) tools = NULL;
    if (tools && !json_is_array(tools)) return wrong(r, "'tools' is no list of tools");
    r->chat.tools = tools;
    return true;
}

static bool read_chat(struct reading *r, const json_t *all, bool (*fn)(void *, const struct chat *), void *arg) {
    static const char *const keys[] = {"messages", "tools", "parallel_tool_calls", NULL};
    if (json_object_get(all, "preferred_output"))
        return wrong(r, "is a pair of answers, of which one is preferred; take the method dpo for those");
    if (json_object_get(all, "prompt")) return wrong(r, "is a prompt and no chat; write 'messages'");
    if (!read_tools(r, all) || !known_keys(r, all, keys, "the line") ||
        !read_messages(r, json_object_get(all, "messages")))
        return false;
    r->chat.learned = r->learned;
    return fn(arg, &r->chat);
}

// -------------------------------------------------------------------------------------------- pairs of answers

// One of the two, behind the messages that both answer.
static bool read_answer(struct reading *r, json_t *messages, const json_t *given, const char *in) {
    size_t n = json_array_size(messages);
    r->in = in;
    r->first = r->at = n;
    if (json_array_size(given) != 1) return wrong(r, "takes a list of one message, the assistant's");
    if (json_array_append(messages, json_array_get(given, 0))) return fail_memory(r->e, r->chat.path);
    if (!read_each(r, messages, n)) return false;
    if (!(r->last & (ASSISTANT | CALLS))) return wrong(r, "message 1 is not the assistant's");
    for (size_t i = 0; i <= n; i++) r->learned[i] = i == n;
    r->chat.messages = messages;
    r->chat.learned = r->learned;
    return true;
}

static bool read_input(struct reading *r, const json_t *input) {
    static const char *const keys[] = {"messages", "tools", "parallel_tool_calls", NULL};
    json_t *messages = json_object_get(input, "messages");
    r->in = "input: ";
    r->last = START;
    if (!json_is_object(input)) return wrong(r, "takes an object with 'messages'");
    if (!read_tools(r, input) || !known_keys(r, input, keys, "it") || !is_list(r, messages) ||
        !read_each(r, messages, 0))
        return false;
    return r->last & (USER | TOOL) || wrong(r, "the last message is not the user's, and there is nothing to answer");
}

static bool read_pair(struct reading *r, const json_t *all, bool (*fn)(void *, const struct chat *), void *arg) {
    static const char *const keys[] = {"input", "preferred_output", "non_preferred_output", NULL},
                             *const in[] = {"preferred_output: ", "non_preferred_output: "};
    const json_t *input = json_object_get(all, "input");
    bool ok = input || wrong(r, json_object_get(all, "messages")
                                    ? "is a conversation and no pair of answers; take the method supervised for those"
                                    : "has no 'input'");
    ok = ok && known_keys(r, all, keys, "the line") && read_input(r, input);
    unsigned last = r->last;
    for (size_t i = 0; ok && i < 2; i++) {
        json_t *messages = json_copy(json_object_get(input, "messages"));
        r->last = last;
        ok = messages ? read_answer(r, messages, json_object_get(all, keys[1 + i]), in[i])
                      : fail_memory(r->e, r->chat.path);
        ok = ok && fn(arg, &r->chat);
        json_decref(messages);
    }
    r->in = "";
    return ok;
}

// ------------------------------------------------------------------------------------------------- lines

static bool is_blank(const char *s, size_t n) {
    while (n && strchr(" \t\r", s[n - 1])) n--;
    return !n;
}

static bool read_line(struct reading *r, const char *line, size_t n, bool (*fn)(void *, const struct chat *),
                      void *arg) {
    char where[400];
    snprintf(where, sizeof where, "%s:%zu", r->chat.path, r->chat.line);
    json_t *all = json_parse_any(line, n, 128, where, r->e);
    bool ok = all && (json_is_object(all) || wrong(r, "is no JSON object with '%s'", r->pairs ? "input" : "messages"));
    ok = ok && (r->pairs ? read_pair : read_chat)(r, all, fn, arg);
    json_decref(all);
    return ok;
}

// ------------------------------------------------------------------------------------------------ tables

// What a column is, by its name.
static const struct column {
    const char *role, *names[6];
} columns[] = {{"system", {"system", NULL}},
               {"user", {"question", "prompt", "user", "input", "instruction", NULL}},
               {"assistant", {"answer", "completion", "assistant", "output", "response", NULL}}};
enum { COLUMNS = sizeof columns / sizeof *columns };

static bool find_column(struct reading *r, const struct buf *name, size_t at, size_t of[COLUMNS]) {
    for (size_t i = 0; i < COLUMNS; i++)
        for (const char *const *n = columns[i].names; *n; n++)
            if (name->size == strlen(*n) && !strncasecmp(name->data, *n, name->size)) {
                if (of[i] != CSV_FIELDS) return wrong(r, "two columns are the %s's", columns[i].role);
                of[i] = at;
                return true;
            }
    return wrong(r,
                 "the first line names the columns, and '%.*s' is none; take question, answer and, if wanted, system",
                 (int)(name->size < 40 ? name->size : 40), name->size ? name->data : "");
}

static bool read_heads(struct reading *r, struct csv *c, size_t of[COLUMNS]) {
    for (size_t i = 0; i < COLUMNS; i++) of[i] = CSV_FIELDS;
    for (size_t i = 0; i < c->n; i++)
        if (!find_column(r, &c->fields[i], i, of)) return false;
    return (of[1] != CSV_FIELDS && of[2] != CSV_FIELDS) ||
           wrong(r, "the first line names the columns: it needs question and answer");
}

// A row as a conversation.
static json_t *row_chat(struct reading *r, const struct csv *c, const size_t of[COLUMNS]) {
    json_t *messages = json_array(), *all = json_pack("{s:O}", "messages", messages);
    bool ok = all;
    for (size_t i = 0; ok && i < COLUMNS; i++) {
        if (of[i] == CSV_FIELDS) continue;
        const struct buf *field = &c->fields[of[i]];
        json_t *text = json_stringn(field->size ? field->data : "", field->size);
        if (!i && !field->size) { // no system message in this row
            json_decref(text);
            continue;
        }
        if (!field->size || !text)
            ok = wrong(r, text ? "the %s's field is empty" : "the %s's field is no UTF-8", columns[i].role);
        json_t *message = ok ? json_pack("{s:s,s:O}", "role", columns[i].role, "content", text) : NULL;
        if (ok) ok = !json_array_append_new(messages, message) || fail_memory(r->e, r->chat.path);
        json_decref(text);
    }
    json_decref(messages);
    if (ok) return all;
    json_decref(all);
    return NULL;
}

static bool read_row(struct reading *r, const struct csv *c, const size_t of[COLUMNS], size_t n,
                     bool (*fn)(void *, const struct chat *), void *arg) {
    if (c->n != n) return wrong(r, "has %zu fields, and the first line names %zu columns", c->n, n);
    json_t *all = row_chat(r, c, of);
    bool ok = all && read_chat(r, all, fn, arg);
    json_decref(all);
    return ok;
}

static bool read_table(struct reading *r, const struct map *file, bool (*fn)(void *, const struct chat *), void *arg,
                       bool *any) {
    struct csv c;
    size_t of[COLUMNS], n = 0;
    gyr_error none = {0};
    bool ok = true;
    csv_begin(&c, r->chat.path, (const char *)file->data, file->size);
    while (ok && csv_next(&c, &none)) {
        r->chat.line = c.first;
        if (n)
            ok = *any = read_row(r, &c, of, n, fn, arg);
        else
            ok = read_heads(r, &c, of), n = c.n;
    }
    csv_free(&c);
    return ok && (!none.status || fail(r->e, none.status, "%s", none.message));
}

// ------------------------------------------------------------------------------------------------ files

static bool read_lines(struct reading *r, const struct map *file, bool (*fn)(void *, const struct chat *), void *arg,
                       bool *any) {
    bool ok = true;
    for (size_t at = 0; ok && at < file->size;) {
        const char *line = (const char *)file->data + at, *end = memchr(line, '\n', file->size - at);
        size_t n = end ? (size_t)(end - line) : file->size - at;
        at += n + 1;
        r->chat.line++;
        if (is_blank(line, n)) continue;
        *any = true;
        ok = read_line(r, line, n, fn, arg);
    }
    return ok;
}

static bool is_table(const char *path) {
    size_t n = strlen(path);
    return n > 4 && !strcasecmp(path + n - 4, ".csv");
}

bool chats_read(const char *path, bool pairs, bool (*fn)(void *arg, const struct chat *c), void *arg, gyr_error *e) {
    struct map file;
    struct reading r = {.chat = {.path = path}, .pairs = pairs, .in = "", .e = e};
    bool any = false, table = is_table(path);
    if (pairs && table)
        return fail(e, GYR_MALFORMED, "%s: is a table, which has no pairs of answers; write lines of JSON", path);
    if (!map_open(&file, path, e)) return false;
    bool ok = (table ? read_table : read_lines)(&r, &file, fn, arg, &any);
    if (ok && !any)
        ok = fail(e, GYR_MALFORMED, "%s: has no %s; write one on each line, %s", path,
                  pairs ? "pair of answers" : "conversation",
                  table   ? "behind one that names the columns"
                  : pairs ? "{\"input\": {...}, \"preferred_output\": [...], \"non_preferred_output\": [...]}"
                          : "{\"messages\": [...]}");
    free(r.learned);
    map_close(&file);
    return ok;
}
