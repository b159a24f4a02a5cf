#include "input.h"

#include "gyr.h"
#include "output.h"
#include "signals.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// No prompt is longer; a pipe that never ends (/dev/zero) must not fill the memory.
enum { MAX_INPUT = 256 << 20 };

static char *stop(char *text, const char *where, int *status, int why, const char *what) {
    if (what) say_error("%s: %s", where, what);
    *status = why;
    free(text);
    return NULL;
}

static char *read_all(int file, const char *where, size_t *size, int *status) {
    size_t room = 0, n = 0;
    char *text = NULL;
    for (;;) {
        if (room - n < 2) {
            if (room > MAX_INPUT) return stop(text, where, status, GYR_USAGE, "more than 256 MiB; give less");
            room = room ? room * 2 : 1 << 16;
            char *more = realloc(text, room);
            if (!more) return stop(text, where, status, GYR_NO_MEMORY, "out of memory; give less");
            text = more;
        }
        ssize_t got = read(file, text + n, room - n - 1);
        if (got < 0 && errno == EBADF) got = 0; // a service may have none
        if (got < 0 && errno == EINTR && !interrupted()) continue;
        if (got < 0 && errno == EINTR) return stop(text, where, status, GYR_CANCELLED, NULL);
        if (got < 0) return stop(text, where, status, GYR_IO, strerror(errno));
        n += (size_t)got;
        if (got) continue;
        text[n] = 0;
        *size = n;
        *status = GYR_OK;
        return text;
    }
}

char *read_input(size_t *size, int *status) { return read_all(STDIN_FILENO, "standard input", size, status); }

char *read_whole(const char *path, size_t *size, int *status) {
    if (!strcmp(path, "-")) return read_input(size, status);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        say_error("%s: %s; check the path", path, strerror(errno));
        *status = GYR_IO;
        return NULL;
    }
    char *text = read_all(file, path, size, status);
    close(file);
    return text;
}

int32_t *read_ids(const char *where, const char *text, size_t *count, int *status) {
    size_t room = 0;
    int32_t *ids = NULL;
    *count = 0;
    for (const char *p = text; *(p += strspn(p, " \t\r\n,[]"));) {
        char *end;
        errno = 0;
        unsigned long id = strtoul(p, &end, 10);
        size_t n = strcspn(p, " \t\r\n,[]");
        if (!isdigit((unsigned char)*p) || end != p + n || errno || id > INT32_MAX) {
            *status = usage_error("%s: \"%.*s\" is not a token id; give whole numbers with spaces between them", where,
                                  (int)(n < 40 ? n : 40), p);
            free(ids);
            return NULL;
        }
        int32_t *more = *count < room ? ids : realloc(ids, (room = room ? room * 2 : 256) * sizeof *ids);
        if (!more) break;
        ids = more;
        ids[(*count)++] = (int32_t)id;
        p = end;
    }
    if (!ids) ids = calloc(1, sizeof *ids);
    *status = ids ? GYR_OK : GYR_NO_MEMORY;
    if (!ids) say_error("%s: out of memory; give fewer tokens", where);
    return ids;
}
