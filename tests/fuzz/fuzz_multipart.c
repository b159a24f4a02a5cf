// A form: the content-type header up to the first line end, then the body.
#include "server/multipart.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool printable(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) return false;
    return true;
}

static void check_part(const struct multipart *m, const struct multipart_part *p) {
    char mark[MULTIPART_BOUNDARY + 5] = "\r\n--";
    memcpy(mark + 4, m->boundary, strlen(m->boundary) + 1);
    if (!*p->name || !printable(p->name) || !printable(p->filename) || strpbrk(p->filename, "/\\")) abort();
    if (p->data.data < m->data || p->data.data + p->data.size > m->data + m->size) abort();
    if (memmem(p->data.data, p->data.size, mark, strlen(mark))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    char *type = strndup((const char *)data, n);
    size_t rest = end ? size - n - 1 : 0;
    char *body = malloc(rest + !rest); // exactly as large as it is
    if (!type || !body) abort();
    if (rest) memcpy(body, end + 1, rest);
    struct multipart m;
    struct multipart_part p;
    gyr_error e = {0};
    int parts = 0;
    if (multipart_begin(&m, type, body, rest, &e)) {
        for (; multipart_next(&m, &p, &e); parts++) check_part(&m, &p);
        if (parts > MULTIPART_PARTS || (!m.ended && (e.status != GYR_MALFORMED || !e.message[0]))) abort();
        if (m.ended && multipart_next(&m, &p, &e)) abort();
    } else if (e.status != GYR_MALFORMED || !e.message[0]) {
        abort();
    }
    free(body);
    free(type);
    return 0;
}
