// Regular expressions and GBNF as grammars.
#include "grammar_test.h"

#define REGEX(text, good, bad) check_texts(GRAMMAR_REGEX, text, good, bad)
#define EBNF(text, good, bad)  check_texts(GRAMMAR_EBNF, text, good, bad)

static void matches(void) {
    REGEX("abc", LIST("abc"), LIST("", "ab", "abcd", "xabc"));
    REGEX("^a(b|cd)*e?$", LIST("a", "abcdb", "acde"), LIST("ac", "ae e"));
    REGEX("[a-c\\d_-]{2,3}", LIST("a1", "_-c"), LIST("a", "abca", "d1"));
    REGEX("(?:x|(?<n>y))+?z", LIST("xz", "yxz"), LIST("z"));
    REGEX("[^a\\s]", LIST("b", "\xc3\xa9", "\xf0\x9f\x98\x80"), LIST("a", " ", "\xc3", "\xc2\xa0"));
    REGEX(".", LIST("a", "\xe4\xbd\xa0"), LIST("\n", "\r", "\xe2\x80\xa8", "ab", "\xed\xa0\x80", "\xff"));
    REGEX("\\u00e9\\x41\\t",
          LIST("\xc3\xa9"
               "A\t"),
          LIST("\xc3\xa9"
               "A"));
    REGEX("\\ud83d\\ude00|\\u{1f601}", LIST("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x81"), LIST("\xf0\x9f\x98\x82"));
    REGEX("\\p{Lu}\\p{L}*", LIST("\xc3\x89\xc3\xa9", "A"), LIST("\xc3\xa9", "A1"));
    REGEX("a{,2}", LIST("a{,2}"), LIST("aa")); // not a repetition to ECMAScript
    REGEX("(a|aa){1,100}", LIST("a", "aaa"), LIST("", "b"));
    REGEX("()|a*", LIST("", "aa"), LIST("b"));
    REGEX("(a$|b)(^c|d)?", LIST("a", "b", "bd"), LIST("ac", "ad", "bc"));
}

static void ranges_of_utf8(void) {
    REGEX("[\\u0700-\\uffff]", LIST("\xdc\x80", "\xe0\xa0\x80", "\xef\xbf\xbf"), LIST("\xdb\xbf", "\xf0\x90\x80\x80"));
    REGEX("[\\u{ffff}-\\u{10ffff}]", LIST("\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"),
          LIST("\xef\xbf\xbe", "\xf4\x90\x80\x80"));
    REGEX("[\\u00e8-\\u0123]", LIST("\xc3\xa8", "\xc4\xa3"), LIST("\xc3\xa7", "\xc4\xa4"));
}

static void regexes_refused(void) {
    const enum grammar_kind k = GRAMMAR_REGEX;
    check_refused(k, "(a", GYR_MALFORMED, "regex: regular expression, byte 1: ( without )");
    check_refused(k, "a)", GYR_MALFORMED, "regex: regular expression, byte 1: ) without (");
    check_refused(k, "*a", GYR_MALFORMED, "regex: regular expression, byte 0: nothing to repeat");
    check_refused(k, "[a", GYR_MALFORMED, "regex: regular expression, byte 1: [ without ]");
    check_refused(k, "[b-a]", GYR_MALFORMED,
                  "regex: regular expression, byte 4: a range whose end comes before its beginning");
    check_refused(k, "a{3,2}", GYR_MALFORMED,
                  "regex: regular expression, byte 6: a repetition whose most is less than its least");
    check_refused(k, "a\\", GYR_MALFORMED, "regex: regular expression, byte 2: ends with a backslash");
    check_refused(k, "\xff", GYR_MALFORMED, "regex: regular expression, byte 0: not UTF-8");
    check_refused(k, "(?=a)b", GYR_UNSUPPORTED, "regex: regular expression, byte 3: lookahead is not supported");
    check_refused(k, "(?<!a)b", GYR_UNSUPPORTED, "regex: regular expression, byte 4: lookbehind is not supported");
    check_refused(k, "(a)\\1", GYR_UNSUPPORTED, "regex: regular expression, byte 4: backreferences are not supported");
    check_refused(k, "\\bx", GYR_UNSUPPORTED,
                  "regex: regular expression, byte 1: word boundaries (\\b) are not supported");
    check_refused(k, "a++", GYR_UNSUPPORTED,
                  "regex: regular expression, byte 2: possessive repetition is not supported");
    check_refused(k, "(?i)a", GYR_UNSUPPORTED,
                  "regex: regular expression, byte 1: flags within the expression are not supported");
    check_refused(k, "\\p{Greek}", GYR_UNSUPPORTED,
                  "regex: regular expression, byte 3: \\p{Greek}: only general categories are supported");
    check_refused(k, "[]", GYR_UNSUPPORTED, "regex: no text is valid; parts of it contradict each other");
}

// Nothing that is sent may take long: an automaton is bounded, or runs as it is, or is refused.
static void large_expressions(void) {
    REGEX("(a|aa)*{1}|(a|aa){1,1000}", LIST("aaaa"), LIST("b"));
    REGEX("(a|b)*a(a|b){12}", LIST("abbbbbbbbbbbb"), LIST("bbbbbbbbbbbbb"));
    REGEX("[ab]*a[ab]{40}", LIST("abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), LIST("b"));
    check_refused(GRAMMAR_REGEX, "(a{1,10000}){1,10000}", GYR_UNSUPPORTED,
                  "regex: too large: more than 524288 states; use smaller repetitions and fewer parts");
    check_refused(GRAMMAR_REGEX, "a{70000}", GYR_UNSUPPORTED,
                  "regex: regular expression, byte 8: more than 65536 repetitions");
    char deep[1001];
    memset(deep, '(', 1000), deep[1000] = 0;
    check_refused(GRAMMAR_REGEX, deep, GYR_UNSUPPORTED,
                  "regex: regular expression, byte 201: groups more than 200 deep");
}

static void gbnf(void) {
    EBNF("root ::= \"a\" root \"b\" | \"\"", LIST("", "ab", "aabb"), LIST("aab", "ba"));
    EBNF("# a list\nroot ::= item (\",\" item)* # of items\nitem ::= [0-9]+ | \"x\"{2}\n", LIST("1", "12,xx,3"),
         LIST("", "1,", "x"));
    EBNF("root ::= (\n  \"a\" |\n  \"b\"\n)+ end\nend ::= .", LIST("abc", "a\n"), LIST("a", "c"));
    EBNF("root ::= \"a\"\n  | \"b\"\nother ::= \"c\"", LIST("a", "b"), LIST("c"));
    EBNF("root ::= e\ne ::= e \"+\" t | t\nt ::= [a-z]", LIST("a", "a+b+c"), LIST("", "a+", "+a"));
    EBNF("root ::= a\na ::= b\nb ::= a | \"x\"", LIST("x"), LIST("", "xx"));
    EBNF("root ::= s s s\ns ::= s s | \"a\" | \"\"", LIST("", "a", "aaaaaaaaaa"), LIST("b"));
    EBNF("root ::= \"\\x41\\u00e9\\U0001F600\\\"\\n\" [\\]^a-c-]{1,2}", LIST("A\xc3\xa9\xf0\x9f\x98\x80\"\n^]"),
         LIST("A"));
    EBNF("root ::= [^\\n\"]* \"\\\"\"", LIST("\"", "a b\xc3\xa9\""), LIST("\n\"", "\"\""));
    EBNF("root ::= \"a\"{0,2} \"b\"{2,}", LIST("bb", "aabbb"), LIST("b", "aaabb"));
}

static void embedded(void) {
    EBNF("root ::= \"<call>\" %json{\"type\": \"object\", \"properties\": {\"}\": {\"const\": \"}\"}}, \"required\": "
         "[\"}\"],"
         " \"additionalProperties\": false} \"</call>\"",
         LIST("<call>{\"}\":\"}\"}</call>"), LIST("<call>{}</call>", "<call>{\"}\":\"\"}</call>"));
    EBNF("root ::= %json {\"type\":\"integer\"} | %regex{[a-z]{2}}", LIST("12", "ab"), LIST("", "1a", "abc"));
}

static void gbnf_refused(void) {
    const enum grammar_kind k = GRAMMAR_EBNF;
    check_refused(k, "", GYR_MALFORMED, "grammar:1:1: there is no rule \"root\"");
    check_refused(k, "root ::= a", GYR_MALFORMED, "grammar:1:10: rule \"a\" is not defined");
    check_refused(k, "root ::= \"a\"\nroot ::= \"b\"", GYR_MALFORMED, "grammar:2:1: rule \"root\" is there twice");
    check_refused(k, "root = \"a\"", GYR_MALFORMED, "grammar:1:6: ::= is missing");
    check_refused(k, "root ::= \"a", GYR_MALFORMED, "grammar:1:10: a text without its closing quote");
    check_refused(k, "root ::= (\"a\"", GYR_MALFORMED, "grammar:1:10: ( without )");
    check_refused(k, "root ::= [a", GYR_MALFORMED, "grammar:1:10: [ without ]");
    check_refused(k, "root ::= \"\\q\"", GYR_MALFORMED, "grammar:1:12: an escape that GBNF does not have");
    check_refused(k, "root ::= <think>", GYR_UNSUPPORTED,
                  "grammar:1:10: of tokens only <[ID]>, for a special one, is supported; spell texts");
    check_refused(k, "root ::= <[5>", GYR_MALFORMED, "grammar:1:13: <[ID]> is a special token by its number");
    check_refused(k, "root ::= root", GYR_UNSUPPORTED, "grammar: no text is valid; parts of it contradict each other");
    check_refused(k, "root ::= %json{\"type\": 1}", GYR_MALFORMED,
                  "grammar: #: type is not one, or a list, of the seven types");
    check_refused(k, "root ::= %json[]", GYR_MALFORMED, "grammar:1:15: %json and %regex are followed by {...}");
    check_refused(k, "root ::= %json{\"a\"}", GYR_MALFORMED, "grammar: %json:1:5: not JSON: a colon is missing");
}

int main(void) {
    open_words();
    RUN(matches);
    RUN(ranges_of_utf8);
    RUN(regexes_refused);
    RUN(large_expressions);
    RUN(gbnf);
    RUN(embedded);
    RUN(gbnf_refused);
    close_tokenizer(&words);
    return test_end();
}
