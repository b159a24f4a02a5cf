// A learned vocabulary as a tokenizer.json, in the form that Hugging Face's tokenizers write.
#include "base/out.h"
#include "base/utf8.h"
#include "format/alphabet.h"
#include "text/learn.h"
#include "text/patterns.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// A token as the file spells it: special ones as they are, others in GPT-2's alphabet if they are bytes.
static json_t *spelled(const struct learned *l, size_t id, struct buf *room) {
    struct text s = l->tokens[id];
    if (id < l->n_special || l->characters) return json_stringn(s.data, s.size);
    buf_clear(room);
    for (size_t i = 0; i < s.size; i++) {
        char c[4];
        buf_append(room, c, (size_t)utf8_encode(alphabet_char((unsigned char)s.data[i]), c));
    }
    return room->failed ? NULL : json_stringn(room->data, room->size);
}

static json_t *byte_level(bool prefix, bool splits) {
    return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "trim_offsets", 1,
                     "use_regex", splits);
}

// What cuts texts into words. ByteLevel's own pattern is GPT-2's.
static json_t *splits(const char *pre) {
    const struct patterns *p = patterns_find(pre);
    if (!strcmp(pre, "gpt-2")) return byte_level(false, true);
    json_t *steps = json_array();
    for (size_t i = 0; p && i < MAX_STEPS && p->steps[i]; i++)
        json_array_append_new(steps, json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
                                               p->steps[i], "behavior", "Isolated", "invert", 0));
    json_array_append_new(steps, byte_level(false, false));
    return json_pack("{s:s,s:o}", "type", "Sequence", "pretokenizers", steps);
}

static json_t *replace(const char *what, const char *by) {
    return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", what, "content", by);
}

// As SentencePiece spells a text: U+2581 for each space, and one in front. No merge reaches over one, nor over a line
// end, so nothing has to be cut.
static json_t *mark_spaces(void) {
    return json_pack("{s:s,s:[{s:s,s:s},o]}", "type", "Sequence", "normalizers", "type", "Prepend", "prepend",
                     "\xe2\x96\x81", replace(" ", "\xe2\x96\x81"));
}

static json_t *unmark_spaces(void) {
    return json_pack("{s:s,s:[o,{s:s},{s:s},{s:s,s:s,s:i,s:i}]}", "type", "Sequence", "decoders",
                     replace("\xe2\x96\x81", " "), "type", "ByteFallback", "type", "Fuse", "type", "Strip", "content",
                     " ", "start", 1, "stop", 0);
}

static json_t *added(const struct learned *l) {
    json_t *all = json_array();
    for (size_t i = 0; i < l->n_special; i++)
        json_array_append_new(all, json_pack("{s:i,s:s%,s:b,s:b,s:b,s:b,s:b}", "id", (int)i, "content",
                                             l->tokens[i].data, l->tokens[i].size, "single_word", 0, "lstrip", 0,
                                             "rstrip", 0, "normalized", 0, "special", 1));
    return all;
}

static json_t *model(const struct learned *l, const char *pre) {
    json_t *names = json_array(), *vocab = json_object(), *merges = json_array();
    const struct patterns *p = pre ? patterns_find(pre) : NULL;
    struct buf room = {0};
    bool ok = names && vocab && merges;
    for (size_t i = 0; ok && i < l->n; i++) {
        json_t *name = spelled(l, i, &room);
        ok = !json_array_append_new(names, name) &&
             !json_object_set_new_nocheck(vocab, json_string_value(name), json_integer((json_int_t)i));
    }
    for (size_t i = 0; ok && i < l->n_merges; i++)
        ok = !json_array_append_new(merges, json_pack("[O,O]", json_array_get(names, (size_t)l->merges[i].left),
                                                      json_array_get(names, (size_t)l->merges[i].right)));
    buf_free(&room);
    json_decref(names);
    if (ok)
        return json_pack("{s:s,s:n,s:s?,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
                         l->characters ? l->tokens[0].data : NULL, "continuing_subword_prefix", "end_of_word_suffix",
                         "fuse_unk", l->characters, "byte_fallback", l->characters, "ignore_merges",
                         p && p->ignore_merges, "vocab", vocab, "merges", merges);
    json_decref(vocab);
    json_decref(merges);
    return NULL;
}

bool learned_write(const struct learned *l, const char *pre, const char *path, gyr_error *e) {
    bool marked = l->characters;
    json_t *root = json_pack("{s:s,s:n,s:n,s:o,s:o,s:o,s:n,s:o,s:o}", "version", "1.0", "truncation", "padding",
                             "added_tokens", added(l), "normalizer", marked ? mark_spaces() : json_null(),
                             "pre_tokenizer", marked ? json_null() : splits(pre), "post_processor", "decoder",
                             marked ? unmark_spaces() : byte_level(true, true), "model", model(l, pre));
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return fail_memory(e, path);
    struct out *o = out_open(path, 0666, e);
    bool ok = o && out_write(o, text, strlen(text), e) && out_write(o, "\n", 1, e);
    if (o) {
        bool ended = out_close(o, ok, ok ? e : NULL);
        ok = ok && ended;
    }
    free(text);
    return ok;
}
