#include "server/schema.h"

// Times are seconds since 1970, 0: never. An owner is the id of a key, 0 where the server asks for none. `seq` gives
// lists an order that two rows of one second share out. The states of batches and lines are those of batches.h.
const char *const schema_steps[] = {
    "CREATE TABLE keys ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT," // never given twice: what belonged to a removed key stays nobody's
    " name TEXT NOT NULL, hash BLOB NOT NULL, hint TEXT NOT NULL, admin INTEGER NOT NULL,"
    " requests_per_minute INTEGER NOT NULL, tokens_per_minute INTEGER NOT NULL, tokens_per_day INTEGER NOT NULL,"
    " concurrency INTEGER NOT NULL, models TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " removed INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE UNIQUE INDEX keys_by_name ON keys (name) WHERE removed = 0;"

    "CREATE TABLE usage ("
    " key INTEGER NOT NULL, day INTEGER NOT NULL, model TEXT NOT NULL," // day: days since 1970, UTC
    " requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,"
    " answer_tokens INTEGER NOT NULL, PRIMARY KEY (key, day, model)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE files ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL, name TEXT NOT NULL,"
    " purpose TEXT NOT NULL, bytes INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL) STRICT;"
    "CREATE INDEX files_by_owner ON files (owner, seq);"
    "CREATE INDEX files_by_expiry ON files (expires) WHERE expires > 0;"

    "CREATE TABLE batches ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL, state INTEGER NOT NULL,"
    " endpoint TEXT NOT NULL, completion_window TEXT NOT NULL, metadata TEXT, input_file TEXT NOT NULL,"
    " output_file TEXT NOT NULL DEFAULT '', error_file TEXT NOT NULL DEFAULT '', errors TEXT,"
    " total INTEGER NOT NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"
    " expires_at INTEGER NOT NULL, validating_at INTEGER NOT NULL, in_progress_at INTEGER NOT NULL DEFAULT 0,"
    " finalizing_at INTEGER NOT NULL DEFAULT 0, completed_at INTEGER NOT NULL DEFAULT 0,"
    " failed_at INTEGER NOT NULL DEFAULT 0, expired_at INTEGER NOT NULL DEFAULT 0,"
    " cancelling_at INTEGER NOT NULL DEFAULT 0, cancelled_at INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX batches_by_owner ON batches (owner, seq);"
    "CREATE INDEX batches_by_state ON batches (state, seq);"

    // A line's request stays in the input file, at [start, start + bytes). `claim` is the run that works on it.
    "CREATE TABLE lines ("
    " batch INTEGER NOT NULL, line INTEGER NOT NULL, custom_id TEXT NOT NULL, start INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, claim INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0, result TEXT,"
    " PRIMARY KEY (batch, line), UNIQUE (batch, custom_id)) STRICT;"
    "CREATE INDEX lines_open ON lines (batch, claim, line) WHERE state = 0;"

    "CREATE TABLE objects ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, owner INTEGER NOT NULL,"
    " created INTEGER NOT NULL, expires INTEGER NOT NULL, bytes INTEGER NOT NULL, json TEXT NOT NULL,"
    " UNIQUE (kind, id)) STRICT;"
    "CREATE INDEX objects_by_owner ON objects (owner, kind, seq);"
    "CREATE INDEX objects_by_expiry ON objects (expires) WHERE expires > 0;"

    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;",

    // The id is the client's: another owner may have the same.
    "CREATE TABLE conversations ("
    " owner INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL, bytes INTEGER NOT NULL, title TEXT NOT NULL, json TEXT NOT NULL,"
    " PRIMARY KEY (owner, id)) STRICT;",

    // Fine-tuning. The states are those of tunes.h; `rate` is the multiplier of the learning rate. Of a job each step
    // is there once, however often it was trained.
    "CREATE TABLE tunes ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL, shared INTEGER NOT NULL,"
    " state INTEGER NOT NULL, base TEXT NOT NULL, training TEXT NOT NULL, validation TEXT NOT NULL,"
    " result TEXT NOT NULL DEFAULT '', suffix TEXT NOT NULL, model TEXT NOT NULL DEFAULT '',"
    " checksum TEXT NOT NULL DEFAULT '', deleted INTEGER NOT NULL DEFAULT 0, metadata TEXT, error TEXT,"
    " seed INTEGER NOT NULL, epochs INTEGER NOT NULL, batch INTEGER NOT NULL, rate REAL NOT NULL,"
    " steps INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, tokens INTEGER NOT NULL DEFAULT 0,"
    " created INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0, finish_at INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX tunes_by_owner ON tunes (owner, seq);"
    "CREATE INDEX tunes_by_state ON tunes (state, seq);"
    "CREATE TABLE tune_events ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, tune INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,"
    " level INTEGER NOT NULL, step INTEGER NOT NULL, message TEXT NOT NULL, data TEXT NOT NULL) STRICT;"
    "CREATE INDEX tune_events_by_tune ON tune_events (tune, seq);"
    "CREATE UNIQUE INDEX tune_steps ON tune_events (tune, step) WHERE step > 0;"
    "CREATE TABLE tune_checkpoints ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, tune INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,"
    " step INTEGER NOT NULL, model TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (tune, step)) STRICT;",

    // What is looked through comes before what is long.
    "CREATE TABLE chats ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, bytes INTEGER NOT NULL, model TEXT NOT NULL, metadata TEXT NOT NULL,"
    " reply TEXT NOT NULL, messages TEXT NOT NULL) STRICT;"
    "CREATE INDEX chats_by_owner ON chats (owner, seq, bytes);"
    "CREATE INDEX chats_by_expiry ON chats (expires);",

    // method: 0 supervised, 1 dpo, of which beta is (0: left to gyr).
    ("ALTER TABLE tunes ADD COLUMN method INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE tunes ADD COLUMN beta REAL NOT NULL DEFAULT 0;"),
};

const int schema_version = sizeof schema_steps / sizeof *schema_steps;
