// A model that is shared out among several cards.
#include "device/count.h"
#include "engine/place_parts.h"

#include <stdio.h>
#include <string.h>

// The last card has the last layers, as many as there is room for, and so on to the first; what is left is the CPU's.
// Cards without a layer are closed.
struct hand {
    struct card card[MAX_SIDES - 1];
    uint32_t from[MAX_SIDES], n; // from[n]: all layers
};

static double bytes_of(const struct share_needs *n, uint32_t from, uint32_t end) {
    return needs_of_layers(n, from, end, 0) + (from ? 0 : n->input) + BESIDE;
}

static void deal(struct hand *h, const struct share_needs *n) {
    h->from[h->n] = n->layers;
    for (uint32_t c = h->n; c-- > 0;) {
        uint32_t end = h->from[c + 1];
        h->from[c] = end;
        for (uint32_t i = end; i-- > 0 && bytes_of(n, i, end) <= h->card[c].available;)
            if (n->may[i]) h->from[c] = i;
        if (h->from[c] < end) continue;
        h->card[c].d->ops->close(h->card[c].d);
        memmove(h->card + c, h->card + c + 1, (h->n - c - 1) * sizeof *h->card);
        memmove(h->from + c, h->from + c + 1, (h->n - c) * sizeof *h->from);
        h->n--;
    }
}

static void say_hand(struct placement *p, const struct hand *h, const struct share_needs *n, bool cpu) {
    size_t at = 0;
    char rest[40] = "";
    for (uint32_t c = 0; c < h->n; c++) {
        char a[16], b[16];
        double need = bytes_of(n, h->from[c], h->from[c + 1]);
        int wrote = snprintf(p->why + at, sizeof p->why - at, "%s%u of %u layers on %s, %s GB of %s GB", c ? "; " : "",
                             h->from[c + 1] - h->from[c], n->layers, h->card[c].name, place_gigabytes(a, need),
                             place_gigabytes(b, h->card[c].memory));
        at += wrote > 0 && (size_t)wrote < sizeof p->why - at ? (size_t)wrote : 0;
    }
    if (h->from[0])
        snprintf(rest, sizeof rest, "; %u on the CPU", h->from[0]);
    else if (cpu)
        snprintf(rest, sizeof rest, "; the embedding on the CPU");
    snprintf(p->why + at, sizeof p->why - at, "%s", rest);
    memcpy(p->device, h->card[h->n - 1].device, sizeof p->device);
}

static bool play(struct placement *p, struct homes *on, const struct hand *h, const struct share_needs *n,
                 const gyr_model_options *o, gyr_error *e) {
    uint32_t at = !o->no_cpu;
    *on = (struct homes){.sides = h->n + at};
    p->taken = 0;
    for (uint32_t c = 0; c < h->n; c++) {
        p->taken |= h->card[c].bit;
        on->device[at + c] = h->card[c].d;
        on->from[at + c] = h->from[c];
    }
    on->from[on->sides] = UINT32_MAX;
    if (!at || (*on->device = device_open("cpu", o->threads, e))) {
        say_hand(p, h, n, at);
        return true;
    }
    memmove(on->device, on->device + 1, h->n * sizeof(*on->device)); // theirs to close
    on->sides = h->n;
    return false;
}

bool place_hand(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                gyr_error *e) {
    struct hand h = {.n = 0};
    struct share_needs n = {0};
    gyr_error made;
    bool ok = true;
    for (size_t i = 0; h.n < MAX_SIDES - 1 && place_next(&h.card[h.n], &i, p, o);) h.n++;
    struct use use = place_use(o, h.n ? h.card[0].d->ops->rows : 1);
    bool many = h.n > 1 && needs_share(&n, c, &use, device_like_card(), &made) && n.layers;
    if (!o->no_cpu) n.input = 0; // the CPU's
    if (many) deal(&h, &n);
    if (many && h.n > 1 && ((!n.mixtures && !o->no_cpu) || !h.from[0]))
        ok = play(p, on, &h, &n, o, e);
    else
        while (h.n) h.n--, h.card[h.n].d->ops->close(h.card[h.n].d);
    needs_share_free(&n);
    return ok;
}
