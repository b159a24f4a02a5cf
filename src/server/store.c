#include "server/store.h"

#include "base/buf.h"
#include "server/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_STATEMENTS = 160, BUSY_MS = 10000 };

struct store {
    pthread_mutex_t lock; // held from store_begin() to store_end()
    sqlite3 *db;
    char *folder, *path;
    struct statement {
        const char *sql;
        sqlite3_stmt *made;
    } statements[MAX_STATEMENTS];
    size_t count;
    int access; // how the last transaction ends on the disk; -1: not set yet
    bool failed;
    int code;        // SQLite's, why
    gyr_error error; // of this transaction
};

const char *store_place(const struct store *s) { return s->folder; }

const char *store_path(const struct store *s) { return s->path; }

bool store_good(const struct store *s) { return !s->failed; }

// ---------------------------------------------------------------------------------------------------- failing

static const struct reason {
    int code;
    gyr_status status;
    const char *what;
} reasons[] = {
    {SQLITE_BUSY, GYR_IO, "another process has been writing for 10 seconds; try again, or see what it does"},
    {SQLITE_LOCKED, GYR_IO, "in use by another process; try again"},
    {SQLITE_FULL, GYR_IO, "the disk is full; make room"},
    {SQLITE_READONLY, GYR_IO, "may not be written; check who owns it and its folder"},
    {SQLITE_PERM, GYR_IO, "access denied; check who owns it and its folder"},
    {SQLITE_CANTOPEN, GYR_IO, "cannot be opened; check that the folder is there and may be written"},
    {SQLITE_IOERR, GYR_IO, "the disk failed or is full; check it"},
    {SQLITE_NOTADB, GYR_MALFORMED, "not a database; move it away, or restore it from a backup"},
    {SQLITE_CORRUPT, GYR_MALFORMED, "damaged; restore it from a backup, or move it away with its -wal file"},
    {SQLITE_NOMEM, GYR_NO_MEMORY, "out of memory; close other programs"},
    {SQLITE_TOOBIG, GYR_USAGE, "a value is too large to be kept"},
};

// What SQLite last said, as an error of ours.
static bool fail_with(sqlite3 *db, const char *path, int code, gyr_error *e) {
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].code == (code & 0xff))
            return fail(e, reasons[i].status, "%s: %s (%s)", path, reasons[i].what, sqlite3_errstr(code));
    return fail(e, GYR_FAILED, "%s: %s (SQLite's status %d)", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(code),
                code);
}

static void note_failure(struct store *s, int code) {
    if (!s->failed) {
        fail_with(s->db, s->path, code, &s->error);
        s->code = code;
    }
    s->failed = true;
}

void store_refuse(struct store *s, gyr_status status, const char *format, ...) {
    char text[sizeof s->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!s->failed) fail(&s->error, status, "%s", text);
    s->failed = true;
}

// ---------------------------------------------------------------------------------------------------- statements

static sqlite3_stmt *statement(struct store *s, const char *sql) {
    for (size_t i = 0; i < s->count; i++)
        if (s->statements[i].sql == sql) return s->statements[i].made;
    sqlite3_stmt *made = NULL;
    if (s->count == MAX_STATEMENTS) {
        store_refuse(s, GYR_FAILED, "%s: more statements than the %d there is room for", s->path, MAX_STATEMENTS);
        return NULL;
    }
    int code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &made, NULL);
    if (code) {
        note_failure(s, code);
        return NULL;
    }
    s->statements[s->count++] = (struct statement){sql, made};
    return made;
}

static int bind(sqlite3_stmt *q, const char *kinds, va_list args) {
    int code = SQLITE_OK;
    for (int i = 1; *kinds && !code; kinds++, i++) {
        if (*kinds == 'i') {
            code = sqlite3_bind_int64(q, i, va_arg(args, int64_t));
        } else if (*kinds == 's') {
            code = sqlite3_bind_text(q, i, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else {
            const void *data = va_arg(args, const void *);
            code = sqlite3_bind_blob64(q, i, data, va_arg(args, size_t), SQLITE_STATIC);
        }
    }
    return code;
}

static sqlite3_stmt *bound(struct store *s, const char *sql, const char *kinds, va_list args) {
    sqlite3_stmt *q = s->failed ? NULL : statement(s, sql);
    if (!q) return NULL;
    sqlite3_reset(q);
    int code = bind(q, kinds, args);
    if (!code) return q;
    note_failure(s, code);
    return NULL;
}

sqlite3_stmt *store_query(struct store *s, const char *sql, const char *kinds, ...) {
    va_list args;
    va_start(args, kinds);
    sqlite3_stmt *q = bound(s, sql, kinds, args);
    va_end(args);
    return q;
}

bool store_next(struct store *s, sqlite3_stmt *q) {
    if (!q || s->failed) return false;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) note_failure(s, code);
    sqlite3_reset(q);
    return false;
}

int64_t store_run(struct store *s, const char *sql, const char *kinds, ...) {
    va_list args;
    va_start(args, kinds);
    sqlite3_stmt *q = bound(s, sql, kinds, args);
    va_end(args);
    while (store_next(s, q)) {}
    return s->failed ? 0 : sqlite3_changes(s->db);
}

int64_t store_number(struct store *s, int64_t otherwise, const char *sql, const char *kinds, ...) {
    va_list args;
    va_start(args, kinds);
    sqlite3_stmt *q = bound(s, sql, kinds, args);
    va_end(args);
    if (!store_next(s, q)) return otherwise;
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return n;
}

char *store_text(struct store *s, sqlite3_stmt *q, int column) {
    const char *text = (const char *)sqlite3_column_text(q, column);
    char *copy = text || sqlite3_column_type(q, column) == SQLITE_NULL ? strdup(text ? text : "") : NULL;
    if (!copy) store_refuse(s, GYR_NO_MEMORY, "%s: out of memory; close other programs", s->path);
    return copy;
}

// ---------------------------------------------------------------------------------------------------- transactions

// A pragma or another statement that is needed once.
static bool once(struct store *s, const char *sql) {
    int code = s->failed ? SQLITE_OK : sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    if (code) note_failure(s, code);
    return !s->failed;
}

// In WAL mode "normal" leaves the flush to the next commit with "full", or to a checkpoint.
static void set_access(struct store *s, enum store_access access) {
    if (access == STORE_READ || s->access == (int)access) return;
    store_run(s, access == STORE_WRITE ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "");
    s->access = s->failed ? -1 : (int)access;
}

static bool give_back(struct store *s, gyr_error *e) {
    bool good = !s->failed;
    if (!good && e) *e = s->error;
    s->failed = false;
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool store_begin(struct store *s, enum store_access access, gyr_error *e) {
    pthread_mutex_lock(&s->lock);
    set_access(s, access);
    // A transaction that would write later could fail there, after another process wrote: it is a writer from the
    // start.
    store_run(s, access == STORE_READ ? "BEGIN" : "BEGIN IMMEDIATE", "");
    return s->failed ? give_back(s, e) : true;
}

bool store_end(struct store *s, gyr_error *e) {
    for (size_t i = 0; i < s->count; i++) {
        sqlite3_reset(s->statements[i].made);
        sqlite3_clear_bindings(s->statements[i].made);
    }
    store_run(s, "COMMIT", "");
    // Some failures have rolled back already.
    if (s->failed && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return give_back(s, e);
}

int64_t store_version(struct store *s) {
    pthread_mutex_lock(&s->lock);
    int64_t version = store_number(s, -1, "PRAGMA data_version", "");
    give_back(s, NULL);
    return version;
}

// ---------------------------------------------------------------------------------------------------- opening

char *state_folder(gyr_error *e) {
    const char *own = getenv("GYR_STATE"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct buf b = {0};
    if (own && *own)
        buf_puts(&b, own);
    else if (state && *state == '/')
        buf_printf(&b, "%s/gyr", state);
    else if (home && *home)
        buf_printf(&b, "%s/.local/state/gyr", home);
    else
        return fail_null(e, GYR_USAGE, "state: no place to keep it; set GYR_STATE to a folder");
    char *folder = buf_take(&b);
    return folder ? folder : (fail_memory(e, "state"), NULL);
}

// The folder and those above it; only their owner may look inside.
static bool make_folder(const char *folder, gyr_error *e) {
    char *path = strdup(folder);
    if (!path) return fail_memory(e, folder);
    bool ok = true;
    for (char *p = path + 1; ok && p[-1]; p++) {
        if (*p && *p != '/') continue;
        char kept = *p;
        *p = 0;
        ok = !mkdir(path, 0700) || errno == EEXIST;
        *p = kept;
    }
    if (!ok)
        fail(e, GYR_IO, "%s: cannot be made: %s; set GYR_STATE to a folder that may be written", folder,
             strerror(errno));
    free(path);
    return ok;
}

// Made before SQLite would make it for everybody to read; its other files take their mode from this one. What is there
// already is not opened here: closing it would give up the locks that another store of this process holds on it.
static bool make_file(const char *path, gyr_error *e) {
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    if ((fd < 0 && errno != EEXIST) || stat(path, &st))
        return fail(e, GYR_IO, "%s: %s; check who owns it and its folder", path, strerror(errno));
    return S_ISREG(st.st_mode) || fail(e, GYR_IO, "%s: not a regular file; move it away", path);
}

static void set_up(struct store *s) {
    sqlite3_busy_timeout(s->db, BUSY_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    once(s, "PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 16777216");
    if (!s->failed && sqlite3_db_readonly(s->db, "main") == 1) note_failure(s, SQLITE_READONLY);
}

static void ask_for_wal(struct store *s) {
    sqlite3_stmt *q = store_query(s, "PRAGMA journal_mode = WAL", "");
    if (store_next(s, q)) {
        const char *mode = (const char *)sqlite3_column_text(q, 0);
        if (!mode || strcmp(mode, "wal"))
            store_refuse(s, GYR_IO,
                         "%s: this file system cannot share it between processes; set GYR_STATE to a folder of a local "
                         "disk",
                         s->path);
    }
    if (q) sqlite3_reset(q);
}

// Two processes that do so at once would wait for each other; SQLite makes one of them fail instead.
static void want_wal(struct store *s) {
    for (int waited = 0; waited < BUSY_MS; waited += 10) {
        s->failed = false;
        s->code = 0;
        ask_for_wal(s);
        if (!s->failed || (s->code & 0xff) != SQLITE_BUSY) return;
        usleep(10000);
    }
}

// Another program's database is left alone.
static void check_owner(struct store *s, int64_t version) {
    int64_t application = store_number(s, 0, "PRAGMA application_id", "");
    int64_t tables = store_number(s, 0, "SELECT count(*) FROM sqlite_schema", "");
    if (!s->failed && application != SCHEMA_APPLICATION && (version || tables))
        store_refuse(s, GYR_MALFORMED, "%s: the database of another program; move it away, or set GYR_STATE", s->path);
}

static void migrate(struct store *s, int64_t from) {
    char text[96];
    for (int64_t i = from; i < schema_version; i++) once(s, schema_steps[i]);
    snprintf(text, sizeof text, "PRAGMA user_version = %d; PRAGMA application_id = %d", schema_version,
             SCHEMA_APPLICATION);
    once(s, text);
}

static const char version_sql[] = "PRAGMA user_version";

static bool bring_up_to_date(struct store *s, gyr_error *e) {
    if (!store_begin(s, STORE_READ, e)) return false;
    int64_t version = store_number(s, 0, version_sql, "");
    check_owner(s, version);
    if (version > schema_version || version < 0)
        store_refuse(s, GYR_UNSUPPORTED,
                     "%s: its schema is version %lld, of a newer gyr; this one knows versions up to "
                     "%d: update gyr, or set GYR_STATE",
                     s->path, (long long)version, schema_version);
    if (!store_end(s, e)) return false;
    if (version == schema_version) return true;
    if (!store_begin(s, STORE_WRITE, e)) return false;
    version = store_number(s, 0, version_sql, ""); // another process may have been faster
    if (version < schema_version) migrate(s, version);
    return store_end(s, e);
}

static bool connect(struct store *s, gyr_error *e) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (code) return fail_with(s->db, s->path, code, e);
    pthread_mutex_lock(&s->lock);
    set_up(s);
    if (!s->failed) want_wal(s);
    return give_back(s, e) && bring_up_to_date(s, e);
}

struct store *store_open(const char *folder, gyr_error *e) {
    struct store *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(e, "state"), NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->access = -1;
    struct buf path = {0};
    s->folder = folder ? strdup(folder) : state_folder(e);
    if (!s->folder && folder) fail_memory(e, folder);
    if (s->folder) {
        buf_printf(&path, "%s/state.db", s->folder);
        s->path = buf_take(&path);
    }
    if (s->path ? make_folder(s->folder, e) && make_file(s->path, e) && connect(s, e)
                : s->folder && fail_memory(e, "state"))
        return s;
    store_close(s);
    return NULL;
}

void store_close(struct store *s) {
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) sqlite3_finalize(s->statements[i].made);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s->folder);
    free(s->path);
    free(s);
}
