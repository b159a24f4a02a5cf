// Experts of four bits whose codes and scales lie apart, as gpt-oss's folder has them: where they may not be.
#include "drawn.h"

static char folder[] = "/tmp/gyr-halves-XXXXXX";

static const char *file_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void rename_tensor(struct drawn *d, const char *from, const char *to) {
    bool found = false;
    for (size_t i = 0; i < d->n_tensors; i++) {
        if (strcmp(d->tensor[i].name, from) != 0) continue;
        snprintf(d->tensor[i].name, sizeof d->tensor[i].name, "%s", to);
        found = true;
    }
    CHECK(found);
}

static void write_folder(const struct drawn *d) {
    CHECK(drawn_write_text(file_of("config.json"), d->config) &&
          drawn_write_safetensors(d, file_of("model.safetensors")));
}

static const char *joined(const char *stem, const char *end) {
    static char name[2][128];
    static int turn;
    char *p = name[turn++ % 2];
    snprintf(p, sizeof name[0], "%s%s", stem, end);
    return p;
}

static void fails_with(const struct drawn *d, gyr_status status, const char *what) {
    char want[512];
    gyr_error e = {0};
    write_folder(d);
    snprintf(want, sizeof want, "%s: %s", folder, what);
    CHECK(!gyr_model_open(folder, NULL, &e));
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, want);
}

static void only_experts_have_them(void) {
    static const char down[] = "model.layers.0.mlp.experts.down_proj", q[] = "model.layers.0.self_attn.q_proj.weight";
    struct drawn d;
    REQUIRE(drawn_load(&d, "gpt-oss-mxfp4"));
    rename_tensor(&d, q, "unused");
    rename_tensor(&d, joined(down, "_blocks"), joined(q, "_blocks"));
    rename_tensor(&d, joined(down, "_scales"), joined(q, "_scales"));
    fails_with(
        &d, GYR_UNSUPPORTED,
        "tensor 'model.layers.0.self_attn.q_proj.weight' is of four bits in two parts, which gyr takes of experts "
        "alone");
    drawn_free(&d);
}

static void shapes_are_checked(void) {
    static const char down[] = "model.layers.0.mlp.experts.down_proj", up[] = "model.layers.0.mlp.experts.gate_up_proj";
    struct drawn d;
    REQUIRE(drawn_load(&d, "gpt-oss-mxfp4"));
    for (int half = 0; half < 2; half++) {
        const char *end = half ? "_scales" : "_blocks";
        rename_tensor(&d, joined(up, end), "between");
        rename_tensor(&d, joined(down, end), joined(up, end));
        rename_tensor(&d, "between", joined(down, end));
    }
    fails_with(&d, GYR_MALFORMED,
               "tensor 'model.layers.0.mlp.experts.gate_up_proj' is 64 x 64, but the hyperparameters make it 64 x 128; "
               "convert the model again");
    drawn_free(&d);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(only_experts_have_them);
    RUN(shapes_are_checked);
    unlink(file_of("config.json"));
    unlink(file_of("model.safetensors"));
    rmdir(folder);
    return test_end();
}
