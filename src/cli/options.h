// One command-line parser for every verb: a verb describes its options in a table, and the parser, the error
// messages and the help text all come from that table.
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What an option's value is, and so the type of the field it goes to.
enum option_kind {
    OPTION_FLAG,   // bool
    OPTION_TEXT,   // const char *
    OPTION_CHOICE, // const char *, one of those that `value` names: "f32|f16"
    OPTION_WHOLE,  // uint64_t
    OPTION_REAL,   // double
    OPTION_TEXTS,  // struct texts: each use adds one
    OPTION_BIASES, // struct biases: ID:VALUE, each use adds one
};

struct texts {
    const char **items;
    size_t count;
};

struct biases {
    int32_t *ids;
    float *values;
    size_t count;
};

struct option {
    const char *name;  // without its dashes; NULL ends a table
    char letter;       // short form; 0: none
    const char *value; // what the value is called in the help; NULL for a flag
    const char *help;
    enum option_kind kind;
    size_t offset;     // of the field in the verb's struct
    double min, max;   // range of a number
    const char *group; // heading of the help that begins with this option; NULL: none
    const char *alias; // another long name, not shown
};

// A verb's command line.
struct syntax {
    const char *verb;
    const char *operands; // as shown in the help: "MODEL"
    const char *about;    // one line
    const char *example;  // one line
    const struct option *options;
    int least, most; // number of operands; most < 0: any
};

// Left in a number's field by the verb to find out whether the option was given.
#define WHOLE_UNSET UINT64_MAX

enum { PARSE_OK = 0, PARSE_HELP = -1 };

// Reads argv[1..] into the verb's struct. The operands are moved to the front of argv + 1 and counted in *operands.
// Returns PARSE_OK, PARSE_HELP after --help was printed, or an exit status after the error was.
int options_parse(const struct syntax *syntax, int argc, char **argv, void *into, int *operands);

// Sets one option by its long name, as --name=value would. False after the error was printed.
bool options_set(const struct syntax *syntax, const char *name, const char *value, void *into);

void options_help(const struct syntax *syntax);

// The word of a NULL-terminated list that `word` was probably meant to be; NULL if none is near.
const char *did_you_mean(const char *word, const char *const *list);

// The type that an unknown one was probably meant to be; NULL for a known one, and where the library should name the
// choices.
const char *nearest_type(const char *type);

#endif
