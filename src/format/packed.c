// Folders whose weights are codes and scales apart, by the methods that are common and simple:
// - fp8 (DeepSeek, Qwen; transformers, FineGrainedFP8Config): NAME.weight in E4M3 with NAME.weight_scale_inv for
//   blocks of 128 x 128, or NAME.weight_scale for rows or for all of it;
// - compressed-tensors: NAME.weight in E4M3 (float-quantized) with NAME.weight_scale; or NAME.weight_packed
//   (pack-quantized), words of eight codes of four bits, with NAME.weight_scale for runs of a row, and
//   NAME.weight_zero_point, in words too, where it is not symmetric;
// - awq: NAME.qweight, NAME.qzeros and NAME.scales.
// What they mean is in packed_read.c. A matrix gets the narrowest type that holds its weights exactly: Q4_0, with zero
// points Q5_0, if the scales are halves and are for runs of 32 or more; BF16 if E4M3's scales are powers of two; else
// F32.
#include "format/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"F8_E4M3", 1}, {"I32", 4}, {"I64", 8}};

// Codes by what their names end in, the names of what belongs to them, and what of that may be left out.
struct codes_of {
    const char *end, *dtype, *scales, *scales_too, *zeros;
    enum packed_kind kind;
};

static const struct codes_of fp8 = {".weight", "F8_E4M3", ".weight_scale_inv", ".weight_scale", NULL, PACKED_FP8};
static const struct codes_of nibbles = {".weight_packed",     "I32",         ".weight_scale", ".weight_scale",
                                        ".weight_zero_point", PACKED_NIBBLES};
static const struct codes_of awq = {".qweight", "I32", ".scales", ".scales", ".qzeros", PACKED_AWQ};

// What nobody asks for once codes and scales are found: rounding of activations and of caches, which gyr does its own
// way.
static const char *const passed[] = {".input_scale", ".activation_scale", ".k_scale", ".v_scale", ".weight_shape"};

struct settler {
    struct checkpoint *c;
    const char *home; // of the method's keys, with a dot
    const struct codes_of *codes;
    bool zeros; // there must be zero points
    bool *used; // tensors that are part of another
    gyr_error *e;
};

static const struct value *key_of(const struct checkpoint *c, const char *home, const char *name) {
    char key[128];
    snprintf(key, sizeof key, "%s%s", home, name);
    const struct value *v = keys_get(c->keys, key);
    return v && v->kind != VALUE_NONE ? v : NULL;
}

bool packed_reads(struct text method) {
    static const char *const methods[] = {"fp8", "compressed-tensors", "awq"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (method.size == strlen(methods[i]) && !memcmp(method.data, methods[i], method.size)) return true;
    return false;
}

static bool is_number(const struct value *v, uint64_t n) { return v && v->kind == VALUE_UINT && v->u == n; }

// Where the keys are that say how weights are quantized; NULL if by none of the methods here.
static const char *home_of(const struct checkpoint *c) {
    static const char *const homes[] = {"quantization_config.", "text_config.quantization_config.",
                                        "compression_config.", "text_config.compression_config."};
    for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
        const struct value *v = key_of(c, homes[i], "quant_method");
        if (v && v->kind == VALUE_STRING && packed_reads(v->s)) return homes[i];
    }
    return NULL;
}

static size_t dtype_size(const char *dtype) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, dtype)) return dtypes[i].bytes;
    return 0;
}

size_t packed_dtype_size(const struct checkpoint *c, const char *dtype) {
    size_t size = dtype_size(dtype);
    return size && home_of(c) ? size : 0;
}

static bool no_method(const struct settler *s, const char *method, const char *what) {
    return fail(
        s->e, GYR_UNSUPPORTED,
        "%s: its weights are quantized by %s with %s, which gyr does not read; take the model unquantized, or as "
        "GGUF",
        s->c->path, method, what);
}

static bool ends(struct text name, const char *end) {
    size_t n = strlen(end);
    return name.size > n && !memcmp(name.data + name.size - n, end, n);
}

// Each group of modules has its scheme; those that are read must be alike.
static bool check_groups(const struct settler *s, const char *format, bool floats) {
    struct text key;
    const struct value *v;
    char groups[96], transform[96];
    snprintf(groups, sizeof groups, "%sconfig_groups.", s->home);
    snprintf(transform, sizeof transform, "%stransform_config.", s->home);
    for (size_t i = 0; checkpoint_key(s->c, i, &key, &v); i++) {
        if (v->kind == VALUE_NONE) continue;
        if (key.size > strlen(transform) && !memcmp(key.data, transform, strlen(transform)))
            return no_method(s, "compressed-tensors", "a transform_config");
        if (key.size < strlen(groups) || memcmp(key.data, groups, strlen(groups))) continue;
        if (ends(key, ".weights.num_bits") && !is_number(v, floats ? 8 : 4))
            return no_method(s, "compressed-tensors",
                             "another num_bits than 4 of pack-quantized, 8 of float-quantized");
        if ((ends(key, ".weights.type") && !value_says(v, floats ? "float" : "int")) ||
            (ends(key, ".format") && !value_says(v, format)))
            return no_method(s, "compressed-tensors", "schemes of several kinds");
        if (ends(key, ".weights.actorder") && (value_says(v, "group") || v->kind == VALUE_BOOL))
            return no_method(s, "compressed-tensors", "its columns in another order (actorder)");
    }
    return true;
}

static bool check_compressed(struct settler *s) {
    const struct value *v = key_of(s->c, s->home, "format"), *sparse = key_of(s->c, s->home, "sparsity_config.format");
    bool floats = value_says(v, "float-quantized");
    if (!floats && !value_says(v, "pack-quantized")) {
        char format[64];
        snprintf(format, sizeof format, "the format %.*s",
                 v && v->kind == VALUE_STRING ? (int)(v->s.size < 40 ? v->s.size : 40) : 0,
                 v && v->kind == VALUE_STRING ? v->s.data : "");
        return no_method(s, "compressed-tensors", format);
    }
    if (sparse && !value_says(sparse, "dense")) return no_method(s, "compressed-tensors", "a sparsity_config");
    for (size_t i = 0; !floats && i < s->c->n_tensors; i++)
        if (ends(s->c->tensors[i].name, ".weight_g_idx"))
            return no_method(s, "compressed-tensors", "its columns in another order (weight_g_idx)");
    s->codes = floats ? &fp8 : &nibbles;
    return check_groups(s, floats ? "float-quantized" : "pack-quantized", floats);
}

static bool check_awq(struct settler *s) {
    const struct value *bits = key_of(s->c, s->home, "bits"), *version = key_of(s->c, s->home, "version"),
                       *zero = key_of(s->c, s->home, "zero_point");
    if (bits && !is_number(bits, 4)) return no_method(s, "awq", "another number of bits than 4");
    if (version && !value_says(version, "gemm") && !value_says(version, "GEMM"))
        return no_method(s, "awq", "another version than gemm");
    if (zero && zero->kind == VALUE_BOOL && !zero->b) return no_method(s, "awq", "no zero_point");
    s->codes = &awq;
    s->zeros = true;
    return true;
}

static bool check_fp8(struct settler *s) {
    const struct value *format = key_of(s->c, s->home, "fmt");
    s->codes = &fp8;
    return !format || value_says(format, "e4m3") || no_method(s, "fp8", "another format than e4m3");
}

static bool check_method(struct settler *s) {
    const struct value *method = key_of(s->c, s->home, "quant_method");
    return value_says(method, "fp8") ? check_fp8(s) : value_says(method, "awq") ? check_awq(s) : check_compressed(s);
}

// The tensor that has another end to its name in place of `end`; NULL if there is none.
static struct tensor *beside(const struct settler *s, const struct tensor *t, const char *other) {
    char name[256];
    size_t n = t->name.size - strlen(s->codes->end);
    if (!other || n + strlen(other) >= sizeof name) return NULL;
    memcpy(name, t->name.data, n);
    snprintf(name + n, sizeof name - n, "%s", other);
    return (struct tensor *)(uintptr_t)checkpoint_tensor(s->c, name);
}

static bool is_matrix(const struct tensor *t, uint64_t rows, uint64_t cols) {
    return t->n_dims == 2 && t->dim[1] == rows && t->dim[0] == cols;
}

static bool unlike(const struct settler *s, const struct tensor *t) {
    return fail(
        s->e, GYR_MALFORMED,
        "%s: tensor %.*s and its scales do not fit together, or are in an order that gyr does not know; get the "
        "folder again",
        s->c->path, shown(t->name), t->name.data);
}

// Rows and columns of a scale: of all, of each row, or of blocks of the size that the config says (128 x 128).
static bool spread_scales(const struct settler *s, const struct tensor *scales, struct packing *p) {
    const struct value *v = key_of(s->c, s->home, "weight_block_size");
    struct value high = v ? value_at(v, 0) : (struct value){0}, wide = v ? value_at(v, 1) : (struct value){0};
    uint64_t h = high.kind == VALUE_UINT && high.u ? high.u : 128, w = wide.kind == VALUE_UINT && wide.u ? wide.u : 128;
    uint64_t rows = scales->dim[1], cols = scales->dim[0];
    p->scale_cols = 1;
    p->wide = p->cols;
    p->high = p->rows;
    if (scales->n_dims > 2) return false;
    if (rows * cols == 1 && rows == 1) return true;
    if ((scales->n_dims == 2 && is_matrix(scales, p->rows, 1)) || (scales->n_dims == 1 && cols == p->rows)) {
        p->high = 1;
        return true;
    }
    p->high = h;
    p->wide = w;
    p->scale_cols = cols;
    return is_matrix(scales, p->rows / h + (p->rows % h != 0), p->cols / w + (p->cols % w != 0));
}

// Runs of each row, all of one length.
static bool runs_fit(struct packing *p, uint64_t runs) {
    p->high = 1;
    p->scale_cols = runs;
    p->wide = runs && p->cols % runs == 0 ? p->cols / runs : 0;
    return p->wide;
}

static bool fits(const struct settler *s, const struct tensor *codes, const struct tensor *scales,
                 const struct tensor *zeros, struct packing *p) {
    if (codes->n_dims != 2 || scales->n_dims > 2) return false;
    p->code_cols = codes->dim[0];
    p->rows = codes->dim[1];
    p->cols = codes->dim[0];
    if (!p->rows || !p->cols) return false;
    if (p->kind == PACKED_FP8) return spread_scales(s, scales, p);
    uint64_t *by = p->kind == PACKED_AWQ ? &p->rows : &p->cols;
    if (p->kind == PACKED_AWQ) p->cols = codes->dim[1];
    if (__builtin_mul_overflow(codes->dim[0], 8, by)) return false;
    if (p->kind == PACKED_AWQ)
        return zeros && runs_fit(p, scales->dim[1]) && is_matrix(scales, p->scale_cols, p->rows) &&
               is_matrix(zeros, p->scale_cols, p->code_cols);
    return runs_fit(p, scales->dim[0]) && is_matrix(scales, p->rows, p->scale_cols) &&
           (!zeros || is_matrix(zeros, p->rows / 8 + (p->rows % 8 != 0), p->scale_cols));
}

static enum type type_of(const struct packing *p) {
    if (p->kind == PACKED_FP8) return packed_scales_are_powers(p) ? TYPE_BF16 : TYPE_F32;
    bool exact = p->cols % 32 == 0 && p->wide % 32 == 0 && packed_scales_are_halves(p);
    return !exact ? TYPE_F32 : p->zeros ? TYPE_Q5_0 : TYPE_Q4_0;
}

// Of an element type that is none of gyr's, and otherwise as it should be.
static bool of_dtype(const struct tensor *t, const char *dtype) {
    return t->unread == unread_type && !strcmp(t->dtype, dtype);
}

// Whether a matrix of codes has as many bytes as its shape says.
static bool is_whole(const struct tensor *t) {
    uint64_t bytes;
    return t->n_dims == 2 && !__builtin_mul_overflow(t->dim[0], t->dim[1], &bytes) &&
           !__builtin_mul_overflow(bytes, dtype_size(t->dtype), &bytes) && bytes == t->bytes;
}

static void use(const struct settler *s, const struct tensor *t) {
    if (t) s->used[t - s->c->tensors] = true;
}

// The matrix that codes are of, in their place.
static bool settle(const struct settler *s, struct tensor *codes) {
    struct storage *storage = s->c->storage;
    struct tensor *scales = beside(s, codes, s->codes->scales), *zeros = beside(s, codes, s->codes->zeros);
    if (!scales) scales = beside(s, codes, s->codes->scales_too);
    const char *missing = !scales ? s->codes->scales : !zeros && s->zeros ? s->codes->zeros : NULL;
    if (missing)
        return fail(s->e, GYR_MALFORMED, "%s: tensor %.*s has no %s; get all parts of the model", s->c->path,
                    shown(codes->name), codes->name.data, missing + 1);
    struct packing *p = arena_alloc(&storage->arena, 1, sizeof *p);
    if (!p) return fail_memory(s->e, s->c->path);
    p->kind = s->codes->kind;
    if (scales->unread || type_info(scales->type)->quantized || !is_whole(codes) ||
        (zeros && (!of_dtype(zeros, "I32") || !is_whole(zeros))) || !fits(s, codes, scales, zeros, p))
        return unlike(s, codes);
    p->codes = codes->data;
    p->scales = scales->data;
    p->scale_type = scales->type;
    p->zeros = zeros ? zeros->data : NULL;
    size_t n = codes->name.size - strlen(s->codes->end);
    char *name = arena_alloc(&storage->arena, n + sizeof ".weight", 1);
    if (!name) return fail_memory(s->e, s->c->path);
    memcpy(name, codes->name.data, n);
    memcpy(name + n, ".weight", sizeof ".weight");
    use(s, scales);
    use(s, zeros);
    *codes = (struct tensor){.name = {name, n + 7},
                             .type = type_of(p),
                             .n_dims = 2,
                             .dim = {p->cols, p->rows, 1, 1},
                             .scales = p->scales,
                             .packing = p};
    return tensor_measure(codes, s->c->path, s->e);
}

static bool is_passed(struct text name) {
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (ends(name, passed[i])) return true;
    return false;
}

// Without what was used. The tensors' names are found again, since some have new ones.
static bool rebuild(const struct settler *s) {
    struct checkpoint *c = s->c;
    struct tensor *all = c->tensors;
    size_t n = c->n_tensors;
    index_free(&c->storage->names);
    c->storage->names = (struct index){0};
    c->storage->tensor_room = c->n_tensors = 0;
    c->tensors = NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        if (!s->used[i] && !is_passed(all[i].name)) ok = checkpoint_add(c, &all[i], c->path, s->e);
    free(all);
    return ok;
}

// Asymmetric schemes have zero points.
static bool wants_zeros(const struct settler *s) {
    struct text key;
    const struct value *v;
    for (size_t i = 0; checkpoint_key(s->c, i, &key, &v); i++)
        if (ends(key, ".weights.symmetric") && v->kind == VALUE_BOOL && !v->b) return s->codes == &nibbles;
    return s->zeros;
}

static bool settle_all(struct settler *s) {
    s->zeros = wants_zeros(s);
    for (size_t i = 0; i < s->c->n_tensors; i++) {
        struct tensor *t = &s->c->tensors[i];
        if (of_dtype(t, s->codes->dtype) && ends(t->name, s->codes->end) && !settle(s, t)) return false;
    }
    return rebuild(s);
}

bool packed_check(const struct checkpoint *c, gyr_error *e) {
    struct settler s = {.c = (struct checkpoint *)(uintptr_t)c, .home = home_of(c), .e = e};
    return !s.home || check_method(&s);
}

bool packed_settle(struct checkpoint *c, gyr_error *e) {
    struct settler s = {.c = c, .home = home_of(c)};
    if (!s.home || !check_method(&s)) return true;
    s.e = e;
    s.used = calloc(c->n_tensors + 1, sizeof *s.used);
    bool ok = s.used ? settle_all(&s) : fail_memory(e, c->path);
    free(s.used);
    return ok;
}
