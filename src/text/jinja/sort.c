#include "text/jinja/sort.h"
#include "text/jinja/case.h"

#include <string.h>

bool j_sort_key_default(struct vm *vm, struct value item, struct value attribute, struct value otherwise, bool exact,
                        struct value *out) {
    if (!j_attribute(vm, item, attribute, otherwise, out)) return false;
    return exact || out->kind != V_STR || j_change_case(vm, out->s, CASE_LOWER, out);
}

bool j_sort_key(struct vm *vm, struct value item, struct value attribute, bool exact, struct value *out) {
    return j_sort_key_default(vm, item, attribute, v_none(), exact, out);
}

// The filter sort compares lists, even of one value: None and None are equal in a list, but have no order by
// themselves.
static bool several(struct vm *vm, struct value item, struct value attribute, bool exact, struct value *out) {
    if (attribute.kind != V_STR)
        return j_list(vm, V_LIST, 1, out) && j_sort_key(vm, item, attribute, exact, out->l->items);
    struct str *s = attribute.s;
    size_t n = 1, from = 0;
    for (size_t i = 0; i < s->size; i++) n += s->data[i] == ',';
    if (!j_list(vm, V_LIST, n, out)) return false;
    for (size_t k = 0; k < n; k++) {
        const char *comma = memchr(s->data + from, ',', s->size - from);
        size_t end = comma ? (size_t)(comma - s->data) : s->size;
        struct value part;
        if (!j_slice(vm, s, from, end, &part) || !j_sort_key(vm, item, part, exact, &out->l->items[k])) return false;
        from = end + 1;
    }
    return true;
}

struct sorted {
    struct value key, item;
};

// Merge sort; `reverse` keeps equal items in their order, as Python does.
static bool merge_sort(struct vm *vm, struct sorted *v, struct sorted *spare, size_t n, bool reverse) {
    if (n < 2) return true;
    size_t half = n / 2, i = 0, j = half, k = 0;
    if (!merge_sort(vm, v, spare, half, reverse) || !merge_sort(vm, v + half, spare, n - half, reverse)) return false;
    while (i < half && j < n) {
        int order;
        bool ok =
            reverse ? j_compare(vm, v[i].key, v[j].key, "<", &order) : j_compare(vm, v[j].key, v[i].key, "<", &order);
        if (!ok) return false;
        spare[k++] = order < 0 ? v[j++] : v[i++];
    }
    while (i < half) spare[k++] = v[i++];
    memcpy(v, spare, k * sizeof *v);
    return true;
}

static bool sort(struct vm *vm, struct value v, struct value attribute, struct value otherwise, bool exact, bool lists,
                 bool reverse, struct value *out) {
    struct list *l;
    if (!j_items(vm, v, &l) || !j_list(vm, V_LIST, l->n, out)) return false;
    struct sorted *a = j_alloc_array(vm, l->n, 2 * sizeof *a);
    if (!a) return false;
    for (size_t i = 0; i < l->n; i++) {
        a[i].item = l->items[i];
        if (lists ? !several(vm, a[i].item, attribute, exact, &a[i].key)
                  : !j_sort_key_default(vm, a[i].item, attribute, otherwise, exact, &a[i].key))
            return false;
    }
    if (!merge_sort(vm, a, a + l->n, l->n, reverse)) return false;
    for (size_t i = 0; i < l->n; i++) out->l->items[i] = a[i].item;
    return true;
}

bool j_sort(struct vm *vm, struct value v, struct value attribute, bool exact, bool reverse, struct value *out) {
    return sort(vm, v, attribute, v_none(), exact, true, reverse, out);
}

bool j_sort_default(struct vm *vm, struct value v, struct value attribute, struct value otherwise, bool exact,
                    bool reverse, struct value *out) {
    return sort(vm, v, attribute, otherwise, exact, false, reverse, out);
}
