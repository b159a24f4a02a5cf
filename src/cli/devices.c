// gyr devices: what models can run on here.
#include "check.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct devices_options {
    const char *model;
    bool json, check;
};

#define FIELD(name) offsetof(struct devices_options, name)

static const struct option options[] = {
    {"json", 0, NULL, "print JSON, with the memory's measured speed", OPTION_FLAG, FIELD(json)},
    {"check", 0, NULL, "compare a card, the first or NAME, with the CPU: all bytes", OPTION_FLAG, FIELD(check)},
    {"model", 'm', "FILE", "with --check: by this model, not by the poet", OPTION_TEXT, FIELD(model)},
    {0}};

static const struct syntax syntax = {
    "devices", "[NAME]", "List the devices that models can run on here.", "gyr devices", options, 0, 1};

static json_t *describe(const gyr_device_info *d, double bandwidth, const char *why) {
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:b, s:I, s:I}", "name", d->name, "kind", d->kind, "isa", d->isa, "usable",
                  !d->unusable, "memory_bytes", (json_int_t)d->memory_bytes, "memory_free", (json_int_t)d->memory_free);
    if (d->threads) json_object_set_new(j, "threads", json_integer(d->threads));
    if (bandwidth > 0) json_object_set_new(j, "memory_bandwidth", json_real(bandwidth));
    if (*d->driver) json_object_set_new(j, "driver", json_string(d->driver));
    if (*d->bus) json_object_set_new(j, "bus", json_string(d->bus));
    if (*d->compiler) json_object_set_new(j, "compiler", json_string(d->compiler));
    if (!d->threads) json_object_set_new(j, "tried", json_boolean(!d->untried));
    if (d->unusable) json_object_set_new(j, "why", json_string(why));
    return j;
}

static void print_cpu(const gyr_device_info *d, double bandwidth) {
    print("   %u thread%s, %s; %s of %s memory free, read at %s/s\n", d->threads, d->threads == 1 ? "" : "s", d->isa,
          human_bytes((double)d->memory_free), human_bytes((double)d->memory_bytes), human_bytes(bandwidth));
}

// What gyr bench measured of it is said too.
static void print_card(const gyr_device_info *d, double bandwidth, const char *why) {
    char read[64] = "";
    if (bandwidth > 0) snprintf(read, sizeof read, ", read at %s/s", human_bytes(bandwidth));
    if (*d->isa)
        print("   %s, driver %s, compiler %s; %s of %s memory free%s\n", d->isa, *d->driver ? d->driver : "unknown",
              *d->compiler ? d->compiler : "none", human_bytes((double)d->memory_free),
              human_bytes((double)d->memory_bytes), read);
    if (d->unusable)
        print("   not usable: %s\n", why);
    else if (d->untried)
        print("   not tried on this chip yet: 'gyr devices --check' compares it with the CPU\n");
}

// One device's line; its object goes to `all`.
static gyr_status list_one(size_t i, bool json, json_t *all, gyr_error *e) {
    gyr_device_info d;
    gyr_error check = {0};
    double bandwidth = 0;
    if (gyr_device_get_info(i, &d, e)) return e->status;
    bool card = d.unusable || !d.threads;
    if (!card && gyr_measure_bandwidth(0, 0, &bandwidth, e)) return e->status;
    if (card) bandwidth = gyr_plan_kept_read(&d);
    if (d.unusable) gyr_device_check(i, &check);
    json_array_append_new(all, describe(&d, bandwidth, check.message));
    if (json) return GYR_OK;
    print("%zu  %s  %s\n", i, d.kind, d.name);
    if (card)
        print_card(&d, bandwidth, check.message);
    else
        print_cpu(&d, bandwidth);
    return GYR_OK;
}

static int list(bool json) {
    gyr_error e = {0};
    json_t *all = json_array();
    for (size_t i = 0; i < gyr_device_count(); i++)
        if (list_one(i, json, all, &e)) {
            json_decref(all);
            return report(&e);
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
    if (o.check && o.json) return usage_error("devices: --check prints lines, no JSON");
    if (!o.check && operands)
        return usage_error("devices: one argument too many: \"%s\"; see 'gyr devices --help'", argv[1]);
    if (!o.check && o.model) return usage_error("devices: --model goes with --check");
    return o.check ? check_device(operands ? argv[1] : NULL, o.model) : list(o.json);
}
