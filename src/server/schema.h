// The room's own: the tables of the state, and how an older state becomes one of today.
#ifndef SERVER_SCHEMA_H
#define SERVER_SCHEMA_H

// Row N brings a database of version N to version N + 1. Rows are only ever added.
extern const char *const schema_steps[];
extern const int schema_version;

// In the header of each database of ours, so that another program's is told apart: "gyrs".
enum { SCHEMA_APPLICATION = 0x67797273 };

#endif
