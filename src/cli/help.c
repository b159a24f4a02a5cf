// The help text of a verb, from its table. It fits 80 columns, and every verb's fits 24 lines (a test checks).
#include "options.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

enum { HALF = 40, HALF_NAME = 24, MAX_NAME = 27 };

static int spell(const struct option *o, char *out, size_t size) {
    return snprintf(out, size, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
}

// Width of the column of names: the widest of the full lines.
static int name_width(const struct option *o) {
    char name[96];
    int width = 6;
    for (; o->name; o++) {
        int n = spell(o, name, sizeof name);
        if (!o->half && n > width) width = n;
    }
    return width < MAX_NAME ? width : MAX_NAME;
}

static void full_line(const struct option *o, int width) {
    char name[96], letter[6] = "    ";
    spell(o, name, sizeof name);
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    print("  %s%-*s  %s\n", letter, width, name, o->help);
}

static void half_cell(const struct option *o, bool first) {
    char name[96], cell[128];
    spell(o, name, sizeof name);
    snprintf(cell, sizeof cell, "  %-*s%s", HALF_NAME - 2, name, o->help);
    if (first)
        print("%-*s", HALF, cell);
    else
        print("%s\n", cell);
}

void options_help(const struct syntax *s) {
    static const struct option help = {"help", 'h', NULL, "show this help"};
    int width = name_width(s->options);
    print("Usage: gyr %s [OPTION]...%s%s\n%s\n\n", s->verb, *s->operands ? " " : "", s->operands, s->about);
    bool open = false;
    for (const struct option *o = s->options; o->name; o++) {
        if (open && !o->half) print("\n");
        if (o->half)
            half_cell(o, !open);
        else
            full_line(o, width);
        open = o->half && !open;
    }
    if (open) print("\n");
    full_line(&help, width);
    print("\nExample: %s\n", s->example);
}
