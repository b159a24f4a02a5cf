#include "base/utf8.h"

// Expected length and the allowed range of the second byte for each lead byte: table 3-7 of the Unicode standard.
static int lead(unsigned char b, unsigned char *low, unsigned char *high) {
    *low = 0x80;
    *high = 0xbf;
    if (b < 0x80) return 1;
    if (b >= 0xc2 && b <= 0xdf) return 2;
    if (b >= 0xe0 && b <= 0xef) {
        if (b == 0xe0) *low = 0xa0;
        if (b == 0xed) *high = 0x9f;
        return 3;
    }
    if (b >= 0xf0 && b <= 0xf4) {
        if (b == 0xf0) *low = 0x90;
        if (b == 0xf4) *high = 0x8f;
        return 4;
    }
    return 0;
}

// How many of the `n` bytes that the lead byte promises are there and valid.
static int good(const unsigned char *s, size_t size, int n, unsigned char low, unsigned char high) {
    int i = 1;
    for (; i < n && (size_t)i < size; i++)
        if (i == 1 ? s[i] < low || s[i] > high : (s[i] & 0xc0) != 0x80) break;
    return i;
}

int utf8_decode(const char *str, size_t size, uint32_t *c) {
    const unsigned char *s = (const unsigned char *)str;
    unsigned char low, high;
    if (!size) return 0;
    int n = lead(s[0], &low, &high);
    if (!n || good(s, size, n, low, high) < n) return 0;
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *c = s[0] & mask[n];
    for (int i = 1; i < n; i++) *c = *c << 6 | (s[i] & 0x3f);
    return n;
}

size_t utf8_broken(const char *str, size_t size) {
    const unsigned char *s = (const unsigned char *)str;
    unsigned char low, high;
    int n = lead(s[0], &low, &high);
    return n ? (size_t)good(s, size, n, low, high) : 1;
}

int utf8_encode(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c >= 0xd800 && c <= 0xdfff) return 0;
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : c < 0x110000 ? 4 : 0;
    static const unsigned char mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    if (n) out[0] = (char)(mark[n] | c);
    return n;
}

bool utf8_valid(const char *s, size_t size) {
    uint32_t c;
    for (size_t i = 0; i < size;) {
        int n = utf8_decode(s + i, size - i, &c);
        if (!n) return false;
        i += (size_t)n;
    }
    return true;
}

size_t utf8_whole(const char *s, size_t size) {
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        const unsigned char *p = (const unsigned char *)s + size - back;
        if ((*p & 0xc0) == 0x80) continue;
        unsigned char low, high;
        int n = lead(*p, &low, &high);
        bool unfinished = n > (int)back && good(p, back, n, low, high) == (int)back;
        return unfinished ? size - back : size;
    }
    return size;
}
