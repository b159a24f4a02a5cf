// Models that are named rather than pointed at.
#ifndef CLI_PULL_H
#define CLI_PULL_H

// The path to open for what the user gave: a path as it is, "hf:..." as the store has it, pulled first if it is not
// here. free(). NULL after the error was printed; its status is in *status.
char *find_model(const char *given, int *status);

#endif
