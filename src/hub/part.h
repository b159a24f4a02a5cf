// A file on its way: it is NAME.part until all of it is here and its checksum is right. Private to hub/.
#ifndef HUB_PART_H
#define HUB_PART_H

#include "hub/fetch.h"
#include "hub/listing.h"

struct part;

// Resumes what was received of `file` before, by reading and hashing it (hub_tell() says so meanwhile). Makes folders.
struct part *part_open(struct hub *h, const char *path, const struct hub_file *file, gyr_error *e);
struct sink *part_sink(struct part *p);

// Claims the disk's space for what is still to come, where the file system can.
bool part_reserve(struct part *p, gyr_error *e);

// An incomplete file stays as NAME.part.
void part_close(struct part *p);

// "PATH.part"; free().
char *part_name(const char *path);

// Makes the folders that lead to `path`.
bool make_folders(const char *path, gyr_error *e);

// Says why a file cannot be written, and what to do.
bool cannot_store(const char *path, int why, gyr_error *e);

#endif
