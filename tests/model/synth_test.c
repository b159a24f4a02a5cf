// Synthetic models: written, opened and run, through the public interface.
#include "gyr.h"
#include "test.h"

#include <dirent.h>

static gyr_error err;
static char folder[] = "/tmp/gyr-synth-XXXXXX", file[64];

static bool at_most_half(void *user, double fraction) {
    *(double *)user = fraction;
    return fraction < 0.5;
}

static void describes_and_runs(const char *shape, const char *type, const char *types) {
    gyr_synth_options o = {.shape = shape, .type = type, .layers = 1, .context = 12345, .output = file, .seed = 3};
    CHECK_INT(gyr_synth(&o, &err), GYR_OK);
    gyr_model *m = gyr_model_open(file, NULL, &err);
    if (!m) printf("  %s\n", err.message);
    REQUIRE(m);
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    CHECK_STR(info.name, shape);
    CHECK_STR(info.types, types);
    CHECK_INT(info.layers, 1);
    CHECK_INT(info.context, 12345);
    gyr_session *s = gyr_session_new(m, NULL, &err);
    int32_t prompt[] = {1, 2, 3};
    gyr_generate_stats stats;
    gyr_generate_options generate = {.max_tokens = 3, .ignore_end = true};
    CHECK_INT(gyr_generate(s, prompt, 3, &generate, &stats, &err), GYR_OK);
    CHECK_INT(stats.answer_tokens, 3);
    const float *logits = gyr_session_logits(s);
    double sum = 0, square = 0;
    for (uint32_t i = 0; i < info.vocab; i++) {
        sum += (double)logits[i];
        square += (double)logits[i] * (double)logits[i];
    }
    // Normed rows times weights of variance 1 / columns: logits of about unit variance, so the arithmetic is not idle.
    double variance = square / info.vocab - sum / info.vocab * sum / info.vocab;
    CHECK(variance > 0.5 && variance < 2);
    gyr_session_free(s);
    gyr_model_close(m);
    unlink(file);
}

static void falcon_rw(void) { describes_and_runs("falcon-rw-1b", "q4_k", "q4_k f32"); }

static void llama(void) { describes_and_runs("llama-1.1b", "q4_0", "q4_0 f32"); }
static void qwen3(void) { describes_and_runs("qwen3-0.6b", "q8_0", "q8_0 f32"); }

static void mamba(void) { describes_and_runs("mamba-130m", "q4_0", "q4_0 f32 f16"); }
static void mamba2(void) { describes_and_runs("mamba2-130m", "q8_0", "q8_0 f32"); }

static void gemma2(void) { describes_and_runs("gemma-2-9b", "q4_k", "q4_k f32"); }

// Experts in one tensor, of which a token reads a few.
static void experts(void) {
    gyr_synth_options o = {.shape = "qwen3-30b-a3b", .type = "q4_0", .layers = 1, .output = file, .seed = 3};
    CHECK_INT(gyr_synth(&o, &err), GYR_OK);
    gyr_model *m = gyr_model_open(file, NULL, &err);
    if (!m) printf("  %s\n", err.message);
    REQUIRE(m);
    gyr_model_info info;
    gyr_model_get_info(m, &info);
    CHECK(info.decode_bytes < info.weight_bytes);
    gyr_session *s = gyr_session_new(m, NULL, &err);
    int32_t prompt[] = {1, 2, 3};
    CHECK_INT(gyr_session_feed(s, prompt, 3, NULL, &err), GYR_OK);
    double square = 0;
    for (uint32_t i = 0; i < info.vocab; i++) square += pow((double)gyr_session_logits(s)[i], 2);
    CHECK(square / info.vocab > 0.5 && square / info.vocab < 2);
    gyr_session_free(s);
    gyr_model_close(m);
    unlink(file);
}

static void same_seed_same_file(void) {
    uint64_t sum[3];
    for (uint64_t i = 0; i < 3; i++) {
        gyr_synth_options o = {.shape = "falcon-rw-1b", .type = "q2_k", .layers = 1, .output = file, .seed = i / 2};
        CHECK_INT(gyr_synth(&o, &err), GYR_OK);
        FILE *f = fopen(file, "rb");
        REQUIRE(f);
        sum[i] = 14695981039346656037u; // FNV-1a
        static unsigned char block[1 << 16];
        for (size_t n; (n = fread(block, 1, sizeof block, f));)
            for (size_t k = 0; k < n; k++) sum[i] = (sum[i] ^ block[k]) * 1099511628211u;
        fclose(f);
        unlink(file);
    }
    CHECK(sum[0] == sum[1]);
    CHECK(sum[0] != sum[2]);
}

static void stopped_leaves_nothing(void) {
    double seen = 0;
    gyr_synth_options o = {
        .shape = "falcon-rw-1b", .type = "q8_0", .layers = 1, .output = file, .progress = at_most_half, .user = &seen};
    CHECK_INT(gyr_synth(&o, &err), GYR_CANCELLED);
    CHECK(seen >= 0.5 && seen < 0.7);
    int files = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) files += *e->d_name != '.';
    if (d) closedir(d);
    CHECK_INT(files, 0);
}

static void mistakes_are_named(void) {
    gyr_synth_options o = {.shape = "falcon-9b", .type = "q4_0", .output = file};
    CHECK_INT(gyr_synth(&o, &err), GYR_USAGE);
    CHECK(strstr(err.message, "shape 'falcon-9b' is not one gyr knows; it knows: falcon-rw-1b, falcon-7b, "));
    o = (gyr_synth_options){.shape = "falcon-7b", .type = "q9", .output = file};
    CHECK_INT(gyr_synth(&o, &err), GYR_USAGE);
    CHECK(strstr(err.message, "type 'q9' is not one gyr knows; it knows: f32"));
    o = (gyr_synth_options){.shape = "falcon-7b", .type = "q4_0", .output = file, .layers = 33};
    CHECK_INT(gyr_synth(&o, &err), GYR_USAGE);
    CHECK_STR(err.message, "33 layers: falcon-7b has 32");
    o = (gyr_synth_options){.shape = "falcon-7b", .type = "q4_0", .output = "/nonexistent/x.gguf", .layers = 1};
    CHECK_INT(gyr_synth(&o, &err), GYR_IO);
    CHECK_INT(gyr_synth(&(gyr_synth_options){0}, &err), GYR_USAGE);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    snprintf(file, sizeof file, "%s/m.gguf", folder);
    RUN(falcon_rw);
    if (!TEST_SLOW)
        RUN(llama), RUN(qwen3), RUN(gemma2), RUN(mamba), RUN(mamba2); // the same code with larger vocabularies
    RUN(experts);
    if (!TEST_SLOW) RUN(same_seed_same_file);
    RUN(stopped_leaves_nothing);
    RUN(mistakes_are_named);
    rmdir(folder);
    return test_end();
}
