#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct buf *b, size_t more) {
    if (b->failed || more > SIZE_MAX - b->size - 1) return !(b->failed = true);
    size_t need = b->size + more + 1;
    if (need <= b->room) return true;
    size_t room = b->room ? b->room : 64;
    while (room < need) room = room > SIZE_MAX / 2 ? need : room * 2;
    char *data = realloc(b->data, room);
    if (!data) return !(b->failed = true);
    b->data = data;
    b->room = room;
    return true;
}

void buf_append(struct buf *b, const void *data, size_t size) {
    if (!reserve(b, size)) return;
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = 0;
}

void buf_puts(struct buf *b, const char *s) { buf_append(b, s, strlen(s)); }

void buf_putc(struct buf *b, char c) { buf_append(b, &c, 1); }

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    else if (reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->size, (size_t)n + 1, format, again);
        b->size += (size_t)n;
    }
    va_end(again);
}

void buf_clear(struct buf *b) {
    b->size = 0;
    b->failed = false;
    if (b->data) b->data[0] = 0;
}

void buf_free(struct buf *b) {
    free(b->data);
    *b = (struct buf){0};
}

char *buf_take(struct buf *b) {
    if (!b->data) buf_append(b, "", 0);
    char *data = b->failed ? NULL : b->data;
    if (!data) free(b->data);
    *b = (struct buf){0};
    return data;
}

bool array_grow(void *items, size_t n, size_t *room, size_t size) {
    void *old, *bigger;
    size_t want = n < 8 ? 16 : n * 2;
    if (n < *room) return true;
    memcpy(&old, items, sizeof old); // a pointer of whatever type
    if (n > SIZE_MAX / 2 || !(bigger = reallocarray(old, want, size))) return false;
    memcpy(items, &bigger, sizeof bigger);
    *room = want;
    return true;
}
