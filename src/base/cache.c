#include "base/cache.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *cache_folder(void) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    struct buf b = {0};
    if (cache && *cache == '/')
        buf_printf(&b, "%s/gyr", cache);
    else if (home && *home)
        buf_printf(&b, "%s/.cache/gyr", home);
    else
        return NULL;
    return buf_take(&b);
}

bool cache_make_folder(char *path) {
    for (char *p = path + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(path, 0755);
    }
    return !mkdir(path, 0700) || !access(path, W_OK);
}

uint64_t cache_hash(uint64_t h, const void *p, size_t n) {
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = 0;
        memcpy(&v, b + i, n - i < 8 ? n - i : 8);
        h = (h ^ v) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return (h ^ n) * 0xbf58476d1ce4e5b9u;
}
