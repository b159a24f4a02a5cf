// Files that clients keep here (/v1/files): rows of the state, and their contents as files of its folder.
//
// Contents are written under another name, flushed and renamed before the row is made, and removed after the row is:
// whatever the moment at which the process dies, a row has its contents. What has no row is removed by files_sweep().
//
// Statuses: GYR_USAGE for a file that is not there or may not be had, GYR_TOO_LONG for one that is too large.
#ifndef SERVER_FILES_H
#define SERVER_FILES_H

#include "base/buf.h"
#include "server/store.h"

enum { FILE_ID = 29, FILE_NAME = 255, FILE_PURPOSE = 32, OWNER_ANY = -1 };

struct stored_file {
    char id[FILE_ID + 1];                   // "file-" and 24 random characters
    int64_t owner, bytes, created, expires; // expires: 0: never
    char name[FILE_NAME + 1], purpose[FILE_PURPOSE + 1];
};

struct file_limits {
    int64_t file_bytes, owner_bytes, total_bytes; // 0: no limit
};

// A file that is being written. Several may be, by several threads; one is used by one thread at a time.
struct file_writer;

// `wish` says owner, name, purpose and expiry. The name is only kept, never opened.
struct file_writer *file_new(struct store *s, const struct stored_file *wish, const struct file_limits *limits,
                             gyr_error *e);
bool file_write(struct file_writer *w, const void *data, size_t size, gyr_error *e);

// The contents are whole: makes the row, and fills in *made. The writer is gone, whether it worked or not. Within
// another's transaction, use file_close() before it and file_enter() in it.
bool file_finish(struct file_writer *w, int64_t now, struct stored_file *made, gyr_error *e);

// Gives up: nothing is left. NULL is allowed.
void file_drop(struct file_writer *w);

// The two halves of file_finish(): contents under their name on the disk, then the row, between store_begin() and
// store_end(). The writer has to be dropped after, which leaves contents alone that file_enter() made a row for; call
// file_kept() once the transaction has ended well.
bool file_close(struct file_writer *w, gyr_error *e);
void file_enter(struct file_writer *w, int64_t now, struct stored_file *made);
void file_kept(struct file_writer *w);

// Finds a file of an owner, or of anybody (OWNER_ANY). GYR_USAGE if there is none, or it has expired.
bool file_find(struct store *s, int64_t owner, const char *id, int64_t now, struct stored_file *found, gyr_error *e);

// The same between store_begin() and store_end().
void file_look(struct store *s, int64_t owner, const char *id, int64_t now, struct stored_file *found);

// Opens the contents for reading; -1 if that fails. The descriptor stays good when the file is deleted.
int file_open(struct store *s, const char *id, gyr_error *e);

// Removes a file. One that a batch under way reads is refused (GYR_USAGE, "... is in use by ...").
bool file_delete(struct store *s, int64_t owner, const char *id, int64_t now, gyr_error *e);

struct file_query {
    int64_t owner;
    const char *purpose; // NULL: any
    const char *after;   // id of the last file of the page before; NULL: from the start
    size_t limit;        // 1 to 10000
    bool ascending;      // the oldest first
};

// A page: *count files, to be freed; *more: there are others after them.
struct stored_file *files_list(struct store *s, const struct file_query *q, int64_t now, size_t *count, bool *more,
                               gyr_error *e);

// Bytes of an owner's files, or (OWNER_ANY) of all.
bool files_bytes(struct store *s, int64_t owner, int64_t *bytes, gyr_error *e);

// Removes what has expired, what belonged to keys that were removed, and contents without a row that have not been
// touched for a day. To be called at the start and now and then.
bool files_sweep(struct store *s, int64_t now, gyr_error *e);

#endif
