#include "format/alphabet.h"

// The bytes that do not stand for themselves, as ranges in the order of their characters.
static const struct { uint16_t first, count; } moved[] = {{0x00, 0x21}, {0x7f, 0x22}, {0xad, 1}};

int alphabet_byte(uint32_t c) {
    if ((c > 0x20 && c < 0x7f) || (c > 0xa0 && c < 0x100 && c != 0xad)) return (int)c;
    uint32_t i = c - 0x100;
    if (c < 0x100) return -1;
    for (int r = 0; r < 3; i -= moved[r++].count)
        if (i < moved[r].count) return moved[r].first + (int)i;
    return -1;
}

uint32_t alphabet_char(unsigned char byte) {
    uint32_t c = 0x100;
    for (int r = 0; r < 3; c += moved[r++].count)
        if (byte >= moved[r].first && byte < moved[r].first + moved[r].count) return c + byte - moved[r].first;
    return byte;
}
