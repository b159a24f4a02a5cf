// A stand-in for NVRTC or hipRTC. Its image is a text: a line for each kernel of the program.
#include "fake.h"

#include <stdio.h>
#include <string.h>

struct program {
    char *source, *log, *image;
    char name[64];
    int headers;
    char header[64][64];
};

static int compiles;

__attribute__((visibility("default"))) int fake_compiles(void) { return __atomic_load_n(&compiles, __ATOMIC_SEQ_CST); }

EXPORT NAME(nvrtcVersion, hiprtcVersion)(int *major, int *minor) {
    long version = FAKE_IS_HIP ? 90 : fake_number("GYR_FAKE_COMPILER", 130); // as hipRTC says of itself
    *major = (int)version / 10;
    *minor = (int)version % 10;
    return 0;
}

EXPORT NAME(nvrtcCreateProgram, hiprtcCreateProgram)(void **program, const char *source, const char *name, int n,
                                                     const char *const *texts, const char *const *names) {
    struct program *p = calloc(1, sizeof *p);
    if (!p || n > 64) abort();
    p->source = strdup(source);
    snprintf(p->name, sizeof p->name, "%s", name);
    for (int i = 0; i < n; i++)
        if (texts[i]) snprintf(p->header[p->headers++], sizeof p->header[0], "%s", names[i]);
    *program = p;
    return 0;
}

EXPORT NAME(nvrtcDestroyProgram, hiprtcDestroyProgram)(void **program) {
    struct program *p = *program;
    free(p->source);
    free(p->log);
    free(p->image);
    free(p);
    *program = NULL;
    return 0;
}

static int refuse(struct program *p, int line, const char *what, const char *more) {
    size_t size = strlen(what) + strlen(more) + 256;
    p->log = malloc(size);
    if (!p->log) abort();
    snprintf(p->log, size, "%s(1): warning: this is only a stand-in\n%s(%d): error: %s%.*s\n\n1 error detected.\n",
             p->name, p->name, line, what, (int)strcspn(more, "\n"), more);
    return 6;
}

static int knows(const struct program *p, const char *name, size_t n) {
    for (int i = 0; i < p->headers; i++)
        if (strlen(p->header[i]) == n && !strncmp(p->header[i], name, n)) return 1;
    return 0;
}

static const char *option(int n, const char *const *options, const char *begin) {
    for (int i = 0; i < n; i++)
        if (!strncmp(options[i], begin, strlen(begin))) return options[i] + strlen(begin);
    return NULL;
}

EXPORT NAME(nvrtcCompileProgram, hiprtcCompileProgram)(void *program, int n, const char *const *options) {
    struct program *p = program;
    const char *chip = option(n, options, NAME("--gpu-architecture=", "--offload-arch="));
    const char *type = option(n, options, "-DTYPE_NAME="), *exact = NAME("--fmad=false", "-ffp-contract=off");
    size_t size = strlen(p->source) * 2 + 256, used;
    int line = 1;
    __atomic_add_fetch(&compiles, 1, __ATOMIC_SEQ_CST);
    if (!chip || !option(n, options, exact)) return 5;
    p->image = calloc(1, size);
    if (!p->image) abort();
    used = (size_t)snprintf(p->image, size, "stand-in's image for %s\n", chip);
    for (const char *at = p->source; *at; at += strcspn(at, "\n"), at += *at == '\n', line++) {
        if (!strncmp(at, "#error ", 7)) return refuse(p, line, "#error directive: ", at + 7);
        if (!strncmp(at, "#include \"", 10) && !knows(p, at + 10, strcspn(at + 10, "\"")))
            return refuse(p, line, "cannot open source file ", at + 9);
        if (!strncmp(at, "EARLY_", 6)) at += 6;
        if (!strncmp(at, "KERNEL(", 7))
            used += (size_t)snprintf(p->image + used, size - used, "kernel %.*s%s%s\n", (int)strcspn(at + 7, ",)"),
                                     at + 7, type ? "_" : "", type ? type : "");
    }
    return 0;
}

EXPORT NAME(nvrtcGetCUBINSize, hiprtcGetCodeSize)(void *program, size_t *size) {
    *size = strlen(((struct program *)program)->image) + 1;
    return 0;
}

EXPORT NAME(nvrtcGetCUBIN, hiprtcGetCode)(void *program, char *image) {
    memcpy(image, ((struct program *)program)->image, strlen(((struct program *)program)->image) + 1);
    return 0;
}

EXPORT NAME(nvrtcGetProgramLogSize, hiprtcGetProgramLogSize)(void *program, size_t *size) {
    struct program *p = program;
    *size = p->log ? strlen(p->log) + 1 : 1;
    return 0;
}

EXPORT NAME(nvrtcGetProgramLog, hiprtcGetProgramLog)(void *program, char *log) {
    struct program *p = program;
    memcpy(log, p->log ? p->log : "", p->log ? strlen(p->log) + 1 : 1);
    return 0;
}

#ifndef FAKE_HIP
EXPORT nvrtcGetNumSupportedArchs(int *n) {
    *n = 3;
    return 0;
}

EXPORT nvrtcGetSupportedArchs(int *chips) {
    memcpy(chips, (int[]){75, 90, 120}, 3 * sizeof *chips);
    return 0;
}
#endif
