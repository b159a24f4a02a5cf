// Exit status 0 if standard input is JSON: one value, or with -l a value a line.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    json_error_t why;
    if (argc < 2 || strcmp(argv[1], "-l")) {
        json_t *v = json_loadf(stdin, JSON_DECODE_ANY, &why);
        if (!v) fprintf(stderr, "line %d: %s\n", why.line, why.text);
        json_decref(v);
        return !v;
    }
    char *line = NULL;
    size_t room = 0, lines = 0;
    int bad = 0;
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0; lines++) {
        json_t *v = json_loadb(line, (size_t)n, JSON_DECODE_ANY, &why);
        bad |= !v;
        json_decref(v);
    }
    free(line);
    return bad || !lines;
}
