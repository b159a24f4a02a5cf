// What the grammars of calls let through is read back as whole calls: random walks through the masks of every format,
// by a tokenizer whose marks are special tokens, and by one that has them as text.
#include "server/call_grammar.h"

#include "told.h"

enum { BYTES = 256, MAX_STEPS = 6000 };

struct vocabulary {
    char folder[64];
    gyr_tokenizer *tokenizer;
    char specials[128][64]; // token BYTES + i; the first ends an answer
    size_t n;
};

static void add_special(struct vocabulary *v, const char *s, size_t size) {
    for (size_t i = 0; i < v->n; i++)
        if (strlen(v->specials[i]) == size && !memcmp(v->specials[i], s, size)) return;
    if (v->n == 128 || size >= sizeof v->specials[0]) abort();
    snprintf(v->specials[v->n++], sizeof v->specials[0], "%.*s", (int)size, s);
}

// The parts of all marks that stand in <> or [].
static void add_marks(struct vocabulary *v) {
    for (size_t row = 0; format_row(row); row++)
        for (size_t s = 0; s < SHAPES && format_row(row)->shapes[s]; s++)
            for (size_t m = 0; m < MARKS; m++) {
                const char *mark = format_row(row)->shapes[s]->mark[m], *end;
                for (; mark && *mark; mark = end ? end + 1 : mark + 1) {
                    end = *mark == '<' ? strchr(mark, '>') : *mark == '[' ? strchr(mark, ']') : NULL;
                    if (end) add_special(v, mark, (size_t)(end - mark) + 1);
                }
            }
}

// A vocabulary of bytes, as GPT-2 writes them.
static json_t *bytes_as_tokens(void) {
    json_t *all = json_object();
    for (unsigned b = 0, more = 256; b < BYTES; b++) {
        bool plain = (b > 32 && b < 127) || (b > 160 && b != 173);
        unsigned c = plain ? b : more++;
        char key[3] = {(char)c};
        if (c >= 128) key[0] = (char)(0xc0 | c >> 6), key[1] = (char)(0x80 | (c & 63));
        json_object_set_new(all, key, json_integer(b));
    }
    return all;
}

static void write_json(const struct vocabulary *v, const char *name, json_t *j) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", v->folder, name);
    if (json_dump_file(j, path, 0)) abort();
    json_decref(j);
}

static void vocabulary_open(struct vocabulary *v, bool marks) {
    *v = (struct vocabulary){.folder = "/tmp/gyr-calls-XXXXXX"};
    if (!mkdtemp(v->folder)) abort();
    add_special(v, "<|over|>", 8);
    if (marks) add_marks(v);
    json_t *added = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(added, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (int)(BYTES + i), "content",
                                               v->specials[i], "special", 1, "lstrip", 0, "rstrip", 0, "normalized", 0,
                                               "single_word", 0));
    write_json(v, "tokenizer.json",
               json_pack("{s:{s:s, s:o, s:[]}, s:o, s:{s:s, s:b, s:b}, s:{s:s}}", "model", "type", "BPE", "vocab",
                         bytes_as_tokens(), "merges", "added_tokens", added, "pre_tokenizer", "type", "ByteLevel",
                         "add_prefix_space", 0, "use_regex", 0, "decoder", "type", "ByteLevel"));
    write_json(v, "tokenizer_config.json", json_pack("{s:s}", "eos_token", "<|over|>"));
    write_json(v, "config.json", json_pack("{s:s, s:i}", "model_type", "llama", "vocab_size", (int)(BYTES + v->n)));
    gyr_error e;
    v->tokenizer = gyr_tokenizer_open(v->folder, &e);
    if (!v->tokenizer) printf("%s\n", e.message);
}

static void vocabulary_close(struct vocabulary *v) {
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "config.json"};
    char path[128];
    gyr_tokenizer_close(v->tokenizer);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", v->folder, names[i]);
        unlink(path);
    }
    rmdir(v->folder);
}

// A random walk, that goes along the ends of marks when it can, or it would hardly ever come to an end.
struct walk {
    const struct format *format;
    const uint32_t *allowed;
    size_t n;        // tokens
    const char *end; // what it is following, from here
};

static bool may(const struct walk *w, size_t id) { return w->allowed[id / 32] >> (id % 32) & 1; }

static const char *some_end(const struct walk *w) {
    const struct shape *s = w->format->calls->shapes[0];
    const char *const ends[] = {
        "\"",      w->format->thinking->close,       s->mark[MARK_VALUE_ENDS], "\n</parameter>", "<escape>", "<|\"|>",
        "<|end|>", w->format->thinking->answer_close};
    const char *end = ends[draw(8)];
    return end ? end : "";
}

static int32_t choose(struct walk *w) {
    if (may(w, BYTES) && draw(2)) return BYTES;
    if ((!w->end || !*w->end) && draw(4) == 0) w->end = some_end(w);
    if (w->end && *w->end && may(w, (uint8_t)*w->end)) return (uint8_t)*w->end++;
    w->end = NULL;
    size_t left = 0, specials = 0;
    for (size_t i = 0; i < w->n; i++) left += may(w, i), specials += i > BYTES && may(w, i);
    if (!left) return -1;
    uint32_t k = specials && draw(4) == 0 ? (uint32_t)(left - 1 - draw((uint32_t)specials)) : draw((uint32_t)left);
    for (size_t i = 0; i < w->n; i++)
        if (may(w, i) && k-- == 0) return (int32_t)i;
    return -1;
}

// Whether the walk came to its end, with the text it found.
static bool walk(const struct vocabulary *v, const struct format *f, gyr_matcher *m, struct output *o,
                 struct buf *text) {
    uint32_t allowed[16];
    struct walk w = {.format = f, .allowed = allowed, .n = BYTES + v->n};
    for (int i = 0; i < MAX_STEPS; i++) {
        CHECK_INT(gyr_matcher_mask(m, allowed, NULL), GYR_OK);
        int32_t id = choose(&w);
        if (id < 0) return false;
        CHECK_INT(gyr_matcher_accept(m, id, NULL), GYR_OK);
        if (gyr_matcher_ended(m)) return true;
        char byte = (char)id;
        const char *s = id > BYTES ? v->specials[id - BYTES] : &byte;
        output_put(o, s, id > BYTES ? strlen(s) : 1, id > BYTES);
        buf_append(text, s, id > BYTES ? strlen(s) : 1);
    }
    return false;
}

static size_t walked;

static void walk_format(const struct vocabulary *v, size_t row, const json_t *tools, const char *instead) {
    struct buf source = {0}, grammar = {0};
    struct format f;
    gyr_error e = {0};
    for (size_t i = 0; i < 3 && format_row(row)->signs[i]; i++) buf_puts(&source, format_row(row)->signs[i]);
    format_find(&f, source.data ? source.data : "", source.size, v->tokenizer);
    enum format_begins begins = f.calls->shapes[0]->kind == CALL_CHANNELS ? BEGINS_HEADER : BEGINS_ANSWER;
    struct call_grammar how = {
        .format = &f, .tools = tools, .choice = CALLS_MUST, .parallel = row % 2, .begins = begins, .answer = instead};
    CHECK(call_grammar(&how, &grammar, &e));
    gyr_grammar *g = gyr_grammar_new(v->tokenizer, GYR_GRAMMAR_EBNF, grammar.data, grammar.size, &e);
    if (!g) printf("%s: %s\n%s\n", f.calls->name, e.message, grammar.data);
    CHECK(g != NULL);
    for (int i = 0; g && i < 4; i++) {
        struct told t = {.last = -1};
        struct buf text = {0};
        gyr_matcher *m = gyr_matcher_new(g, NULL);
        struct output_options options = {
            .format = &f, .tools = tools, .begins = begins, .event = tell_event, .user = &t};
        struct output *o = output_new(&options, NULL);
        bool over = walk(v, &f, m, o, &text);
        CHECK(output_finish(o, true, NULL));
        buf_puts(&t.line, "");
        bool call = strstr(t.line.data, "call:") != NULL, answer = strncmp(t.line.data, "text:", 5) == 0;
        if (instead && strstr(t.line.data, "text:true")) call = true, answer = false;
        if (over && (t.bad || !call || strstr(t.line.data, "|end broken") || (answer && !f.thinking->answer_open))) {
            test_bad = true;
            printf("%s:\n%s\nis\n%s\n", f.calls->name, text.data, t.line.data);
        }
        walked += over;
        output_free(o);
        gyr_matcher_free(m);
        buf_free(&t.line);
        buf_free(&t.arguments);
        buf_free(&text);
    }
    gyr_grammar_free(g);
    buf_free(&source);
    buf_free(&grammar);
}

static void walk_all(bool marks) {
    struct vocabulary v;
    json_t *tools = json_loads(
        "[{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
        "\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"integer\"},\"c\":{\"enum\":[\"x\",\"y\"]},"
        "\"d\":{\"type\":\"boolean\"}},\"required\":[\"a\",\"d\"]}},"
        "{\"name\":\"g\",\"parameters\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}}]",
        0, NULL);
    vocabulary_open(&v, marks);
    walked = 0;
    size_t rows = 0;
    for (; v.tokenizer && format_row(rows); rows++) {
        walk_format(&v, rows, tools, NULL);
        walk_format(&v, rows, tools, "{\"const\":true}");
    }
    CHECK(v.tokenizer != NULL && walked > 6 * rows);
    vocabulary_close(&v);
    json_decref(tools);
}

static void marks_are_text(void) { walk_all(false); }
static void marks_are_special_tokens(void) { walk_all(true); }

int main(void) {
    RUN(marks_are_text);
    RUN(marks_are_special_tokens);
    return test_end();
}
