// A model cut by layers among ranks: where a cut may be, and where it makes the slowest rank fastest.
#include "model/bind.h"

#include <stdlib.h>

// Which layer a tensor is of, by the first number in its name ("blk.7.", "model.layers.7."); false: of none.
static bool layer_of(struct text name, uint32_t layers, uint32_t *layer) {
    for (size_t i = 0; i + 1 < name.size; i++) {
        size_t end = i + 1;
        uint32_t n = 0;
        if (name.data[i] != '.') continue;
        for (; end < name.size && name.data[end] >= '0' && name.data[end] <= '9' && n < MAX_LAYERS; end++)
            n = n * 10 + (uint32_t)(name.data[end] - '0');
        if (end == i + 1 || end == name.size || name.data[end] != '.') continue;
        *layer = n;
        return n < layers;
    }
    return false;
}

// What there is to share out: bytes of each layer, and what begins and ends the pass.
struct load {
    uint64_t *layer, begins, gives;
    const bool *may; // [layers + 1]: whether a rank may begin with this layer
    uint32_t layers;
};

static uint64_t role_bytes(const struct model *m, enum role role) {
    char name[128];
    const struct tensor *t = family_tensor(m->family, m->checkpoint, (struct place){role, PART_WEIGHT, 0, 0}, name);
    return t ? t->bytes : 0;
}

static void weigh(const struct model *m, struct load *l) {
    uint32_t i;
    for (size_t k = 0; k < m->checkpoint->n_tensors; k++)
        if (layer_of(m->checkpoint->tensors[k].name, m->h.layers, &i)) l->layer[i] += m->checkpoint->tensors[k].bytes;
    l->begins = role_bytes(m, ROLE_EMBEDDING);
    l->gives = role_bytes(m, m->tied ? ROLE_EMBEDDING : ROLE_OUTPUT);
}

// Layers that read what an earlier one left beside the stream, keys and values or choices, are with it on one rank.
void cut_places(const struct model *m, bool *may) {
    uint32_t last[KV_KINDS] = {0};
    for (uint32_t i = 0; i <= m->h.layers; i++) may[i] = true;
    for (uint32_t i = 0; i < m->h.layers; i++) {
        const struct layer_plan *p = &m->layers[i].plan;
        if (p->attends && !p->borrows) last[p->kind] = i;
        if (p->attends && p->indexed && !p->indexes) may[i] = false;
    }
    if (!m->h.shared_kv) return;
    for (uint32_t i = 1; i < m->h.layers; i++)
        may[i] &= i <= last[KV_USUAL] && (!m->h.kv_layers[KV_LOCAL] || i <= last[KV_LOCAL]);
}

// Shares out in order, each rank as much as it may have: what `own` gets. False if something is left.
static bool share_out(const struct load *l, const struct cut *cut, uint64_t most, uint32_t *first, uint32_t *end) {
    uint32_t at = 0;
    for (uint32_t r = 0; r < cut->count; r++) {
        bool last = r + 1 == cut->count;
        double share = (double)most * cut->speed[r]; // what it has done by when the fastest has done `most`
        uint64_t room = share < (double)cut->memory[r] ? (uint64_t)share : cut->memory[r];
        // The embedding takes room, and no time to speak of.
        uint64_t used = last ? l->gives : 0, kept = r == 0 ? l->begins : 0;
        uint32_t good = at;
        if (used > room) return false;
        for (uint32_t i = at; i < l->layers; i++) {
            used += l->layer[i];
            if (used > room || used + kept > cut->memory[r]) break;
            if (l->may[i + 1]) good = i + 1;
        }
        if (r == 0 && !good) return false; // rank 0 has a layer, whose type is the model's
        if (r == cut->own) *first = at, *end = good;
        at = good;
    }
    return at == l->layers;
}

// The least that will do, found by halves.
static bool balance(const struct load *l, const struct cut *cut, uint32_t *first, uint32_t *end) {
    uint64_t low = 0, high = l->gives;
    double least = 1;
    for (uint32_t i = 0; i < l->layers; i++) high += l->layer[i];
    for (uint32_t r = 0; r < cut->count; r++) least = cut->speed[r] < least ? cut->speed[r] : least;
    high = (uint64_t)((double)high / least) + 1;
    if (!share_out(l, cut, high, first, end)) return false;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        uint32_t a, b;
        if (share_out(l, cut, middle, &a, &b))
            high = middle;
        else
            low = middle + 1;
    }
    return share_out(l, cut, high, first, end);
}

static bool refuse(const struct model *m, const char *what, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED, "%s: %s cannot be cut by layers; run it on one machine", m->checkpoint->path, what);
}

static bool too_large(const struct model *m, const struct cut *cut, gyr_error *e) {
    uint64_t all = 0, need = 0;
    for (uint32_t i = 0; i < cut->count; i++) all += cut->memory[i];
    for (size_t i = 0; i < m->checkpoint->n_tensors; i++) need += m->checkpoint->tensors[i].bytes;
    return fail(
        e, GYR_NO_MEMORY,
        "%s: the weights take %.1f GB and %u ranks have %.1f GB, with whole layers on each; choose a smaller type "
        "or more machines",
        m->checkpoint->path, (double)need / 1e9, cut->count, (double)all / 1e9);
}

// Of what the cache and the states have, this rank has its layers' part.
static void count_own(struct model *m) {
    m->h.state_layers = 0;
    for (int k = 0; k < KV_KINDS; k++) m->h.kv_layers[k] = 0;
    for (uint32_t i = m->first; i < m->end; i++) {
        const struct layer_plan *p = &m->layers[i].plan;
        m->h.kv_layers[p->kind] += p->attends && !p->borrows;
        m->h.kv_layers[KV_INDEX] += p->indexes;
        m->h.state_layers += p->recurs;
    }
}

bool cut_layers(struct model *m, const struct cut *cut, gyr_error *e) {
    if (m->family->encoder || m->h.bidirectional) return refuse(m, "a model whose tokens see those after them", e);
    if (m->h.layer_input) return refuse(m, "a model with inputs for each layer", e);
    uint64_t *bytes = calloc(m->h.layers, sizeof *bytes);
    bool *may = calloc(m->h.layers + 1, sizeof *may);
    bool ok = (bytes && may) || fail_memory(e, m->checkpoint->path);
    if (ok) {
        struct load l = {.layer = bytes, .may = may, .layers = m->h.layers};
        weigh(m, &l);
        cut_places(m, may);
        ok = balance(&l, cut, &m->first, &m->end) || too_large(m, cut, e);
    }
    m->begins = cut->own == 0;
    m->gives = cut->own + 1 == cut->count;
    if (ok) count_own(m);
    free(bytes);
    free(may);
    return ok;
}
