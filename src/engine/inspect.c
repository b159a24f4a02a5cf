// gyr_inspect(): a model file as JSON.
#include "engine/engine.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *json_text(struct text t) {
    json_t *s = json_stringn(t.data ? t.data : "", t.size);
    return s ? s : json_string("(not UTF-8)");
}

static json_t *json_value(const struct value *v) {
    switch (v->kind) {
    case VALUE_UINT: return json_integer((json_int_t)v->u);
    case VALUE_INT: return json_integer((json_int_t)v->i);
    case VALUE_FLOAT: return isfinite(v->f) ? json_real(v->f) : json_null();
    case VALUE_BOOL: return json_boolean(v->b);
    case VALUE_STRING: return json_text(v->s);
    default: return json_null();
    }
}

enum { LONG_ARRAY = 16 };

static json_t *json_metadata(const struct checkpoint *c) {
    json_t *all = json_object();
    struct text key;
    const struct value *v;
    for (size_t i = 0; checkpoint_key(c, i, &key, &v); i++) {
        json_t *item;
        if (v->kind != VALUE_ARRAY)
            item = json_value(v);
        else if (v->array.n > LONG_ARRAY)
            item = json_sprintf("(%zu elements)", v->array.n);
        else {
            item = json_array();
            for (size_t k = 0; k < v->array.n; k++) {
                struct value element = value_at(v, k);
                json_array_append_new(item, json_value(&element));
            }
        }
        json_object_setn_new(all, key.data, key.size, item);
    }
    return all;
}

static const char *type_name(const struct tensor *t) { return t->dtype ? t->dtype : type_info(t->type)->name; }

static json_t *json_tensors(const struct checkpoint *c) {
    json_t *all = json_array();
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        json_t *shape = json_array();
        for (int d = 0; d < t->n_dims; d++) json_array_append_new(shape, json_integer((json_int_t)t->dim[d]));
        json_array_append_new(all, json_pack("{s:o,s:s,s:o,s:I}", "name", json_text(t->name), "type", type_name(t),
                                             "shape", shape, "bytes", (json_int_t)t->bytes));
    }
    return all;
}

static json_t *json_types(const struct checkpoint *c, uint64_t *parameters, uint64_t *bytes) {
    json_t *all = json_object();
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        const char *name = type_name(t);
        json_int_t before = json_integer_value(json_object_get(all, name));
        json_object_set_new(all, name, json_integer(before + (json_int_t)t->bytes));
        *bytes += t->bytes;
        *parameters += t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
    }
    return all;
}

static json_t *json_tokenizer(const struct vocab *v) {
    static const char *const kinds[] = {[VOCAB_BPE] = "bpe",
                                        [VOCAB_SPM] = "sentencepiece",
                                        [VOCAB_UNIGRAM] = "unigram",
                                        [VOCAB_WORDPIECE] = "wordpiece"};
    if (v->kind == VOCAB_NONE) return json_null();
    json_t *t = json_pack("{s:s,s:I,s:I,s:b}", "kind", kinds[v->kind], "tokens", (json_int_t)v->n, "merges",
                          (json_int_t)v->n_merges, "add_bos", v->add_bos);
    const struct {
        const char *name;
        int32_t id;
    } special[] = {{"bos", v->bos}, {"eos", v->eos}, {"eot", v->eot}, {"unk", v->unk}, {"pad", v->pad}};
    for (int i = 0; i < 5; i++)
        if (special[i].id >= 0 && (size_t)special[i].id < v->n)
            json_object_set_new(
                t, special[i].name,
                json_pack("{s:i,s:o}", "id", special[i].id, "text", json_text(v->tokens[special[i].id])));
    if (v->pre) json_object_set_new(t, "pre", json_string(v->pre));
    return t;
}

// Bytes of all experts' matrices.
static uint64_t expert_bytes(const struct family *f, const struct checkpoint *c, const struct hyperparameters *h) {
    uint64_t bytes = 0;
    char name[128];
    for (uint32_t i = 0; h->experts && i < h->layers; i++)
        for (enum role r = ROLE_EXPERT_GATE_UP; r <= ROLE_EXPERT_DOWN; r++)
            for (uint32_t k = 0; k < (family_indexed(f, c, (struct place){r, PART_WEIGHT, i, 0}) ? h->experts : 1);
                 k++) {
                const struct tensor *t = family_tensor(f, c, (struct place){r, PART_WEIGHT, i, k}, name);
                bytes += t ? t->bytes : 0;
            }
    return bytes;
}

// What only a family gyr knows can tell. A model of another family is still described, without this part.
static void put_family(json_t *all, const struct checkpoint *c) {
    struct hyperparameters h;
    const struct family *f = family_find(c, NULL);
    if (!f || !hyperparameters(f, c, &h, NULL)) return;
    char name[128];
    const struct tensor *out = family_tensor(f, c, (struct place){ROLE_ATTN_OUT, PART_WEIGHT, 0, 0}, name);
    const struct tensor *table = family_tensor(f, c, (struct place){ROLE_EMBEDDING, PART_WEIGHT, 0, 0}, name);
    enum type kv = kv_cache_default(out ? out->type : TYPE_F16);
    uint64_t page = kv_cache_bytes(kv_cache_layout(&h, kv), PAGE_TOKENS);
    json_int_t decode = json_integer_value(json_object_get(all, "weight_bytes"));
    if (table && family_tensor(f, c, (struct place){ROLE_OUTPUT, PART_WEIGHT, 0, 0}, name))
        decode -= (json_int_t)table->bytes;
    const struct tensor *inputs = family_tensor(f, c, (struct place){.role = ROLE_INPUT_TABLE}, name);
    if (inputs && h.layer_input) decode -= (json_int_t)inputs->bytes; // looked up, as the other table is
    if (h.experts) decode -= (json_int_t)(expert_bytes(f, c, &h) / h.experts * (h.experts - h.experts_used));
    json_object_set_new(all, "family", json_string(f->kind));
    json_object_set_new(all, "decode_bytes", json_integer(decode));
    json_object_set_new(all, "kv_bytes_per_token", json_integer((json_int_t)(page / PAGE_TOKENS)));
    json_object_set_new(all, "hyperparameters",
                        json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:I,s:f}", "layers", h.layers, "hidden", h.hidden,
                                  "heads", h.heads, "kv_heads", h.kv_heads, "head_dim", h.head_dim, "feed_forward",
                                  h.feed_forward, "context", h.context, "far_context", h.far_context, "vocab",
                                  (json_int_t)(table ? table->dim[1] : 0), "norm_epsilon", (double)h.norm_eps));
}

static json_t *describe(const struct checkpoint *c, bool tensors) {
    uint64_t parameters = 0, bytes = 0;
    struct text name = {0};
    json_t *types = json_types(c, &parameters, &bytes);
    checkpoint_string(c, "general.name", &name, NULL);
    json_t *all =
        json_pack("{s:o,s:s,s:s,s:o,s:I,s:I,s:o,s:o}", "path", json_text((struct text){c->path, strlen(c->path)}),
                  "format", c->source == CHECKPOINT_GGUF ? "gguf" : "huggingface", "architecture", c->architecture,
                  "name", json_text(name), "parameters", (json_int_t)parameters, "weight_bytes", (json_int_t)bytes,
                  "types", types, "tokenizer", json_tokenizer(&c->vocab));
    if (!all) return NULL;
    put_family(all, c);
    if (c->vocab.chat_template) json_object_set_new(all, "chat_template", json_string(c->vocab.chat_template));
    json_object_set_new(all, "metadata", json_metadata(c));
    if (tensors) json_object_set_new(all, "tensors", json_tensors(c));
    return all;
}

char *gyr_inspect(const char *path, bool tensors, gyr_error *e) {
    struct checkpoint *c = checkpoint_open(path, e);
    if (!c) return NULL;
    json_t *all = describe(c, tensors);
    char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    checkpoint_close(c);
    return text ? text : (fail_memory(e, path), NULL);
}
