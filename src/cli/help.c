// The help text of a verb, from its table. It fits 80 columns, and 24 lines where options are not grouped (a test
// checks).
#include "options.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static int spell(const struct option *o, char *out, size_t size) {
    return snprintf(out, size, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
}

// The widest of a table's names, but for one that is much wider: its help is on a line of its own.
enum { WIDE = 28 };

static int name_width(const struct option *o) {
    char name[96];
    int width = 6;
    for (; o->name; o++) {
        int n = spell(o, name, sizeof name);
        if (n > width && n < WIDE) width = n;
    }
    return width;
}

static void line(const struct option *o, int width) {
    char name[96], letter[6] = "    ";
    spell(o, name, sizeof name);
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    if (o->group) print("\n%s:\n", o->group);
    if (strlen(name) < WIDE)
        print("  %s%-*s  %s\n", letter, width, name, o->help);
    else
        print("  %s%s\n%*s%s\n", letter, name, width + 8, "", o->help);
}

void options_help(const struct syntax *s) {
    static const struct option help = {"help", 'h', NULL, "show this help"};
    int width = name_width(s->options);
    print("Usage: gyr %s [OPTION]...%s%s\n%s\n%s", s->verb, *s->operands ? " " : "", s->operands, s->about,
          s->options->group ? "" : "\n");
    for (const struct option *o = s->options; o->name; o++) line(o, width);
    line(&help, width);
    print("\nExample: %s\n", s->example);
}
