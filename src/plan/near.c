#include "plan/near.h"

#include <ctype.h>
#include <string.h>

size_t name_plain(const char *name, size_t size, char out[PLAIN]) {
    size_t n = 0;
    for (size_t i = 0; i < size && n + 1 < PLAIN; i++)
        if (isalnum((unsigned char)name[i])) out[n++] = (char)tolower((unsigned char)name[i]);
    out[n] = 0;
    return n;
}

size_t name_distance(const char *a, const char *b) {
    size_t row[PLAIN + 1], n = strlen(b);
    for (size_t k = 0; k <= n; k++) row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t before = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < n; k++) {
            size_t here = before + (a[i] != b[k]);
            before = row[k + 1];
            if (row[k] + 1 < here) here = row[k] + 1;
            row[k + 1] = before + 1 < here ? before + 1 : here;
        }
    }
    return row[n];
}
