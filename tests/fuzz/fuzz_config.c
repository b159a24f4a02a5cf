// A config.json: whatever it says, it is settled and read, or refused with a line.
#include "format/hf.h"
#include "model/hyper.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool settle(struct checkpoint *c, const json_t *root, gyr_error *e) {
    struct text type = json_text(json_object_get(root, "model_type"));
    c->source = CHECKPOINT_HF;
    c->architecture = strdup(type.size ? type.data : "llama");
    return hf_config(root, c->keys, "fuzz", e) && hf_settle(c, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_new("fuzz", &e);
    json_t *root = c ? json_parse((const char *)data, size, 0, "fuzz", &e) : NULL;
    bool ok = root && settle(c, root, &e);
    const struct family *f = ok ? family_find(c, &e) : NULL;
    struct hyperparameters h;
    if (f && hyperparameters(f, c, &h, &e))
        for (uint32_t i = 0; i < h.layers; i++) layer_plan(f, c, &h, i);
    else if (e.status == GYR_OK || !e.message[0])
        abort();
    json_decref(root);
    checkpoint_close(c);
    return 0;
}
