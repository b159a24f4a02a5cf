// tokenizer.json (the Hugging Face tokenizers library) as a vocabulary: the model, the sections around it, and what one
// says about the other.
#include "format/tokenizer_json.h"

#include "format/hf.h"

#include <stdlib.h>
#include <string.h>

bool json_malformed(struct tokenizer_reader *r, const char *what) {
    return fail(r->e, GYR_MALFORMED, "%s: %s; get the file again", r->where, what);
}

bool json_unsupported(struct tokenizer_reader *r, const char *what) {
    return fail(r->e, GYR_UNSUPPORTED, "%s: %s, which gyr cannot do; choose another model", r->where, what);
}

bool json_flag(const json_t *j, const char *name, bool otherwise) {
    const json_t *value = json_object_get(j, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

bool read_step(struct tokenizer_reader *r, const json_t *j, const struct step *steps, size_t n, const char *section) {
    if (!j || json_is_null(j)) return true;
    struct text type = json_text(json_object_get(j, "type"));
    if (!type.data) return fail(r->e, GYR_MALFORMED, "%s: a %s has no type; get the file again", r->where, section);
    struct buf known = {0};
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(steps[i].type, type.data)) {
            buf_free(&known);
            return steps[i].read(r, j);
        }
        buf_printf(&known, "%s%s", i ? ", " : "", steps[i].type);
    }
    fail(r->e, GYR_UNSUPPORTED, "%s: has a %s of kind %.*s; gyr knows %s", r->where, section, shown(type), type.data,
         known.failed ? "others" : known.data);
    buf_free(&known);
    return false;
}

static bool keep_splits(struct tokenizer_reader *r) {
    r->v->has_splits = true;
    r->v->n_splits = r->n_splits;
    r->v->splits = arena_alloc(r->v->storage, r->n_splits, sizeof *r->v->splits);
    if (!r->v->splits) return fail_memory(r->e, r->where);
    memcpy(r->v->splits, r->splits, r->n_splits * sizeof *r->splits);
    return true;
}

// Where spaces are written as U+2581, what normalizers write so is a space.
static void unmark(struct text *s) {
    char *out = (char *)(uintptr_t)s->data;
    size_t n = 0;
    for (size_t i = 0; i < s->size;) {
        bool marker = s->size - i >= 3 && !memcmp(s->data + i, "\xe2\x96\x81", 3);
        out[n++] = marker ? ' ' : s->data[i];
        i += marker ? 3 : 1;
    }
    s->size = n;
}

static bool keep_normals(struct tokenizer_reader *r) {
    struct vocab *v = r->v;
    // A U+2581 of the text is a space to those who have no other token for it.
    static const char marker[] = "\\x{2581}";
    if (v->kind == VOCAB_UNIGRAM && v->space_marker && !v->byte_fallback && r->n_normals < MAX_NORMALS)
        r->normals[r->n_normals++] = (struct normal){.kind = NORMAL_REPLACE,
                                                     .pattern = (char *)(uintptr_t)marker,
                                                     .content = {arena_copy(v->storage, (struct text){" ", 1}), 1}};
    v->n_normals = r->n_normals;
    v->normals = arena_alloc(v->storage, r->n_normals, sizeof *v->normals);
    if (!v->normals) return fail_memory(r->e, r->where);
    memcpy(v->normals, r->normals, r->n_normals * sizeof *r->normals);
    for (size_t i = 0; i < v->n_normals; i++) {
        struct normal *n = &v->normals[i];
        if (v->space_marker && n->content.data && n->kind != NORMAL_CHARSMAP) unmark(&n->content);
    }
    return true;
}

bool tokenizer_json(const char *data, size_t size, const char *where, struct vocab *v, gyr_error *e) {
    *v = (struct vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1};
    if (!(v->storage = calloc(1, sizeof(struct arena)))) return fail_memory(e, where);
    json_t *root = json_parse(data, size, 0, where, e);
    struct tokenizer_reader r = {.where = where, .v = v, .e = e};
    bool ok = root && read_model(&r, root) && read_normalizer(&r, json_object_get(root, "normalizer")) &&
              read_pre_tokenizer(&r, json_object_get(root, "pre_tokenizer")) &&
              read_post_processor(&r, json_object_get(root, "post_processor")) && keep_splits(&r) && keep_normals(&r);
    json_decref(root);
    return ok;
}
