// Ranks that are processes of one test, without MPI: what stands for it is memory that they share, and what one of them
// asks of the heap, or of the messages, fails when it is told to.
#ifndef TESTS_CLUSTER_MAIL_H
#define TESTS_CLUSTER_MAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MAIL_RANKS = 3 };

// A source that has this is linked with mail.c, and with mail_wraps of meson.build. Before anything else: false: there
// is no memory.
bool mail_open(void);

// Memory that all processes share, of zeros; NULL: there is none.
void *mail_shared(size_t n);

// Forks so many processes, in which fn(rank, arg) is called; the first status that is not 0, or -1. What rank 0 leaves
// behind is ended.
int mail_run(unsigned ranks, int (*fn)(unsigned rank, void *arg), void *arg);

// From any of them: of a rank's first thread the n-th allocation from now on fails, or the n-th parcel that it sends;
// 0: none. What was to fail and did not: the number that is left.
void mail_fail_memory(unsigned rank, long n);
void mail_fail_send(unsigned rank, long n);
long mail_left(unsigned rank);

#endif
