// The server's state: one SQLite file in a folder. Several processes may have it open (gyr key while gyr serve runs),
// and any thread may use it: one transaction at a time, others wait.
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include "base/error.h"

#include <sqlite3.h>

struct store;

// The folder of the state: $GYR_STATE, else $XDG_STATE_HOME/gyr, else ~/.local/state/gyr. free().
char *state_folder(gyr_error *e);

// Opens the state in a folder (NULL: state_folder()), makes both where they are not there, and brings an older schema
// up to date. Fails with GYR_IO, GYR_MALFORMED (damaged, or not gyr's), GYR_UNSUPPORTED (of a newer gyr).
struct store *store_open(const char *folder, gyr_error *e);
void store_close(struct store *s);

// The folder as it was given, and the database's path.
const char *store_place(const struct store *s);
const char *store_path(const struct store *s);

// Changes whenever another process has written to the state; -1 if it cannot be read.
int64_t store_version(struct store *s);

// How a transaction ends on the disk. What STORE_NOTE wrote survives the process but perhaps not a power cut;
// what STORE_WRITE wrote survives both, for the price of a flush.
enum store_access { STORE_READ, STORE_NOTE, STORE_WRITE };

// Every use is a transaction between these two. The calls in between say nothing of failures: once one has failed the
// others do nothing, and store_end() undoes all and gives the first error.
bool store_begin(struct store *s, enum store_access access, gyr_error *e);
bool store_end(struct store *s, gyr_error *e);

// True while nothing in this transaction has failed.
bool store_good(const struct store *s);

// The transaction's own reason to fail.
__attribute__((format(printf, 3, 4))) void store_refuse(struct store *s, gyr_status status, const char *format, ...);

// A statement with its values, a letter of `kinds` for each: i int64_t, s const char * (NULL is null), b const void *
// and size_t. Values are not copied: they must stay as they are until the statement's last row. `sql` is kept by its
// address, prepared once: give a string that stays. A statement is in use once at a time.
sqlite3_stmt *store_query(struct store *s, const char *sql, const char *kinds, ...);

// The next row; false: no more, or it failed. The row's columns are read with sqlite3_column_*().
bool store_next(struct store *s, sqlite3_stmt *q);

// A statement without rows; the number of rows that it changed.
int64_t store_run(struct store *s, const char *sql, const char *kinds, ...);

// A column's text as a string of the caller's own, "" for null; NULL (and the transaction fails) without memory.
char *store_text(struct store *s, sqlite3_stmt *q, int column);

// One number: the first column of the first row; `otherwise` without a row.
int64_t store_number(struct store *s, int64_t otherwise, const char *sql, const char *kinds, ...);

#endif
