// What models write: whatever the bytes, the format and the pieces they come in, the same is told; deltas are UTF-8,
// and the arguments of a whole call an object.
//
// The input: a row of the table of formats, bits that choose options, a seed of the pieces, then the text, in which
// special tokens stand between the bytes 2 and 3.
#include "server/told.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SPECIAL = 1, WHOLE_CALLS = 2, ENDED = 4, REASONING = 8, NO_TOOLS = 16, MARKS_ARE_SPECIAL = 32 };

static void must(bool good) {
    if (!good) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4 || size > 4096) return 0;
    size_t rows = 0;
    struct format f;
    struct buf source = {0};
    while (format_row(rows)) rows++;
    for (size_t i = 0; i < 3 && format_row(data[0] % rows)->signs[i]; i++)
        buf_puts(&source, format_row(data[0] % rows)->signs[i]);
    buf_puts(&source, "");
    format_find(&f, source.data, source.size, NULL);
    buf_free(&source);
    unsigned how = data[1];
    if (how & MARKS_ARE_SPECIAL) memset(f.special, 0xff, sizeof f.special);
    struct output_options options = {.format = &f,
                                     .tools = how & NO_TOOLS ? NULL : test_tools(),
                                     .whole_calls = how & WHOLE_CALLS,
                                     .begins = how & REASONING ? BEGINS_REASONING : BEGINS_ANSWER};
    if (f.calls->shapes[0]->kind == CALL_CHANNELS) options.begins = BEGINS_HEADER;

    const char *text = (const char *)data + 4;
    uint8_t *cuts = malloc(size);
    must(cuts != NULL);
    memset(cuts, 1, size);
    char *whole = told(&options, text, size - 4, how & SPECIAL, how & ENDED, NULL);
    char *bytes = told(&options, text, size - 4, how & SPECIAL, how & ENDED, cuts);
    random_state = data[2] + 256u * data[3];
    for (size_t i = 0; i < size; i++) cuts[i] = draw(4) == 0;
    char *pieces = told(&options, text, size - 4, how & SPECIAL, how & ENDED, cuts);
    must(whole && bytes && pieces && !strcmp(whole, bytes) && !strcmp(whole, pieces));
    free(whole);
    free(bytes);
    free(pieces);
    free(cuts);
    return 0;
}
