// Characters by their names in Unicode.
#include "text/jinja/lexer.h"

#include <string.h>

static const struct {
    uint32_t first;
    const char *names; // "|" after each, none where a number has no character
} rows[] = {
#include "text/jinja/names.inc"
};

static const struct {
    const char *name;
    uint32_t c;
} others[] = {
    {"NULL", 0},       {"TAB", 9},       {"CHARACTER TABULATION", 9},
    {"LINE FEED", 10}, {"NEW LINE", 10}, {"CARRIAGE RETURN", 13},
    {"ESCAPE", 27},    {"NBSP", 0xa0},   {"ZWSP", 0x200b},
    {"ZWNJ", 0x200c},  {"ZWJ", 0x200d},  {"BOM", 0xfeff},
};

static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 32) : c; }

static bool same(struct text name, const char *other, size_t n) {
    size_t i = 0;
    while (i < n && i < name.size && upper(name.data[i]) == other[i]) i++;
    return i == n && i == name.size;
}

static bool ideograph(struct text name, uint32_t *c) {
    static const char prefix[] = "CJK UNIFIED IDEOGRAPH-";
    size_t n = sizeof prefix - 1;
    *c = 0;
    if (name.size < n + 4 || name.size > n + 5 || !same((struct text){name.data, n}, prefix, n)) return false;
    for (size_t i = n; i < name.size; i++) {
        char x = upper(name.data[i]);
        if (!((x >= '0' && x <= '9') || (x >= 'A' && x <= 'F'))) return false;
        *c = *c << 4 | (uint32_t)(x > '9' ? x - 'A' + 10 : x - '0');
    }
    return (*c >= 0x4e00 && *c <= 0x9fff) || (*c >= 0x3400 && *c <= 0x4dbf) || (*c >= 0x20000 && *c <= 0x2a6df);
}

bool lex_character(struct text name, uint32_t *c) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (same(name, others[i].name, strlen(others[i].name))) return *c = others[i].c, true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        *c = rows[i].first;
        for (const char *p = rows[i].names, *end; (end = strchr(p, '|')); p = end + 1, ++*c)
            if (end > p && same(name, p, (size_t)(end - p))) return true;
    }
    return ideograph(name, c);
}
