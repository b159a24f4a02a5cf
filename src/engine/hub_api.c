// Models by name, behind the public header.
#include "engine/engine.h"
#include "hub/hub.h"

bool gyr_is_hub_name(const char *name) { return hub_is_name(name); }

char *gyr_pull(const gyr_pull_options *options, gyr_error *e) {
    return CHECK_RESERVED(options, e) ? hub_pull(options, memory_total(), e) : NULL;
}

char *gyr_pull_preview(const gyr_pull_options *options, gyr_error *e) {
    return CHECK_RESERVED(options, e) ? hub_preview(options, memory_total(), e) : NULL;
}

char *gyr_pulled(const char *name, const char *store, gyr_error *e) { return hub_find(name, store, e); }

char *gyr_pulled_list(const char *store, gyr_error *e) { return hub_list(store, e); }

gyr_status gyr_pulled_remove(const char *name, const char *store, uint64_t *bytes, gyr_error *e) {
    gyr_error made = {0};
    return status_of(hub_remove(name, store, bytes, &made), &made, e);
}
