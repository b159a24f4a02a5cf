// Whole models on the emulated card: the bytes that the CPU's plain C gives. The poet, and every family of
// tests/data/models, with each type of cache in turn: a prompt in one piece, then token by token. With TEST_CARD on a
// card of this machine, which GYR_CARD names ("cuda").
#include "engine/poet.h"
#include "gyr.h"
#include "model/drawn.h"

#include <dirent.h>

enum { PROMPT = 11, TOKENS = 15 };

static char folder[] = "/tmp/gyr-simt-XXXXXX";
static const char *device = "simt";
static const gyr_kv_type kv_types[] = {GYR_KV_F16, GYR_KV_Q8, GYR_KV_F32};

// The scores after each token; NULL, having said why, if there are none.
static float *scores(const char *path, const gyr_model_options *on, gyr_kv_type kv, const int32_t *ids, size_t n,
                     size_t *vocab) {
    gyr_error e = {0};
    gyr_model_info info = {0};
    gyr_model *m = gyr_model_open(path, on, &e);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){64, kv}, &e) : NULL;
    if (m) gyr_model_get_info(m, &info);
    float *out = s ? malloc(n * info.vocab * sizeof *out) : NULL;
    size_t first = n < PROMPT ? n : PROMPT;
    bool ok = out && !gyr_session_feed(s, ids, first, out, &e);
    for (size_t i = first; ok && i < n; i++) ok = !gyr_session_feed(s, ids + i, 1, out + i * info.vocab, &e);
    if (!ok) printf("  %s on %s: %s\n", path, on->device, e.message);
    gyr_session_free(s);
    if (m) gyr_model_close(m);
    *vocab = info.vocab;
    if (ok) return out;
    free(out);
    return NULL;
}

static void check_same(const char *name, const char *path, gyr_kv_type kv, const int32_t *ids, size_t n) {
    size_t vocab;
    const gyr_model_options cpu = {.threads = 1, .device = "cpu"}, card = {.threads = 1, .device = device};
    float *want = scores(path, &cpu, kv, ids, n, &vocab), *got = scores(path, &card, kv, ids, n, &vocab);
    bool same = want && got && !memcmp(want, got, n * vocab * sizeof *want);
    CHECK(same);
    if (!same) printf("  %s, cache type %d: not the CPU's bytes\n", name, (int)kv);
    free(want);
    free(got);
}

// The same of a model of which the card has the last layer, and, of a mixture, no experts: a few tokens of it.
static void check_shared(const char *name, const char *path, gyr_kv_type kv, const int32_t *ids, bool mixture) {
    enum { FEW = 5 };
    size_t vocab;
    const gyr_model_options cpu = {.threads = 1, .device = "cpu"};
    const gyr_model_options both = {.threads = 1, .device = device, .gpu_layers = 1, .cpu_experts = mixture};
    float *want = scores(path, &cpu, kv, ids, FEW, &vocab), *got = scores(path, &both, kv, ids, FEW, &vocab);
    bool same = want && got && !memcmp(want, got, FEW * vocab * sizeof *want);
    CHECK(same);
    if (!same) printf("  %s, shared out, cache type %d: not the CPU's bytes\n", name, (int)kv);
    free(want);
    free(got);
}

static void the_poet(void) {
    int32_t ids[TOKENS];
    for (int i = 0; i < TOKENS; i++) ids[i] = 3 + 97 * i % 1000;
    for (size_t k = 0; k < test_times(3, 1); k++) check_same("the poet", poet_path(), kv_types[k], ids, TOKENS);
}

// All of them take a minute: a quarter, by their letters.
static bool is_tried(const char *name) {
    unsigned sum = 0;
    for (; *name; name++) sum += (unsigned char)*name;
    return getenv("SIMT_ALL") || sum % 4 == 0;
}

// What was said on the card is read on the CPU, and goes on there with its bytes.
static void check_saved(const char *name, const char *path, gyr_kv_type kv, const int32_t *ids) {
    enum { FEW = 5 };
    gyr_error e = {0};
    const char *file = drawn_file(folder, "saved");
    gyr_model_info info = {0};
    gyr_model *card = gyr_model_open(path, &(gyr_model_options){.threads = 1, .device = device}, &e);
    gyr_model *cpu = gyr_model_open(path, &(gyr_model_options){.threads = 1, .device = "cpu"}, &e);
    REQUIRE(card && cpu);
    const gyr_session_options o = {64, kv};
    gyr_session *said = gyr_session_new(card, &o, &e), *read = gyr_session_new(cpu, &o, &e),
                *own = gyr_session_new(cpu, &o, &e);
    gyr_model_get_info(cpu, &info);
    bool ok = said && read && own && !gyr_session_feed(said, ids, FEW, NULL, &e) &&
              !gyr_session_save(said, 0, FEW, file, &e) && !gyr_session_load(read, file, &e) &&
              !gyr_session_feed(read, ids + FEW, 1, NULL, &e) && !gyr_session_feed(own, ids, FEW + 1, NULL, &e);
    CHECK(ok);
    if (!ok) printf("  %s, cache type %d: %s\n", name, (int)kv, e.message);
    CHECK(ok && !memcmp(gyr_session_logits(read), gyr_session_logits(own), info.vocab * sizeof(float)));
    unlink(file);
    gyr_session_free(said);
    gyr_session_free(read);
    gyr_session_free(own);
    gyr_model_close(card);
    gyr_model_close(cpu);
}

// One of each kind: dense, a mixture, states beside attention.
static void shared_out(void) {
    static struct drawn d;
    static const char *const names[] = {"gemma2", "gpt-oss", "falcon-h1"};
    REQUIRE(mkdtemp(folder));
    const char *path = drawn_file(folder, "model.gguf");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        gyr_error e = {0};
        bool ok = drawn_load(&d, names[i]) && drawn_write_gguf(&d, path, &e);
        CHECK(ok);
        if (ok) check_shared(names[i], path, kv_types[i], d.text, i == 1);
        if (ok) check_saved(names[i], path, kv_types[i], d.text);
        drawn_free(&d);
    }
    unlink(path);
}

static void families(void) {
    static struct drawn d;
    const char *only = getenv("GYR_FAMILY");
    size_t n = 0;
    DIR *dir = opendir(test_data("models"));
    REQUIRE(dir);
    const char *path = drawn_file(folder, "model.gguf");
    for (struct dirent *f; (f = readdir(dir));) {
        char *end = strstr(f->d_name, ".txt");
        if (!end) continue;
        *end = 0;
        if (only ? strcmp(only, f->d_name) : !is_tried(f->d_name)) continue;
        gyr_error e = {0};
        bool ok = drawn_load(&d, f->d_name) && drawn_write_gguf(&d, path, &e);
        CHECK(ok);
        if (ok) check_same(f->d_name, path, kv_types[n++ % 3], d.text, TOKENS);
        drawn_free(&d);
    }
    closedir(dir);
    unlink(path);
    rmdir(folder);
    CHECK(n > 0);
    printf("  %zu models\n", n);
}

#ifdef TEST_CARD
static bool card_is_there(void) {
    gyr_device_info info;
    size_t n = strcspn(device, ":");
    for (size_t i = 0; i < gyr_device_count(); i++)
        if (!gyr_device_get_info(i, &info, NULL) && strlen(info.kind) == n && !strncmp(info.kind, device, n))
            return !info.unusable;
    return false;
}
#endif

int main(void) {
    setenv("GYR_ISA", "scalar", 1);
#ifdef TEST_CARD
    device = getenv("GYR_CARD") ? getenv("GYR_CARD") : "cuda";
    setenv("GYR_GPU_UNTRIED", "1", 1);
    if (!card_is_there()) {
        printf("%s: no card to try\n", device);
        return 77;
    }
    // While one model is open, the others need not wait for the driver to begin with the card.
    gyr_model *first = gyr_model_open(poet_path(), &(gyr_model_options){.threads = 1, .device = device}, NULL);
#else
    setenv("GYR_CACHE", "off", 1);
#endif
    RUN(the_poet);
    RUN(shared_out);
    RUN(families);
#ifdef TEST_CARD
    gyr_model_close(first);
#endif
    return test_end();
}
