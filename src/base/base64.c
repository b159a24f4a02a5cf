#include "base/base64.h"

#include <stdint.h>
#include <string.h>

size_t base64_decode(const char *s, size_t size, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    size_t n = 0, held = 0;
    while (size && s[size - 1] == '=') size--;
    for (size_t i = 0; i < size; i++) {
        const char *digit = s[i] ? strchr(digits, s[i]) : NULL;
        if (!digit) return SIZE_MAX;
        bits = bits << 6 | (uint32_t)(digit - digits);
        if ((held += 6) < 8) continue;
        held -= 8;
        out[n++] = (char)(bits >> held);
    }
    return n;
}
