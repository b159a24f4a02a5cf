// A model's checksum: SHA-256 over what its answers depend on, in an order that does not depend on how the file lies on
// the disk. docs/receipts.md says what goes in.
#include "engine/engine.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Tensors are cut into pieces, so that threads share them.
enum { PIECE = 16 << 20, DIGEST = 32, STEP = 1 << 16 };

struct piece {
    const struct tensor *tensor;
    uint64_t first, n; // bytes; of a tensor that is put together from several (tensor_blocks()), elements
    unsigned char digest[DIGEST];
};

struct job {
    struct piece *pieces;
    size_t n;
    atomic_bool failed;
};

// Codes and scales that lie apart are taken as the blocks that the model computes with.
static bool apart(const struct tensor *t) { return !t->unread && (t->scales || t->packing); }

static bool add_blocks(EVP_MD_CTX *c, const struct piece *p) {
    const struct tensor *t = p->tensor;
    uint8_t *out = malloc(type_row_bytes(t->type, STEP) + !STEP);
    bool ok = out;
    for (uint64_t done = 0; ok && done < p->n; done += STEP) {
        size_t n = p->n - done < STEP ? (size_t)(p->n - done) : STEP;
        tensor_blocks(t, p->first + done, n, out);
        ok = EVP_DigestUpdate(c, out, type_row_bytes(t->type, n));
    }
    free(out);
    return ok;
}

static void take_piece(void *arg, size_t i) {
    struct job *job = arg;
    struct piece *p = &job->pieces[i];
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL);
    ok = ok && (apart(p->tensor) ? add_blocks(c, p) : EVP_DigestUpdate(c, p->tensor->data + p->first, (size_t)p->n));
    if (!ok || !EVP_DigestFinal_ex(c, p->digest, NULL)) atomic_store(&job->failed, true);
    EVP_MD_CTX_free(c);
}

static int by_name(const void *a, const void *b) {
    struct text x = (*(const struct tensor *const *)a)->name, y = (*(const struct tensor *const *)b)->name;
    int d = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return d ? d : (x.size > y.size) - (x.size < y.size);
}

static bool cut(struct job *job, const struct tensor *const *sorted, size_t n) {
    size_t room = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = sorted[i];
        uint64_t all = apart(t) ? t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3] : t->data ? t->bytes : 0;
        for (uint64_t at = 0; at < all; at += PIECE) {
            if (!ARRAY_GROW(job->pieces, job->n, room)) return false;
            job->pieces[job->n++] = (struct piece){.tensor = t, .first = at, .n = all - at < PIECE ? all - at : PIECE};
        }
    }
    return true;
}

// ----------------------------------------------------------------------------------------- names and metadata

static void add_number(EVP_MD_CTX *c, uint64_t n) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(n >> 8 * i);
    EVP_DigestUpdate(c, bytes, sizeof bytes);
}

static void add_text(EVP_MD_CTX *c, struct text t) {
    add_number(c, t.size);
    if (t.size) EVP_DigestUpdate(c, t.data, t.size);
}

static void add_string(EVP_MD_CTX *c, const char *s) { add_text(c, (struct text){s, strlen(s)}); }

static void add_value(EVP_MD_CTX *c, const struct value *v) {
    static const char *const kinds[] = {
        [VALUE_NONE] = "none",     [VALUE_UINT] = "uint",   [VALUE_INT] = "int",   [VALUE_BOOL] = "bool",
        [VALUE_STRING] = "string", [VALUE_FLOAT] = "float", [VALUE_ARRAY] = "list"};
    size_t n = v->kind == VALUE_ARRAY ? v->array.n : 1;
    add_string(c, kinds[v->kind]);
    add_number(c, n);
    for (size_t i = 0; i < n; i++) {
        struct value one = value_at(v, i);
        uint64_t bits = 0;
        if (one.kind == VALUE_UINT) bits = one.u;
        if (one.kind == VALUE_INT) bits = (uint64_t)one.i;
        if (one.kind == VALUE_BOOL) bits = one.b;
        if (one.kind == VALUE_FLOAT) memcpy(&bits, &one.f, sizeof bits);
        if (one.kind == VALUE_STRING)
            add_text(c, one.s);
        else
            add_number(c, bits);
    }
}

// What a file says of itself, of its parts, and of how a conversation becomes a prompt: a receipt has the prompt.
static bool matters(struct text key) {
    static const char *const not [] = {"general.", "split.", "tokenizer.chat_template", "_name_or_path",
                                       "transformers_version"};
    for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
        if (key.size >= strlen(not [i]) && !memcmp(key.data, not [i], strlen(not [i]))) return false;
    return true;
}

struct key {
    struct text name;
    const struct value *value;
};

static int by_key(const void *a, const void *b) {
    struct text x = ((const struct key *)a)->name, y = ((const struct key *)b)->name;
    int d = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return d ? d : (x.size > y.size) - (x.size < y.size);
}

static bool add_keys(EVP_MD_CTX *c, const struct checkpoint *file) {
    struct key *keys = NULL, k;
    size_t n = 0, room = 0;
    bool ok = true;
    for (size_t i = 0; ok && checkpoint_key(file, i, &k.name, &k.value); i++)
        if (matters(k.name) && (ok = ARRAY_GROW(keys, n, room))) keys[n++] = k;
    if (n) qsort(keys, n, sizeof *keys, by_key);
    add_string(c, file->architecture);
    add_number(c, n);
    for (size_t i = 0; i < n; i++) {
        add_text(c, keys[i].name);
        add_value(c, keys[i].value);
    }
    free(keys);
    return ok;
}

// Of a folder, whose tokenizer is in no key.
static void add_vocab(EVP_MD_CTX *c, const struct vocab *v) {
    const int32_t special[] = {v->bos, v->eos, v->eot, v->unk, v->pad};
    add_number(c, v->n);
    for (size_t i = 0; i < v->n; i++) {
        add_text(c, v->tokens[i]);
        add_number(c, v->kinds ? v->kinds[i] : 0);
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) add_number(c, (uint64_t)special[i]);
    add_number(c, v->n_ends);
    for (size_t i = 0; i < v->n_ends; i++) add_number(c, (uint64_t)v->ends[i]);
}

static void add_tensors(EVP_MD_CTX *c, const struct tensor *const *sorted, size_t n, const struct job *job) {
    const struct piece *p = job->pieces, *end = job->pieces + job->n;
    add_number(c, n);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = sorted[i];
        add_text(c, t->name);
        add_string(c, t->dtype ? t->dtype : type_info(t->type)->name);
        for (int d = 0; d < MAX_DIMS; d++) add_number(c, t->dim[d]);
        for (; p < end && p->tensor == t; p++) EVP_DigestUpdate(c, p->digest, DIGEST);
    }
}

// ------------------------------------------------------------------------------------------------ all of it

static bool digest(const struct checkpoint *file, const char *kind, struct pool *pool, unsigned char out[DIGEST],
                   gyr_error *e) {
    struct job job = {.n = 0};
    size_t n = file->n_tensors;
    const struct tensor **sorted = malloc((n + !n) * sizeof *sorted);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = sorted && c;
    for (size_t i = 0; ok && i < n; i++) sorted[i] = &file->tensors[i];
    if (ok && n) qsort(sorted, n, sizeof *sorted, by_name);
    ok = ok && cut(&job, sorted, n);
    if (ok) pool_run(pool, job.n, take_piece, &job);
    ok = (ok && !atomic_load(&job.failed)) || fail_memory(e, file->path);
    if (ok) ok = EVP_DigestInit_ex(c, EVP_sha256(), NULL) || fail(e, GYR_FAILED, "%s: OpenSSL fails", file->path);
    if (ok) {
        add_string(c, kind);
        ok = add_keys(c, file) || fail_memory(e, file->path);
    }
    if (ok && file->source == CHECKPOINT_HF) add_vocab(c, &file->vocab);
    if (ok) add_tensors(c, sorted, n, &job);
    if (ok) ok = EVP_DigestFinal_ex(c, out, NULL) || fail(e, GYR_FAILED, "%s: OpenSSL fails", file->path);
    EVP_MD_CTX_free(c);
    free(sorted);
    free(job.pieces);
    return ok;
}

bool file_checksum(const struct checkpoint *file, const char *kind, unsigned threads, char hex[65], gyr_error *e) {
    unsigned char out[DIGEST];
    // Threads of its own: the model's may be computing.
    struct pool *pool = pool_new(threads, e);
    bool ok = pool && digest(file, kind, pool, out, e);
    pool_free(pool);
    for (int i = 0; ok && i < DIGEST; i++) snprintf(hex + (ptrdiff_t)2 * i, 3, "%02x", out[i]);
    return ok;
}

gyr_status gyr_model_checksum(gyr_model *m, char checksum[65], gyr_error *e) {
    gyr_error made = {0};
    pthread_mutex_lock(&m->checksum_lock);
    bool ok = *m->checksum || file_checksum(m->checkpoint, "gyr model 1", pool_threads(m->workers), m->checksum, &made);
    if (ok) memcpy(checksum, m->checksum, sizeof m->checksum);
    pthread_mutex_unlock(&m->checksum_lock);
    return status_of(ok, &made, e);
}
