// gyr tune --show: the examples before anything is computed.
#include "output.h"
#include "tune.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char learned_on[] = "\033[32m", learned_off[] = "\033[0m";

static bool coloured(void) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return out_is_terminal() && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

static bool is_learned(const gyr_tune_example *x, size_t i) { return i && x->weight[i - 1] != 0; }

// Tokens [from, to), which all are learned, or none.
static bool print_run(const gyr_tokenizer *t, const gyr_tune_example *x, size_t from, size_t to, bool colours) {
    gyr_error e = {0};
    size_t size;
    char *text = gyr_detokenize(t, x->ids + from, to - from, true, &size, &e);
    bool learned = is_learned(x, from);
    if (!text) return report(&e), false;
    const char *on = colours ? learned_on : "[[", *off = colours ? learned_off : "]]";
    if (learned) print_raw(on, strlen(on));
    print_text(text, size);
    if (learned) print_raw(off, strlen(off));
    gyr_free(text);
    return true;
}

static const char *side(const gyr_tune_example *x, bool pairs) {
    return !pairs ? "" : x->other ? "not preferred, " : "preferred, ";
}

static bool print_example(const gyr_tokenizer *t, const gyr_tune_example *x, bool pairs, bool colours) {
    print("line %zu: %s%zu tokens, %zu learned", x->line, side(x, pairs), x->count, x->learned);
    print(x->cut ? ", %zu cut off\n" : "\n", x->cut);
    for (size_t from = 0, to; from < x->count; from = to) {
        for (to = from + 1; to < x->count && is_learned(x, to) == is_learned(x, from);) to++;
        if (!print_run(t, x, from, to, colours)) return false;
    }
    return print("\n\n");
}

static bool print_json(const gyr_tokenizer *t, const gyr_tune_example *x, bool pairs) {
    json_t *runs = json_array();
    for (size_t from = 0, to; from < x->count; from = to) {
        gyr_error e = {0};
        size_t size;
        for (to = from + 1; to < x->count && is_learned(x, to) == is_learned(x, from);) to++;
        char *text = gyr_detokenize(t, x->ids + from, to - from, true, &size, &e);
        if (!text) return json_decref(runs), report(&e), false;
        json_t *s = json_stringn(text, size); // NULL: a cut goes through a character
        json_t *ids = json_array();
        for (size_t i = from; i < to; i++) json_array_append_new(ids, json_integer(x->ids[i]));
        json_array_append_new(runs, json_pack("{s:b,s:o*,s:o}", "learned", is_learned(x, from), "text", s, "ids", ids));
        gyr_free(text);
    }
    json_t *all = json_pack("{s:I,s:I,s:I,s:I,s:o}", "line", (json_int_t)x->line, "tokens", (json_int_t)x->count,
                            "learned", (json_int_t)x->learned, "cut", (json_int_t)x->cut, "runs", runs);
    if (pairs) json_object_set_new(all, "preferred", json_boolean(!x->other));
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    if (!text) return false;
    bool ok = print("%s\n", text);
    free(text);
    return ok;
}

int tune_show(const gyr_tune *tune, const gyr_tokenizer *tokenizer, bool json) {
    gyr_tune_example x;
    gyr_tune_info info;
    gyr_tune_get_info(tune, &info);
    bool colours = coloured(), pairs = info.method == GYR_METHOD_DPO, ok = true;
    for (size_t i = 0; ok && gyr_tune_get_example(tune, i, &x); i++)
        ok = json ? print_json(tokenizer, &x, pairs) : print_example(tokenizer, &x, pairs, colours);
    return ok ? GYR_OK : GYR_FAILED;
}
