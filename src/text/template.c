#include "text/template.h"
#include "base/utf8.h"
#include "text/jinja/eval.h"

#include <jansson.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

struct chat_template {
    struct heap heap;
    struct text source;
    char *where;
    struct node *body;
};

// Numbers are read and printed, and months named, as in the C locale, whatever the program has set.
static locale_t enter_c_locale(locale_t *c) {
    *c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return *c ? uselocale(*c) : (locale_t)0;
}

static void leave_c_locale(locale_t c, locale_t before) {
    if (!c) return;
    uselocale(before);
    freelocale(c);
}

// Line ends become "\n"; a last one goes, as Jinja has it.
static char *normalize(struct heap *h, const char *source, size_t *size) {
    char *text = heap_alloc(h, *size + 1);
    if (!text) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < *size; i++) {
        if (source[i] == '\n' && i && source[i - 1] == '\r') continue;
        text[n++] = source[i];
        if (source[i] == '\r') text[n - 1] = '\n';
    }
    if (n && text[n - 1] == '\n') n--;
    *size = n;
    return text;
}

static bool parse(struct chat_template *t, const char *source, size_t size, gyr_error *e) {
    char *text = normalize(&t->heap, source, &size);
    if (!text) return fail_memory(e, t->where);
    t->source = (struct text){text, size};
    struct source s = {.text = t->source, .where = t->where, .heap = &t->heap, .e = e};
    struct token *tokens = j_lex(&s);
    return tokens && j_parse(&s, tokens, &t->body);
}

struct chat_template *template_parse(const char *source, size_t size, const char *where, gyr_error *e) {
    if (size > MAX_SOURCE)
        return fail_null(e, GYR_MALFORMED, "%s: a chat template of %zu bytes; at most %d are read", where, size,
                         MAX_SOURCE);
    if (!utf8_valid(source, size))
        return fail_null(e, GYR_MALFORMED, "%s: the chat template is not valid UTF-8", where);
    struct chat_template *t = calloc(1, sizeof *t);
    if (!t || !(t->where = strdup(where))) {
        fail_memory(e, where);
        free(t);
        return NULL;
    }
    t->heap.limit = MAX_MEMORY;
    locale_t c, before = enter_c_locale(&c);
    bool ok = parse(t, source, size, e);
    leave_c_locale(c, before);
    if (ok) return t;
    template_free(t);
    return NULL;
}

void template_free(struct chat_template *t) {
    if (!t) return;
    heap_free(&t->heap);
    free(t->where);
    free(t);
}

// What the model's maker sets, not the conversation: bos_token, eos_token, additional_special_tokens ...
static bool is_makers(const char *name) {
    size_t n = strlen(name);
    return (n > 6 && !strcmp(name + n - 6, "_token")) || (n > 7 && !strcmp(name + n - 7, "_tokens"));
}

static bool set_variables(struct vm *vm, const json_t *variables) {
    const char *name;
    json_t *j;
    const json_t *written = json_object_get(variables, "written_arguments");
    if (written && !j_note_written(vm, variables, written)) return false;
    json_object_foreach((json_t *)variables, name, j) {
        struct value v;
        if (j == written) continue;
        if (!j_from_json(vm, j, !is_makers(name), &v) || !j_set(vm, (struct text){name, strlen(name)}, v)) return false;
    }
    return j_push_scope(vm, vm->scope);
}

// The runs of the conversation's own bytes.
static void add_runs(const struct build *b, size_t offset, struct buf *user) {
    for (size_t i = 0, end; b->user && i < b->size; i = end) {
        for (end = i; end < b->size && b->user[end] == b->user[i]; end++) {}
        size_t run[2] = {offset + i, offset + end};
        if (b->user[i]) buf_append(user, run, sizeof run);
    }
}

bool template_render(const struct chat_template *t, const json_t *variables, struct buf *out, struct buf *user,
                     gyr_error *e) {
    struct vm vm = {.source = t->source, .where = t->where, .e = e, .heap.limit = MAX_MEMORY};
    struct build b = {.vm = &vm};
    vm.out = &b;
    locale_t c, before = enter_c_locale(&c);
    bool ok =
        j_push_scope(&vm, NULL) && set_variables(&vm, variables) && j_exec(&vm, t->body) != FLOW_FAIL && !vm.failed;
    leave_c_locale(c, before);
    if (ok) {
        if (user) add_runs(&b, out->size, user);
        buf_append(out, b.data, b.size);
        if (out->failed || (user && user->failed)) ok = fail_memory(e, t->where);
    }
    heap_free(&vm.heap);
    return ok;
}
