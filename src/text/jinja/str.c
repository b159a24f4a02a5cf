// Strings: building, cutting, searching. Every operation carries along which bytes came from the conversation.
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <string.h>

static bool room_for(struct build *b, size_t more) {
    if (b->vm->failed) return false;
    if (more > MAX_OUTPUT || b->size + more > MAX_OUTPUT)
        return j_fail(b->vm, "a string grows past %d MB", MAX_OUTPUT >> 20);
    if (b->size + more <= b->room) return true;
    size_t room = b->room ? b->room * 2 : 64;
    if (room < b->size + more) room = b->size + more;
    char *data = j_alloc(b->vm, room);
    uint8_t *user = data && b->user ? j_alloc(b->vm, room) : NULL;
    if (!data || (b->user && !user)) return false;
    if (b->size) memcpy(data, b->data, b->size);
    if (user) memcpy(user, b->user, b->size);
    b->data = data;
    b->user = user;
    b->room = room;
    return true;
}

// From now on every byte is told apart (heap memory is zeroed: what is there is the template's).
static bool tell_apart(struct build *b) {
    if (!b->user) b->user = j_alloc(b->vm, b->room);
    return b->user;
}

void b_add(struct build *b, const char *data, size_t size, bool user) {
    if (!size || !room_for(b, size) || (user && !tell_apart(b))) return;
    memcpy(b->data + b->size, data, size);
    if (b->user) memset(b->user + b->size, user, size);
    b->size += size;
}

void b_puts(struct build *b, const char *s) { b_add(b, s, strlen(s), false); }

void b_part(struct build *b, const struct str *s, size_t begin, size_t end) {
    size_t at = b->size;
    b_add(b, s->data + begin, end - begin, s->user);
    if (s->user && !b->vm->failed && end > begin) memcpy(b->user + at, s->user + begin, end - begin);
}

void b_str(struct build *b, const struct str *s) { b_part(b, s, 0, s->size); }

bool b_done(struct build *b, struct value *out) {
    if (b->vm->failed) return false;
    struct str *s = j_alloc(b->vm, sizeof *s);
    if (!s) return false;
    *s = (struct str){.data = b->data ? b->data : "", .user = b->user, .size = b->size};
    *out = (struct value){.kind = V_STR, .s = s};
    return true;
}

bool j_str(struct vm *vm, const char *data, size_t size, bool user, struct value *out) {
    struct build b = {.vm = vm};
    b_add(&b, data, size, user);
    return b_done(&b, out);
}

bool j_slice(struct vm *vm, const struct str *s, size_t begin, size_t end, struct value *out) {
    struct str *part = j_alloc(vm, sizeof *part);
    if (!part) return false;
    *part = *s;
    part->data = s->data + begin;
    part->size = end > begin ? end - begin : 0;
    if (s->user) part->user = s->user + begin;
    *out = (struct value){.kind = V_STR, .s = part};
    return true;
}

size_t j_chars(const struct str *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->size; i++) n += (s->data[i] & 0xc0) != 0x80;
    return n;
}

size_t j_char_at(const struct str *s, size_t index) {
    size_t i = 0;
    for (; i < s->size; i++)
        if ((s->data[i] & 0xc0) != 0x80 && !index--) break;
    return i;
}

bool j_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t j_find(const struct str *s, const struct str *what, size_t from) {
    if (from > s->size) return SIZE_MAX;
    if (!what->size) return from;
    const char *p = memmem(s->data + from, s->size - from, what->data, what->size);
    return p ? (size_t)(p - s->data) : SIZE_MAX;
}

size_t j_find_last(const struct str *s, const struct str *what, size_t end) {
    if (what->size > end) return SIZE_MAX;
    for (size_t i = end - what->size + 1; i-- > 0;)
        if (!memcmp(s->data + i, what->data, what->size)) return i;
    return SIZE_MAX;
}

size_t j_find_cost(const struct str *s, const struct str *what) { return (s->size / 64 + 1) * (what->size / 16 + 1); }

static bool is_stripped(uint32_t c, const struct str *chars) {
    if (!chars) return j_is_space(c);
    uint32_t x;
    for (size_t i = 0; i < chars->size;) {
        int n = utf8_decode(chars->data + i, chars->size - i, &x);
        if (!n) return false;
        if (x == c) return true;
        i += (size_t)n;
    }
    return false;
}

void j_strip(const struct str *s, const struct str *chars, bool left, bool right, size_t *begin, size_t *end) {
    size_t b = 0, e = s->size;
    uint32_t c;
    while (left && b < e) {
        int n = utf8_decode(s->data + b, e - b, &c);
        if (!n || !is_stripped(c, chars)) break;
        b += (size_t)n;
    }
    while (right && e > b) {
        size_t i = e - 1;
        while (i > b && (s->data[i] & 0xc0) == 0x80) i--;
        if (!utf8_decode(s->data + i, e - i, &c) || !is_stripped(c, chars)) break;
        e = i;
    }
    *begin = b;
    *end = e;
}

bool j_escape(struct vm *vm, struct value v, struct value *out) {
    if (!j_to_str(vm, v, out)) return false;
    if (v.kind == V_STR && v.s->markup) return *out = v, true;
    static const char *const names[256] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&#34;", ['\''] = "&#39;"};
    const struct str *s = out->s;
    struct build b = {.vm = vm};
    size_t from = 0;
    for (size_t i = 0; i < s->size; i++) {
        const char *name = names[(unsigned char)s->data[i]];
        if (!name) continue;
        b_part(&b, s, from, i);
        b_add(&b, name, strlen(name), s->user && s->user[i]);
        from = i + 1;
    }
    b_part(&b, s, from, s->size);
    if (!b_done(&b, out)) return false;
    out->s->markup = true;
    return true;
}
