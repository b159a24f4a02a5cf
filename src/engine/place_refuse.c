// Nothing of a model may go to the CPU (--no-cpu), and the cards have no room for all of it.
#include "device/count.h"
#include "engine/place_parts.h"
#include "model/kv_cache.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Bits of a weight below which no type is worth looking for.
static const double fewest_bits = 1.5;

// What would fit, as people read it: "this; that".
struct offers {
    char text[256];
};

__attribute__((format(printf, 2, 3))) static void offer(struct offers *o, const char *format, ...) {
    size_t at = strlen(o->text);
    if (at && at + 2 < sizeof o->text) at = (size_t)snprintf(o->text + at, sizeof o->text - at, "; ") + at;
    va_list args;
    va_start(args, format);
    vsnprintf(o->text + at, sizeof o->text - at, format, args);
    va_end(args);
}

// Fewer tokens, in whole slabs of the cache.
static void offer_context(struct offers *to, const struct needs *n, const struct use *u, double available) {
    const size_t slab = SLAB_PAGES * PAGE_TOKENS;
    double each = n->cache / (double)((u->tokens + slab - 1) / slab), rest = needs_bytes(n) - n->cache + BESIDE;
    uint64_t room = available > rest && each > 0 ? (uint64_t)((available - rest) / each) : 0;
    uint64_t tokens = room * slab / u->sequences;
    if (tokens && tokens < u->tokens / u->sequences)
        offer(to, "a context of %llu tokens%s", (unsigned long long)tokens, u->sequences > 1 ? " each" : "");
}

static void offer_type(struct offers *to, const struct needs *n, double available) {
    double weights = n->layers + n->rest, room = available - (needs_bytes(n) - weights + BESIDE);
    double bits = 8 * room / (double)n->parameters, now = 8 * weights / (double)n->parameters;
    if (n->parameters && bits >= fewest_bits && bits < now)
        offer(to, "weights of %.1f bits (these have %.1f)", bits, now);
}

static void offer_layers(struct offers *to, const struct checkpoint *c, const struct use *u, double available) {
    struct share_needs n;
    struct parting s;
    gyr_error e;
    if (needs_share(&n, c, u, device_like_card(), &e) && place_fill(&s, &n, available, false)) {
        if (s.from)
            offer(to, "without --no-cpu, %u of %u layers", n.layers - s.from, n.layers);
        else if (s.experts)
            offer(to, "without --no-cpu, all layers but the experts of %u", s.experts);
        else
            offer(to, "without --no-cpu, all layers");
    }
    needs_share_free(&n);
}

bool place_refuse(const struct card *k, const struct checkpoint *c, const gyr_model_options *o, gyr_error *e) {
    struct needs n;
    struct offers what = {""};
    char a[16], b[16];
    if (!*k->device)
        return fail(e, GYR_UNSUPPORTED, "%s: --no-cpu, and this machine has no card that can be used; see gyr devices",
                    c->path);
    struct use use = place_use(o, k->rows);
    if (!needs_count(&n, c, &use, device_like_card(), e)) return false;
    offer_context(&what, &n, &use, k->available);
    if (!*what.text) offer_type(&what, &n, k->available);
    offer_layers(&what, c, &use, k->available);
    return fail(e, GYR_NO_MEMORY, "%s: needs %s GB and %s has %s free, and --no-cpu leaves the CPU nothing; %s%s",
                c->path, place_gigabytes(a, needs_bytes(&n) + BESIDE), k->device, place_gigabytes(b, k->available),
                *what.text ? "what would fit: " : "nothing of it would fit there", what.text);
}
