// Libraries that are opened where a machine has them: drivers, compilers and counters of cards' vendors.
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

// Where one is looked for, in this order: in the folders that the user gave, "A:B" (NULL: none), where the system
// looks, and in those that are known. Lists end with NULL.
struct library_search {
    const char *given;
    const char *const *known;
    bool global;    // what it has may be used by libraries that are opened later
    char said[200]; // why one that is there does not open; the first reason counts
};

// The folders that $GYR_GPU_LIBRARIES gives; NULL: none.
const char *library_given(void);

// From one folder of `n` characters; 0: where the system looks. NULL: there is none, or `said` tells why.
void *library_open(struct library_search *s, const char *folder, size_t n, const char *name);

// From all folders, under one name; and the next of *names, which is moved on, that opens.
void *library_find(struct library_search *s, const char *name);
void *library_next(struct library_search *s, const char *const **names);

// A function of it, put where `function` points to. False: it has none of that name, and NULL was put there.
bool library_function(void *library, const char *name, void *function);

// Where a library was found; "" if that is not known.
const char *library_path(void *library);

// Folders of Python's packages, where pip puts libraries: each of `inside`, such as "nvidia/cu13/lib", in the
// site-packages of $VIRTUAL_ENV, of $CONDA_PREFIX, of the first python3 of $PATH, of the user (~/.local), and of
// /usr/local. Those that there are, with NULL behind; free() the list, which is one piece. NULL: out of memory.
char **library_python_folders(const char *const *inside);

#endif
