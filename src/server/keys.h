// Keys: who may use the server, and how much. A key is "gyr-" and 40 random characters, shown once, when it is made.
//
// The state has its SHA-256. A slow hash with a salt is for passwords, which people choose and others guess; nobody
// goes through 2^238 keys, however fast the hash is, and a slow one would be computed for every request.
#ifndef SERVER_KEYS_H
#define SERVER_KEYS_H

#include "base/buf.h"
#include "server/secret.h"
#include "server/store.h"

enum { KEY_NAME = 64, KEY_RANDOM = 40, KEY_TEXT = 4 + KEY_RANDOM + 1, KEY_HINT = 4, KEY_MODELS = 4096 };

// 0: no limit.
struct key_limits {
    uint64_t requests_per_minute, tokens_per_minute, tokens_per_day, concurrency;
};

struct key {
    int64_t id;
    char name[KEY_NAME + 1];
    bool admin; // sees what belongs to others, and may change what all use
    struct key_limits limits;
    int64_t expires; // seconds since 1970; 0: never
    char *models;    // names with commas in between; "": all
    unsigned char hash[SECRET_HASH];
};

// Makes a key of wish's name, rights, limits, models and expiry; its text goes to `text`.
bool keys_add(struct store *s, const struct key *wish, int64_t now, char text[KEY_TEXT], gyr_error *e);

// The key can no longer be used. Its conversations go at once, its batches expire, its files go with the next sweep;
// what it used stays in the books.
bool keys_remove(struct store *s, const char *name, int64_t now, gyr_error *e);

// All keys as a JSON list, without their hashes; free().
char *keys_list(struct store *s, int64_t now, gyr_error *e);

// ---------------------------------------------------------------------------------------------------- in memory

// The keys that can be used, for looking one up without asking the state. Any thread may use it.
struct keyring;

struct keyring *keyring_new(struct store *s, gyr_error *e);
void keyring_free(struct keyring *r);

// Reads the keys again: always, or only if another process has written to the state (what this process wrote itself
// does not count). The old ones stay if that fails.
bool keyring_reload(struct keyring *r, gyr_error *e);
bool keyring_refresh(struct keyring *r, gyr_error *e);

size_t keyring_count(struct keyring *r);

enum key_verdict { KEY_GOOD, KEY_UNKNOWN, KEY_EXPIRED };

// Looks up what a client sent. A good key is held: it stays, even when it is removed, until key_release().
enum key_verdict keyring_find(struct keyring *r, struct text sent, int64_t now, struct key **key);

// The key of that number, held, whatever was sent. False: it was removed, or is no more.
bool keyring_get(struct keyring *r, int64_t id, int64_t now, struct key **key);
void key_hold(struct key *k);
void key_release(struct key *k);

bool key_allows_model(const struct key *k, const char *model);

#endif
