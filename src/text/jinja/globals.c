// The functions every template can call, and the methods of dicts, lists and cyclers.
#include "text/jinja/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool j_range(struct vm *vm, int64_t start, int64_t stop, int64_t step, size_t n, struct value *out) {
    char text[100];
    int size = snprintf(text, sizeof text, "range(%lld, %lld", (long long)start, (long long)stop);
    if (step != 1) size += snprintf(text + size, sizeof text - (size_t)size, ", %lld", (long long)step);
    snprintf(text + size, sizeof text - (size_t)size, ")");
    struct value label;
    if (!j_list(vm, V_RANGE, n, out) || !j_str(vm, text, strlen(text) + 1, false, &label)) return false;
    out->l->label = label.s->data;
    out->l->start = start, out->l->stop = stop, out->l->step = step;
    for (size_t i = 0; i < n; i++) out->l->items[i] = v_int((int64_t)((uint64_t)start + i * (uint64_t)step));
    return true;
}

static bool g_range(struct vm *vm, struct args *a, struct value *out) {
    int64_t v[3] = {0, 0, 1};
    if (!a->n || a->n > 3 || a->nkw) return j_fail(vm, "range() wants one to three integers");
    for (size_t i = 0; i < a->n; i++)
        if (!j_want_int(vm, a->v[i], "range()", &v[a->n == 1 ? 1 : i])) return false;
    if (!v[2]) return j_fail(vm, "the step of range() must not be 0");
    // Spans of up to 2^64 are counted without a sign.
    bool up = v[2] > 0, any = up ? v[0] < v[1] : v[0] > v[1];
    uint64_t span = up ? (uint64_t)v[1] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[1];
    uint64_t step = up ? (uint64_t)v[2] : -(uint64_t)v[2], count = any ? (span - 1) / step + 1 : 0;
    if (count > MAX_RANGE) return j_fail(vm, "a range() is at most %d long", MAX_RANGE);
    return j_range(vm, v[0], v[1], v[2], (size_t)count, out);
}

static bool add_pairs(struct vm *vm, struct value from, struct dict *d) {
    struct list *l, *pair;
    if (from.kind == V_DICT || from.kind == V_SPACE) {
        for (size_t i = 0; i < from.d->n; i++)
            if (!j_put(vm, d, from.d->items[i].key, from.d->items[i].value)) return false;
        return true;
    }
    if (!j_items(vm, from, &l)) return false;
    for (size_t i = 0; i < l->n; i++) {
        if (!j_items(vm, l->items[i], &pair)) return false;
        if (pair->n != 2) return j_fail(vm, "dict() wants pairs");
        if (!j_hashable(vm, pair->items[0]) || !j_put(vm, d, pair->items[0], pair->items[1])) return false;
    }
    return true;
}

static bool g_dict(struct vm *vm, struct args *a, struct value *out) {
    struct value key;
    if (a->n > 1) return j_fail(vm, "dict() wants at most one dict or list of pairs");
    if (!j_dict(vm, a->nkw, out) || (a->n && !add_pairs(vm, a->v[0], out->d))) return false;
    for (size_t i = 0; i < a->nkw; i++)
        if (!j_str(vm, a->kw[i].name.data, a->kw[i].name.size, a->kw[i].user, &key) ||
            !j_put(vm, out->d, key, a->kw[i].value))
            return false;
    return true;
}

static bool c_fromkeys(struct vm *vm, struct args *a, struct value *out) {
    struct value with = a->v[1].kind == V_UNSET ? v_none() : a->v[1];
    struct list *l;
    if (!j_items(vm, a->v[0], &l) || !j_dict(vm, 0, out)) return false;
    for (size_t i = 0; i < l->n; i++)
        if (!j_hashable(vm, l->items[i]) || !j_put(vm, out->d, l->items[i], with)) return false;
    return true;
}

const struct native j_dict_class[] = {{"fromkeys", "iterable,value", 1, c_fromkeys}, {NULL}};

static bool g_namespace(struct vm *vm, struct args *a, struct value *out) {
    if (!g_dict(vm, a, out)) return false;
    out->kind = V_SPACE;
    for (size_t i = 0; i < out->d->n; i++) {
        struct value key = out->d->items[i].key;
        if (key.kind == V_STR && key.s->size && key.s->data[0] == '_')
            return j_fail(vm, "names in a namespace must not start with '_'");
    }
    return true;
}

static bool new_cycler(struct vm *vm, struct args *a, enum kind kind, struct value *out) {
    struct value items;
    struct cycler *c = j_alloc(vm, sizeof *c);
    if (!c || !j_list(vm, V_LIST, a->n, &items)) return false;
    if (a->n) memcpy(items.l->items, a->v, a->n * sizeof *a->v);
    c->list = items.l;
    *out = (struct value){.kind = kind, .cycler = c};
    return true;
}

static bool g_cycler(struct vm *vm, struct args *a, struct value *out) {
    if (!a->n) return j_fail(vm, "cycler() wants at least one value");
    return new_cycler(vm, a, V_CYCLER, out);
}

static bool g_joiner(struct vm *vm, struct args *a, struct value *out) {
    struct value separator = a->v[0];
    struct args none = {0};
    if (separator.kind == V_UNSET && !j_str(vm, ", ", 2, false, &separator)) return false;
    if (!new_cycler(vm, &none, V_JOINER, out)) return false;
    out->cycler->separator = separator;
    return true;
}

static bool g_raise(struct vm *vm, struct args *a, struct value *out) {
    struct value s;
    if (!j_to_str(vm, a->v[0], &s)) return false;
    return j_fail(vm, "the template refuses: %.*s", s.s->size < 350 ? (int)s.s->size : 350, s.s->data);
}

// SOURCE_DATE_EPOCH (reproducible-builds.org) fixes the time, in UTC, so that a rendering can be repeated.
static bool local_time(struct tm *tm) {
    const char *fixed = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    errno = 0;
    time_t t = fixed ? (time_t)strtoll(fixed, &end, 10) : 0;
    if (fixed && *fixed && !*end && !errno) return gmtime_r(&t, tm);
    t = time(NULL);
    return localtime_r(&t, tm);
}

static bool g_strftime(struct vm *vm, struct args *a, struct value *out) {
    struct str *f;
    struct tm tm;
    char text[512], format[256];
    if (!j_want_str(vm, a->v[0], "strftime_now()", &f)) return false;
    if (f->size >= sizeof format - 1) return j_fail(vm, "the format of strftime_now() is too long");
    if (!local_time(&tm)) return j_fail(vm, "the clock shows no date");
    memcpy(format, f->data, f->size);
    format[f->size] = ' '; // so that an empty result can be told from a failed one
    format[f->size + 1] = 0;
    size_t n = strftime(text, sizeof text, format, &tm);
    if (!n) return j_fail(vm, "the format of strftime_now() gives too long a text");
    return j_str(vm, text, n - 1, f->user != NULL, out);
}

const struct native j_globals[] = {
    {"range", NULL, 0, g_range},
    {"dict", NULL, 0, g_dict},
    {"namespace", NULL, 0, g_namespace},
    {"cycler", NULL, 0, g_cycler},
    {"joiner", "sep", 0, g_joiner},
    {"raise_exception", "message", 1, g_raise},
    {"strftime_now", "format", 1, g_strftime},
    {NULL},
};

// ---- methods

static bool m_next(struct vm *vm, struct args *a, struct value *out) {
    struct cycler *c = a->self.cycler;
    *out = c->list->items[c->at];
    c->at = (c->at + 1) % c->list->n;
    return true;
}

static bool m_reset(struct vm *vm, struct args *a, struct value *out) {
    a->self.cycler->at = 0;
    *out = v_none();
    return true;
}

const struct native j_cycler_methods[] = {{"next", "", 0, m_next}, {"reset", "", 0, m_reset}, {NULL}};

static bool m_get(struct vm *vm, struct args *a, struct value *out) {
    if (!j_hashable(vm, a->v[0])) return false;
    const struct pair *p = j_get(vm, a->self.d, a->v[0]);
    *out = p ? p->value : a->v[1].kind == V_UNSET ? v_none() : a->v[1];
    return !vm->failed;
}

static bool view(struct vm *vm, const struct dict *d, const char *label, int what, struct value *out) {
    if (!j_list(vm, V_VIEW, d->n, out)) return false;
    out->l->label = label;
    for (size_t i = 0; i < d->n; i++) {
        struct value *v = &out->l->items[i];
        *v = what == 'k' ? d->items[i].key : d->items[i].value;
        if (what != 'i') continue;
        if (!j_list(vm, V_TUPLE, 2, v)) return false;
        v->l->items[0] = d->items[i].key;
        v->l->items[1] = d->items[i].value;
    }
    return true;
}

static bool m_items(struct vm *vm, struct args *a, struct value *out) {
    return view(vm, a->self.d, "dict_items", 'i', out);
}
static bool m_keys(struct vm *vm, struct args *a, struct value *out) {
    return view(vm, a->self.d, "dict_keys", 'k', out);
}
static bool m_values(struct vm *vm, struct args *a, struct value *out) {
    return view(vm, a->self.d, "dict_values", 'v', out);
}
static bool m_copy(struct vm *vm, struct args *a, struct value *out) {
    return j_dict(vm, a->self.d->n, out) && add_pairs(vm, a->self, out->d);
}

const struct native j_dict_methods[] = {
    {"get", "key,default", 1, m_get}, {"items", "", 0, m_items}, {"keys", "", 0, m_keys},
    {"values", "", 0, m_values},      {"copy", "", 0, m_copy},   {NULL},
};

static bool m_index(struct vm *vm, struct args *a, struct value *out) {
    const struct list *l = a->self.l;
    for (size_t i = 0; i < l->n; i++)
        if (j_equal(vm, l->items[i], a->v[0])) return *out = v_int((int64_t)i), true;
    return j_fail(vm, "index(): %s is not in the list", j_c_str(vm, a->v[0]));
}

static bool m_count(struct vm *vm, struct args *a, struct value *out) {
    int64_t n = 0;
    for (size_t i = 0; i < a->self.l->n; i++) n += j_equal(vm, a->self.l->items[i], a->v[0]);
    *out = v_int(n);
    return !vm->failed;
}

static bool m_copy_list(struct vm *vm, struct args *a, struct value *out) {
    if (!j_list(vm, a->self.kind, a->self.l->n, out)) return false;
    memcpy(out->l->items, a->self.l->items, a->self.l->n * sizeof *out->l->items);
    return true;
}

// copy() comes first: tuples and ranges have all but that.
const struct native j_list_methods[] = {
    {"copy", "", 0, m_copy_list}, {"index", "value", 1, m_index}, {"count", "value", 1, m_count}, {NULL}};
