// Standard input and files, read whole.
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stddef.h>
#include <stdint.h>

// Everything on stdin, NUL-terminated; free(). NULL after the error was printed; its status is in *status.
char *read_input(size_t *size, int *status);

// The same of a file; "-" is standard input.
char *read_whole(const char *path, size_t *size, int *status);

// Token ids with spaces, commas or brackets between them; free(). NULL after the error was printed.
int32_t *read_ids(const char *where, const char *text, size_t *count, int *status);

#endif
