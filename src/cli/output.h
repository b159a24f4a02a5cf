// What the program prints: answers to stdout, everything else to stderr.
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "gyr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool out_is_terminal(void);
bool err_is_terminal(void);

// Columns of the terminal behind stderr; 80 if it does not say.
int err_columns(void);

// Bytes to stdout: exactly as they are to a file or pipe, with control characters made harmless to a terminal, since
// what a model says may be an attacker's. False once stdout has failed.
bool print_text(const char *text, size_t size);
bool print_flush(void);
__attribute__((format(printf, 1, 2))) bool print(const char *format, ...);

// Bytes to stdout that are never changed: the program's own escape sequences, and data of a binary nature.
bool print_raw(const char *text, size_t size);

// The last words of a verb: reports a stdout that failed (disk full, ...). Returns the exit status.
int print_end(int status);

// "gyr: ..." on stderr.
__attribute__((format(printf, 1, 2))) void say_error(const char *format, ...);

// The same; returns GYR_USAGE.
__attribute__((format(printf, 1, 2))) int usage_error(const char *format, ...);

// The same for a library's error; returns its status.
int report(const gyr_error *e);

// Says nothing on stderr from now on; and the last that was not said, "" if nothing was.
void output_quiet(bool yes);
const char *output_unsaid(void);

// A line on stderr, dim on a terminal that has colours (and no NO_COLOR, https://no-color.org).
__attribute__((format(printf, 1, 2))) void say_dim(const char *format, ...);

// 1234567 -> "1.23 MB" (powers of 1000); "1.23 million". Static buffers, used in turn.
const char *human_bytes(double n);
const char *human_count(double n);

#endif
