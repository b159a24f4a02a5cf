#include "format/adapter_write.h"
#include "base/buf.h"
#include "base/out.h"
#include "format/adapter.h"
#include "format/gguf_write.h"
#include "format/hf.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static size_t a_bytes(const struct adapter_matrix *m) { return m->experts * m->rank * m->cols * sizeof *m->a; }
static size_t b_bytes(const struct adapter_matrix *m) { return m->experts * m->rows * m->rank * sizeof *m->b; }

// ------------------------------------------------------------------------------------------------- GGUF

static void announce(struct gguf_writer *w, const struct adapter_matrix *m, const char *half, size_t cols,
                     size_t rows) {
    char name[300];
    uint64_t dim[MAX_DIMS] = {cols, rows, m->experts, 1};
    snprintf(name, sizeof name, "%s%s", m->name, half);
    gguf_put_tensor(w, name, TYPE_F32, m->experts > 1 ? 3 : 2, dim);
}

bool adapter_write_gguf(const char *path, const char *architecture, const struct adapter_matrix *m, size_t n,
                        gyr_error *e) {
    struct gguf_writer *w = gguf_writer_new(path, e);
    if (!w) return false;
    gguf_put_cstring(w, "general.type", "adapter");
    gguf_put_cstring(w, "general.architecture", architecture);
    gguf_put_cstring(w, "adapter.type", "lora");
    gguf_put_f32(w, "adapter.lora.alpha", 0); // the scale is 1, whatever the rank
    for (size_t i = 0; i < n; i++) {
        announce(w, &m[i], ".lora_a", m[i].cols, m[i].rank);
        announce(w, &m[i], ".lora_b", m[i].rank, m[i].rows);
    }
    bool ok = gguf_writer_begin(w, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = gguf_writer_data(w, m[i].a, a_bytes(&m[i]), e) && gguf_writer_data(w, m[i].b, b_bytes(&m[i]), e);
    bool ended = gguf_writer_end(w, ok, ok ? e : NULL);
    return ok && ended;
}

// ------------------------------------------------------------------------------------------------- PEFT

// The name of a module, without ".weight".
static int module_size(const struct adapter_matrix *m) { return (int)(strlen(m->name) - strlen(".weight")); }

static void describe(struct buf *b, const struct adapter_matrix *m, const char *half, size_t rows, size_t cols,
                     size_t *at) {
    size_t bytes = rows * cols * sizeof(float);
    buf_printf(
        b, "%s\"base_model.model.%.*s.%s.weight\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[%zu,%zu]}",
        *at ? "," : "{", module_size(m), m->name, half, rows, cols, *at, *at + bytes);
    *at += bytes;
}

static bool write_weights(const char *path, const struct adapter_matrix *m, size_t n, gyr_error *e) {
    struct buf head = {0};
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        describe(&head, &m[i], "lora_A", m[i].rank, m[i].cols, &at);
        describe(&head, &m[i], "lora_B", m[i].rows, m[i].rank, &at);
    }
    buf_puts(&head, at ? "}" : "{}");
    while (head.size % 8) buf_putc(&head, ' ');
    uint64_t size = head.size;
    struct out *o = head.failed ? (fail_memory(e, path), NULL) : out_open(path, 0666, e);
    bool ok = o && out_reserve(o, sizeof size + size + at, e) && out_write(o, &size, sizeof size, e) &&
              out_write(o, head.data, head.size, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = out_write(o, m[i].a, a_bytes(&m[i]), e) && out_write(o, m[i].b, b_bytes(&m[i]), e);
    if (o) ok = out_close(o, ok, ok ? e : NULL) && ok;
    buf_free(&head);
    return ok;
}

// The last word of a module's name, by which PEFT finds what to adapt.
static const char *last_word(const char *module) {
    const char *dot = strrchr(module, '.');
    return dot ? dot + 1 : module;
}

double adapter_scale(const struct adapter_scaling *s) {
    if (!s->rank) return 1;
    return s->alpha / (s->root ? sqrt((double)s->rank) : (double)s->rank);
}

// The alpha with which a pair of some rank is scaled as those of the usual rank are.
static json_t *alpha_of(const struct adapter_scaling *s, size_t rank) {
    double alpha = (double)rank;
    if (s->rank) alpha = rank == s->rank ? s->alpha : adapter_scale(s) * (s->root ? sqrt(alpha) : alpha);
    return alpha == floor(alpha) && alpha < 1e9 ? json_integer((json_int_t)alpha) : json_real(alpha);
}

static json_t *config_of(const struct adapter_scaling *s, const struct adapter_matrix *m, size_t n) {
    json_t *targets = json_object(), *ranks = json_object(), *alphas = json_object();
    size_t usual = s->rank ? s->rank : n ? m[0].rank : 1;
    for (size_t i = 0; i < n; i++) {
        char module[256];
        snprintf(module, sizeof module, "%.*s", module_size(&m[i]), m[i].name);
        json_object_set_new(targets, last_word(module), json_null());
        if (m[i].rank == usual) continue;
        json_object_set_new(ranks, module, json_integer((json_int_t)m[i].rank));
        json_object_set_new(alphas, module, alpha_of(s, m[i].rank));
    }
    json_t *list = json_array();
    const char *word;
    json_t *v;
    json_object_foreach(targets, word, v) { json_array_append_new(list, json_string(word)); }
    json_decref(targets);
    return json_pack("{s:s,s:s,s:I,s:o,s:b,s:s,s:o,s:o,s:o}", "peft_type", "LORA", "task_type", "CAUSAL_LM", "r",
                     (json_int_t)usual, "lora_alpha", alpha_of(s, usual), "use_rslora", s->root, "bias", "none",
                     "target_modules", list, "rank_pattern", ranks, "alpha_pattern", alphas);
}

static bool write_config(const char *path, const struct adapter_scaling *s, const struct adapter_matrix *m, size_t n,
                         gyr_error *e) {
    json_t *config = config_of(s, m, n);
    char *text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
    json_decref(config);
    if (!text) return fail_memory(e, path);
    struct out *o = out_open(path, 0666, e);
    bool ok = o && out_write(o, text, strlen(text), e) && out_write(o, "\n", 1, e);
    if (o) ok = out_close(o, ok, ok ? e : NULL) && ok;
    free(text);
    return ok;
}

bool adapter_write_peft(const char *folder, const struct adapter_scaling *scaling, const struct adapter_matrix *m,
                        size_t n, gyr_error *e) {
    char *config = folder_path(folder, "adapter_config.json"),
         *weights = folder_path(folder, "adapter_model.safetensors");
    bool ok = (config && weights) || fail_memory(e, folder);
    for (size_t i = 0; ok && i < n; i++)
        if (m[i].experts > 1 || module_size(&m[i]) < 1 || strcmp(m[i].name + module_size(&m[i]), ".weight"))
            ok = fail(e, GYR_UNSUPPORTED,
                      "%s: %.100s is no module of its own in such models, and PEFT's folder has no other "
                      "pairs; write GGUF",
                      folder, m[i].name);
    if (ok && mkdir(folder, 0777) && errno != EEXIST)
        ok = fail(e, GYR_IO, "%s: %s; choose another folder", folder, strerror(errno));
    ok = ok && write_weights(weights, m, n, e) && write_config(config, scaling, m, n, e);
    free(config);
    free(weights);
    return ok;
}
