// Whatever is sent, reading a grammar takes a bounded number of steps, and so does a mask. Each case is one that once
// took, or could have taken, many times as long as it may.
#include "text/grammar/grammar_parts.h"

#include "grammar_test.h"

#include <time.h>

enum { SECONDS = 4 }; // a hundred times what it takes on an idle machine, so that only what has no bound fails

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char too_large[] = "too large: reading it takes more than 16000000 steps; use fewer and smaller parts";

// Reads it; returns how many steps that took, MAX_GRAMMAR_STEPS where it was refused for taking more, 0 where it was
// refused for something else. The buffer is freed.
static size_t steps_of(enum grammar_kind kind, struct buf *text) {
    gyr_error e = {0};
    double begin = cpu_seconds();
    CHECK(!text->failed);
    struct grammar *g = grammar_new(words.t, kind, text->data, text->size, &e);
    if (TEST_TIMED) CHECK(cpu_seconds() - begin < SECONDS);
    size_t steps = g ? g->steps : strstr(e.message, too_large) ? MAX_GRAMMAR_STEPS : 0;
    if (!g) CHECK(e.status == GYR_UNSUPPORTED || e.status == GYR_MALFORMED);
    if (!steps) printf("  %s\n", e.message);
    grammar_free(g);
    buf_free(text);
    return steps;
}

static void repeat(struct buf *b, const char *s, size_t times) {
    for (size_t i = 0; i < times; i++) buf_puts(b, s);
}

// ------------------------------------------------------------------------------------------------------ schemas

// As many alternatives as may be, each an object of as many properties as fit.
static void alternatives_of_a_large_object(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"$defs\": {\"o\": {\"properties\": {");
    for (int i = 0; i < 8000; i++) buf_printf(&b, "%s\"p%d\": {}", i ? ", " : "", i);
    buf_puts(&b, "}}}, \"anyOf\": [");
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, "%s{\"$ref\": \"#/$defs/o\", \"required\": [\"p%d\"]}", i ? ", " : "", i);
    buf_puts(&b, "]}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), 0); // its states are too many before its steps are
}

// Each reference by name looks through the whole document.
static void references_by_name(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"prefixItems\": [");
    for (int i = 0; i < 20000; i++) buf_printf(&b, "%s{\"$ref\": \"#a\"}", i ? ", " : "");
    buf_puts(&b, "], \"$defs\": {\"z\": {\"$anchor\": \"a\", \"type\": \"null\"}}}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), MAX_GRAMMAR_STEPS);
}

// Every pair of oneOf is looked at, by automata of both patterns.
static void pairs_of_patterns(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"oneOf\": [");
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%s{\"type\": \"string\", \"pattern\": \"^%d-[a-z0-9]{1,40}$\"}", i ? ", " : "", i);
    buf_puts(&b, "]}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), MAX_GRAMMAR_STEPS);
}

// A value of an enum against patterns that take long to compile.
static void values_against_patterns(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"enum\": [");
    for (int i = 0; i < 3000; i++) buf_printf(&b, "%s\"%d\"", i ? ", " : "", i);
    buf_puts(&b, "], \"allOf\": [");
    for (int i = 0; i < 200; i++) buf_printf(&b, "%s{\"pattern\": \"(a|b)*a(a|b){9}|%d|.\"}", i ? ", " : "", i);
    buf_puts(&b, "]}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), MAX_GRAMMAR_STEPS);
}

static void values_against_values(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"enum\": [");
    for (int i = 0; i < 300; i++) {
        buf_puts(&b, i ? ", [" : "[");
        repeat(&b, "0, ", 400);
        buf_printf(&b, "%d]", i);
    }
    buf_puts(&b, "], \"allOf\": [{\"not\": {\"enum\": [");
    for (int i = 0; i < 200; i++) {
        buf_puts(&b, i ? ", [" : "[");
        repeat(&b, "0, ", 400);
        buf_printf(&b, "%d]", -1 - i);
    }
    buf_puts(&b, "]}}]}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), MAX_GRAMMAR_STEPS);
}

// The alternatives of all these together are 5^30.
static void alternatives_of_alternatives(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"allOf\": [");
    for (int i = 0; i < 30; i++) {
        buf_printf(&b, "%s{\"anyOf\": [", i ? ", " : "");
        for (int k = 0; k < 5; k++)
            buf_printf(&b, "%s{\"properties\": {\"p%d\": {\"maxLength\": %d}}}", k ? ", " : "", i, k);
        buf_puts(&b, "]}");
    }
    buf_puts(&b, "]}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), MAX_GRAMMAR_STEPS);
}

// What is not one of these items makes a list as long as its place, for each of them.
static void negated_items(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"not\": {\"prefixItems\": [");
    repeat(&b, "{}, ", 60000);
    buf_puts(&b, "{}]}}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), MAX_GRAMMAR_STEPS);
}

static void strings_of_many_lengths(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"prefixItems\": [");
    for (int i = 0; i < 500; i++) buf_printf(&b, "%s{\"type\": \"string\", \"maxLength\": %d}", i ? ", " : "", 500 + i);
    buf_puts(&b, "]}");
    CHECK_INT(steps_of(GRAMMAR_JSON_SCHEMA, &b), MAX_GRAMMAR_STEPS);
}

// These are large, and within the limits.
static void large_and_taken(void) {
    struct buf b = {0};
    buf_puts(&b, "{\"type\": \"object\", \"properties\": {");
    for (int i = 0; i < 50; i++)
        buf_printf(&b, "%s\"p%d\": {\"type\": \"string\", \"maxLength\": 32767, \"format\": \"%s\"}", i ? ", " : "", i,
                   i % 2 ? "date-time" : "uuid");
    for (int i = 0; i < 50; i++) buf_printf(&b, ", \"q%d\": {\"type\": \"string\", \"maxLength\": 32767}", i);
    buf_puts(&b, "}, \"additionalProperties\": false}");
    size_t steps = steps_of(GRAMMAR_JSON_SCHEMA, &b);
    CHECK(steps && steps < MAX_GRAMMAR_STEPS / 4);
    buf_puts(&b, "{\"enum\": [");
    for (int i = 0; i < 20000; i++) buf_printf(&b, "%s\"value %d\"", i ? ", " : "", i);
    buf_puts(&b, "]}");
    steps = steps_of(GRAMMAR_JSON_SCHEMA, &b);
    CHECK(steps && steps < MAX_GRAMMAR_STEPS);
}

// --------------------------------------------------------------------------------- regular expressions and GBNF

static void classes_without_characters(void) {
    struct buf b = {0};
    buf_puts(&b, "(");
    repeat(&b, "[]|", 300000);
    buf_puts(&b, "[]){60000}");
    CHECK_INT(steps_of(GRAMMAR_REGEX, &b), MAX_GRAMMAR_STEPS);
}

static void classes_of_many_ranges(void) {
    struct buf b = {0};
    buf_puts(&b, "[");
    repeat(&b, "\\p{L}", 100000);
    buf_puts(&b, "]");
    CHECK_INT(steps_of(GRAMMAR_REGEX, &b), MAX_GRAMMAR_STEPS);
    repeat(&b, "\\p{L}", 100000);
    CHECK_INT(steps_of(GRAMMAR_REGEX, &b), MAX_GRAMMAR_STEPS);
}

// Subsets without end: it is run as it is, in the half of the budget that is kept for that.
static void exponential_subsets(void) {
    struct buf b = {0};
    buf_puts(&b, "(\\p{L}|\\p{N})*a(\\p{L}|\\p{N}|[a-z0-9]){40}");
    size_t steps = steps_of(GRAMMAR_REGEX, &b);
    CHECK(steps > 0 && steps < MAX_GRAMMAR_STEPS);
    buf_puts(&b, "{\"pattern\": \"^(a|b)*a(a|b){200}$\"}");
    steps_of(GRAMMAR_JSON_SCHEMA, &b);
}

static void repetitions_of_repetitions(void) {
    static const char *const tries[] = {"((((a{60000}){60000}){60000}){60000}){60000}", "((((){60000}){60000}){60000})",
                                        "(((.?){1000}){1000}){1000}", "(a?b?c?d?e?f?g?h?){1,60000}"};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct buf b = {0};
        buf_puts(&b, tries[i]);
        steps_of(GRAMMAR_REGEX, &b);
    }
    struct buf b = {0};
    buf_puts(&b, "root ::= ((\"\"){60000}){60000}\n");
    steps_of(GRAMMAR_EBNF, &b);
    buf_puts(&b, "root ::= r0{60000}\n");
    for (int i = 0; i < 2000; i++) buf_printf(&b, "r%d ::= r%d{60} | r%d | [^a-z]\n", i, i + 1, i + 1);
    buf_puts(&b, "r2000 ::= \"\"\n");
    steps_of(GRAMMAR_EBNF, &b);
}

static void the_limit_is_counted(void) {
    static const char schema[] = "{\"properties\": {\"a\": {\"type\": \"string\", \"maxLength\": 10}}}";
    gyr_error e = {0};
    struct grammar *g = grammar_new(words.t, GRAMMAR_JSON_SCHEMA, schema, strlen(schema), &e);
    REQUIRE(g);
    size_t steps = g->steps;
    grammar_free(g);
    g = grammar_new_within(words.t, GRAMMAR_JSON_SCHEMA, schema, strlen(schema), 4 * steps, &e);
    CHECK(g && g->steps == steps);
    grammar_free(g);
    // Wherever it ends, it ends with this message. (With little left a rule may be run without being deterministic.)
    for (size_t most = 1; most <= steps; most += most < 64 ? 1 : most / 16) {
        char want[160];
        g = grammar_new_within(words.t, GRAMMAR_JSON_SCHEMA, schema, strlen(schema), most, &e);
        snprintf(want, sizeof want,
                 "schema: too large: reading it takes more than %zu steps; use fewer and smaller parts", most);
        if (!g) CHECK_STR(e.message, want);
        if (!g) CHECK_INT(e.status, GYR_UNSUPPORTED);
        CHECK(!g || (most > steps / 4 && g->steps < most));
        grammar_free(g);
    }
}

// -------------------------------------------------------------------------------------------------------- masks

// Follows a text; each mask is found within its limit, or is refused by name.
static void check_masks(enum grammar_kind kind, const char *source, const char *text) {
    static uint32_t mask[4096];
    gyr_error e = {0};
    struct grammar *g = compile(kind, source);
    struct matcher *m = g ? matcher_new(g, &e) : NULL;
    REQUIRE(m);
    g->mask_steps = 1 << 16;
    size_t found = 0;
    for (bool ok = true; ok && *text; text++) {
        double begin = cpu_seconds();
        ok = matcher_mask(m, mask, &e);
        if (TEST_TIMED) CHECK(cpu_seconds() - begin < 1);
        found += ok;
        if (!ok) {
            CHECK_INT(e.status, GYR_UNSUPPORTED);
            CHECK_STR(e.message, "grammar: too ambiguous or too deep here: more than 8192 readings, or 65536 steps");
        }
        ok = ok && matcher_feed(m, text, 1, NULL) == 1;
    }
    CHECK(found > 0 || e.status == GYR_UNSUPPORTED);
    CHECK(m->machine.call_room <= 2 * MAX_CALLS && m->machine.way_room <= 2 * MAX_CALLS);
    matcher_free(m);
    grammar_free(g);
}

static void ambiguous_masks(void) {
    char text[600];
    memset(text, 'a', sizeof text - 1), text[sizeof text - 1] = 0;
    check_masks(GRAMMAR_REGEX, "(a|aa)*{1}|(a|aa){1,1000}", text);
    check_masks(GRAMMAR_REGEX, "(.|..){1,2000}x", text);
    check_masks(GRAMMAR_REGEX, "(.*a){30}", text);
    check_masks(GRAMMAR_EBNF, "root ::= root root | [a-z ]", text);
    check_masks(GRAMMAR_EBNF, "root ::= root root root | [a-z ] | \"\"", text);
    check_masks(GRAMMAR_EBNF, "root ::= (x | y | z)*\nx ::= [a-z ]+\ny ::= x x\nz ::= x y x", text);
}

int main(void) {
    open_words();
    RUN(alternatives_of_a_large_object);
    RUN(references_by_name);
    RUN(pairs_of_patterns);
    RUN(values_against_patterns);
    RUN(values_against_values);
    RUN(alternatives_of_alternatives);
    RUN(negated_items);
    RUN(strings_of_many_lengths);
    RUN(large_and_taken);
    RUN(classes_without_characters);
    RUN(classes_of_many_ranges);
    RUN(exponential_subsets);
    RUN(repetitions_of_repetitions);
    RUN(the_limit_is_counted);
    RUN(ambiguous_masks);
    return test_end();
}
