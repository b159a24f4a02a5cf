// Whether a device gives the bytes that it should.
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

// Compares device `name` (NULL: the first card) with the CPU, and the CPU itself with the plain C that defines what is
// right: the scores after each token of a model, which is `model`,
// or, NULL, the poet in all types of weights that gyr writes. Prints a line for each type of weights and of cache.
// Returns an exit status: GYR_DEVICE where a byte differs.
int check_device(const char *name, const char *model);

#endif
