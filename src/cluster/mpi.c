// The module that speaks MPI, built for each MPI that is found and opened only where a launcher has started gyr.
#include "cluster/transport.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MPI_Comm all = MPI_COMM_NULL;

static void ask_name(char name[64]) {
    char long_name[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int size = 0;
    MPI_Get_library_version(long_name, &size);
    long_name[strcspn(long_name, ",\n")] = 0;
    snprintf(name, 64, "%.60s", long_name);
}

static const char *join(uint32_t *own, uint32_t *count, char name[64]) {
    int given = 0, rank = 0, size = 0;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &given)) return "it did not start";
    if (given < MPI_THREAD_SERIALIZED) return "it was built without threads";
    ask_name(name);
    if (MPI_Comm_dup(MPI_COMM_WORLD, &all) || MPI_Comm_set_errhandler(all, MPI_ERRORS_RETURN) ||
        MPI_Comm_rank(all, &rank) || MPI_Comm_size(all, &size))
        return "it could not tell the ranks";
    *own = (uint32_t)rank;
    *count = (uint32_t)size;
    return NULL;
}

static void *begun(MPI_Request *r, int failed) {
    if (!failed) return r;
    free(r);
    return NULL;
}

static void *start_send(uint32_t to, enum tag tag, const void *data, size_t n) {
    MPI_Request *r = n <= INT_MAX ? malloc(sizeof *r) : NULL;
    return r ? begun(r, MPI_Isend(data, (int)n, MPI_BYTE, (int)to, (int)tag, all, r)) : NULL;
}

static void *start_receive(uint32_t from, enum tag tag, void *data, size_t n) {
    MPI_Request *r = n <= INT_MAX ? malloc(sizeof *r) : NULL;
    return r ? begun(r, MPI_Irecv(data, (int)n, MPI_BYTE, (int)from, (int)tag, all, r)) : NULL;
}

static int done(void *handle) {
    int is_done = 0, failed = MPI_Test(handle, &is_done, MPI_STATUS_IGNORE);
    if (failed || is_done) free(handle);
    return failed ? -1 : is_done;
}

static int found(uint32_t from, enum tag tag, size_t *n) {
    MPI_Status status;
    int there = 0, size = 0;
    if (MPI_Iprobe((int)from, (int)tag, all, &there, &status)) return -1;
    if (!there) return 0;
    if (MPI_Get_count(&status, MPI_BYTE, &size) || size < 0) return -1;
    *n = (size_t)size;
    return 1;
}

static void leave(void) {
    MPI_Comm_free(&all);
    MPI_Finalize();
}

static void end_all(int status) { MPI_Abort(MPI_COMM_WORLD, status); }

__attribute__((visibility("default"))) extern const struct transport gyr_transport;
const struct transport gyr_transport = {
    TRANSPORT_VERSION, join, start_send, start_receive, done, found, leave, end_all};
