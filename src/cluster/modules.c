// Finding the module for the MPI that started this process.
#include "cluster/parts.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Which MPI a launcher belongs to is seen by what it tells the processes.
static const struct kind {
    const char *file, *sign;
} kinds[] = {{"gyr-openmpi.so", "OMPI_COMM_WORLD_SIZE"}, {"gyr-mpich.so", "PMI_SIZE"}};

uint32_t ranks_local(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return (uint32_t)strtoul(getenv(names[i]), NULL, 10);
    return 0;
}

// The program's own folder: of a build, and of an installed program that has its modules beside it or in ../lib/gyr.
static bool own_folder(char folder[PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (n <= 0) return false;
    folder[n] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    return slash;
}

static void *open_in(const char *folder, const char *between, const char *file, char why[256]) {
    char path[PATH_MAX + 64];
    if ((size_t)snprintf(path, sizeof path, "%s%s%s", folder, between, file) >= sizeof path) return NULL;
    if (access(path, R_OK)) return NULL;
    void *module = dlopen(path, RTLD_NOW | RTLD_GLOBAL); // Open MPI's own plugins look for its names
    const char *said = module ? NULL : dlerror();
    if (said) snprintf(why, 256, "%s", said);
    return module;
}

static void *find_module(char why[256]) {
    static const char *const between[] = {"/", "/../" GYR_LIBDIR "/gyr/", "/../lib/gyr/"};
    char folder[PATH_MAX];
    const char *told = getenv("GYR_MPI_MODULE");
    if (told && *told) return open_in(told, "", "", why);
    if (!own_folder(folder)) return NULL;
    bool known = false; // another MPI than the launcher's would have each process alone
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) known |= getenv(kinds[k].sign) != NULL;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < sizeof between / sizeof *between; i++) {
            if (known && !getenv(kinds[k].sign)) continue;
            void *module = open_in(folder, between[i], kinds[k].file, why);
            if (module) return module;
        }
    return NULL;
}

const struct transport *transport_open(void **module, gyr_error *e) {
    char why[256] = "";
    *module = find_module(why);
    if (!*module)
        return fail_null(
            e, GYR_UNSUPPORTED,
            "MPI: this process was started with others, but gyr's module for MPI %s%s; install gyr with it "
            "(docs/clusters.md)",
            *why ? "cannot be opened: " : "is not here", why);
    const struct transport *t = dlsym(*module, TRANSPORT_SYMBOL);
    if (t && t->version == TRANSPORT_VERSION) return t;
    dlclose(*module);
    return fail_null(e, GYR_UNSUPPORTED, "MPI: gyr's module for MPI is of another version; install both anew");
}
