// Vocabularies of ranks: tiktoken's own files (openai/tiktoken, load.py), a token in base64 and its rank on each line;
// and Mistral's tekken.json (mistralai/mistral-common, tekken.py), which has a pattern and special tokens too.
#include "base/base64.h"
#include "format/arena.h"
#include "format/hf.h"
#include "format/json.h"
#include "format/ranks.h"

#include <stdlib.h>
#include <string.h>

// Ranks may have gaps, which cost memory: this many more than lines are allowed.
enum { MAX_GAPS = 65536, MAX_SPECIALS = 65536 };

static bool damaged(const char *where, const char *what, gyr_error *e) {
    return fail(e, GYR_MALFORMED, "%s: %s; get the file again", where, what);
}

// What a vocabulary is made from.
struct source {
    struct vocab *v;
    struct text *pieces; // by rank
    size_t n, room;
    const char *where;
    gyr_error *e;
};

static bool begin(struct source *s, size_t room) {
    *s->v = (struct vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1};
    s->room = room;
    s->pieces = calloc(room + 1, sizeof *s->pieces);
    if ((s->v->storage = calloc(1, sizeof(struct arena))) && s->pieces) return true;
    return fail_memory(s->e, s->where);
}

static bool put_piece(struct source *s, size_t rank, struct text base64) {
    if (rank >= s->room || s->pieces[rank].size)
        return damaged(s->where, "a token's rank is there twice, or too large", s->e);
    char *bytes = arena_alloc(s->v->storage, base64.size + 1, 1);
    if (!bytes) return fail_memory(s->e, s->where);
    size_t n = base64_decode(base64.data, base64.size, bytes);
    if (n == SIZE_MAX || !n) return damaged(s->where, "a token is no base64", s->e);
    s->pieces[rank] = (struct text){bytes, n};
    if (rank >= s->n) s->n = rank + 1;
    return true;
}

static bool put_special(struct source *s, size_t id, struct text name) {
    s->v->tokens[id] = (struct text){arena_copy(s->v->storage, name), name.size};
    s->v->kinds[id] = TOKEN_CONTROL;
    return s->v->tokens[id].data || fail_memory(s->e, s->where);
}

// "BASE64 RANK"
static bool read_line(struct source *s, struct text line) {
    const char *space = memchr(line.data, ' ', line.size);
    size_t size = space ? (size_t)(space - line.data) : 0, digits = line.size - size - 1, rank = 0;
    bool ok = size && digits && digits < 10;
    for (size_t i = 0; ok && i < digits; i++) {
        char c = space[1 + i];
        ok = c >= '0' && c <= '9';
        rank = rank * 10 + (size_t)(c - '0');
    }
    return ok ? put_piece(s, rank, (struct text){line.data, size})
              : damaged(s->where, "a line is no token and its rank", s->e);
}

static bool read_lines(struct source *s, const char *data, size_t size) {
    bool ok = true;
    for (size_t at = 0, n; ok && at < size; at += n + 1) {
        const char *end = memchr(data + at, '\n', size - at);
        n = end ? (size_t)(end - data) - at : size - at;
        size_t shown = n && data[at + n - 1] == '\r' ? n - 1 : n;
        ok = !shown || read_line(s, (struct text){data + at, shown});
    }
    return ok && (s->n || damaged(s->where, "has no tokens", s->e));
}

// A file of lines, and room for `specials` tokens behind it.
static bool read_file_of_lines(struct source *s, const char *data, size_t size, size_t specials) {
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += data[i] == '\n';
    return begin(s, lines + MAX_GAPS) && read_lines(s, data, size) &&
           ranks_room(s->v, s->n + specials, s->where, s->e) && ranks_read(s->v, s->pieces, s->n, 0, s->where, s->e);
}

bool tiktoken_model(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e) {
    struct source s = {.v = v, .where = where, .e = e};
    bool ok = read_file_of_lines(&s, data, size, 0);
    free(s.pieces);
    return ok;
}

// The first Qwen's special tokens are in its program (Qwen/Qwen-7B, tokenization_qwen.py).
bool qwen_tiktoken(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e) {
    static const char *const names[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    enum { NAMED = 3, EXTRA = 205 };
    struct source s = {.v = v, .where = where, .e = e};
    bool ok = read_file_of_lines(&s, data, size, NAMED + EXTRA);
    for (size_t i = 0; ok && i < NAMED + EXTRA; i++) {
        struct buf b = {0};
        if (i < NAMED)
            buf_puts(&b, names[i]);
        else
            buf_printf(&b, "<|extra_%zu|>", i - NAMED);
        ok = b.failed ? fail_memory(e, where) : put_special(&s, s.n + i, (struct text){b.data, b.size});
        buf_free(&b);
    }
    if (ok) v->eos = (int32_t)s.n, v->eot = (int32_t)s.n + 2;
    free(s.pieces);
    return ok;
}

// A whole number of `config` in [0, most]; a missing one is `missing`.
static bool get_number(struct source *s, const json_t *config, const char *name, size_t most, size_t missing,
                       size_t *out) {
    const json_t *j = json_object_get(config, name);
    *out = missing;
    if (!j) return true;
    if (!json_is_integer(j) || json_integer_value(j) < 0 || (uint64_t)json_integer_value(j) > most)
        return damaged(s->where, "a number of its config is not a number, or too large", s->e);
    *out = (size_t)json_integer_value(j);
    return true;
}

// Those that older files do not name; what neither names is called by its id.
static bool put_tekken_specials(struct source *s, const json_t *list, size_t n) {
    static const char *const old[] = {"<unk>",
                                      "<s>",
                                      "</s>",
                                      "[INST]",
                                      "[/INST]",
                                      "[AVAILABLE_TOOLS]",
                                      "[/AVAILABLE_TOOLS]",
                                      "[TOOL_RESULTS]",
                                      "[/TOOL_RESULTS]",
                                      "[TOOL_CALLS]",
                                      "[IMG]",
                                      "<pad>",
                                      "[IMG_BREAK]",
                                      "[IMG_END]",
                                      "[PREFIX]",
                                      "[MIDDLE]",
                                      "[SUFFIX]",
                                      "[SYSTEM_PROMPT]",
                                      "[/SYSTEM_PROMPT]",
                                      "[TOOL_CONTENT]"};
    for (size_t i = 0; !list && i < sizeof old / sizeof *old && i < n; i++)
        if (!put_special(s, i, (struct text){old[i], strlen(old[i])})) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *j = json_array_get(list, i), *rank = json_object_get(j, "rank");
        struct text name = json_text(json_object_get(j, "token_str"));
        if (!name.size || !json_is_integer(rank) || json_integer_value(rank) < 0 ||
            (uint64_t)json_integer_value(rank) >= n || s->v->kinds[json_integer_value(rank)] == TOKEN_CONTROL)
            return damaged(s->where, "a special token has no name or no valid rank", s->e);
        if (!put_special(s, (size_t)json_integer_value(rank), name)) return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (s->v->kinds[i] == TOKEN_CONTROL) continue;
        struct buf b = {0};
        buf_printf(&b, "<SPECIAL_%zu>", i);
        bool ok = b.failed ? fail_memory(s->e, s->where) : put_special(s, i, (struct text){b.data, b.size});
        buf_free(&b);
        if (!ok) return false;
    }
    return true;
}

static int32_t find_special(const struct vocab *v, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (v->tokens[i].size == strlen(name) && !memcmp(v->tokens[i].data, name, strlen(name))) return (int32_t)i;
    return -1;
}

static bool put_pattern(struct source *s, struct text pattern) {
    struct vocab *v = s->v;
    v->splits = arena_alloc(v->storage, 1, sizeof *v->splits);
    if (!v->splits || !(v->splits[0].pattern = arena_copy(v->storage, pattern))) return fail_memory(s->e, s->where);
    v->n_splits = 1;
    v->has_splits = true;
    return true;
}

static bool read_tekken(struct source *s, const json_t *root) {
    const json_t *config = json_object_get(root, "config"), *vocab = json_object_get(root, "vocab");
    struct text pattern = json_text(json_object_get(config, "pattern"));
    size_t most = json_array_size(vocab), specials, all;
    if (!pattern.size || !most) return damaged(s->where, "has no pattern, or no tokens", s->e);
    if (!get_number(s, config, "default_num_special_tokens", MAX_SPECIALS, 1000, &specials) ||
        !get_number(s, config, "default_vocab_size", specials + most, specials + most, &all))
        return false;
    size_t n = all > specials ? all - specials : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *token = json_array_get(vocab, i), *rank = json_object_get(token, "rank");
        if (!json_is_integer(rank) || json_integer_value(rank) != (json_int_t)i)
            return damaged(s->where, "its tokens are not in the order of their ranks", s->e);
        struct text base64 = json_text(json_object_get(token, "token_bytes"));
        if (!put_piece(s, i, base64.data ? base64 : (struct text){"", 0})) return false;
    }
    if (!s->n) return damaged(s->where, "has no pattern, or no tokens", s->e);
    return ranks_room(s->v, all, s->where, s->e) &&
           put_tekken_specials(s, json_object_get(root, "special_tokens"), specials) &&
           ranks_read(s->v, s->pieces, n, specials, s->where, s->e) && put_pattern(s, pattern);
}

bool tekken_json(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e) {
    struct source s = {.v = v, .where = where, .e = e};
    json_t *root = json_parse(data, size, 0, where, e);
    bool ok = begin(&s, json_array_size(json_object_get(root, "vocab"))) && root && read_tekken(&s, root);
    if (ok) {
        size_t n = 0;
        while (n < v->n && v->kinds[n] == TOKEN_CONTROL) n++;
        v->unk = find_special(v, n, "<unk>");
        v->bos = find_special(v, n, "<s>");
        v->eos = find_special(v, n, "</s>");
        v->pad = find_special(v, n, "<pad>");
        v->add_bos = v->bos >= 0;
        v->ignore_merges = true; // as the tokenizer.json of such models says it
    }
    json_decref(root);
    free(s.pieces);
    return ok;
}
