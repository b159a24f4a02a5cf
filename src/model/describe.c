#include "model/describe.h"
#include "base/buf.h"
#include "device/rope.h"

#include <stdlib.h>
#include <string.h>

// The parts of a description, one behind the other. What grows from step to step comes last, and what grows now and
// then has room to: so the other parts stay where they are, and a device is asked for the same as in the step before.
enum part_of {
    TOKENS,
    POSITIONS,
    SELF,
    TYPES,
    CHOSEN,
    SLABS,
    ALL, // the parts of a view
    ROWS = ALL,
    CHUNKS,
    TEMPER,
    ANGLES,
    LOCAL,
    KEPT,
    PAGES = KEPT + KEPT - ALL,
    PARTS,
};

struct layout {
    size_t at[PARTS + 1]; // bytes
    size_t rows, wanted, pages, longest, sequences, slabs;
    bool keeps;
};

enum { LINE = 64, LEAST = 1 << 16, FIRST_POSITIONS = 512, FEW_SLABS = 64, SHEET = 4096 };

static void count(struct layout *l, const struct model *m, const struct kv_cache *kv, const struct row *rows) {
    for (size_t r = 0; r < l->rows; r++) {
        l->wanted += rows[r].wanted;
        if (rows[r].position >= l->longest) l->longest = (size_t)rows[r].position + 1;
        if (r + 1 < l->rows && rows[r + 1].pages == rows[r].pages) continue;
        l->pages += rows[r].position / PAGE_TOKENS + 1;
        l->sequences++;
    }
    l->slabs = kv->n_slabs;
    l->keeps = m->h.shared_kv;
}

static size_t angle_floats(const struct model *m, bool local) {
    bool rotary = m->h.rope.dim && m->family->positions == POSITIONS_ROTARY;
    return !rotary || (local && !m->family->rope.local) ? 0 : (local ? m->h.local_rope.dim : m->h.rope.dim) / 2 * 2;
}

static void lay_out(struct layout *l, const struct model *m) {
    const size_t number = sizeof(int32_t);
    size_t slabs = FEW_SLABS;
    while (slabs < l->slabs) slabs *= 2;
    size_t view[KEPT - ALL] = {sizeof(struct attention_row), m->h.chunk ? sizeof(struct attention_row) : 0,
                               m->h.temper_every ? number : 0, angle_floats(m, false) * number,
                               angle_floats(m, true) * number};
    size_t bytes[PARTS] = {
        [TOKENS] = l->rows * number,   [POSITIONS] = l->rows * number, [SELF] = l->rows * number,
        [CHOSEN] = l->wanted * number, [PAGES] = l->pages * number,    [SLABS] = slabs * sizeof(dslab)};
    if (m->types.rows) bytes[TYPES] = l->rows * number;
    for (int i = 0; i < KEPT - ALL; i++) {
        bytes[ALL + i] = l->rows * view[i];
        bytes[KEPT + i] = l->keeps ? l->wanted * view[i] : 0;
    }
    for (int i = 0; i < PARTS; i++) l->at[i + 1] = l->at[i] + (bytes[i] + LINE - 1) / LINE * LINE;
    l->at[PARTS] = (l->at[PARTS] + SHEET - 1) / SHEET * SHEET; // a step sends as much as the one before
}

static bool make_room(struct desk *d, const struct model *m, size_t bytes, gyr_error *e) {
    struct device *on = m->on.device[d->side];
    size_t room = d->room ? d->room : LEAST;
    while (room < bytes) room *= 2;
    if (room > d->room) {
        uint8_t *host = realloc(d->host, room);
        if (!host) return fail_memory(e, "batch");
        memset(host + d->room, 0, room - d->room); // what is between parts goes over too
        d->host = host;
        d->room = room;
    }
    if (room <= d->room_there) return true;
    dbyte *there = on->ops->alloc(on, room, e);
    if (!there) return false;
    if (d->there) on->ops->free(on, d->there);
    d->there = there;
    d->room_there = room;
    return true;
}

// Angles of all positions below `positions`: they are computed once.
static bool cover(struct angles *a, const struct rope *r, bool far, const float *factors, size_t positions,
                  gyr_error *e) {
    size_t pairs = r->dim / 2, n = a->positions ? a->positions : FIRST_POSITIONS;
    if (positions <= a->positions || !pairs) return true;
    while (n < positions) n *= 2;
    float scale, *frequency = malloc(pairs * sizeof *frequency);
    float *table = frequency ? realloc(a->table, n * pairs * 2 * sizeof *table) : NULL;
    if (table) {
        rope_angles(r, far, factors, frequency, &scale);
        rope_table(table, n, pairs, frequency, scale);
        a->table = table;
        a->positions = n;
    }
    free(frequency);
    return table || fail_memory(e, "rotary positions");
}

static bool cover_both(struct desk *d, const struct model *m, bool far, size_t positions, gyr_error *e) {
    return (!angle_floats(m, false) ||
            cover(&d->angles[far][0], &m->h.rope, far, m->rope_factors[far], positions, e)) &&
           (!angle_floats(m, true) || cover(&d->angles[far][1], &m->h.local_rope, far, NULL, positions, e));
}

// What a view says of a row, at place `to` of the parts from `view` on.
static void put_row(const struct desk *d, const struct model *m, const struct layout *l, enum part_of view, size_t to,
                    const struct attention_row *at, bool far) {
    uint8_t *part[KEPT - ALL];
    for (int i = 0; i < KEPT - ALL; i++) part[i] = d->host + l->at[(int)view + i];
    uint32_t chunk = m->h.chunk, p = at->position;
    ((struct attention_row *)(void *)part[ROWS - ALL])[to] = *at;
    if (chunk)
        ((struct attention_row *)(void *)part[CHUNKS - ALL])[to] = (struct attention_row){
            .pages = at->pages + p / chunk * (chunk / PAGE_TOKENS), .position = p % chunk, .state = at->state};
    if (m->h.temper_every) {
        double past = (double)(((uint64_t)p + 1) / m->h.temper_every);
        ((float *)(void *)part[TEMPER - ALL])[to] = (float)(1 + m->h.temper * rope_ln(1 + past));
    }
    for (int local = 0; local < 2; local++) {
        size_t n = angle_floats(m, local);
        float *out = (float *)(void *)part[(local ? LOCAL : ANGLES) - ALL];
        if (n) memcpy(out + to * n, d->angles[far][local].table + p * n, n * sizeof *out);
    }
}

// Sequences' page tables one behind the other, as far as their rows see.
static void put_rows(const struct desk *d, const struct model *m, const struct layout *l, const struct row *rows,
                     bool far) {
    int32_t *token = (int32_t *)(void *)(d->host + l->at[TOKENS]),
            *position = (int32_t *)(void *)(d->host + l->at[POSITIONS]);
    int32_t *self = (int32_t *)(void *)(d->host + l->at[SELF]), *type = (int32_t *)(void *)(d->host + l->at[TYPES]),
            *chosen = (int32_t *)(void *)(d->host + l->at[CHOSEN]);
    uint32_t *table = (uint32_t *)(void *)(d->host + l->at[PAGES]), used = 0, kept = 0;
    for (size_t r = 0; r < l->rows; r++) {
        const struct attention_row at = {used, rows[r].position, rows[r].ahead,
                                         rows[r].state ? rows[r].state->at[d->side] : NULL};
        token[r] = rows[r].token;
        position[r] = (int32_t)rows[r].position;
        self[r] = (int32_t)r;
        if (m->types.rows) type[r] = (int32_t)rows[r].type;
        put_row(d, m, l, ALL, r, &at, far);
        if (rows[r].wanted) {
            if (l->keeps) put_row(d, m, l, KEPT, kept, &at, far);
            chosen[kept++] = (int32_t)r;
        }
        if (r + 1 < l->rows && rows[r + 1].pages == rows[r].pages) continue;
        uint32_t n = rows[r].position / PAGE_TOKENS + 1;
        memcpy(table + used, rows[r].pages->page, n * sizeof *table);
        used += n;
    }
}

// Where the addresses are: the slabs', and those of the rows' states.
static void write_over(const struct desk *d, const struct model *m, const struct layout *l) {
    struct device *on = m->on.device[d->side];
    struct addresses list[1 + 2 * 2] = {{l->at[SLABS], sizeof(dslab), l->slabs}};
    size_t n = 1;
    for (int i = 0; i < 4; i++) {
        size_t rows = i < 2 ? l->rows : l->keeps ? l->wanted : 0, part = (i < 2 ? ROWS : KEPT) + (size_t)i % 2;
        if (i % 2 && !m->h.chunk) continue;
        list[n++] =
            (struct addresses){l->at[part] + offsetof(struct attention_row, state), sizeof(struct attention_row), rows};
    }
    device_write_addresses(on, d->there, d->host, l->at[PARTS], list, n);
}

static struct view view_of(const struct desk *d, const struct model *m, const struct layout *l, enum part_of first) {
    const dbyte *at[KEPT - ALL], *pages = d->there + l->at[PAGES];
    for (int i = 0; i < KEPT - ALL; i++) at[i] = d->there + l->at[(int)first + i];
    return (struct view){.at = {(const drow *)at[ROWS - ALL], (const dword *)pages, l->longest, l->sequences},
                         .in_chunk = {(const drow *)at[CHUNKS - ALL], (const dword *)pages, l->longest, l->sequences},
                         .temper = (const dfloat *)at[TEMPER - ALL],
                         .angles = angle_floats(m, false) ? (const dfloat *)at[ANGLES - ALL] : NULL,
                         .local = angle_floats(m, true) ? (const dfloat *)at[LOCAL - ALL] : NULL};
}

// Spans of the rows that have an adapter; of all, or of those that want something alone.
static bool put_spans(struct desk *d, const struct row *rows, size_t n, bool kept, struct view *out, gyr_error *e) {
    size_t at = 0, found = 0;
    for (size_t r = 0; r < n; r++) {
        if (kept && !rows[r].wanted) continue;
        struct span *last = found ? &d->spans[kept][found - 1] : NULL;
        bool same = last && last->adapter == rows[r].adapter && last->first + last->n == at;
        if (same) last->n++;
        if (rows[r].adapter && !same) {
            if (!ARRAY_GROW(d->spans[kept], found, d->span_room[kept])) return fail_memory(e, "batch");
            d->spans[kept][found++] = (struct span){rows[r].adapter, at, 1};
        }
        at++;
    }
    out->spans = d->spans[kept];
    out->n_spans = found;
    return true;
}

bool describe(struct desk *d, const struct model *m, const struct kv_cache *kv, const struct row *rows, size_t n,
              struct description *out, gyr_error *e) {
    struct layout l = {.rows = n};
    count(&l, m, kv, rows);
    lay_out(&l, m);
    if (!make_room(d, m, l.at[PARTS], e) || !cover_both(d, m, kv->far, l.longest, e)) return false;
    put_rows(d, m, &l, rows, kv->far);
    if (l.slabs) memcpy(d->host + l.at[SLABS], kv->part[d->side].slab, l.slabs * sizeof(dbyte *));
    write_over(d, m, &l);
    *out = (struct description){.wanted = l.wanted,
                                .tokens = (const dint *)(d->there + l.at[TOKENS]),
                                .positions = (const dint *)(d->there + l.at[POSITIONS]),
                                .self = (const dint *)(d->there + l.at[SELF]),
                                .types = m->types.rows ? (const dint *)(d->there + l.at[TYPES]) : NULL,
                                .chosen = (const dint *)(d->there + l.at[CHOSEN]),
                                .all = view_of(d, m, &l, ALL),
                                .kept = view_of(d, m, &l, KEPT),
                                .slab = (const dslab *)(d->there + l.at[SLABS])};
    return put_spans(d, rows, n, false, &out->all, e) && put_spans(d, rows, n, true, &out->kept, e);
}

void desk_free(struct desk *d, struct device *device) {
    for (int i = 0; i < 4; i++) free(d->angles[i / 2][i % 2].table);
    for (int i = 0; i < 2; i++) free(d->spans[i]);
    free(d->host);
    if (d->there) device->ops->free(device, d->there);
}
