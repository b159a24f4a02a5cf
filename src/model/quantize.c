#include "model/quantize.h"
#include "base/buf.h"
#include "format/checkpoint.h"
#include "model/merge.h"
#include "model/mixture.h"
#include "model/recode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct job {
    const gyr_quantize_options *o;
    const struct mixture *mixture;
    struct checkpoint *c;
    struct merge *merge; // NULL: there is no adapter
    enum type *types;    // of each tensor in the output
    struct gguf_writer *w;
    struct recode_options how;
    struct recoder *recoder;
};

static int shown_size(struct text s) { return (int)(s.size < 100 ? s.size : 100); }

// A tensor on its way, and what is added to it.
struct source {
    const struct tensor *t;
    struct merged merged;
    bool adapted;
};

static void read_tensor(const void *arg, uint64_t first, size_t n, float *out) {
    const struct source *s = arg;
    type_decode(s->t->type, s->t->data, (size_t)first, n, out);
    if (s->adapted) merge_add(&s->merged, first, n, out);
}

static bool is_adapted(const struct job *j, const struct tensor *t, struct merged *out) {
    char name[128];
    if (!j->merge || t->name.size >= sizeof name) return false;
    memcpy(name, t->name.data, t->name.size);
    name[t->name.size] = 0;
    return merge_meets(j->merge, name, t->dim, out);
}

static bool write_tensor(struct job *j, size_t i, gyr_error *e) {
    const struct tensor *t = &j->c->tensors[i];
    struct source source = {.t = t};
    source.adapted = is_adapted(j, t, &source.merged);
    struct recode_source s = {.name = t->name,
                              .count = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3],
                              .from = t->type,
                              .as_is = source.adapted ? NULL : t->data,
                              .read = read_tensor,
                              .arg = &source};
    return recode(j->recoder, j->w, &s, j->types[i], e);
}

// Keys that are about the input's own file.
static bool is_dropped(struct text key) {
    static const char *const dropped[] = {"general.file_type", "general.quantization_version"};
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        if (key.size == strlen(dropped[i]) && !memcmp(key.data, dropped[i], key.size)) return true;
    return key.size > 6 && !memcmp(key.data, "split.", 6);
}

static bool put_keys(struct job *j, gyr_error *e) {
    struct text key;
    const struct value *v;
    for (size_t i = 0; checkpoint_key(j->c, i, &key, &v); i++) {
        if (is_dropped(key)) continue;
        char *name = strndup(key.data, key.size);
        if (!name) return fail_memory(e, j->o->output);
        gguf_put_value(j->w, name, v);
        free(name);
    }
    gguf_put_u32(j->w, "general.quantization_version", 2);
    const struct value *own = checkpoint_value(j->c, "general.file_type");
    if (j->mixture)
        gguf_put_u32(j->w, "general.file_type", j->mixture->file_type);
    else if (own)
        gguf_put_value(j->w, "general.file_type", own);
    return true;
}

static bool put_tensors(struct job *j, gyr_error *e) {
    struct mixture_facts facts;
    mixture_facts(j->c, &facts);
    for (size_t i = 0; i < j->c->n_tensors; i++) {
        const struct tensor *t = &j->c->tensors[i];
        enum type to = j->types[i] = j->mixture ? mixture_type(j->mixture, &facts, t, j->o->pure) : t->type;
        struct merged merged;
        if (to != t->type && type_info(t->type)->quantized && !j->o->requantize)
            return fail(e, GYR_USAGE,
                        "%s: tensor %.*s is quantized already (%s); take the model as it was before, or --requantize",
                        j->c->path, shown_size(t->name), t->name.data, type_info(t->type)->name);
        char *name = strndup(t->name.data, t->name.size);
        if (!name) return fail_memory(e, j->o->output);
        bool written = !is_adapted(j, t, &merged) || merge_writes(j->merge, name, to, e);
        gguf_put_tensor(j->w, name, to, t->n_dims, t->dim);
        free(name);
        if (!written) return false;
        j->how.total += t->bytes;
    }
    return (!j->merge || merge_met_all(j->merge, e)) && gguf_writer_begin(j->w, e);
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

// Is `path` the input, or a part of it: "NAME-00001-of-00003.gguf"?
static bool is_input(const char *path, const char *input) {
    static const char form[] = "-%5u-of-%5u.gguf";
    size_t n = strlen(input), tail = strlen("-00001-of-00003.gguf");
    unsigned no, count;
    if (same_file(path, input)) return true;
    if (n < tail || sscanf(input + n - tail, form, &no, &count) != 2) return false;
    for (no = 1; no <= count; no++) {
        struct buf b = {0};
        buf_append(&b, input, n - tail);
        buf_printf(&b, "-%05u-of-%05u.gguf", no, count);
        char *part = buf_take(&b);
        bool same = part && same_file(path, part);
        free(part);
        if (same) return true;
    }
    return false;
}

static bool prepare(struct job *j, gyr_error *e) {
    const gyr_quantize_options *o = j->o;
    if (!o->input || !o->output || (!o->type && !o->adapter))
        return fail(e, GYR_USAGE, "quantize: give a file, a new one and a type");
    if (o->type && !(j->mixture = mixture_by_name(o->type))) return mixture_unknown(o->type, e);
    if (!(j->c = checkpoint_open(o->input, e))) return false;
    if (j->c->source != CHECKPOINT_GGUF)
        return fail(e, GYR_UNSUPPORTED, "%s: is a Hugging Face folder; gyr convert --type quantizes it", o->input);
    if (is_input(o->output, o->input))
        return fail(e, GYR_USAGE, "%s: is the input itself; choose another name to write to", o->output);
    j->how = (struct recode_options){
        .input = j->c->path, .output = o->output, .threads = o->threads, .progress = o->progress, .user = o->user};
    if (!(j->recoder = recoder_new(&j->how, e))) return false;
    j->types = calloc(j->c->n_tensors + 1, sizeof *j->types);
    if (!j->types) return fail_memory(e, o->output);
    j->w = gguf_writer_new(o->output, e);
    if (!j->w || (o->adapter && !(j->merge = merge_new(j->c, o->adapter, e)))) return false;
    return put_keys(j, e) && put_tensors(j, e);
}

bool quantize(const gyr_quantize_options *o, gyr_error *e) {
    struct job j = {.o = o};
    bool ok = prepare(&j, e);
    for (size_t i = 0; ok && i < j.c->n_tensors; i++) ok = write_tensor(&j, i, e);
    if (j.w) {
        bool ended = gguf_writer_end(j.w, ok, ok ? e : NULL);
        ok = ok && ended;
    }
    recoder_free(j.recoder);
    merge_free(j.merge);
    free(j.types);
    checkpoint_close(j.c);
    return ok;
}
