#include "text/jinja/case.h"
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

// Characters whose other case is more than one (Unicode's SpecialCasing.txt, the part that needs no language).
static const struct {
    uint32_t c;
    const char *upper, *title;
} special[] = {
    {0xdf, "SS", "Ss"},   {0x149, "\u02bcN", "\u02bcN"}, {0x1f0, "J\u030c", "J\u030c"}, {0xfb00, "FF", "Ff"},
    {0xfb01, "FI", "Fi"}, {0xfb02, "FL", "Fl"},          {0xfb03, "FFI", "Ffi"},        {0xfb04, "FFL", "Ffl"},
    {0xfb05, "ST", "St"}, {0xfb06, "ST", "St"},
};

static bool is_cased(uint32_t c) {
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

static bool is_upper(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LU; }

static void put(struct build *b, uint32_t c, bool user) {
    char text[4];
    b_add(b, text, (size_t)utf8_encode(c, text), user);
}

static void put_upper(struct build *b, uint32_t c, bool title, bool user) {
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (special[i].c == c) {
            const char *text = title ? special[i].title : special[i].upper;
            b_add(b, text, strlen(text), user);
            return;
        }
    put(b, (uint32_t)(title ? utf8proc_totitle : utf8proc_toupper)((utf8proc_int32_t)c), user);
}

// A sigma that ends a word has a form of its own.
static bool is_final_sigma(const struct str *s, size_t at, uint32_t before) {
    uint32_t after = 0;
    if (at < s->size) utf8_decode(s->data + at, s->size - at, &after);
    return is_cased(before) && !is_cased(after);
}

static void put_lower(struct build *b, const struct str *s, size_t next, uint32_t before, uint32_t c, bool user) {
    if (c == 0x3a3 && is_final_sigma(s, next, before))
        put(b, 0x3c2, user);
    else
        put(b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), user);
    if (c == 0x130) put(b, 0x307, user);
}

// One character folds to three at most.
static void put_folded(struct build *b, uint32_t c, bool user) {
    utf8proc_int32_t folded[8];
    int none = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, folded, sizeof folded / sizeof *folded, UTF8PROC_CASEFOLD, &none);
    for (utf8proc_ssize_t i = 0; i < n && i < 8; i++) put(b, (uint32_t)folded[i], user);
}

static bool goes_up(enum letter_case to, uint32_t before, uint32_t c) {
    switch (to) {
    case CASE_UPPER: return true;
    case CASE_LOWER: return false;
    case CASE_SWAP: return !is_upper(c);
    case CASE_CAPITALIZE: return !before;
    case CASE_TITLE: return !is_cased(before);
    default: return !before || j_is_space(before) || (before < 128 && strchr("-({[<", (int)before));
    }
}

bool j_change_case(struct vm *vm, const struct str *s, enum letter_case to, struct value *out) {
    struct build b = {.vm = vm};
    uint32_t c, before = 0;
    for (size_t i = 0, n; i < s->size; i += n, before = c) {
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!n) break;
        bool user = s->user && s->user[i];
        if (to == CASE_FOLD)
            put_folded(&b, c, user);
        else if (goes_up(to, before, c))
            put_upper(&b, c, to == CASE_CAPITALIZE || to == CASE_TITLE, user);
        else
            put_lower(&b, s, i + n, before, c, user);
    }
    if (!b_done(&b, out)) return false;
    out->s->markup = s->markup;
    return true;
}

// ---- "abc".isalpha() and its like

enum { ALPHA = 1, DECIMAL = 2, DIGIT = 4, NUMERIC = 8, SPACE = 16, LOWER = 32, UPPER = 64, ASCII = 128 };

static int kinds_of(uint32_t c) {
    int k = (j_is_space(c) ? SPACE : 0) | (c < 128 ? ASCII : 0);
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU: return k | ALPHA | UPPER;
    case UTF8PROC_CATEGORY_LL: return k | ALPHA | LOWER;
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return k | ALPHA;
    case UTF8PROC_CATEGORY_ND: return k | DECIMAL | DIGIT | NUMERIC;
    case UTF8PROC_CATEGORY_NO:
        // Superscripts, subscripts and circled digits are digits to Python.
        if (c == 0xb2 || c == 0xb3 || c == 0xb9 || (c >= 0x2070 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468))
            k |= DIGIT;
        return k | NUMERIC;
    case UTF8PROC_CATEGORY_NL: return k | NUMERIC;
    default: return k;
    }
}

bool j_is_alnum(uint32_t c) { return kinds_of(c) & (ALPHA | NUMERIC); }
bool j_is_decimal(uint32_t c) { return kinds_of(c) & DECIMAL; }

static bool all(struct vm *vm, struct args *a, int any_of, struct value *out) {
    const struct str *s = a->self.s;
    uint32_t c;
    bool yes = s->size != 0;
    for (size_t i = 0, n; yes && i < s->size; i += n) {
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        yes = n && kinds_of(c) & any_of;
    }
    *out = v_bool(yes);
    return j_step(vm, s->size / 16);
}

// At least one letter is of this case, and none of the other.
static bool cased(struct vm *vm, struct args *a, int want, int avoid, struct value *out) {
    const struct str *s = a->self.s;
    uint32_t c;
    int seen = 0;
    for (size_t i = 0, n; i < s->size; i += n) {
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!n) break;
        seen |= kinds_of(c);
    }
    *out = v_bool(seen & want && !(seen & avoid));
    return j_step(vm, s->size / 16);
}

static bool m_isalpha(struct vm *vm, struct args *a, struct value *out) { return all(vm, a, ALPHA, out); }
static bool m_isdigit(struct vm *vm, struct args *a, struct value *out) { return all(vm, a, DIGIT, out); }
static bool m_isdecimal(struct vm *vm, struct args *a, struct value *out) { return all(vm, a, DECIMAL, out); }
static bool m_isnumeric(struct vm *vm, struct args *a, struct value *out) { return all(vm, a, NUMERIC, out); }
static bool m_isalnum(struct vm *vm, struct args *a, struct value *out) { return all(vm, a, ALPHA | NUMERIC, out); }
static bool m_isspace(struct vm *vm, struct args *a, struct value *out) { return all(vm, a, SPACE, out); }
static bool m_islower(struct vm *vm, struct args *a, struct value *out) { return cased(vm, a, LOWER, UPPER, out); }
static bool m_isupper(struct vm *vm, struct args *a, struct value *out) { return cased(vm, a, UPPER, LOWER, out); }
static bool m_isascii(struct vm *vm, struct args *a, struct value *out) {
    if (!a->self.s->size) return *out = v_bool(true), true;
    return all(vm, a, ASCII, out);
}

// Upper case begins each word, and lower case goes on with it.
static bool m_istitle(struct vm *vm, struct args *a, struct value *out) {
    const struct str *s = a->self.s;
    uint32_t c, before = 0;
    bool yes = true, any = false;
    for (size_t i = 0, n; i < s->size && yes; i += n, before = c) {
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!n) break;
        if (is_cased(c)) yes = (kinds_of(c) & LOWER) ? is_cased(before) : !is_cased(before);
        any = any || is_cased(c);
    }
    *out = v_bool(yes && any);
    return j_step(vm, s->size / 16);
}

static bool m_isprintable(struct vm *vm, struct args *a, struct value *out) {
    const struct str *s = a->self.s;
    uint32_t c;
    bool yes = true;
    for (size_t i = 0, n; i < s->size && yes; i += n) {
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!n) break;
        yes = j_is_printable(c);
    }
    *out = v_bool(yes);
    return j_step(vm, s->size / 16);
}

static bool m_isidentifier(struct vm *vm, struct args *a, struct value *out) {
    const struct str *s = a->self.s;
    uint32_t c;
    bool yes = s->size != 0;
    for (size_t i = 0, n; i < s->size && yes; i += n) {
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!n) break;
        utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
        bool letter = c == '_' || kinds_of(c) & ALPHA || k == UTF8PROC_CATEGORY_NL;
        yes = letter || (i && (k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ND ||
                               k == UTF8PROC_CATEGORY_PC));
    }
    *out = v_bool(yes);
    return j_step(vm, s->size / 16);
}

const struct native j_str_tests[] = {
    {"isalpha", "", 0, m_isalpha},
    {"isdigit", "", 0, m_isdigit},
    {"isdecimal", "", 0, m_isdecimal},
    {"isnumeric", "", 0, m_isnumeric},
    {"isalnum", "", 0, m_isalnum},
    {"isspace", "", 0, m_isspace},
    {"islower", "", 0, m_islower},
    {"isupper", "", 0, m_isupper},
    {"isascii", "", 0, m_isascii},
    {"istitle", "", 0, m_istitle},
    {"isprintable", "", 0, m_isprintable},
    {"isidentifier", "", 0, m_isidentifier},
    {NULL},
};
