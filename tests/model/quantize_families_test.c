// Families whose files have tensors of unusual shapes, quantized: the file opens and answers.
#include "drawn.h"

static char folder[] = "/tmp/gyr-quantized-XXXXXX";

static const char *file_of(const char *name) { return drawn_file(folder, name); }

// How far the logits of the quantized file are from those of the golden, as a fraction of the golden's size.
static double error_of(const struct drawn *d, gyr_model *m) {
    size_t n = (size_t)(d->text_n * d->vocab);
    gyr_session *s = gyr_session_new(m, &(gyr_session_options){d->context}, NULL);
    float *got = calloc(n, sizeof *got);
    double error = 0, size = 0;
    CHECK_INT(gyr_session_feed(s, d->text, (size_t)d->text_n, got, NULL), GYR_OK);
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - (double)d->logits[i]) * ((double)got[i] - (double)d->logits[i]);
        size += (double)d->logits[i] * (double)d->logits[i];
    }
    free(got);
    gyr_session_free(s);
    return sqrt(error / size);
}

// A token that goes to another expert, or a state that has forgotten more, is far off in so small a model; what is read
// wrongly is off by more than its size.
static void check(const char *name) {
    static struct drawn d;
    gyr_error e = {0};
    REQUIRE(drawn_load(&d, name) && drawn_write_gguf(&d, file_of("whole.gguf"), &e));
    gyr_quantize_options o = {.input = file_of("whole.gguf"), .output = file_of("small.gguf"), .type = "q8_0"};
    gyr_model *m = gyr_quantize(&o, &e) ? NULL : gyr_model_open(file_of("small.gguf"), NULL, &e);
    if (!m) printf("  %s: %s\n", name, e.message);
    CHECK(m);
    double error = m ? error_of(&d, m) : 1;
    if (!(error < 0.25)) printf("  %s: off by %.3f\n", name, error);
    CHECK(error < 0.25);
    gyr_model_close(m);
    drawn_free(&d);
}

static void states(void) {
    check("mamba");
    check("mamba2-groups");
    check("falcon-h1");
    check("qwen3-next");
}

static void experts(void) {
    check("granite-moe-shared");
    check("llama4-chunks");
    check("deepseek-v3");
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(states);
    RUN(experts);
    unlink(file_of("whole.gguf"));
    unlink(file_of("small.gguf"));
    rmdir(folder);
    return test_end();
}
