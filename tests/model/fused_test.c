// Queries, keys and values in one matrix or in three: the same weights give the same bytes, whatever else the family
// does to them on the way.
#include "drawn.h"

#include <dirent.h>

static char folder[] = "/tmp/gyr-fused-XXXXXX";
static struct drawn d;

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static struct drawn_tensor *find(unsigned layer, const char *name, const char *part) {
    char full[128];
    snprintf(full, sizeof full, "blk.%u.%s.%s", layer, name, part);
    for (size_t i = 0; i < d.n_tensors; i++)
        if (d.tensor[i].gguf && !strcmp(d.tensor[i].name, full)) return &d.tensor[i];
    return NULL;
}

static struct drawn_tensor *add(unsigned layer, const char *name, const char *part, size_t rows, size_t cols) {
    struct drawn_tensor *t = &d.tensor[d.n_tensors++];
    bool matrix = !strcmp(part, "weight");
    *t = (struct drawn_tensor){.n_dims = matrix ? 2 : 1, .dim = {rows, cols}, .n = rows * cols, .gguf = true};
    snprintf(t->name, sizeof t->name, "blk.%u.%s.%s", layer, name, part);
    t->data = malloc(t->n * sizeof *t->data);
    return t;
}

static size_t columns(const struct drawn_tensor *t) { return t->n_dims == 2 ? t->dim[1] : 1; }

// Puts a layer's three matrices, or their biases, in one; false if it does not have them.
static bool join(unsigned layer, const char *part) {
    static const char *const names[] = {"attn_q", "attn_k", "attn_v"};
    struct drawn_tensor *from[3];
    size_t rows = 0;
    for (int i = 0; i < 3; rows += from[i++]->dim[0])
        if (!(from[i] = find(layer, names[i], part))) return false;
    struct drawn_tensor *to = add(layer, "attn_qkv", part, rows, columns(from[0]));
    float *at = to->data;
    for (int i = 0; i < 3; at += from[i++]->n) {
        memcpy(at, from[i]->data, from[i]->n * sizeof *at);
        from[i]->gguf = false;
    }
    return true;
}

// The other way round: `q` rows are the queries'.
static bool part_of(unsigned layer, const char *part, size_t q) {
    static const char *const names[] = {"attn_q", "attn_k", "attn_v"};
    struct drawn_tensor *from = find(layer, "attn_qkv", part);
    if (!from) return false;
    size_t kv = (from->dim[0] - q) / 2, cols = columns(from), done = 0;
    for (int i = 0; i < 3; i++) {
        struct drawn_tensor *to = add(layer, names[i], part, i ? kv : q, cols);
        memcpy(to->data, from->data + done, to->n * sizeof *to->data);
        done += to->n;
    }
    from->gguf = false;
    return true;
}

// Changes every layer that can be changed; how many those are.
static int change(void) {
    int changed = 0;
    for (unsigned i = 0; i < 16; i++) {
        struct drawn_tensor *out = find(i, "attn_output", "weight");
        size_t q = out ? out->dim[1] : 0;
        if (!out) continue;
        bool one = join(i, "weight"), other = !one && part_of(i, "weight", q);
        if (one) join(i, "bias");
        if (other) part_of(i, "bias", q);
        changed += one || other;
    }
    return changed;
}

static float *logits_of(const char *path, gyr_error *e) {
    gyr_model *m = gyr_model_open(path, NULL, e);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){d.context, GYR_KV_F32}, e) : NULL;
    float *out = s ? malloc((size_t)(d.text_n * d.vocab) * sizeof *out) : NULL;
    if (out && gyr_session_feed(s, d.text, (size_t)d.text_n, out, e)) {
        free(out);
        out = NULL;
    }
    gyr_session_free(s);
    gyr_model_close(m);
    return out;
}

// Families whose files have no other name for these matrices, or mean something else by it: the file is refused.
static bool has_no_other_form(const char *name) {
    static const char *const families[] = {"gpt2", "gpt-neox", "qwen3-next", "qwen3.5", "kimi-linear"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strncmp(name, families[i], strlen(families[i]))) return true;
    return false;
}

static void check(const char *name, int *same) {
    gyr_error e = {0};
    CHECK(drawn_write_gguf(&d, file_of("given.gguf"), &e));
    if (!change()) return;
    CHECK(drawn_write_gguf(&d, file_of("changed.gguf"), &e));
    float *want = logits_of(file_of("given.gguf"), &e), *got = logits_of(file_of("changed.gguf"), &e);
    CHECK(want);
    if (has_no_other_form(name)) {
        bool refused = !got && (e.status == GYR_MALFORMED || e.status == GYR_UNSUPPORTED);
        if (!refused) printf("  %s: not refused\n", name);
        CHECK(refused && strstr(e.message, "tensor 'blk."));
    } else {
        size_t n = (size_t)(d.text_n * d.vocab);
        float far = 0;
        for (size_t i = 0; want && got && i < n; i++) far = fmaxf(far, fabsf(want[i] - got[i]));
        bool equal = want && got && !memcmp(want, got, n * sizeof *want);
        if (!equal) printf("  %s: %s, farthest %.3g\n", name, got ? "differs" : e.message, (double)far);
        CHECK(equal);
        *same += equal;
    }
    free(want);
    free(got);
}

static void every_family(void) {
    DIR *dir = opendir(test_data("models"));
    int n = 0, same = 0;
    for (struct dirent *e; dir && (e = readdir(dir)); n++) {
        char name[64], *end = strstr(e->d_name, ".txt");
        if (!end || end - e->d_name >= (long)sizeof name) continue;
        snprintf(name, sizeof name, "%.*s", (int)(end - e->d_name), e->d_name);
        CHECK(drawn_load(&d, name));
        check(name, &same);
        drawn_free(&d);
    }
    if (dir) closedir(dir);
    printf("  %d models, fused and apart\n", same);
    CHECK(same > 40);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(every_family);
    unlink(file_of("given.gguf"));
    unlink(file_of("changed.gguf"));
    rmdir(folder);
    return test_end();
}
