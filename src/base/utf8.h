// UTF-8 (RFC 3629): strict decoding, and streaming text without ever cutting a character.
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Decodes the character at s. Returns its length in bytes (1 to 4) and sets *c, or 0 when the bytes are not valid
// UTF-8 (overlong, surrogate, above U+10FFFF, or cut short).
int utf8_decode(const char *s, size_t size, uint32_t *c);

// Where no character can be decoded (size is not 0): the length of what begins like one, 1 if nothing does.
size_t utf8_broken(const char *s, size_t size);

// Writes c as 1 to 4 bytes; returns how many (0 if c is no Unicode scalar value).
int utf8_encode(uint32_t c, char out[4]);

// True if all of it is valid.
bool utf8_valid(const char *s, size_t size);

// Length of the longest prefix that can be shown now: everything but an unfinished, so far valid, character at the
// end (at most 3 bytes).
size_t utf8_whole(const char *s, size_t size);

#endif
