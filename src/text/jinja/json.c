// JSON in (the variables of a conversation) and out (the filter tojson, which is Python's json.dumps).
#include "format/json.h"
#include "base/utf8.h"
#include "text/jinja/big.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- in

static const uint8_t *ones(struct vm *vm, size_t n) {
    if (n > vm->n_ones) {
        uint8_t *more = j_alloc(vm, n);
        if (!more) return NULL;
        memset(more, 1, n);
        vm->ones = more;
        vm->n_ones = n;
    }
    return vm->ones;
}

static bool from_text(struct vm *vm, const char *data, size_t size, bool user, struct value *out) {
    if (!utf8_valid(data, size)) return j_fail(vm, "a text of the conversation is not valid UTF-8");
    struct str *s = j_alloc(vm, sizeof *s);
    if (!s) return false;
    *s = (struct str){.data = data, .size = size};
    if (user && size && !(s->user = ones(vm, size))) return false;
    *out = (struct value){.kind = V_STR, .s = s};
    return true;
}

static bool from_key(struct vm *vm, const char *key, bool user, struct value *out) {
    struct buf room = {0};
    struct text s = json_key(key, &room);
    // Only a key that is spelled anew needs a copy.
    bool ok = s.data == key ? from_text(vm, s.data, s.size, user, out)
                            : !room.failed && utf8_valid(s.data, s.size) && j_str(vm, s.data, s.size, user, out);
    buf_free(&room);
    return ok || j_fail(vm, "a key of the conversation is not valid UTF-8");
}

// What jansson has no number for.
static bool from_strange(struct vm *vm, const json_t *j, struct value *out) {
    const char *s = json_strange(j);
    bool minus = *s == '-';
    if (s[minus] >= '0' && s[minus] <= '9') return j_whole_text(vm, s + minus, strlen(s + minus), 10, minus, out);
    double f;
    json_real_of(j, &f);
    *out = v_float(f);
    return true;
}

static bool from_array(struct vm *vm, const json_t *j, bool user, struct value *out) {
    if (!j_list(vm, V_LIST, json_array_size(j), out)) return false;
    for (size_t i = 0; i < out->l->n; i++)
        if (!j_from_json(vm, json_array_get(j, i), user, &out->l->items[i])) return false;
    return true;
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const struct written *)a)->object, y = (uintptr_t)((const struct written *)b)->object;
    return x < y ? -1 : x > y;
}

// How the object was written, if that is known.
static bool from_written(struct vm *vm, const json_t *j, struct dict *d) {
    struct written key = {.object = j};
    struct value text;
    const struct written *is = vm->n_written ? bsearch(&key, vm->written, vm->n_written, sizeof key, by_address) : NULL;
    if (!is) return true;
    if (!from_text(vm, json_string_value(is->text), json_string_length(is->text), true, &text)) return false;
    d->written = text.s;
    return true;
}

// A member of what `list` says, or NULL.
static json_t *member(json_t *o, const char *list, json_t *i) {
    return json_array_get(json_object_get(o, list), (size_t)json_integer_value(i));
}

// Whether the text is JSON that says what the object does.
static bool says(const json_t *text, const json_t *object) {
    gyr_error ignored;
    json_t *read = json_is_string(text) && json_is_object(object)
                       ? json_parse_talk(json_string_value(text), json_string_length(text), &ignored)
                       : NULL;
    bool same = read && json_equal(read, object);
    json_decref(read);
    return same;
}

bool j_note_written(struct vm *vm, const json_t *variables, const json_t *list) {
    struct written *all = j_alloc_array(vm, json_array_size(list), sizeof *all);
    size_t i;
    json_t *at;
    if (!all) return false;
    json_array_foreach(list, i, at) {
        json_t *message = member((json_t *)(uintptr_t)variables, "messages", json_array_get(at, 0));
        json_t *call = member(message, "tool_calls", json_array_get(at, 1)), *text = json_array_get(at, 2);
        json_t *object = json_object_get(json_object_get(call, "function"), "arguments");
        if (says(text, object)) all[vm->n_written++] = (struct written){object, text};
    }
    qsort(all, vm->n_written, sizeof *all, by_address);
    vm->written = all;
    return true;
}

static bool from_object(struct vm *vm, const json_t *j, bool user, struct value *out) {
    if (!j_dict(vm, json_object_size(j), out) || !from_written(vm, j, out->d)) return false;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)j, key, value) {
        struct pair *p = &out->d->items[out->d->n++];
        if (!from_key(vm, key, user, &p->key) || !j_from_json(vm, value, user, &p->value)) return false;
    }
    return true;
}

bool j_from_json(struct vm *vm, const json_t *j, bool user, struct value *out) {
    if (vm->nesting >= MAX_NESTING) return j_fail(vm, "the conversation is nested more than %d deep", MAX_NESTING);
    if (!j_step(vm, 1)) return false;
    vm->nesting++;
    bool ok = true;
    switch (json_typeof(j)) {
    case JSON_NULL: *out = v_none(); break;
    case JSON_TRUE: *out = v_bool(true); break;
    case JSON_FALSE: *out = v_bool(false); break;
    case JSON_INTEGER: *out = v_int(json_integer_value(j)); break;
    case JSON_REAL: *out = v_float(json_real_value(j)); break;
    case JSON_STRING:
        ok = json_strange(j) ? from_strange(vm, j, out)
                             : from_text(vm, json_string_value(j), json_string_length(j), user, out);
        break;
    case JSON_ARRAY: ok = from_array(vm, j, user, out); break;
    case JSON_OBJECT: ok = from_object(vm, j, user, out); break;
    }
    vm->nesting--;
    return ok;
}

// ---- out

struct dumper {
    struct build b;
    const struct str *item, *key; // what stands between items, and between key and value
    const struct str *indent;     // NULL: all on one line
    bool ascii, sorted;
};

static void dump_str(struct dumper *d, const struct str *s) {
    static const char *const names[128] = {['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r",
                                           ['\t'] = "\\t", ['\b'] = "\\b",  ['\f'] = "\\f"};
    b_puts(&d->b, "\"");
    uint32_t c;
    size_t from = 0;
    for (size_t i = 0, n; i < s->size; i += n) {
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!n) break;
        char text[16] = "";
        if (c < 128 && names[c])
            snprintf(text, sizeof text, "%s", names[c]);
        else if (c < 32 || (d->ascii && c > 126 && c < 0x10000))
            snprintf(text, sizeof text, "\\u%04x", c);
        else if (d->ascii && c >= 0x10000)
            snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
        if (!*text) continue;
        b_part(&d->b, s, from, i);
        b_add(&d->b, text, strlen(text), s->user && s->user[i]);
        from = i + n;
    }
    b_part(&d->b, s, from, s->size);
    b_puts(&d->b, "\"");
}

static void new_line(struct dumper *d, int depth) {
    if (!d->indent) return;
    b_puts(&d->b, "\n");
    for (int i = 0; i < depth && d->indent->size && !d->b.vm->failed; i++) b_str(&d->b, d->indent);
}

static bool dump(struct dumper *d, struct value v, int depth);

static bool dump_list(struct dumper *d, const struct list *l, int depth) {
    b_puts(&d->b, "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i) b_str(&d->b, d->item);
        new_line(d, depth + 1);
        if (!dump(d, l->items[i], depth + 1)) return false;
    }
    if (l->n) new_line(d, depth);
    b_puts(&d->b, "]");
    return true;
}

static bool dump_key(struct dumper *d, struct value key) {
    if (key.kind == V_STR) return dump_str(d, key.s), true;
    if (key.kind != V_NONE && !v_is_number(key))
        return j_fail(d->b.vm, "tojson: the key of a dict is '%s'", v_type(key));
    b_puts(&d->b, "\"");
    dump(d, key, 0);
    b_puts(&d->b, "\"");
    return true;
}

// The pairs in the order of their keys, by insertion (stable, and few).
static bool sort_pairs(struct vm *vm, const struct dict *in, struct value *out) {
    if (!j_dict(vm, in->n, out)) return false;
    struct pair *p = out->d->items;
    for (size_t n = 0; n < in->n; n++) {
        size_t at = n;
        for (; at; at--) {
            int order;
            if (!j_compare(vm, p[at - 1].key, in->items[n].key, "<", &order)) return false;
            if (order <= 0) break;
            p[at] = p[at - 1];
        }
        p[at] = in->items[n];
    }
    out->d->n = in->n;
    return true;
}

static bool dump_dict(struct dumper *d, const struct dict *dict, int depth) {
    struct value sorted;
    if (dict->written) return b_str(&d->b, dict->written), true;
    if (d->sorted) {
        if (!sort_pairs(d->b.vm, dict, &sorted)) return false;
        dict = sorted.d;
    }
    b_puts(&d->b, "{");
    for (size_t i = 0; i < dict->n; i++) {
        if (i) b_str(&d->b, d->item);
        new_line(d, depth + 1);
        if (!dump_key(d, dict->items[i].key)) return false;
        b_str(&d->b, d->key);
        if (!dump(d, dict->items[i].value, depth + 1)) return false;
    }
    if (dict->n) new_line(d, depth);
    b_puts(&d->b, "}");
    return true;
}

static bool dump(struct dumper *d, struct value v, int depth) {
    struct vm *vm = d->b.vm;
    if (depth >= MAX_NESTING) return j_fail(vm, "tojson: a value is nested more than %d deep", MAX_NESTING);
    if (!j_step(vm, 1)) return false;
    switch (v.kind) {
    case V_NONE: b_puts(&d->b, "null"); break;
    case V_BOOL: b_puts(&d->b, v.b ? "true" : "false"); break;
    case V_FLOAT:
        if (isfinite(v.f))
            b_repr(&d->b, v);
        else
            b_puts(&d->b, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
        break;
    case V_INT:
    case V_BIG: b_whole(&d->b, v); break;
    case V_STR: dump_str(d, v.s); break;
    case V_LIST:
    case V_TUPLE: return dump_list(d, v.l, depth);
    case V_DICT: return dump_dict(d, v.d, depth);
    default: return j_fail(vm, "tojson: '%s' has no JSON", v_type(v));
    }
    return !vm->failed;
}

static bool read_indent(struct vm *vm, struct dumper *d, struct value v) {
    struct value spaces;
    if (v.kind == V_UNSET || v.kind == V_NONE) return true;
    if (v.kind == V_STR) return d->indent = v.s, true;
    int64_t n;
    if (!j_want_int(vm, v, "tojson(indent)", &n)) return false;
    if (n > 100) return j_fail(vm, "tojson(indent) is at most 100");
    struct build b = {.vm = vm};
    for (; n > 0; n--) b_puts(&b, " ");
    if (!b_done(&b, &spaces)) return false;
    d->indent = spaces.s;
    return true;
}

static bool read_separators(struct vm *vm, struct dumper *d, struct value v) {
    struct value item, key;
    struct list *l;
    if (!j_str(vm, ", ", d->indent ? 1 : 2, false, &item) || !j_str(vm, ": ", 2, false, &key)) return false;
    d->item = item.s;
    d->key = key.s;
    if (v.kind == V_UNSET || v.kind == V_NONE) return true;
    if (!j_items(vm, v, &l)) return false;
    if (l->n != 2 || l->items[0].kind != V_STR || l->items[1].kind != V_STR)
        return j_fail(vm, "tojson(separators) wants two strings");
    d->item = l->items[0].s;
    d->key = l->items[1].s;
    return true;
}

bool j_tojson(struct vm *vm, struct args *a, struct value *out) {
    struct dumper d = {.b = {.vm = vm}, .ascii = v_true(a->v[0]), .sorted = v_true(a->v[3])};
    if (!read_indent(vm, &d, a->v[1]) || !read_separators(vm, &d, a->v[2])) return false;
    return dump(&d, a->self, 0) && b_done(&d.b, out);
}
