#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

// Decodes base64 (RFC 4648) to `out`, which may be `s`; the number of bytes, SIZE_MAX if it is not base64.
size_t base64_decode(const char *s, size_t size, char *out);

#endif
