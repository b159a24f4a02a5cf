// Ctrl-C stops what is going on in an orderly way: callbacks ask interrupted() and return.
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <stdbool.h>

// From now on Ctrl-C sets a flag. When the flag is not looked at (the third Ctrl-C in a row), the program ends.
void signals_catch(void);

bool interrupted(void);
void interrupted_clear(void);

// True once after the terminal changed its size, or the program went on after Ctrl-Z.
bool terminal_changed(void);

#endif
