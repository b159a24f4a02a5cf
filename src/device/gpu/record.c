#include "device/gpu/record.h"

#include <stdlib.h>
#include <string.h>

// The first list behind a sync() is short, so that the card begins early; others are long enough that one call for all
// of it pays. A list is made a graph when it comes the second time.
enum { FIRST = 8, MOST = 64, FEWEST = 4, ROOM = 32 << 10, GRAPHS = 256, SEEN = 4096, RELAXED = 2, ALIGN = 8 };

// A launch as it lies in a list, its arguments behind it.
struct node {
    void *function;
    uint32_t grid[3], block[3], shared, size, alone, pad;
};

struct list {
    size_t n, bytes, last; // where the last launch's arguments are
    _Alignas(ALIGN) uint8_t data[ROOM];
    const char *name[MOST];
};

struct graph {
    uint64_t hash, used; // when it was launched last
    size_t bytes;
    uint8_t *data; // of the list
    void *exec;
    struct graph *next; // that came behind it when it was launched last; it may be another by now
};

struct gpu_record {
    struct list list;
    struct graph graph[GRAPHS];
    size_t graphs;
    size_t most;                // launches of the list that is being made
    struct graph *first, *last; // of this step, or the one before: NULL: none
    uint64_t seen[SEEN];        // hashes of lists that came once
    uint64_t now;
    void *retired[GRAPHS]; // graphs that may still run
    size_t n_retired, replayed, made;
    bool plain; // without graphs
    bool alone; // the next launch
};

bool gpu_record_new(struct gpu *g, gyr_error *e) {
    const struct gpu_api *api = g->api;
    g->record = calloc(1, sizeof *g->record);
    if (!g->record) return fail_memory(e, "a card's launches");
    g->record->most = FIRST;
    g->record->plain = !api->capture_begin || !api->capture_end || !api->graph_make || !api->graph_launch ||
                       !api->graph_free || !api->exec_free;
    return true;
}

void gpu_record_step(struct gpu *g) {
    g->record->most = FIRST;
    g->record->last = NULL;
}

void gpu_record_settled(struct gpu *g) {
    struct gpu_record *r = g->record;
    for (size_t i = 0; i < r->n_retired; i++) g->api->exec_free(r->retired[i]);
    r->n_retired = 0;
}

void gpu_record_free(struct gpu *g) {
    struct gpu_record *r = g->record;
    if (!r) return;
    if (!g->lost) gpu_record_settled(g);
    for (size_t i = 0; i < r->graphs; i++) {
        if (!g->lost) g->api->exec_free(r->graph[i].exec);
        free(r->graph[i].data);
    }
    free(r);
    g->record = NULL;
}

void gpu_record_count(const struct gpu *g, size_t *replayed, size_t *made) {
    *replayed = g->record->replayed;
    *made = g->record->made;
}

// ------------------------------------------------------------------------------- lists

static size_t room_of(size_t size) { return sizeof(struct node) + (size + ALIGN - 1) / ALIGN * ALIGN; }

bool gpu_record(struct gpu *g, void *function, const char *name, const struct launch *l) {
    struct gpu_record *r = g->record;
    struct list *list = &r->list;
    if (room_of(l->size) > ROOM) return gpu_fails(g, GYR_UNSUPPORTED, "%s: too many bytes of arguments", name);
    // A list that is full waits for the next launch: its last one may still be changed.
    if ((list->n == r->most || list->bytes + room_of(l->size) > ROOM) && !gpu_flush(g)) return false;
    struct node node = {function,
                        {l->grid[0], l->grid[1], l->grid[2]},
                        {l->block[0], l->block[1], l->block[2]},
                        l->shared,
                        (uint32_t)l->size,
                        r->alone};
    r->alone = false;
    uint8_t *at = list->data + list->bytes;
    memset(at, 0, room_of(l->size));
    memcpy(at, &node, sizeof node);
    if (l->size) memcpy(at + sizeof node, l->args, l->size);
    list->last = list->bytes + sizeof node;
    list->name[list->n++] = name;
    list->bytes += room_of(l->size);
    return true;
}

uint8_t *gpu_record_last(struct gpu *g) {
    struct list *l = &g->record->list;
    return l->n ? l->data + l->last : NULL;
}

void gpu_record_alone(struct gpu *g) {
    if (g->record) g->record->alone = true; // tests/simt launches by itself
}

static uint64_t hash_of(const struct list *l) {
    uint64_t h = l->bytes, word;
    for (size_t i = 0; i < l->bytes; i += sizeof word) {
        memcpy(&word, l->data + i, sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

// CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
static const struct gpu_launch_attribute early = {.id = 6, .value = 1};

static int launch_one(struct gpu *g, const struct node *n, const void *args) {
    size_t size = n->size;
    // Pointer, size, end: the same numbers for both vendors but the last.
    void *extra[] = {(void *)1, (void *)(uintptr_t)args, (void *)2, &size, g->api->vendor->launch_end};
    if (!g->chip.early || n->alone)
        return g->api->launch(n->function, n->grid[0], n->grid[1], n->grid[2], n->block[0], n->block[1], n->block[2],
                              n->shared, g->stream, NULL, extra);
    struct gpu_launch_config c = {.shared = n->shared, .stream = g->stream, .attribute = &early, .attributes = 1};
    memcpy(c.grid, n->grid, sizeof c.grid);
    memcpy(c.block, n->block, sizeof c.block);
    return g->api->launch_more(&c, n->function, NULL, extra);
}

// Each launch by itself; to a stream that is being captured, too. The driver's error, and whose it was.
static int launch_all(struct gpu *g, const struct list *l, size_t *which) {
    int error = 0;
    size_t at = 0;
    for (*which = 0; *which < l->n; ++*which) {
        struct node n;
        memcpy(&n, l->data + at, sizeof n);
        error = launch_one(g, &n, l->data + at + sizeof n);
        if (error) return error;
        at += room_of(n.size);
    }
    return 0;
}

static bool launch_plainly(struct gpu *g, const struct list *l) {
    size_t which;
    int error = launch_all(g, l, &which);
    return gpu_good(g, error, error ? l->name[which] : "computing");
}

// ------------------------------------------------------------------------------- graphs

static bool is_of(const struct graph *x, const struct list *l) {
    return x->bytes == l->bytes && !memcmp(x->data, l->data, l->bytes);
}

// Mostly it is the one that came behind the last one in the step before: neither a hash nor a search is needed then.
static struct graph *expected(const struct gpu_record *r, const struct list *l) {
    struct graph *x = r->last ? r->last->next : r->first;
    return x && is_of(x, l) ? x : NULL;
}

static struct graph *find(struct gpu_record *r, const struct list *l, uint64_t hash) {
    for (size_t i = 0; i < r->graphs; i++)
        if (r->graph[i].hash == hash && is_of(&r->graph[i], l)) return &r->graph[i];
    return NULL;
}

// A place for one more: that of the graph which was not needed for longest. It may still run.
static struct graph *make_place(struct gpu_record *r) {
    if (r->graphs < GRAPHS) return &r->graph[r->graphs++];
    if (r->n_retired == GRAPHS) return NULL;
    struct graph *oldest = r->graph;
    for (size_t i = 1; i < GRAPHS; i++)
        if (r->graph[i].used < oldest->used) oldest = &r->graph[i];
    r->retired[r->n_retired++] = oldest->exec;
    free(oldest->data);
    return oldest;
}

static void *captured(struct gpu *g, const struct list *l) {
    const struct gpu_api *api = g->api;
    void *graph = NULL, *exec = NULL;
    size_t which;
    if (api->capture_begin(g->stream, RELAXED)) return NULL;
    int error = launch_all(g, l, &which), end = api->capture_end(g->stream, &graph);
    if (!error && !end && graph && api->graph_make(&exec, graph, 0)) exec = NULL;
    if (graph) api->graph_free(graph);
    return exec;
}

// NULL: there is none, and the launches go one by one. A driver that once could not is not asked again.
static struct graph *make(struct gpu *g, const struct list *l, uint64_t hash) {
    struct gpu_record *r = g->record;
    uint8_t *data = malloc(l->bytes);
    void *exec = data ? captured(g, l) : NULL;
    struct graph *x = exec ? make_place(r) : NULL;
    if (!x) {
        if (exec) g->api->exec_free(exec);
        r->plain |= data && !exec;
        free(data);
        return NULL;
    }
    memcpy(data, l->data, l->bytes);
    *x = (struct graph){hash, 0, l->bytes, data, exec, NULL};
    r->made++;
    return x;
}

static bool came_before(struct gpu_record *r, uint64_t hash) {
    uint64_t *place = &r->seen[hash % SEEN];
    bool before = *place == hash;
    *place = hash;
    return before;
}

// NULL: it has no graph yet.
static struct graph *graph_of(struct gpu *g, const struct list *l) {
    struct gpu_record *r = g->record;
    struct graph *x = expected(r, l);
    if (x) return x;
    uint64_t hash = hash_of(l);
    x = find(r, l, hash);
    if (!x && came_before(r, hash)) x = make(g, l, hash);
    if (x) *(r->last ? &r->last->next : &r->first) = x;
    return x;
}

static bool launch_list(struct gpu *g, const struct list *l) {
    struct gpu_record *r = g->record;
    struct graph *x = r->plain || l->n < FEWEST ? NULL : graph_of(g, l);
    if (!x) return launch_plainly(g, l);
    r->last = x;
    x->used = ++r->now;
    r->replayed++;
    return gpu_good(g, g->api->graph_launch(x->exec, g->stream), "launching");
}

// What was asked for behind a failure is forgotten.
bool gpu_flush(struct gpu *g) {
    struct list *l = &g->record->list;
    if (!l->n) return true;
    bool good = gpu_begin(g) && launch_list(g, l);
    l->n = l->bytes = 0;
    g->record->most = MOST;
    return good;
}
