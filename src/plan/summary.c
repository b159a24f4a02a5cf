// A plan in a line, as gyr run and gyr serve print it.
#include "base/buf.h"
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

static double value(const json_t *all, const char *key) {
    return json_number_value(json_object_get(json_object_get(all, key), "value"));
}

static const char *text(const json_t *all, const char *key, const char *member) {
    const char *s = json_string_value(json_object_get(json_object_get(all, key), member));
    return s ? s : "";
}

static void put_bytes(struct buf *b, double bytes) {
    if (bytes >= 1e9)
        buf_printf(b, "%.3g GB", bytes / 1e9);
    else
        buf_printf(b, "%.3g MB", bytes / 1e6);
}

static void put_speed(struct buf *b, const json_t *all, const char *what, const char *key) {
    double v = value(all, key);
    buf_printf(b, "; %s ", what);
    if (v > 0)
        buf_printf(b, "%.3g tokens/s (%s %s)", v, text(all, key, "basis"), text(all, key, "date"));
    else
        buf_printf(b, "unknown: %s", text(all, key, "detail"));
}

json_t *plan_summary(const json_t *all) {
    const json_t *memory = json_object_get(all, "memory_bytes"), *part;
    struct buf b = {0};
    const char *name;
    size_t n = 0;
    put_bytes(&b, json_number_value(json_object_get(memory, "value")));
    buf_puts(&b, " of ");
    put_bytes(&b, json_number_value(json_object_get(json_object_get(all, "fits"), "room_bytes")));
    json_object_foreach((json_t *)json_object_get(memory, "parts"), name, part) {
        if (!(json_number_value(part) > 0)) continue;
        buf_printf(&b, "%s%s ", n++ ? ", " : " (", name);
        put_bytes(&b, json_number_value(part));
    }
    if (n) buf_puts(&b, ")");
    put_speed(&b, all, "prompts", "prefill_tokens_per_s");
    if (value(all, "decode_tokens_per_s") > 0 || !(value(all, "prefill_tokens_per_s") > 0))
        put_speed(&b, all, "answers", "decode_tokens_per_s");
    char *line = buf_take(&b);
    json_t *s = line ? json_string(line) : json_null();
    free(line);
    return s;
}
