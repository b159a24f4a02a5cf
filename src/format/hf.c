// A Hugging Face folder: config.json, tokenizer files, and weights as safetensors, in one file or several.
#include "format/hf.h"

#include "format/json.h"
#include "format/packed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Far above real files (a few kilobytes; an index has 100 bytes a tensor).
enum { MAX_CONFIG = 4 << 20, MAX_INDEX = 64 << 20 };

char *folder_path(const char *folder, const char *name) {
    struct buf b = {0};
    buf_puts(&b, folder);
    if (!b.size || b.data[b.size - 1] != '/') buf_putc(&b, '/');
    buf_puts(&b, name);
    return buf_take(&b);
}

bool folder_has(const char *folder, const char *name) {
    char *path = folder_path(folder, name);
    bool there = path && !access(path, F_OK);
    free(path);
    return there;
}

static bool read_config(struct checkpoint *c, gyr_error *e) {
    char *path = folder_path(c->path, "config.json");
    if (!path) return fail_memory(e, c->path);
    json_t *root = json_open(path, MAX_CONFIG, 0, e);
    bool ok = root && hf_config(root, c->keys, path, e);
    struct text type = json_text(json_object_get(root, "model_type"));
    if (ok && !type.size) ok = fail(e, GYR_MALFORMED, "%s: has no model_type; get the file again", path);
    if (ok && !(c->architecture = strdup(type.data))) ok = fail_memory(e, path);
    json_decref(root);
    free(path);
    return ok;
}

static bool read_weights(struct checkpoint *c, const char *name, const json_t *places, gyr_error *e) {
    char *path = folder_path(c->path, name);
    if (!path) return fail_memory(e, c->path);
    struct map m;
    bool ok = !access(path, F_OK) || fail(e, GYR_IO, "%s: is missing; put all parts of the model in one folder", path);
    ok = ok && storage_map(c->storage, path, &m, e) &&
         safetensors_read(c, path, m.data, m.size, places ? &(struct shard_of){places, name, NULL} : NULL, e);
    free(path);
    return ok;
}

struct shard {
    struct text name;
};

struct shards {
    struct shard *items;
    size_t n;
    struct index index;
};

bool plain_name(struct text s) {
    return s.size && s.data[0] != '.' && !memchr(s.data, '/', s.size) && !memchr(s.data, '\\', s.size) &&
           !memchr(s.data, 0, s.size);
}

static bool read_shard(struct checkpoint *c, struct shards *s, const char *where, struct text name, const json_t *map,
                       gyr_error *e) {
    if (!name.data || !plain_name(name))
        return fail(e, GYR_MALFORMED, "%s: names a part that is not a file of its folder: \"%.*s\"; get the file again",
                    where, shown(name), name.data ? name.data : "");
    struct shard *items = reallocarray(s->items, s->n + 1, sizeof *items);
    if (!items) return fail_memory(e, where);
    s->items = items;
    s->items[s->n].name = name;
    switch (index_add(&s->index, s->items, sizeof *s->items, s->n)) {
    case INDEX_DUPLICATE: return true;
    case INDEX_NO_MEMORY: return fail_memory(e, where);
    case INDEX_ADDED: break;
    }
    if (++s->n > MAX_PARTS)
        return fail(e, GYR_MALFORMED, "%s: names more than %d parts; get the file again", where, MAX_PARTS);
    return read_weights(c, name.data, map, e);
}

static bool read_index(struct checkpoint *c, const char *where, const json_t *map, gyr_error *e) {
    struct shards s = {0};
    bool ok = json_is_object(map) || fail(e, GYR_MALFORMED, "%s: has no weight_map; get the file again", where);
    const char *name;
    json_t *part;
    if (ok) json_object_foreach((json_t *)(uintptr_t)map, name, part) {
            ok = ok && read_shard(c, &s, where, json_text(part), map, e);
        }
    free(s.items);
    index_free(&s.index);
    return ok;
}

static bool read_sharded(struct checkpoint *c, const char *name, gyr_error *e) {
    char *path = folder_path(c->path, name);
    json_t *root = path ? json_open(path, MAX_INDEX, 0, e) : NULL;
    bool ok = path ? root && read_index(c, path, json_object_get(root, "weight_map"), e) : fail_memory(e, c->path);
    json_decref(root);
    free(path);
    return ok;
}

static bool read_all_weights(struct checkpoint *c, gyr_error *e) {
    static const char index[] = "model.safetensors.index.json", single[] = "model.safetensors";
    if (folder_has(c->path, single)) return read_weights(c, single, NULL, e);
    if (folder_has(c->path, index)) return read_sharded(c, index, e);
    if (folder_has(c->path, "pytorch_model.bin") || folder_has(c->path, "pytorch_model.bin.index.json"))
        return fail(e, GYR_UNSUPPORTED, "%s: has its weights as pytorch_model.bin only; save it as safetensors",
                    c->path);
    if (hf_has_vocab(c->path)) return true; // it alone
    return fail(e, GYR_IO, "%s: no %s in this folder; give a GGUF file or a Hugging Face folder", c->path, single);
}

// A folder with nothing but a tokenizer, as `gyr train tokenizer` writes it.
static bool open_tokenizer(struct checkpoint *c, gyr_error *e) {
    if (!(c->architecture = strdup("tokenizer"))) return fail_memory(e, c->path);
    return hf_vocab(c->path, c->keys, &c->vocab, &c->advice, e);
}

bool hf_open(struct checkpoint *c, gyr_error *e) {
    c->source = CHECKPOINT_HF;
    if (!folder_has(c->path, "config.json") && !folder_has(c->path, "model.safetensors") && hf_has_vocab(c->path))
        return open_tokenizer(c, e);
    if (!folder_has(c->path, "config.json"))
        return fail(e, GYR_IO, "%s: no config.json in this folder; give a GGUF file or a Hugging Face folder", c->path);
    if (!read_config(c, e) || !hf_settle(c, e) || !read_all_weights(c, e)) return false;
    mxfp4_whole(c);
    return packed_settle(c, e) && hf_sentence(c, e) && hf_vocab(c->path, c->keys, &c->vocab, &c->advice, e);
}
