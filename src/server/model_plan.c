#include "server/model_plan.h"

#include "base/error.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static uint64_t number(const json_t *o, const char *key) {
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

static bool read_description(struct model_plan *plan, const struct model_source *source, const json_t *about,
                             gyr_error *e) {
    const json_t *sizes = json_object_get(about, "hyperparameters");
    const char *architecture = json_string_value(json_object_get(about, "architecture"));
    uint64_t context = number(sizes, "context");
    if (!sizes && source->listed)
        return fail(e, GYR_UNSUPPORTED, "%s: gyr runs no models of architecture '%.60s'", source->path,
                    architecture ? architecture : "");
    plan->weights = number(about, "weight_bytes");
    plan->talk = (context < TALK_TOKENS ? context : TALK_TOKENS) * number(about, "kv_bytes_per_token");
    return true;
}

bool model_plan(struct model_plan *plan, const struct model_source *source, const gyr_model_options *o, gyr_error *e) {
    bool ok = true;
    *plan = (struct model_plan){.weights = source->size};
    if (source->path) {
        char *text = gyr_inspect(source->path, false, e);
        json_t *about = text ? json_loads(text, 0, NULL) : NULL;
        ok = about ? read_description(plan, source, about, e) : text ? fail_memory(e, source->path) : false;
        json_decref(about);
        gyr_free(text);
    }
    if (o->kv_bytes) plan->talk = o->kv_bytes;
    return ok;
}

char *model_summary(const char *path, const struct serve_options *o) {
    gyr_plan_options how = {
        .model = path, .context = o->context, .threads = o->model.threads, .kv_type = o->kv_type, .quick = true};
    char *text = path ? gyr_plan(&how, NULL) : NULL;
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    const char *line = json_string_value(json_object_get(plan, "summary"));
    char *copy = line ? strdup(line) : NULL;
    json_decref(plan);
    gyr_free(text);
    return copy;
}

uint64_t model_memory(void) {
    gyr_device_info info = {0};
    if (gyr_device_get_info(0, &info, NULL)) return UINT64_MAX;
    return info.memory_bytes - info.memory_bytes / 16;
}

size_t model_cards(struct model_card *all, size_t room, const gyr_model_options *o) {
    const char *asked = o->device ? o->device : "";
    gyr_device_info info;
    char kind[sizeof info.kind] = "";
    size_t n = 0, only = SIZE_MAX, of_kind = 0;
    bool any = !strcmp(asked, "auto");
    if (o->gpu_layers || o->cpu_experts || (!any && (!*asked || gyr_device_find(asked, &only, NULL)))) return 0;
    for (size_t i = 0; i < gyr_device_count() && n < room; i++) {
        if (gyr_device_get_info(i, &info, NULL)) continue;
        of_kind = strcmp(kind, info.kind) ? 0 : of_kind + 1;
        snprintf(kind, sizeof kind, "%s", info.kind);
        if (info.threads || info.unusable || (!any && i != only)) continue;
        snprintf(all[n].name, sizeof all[n].name, "%s:%zu", info.kind, of_kind);
        all[n++].memory = info.memory_free - info.memory_free / 16;
    }
    return n;
}
