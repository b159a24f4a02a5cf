// The line a user types: editing, history and pasted text, by libedit.
#ifndef CLI_EDIT_H
#define CLI_EDIT_H

#include <stddef.h>

struct editor;

enum edit_end { EDIT_LINE, EDIT_CLEARED, EDIT_LEAVE };

// NULL if memory is out. The history of earlier sessions is loaded.
struct editor *editor_new(void);
void editor_free(struct editor *ed);

// Reads a message: a line; several after """ up to """, or with a backslash at the end of each but the last. free()
// *text. EDIT_CLEARED after Ctrl-C; EDIT_LEAVE after Ctrl-D, or after Ctrl-C twice.
enum edit_end editor_read(struct editor *ed, char **text);

#endif
