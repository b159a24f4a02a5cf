#include "device/gpu/nccl.h"

#include "base/library.h"

#include <stdio.h>
#include <stdlib.h>

// NCCL's user guide, "NCCL API"; RCCL keeps the names.
static const struct {
    size_t at;
    const char *name;
} functions[] = {
    {offsetof(struct nccl, version), "ncclGetVersion"},   {offsetof(struct nccl, describe), "ncclGetErrorString"},
    {offsetof(struct nccl, id), "ncclGetUniqueId"},       {offsetof(struct nccl, join), "ncclCommInitRank"},
    {offsetof(struct nccl, quit), "ncclCommAbort"},       {offsetof(struct nccl, later), "ncclCommGetAsyncError"},
    {offsetof(struct nccl, begin), "ncclGroupStart"},     {offsetof(struct nccl, end), "ncclGroupEnd"},
    {offsetof(struct nccl, all_gather), "ncclAllGather"}, {offsetof(struct nccl, broadcast), "ncclBroadcast"},
};

static void *find(const struct gpu_vendor *v, struct library_search *s) {
    void *library = NULL;
    for (const char *const *name = v->collectives; *name && !library; name++) library = library_find(s, *name);
    char **python = library || !v->collectives_python ? NULL : library_python_folders(v->collectives_python);
    s->given = NULL;
    s->known = (const char *const *)python;
    for (const char *const *name = v->collectives; python && *name && !library; name++)
        library = library_find(s, *name);
    free(python);
    return library;
}

// What the library tells of itself, where it is asked to ($NCCL_DEBUG), goes to standard output unless it is told
// where, and that is where answers go.
static void keep_answers_clean(void) {
    if (getenv("NCCL_DEBUG")) setenv("NCCL_DEBUG_FILE", "/dev/stderr", 0);
}

bool nccl_open(struct nccl *n, const struct gpu_vendor *v, const char *folders, gyr_error *e) {
    struct library_search s = {folders, v->folders};
    keep_answers_clean();
    void *library = find(v, &s);
    int version = 0;
    if (!library && *s.said) return fail(e, GYR_UNSUPPORTED, "%s cannot be loaded: %s", v->collectives_title, s.said);
    if (!library)
        return fail(e, GYR_UNSUPPORTED, "%s (%s) is not there; %s", v->collectives_title, *v->collectives,
                    v->get_collectives);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!library_function(library, functions[i].name, (char *)n + functions[i].at))
            return fail(e, GYR_UNSUPPORTED, "%s has no %s; %s", v->collectives_title, functions[i].name,
                        v->get_collectives);
    if (n->version(&version) || version <= 0)
        return fail(e, GYR_UNSUPPORTED, "%s does not tell its version; %s", v->collectives_title, v->get_collectives);
    // 2.7.8 was 2708; from 2.9 on 2.9.6 is 20906.
    int unit = version >= 10000 ? 10000 : 1000;
    snprintf(n->name, sizeof n->name, "%s %d.%d.%d", v->collectives_title, version / unit, version % unit / 100,
             version % 100);
    return true;
}
