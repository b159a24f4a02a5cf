// How ranks end: together, without one that is gone, and where rank 0 needed nobody; and lines beside, whose calls end
// where the ranks do. Their processes share memory (mail.h); each is silent as soon as it is gone.
#include "cluster/mail.h"

#include "cluster/ranks.h"
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SILENCE_MS = 1500, END = 7 }; // longer than GYR_RANK_TIMEOUT; the status of rank 0's end

static gyr_error err;

static void wait_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

// What a process cannot do without.
static void *got(void *what) {
    if (what) return what;
    printf("%s\n", err.message);
    exit(1);
}

static struct ranks *joined(void) {
    struct ranks *r = NULL;
    return got(ranks_join(&r, &err) ? r : NULL);
}

static struct ranks *line_of(struct ranks *r) { return got(ranks_beside(r, &err)); }

static bool names_rank_2(const gyr_error *e) {
    return e->status == GYR_DEVICE && !strncmp(e->message, "rank 2 on ", 10) &&
           strstr(e->message, ": gave no sign of life for 1 s; see whether it runs and can be reached");
}

// A process's status: what it was to end with, unless a check failed in it.
static int ends_with(int status, int want) {
    CHECK_INT(status, want);
    return test_bad;
}

// ------------------------------------------------------------------------------------------------ ends

// Each stays for a while of its own before it hears; a rank's own words of its end are no farewell.
static int all_there(unsigned rank, void *rests) {
    struct ranks *r = joined();
    if (rests) ranks_rest(r);
    wait_ms(150 * (long)rank);
    if (!rank) CHECK(ranks_dismiss(r, END, &err) && ranks_dismiss(r, END, &err));
    return ends_with(ranks_leave(r, rank ? GYR_FAILED : END, "it had to"), END);
}

static void all_end_with_rank_0(void) {
    CHECK_INT(mail_run(MAIL_RANKS, all_there, NULL), 0);
    CHECK_INT(mail_run(MAIL_RANKS, all_there, &err), 0);
    CHECK_INT(mail_run(1, all_there, NULL), 0);
}

static int needed(unsigned rank, void *arg) {
    struct ranks *r = joined();
    struct buf b = {0};
    (void)arg;
    if (rank == 2) _exit(0);
    if (rank) return ranks_leave(r, GYR_OK, NULL);
    CHECK(!ranks_receive(r, 2, PARCEL_RESULT, &b, &err) && names_rank_2(&err));
    err = (gyr_error){0};
    CHECK(!ranks_dismiss(r, GYR_OK, &err) && names_rank_2(&err));
    buf_free(&b);
    if (test_bad) return test_bad;
    return ranks_leave(r, GYR_OK, NULL);
}

// The answer of a rank 0 that computes alone is whole, whatever the others do meanwhile.
static int needless(unsigned rank, void *arg) {
    struct ranks *r = joined();
    (void)arg;
    ranks_rest(r);
    if (rank == 2) _exit(0);
    if (rank) return ranks_leave(r, GYR_OK, NULL);
    wait_ms(SILENCE_MS);
    CHECK(!ranks_lost(r) && !ranks_dismiss(r, GYR_OK, &err) && names_rank_2(&err));
    if (test_bad) return test_bad;
    return ranks_leave(r, GYR_OK, NULL);
}

static void a_rank_that_is_gone_is_named(void) {
    CHECK_INT(mail_run(MAIL_RANKS, needed, NULL), GYR_DEVICE);
    CHECK_INT(mail_run(MAIL_RANKS, needless, NULL), GYR_OK);
}

// ------------------------------------------------------------------------------------------------ lines beside

// Calls of any size beside parcels of the ranks themselves, which are told apart.
static int calls(unsigned rank, void *arg) {
    struct ranks *r = joined(), *line = line_of(r);
    struct buf b = {0}, all = {0};
    (void)arg;
    for (uint32_t n = 0; n < 5; n++) {
        char text[5 * 5 + 1] = "abcdefghijklmnopqrstuvwxy";
        if (!rank)
            CHECK(ranks_send(r, 1, PARCEL_STREAM, &n, sizeof n, &err) && ranks_call(line, text, (size_t)n * n, &err));
        else
            CHECK(ranks_listen(line, &b, &err) && b.size == (size_t)n * n && !memcmp(b.data, text, b.size));
        CHECK(ranks_agree(line, true, NULL, &n, sizeof n, &all, &err) && all.size == MAIL_RANKS * sizeof n);
        if (rank == 1) CHECK(ranks_receive(r, 0, PARCEL_STREAM, &b, &err) && !memcmp(b.data, &n, sizeof n));
    }
    gyr_error why = {GYR_MALFORMED, "no wish to"};
    err = (gyr_error){0};
    CHECK(!ranks_agree(line, rank != 1, &why, NULL, 0, &all, &err) && err.status == GYR_MALFORMED);
    CHECK(strstr(err.message, "rank 1 on ") && strstr(err.message, "no wish to"));
    buf_free(&b);
    buf_free(&all);
    ranks_beside_end(line);
    return ends_with(ranks_leave(r, rank ? GYR_OK : END, NULL), END);
}

static void *listens(void *line) {
    struct buf b = {0};
    gyr_error why = {0};
    CHECK(!ranks_listen(line, &b, &why) && why.status == GYR_CANCELLED);
    buf_free(&b);
    ranks_beside_end(line);
    return NULL;
}

// Rank 0 ends while threads of the others listen, with a line that was used or not.
static int ends_meanwhile(unsigned rank, void *used) {
    struct ranks *r = joined(), *line = line_of(r);
    struct buf b = {0};
    if (used && !rank) CHECK(ranks_call(line, "", 0, &err));
    if (used && rank) CHECK(ranks_listen(line, &b, &err));
    pthread_t thread;
    if (rank && pthread_create(&thread, NULL, listens, line)) exit(1);
    wait_ms(100);
    if (!rank) ranks_beside_end(line);
    if (rank) CHECK(!ranks_receive(r, 0, PARCEL_PASS, &b, &err) && err.status == GYR_CANCELLED);
    if (rank) pthread_join(thread, NULL);
    buf_free(&b);
    return ends_with(ranks_leave(r, rank ? GYR_OK : END, NULL), END);
}

// Where a rank is lost, a line is over, and another one is there for those that are left.
static int closes_up(unsigned rank, void *arg) {
    struct ranks *r = joined(), *line = line_of(r);
    struct buf b = {0};
    (void)arg;
    if (rank == 2) _exit(0);
    CHECK(!(rank ? ranks_listen(line, &b, &err) : ranks_call(line, "", 0, &err)) && err.status == GYR_DEVICE);
    while (!ranks_lost(r)) wait_ms(10);
    CHECK(!ranks_beside(r, &err) && ranks_close_up(r, &err));
    CHECK(!(rank ? ranks_listen(line, &b, &err) : ranks_call(line, "", 0, &err)));
    ranks_beside_end(line);
    line = line_of(r);
    CHECK(rank ? ranks_listen(line, &b, &err) && b.size == 5 && !memcmp(b.data, "again", 5)
               : ranks_call(line, "again", 5, &err));
    ranks_beside_end(line);
    buf_free(&b);
    if (test_bad) return test_bad;
    return ranks_leave(r, GYR_OK, NULL);
}

// Every allocation of it fails in turn.
static int no_memory(unsigned rank, void *arg) {
    struct ranks *r = joined(), *line = NULL;
    long n = 0;
    (void)arg;
    while (!rank && !line) {
        mail_fail_memory(0, ++n);
        err = (gyr_error){0};
        line = ranks_beside(r, &err);
        mail_fail_memory(0, 0);
        CHECK(line || err.status == GYR_NO_MEMORY);
    }
    if (!rank) CHECK(n > 4);
    ranks_beside_end(line);
    return ends_with(ranks_leave(r, rank ? GYR_OK : END, NULL), END);
}

static void calls_go_beside_parcels(void) { CHECK_INT(mail_run(MAIL_RANKS, calls, NULL), 0); }

static void a_line_ends_with_rank_0(void) {
    CHECK_INT(mail_run(MAIL_RANKS, ends_meanwhile, NULL), 0);
    CHECK_INT(mail_run(MAIL_RANKS, ends_meanwhile, &err), 0);
}

static void a_line_ends_where_a_rank_is_lost(void) { CHECK_INT(mail_run(MAIL_RANKS, closes_up, NULL), 0); }

static void without_memory_there_is_no_line(void) { CHECK_INT(mail_run(MAIL_RANKS, no_memory, NULL), 0); }

int main(void) {
    setenv("GYR_RANK_TIMEOUT", "1", 1);
    if (!mail_open()) return 1;
    RUN(all_end_with_rank_0);
    RUN(a_rank_that_is_gone_is_named);
    RUN(calls_go_beside_parcels);
    RUN(a_line_ends_with_rank_0);
    RUN(a_line_ends_where_a_rank_is_lost);
    RUN(without_memory_there_is_no_line);
    return test_end();
}
