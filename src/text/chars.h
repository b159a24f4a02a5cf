// Classes of characters.
#ifndef TEXT_CHARS_H
#define TEXT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// White_Space of Unicode.
static inline bool char_is_space(uint32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

// What \w matches: letters, marks, numbers, connectors (UTS #18, annex C).
bool char_is_word(uint32_t c);

// The length of the white space at the beginning, at the end of valid UTF-8.
size_t spaces_before(const char *s, size_t size);
size_t spaces_after(const char *s, size_t size);

#endif
