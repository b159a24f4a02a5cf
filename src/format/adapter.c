#include "format/adapter_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_CONFIG = 4 << 20 };

static const struct adapter_names peft = {"base_model.model.", ".lora_A.weight", ".lora_B.weight", ".weight"};
static const struct adapter_names gguf = {"", ".lora_a", ".lora_b", ""};

// ------------------------------------------------------------------------------------------------- pairs

static bool ends(struct text name, const char *end) {
    size_t n = strlen(end);
    return name.size > n && !memcmp(name.data + name.size - n, end, n);
}

static bool begins(struct text name, const char *with) {
    size_t n = strlen(with);
    return name.size > n && !memcmp(name.data, with, n);
}

// The name of the other half, or the model's: what is at the end of one put in another's place.
static char *renamed(struct arena *a, struct text name, const char *end, const char *by) {
    struct buf b = {0};
    buf_append(&b, name.data, name.size - strlen(end));
    buf_puts(&b, by);
    char *copy = b.failed ? NULL : arena_copy(a, (struct text){b.data, b.size});
    buf_free(&b);
    return copy;
}

static bool odd(const struct adapter_file *f, const struct tensor *t, gyr_status status, const char *what,
                gyr_error *e) {
    return fail(e, status, "%s: tensor %.*s %s", f->c->path, shown(t->name), t->name.data, what);
}

static bool check_half(const struct adapter_file *f, const struct tensor *t, gyr_error *e) {
    if (!tensor_readable(t, f->c->path, e)) return false;
    if (t->scales || t->packing || (t->type != TYPE_F32 && t->type != TYPE_F16 && t->type != TYPE_BF16))
        return odd(f, t, GYR_UNSUPPORTED, "is quantized; gyr reads adapters in F32, F16 and BF16", e);
    return t->dim[3] == 1 || odd(f, t, GYR_UNSUPPORTED, "has four dimensions; gyr adapts matrices alone", e);
}

static bool check_pair(const struct adapter_file *f, struct adapter_pair *p, gyr_error *e) {
    if (!check_half(f, p->a, e) || !check_half(f, p->b, e)) return false;
    if (p->a->dim[1] != p->b->dim[0] || p->a->dim[2] != p->b->dim[2])
        return fail(e, GYR_MALFORMED, "%s: tensors %.*s and %.*s have ranks %llu and %llu; get the adapter again",
                    f->c->path, shown(p->a->name), p->a->name.data, shown(p->b->name), p->b->name.data,
                    (unsigned long long)p->a->dim[1], (unsigned long long)p->b->dim[0]);
    if (p->a->dim[1] > MAX_RANK)
        return odd(f, p->a, GYR_UNSUPPORTED, "has a rank of more than 4096, which gyr does not take", e);
    p->rank = (uint32_t)p->a->dim[1];
    return true;
}

static bool add_pair(struct adapter_file *f, const struct adapter_names *how, const struct tensor *a, gyr_error *e) {
    struct arena *arena = &f->c->storage->arena;
    char *name = renamed(arena, a->name, how->a, how->after), *other = renamed(arena, a->name, how->a, how->b);
    if (!name || !other) return fail_memory(e, f->c->path);
    struct adapter_pair p = {.name = name + strlen(how->before), .a = a, .b = checkpoint_tensor(f->c, other)};
    if (!p.b) return fail(e, GYR_MALFORMED, "%s: tensor %.100s is missing; get the adapter again", f->c->path, other);
    if (!check_pair(f, &p, e)) return false;
    f->pairs[f->n++] = p;
    return true;
}

// Whether a name begins and ends so, with the model's name between the two.
static bool is_half(struct text name, const char *before, const char *end) {
    return name.size > strlen(before) + strlen(end) && (!*before || begins(name, before)) && ends(name, end);
}

bool adapter_pair_up(struct adapter_file *f, const struct adapter_names *how, gyr_error *e) {
    const struct checkpoint *c = f->c;
    f->pairs = calloc(c->n_tensors + 1, sizeof *f->pairs);
    if (!f->pairs) return fail_memory(e, c->path);
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        bool a = is_half(t->name, how->before, how->a);
        if (!a && !is_half(t->name, how->before, how->b))
            return odd(f, t, GYR_UNSUPPORTED, "is no half of a LoRA pair, which is all that gyr reads of adapters", e);
        if (a && !add_pair(f, how, t, e)) return false;
    }
    if (2 * f->n != c->n_tensors)
        return fail(e, GYR_MALFORMED, "%s: has %zu tensors for %zu pairs; get the adapter again", c->path, c->n_tensors,
                    f->n);
    return f->n || fail(e, GYR_MALFORMED, "%s: adapts nothing; get the adapter again", c->path);
}

// --------------------------------------------------------------------------------------------------- GGUF

// Keys of adapters that a file may have.
static bool is_known(struct text key) {
    static const char *const known[] = {"adapter.type", "adapter.lora.alpha", "adapter.lora.task_name",
                                        "adapter.lora.prompt_prefix"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (key.size == strlen(known[i]) && !memcmp(key.data, known[i], key.size)) return true;
    return !begins(key, "adapter.");
}

static bool gguf_finish(struct adapter_file *f, gyr_error *e) {
    const struct checkpoint *c = f->c;
    struct text key;
    const struct value *v;
    double alpha = 0;
    if (!value_says(checkpoint_value(c, "general.type"), "adapter"))
        return fail(e, GYR_USAGE, "%s: is no adapter: its general.type says something else; give it with -m", c->path);
    if (!value_says(checkpoint_value(c, "adapter.type"), "lora"))
        return fail(e, GYR_UNSUPPORTED, "%s: its adapter.type is not \"lora\", which is all that gyr reads", c->path);
    for (size_t i = 0; checkpoint_key(c, i, &key, &v); i++)
        if (!is_known(key))
            return fail(e, GYR_UNSUPPORTED,
                        "%s: key %.*s changes what the adapter does in a way that gyr does not have", c->path,
                        shown(key), key.data);
    if (!checkpoint_float(c, "adapter.lora.alpha", &alpha, e) || !adapter_pair_up(f, &gguf, e)) return false;
    if (!isfinite(alpha))
        return fail(e, GYR_MALFORMED, "%s: key adapter.lora.alpha is not a number; get the adapter again", c->path);
    for (size_t i = 0; i < f->n; i++) f->pairs[i].scale = alpha == 0 ? 1 : alpha / f->pairs[i].rank;
    return true;
}

// --------------------------------------------------------------------------------------------------- PEFT

// `root` is owned here.
static bool peft_finish(struct adapter_file *f, json_t *root, const char *where, gyr_error *e) {
    struct checkpoint *c = f->c;
    c->source = CHECKPOINT_HF;
    bool ok = root && hf_config(root, c->keys, where, e);
    if (ok && !(c->architecture = strdup(""))) ok = fail_memory(e, where);
    ok = ok && peft_config(f, root, where, e);
    json_decref(root);
    return ok;
}

static bool peft_open(struct adapter_file *f, gyr_error *e) {
    static const char weights_name[] = "adapter_model.safetensors";
    struct checkpoint *c = f->c;
    char *config = folder_path(c->path, "adapter_config.json"), *weights = folder_path(c->path, weights_name);
    bool ok = (config && weights) || fail_memory(e, c->path);
    if (ok && !folder_has(c->path, "adapter_config.json"))
        ok = fail(e, GYR_IO, "%s: no adapter_config.json in this folder; give an adapter's folder or GGUF file",
                  c->path);
    if (ok && !folder_has(c->path, weights_name))
        ok = folder_has(c->path, "adapter_model.bin")
                 ? fail(e, GYR_UNSUPPORTED, "%s: has its weights as adapter_model.bin only; save it as safetensors",
                        c->path)
                 : fail(e, GYR_IO, "%s: no %s in this folder; get the adapter again", c->path, weights_name);
    struct map m;
    ok = ok && storage_map(c->storage, weights, &m, e) && safetensors_read(c, weights, m.data, m.size, NULL, e) &&
         adapter_pair_up(f, &peft, e) && peft_finish(f, json_open(config, MAX_CONFIG, 0, e), config, e);
    free(config);
    free(weights);
    return ok;
}

// ---------------------------------------------------------------------------------------------------- all

static struct adapter_file *new_file(const char *path, gyr_error *e) {
    struct adapter_file *f = calloc(1, sizeof *f);
    if (!f) return fail_memory(e, path), NULL;
    if ((f->c = checkpoint_new(path, e))) return f;
    free(f);
    return NULL;
}

// A scale that is no number would be one of what is computed.
static struct adapter_file *check(struct adapter_file *f, bool ok, gyr_error *e) {
    for (size_t i = 0; ok && i < f->n; i++)
        if (!isfinite((float)f->pairs[i].scale))
            ok = fail(e, GYR_MALFORMED, "%s: the scale of %.100s is not a number; get the adapter again", f->c->path,
                      f->pairs[i].name);
    if (ok) return f;
    adapter_close(f);
    return NULL;
}

struct adapter_file *adapter_open(const char *path, gyr_error *e) {
    struct stat st;
    if (stat(path, &st)) return fail_null(e, GYR_IO, "%s: %s; check the path", path, strerror(errno));
    struct adapter_file *f = new_file(path, e);
    if (!f) return NULL;
    return check(f, S_ISDIR(st.st_mode) ? peft_open(f, e) : gguf_open(f->c, e) && gguf_finish(f, e), e);
}

struct adapter_file *adapter_open_gguf(const char *name, const void *data, size_t size, gyr_error *e) {
    struct adapter_file *f = new_file(name, e);
    return f ? check(f, gguf_open_memory(f->c, data, size, e) && gguf_finish(f, e), e) : NULL;
}

struct adapter_file *adapter_open_peft(const char *name, const char *config, size_t config_size, const void *weights,
                                       size_t size, gyr_error *e) {
    struct adapter_file *f = new_file(name, e);
    return f ? check(f,
                     safetensors_read(f->c, name, weights, size, NULL, e) && adapter_pair_up(f, &peft, e) &&
                         peft_finish(f, json_parse(config, config_size, 0, name, e), name, e),
                     e)
             : NULL;
}

void adapter_close(struct adapter_file *f) {
    if (!f) return;
    checkpoint_close(f->c);
    free(f->pairs);
    free(f);
}
