// A growable run of bytes: text being built, tokens being collected.
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Zero-initialize. A failed append sets `failed` and is otherwise ignored, so a run of appends needs one check at
// its end.
struct buf {
    char *data; // always NUL-terminated once not NULL
    size_t size, room;
    bool failed;
};

void buf_append(struct buf *b, const void *data, size_t size);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *format, ...);
void buf_clear(struct buf *b); // keeps the memory
void buf_free(struct buf *b);
// Hands the memory over to the caller (free()); never NULL unless the buffer failed.
char *buf_take(struct buf *b);

// Room for one more item after the first n of an array: `room` items are there, and become twice as many where that is
// not enough. False if memory is out; the array is as it was.
#define ARRAY_GROW(items, n, room) array_grow(&(items), (n), &(room), sizeof *(items))
bool array_grow(void *items, size_t n, size_t *room, size_t size);

// Bytes with a length, not NUL-terminated, owned by somebody else.
struct text {
    const char *data;
    size_t size;
};

#endif
