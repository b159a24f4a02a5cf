#include "text/chars.h"

#include "base/utf8.h"
#include <utf8proc.h>

bool char_is_word(uint32_t c) {
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return c == 0x200c || c == 0x200d;
    }
}

size_t spaces_before(const char *s, size_t size) {
    size_t n = 0;
    uint32_t c;
    for (int k; n < size && (k = utf8_decode(s + n, size - n, &c)) && char_is_space(c);) n += (size_t)k;
    return n;
}

size_t spaces_after(const char *s, size_t size) {
    size_t end = size;
    while (end) {
        size_t at = end - 1;
        uint32_t c;
        while (at && end - at < 4 && ((unsigned char)s[at] & 0xc0) == 0x80) at--;
        if (utf8_decode(s + at, end - at, &c) != (int)(end - at) || !char_is_space(c)) break;
        end = at;
    }
    return size - end;
}
