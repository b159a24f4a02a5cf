// The small calls of the public interface.
#include "engine/engine.h"
#include "model/convert.h"
#include "model/mixture.h"
#include "model/quantize.h"
#include "model/shapes.h"
#include "model/synth.h"

#include <stdlib.h>

const char *gyr_version(void) { return GYR_VERSION; }

unsigned gyr_edition(void) { return EDITION; }

const char *gyr_status_name(gyr_status status) {
    switch (status) {
    case GYR_OK: return "ok";
    case GYR_FAILED: return "failed";
    case GYR_USAGE: return "usage";
    case GYR_IO: return "io";
    case GYR_MALFORMED: return "malformed";
    case GYR_UNSUPPORTED: return "unsupported";
    case GYR_NO_MEMORY: return "no memory";
    case GYR_TOO_LONG: return "too long";
    case GYR_DEVICE: return "device failed";
    case GYR_CANCELLED: return "cancelled";
    }
    return "unknown";
}

gyr_status status_of(bool ok, const gyr_error *made, gyr_error *e) {
    if (ok) return GYR_OK;
    if (e) *e = *made;
    return made->status;
}

bool reserved_is_zero(const uint64_t *room, size_t n, gyr_error *e) {
    for (size_t i = 0; i < n; i++)
        if (room[i])
            return fail(
                e, GYR_USAGE,
                "options: a member that this version does not know is set; zero the struct, or use a newer gyr");
    return true;
}

void gyr_free(void *memory) { free(memory); }

gyr_status gyr_synth(const gyr_synth_options *options, gyr_error *e) {
    gyr_error made = {0};
    return status_of(CHECK_RESERVED(options, &made) && synth(options, &made), &made, e);
}

const char *gyr_synth_shapes(size_t index) {
    const struct shape *s = shape_row(index);
    return s ? s->name : NULL;
}

gyr_status gyr_quantize(const gyr_quantize_options *options, gyr_error *e) {
    gyr_error made = {0};
    return status_of(CHECK_RESERVED(options, &made) && quantize(options, &made), &made, e);
}

gyr_status gyr_convert(const gyr_convert_options *options, gyr_error *e) {
    gyr_error made = {0};
    return status_of(CHECK_RESERVED(options, &made) && convert(options, &made), &made, e);
}

const char *gyr_quantize_types(size_t index) {
    const struct mixture *m = mixture_row(index);
    return m ? m->name : NULL;
}
