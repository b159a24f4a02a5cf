// Tensors are looked up by the family's Hugging Face names and written under its GGUF names, their rows in the order
// that GGUF has them. What differs is what the family's row says differs, so loading and converting have one truth.
#include "model/convert.h"

#include "model/convert_job.h"
#include "model/convert_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum type type_of(const struct piece *p) { return p->t ? p->t->type : TYPE_F32; }

static void choose_type(const struct job *j, struct piece *p, const struct mixture_facts *facts) {
    struct tensor t = {.name = {p->name, strlen(p->name)}, .type = type_of(p), .n_dims = p->n_dims};
    memcpy(t.dim, p->dim, sizeof t.dim);
    if (p->n_dims < 2 || p->fine)
        p->to = TYPE_F32;
    else if (type_info(t.type)->quantized && convert_is_plain(p))
        p->to = t.type; // exactly as it is
    else {
        if (type_info(t.type)->quantized) t.type = TYPE_F32; // the same numbers no more
        p->to = j->mixture ? mixture_type(j->mixture, facts, &t, j->o->pure) : t.type;
    }
}

// What a folder's own types are called: by the one that most weights have.
static uint32_t file_type(const struct job *j) {
    static const uint32_t names[TYPE_LIMIT] = {
        [TYPE_F16] = 1, [TYPE_BF16] = 32, [TYPE_MXFP4] = 38, [TYPE_Q4_0] = 2, [TYPE_Q5_0] = 8};
    uint64_t weights[TYPE_LIMIT] = {0};
    enum type most = TYPE_F32;
    for (size_t i = 0; i < j->n; i++) weights[j->pieces[i].to] += j->pieces[i].cols * j->pieces[i].rows;
    for (enum type t = 0; t < TYPE_LIMIT; t++)
        if (weights[t] > weights[most]) most = t;
    return names[most];
}

// The folder's name; that of the folder around it where its own is a commit.
static void put_name(struct job *j) {
    char *path = realpath(j->c->path, NULL), *slash = path ? strrchr(path, '/') : NULL;
    if (slash && strlen(slash + 1) == 40 && strspn(slash + 1, "0123456789abcdef") == 40) {
        *slash = 0;
        slash = strrchr(path, '/');
    }
    if (slash && slash[1]) gguf_put_cstring(j->w, "general.name", slash + 1);
    free(path);
}

// What the maker recommends, as llama.cpp's converter writes it.
static void put_advice(struct gguf_writer *w, const struct sampling_advice *a) {
    if (!isnan(a->temperature)) gguf_put_f32(w, "general.sampling.temp", (float)a->temperature);
    if (a->top_k >= 0 && a->top_k <= INT32_MAX) gguf_put_u32(w, "general.sampling.top_k", (uint32_t)a->top_k);
    if (!isnan(a->top_p)) gguf_put_f32(w, "general.sampling.top_p", (float)a->top_p);
    if (!isnan(a->min_p)) gguf_put_f32(w, "general.sampling.min_p", (float)a->min_p);
    if (!isnan(a->penalty_repeat)) gguf_put_f32(w, "general.sampling.penalty_repeat", (float)a->penalty_repeat);
}

static bool put_head(struct job *j, gyr_error *e) {
    const struct model *m = j->m;
    struct mixture_facts facts = {.falcon = !strcmp(m->family->architecture, "falcon"),
                                  .tied = m->tied,
                                  .layers = m->h.layers,
                                  .heads_per_kv = m->h.heads ? m->h.heads / m->layers[0].plan.heads.kv_heads : 1};
    for (size_t i = 0; i < j->n; i++) {
        struct piece *p = &j->pieces[i];
        choose_type(j, p, &facts);
        p->adapted = j->merge && merge_meets(j->merge, p->name, p->dim, &p->merged);
        if (p->adapted && !merge_writes(j->merge, p->name, p->to, e)) return false;
    }
    if (j->merge && !merge_met_all(j->merge, e)) return false;
    gguf_put_cstring(j->w, "general.architecture", m->family->architecture);
    gguf_put_cstring(j->w, "general.type", "model");
    put_name(j);
    gguf_put_u32(j->w, "general.quantization_version", 2);
    gguf_put_u32(j->w, "general.file_type", j->mixture ? j->mixture->file_type : file_type(j));
    put_hyper_keys(j->w, m);
    put_advice(j->w, &j->c->advice);
    if (!gguf_vocab_new(&j->vocab, j->c, m->h.vocab, m->family->gguf_merges, e)) return false;
    gguf_put_vocab(j->w, &j->vocab.v);
    for (size_t i = 0; i < j->n; i++) {
        const struct piece *p = &j->pieces[i];
        gguf_put_tensor(j->w, p->name, p->to, p->n_dims, p->dim);
        j->how.total += type_row_bytes(type_of(p), p->cols * p->rows);
    }
    return gguf_writer_begin(j->w, e);
}

// GGUF has no words for all that sentence-transformers' modules may do to an embedding.
static bool embeds_alike(const struct job *j, gyr_error *e) {
    const struct sentence *s = &j->c->sentence;
    const char *what = s->refused            ? s->refused
                       : s->n_dense          ? "its embeddings go through Dense modules"
                       : s->told && !s->unit ? "its embeddings are not made of length 1"
                                             : NULL;
    return !s->told || !what ||
           fail(e, GYR_UNSUPPORTED, "%s: %s, which GGUF cannot express; run the folder as it is", j->c->path, what);
}

static bool prepare(struct job *j, gyr_error *e) {
    const gyr_convert_options *o = j->o;
    if (!o->input || !o->output) return fail(e, GYR_USAGE, "convert: give a folder and a file to write");
    if (o->type && !(j->mixture = mixture_by_name(o->type))) return mixture_unknown(o->type, e);
    if (!(j->c = checkpoint_open(o->input, e))) return false;
    if (j->c->source != CHECKPOINT_HF)
        return fail(e, GYR_USAGE, "%s: is GGUF already; gyr quantize writes it in another type", o->input);
    // Binding finds every tensor and checks its shape, so nothing below has to.
    j->device = device_cpu(1, NULL, e);
    if (o->adapter && !(j->merge = merge_new(j->c, o->adapter, e))) return false;
    if (!j->device || !(j->m = model_look(j->c, j->device, e)) || !embeds_alike(j, e) || !convert_list(j, e))
        return false;
    j->how = (struct recode_options){
        .input = j->c->path, .output = o->output, .threads = o->threads, .progress = o->progress, .user = o->user};
    j->w = gguf_writer_new(o->output, e);
    return j->w && put_head(j, e) && (j->recoder = recoder_new(&j->how, e));
}

static bool same_recurrence(const struct recurrence *a, const struct recurrence *b) {
    return a->kind == b->kind && a->taps == b->taps && a->inner == b->inner && a->size == b->size &&
           a->heads == b->heads && a->groups == b->groups && a->rank == b->rank && a->norms_eps == b->norms_eps &&
           a->norm_first == b->norm_first && a->step_least == b->step_least && a->step_most == b->step_most;
}

static bool same_plan(const struct layer_plan *a, const struct layer_plan *b) {
    return a->window == b->window && a->rotated == b->rotated && a->chunked == b->chunked &&
           a->tempered == b->tempered && a->attends == b->attends && a->recurs == b->recurs &&
           a->borrows == b->borrows && a->indexes == b->indexes && a->heads.kv_heads == b->heads.kv_heads &&
           a->heads.head_dim == b->heads.head_dim && a->feed_forward == b->feed_forward;
}

// Does the file say the same of the model as the folder? Where a family's GGUF files have no word for something, such
// as layers that are unlike those of its other models, they would say another thing. Its head tells.
static bool says_the_same(const struct job *j, gyr_error *e) {
    struct hyperparameters there = {0}, here = j->m->h;
    const char *path;
    if (!gguf_writer_show(j->w, &path, e)) return false;
    if (!path) return true; // a device, which nobody will read again
    struct checkpoint *c = checkpoint_open(path, e);
    const struct family *f = c ? family_find(c, e) : NULL;
    bool ok = f && hyperparameters(f, c, &there, e),
         same = ok && here.window == there.window && here.bidirectional == there.bidirectional &&
                here.activation == there.activation && here.qkv_clip == there.qkv_clip &&
                here.gate_limit == there.gate_limit && here.gate_alpha == there.gate_alpha &&
                here.head_dim == there.head_dim && here.heads == there.heads && here.kv_heads == there.kv_heads &&
                here.rope.dim == there.rope.dim && here.norm_eps == there.norm_eps &&
                here.local_rope.dim == there.local_rope.dim && here.local_rope.scaling == there.local_rope.scaling &&
                same_recurrence(&here.recurrence, &there.recurrence);
    for (uint32_t i = 0; same && i < here.layers; i++) {
        struct layer_plan a = layer_plan(j->m->family, j->c, &here, i), b = layer_plan(f, c, &there, i);
        same = same_plan(&a, &b) && (!j->m->family->rope.local || a.local == b.local);
    }
    checkpoint_close(c);
    if (ok && !same)
        fail(e, GYR_UNSUPPORTED,
             "%s: its layers are not those of other models of the %s, which GGUF cannot express; run the "
             "folder as it is",
             j->c->path, j->m->family->kind);
    return same;
}

bool convert(const gyr_convert_options *o, gyr_error *e) {
    struct job j = {.o = o};
    bool ok = prepare(&j, e) && says_the_same(&j, e);
    for (size_t i = 0; ok && i < j.n; i++) ok = convert_write(&j, &j.pieces[i], e);
    if (j.w) {
        bool ended = gguf_writer_end(j.w, ok, ok ? e : NULL);
        ok = ok && ended;
    }
    recoder_free(j.recoder);
    gguf_vocab_free(&j.vocab);
    merge_free(j.merge);
    model_free(j.m);
    if (j.device) j.device->ops->close(j.device);
    free(j.pieces);
    free(j.factors[0]);
    free(j.factors[1]);
    checkpoint_close(j.c);
    return ok;
}
