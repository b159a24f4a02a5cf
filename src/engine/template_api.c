// Chat templates, as the public interface offers them.
#include "engine/engine.h"
#include "format/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// Templates of a model beside its plain one go by a name; this one is for conversations with tools.
static const char for_tools[] = "tool_use";

struct gyr_template {
    struct checkpoint *checkpoint;       // owned, when the template was opened alone
    const struct vocab *vocab;           // whose bos_token and so on it prints; NULL: none
    struct chat_template *plain, *tools; // tools: NULL if there is no other
    const char *where;
};

static const char *named(const struct vocab *v, const char *name) {
    if (!strcmp(name, "default")) return v->chat_template;
    for (size_t i = 0; i < v->n_templates; i++)
        if (!strcmp(v->templates[i].name, name)) return v->templates[i].source;
    return NULL;
}

static struct gyr_template *no_template(const struct vocab *v, const char *where, const char *name, gyr_error *e) {
    if (!name)
        return fail_null(e, GYR_UNSUPPORTED, "%s: the model has no chat template; give it plain text to continue",
                         where);
    struct buf known = {0};
    if (v->chat_template) buf_puts(&known, "default");
    for (size_t i = 0; i < v->n_templates; i++)
        buf_printf(&known, "%s%s", known.size ? ", " : "", v->templates[i].name);
    fail(e, GYR_USAGE, "%s: has no chat template called %s; it has %s", where, name,
         known.size && !known.failed ? known.data : "none");
    buf_free(&known);
    return NULL;
}

struct gyr_template *template_of(const struct vocab *v, const char *where, const char *name, gyr_error *e) {
    const char *plain = named(v, name ? name : "default"), *tools = name ? NULL : named(v, for_tools);
    if (!plain && !tools) return no_template(v, where, name, e);
    struct gyr_template *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, where), NULL;
    t->vocab = v;
    t->where = where;
    bool ok = !plain || (t->plain = template_parse(plain, strlen(plain), where, e));
    if (ok && tools) ok = (t->tools = template_parse(tools, strlen(tools), where, e));
    if (ok) return t;
    gyr_template_close(t);
    return NULL;
}

gyr_template *gyr_template_open(const char *path, const char *name, gyr_error *e) {
    struct checkpoint *c = checkpoint_open(path, e);
    gyr_template *t = c ? template_of(&c->vocab, c->path, name, e) : NULL;
    if (t)
        t->checkpoint = c;
    else
        checkpoint_close(c);
    return t;
}

gyr_template *gyr_template_parse(const char *name, const char *source, size_t size, gyr_error *e) {
    gyr_template *t = calloc(1, sizeof *t);
    if (!t) return fail_memory(e, name), NULL;
    t->where = "template";
    if ((t->plain = template_parse(source, size, name, e))) return t;
    gyr_template_close(t);
    return NULL;
}

void gyr_template_close(gyr_template *t) {
    if (!t) return;
    template_free(t->plain);
    template_free(t->tools);
    checkpoint_close(t->checkpoint);
    free(t);
}

const gyr_template *gyr_model_template(const gyr_model *m) { return m->chat; }

// ---- variables

static bool put(json_t *variables, const char *name, json_t *value) {
    if (!json_object_get(variables, name)) return !json_object_set_new(variables, name, value);
    json_decref(value);
    return true;
}

// The special tokens' own spellings, for templates that print bos_token or eos_token.
static bool put_tokens(json_t *variables, const struct vocab *v) {
    const struct {
        const char *name;
        int32_t id;
    } tokens[] = {{"bos_token", v->bos}, {"eos_token", v->eos}, {"unk_token", v->unk}, {"pad_token", v->pad}};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        if (tokens[i].id < 0 || (size_t)tokens[i].id >= v->n) continue;
        struct text s = v->tokens[tokens[i].id];
        if (!put(variables, tokens[i].name, json_stringn(s.data, s.size))) return false;
    }
    return true;
}

// What a model thought goes by three names; templates look under the first two.
static json_t *thought_of(const json_t *message) {
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *j = json_object_get(message, names[i]);
        if (j && !json_is_null(j)) return j;
    }
    return NULL;
}

// As transformers hands a message on: without what is null, and the thought under both names.
static json_t *tidy_message(const json_t *message) {
    json_t *tidy = json_object(), *thought = thought_of(message), *value;
    const char *key;
    bool ok = tidy && (!thought || !json_object_set(tidy, "thinking", thought));
    json_object_foreach((json_t *)(uintptr_t)message, key, value) {
        if (!json_is_null(value)) ok = ok && !json_object_set_nocheck(tidy, key, value);
    }
    ok = ok && (!thought || !json_object_set(tidy, "reasoning_content", thought));
    if (ok) return tidy;
    json_decref(tidy);
    return NULL;
}

static bool tidy_messages(json_t *variables) {
    json_t *list = json_object_get(variables, "messages"), *tidy;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!json_is_object(json_array_get(list, i))) continue;
        if (!(tidy = tidy_message(json_array_get(list, i))) || json_array_set_new(list, i, tidy)) return false;
    }
    return true;
}

// Anyone may put an object where the messages stand: then it has all the variables.
static json_t *read_variables(const gyr_template *t, const char *text, size_t size, bool generate, gyr_error *e) {
    json_t *all = json_parse_talk(text, size, e);
    if (!all) return NULL;
    if (!json_is_array(all) && !json_is_object(all)) {
        json_decref(all);
        return fail_null(e, GYR_USAGE, "messages: neither a list of messages nor an object with one");
    }
    if (json_is_array(all)) all = json_pack("{s:o}", "messages", all);
    if (all && tidy_messages(all) && put(all, "add_generation_prompt", json_boolean(generate)) &&
        (!t->vocab || put_tokens(all, t->vocab)))
        return all;
    json_decref(all);
    return fail_memory(e, "messages"), NULL;
}

// transformers sets tools and documents to none where they are not given, and what templates ask about them is written
// for that. A few walk over them unasked, which goes well only where they are undefined.
static bool render_any(const struct chat_template *chat, json_t *variables, struct buf *text, struct buf *user,
                       gyr_error *e) {
    size_t was = text->size, users = user ? user->size : 0;
    json_t *with = json_copy(variables);
    bool ok = with && put(with, "tools", json_null()) && put(with, "documents", json_null());
    ok = ok ? template_render(chat, with, text, user, e) : fail_memory(e, "messages");
    bool added = with && json_object_size(with) > json_object_size(variables);
    json_decref(with);
    if (ok || !added) return ok;
    text->size = was;
    if (user) user->size = users;
    return template_render(chat, variables, text, user, NULL);
}

// ---- a last message that the answer goes on from ("continue_final_message", as transformers calls it)

struct span {
    size_t from, to;
};

// Without blanks around it: templates trim.
static struct text trimmed(const json_t *content) {
    static const char blanks[] = " \n\r\t";
    struct text s = {json_string_value(content), json_string_length(content)};
    while (s.size && strchr(blanks, s.data[0])) s.data++, s.size--;
    while (s.size && strchr(blanks, s.data[s.size - 1])) s.size--;
    return s;
}

// The last message's content, to be gone on from; NULL: it is not. One that says nothing is left out, and the answer
// begins as always.
static const json_t *final_message(json_t *variables) {
    json_t *list = json_object_get(variables, "messages");
    size_t n = json_array_size(list);
    const json_t *last = n ? json_array_get(list, n - 1) : NULL, *content = json_object_get(last, "content");
    if (!json_is_true(json_object_get(variables, "continue_final_message")) || !n) return NULL;
    bool begun = trimmed(content).size || json_object_get(last, "reasoning_content");
    json_object_set_new(variables, "add_generation_prompt", json_boolean(!begun));
    if (begun) return content;
    json_array_remove(list, n - 1);
    return NULL;
}

// Where the content ends in what was printed after `was`: in the last run of the messages' own text that has all of it.
// 0: nowhere.
static size_t end_of(const struct buf *text, const struct buf *user, size_t users, const json_t *content) {
    struct text s = trimmed(content);
    const struct span *spans = (const struct span *)(const void *)user->data;
    for (size_t i = user->size / sizeof *spans; s.size && i-- > users / sizeof *spans;) {
        size_t at = spans[i].to;
        while (at >= spans[i].from + s.size && memcmp(text->data + at - s.size, s.data, s.size)) at--;
        if (at < spans[i].from + s.size) continue;
        const char *whole = json_string_value(content), *over = whole + json_string_length(content);
        size_t tail = (size_t)(over - s.data) - s.size; // blanks that it ends with, if they are printed
        bool kept = at + tail <= spans[i].to && !memcmp(text->data + at, s.data + s.size, tail);
        return kept ? at + tail : at;
    }
    return 0;
}

// Cuts behind the last message's content.
static bool cut(struct buf *text, struct buf *user, size_t users, const json_t *content, gyr_error *e) {
    size_t end = text->failed || user->failed ? 0 : end_of(text, user, users, content);
    if (!end)
        return fail(e, GYR_USAGE,
                    "messages: the template does not print the last one as it is: it cannot be continued");
    text->size = end;
    text->data[end] = 0;
    while (user->size > users) {
        struct span *last = (struct span *)(void *)(user->data + user->size) - 1;
        if (last->to > end) last->to = end;
        if (last->from < end) break;
        user->size -= sizeof *last;
    }
    return true;
}

bool template_chat(const gyr_template *t, const char *messages, size_t size, bool generate, struct buf *text,
                   struct buf *user, gyr_error *e) {
    json_t *variables = read_variables(t, messages, size, generate, e);
    struct buf own = {0};
    if (!variables) return false;
    if (!user) user = &own;
    const json_t *tools = json_object_get(variables, "tools"), *last = final_message(variables);
    bool special = t->tools && ((tools && !json_is_null(tools)) || !t->plain);
    size_t users = user->size;
    bool ok = render_any(special ? t->tools : t->plain, variables, text, user, e);
    ok = ok && (!last || cut(text, user, users, last, e));
    json_decref(variables);
    ok = ok && ((!text->failed && !user->failed) || fail_memory(e, "chat"));
    buf_free(&own);
    return ok;
}

char *gyr_template_render(const gyr_template *t, const char *variables, size_t size, size_t *length, gyr_error *e) {
    struct buf text = {0};
    if (!template_chat(t, variables, size, false, &text, NULL, e)) return buf_free(&text), NULL;
    if (length) *length = text.size;
    return buf_take(&text);
}

// ---- a model's own

static bool has_template(const gyr_model *m, gyr_error *e) {
    return m->chat || fail(e, GYR_UNSUPPORTED, "%s: the model has no chat template; give it plain text to continue",
                           m->checkpoint->path);
}

char *gyr_chat_text(const gyr_model *m, const char *messages, bool generate, gyr_error *e) {
    struct buf text = {0};
    if (has_template(m, e) && template_chat(m->chat, messages, strlen(messages), generate, &text, NULL, e))
        return buf_take(&text);
    buf_free(&text);
    return NULL;
}

gyr_status gyr_chat_tokens(const gyr_model *m, const char *messages, bool generate, gyr_tokens *out, gyr_error *e) {
    gyr_error made = {0};
    struct buf text = {0}, user = {0};
    struct tokens tokens = {0};
    bool ok = tokenizer_there(&m->tokenizer, &made) && has_template(m, &made) &&
              template_chat(m->chat, messages, strlen(messages), generate, &text, &user, &made) &&
              tokenizer_encode_chat(m->tokenizer.tokens, text.data ? text.data : "", text.size, (size_t *)user.data,
                                    user.size / (2 * sizeof(size_t)), &tokens, &made);
    buf_free(&text);
    buf_free(&user);
    return tokens_give(ok, &tokens, out, &made, e);
}

const char *gyr_model_template_source(const gyr_model *m) {
    if (!m->chat || !m->chat->vocab) return NULL;
    const char *tools = named(m->chat->vocab, "tool_use");
    return tools ? tools : m->chat->vocab->chat_template;
}
