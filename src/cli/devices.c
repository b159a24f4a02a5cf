// gyr devices: what models can run on here.
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>

struct devices_options {
    bool json;
};

static const struct option options[] = {{"json", 0, NULL, "print JSON, with the memory's measured speed", OPTION_FLAG,
                                         offsetof(struct devices_options, json)},
                                        {0}};

static const struct syntax syntax = {
    "devices", "", "List the devices that models can run on here.", "gyr devices", options, 0, 0};

static json_t *describe(const gyr_device_info *d, double bandwidth) {
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f}", "name", d->name, "kind", d->kind, "isa", d->isa, "threads",
                     (json_int_t)d->threads, "memory_bytes", (json_int_t)d->memory_bytes, "memory_free",
                     (json_int_t)d->memory_free, "memory_bandwidth", bandwidth);
}

static int list(bool json) {
    gyr_error e = {0};
    gyr_device_info d;
    json_t *all = json_array();
    for (size_t i = 0; i < gyr_device_count(); i++) {
        double bandwidth;
        if (gyr_device_get_info(i, &d, &e) || gyr_measure_bandwidth(0, 0, &bandwidth, &e)) {
            json_decref(all);
            return report(&e);
        }
        json_array_append_new(all, describe(&d, bandwidth));
        if (json) continue;
        print("%zu  %s  %s\n", i, d.kind, d.name);
        print("   %u thread%s, %s; %s of %s memory free, read at %s/s\n", d.threads, d.threads == 1 ? "" : "s", d.isa,
              human_bytes((double)d.memory_free), human_bytes((double)d.memory_bytes), human_bytes(bandwidth));
    }
    char *text = json ? json_dumps(all, JSON_INDENT(2)) : NULL;
    if (text) print("%s\n", text);
    free(text);
    json_decref(all);
    return GYR_OK;
}

int verb_devices(int argc, char **argv) {
    struct devices_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    return list(o.json);
}
