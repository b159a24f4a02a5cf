// GPT-2's byte alphabet (Radford et al., 2019): byte-level vocabularies spell each byte as one printable character.
// The printable Latin-1 characters stand for themselves; the other 68 bytes, in order, are U+0100 and up.
#ifndef FORMAT_ALPHABET_H
#define FORMAT_ALPHABET_H

#include <stdint.h>

// The byte that character c stands for; -1 if c is not in the alphabet.
int alphabet_byte(uint32_t c);

// The character that stands for a byte.
uint32_t alphabet_char(unsigned char byte);

#endif
