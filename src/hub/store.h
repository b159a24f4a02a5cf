// Where pulled models are kept: STORE/OWNER/NAME/COMMIT/FILE, and beside the commits models.json, the records of what
// was asked for. Private to hub/.
#ifndef HUB_STORE_H
#define HUB_STORE_H

#include "hub/listing.h"

#include <jansson.h>

// The store's folder: `given`, or as gyr.h says. free().
char *store_folder(const char *given, gyr_error *e);

// A repository's place in the store, held so that no other pull or removal changes it meanwhile.
struct shelf {
    char *folder; // STORE/OWNER/NAME
    json_t *records;
    int lock;
};

// Locks it. With `make` its folders are made. Waits as long as another process holds the lock and `wait` returns true.
bool shelf_open(struct shelf *s, const struct hub_name *name, const char *store, bool make,
                bool (*wait)(void *user, gyr_error *e), void *user, gyr_error *e);
// Releases it. A shelf with nothing on it is removed.
void shelf_close(struct shelf *s);

// Writes the records to disk.
bool shelf_save(const struct shelf *s, gyr_error *e);

// The records of a repository, unheld; an empty list if there are none. json_decref().
json_t *records_read(const char *folder);

// A record is {"revision", "select", "commit", "open", "type", "complete", "pulled", "files": [{"path", "size",
// "sum"}]}; those read are known to be of that form, with safe paths.
bool record_matches(const json_t *record, const struct hub_name *name, bool any);
const char *record_string(const json_t *record, const char *key);

// "hf:OWNER/NAME@REVISION:SELECT", as short as is unambiguous. free().
char *record_name(const json_t *record, const char *owner, const char *repo);

// FOLDER/COMMIT/PATH; free().
char *record_path(const char *folder, const json_t *record, const char *path);

// Bytes of its files that are here; those of parts too.
uint64_t record_bytes(const char *folder, const json_t *record, bool *whole);

// Removes the record and the files that no other record of the shelf names. Bytes freed are added to *bytes.
bool shelf_remove(struct shelf *s, size_t at, uint64_t *bytes, gyr_error *e);

#endif
