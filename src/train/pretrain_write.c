// What was trained as a GGUF file: the keys of what it began with, and matrices in the type that was asked for.
#include "base/buf.h"
#include "format/gguf_write.h"
#include "train/pretrain.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 16 };

static uint32_t file_type(enum type t) { return t == TYPE_F32 ? 0 : t == TYPE_F16 ? 1 : 32; }

static bool is_own(struct text key) {
    static const char *const own[] = {"general.file_type", "general.quantization_version"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (key.size == strlen(own[i]) && !memcmp(key.data, own[i], key.size)) return true;
    return key.size > 6 && !memcmp(key.data, "split.", 6);
}

static char *name_of(struct text s, gyr_error *e) {
    char *name = strndup(s.data, s.size);
    if (!name) fail_memory(e, "training");
    return name;
}

static enum type type_of(const struct gyr_train *t, const struct whole_part *p) {
    return p->matrix ? t->type : TYPE_F32;
}

static bool put_head(const struct gyr_train *t, struct gguf_writer *w, gyr_error *e) {
    struct text key;
    const struct value *v;
    char *name;
    for (size_t i = 0; checkpoint_key(t->c, i, &key, &v); i++) {
        if (is_own(key)) continue;
        if (!(name = name_of(key, e))) return false;
        gguf_put_value(w, name, v);
        free(name);
    }
    gguf_put_u32(w, "general.file_type", file_type(t->type));
    for (size_t i = 0; i < t->c->n_tensors; i++) {
        const struct tensor *of = &t->c->tensors[i];
        if (!(name = name_of(of->name, e))) return false;
        gguf_put_tensor(w, name, type_of(t, &t->w->parts[i]), of->n_dims, of->dim);
        free(name);
    }
    return gguf_writer_begin(w, e);
}

// room: for the numbers of a piece, and then for what becomes of them.
static bool write_part(const struct gyr_train *t, struct gguf_writer *w, const struct whole_part *p, float *room,
                       gyr_error *e) {
    enum type to = type_of(t, p);
    for (size_t at = 0, n; at < p->n; at += n) {
        n = p->n - at < PIECE ? p->n - at : PIECE;
        whole_give(t->w, p, at, n, room);
        type_info(to)->encode(room, n, room + PIECE);
        if (!gguf_writer_data(w, room + PIECE, type_row_bytes(to, n), e)) return false;
    }
    return true;
}

bool pretrain_write(const struct gyr_train *t, gyr_error *e) {
    float *room = malloc(2 * PIECE * sizeof *room);
    struct gguf_writer *w = room ? gguf_writer_new(t->output, e) : NULL;
    bool ok = room ? w && put_head(t, w, e) : fail_memory(e, t->output);
    for (size_t i = 0; ok && i < t->c->n_tensors; i++) ok = write_part(t, w, &t->w->parts[i], room, e);
    if (w) ok = gguf_writer_end(w, ok, ok ? e : NULL) && ok;
    free(room);
    return ok;
}
