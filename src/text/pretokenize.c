#include "text/pretokenize.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "format/alphabet.h"
#include "text/patterns.h"
#include <stdlib.h>

static bool add_step(struct pretokenizer *p, const struct split *split, const char *where, gyr_error *e) {
    struct regex *regex = split->pattern ? regex_new(split->pattern, where, e) : NULL;
    if (split->pattern && !regex) return false;
    p->steps[p->n++] = (struct step){regex, split->behavior, split->invert, split->mapped, split->marked, split->first};
    return true;
}

static bool unknown(const char *pre, const char *where, gyr_error *e) {
    struct buf known = {0};
    patterns_list(&known);
    fail(e, GYR_UNSUPPORTED, "%s: unknown pre-tokenizer \"%.40s\"; gyr knows %s", where, pre,
         known.data ? known.data : "");
    buf_free(&known);
    return false;
}

bool pretokenizer_init(struct pretokenizer *p, const struct vocab *v, const char *where, gyr_error *e) {
    const struct patterns *named = NULL;
    if (!v->has_splits && v->byte_level) {
        const char *pre = v->pre ? v->pre : "default";
        named = patterns_find(pre);
        if (!named) return unknown(pre, where, e);
        p->ignore_merges = named->ignore_merges;
    }
    size_t n = v->has_splits ? v->n_splits : MAX_STEPS;
    p->steps = calloc(n ? n : 1, sizeof *p->steps);
    if (!p->steps) return fail_memory(e, where);
    for (size_t i = 0; named && i < MAX_STEPS && named->steps[i]; i++) {
        struct split split = {.pattern = (char *)(uintptr_t)named->steps[i], .mapped = named->mapped >> i & 1};
        if (!add_step(p, &split, where, e)) return false;
    }
    for (size_t i = 0; v->has_splits && i < v->n_splits; i++)
        if (!add_step(p, &v->splits[i], where, e)) return false;
    return true;
}

void pretokenizer_free(struct pretokenizer *p) {
    for (size_t i = 0; i < p->n; i++) regex_free(p->steps[i].regex);
    free(p->steps);
    *p = (struct pretokenizer){0};
}

void words_free(struct words *w) {
    free(w->spans.at);
    free(w->next.at);
    free(w->segments.at);
    buf_free(&w->mapped);
    for (int i = 0; i < 2; i++) buf_free(&w->spaced[i]);
    *w = (struct words){0};
}

static bool push(struct spans *s, size_t begin, size_t end, bool match, bool first) {
    if (!ARRAY_GROW(s->at, s->n, s->room)) return false;
    s->at[s->n++] = (struct span){(uint32_t)begin, (uint32_t)end, match, first};
    return true;
}

// What a pattern is matched with: the text itself, its bytes as letters of the byte alphabet, or the text with U+2581
// for its spaces.
struct view {
    const char *text, *bytes;
    size_t size;
    size_t at, byte; // a place in a mapped text, and which byte that is; moves forward only
    bool mapped, marked;
};

static bool view_piece(struct view *v, const struct step *step, const char *text, size_t size, struct buf *room) {
    *v = (struct view){
        .text = text, .bytes = text, .size = size, .mapped = step->mapped, .marked = step->marked && !step->mapped};
    if (!v->mapped && !v->marked) return true;
    buf_clear(room);
    for (size_t i = 0; i < size; i++) {
        char c[4];
        if (v->mapped)
            buf_append(room, c, (size_t)utf8_encode(alphabet_char((unsigned char)text[i]), c));
        else if (text[i] == ' ')
            buf_puts(room, "\xe2\x96\x81");
        else
            buf_putc(room, text[i]);
    }
    v->text = room->data;
    v->size = room->size;
    return !room->failed;
}

// The place in the text itself that offset `at` of the view is.
static size_t view_offset(struct view *v, size_t at) {
    if (!v->mapped && !v->marked) return at;
    for (; v->marked && v->at < at; v->byte++) v->at += v->bytes[v->byte] == ' ' ? 3 : 1;
    for (; v->at < at; v->at++) v->byte += ((unsigned char)v->text[v->at] & 0xc0) != 0x80;
    return v->byte;
}

// Matches and what lies between them, in order.
static bool find_segments(const struct step *step, struct scan *scan, struct span piece, struct words *w) {
    struct view v;
    struct spans *out = &w->segments;
    out->n = 0;
    if (!view_piece(&v, step, w->text + piece.begin, piece.end - piece.begin, &w->mapped)) return false;
    size_t done = piece.begin, begin, end;
    for (size_t from = 0; from < v.size && regex_find(step->regex, scan, v.text, v.size, from, &begin, &end);) {
        size_t first = piece.begin + view_offset(&v, begin), last = piece.begin + view_offset(&v, end);
        if (first > done && !push(out, done, first, step->invert, piece.first && done == piece.begin)) return false;
        if (!push(out, first, last, !step->invert, piece.first && first == piece.begin)) return false;
        done = last;
        from = end;
        if (begin == end) // an empty match cuts the text; the next one is at least a character further
            for (from++; from < v.size && ((unsigned char)v.text[from] & 0xc0) == 0x80;) from++;
    }
    return done == piece.end || push(out, done, piece.end, step->invert, piece.first && done == piece.begin);
}

// What becomes of the segments, as Hugging Face's SplitDelimiterBehavior says. Empty words are left out.
static bool join_segments(enum split_behavior behavior, const struct spans *in, struct spans *out) {
    size_t first = out->n;
    bool before = false; // the segment before is a match
    for (size_t i = 0; i < in->n; i++) {
        struct span s = in->at[i];
        bool joins = out->n > first && out->at[out->n - 1].end == s.begin;
        if (behavior == SPLIT_CONTIGUOUS)
            joins = joins && s.match == before;
        else if (behavior == SPLIT_MERGED_PREVIOUS)
            joins = joins && s.match && !before;
        else if (behavior == SPLIT_MERGED_NEXT)
            joins = joins && before && !s.match;
        else
            joins = false;
        before = s.match;
        if (behavior == SPLIT_REMOVED && s.match) continue;
        if (joins)
            out->at[out->n - 1].end = s.end;
        else if (!push(out, s.begin, s.end, s.match, s.first))
            return false;
    }
    size_t kept = first;
    for (size_t i = first; i < out->n; i++)
        if (out->at[i].begin < out->at[i].end) out->at[kept++] = out->at[i];
    out->n = kept;
    return true;
}

// Puts a space in front of each piece that has none, in a text of its own.
static bool put_spaces(const struct step *step, struct words *w) {
    struct buf *out = &w->spaced[w->text == w->spaced[0].data];
    buf_clear(out);
    for (size_t k = 0; k < w->spans.n; k++) {
        struct span s = w->spans.at[k];
        size_t begin = out->size;
        if (w->text[s.begin] != ' ' && (!step->first || s.first)) buf_putc(out, ' ');
        buf_append(out, w->text + s.begin, s.end - s.begin);
        w->spans.at[k] = (struct span){(uint32_t)begin, (uint32_t)out->size, s.match, s.first};
    }
    if (w->spans.n) w->text = out->data;
    return !out->failed && out->size < UINT32_MAX;
}

bool pretokenize(const struct pretokenizer *p, struct scan *scan, const char *text, size_t size, struct words *w) {
    w->spans.n = 0;
    w->text = text;
    if (size && !push(&w->spans, 0, size, false, w->begins)) return false;
    for (size_t i = 0; i < p->n; i++) {
        if (!p->steps[i].regex) {
            if (!put_spaces(&p->steps[i], w)) return false;
            continue;
        }
        scan->spent = false;
        w->next.n = 0;
        for (size_t k = 0; k < w->spans.n; k++)
            if (!find_segments(&p->steps[i], scan, w->spans.at[k], w) ||
                !join_segments(p->steps[i].behavior, &w->segments, &w->next))
                return false;
        struct spans done = w->next;
        w->next = w->spans;
        w->spans = done;
    }
    return true;
}
