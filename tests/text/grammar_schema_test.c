// JSON Schemas as grammars: what each keyword takes and refuses.
#include "grammar_test.h"

#define SCHEMA(text, good, bad)        check_texts(GRAMMAR_JSON_SCHEMA, text, good, bad)
#define REFUSED(text, status, message) check_refused(GRAMMAR_JSON_SCHEMA, text, status, message)

static void any_json(void) {
    check_texts(
        GRAMMAR_JSON, "",
        LIST("{}", "{\"a\": [1, -2.5e+3, true, null, \"x\\n\\u00e9\\ud83d\\ude00\"]}", " {}", "\n{\n}"),
        LIST("", "[]", "1", "{\"a\"}", "{\"a\":01}", "{,}", "{\"a\":1,}", "{\"\x01\":1}", "{\"\\ud83d\":1}", "{}{}"));
    SCHEMA("true", LIST("1", "\"\"", "[[], {}]"), LIST("", "nul"));
    SCHEMA("{\"title\": \"x\", \"$comment\": \"y\", \"x-own\": 1}", LIST("1", "{}"), LIST(""));
}

static void white_space(void) {
    SCHEMA("{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}",
           LIST("[]", "[ ]", "[1,2]", "[1, 2]", "[\n  1,\n  2\n]", "[\r\n\t1\r\n]"),
           LIST("[  1]", "[\n\n1]", "[1 ,2]", "[1] "));
    SCHEMA("{\"type\": \"object\"}", LIST("{\"a\":1}", "{\"a\": 1}"), LIST("{\"a\" :1}", "{\"a\":  1}", "{\"a\":\n1}"));
}

static void types(void) {
    SCHEMA("{\"type\": \"null\"}", LIST("null"), LIST("0", "\"null\""));
    SCHEMA("{\"type\": [\"boolean\", \"null\"]}", LIST("true", "false", "null"), LIST("1"));
    SCHEMA("{\"type\": \"integer\"}", LIST("0", "-0", "-12", "123456789012345678901"),
           LIST("1.5", "01", "-", "1e3", "+1"));
    SCHEMA("{\"type\": \"number\"}", LIST("0.5", "-1e9", "12"), LIST(".5", "1.", "1e"));
    REFUSED("false", GYR_UNSUPPORTED, "schema: no text is valid; parts of it contradict each other");
}

static void numbers(void) {
    SCHEMA("{\"type\": \"integer\", \"minimum\": -12, \"maximum\": 305}", LIST("-12", "-9", "0", "99", "305", "299"),
           LIST("-13", "-20", "306", "1000", "-100"));
    SCHEMA("{\"type\": \"integer\", \"exclusiveMinimum\": 5, \"exclusiveMaximum\": 7}", LIST("6"),
           LIST("5", "7", "-6", "60"));
    SCHEMA("{\"type\": \"number\", \"minimum\": 1.25, \"exclusiveMaximum\": 2}",
           LIST("1.25", "1.3", "1.9999", "1.2500"), LIST("1.2", "1.2499", "2", "2.0", "1", "0.5", "-1.5"));
    SCHEMA("{\"type\": \"number\", \"maximum\": -0.5}", LIST("-0.5", "-0.51", "-3", "-10.0"),
           LIST("-0.4", "0", "0.7", "-0.49999"));
    SCHEMA("{\"type\": \"number\", \"exclusiveMinimum\": 0}", LIST("0.001", "1", "10.0"), LIST("0", "0.00", "-1"));
    SCHEMA("{\"type\": \"integer\", \"minimum\": 1.5}", LIST("2", "10"), LIST("1", "0"));
    SCHEMA("{\"type\": \"integer\", \"maximum\": 18446744073709551616}", LIST("18446744073709551616", "-1"),
           LIST("18446744073709551617", "100000000000000000000"));
    SCHEMA("{\"type\": \"integer\", \"multipleOf\": 15}", LIST("0", "15", "-30", "105"), LIST("1", "20", "16"));
    SCHEMA("{\"type\": \"number\", \"multipleOf\": 0.25, \"maximum\": 10}", LIST("0.25", "1.5", "9.75", "10", "-3.50"),
           LIST("0.3", "0.251", "10.25"));
    SCHEMA("{\"type\": \"integer\", \"multipleOf\": 0.5}", LIST("1", "2"), LIST("1.5"));
}

static void strings(void) {
    SCHEMA("{\"type\": \"string\", \"minLength\": 2, \"maxLength\": 3}",
           LIST("\"ab\"", "\"\xc3\xa9\xf0\x9f\x98\x80x\"", "\"\\n\\u0041\"", "\"\\ud83d\\ude00a\""),
           LIST("\"a\"", "\"abcd\"", "\"\\ud83d\\ude00\""));
    SCHEMA("{\"type\": \"string\", \"pattern\": \"b+\"}", LIST("\"abc\"", "\"b\""), LIST("\"ac\"", "\"\""));
    SCHEMA("{\"type\": \"string\", \"pattern\": \"^[^x]\\\\n$\"}", LIST("\"\\\"\\n\"", "\"\\\\\\n\"", "\"\\u0001\\n\""),
           LIST("\"x\\n\"", "\"\\n\""));
    SCHEMA("{\"type\": \"string\", \"pattern\": \"^a|b$\", \"maxLength\": 4}", LIST("\"axxx\"", "\"xxxb\"", "\"a\""),
           LIST("\"xaxb \"", "\"xa\"", "\"axxxx\""));
}

static char *letters(size_t n) {
    char *s = malloc(n + 3);
    if (!s) return NULL;
    memset(s, 'a', n + 2);
    s[0] = s[n + 1] = '"', s[n + 2] = 0;
    return s;
}

// Beyond 1024 characters they are counted in blocks.
static void long_strings(void) {
    static const size_t ends[][2] = {{0, 5000}, {2047, 2049}, {1024, 1024}, {3000, 7000}, {0, 1000000}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"type\": \"string\", \"minLength\": %zu, \"maxLength\": %zu}", ends[i][0],
                 ends[i][1]);
        struct grammar *g = compile(GRAMMAR_JSON_SCHEMA, text);
        const size_t tries[] = {ends[i][0], ends[i][1], ends[i][0] - 1, ends[i][1] + 1};
        for (int k = 0; k < 4; k++) {
            if (k == 2 && !ends[i][0]) continue;
            if (tries[k] > 20000) continue;
            char *s = letters(tries[k]);
            CHECK_INT(accepts(g, s), k < 2);
            free(s);
        }
        grammar_free(g);
    }
}

static void formats(void) {
#define FORMAT(name, good, bad) SCHEMA("{\"type\": \"string\", \"format\": \"" name "\"}", good, bad)
    FORMAT("date", LIST("\"2024-02-29\"", "\"1999-12-31\""),
           LIST("\"2023-02-29\"", "\"1999-13-01\"", "\"1999-04-31\"", "\"99-1-1\""));
    FORMAT("time", LIST("\"23:59:59Z\"", "\"00:00:00.123+01:00\""),
           LIST("\"24:00:00Z\"", "\"12:00:00\"", "\"12:60:00Z\""));
    FORMAT("date-time", LIST("\"2024-05-01T12:30:00Z\""), LIST("\"2024-05-01 12:30:00Z\"", "\"2024-05-01\""));
    FORMAT("uuid", LIST("\"123e4567-e89b-12d3-a456-426614174000\""), LIST("\"123e4567e89b12d3a456426614174000\""));
    FORMAT("email", LIST("\"a.b+c@example.org\""), LIST("\"a@\"", "\"@b.c\"", "\"a b@c\"", "\"a..b@c\""));
    FORMAT("ipv4", LIST("\"192.168.0.1\""), LIST("\"256.1.1.1\"", "\"1.1.1\"", "\"01.1.1.1\""));
    FORMAT("ipv6", LIST("\"::1\"", "\"fe80::1:2\"", "\"1:2:3:4:5:6:7:8\"", "\"::ffff:1.2.3.4\""),
           LIST("\"1::2::3\"", "\"12345::\"", "\"1:2:3\""));
    FORMAT("uri", LIST("\"https://example.com/a?b=c#d\"", "\"mailto:a@b.c\""),
           LIST("\"//x\"", "\"a b:c\"", "\"no-scheme\""));
    FORMAT("hostname", LIST("\"a-b.example\""), LIST("\"-a\"", "\"a..b\""));
    FORMAT("duration", LIST("\"P1DT2H\"", "\"PT5S\"", "\"P3W\""), LIST("\"P\"", "\"1D\"", "\"P1H\""));
    REFUSED("{\"type\": \"string\", \"format\": \"iri\"}", GYR_UNSUPPORTED,
            "schema: #: format \"iri\" is not supported");
    SCHEMA("{\"type\": \"integer\", \"format\": \"int32\"}", LIST("1"), LIST("\"1\""));
}

static void objects(void) {
    SCHEMA("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": \"null\"}, "
           "\"c\": true},"
           "\"required\": [\"b\"], \"additionalProperties\": false}",
           LIST("{\"b\":null}", "{\"a\":1,\"b\":null}", "{\"b\": null, \"c\": []}"),
           LIST("{}", "{\"a\":1}", "{\"b\":null,\"a\":1}", "{\"b\":null,\"d\":1}", "{\"b\":null,}",
                "{\"a\":1\"b\":null}"));
    SCHEMA("{\"properties\": {\"a\": {\"const\": 1}}, \"additionalProperties\": {\"type\": \"string\"}}",
           LIST("{\"a\":1}", "{\"a\":1,\"x\":\"\",\"ab\":\"\"}", "{\"\":\"\"}", "[]", "7"),
           LIST("{\"a\":\"\"}", "{\"x\":1}", "{\"\\u0061\":\"\"}"));
    SCHEMA("{\"type\": \"object\", \"patternProperties\": {\"^n_\": {\"type\": \"integer\"}, \"_s$\": {\"minimum\": "
           "5}}, \"additionalProperties\": false}",
           LIST("{}", "{\"n_a\":1}", "{\"n_s\":5}", "{\"x_s\":\"t\"}"),
           LIST("{\"n_s\":4}", "{\"n_a\":\"\"}", "{\"x\":1}", "{\"x_s\":1}"));
    SCHEMA("{\"type\": \"object\", \"additionalProperties\": {\"type\": \"null\"}, \"minProperties\": 1, "
           "\"maxProperties\": 2}",
           LIST("{\"a\":null}", "{\"a\":null,\"b\":null}"), LIST("{}", "{\"a\":null,\"b\":null,\"c\":null}"));
    SCHEMA("{\"type\": \"object\", \"properties\": {\"a\": {\"const\": 1}, \"b\": {\"const\": 1}, \"c\": {\"const\": "
           "1}}, \"minProperties\": 2, \"additionalProperties\": false}",
           LIST("{\"a\":1,\"c\":1}", "{\"a\":1,\"b\":1,\"c\":1}"), LIST("{}", "{\"b\":1}"));
    SCHEMA(
        "{\"type\": \"object\", \"propertyNames\": {\"maxLength\": 2}, \"additionalProperties\": {\"type\": \"null\"}}",
        LIST("{}", "{\"ab\":null}"), LIST("{\"abc\":null}"));
    SCHEMA("{\"type\": \"object\", \"required\": [\"z\"], \"properties\": {\"a\": {\"const\": 0}}, "
           "\"additionalProperties\": {\"const\": 1}}",
           LIST("{\"z\":1}", "{\"a\":0,\"z\":1}"), LIST("{}", "{\"z\":0}"));
}

static void arrays(void) {
    SCHEMA("{\"type\": \"array\", \"items\": {\"type\": \"null\"}, \"minItems\": 1, \"maxItems\": 3}",
           LIST("[null]", "[null,null,null]"), LIST("[]", "[null,null,null,null]"));
    SCHEMA("{\"type\": \"array\", \"prefixItems\": [{\"const\": 1}, {\"const\": 2}], \"items\": false}",
           LIST("[]", "[1]", "[1,2]"), LIST("[2]", "[1,2,3]"));
    SCHEMA("{\"type\": \"array\", \"prefixItems\": [{\"const\": 1}], \"items\": {\"const\": 3}, \"minItems\": 2}",
           LIST("[1,3]", "[1,3,3]"), LIST("[1]", "[1,1]"));
    SCHEMA("{\"type\": \"array\", \"uniqueItems\": true, \"maxItems\": 1}", LIST("[]", "[1]"), LIST("[1,1]"));
    REFUSED("{\"properties\": {\"x\": {\"type\": \"array\", \"uniqueItems\": true}}}", GYR_UNSUPPORTED,
            "schema: #/properties/x: uniqueItems of more than one item is not supported");
    SCHEMA("{\"type\": \"array\", \"items\": {\"const\": 1}, \"maxItems\": 10000}", LIST("[]", "[1,1,1,1]"),
           LIST("[2]"));
}

static void values(void) {
    SCHEMA("{\"enum\": [1, \"a\\\"\", null, {\"b\": [true]}]}",
           LIST("1", "\"a\\\"\"", "null", "{\"b\":[true]}", "{\"b\": [true]}"), LIST("2", "true"));
    SCHEMA("{\"enum\": [1, 2, 3, \"a\"], \"type\": \"integer\", \"minimum\": 2}", LIST("2", "3"), LIST("1", "\"a\""));
    SCHEMA("{\"const\": {\"a\": 1, \"b\": 2}}", LIST("{\"a\":1,\"b\":2}"), LIST("{\"a\":1}", "{\"b\":2,\"a\":1}"));
    SCHEMA("{\"enum\": [0.1, 1e30, -5]}", LIST("0.1", "1e+30", "-5"), LIST("0.10000000000000001", "5"));
}

static void combined(void) {
    SCHEMA("{\"anyOf\": [{\"type\": \"null\"}, {\"type\": \"integer\", \"minimum\": 3}], \"maximum\": 5}",
           LIST("null", "4"), LIST("2", "6"));
    SCHEMA("{\"allOf\": [{\"properties\": {\"a\": {\"minimum\": 1}}}, {\"properties\": {\"a\": {\"maximum\": 2}}, "
           "\"required\": [\"a\"]}], \"type\": \"object\"}",
           LIST("{\"a\":1}", "{\"a\":2}"), LIST("{\"a\":0}", "{\"a\":3}", "{}"));
    SCHEMA("{\"oneOf\": [{\"type\": \"object\", \"properties\": {\"k\": {\"const\": \"x\"}}, \"required\": [\"k\"]},"
           "{\"type\": \"object\", \"properties\": {\"k\": {\"const\": \"y\"}, \"v\": {\"type\": \"null\"}}, "
           "\"required\": [\"k\", \"v\"]}]}",
           LIST("{\"k\":\"x\"}", "{\"k\":\"y\",\"v\":null}"), LIST("{\"k\":\"y\"}", "{\"k\":\"z\"}"));
    SCHEMA("{\"oneOf\": [{\"type\": \"integer\", \"minimum\": 5}, {\"type\": \"integer\", \"maximum\": 7}]}",
           LIST("4", "8"), LIST("5", "6", "7"));
    SCHEMA("{\"not\": {\"type\": [\"string\", \"object\"]}}", LIST("1", "null", "[]"), LIST("\"\"", "{}"));
    SCHEMA("{\"type\": \"string\", \"not\": {\"enum\": [\"a\", \"bc\"]}}", LIST("\"\"", "\"b\"", "\"ab\""),
           LIST("\"a\"", "\"bc\""));
    SCHEMA("{\"type\": \"string\", \"not\": {\"pattern\": \"x\"}}", LIST("\"a\""), LIST("\"axb\""));
    SCHEMA("{\"type\": \"number\", \"not\": {\"type\": \"integer\"}}", LIST("1.5", "-0.05"), LIST("1", "1.0"));
    SCHEMA("{\"type\": \"object\", \"properties\": {\"k\": {\"enum\": [\"a\", \"b\"]}, \"n\": {\"type\": "
           "\"integer\"}}, \"additionalProperties\": false,"
           "\"if\": {\"properties\": {\"k\": {\"const\": \"a\"}}, \"required\": [\"k\"]}, \"then\": {\"required\": "
           "[\"n\"]}}",
           LIST("{}", "{\"k\":\"b\"}", "{\"k\":\"a\",\"n\":1}", "{\"n\":2}"), LIST("{\"k\":\"a\"}"));
    SCHEMA("{\"type\": \"object\", \"properties\": {\"a\": true, \"b\": true}, \"additionalProperties\": false, "
           "\"dependentRequired\": {\"a\": [\"b\"]}}",
           LIST("{}", "{\"b\":1}", "{\"a\":1,\"b\":1}"), LIST("{\"a\":1}"));
    REFUSED("{\"oneOf\": [{\"required\": [\"a\"]}, {\"patternProperties\": {\"a\": {\"type\": \"null\"}}}]}",
            GYR_UNSUPPORTED, "schema: #/oneOf/1: \"not\" of a schema with patternProperties is not supported");
}

static void references(void) {
    SCHEMA("{\"$ref\": \"#/$defs/t~1%25\", \"$defs\": {\"t/%\": {\"type\": \"array\", \"items\": {\"$ref\": "
           "\"#/$defs/t~1%25\"}}}}",
           LIST("[]", "[[],[[]]]"), LIST("1", "[1]"));
    SCHEMA("{\"type\": \"object\", \"properties\": {\"next\": {\"anyOf\": [{\"$ref\": \"#\"}, {\"type\": \"null\"}]}}, "
           "\"required\": [\"next\"], \"additionalProperties\": false}",
           LIST("{\"next\":null}", "{\"next\":{\"next\":{\"next\":null}}}"), LIST("{}", "{\"next\":{}}"));
    SCHEMA("{\"$ref\": \"#a\", \"$defs\": {\"x\": {\"$anchor\": \"a\", \"const\": 1}}}", LIST("1"), LIST("2"));
    SCHEMA("{\"$id\": \"http://h/s\", \"$ref\": \"http://h/s#/$defs/x\", \"$defs\": {\"x\": {\"const\": 1}}}",
           LIST("1"), LIST("2"));
    REFUSED("{\"$ref\": \"#\"}", GYR_UNSUPPORTED, "schema: #: a schema that is defined by itself and nothing else");
    REFUSED("{\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#\"}]}", GYR_UNSUPPORTED,
            "schema: #: a schema that is defined by itself and nothing else");
    REFUSED("{\"$ref\": \"#/no\"}", GYR_MALFORMED, "schema: #: $ref \"#/no\" leads nowhere");
    REFUSED("{\"$ref\": \"http://x/y\"}", GYR_UNSUPPORTED,
            "schema: #: $ref \"http://x/y\" names another document, which is not supported");
}

static void refused(void) {
    REFUSED("{", GYR_MALFORMED, "schema:1:2: not JSON: ends too early");
    REFUSED("[]", GYR_MALFORMED, "schema: #: a schema is an object, true or false");
    REFUSED("{\"type\": \"int\"}", GYR_MALFORMED, "schema: #: type is not one, or a list, of the seven types");
    REFUSED("{\"properties\": {\"a\": {\"contains\": {}}}}", GYR_UNSUPPORTED,
            "schema: #/properties/a: contains is not supported");
    REFUSED("{\"unevaluatedProperties\": false}", GYR_UNSUPPORTED, "schema: #: unevaluatedProperties is not supported");
    REFUSED("{\"pattern\": \"(?=x)\"}", GYR_UNSUPPORTED,
            "schema: #: pattern: regular expression, byte 3: lookahead is not supported");
    REFUSED("{\"type\": \"integer\", \"minimum\": 2, \"maximum\": 1}", GYR_UNSUPPORTED,
            "schema: no text is valid; parts of it contradict each other");
    REFUSED("{\"type\": \"string\", \"minLength\": -1}", GYR_MALFORMED,
            "schema: #: minLength is not a number of things");
    REFUSED("{\"type\": \"string\", \"pattern\": \"^(a|b)*a(a|b){20}$\"}", GYR_UNSUPPORTED,
            "schema: #: pattern: regular expression: too large: more than 16384 states; use smaller repetitions");
    REFUSED("{\"items\": {\"type\": \"string\", \"pattern\": \"^a.*b$\", \"maxLength\": 32767}}", GYR_UNSUPPORTED,
            "schema: #: pattern and length of a string: too large together");
    REFUSED("{\"type\": \"array\", \"maxItems\": 100000000}", GYR_UNSUPPORTED,
            "schema: too large: more than 524288 states; use smaller repetitions and fewer parts");
}

int main(void) {
    open_words();
    RUN(any_json);
    RUN(white_space);
    RUN(types);
    RUN(numbers);
    RUN(strings);
    RUN(long_strings);
    RUN(formats);
    RUN(objects);
    RUN(arrays);
    RUN(values);
    RUN(combined);
    RUN(references);
    RUN(refused);
    close_tokenizer(&words);
    return test_end();
}
