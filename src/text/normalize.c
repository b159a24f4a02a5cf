#include "text/normalize.h"

#include "base/utf8.h"
#include "text/chars.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

// A text that grows beyond this comes from a file that wants to fill the memory: NFKC makes 18 characters of one at
// most.
enum { MAX_TIMES = 64, FREE_BYTES = 1 << 16 };

bool normalizer_init(struct normalizer *n, const struct vocab *v, const char *where, gyr_error *e) {
    n->steps = calloc(v->n_normals ? v->n_normals : 1, sizeof *n->steps);
    if (!n->steps) return fail_memory(e, where);
    for (size_t i = 0; i < v->n_normals; i++) {
        struct normal_step *s = &n->steps[n->n++];
        s->how = &v->normals[i];
        if (s->how->kind == NORMAL_CHARSMAP && !charsmap_valid(s->how->content))
            return fail(e, GYR_MALFORMED, "%s: its map of characters is damaged; get the file again", where);
        if (s->how->kind == NORMAL_REPLACE && !(s->regex = regex_new(s->how->pattern, where, e))) return false;
    }
    return true;
}

void normalizer_free(struct normalizer *n) {
    for (size_t i = 0; i < n->n; i++) regex_free(n->steps[i].regex);
    free(n->steps);
    *n = (struct normalizer){0};
}

// One step over a run of valid UTF-8.
struct pass {
    const struct normal *how;
    const struct regex *regex;
    struct scan *scan;
    const char *s;
    size_t size, most;
    bool begins, ends;
    struct buf *out;
};

static bool form(struct pass *p) { return normal_form(p->how->kind, p->s, p->size, p->out); }

static bool put(struct buf *out, uint32_t c) {
    char bytes[4];
    buf_append(out, bytes, (size_t)utf8_encode(c, bytes));
    return !out->failed;
}

static bool strip(struct pass *p) {
    size_t before = p->how->left ? spaces_before(p->s, p->size) : 0;
    size_t after = p->how->right ? spaces_after(p->s + before, p->size - before) : 0;
    buf_append(p->out, p->s + before, p->size - before - after);
    return true;
}

static bool prepend(struct pass *p) {
    if (p->size) buf_append(p->out, p->how->content.data, p->how->content.size);
    buf_append(p->out, p->s, p->size);
    return true;
}

static bool replace(struct pass *p) {
    size_t done = 0, begin, end;
    p->scan->spent = false;
    for (size_t from = 0; from < p->size && regex_find(p->regex, p->scan, p->s, p->size, from, &begin, &end);) {
        buf_append(p->out, p->s + done, begin - done);
        buf_append(p->out, p->how->content.data, p->how->content.size);
        if (p->out->failed || p->out->size > p->most) return false;
        done = from = end;
        if (begin == end)
            for (from++; from < p->size && ((unsigned char)p->s[from] & 0xc0) == 0x80;) from++;
    }
    buf_append(p->out, p->s + done, p->size - done);
    return true;
}

static bool charsmap(struct pass *p) { return charsmap_apply(p->how->content, p->how->left, p->s, p->size, p->out); }

// Spaces that SentencePiece takes for too many: at the ends of the text, and after another.
static bool spaces(struct pass *p) {
    bool space = p->begins;
    size_t was = p->out->size;
    for (size_t i = 0; i < p->size; i++) {
        if (p->s[i] != ' ' || !space) buf_putc(p->out, p->s[i]);
        space = p->s[i] == ' ';
    }
    if (p->ends && p->out->size > was && p->out->data[p->out->size - 1] == ' ') p->out->data[--p->out->size] = 0;
    return true;
}

// ---- steps that look at each character by itself

// All of Unicode's lower case is one character for one, but for the I with a dot.
static bool lowercase(const struct normal *how, uint32_t c, struct buf *out) {
    (void)how;
    if (c == 0x130) return put(out, 'i') && put(out, 0x307);
    return put(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

static bool unaccent(const struct normal *how, uint32_t c, struct buf *out) {
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    bool mark = k == UTF8PROC_CATEGORY_MN || (!how->left && (k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME));
    return mark || put(out, c);
}

static bool clean(const struct normal *how, uint32_t c, struct buf *out) {
    (void)how;
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    if (c == '\t' || c == '\n' || c == '\r' || (char_is_space(c) && k != UTF8PROC_CATEGORY_CC)) return put(out, ' ');
    bool other = k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
    return !c || c == 0xfffd || other || put(out, c);
}

// The blocks that BERT's tokenizer lists (google-research/bert, tokenization.py), with the misprint of Hugging Face's.
static bool is_ideograph(uint32_t c) {
    static const uint32_t blocks[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                         {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
                                         {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (c >= blocks[i][0] && c <= blocks[i][1]) return true;
    return false;
}

static bool ideographs(const struct normal *how, uint32_t c, struct buf *out) {
    (void)how;
    if (!is_ideograph(c)) return put(out, c);
    return put(out, ' ') && put(out, c) && put(out, ' ');
}

static bool nmt(const struct normal *how, uint32_t c, struct buf *out) {
    (void)how;
    if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) return true;
    bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                 c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
    return put(out, space ? ' ' : c);
}

static const struct {
    bool (*whole)(struct pass *p);
    bool (*each)(const struct normal *how, uint32_t c, struct buf *out);
} table[] = {
    [NORMAL_NFC] = {.whole = form},
    [NORMAL_NFD] = {.whole = form},
    [NORMAL_NFKC] = {.whole = form},
    [NORMAL_NFKD] = {.whole = form},
    [NORMAL_LOWERCASE] = {.each = lowercase},
    [NORMAL_STRIP] = {.whole = strip},
    [NORMAL_UNACCENT] = {.each = unaccent},
    [NORMAL_REPLACE] = {.whole = replace},
    [NORMAL_PREPEND] = {.whole = prepend},
    [NORMAL_CHARSMAP] = {.whole = charsmap},
    [NORMAL_CLEAN] = {.each = clean},
    [NORMAL_IDEOGRAPHS] = {.each = ideographs},
    [NORMAL_NMT] = {.each = nmt},
    [NORMAL_SPACES] = {.whole = spaces},
};

static bool run_pass(struct pass *p) {
    if (table[p->how->kind].whole) return table[p->how->kind].whole(p) && !p->out->failed && p->out->size <= p->most;
    uint32_t c;
    for (size_t i = 0; i < p->size;) {
        i += (size_t)utf8_decode(p->s + i, p->size - i, &c);
        if (!table[p->how->kind].each(p->how, c, p->out) || p->out->size > p->most) return false;
    }
    return !p->out->failed;
}

// A run of valid UTF-8 through all steps; r->from holds what one step leaves for the next.
static bool rewrite(struct rewriting *r, const char *s, size_t size, bool begins, bool ends, size_t most) {
    size_t kept = r->out.size;
    buf_append(&r->out, s, size);
    for (size_t i = 0; i < r->normalizer->n && !r->out.failed; i++) {
        const struct normal_step *step = &r->normalizer->steps[i];
        buf_clear(&r->from);
        buf_append(&r->from, r->out.data + kept, r->out.size - kept);
        if (r->from.failed) return false;
        r->out.size = kept;
        r->out.data[kept] = 0;
        struct pass p = {step->how, step->regex, r->scan, r->from.data, r->from.size, most, begins, ends, &r->out};
        if (!run_pass(&p)) return false;
    }
    return !r->out.failed;
}

bool normalize(struct rewriting *r, const char *s, size_t size) {
    uint32_t c;
    size_t most = size * MAX_TIMES + FREE_BYTES;
    buf_clear(&r->out);
    for (size_t i = 0; i < size;) {
        size_t begin = i;
        for (int n; i < size && (n = utf8_decode(s + i, size - i, &c)); i += (size_t)n) {}
        if (i > begin && !rewrite(r, s + begin, i - begin, r->begins && !begin, r->ends && i == size, most))
            return false;
        begin = i;
        while (i < size && !utf8_decode(s + i, size - i, &c)) i++;
        buf_append(&r->out, s + begin, i - begin);
    }
    return !r->out.failed;
}

void rewriting_free(struct rewriting *r) {
    buf_free(&r->out);
    buf_free(&r->from);
}
