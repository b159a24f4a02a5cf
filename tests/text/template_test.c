// Chat templates against jinja2's own answers (tools/goldens/templates.py), their messages, bounds, and which bytes
// are the conversation's.
#include "base/map.h"
#include "test.h"
#include "text/template.h"

#include <inttypes.h>

static gyr_error err;

// The output, or NULL with `err` set. Free it.
static char *render_to(const char *source, size_t size, const json_t *variables, size_t *length, struct buf *user) {
    memset(&err, 0, sizeof err);
    struct chat_template *t = template_parse(source, size, "chat", &err);
    struct buf out = {0};
    bool ok = t && template_render(t, variables, &out, user, &err);
    template_free(t);
    if (!ok) buf_free(&out);
    if (!ok && err.status == GYR_OK) err.status = GYR_FAILED;
    *length = out.size;
    return ok ? buf_take(&out) : NULL;
}

static char *render(const char *source, const char *variables) {
    json_t *v = json_loads(variables, 0, NULL);
    size_t n;
    char *out = render_to(source, strlen(source), v, &n, NULL);
    json_decref(v);
    return out;
}

// ---- goldens

static json_t *load(const char *path) { return path ? json_load_file(path, JSON_ALLOW_NUL, NULL) : NULL; }

static void language(void) {
    json_t *cases = load(test_data("templates/language.json")), *c;
    size_t i, n;
    REQUIRE(json_array_size(cases) > 200);
    json_array_foreach(cases, i, c) {
        json_t *source = json_object_get(c, "template"), *want = json_object_get(c, "expected");
        const char *text = json_string_value(source);
        char *got = render_to(text, json_string_length(source), json_object_get(c, "variables"), &n, NULL);
        bool same = json_is_null(want)
                        ? !got
                        : got && n == json_string_length(want) && !memcmp(got, json_string_value(want), n);
        CHECK(same);
        if (!same) printf("%s\n  gives %s\n  not %s\n", text, got ? got : err.message, json_string_value(want));
        CHECK(got || (err.status == GYR_MALFORMED && !strncmp(err.message, "chat:", 5)));
        free(got);
    }
    json_decref(cases);
}

static uint64_t fnv(const char *s, size_t n) {
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 0x100000001b3;
    return h;
}

static void check_model(const char *name, const char *source, size_t size, const json_t *wants, const json_t *talks) {
    const char *talk;
    json_t *want;
    size_t n;
    json_object_foreach((json_t *)wants, talk, want) {
        char summary[64] = "", *got = render_to(source, size, json_object_get(talks, talk), &n, NULL);
        if (got) snprintf(summary, sizeof summary, "%zu %016" PRIx64, n, fnv(got, n));
        bool same = json_is_null(want) ? !got : got && !strcmp(summary, json_string_value(want));
        CHECK(same);
        if (!same) printf("%s, %s: %s\n", name, talk, got ? got : err.message);
        free(got);
    }
}

static void models(void) {
    if (!test_shared("chat-templates")) SKIP("the models' templates are not here");
    json_t *models = load(test_data("templates/models.json")), *wants;
    json_t *talks = load(test_data("templates/conversations.json"));
    REQUIRE(models && talks && json_object_size(models) >= 16);
    const char *name;
    json_object_foreach(models, name, wants) {
        char path[256];
        snprintf(path, sizeof path, "chat-templates/%s", name);
        size_t size = 0;
        const char *there = test_shared(path);
        char *source = there ? read_file(there, 1 << 20, &size, &err) : NULL;
        CHECK(source);
        if (source) check_model(name, source, size, wants, talks);
        free(source);
    }
    json_decref(models);
    json_decref(talks);
}

// ---- messages

static void check_message(const char *source, const char *want) {
    char *out = render(source, "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}");
    CHECK(!out);
    free(out);
    CHECK_INT(err.status, GYR_MALFORMED);
    CHECK_STR(err.message, want);
}

static void messages(void) {
    static const char *const cases[][2] = {
        {"{{ raise_exception('Roles must alternate!') }}", "chat:1:4: the template refuses: Roles must alternate!"},
        {"a\nb {% if x %}", "chat:2:13: the template ends before {% endif %}"},
        {"{% for x in y %}", "chat:1:17: the template ends before {% endfor %}"},
        {"\xc3\xa9\xc3\xa9{{ nope.x }}", "chat:1:11: 'nope' is undefined"},
        {"{{ messages[0].nope.x }}", "chat:1:21: 'dict object' has no attribute 'nope'"},
        {"{{ none.x.y }}", "chat:1:11: 'None' has no attribute 'x'"},
        {"{{ f() }}", "chat:1:4: 'f' is undefined"},
        {"{{ 1 + 'a' }}", "chat:1:4: '+' does not work with 'int' and 'str'"},
        {"{{ 1 < 'a' }}", "chat:1:4: '<' is not supported between 'int' and 'str'"},
        {"{{ 1 // 0 }}", "chat:1:4: division by zero"},
        {"{{ 10 ** 4400 }}", "chat:1:4: an integer grows past 4300 digits"},
        {"{{ messages[10 ** 20:] }}", "chat:1:12: a slice wants an integer of 64 bits"},
        {"{{ '\\N{NO SUCH NAME}' }}", "chat:1:5: the escape is wrong or names no character"},
        {"{{ messages.append(1) }}", "chat:1:13: 'append' of 'list' is not allowed in a template"},
        {"{{ messages | nope }}", "chat:1:15: there is no filter 'nope'"},
        {"{{ 1 is nope }}", "chat:1:9: there is no test 'nope'"},
        {"{% nope %}", "chat:1:4: there is no tag 'nope' here"},
        {"{% include 'x' %}", "chat:1:4: there is no tag 'include' here"},
        {"{{ x", "chat:1:5: '}}' is missing before the end of the template"},
        {"{{ x y }}", "chat:1:6: '}}' is missing before 'y'"},
        {"{{ (1 }}", "chat:1:7: '}' closes nothing that is open"},
        {"{{ 'x }}", "chat:1:4: the string is never closed"},
        {"{{ '\\xzz' }}", "chat:1:5: the escape is wrong or names no character"},
        {"{{ '\\ud800' }}", "chat:1:5: the escape is wrong or names no character"},
        {"{# x", "chat:1:1: a comment is never closed; write #}"},
        {"{% raw %} x", "chat:1:10: a {% raw %} block is never closed"},
        {"{{ $ }}", "chat:1:4: '$' has no meaning here"},
        {"{% break %}", "chat:1:10: break and continue work inside a for only"},
        {"{% set 1 = 2 %}", "chat:1:10: this cannot be assigned to"},
        {"{% set a.b = 2 %}", "chat:1:10: only attributes of a namespace() can be set"},
        {"{% for a, b in [1] %}{% endfor %}", "chat:1:8: 'int' cannot be walked over"},
        {"{% for a, b in [[1]] %}{% endfor %}", "chat:1:8: 1 values do not go into 2 names"},
        {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "chat:1:34: macro 'm' takes not more than 1 arguments"},
        {"{{ 'a'.split(x=1) }}", "chat:1:8: split() has no argument 'x'"},
        {"{{ 'a'.replace('b') }}", "chat:1:8: replace() wants 'new'"},
        {"{{ 'a'.upper(1) }}", "chat:1:8: upper() takes 0 arguments, not 1"},
        {"{{ range | tojson }}", "chat:1:12: tojson: 'function' has no JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_message(cases[i][0], cases[i][1]);
    CHECK(!template_parse("\xff", 1, "chat", &err));
    CHECK_STR(err.message, "chat: the chat template is not valid UTF-8");
    static char big[(256 << 10) + 1];
    CHECK(!template_parse(big, sizeof big, "chat", &err));
    CHECK_STR(err.message, "chat: a chat template of 262145 bytes; at most 262144 are read");
}

// ---- bounds: hostile templates end, soon, with a message

static void bounds(void) {
    static const char *const cases[][2] = {
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "the template calls itself more than 600 levels deep"},
        {"{% for n in [[]] recursive %}{{ loop([n]) }}{% endfor %}",
         "the template calls itself more than 600 levels deep"},
        {"{% for i in range(99999) %}{{ ('a' * 999999).rfind('a' * 499999 ~ 'b') }}{% endfor %}",
         "the template runs for more than 20000000 steps"},
        {"{{ range(100001) }}", "a range() is at most 100000 long"},
        {"{{ range(-9223372036854775807, 9223372036854775807) }}", "a range() is at most 100000 long"},
        {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
         "the template uses more than 256 MB of memory"},
        {"{{ 'ab' * 999999999 }}", "a string grows past 32 MB"},
        {"{{ [0] * 999999999 }}", "the template runs for more than 20000000 steps"},
        {"{{ [0] * 9223372036854775807 }}", "a list grows too long"},
        {"{% set n = namespace(s='0123456789abcdef') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
         "a string grows past 32 MB"},
        {"{% set n = namespace(l=[]) %}{% for i in range(9999) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
         "a value is nested more than 400 deep"},
        {"{% set n = namespace(l=[]) %}{% for i in range(9999) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l | tojson }}",
         "tojson: a value is nested more than 400 deep"},
        {"{% set n = namespace() %}{% set n.n = n %}{{ n }}", "a value is nested more than 400 deep"},
        {"{{ '%999999999d' % 1 }}", "a format asks for more than 1000 characters"},
        {"{{ '{:.999999999f}'.format(1) }}", "a format asks for more than 100 characters"},
        {"{{ 2 ** 99999999999 }}", "an integer grows past 4300 digits"},
        {"{% for i in range(99999) %}{{ 7 ** 4900 // 3 ** 3000 }}{% endfor %}",
         "the template runs for more than 20000000 steps"},
        {"{{ 'a'.center(99999999999) }}", "a string grows past 32 MB"},
        {"{{ 'x' | indent(99999999999) }}", "indent goes at most 1000 wide"},
        {"{{ ('a' * 999999).replace('', 'b' * 999999) }}", "a string grows past 32 MB"},
        {"{{ ('a' * 30000000) in ('b' * 30000000) }}{% for a in range(99999) %}{{ 'a' in 'b' * 999 }}{% endfor %}",
         "the template runs for more than 20000000 steps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = render(cases[i][0], "{}");
        CHECK(!out);
        free(out);
        const char *text = strstr(err.message, ": ");
        CHECK_STR(text ? text + 2 : err.message, cases[i][1]);
    }
}

static void nesting(void) {
    static const char *const open[] = {"{{ (", "[", "{% if x %}", "{{ not ", "-", "(", "{% for x in y %}{{ x["};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        struct buf b = {0};
        buf_puts(&b, "{{ ");
        if (open[i][0] == '{') buf_clear(&b);
        for (int k = 0; k < 100000; k++) buf_puts(&b, i == 0 && k ? "(" : i == 3 && k ? "not " : open[i]);
        REQUIRE(!b.failed);
        struct chat_template *t = template_parse(b.data, b.size < 256 << 10 ? b.size : 256 << 10, "chat", &err);
        CHECK(!t);
        CHECK_INT(err.status, GYR_MALFORMED);
        template_free(t);
        buf_free(&b);
    }
    struct buf sum = {0}; // a chain is no nesting for the parser; the bound of the evaluation stops it
    buf_puts(&sum, "{{ 1");
    for (int k = 0; k < 10000; k++) buf_puts(&sum, "+1");
    buf_puts(&sum, " }}");
    char *out = render(sum.data, "{}");
    CHECK(!out);
    free(out);
    buf_free(&sum);
    struct buf filters = {0};
    buf_puts(&filters, "{% filter trim");
    for (int k = 0; k < 40000; k++) buf_puts(&filters, "|trim");
    buf_puts(&filters, " %}{% endfilter %}");
    CHECK(!render(filters.data, "{}"));
    CHECK_STR(err.message, "chat:1:11: a chain of more than 600 filters");
    buf_free(&filters);
    json_t *deep = json_array();
    for (int i = 0; i < 3000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, deep);
        deep = outer;
    }
    json_t *variables = json_pack("{s:o}", "messages", deep);
    size_t n;
    CHECK(!render_to("x", 1, variables, &n, NULL));
    CHECK_STR(err.message, "chat:1:1: the conversation is nested more than 400 deep");
    json_decref(variables);
}

// ---- whose bytes

// The output with the conversation's own bytes in [ ].
static char *marked(const char *source, const char *variables) {
    json_t *v = json_loads(variables, 0, NULL);
    struct buf user = {0}, b = {0};
    size_t n, at = 0;
    char *out = render_to(source, strlen(source), v, &n, &user);
    const size_t *runs = (const size_t *)(const void *)user.data;
    for (size_t i = 0; out && i < user.size / sizeof(size_t); i++) {
        buf_append(&b, out + at, runs[i] - at);
        buf_putc(&b, i % 2 ? ']' : '[');
        at = runs[i];
    }
    buf_append(&b, out ? out + at : "", out ? n - at : 0);
    json_decref(v);
    buf_free(&user);
    free(out);
    return buf_take(&b);
}

static void provenance(void) {
    static const char variables[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \" Hi <|e|> \", \"n\": 5, \"l\": [\"a\", "
        "\"b\"], \"k\": {\"<|k|>\": \"v\"}}], \"tools\": [\"t\"], \"extra\": \"x\", "
        "\"eos_token\": \"<|e|>\"}";
    static const char *const cases[][2] = {
        {"{% for m in messages %}<|s|>{{ m.role }}\n{{ m.content | trim }}<|e|>{% endfor %}",
         "<|s|>[user]\n[Hi <|e|>]<|e|>"},
        {"{% set m = messages[0] %}{{ '<|s|>' + m.role + '<|e|>' }}", "<|s|>[user]<|e|>"},
        {"{{ '<' ~ messages[0].content[1:3] ~ '>' ~ messages[0].n }}", "<[Hi]>5"},
        {"{{ messages[0].content.replace('<|e|>', '<|x|>') }}|{{ 'a-b'.replace('-', messages[0].role) }}",
         "[ Hi ]<|x|>[ ]|a[user]b"},
        {"{{ messages[0].content | upper }}{{ messages[0].content.strip().split(' ')[-1] }}", "[ HI <|E|> <|e|>]"},
        {"{{ messages[0].l | join('<|e|>') }} {{ messages[0].l | tojson }} {{ messages[0].l }}",
         "[a]<|e|>[b] [\"[a]\", \"[b]\"] ['[a]', '[b]']"},
        {"{{ messages[0].k | tojson }}{% for k, v in messages[0].k.items() %}{{ k }}={{ v }}{% endfor %}",
         "{\"[<|k|>]\": \"[v]\"}[<|k|>]=[v]"},
        {"{{ tools[0] }}{{ extra }}{{ eos_token }}", "[tx]<|e|>"},
        {"{{ '%s<|e|>%5s' % (tools[0], tools[0]) }}{{ '{}<|e|>{:>3}'.format(tools[0], tools[0]) }}",
         "[t]<|e|>    [tt]<|e|>  [t]"},
        {"{% set x %}<|e|>{{ tools[0] }}{% endset %}{{ x }}{% macro m(a) %}<|m|>{{ a }}{% endmacro %}{{ m(tools[0]) }}",
         "<|e|>[t]<|m|>[t]"},
        {"{{ messages[0].content | indent(2, true) }}{{ messages[0].content[::-1] }}{{ tools[0] * 3 }}",
         "  [ Hi <|e|>  >|e|< iH ttt]"},
        {"{{ dict(**messages[0].k) }}{{ messages[0].content | e }}{{ tools[0] | center(3) }}",
         "{'[<|k|>]': '[v]'}[ Hi &lt;|e|&gt; ] [t] "},
        {"{{ messages[0].content | urlencode }}{{ messages | map(attribute='role') | join }}{{ tools[0].title() }}",
         "[%20Hi%20%3C%7Ce%7C%3E%20userT]"},
        {"{{ tools[0] in 't<|e|>' }}{{ 't<|e|>' if tools[0] == 't' }}", "Truet<|e|>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = marked(cases[i][0], variables);
        CHECK_STR(got, cases[i][1]);
        free(got);
    }
}

// Runs are counted from the start of the buffer, which may hold something already.
static void appends(void) {
    json_t *v = json_loads("{\"messages\": \"m\"}", 0, NULL);
    struct chat_template *t = template_parse("a{{ messages }}b", 16, "chat", &err);
    struct buf out = {0}, user = {0};
    buf_puts(&out, "before ");
    REQUIRE(t && template_render(t, v, &out, &user, &err) && template_render(t, v, &out, &user, &err));
    CHECK_STR(out.data, "before ambamb");
    const size_t want[] = {8, 9, 11, 12};
    CHECK(user.size == sizeof want && !memcmp(user.data, want, sizeof want));
    template_free(t);
    json_decref(v);
    buf_free(&out);
    buf_free(&user);
}

static void arguments_are_printed_as_they_were_written(void) {
    static const struct {
        const char *source, *written, *want;
    } rows[] = {
        {"{{ messages[0].tool_calls[0].function.arguments | tojson }}", "[[0, 0, \"{ \\\"a\\\":1.0 }\"]]",
         "{ \"a\":1.0 }"},
        {"{{ messages[0].tool_calls[0] | tojson(indent=1) }}", "[[0, 0, \"{\\\"a\\\":1.0}\"]]",
         "{\n \"function\": {\n  \"arguments\": {\"a\":1.0}\n }\n}"},
        {"{{ messages[0].tool_calls[0].function.arguments.a }}", "[[0, 0, \"{ \\\"a\\\":1.0 }\"]]", "1.0"},
        {"{{ dict(messages[0].tool_calls[0].function.arguments, b=2) | tojson }}", "[[0, 0, \"{\\\"a\\\":1.0}\"]]",
         "{\"a\": 1.0, \"b\": 2}"},
        {"{{ messages[0].tool_calls[0].function.arguments | tojson }}{{ written_arguments is defined }}",
         "[[0, 0, \"{\\\"a\\\":2.0}\"]]", "{\"a\": 1.0}False"}, // it says something else
        {"{{ messages[0].tool_calls[0].function.arguments | tojson }}",
         "[[0, 1, \"{}\"], [7, 0, \"{}\"], [0, 0, 5], 1, [], [-1, -1, \"{}\"], {}, [0, 0, \"{\"]]", "{\"a\": 1.0}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char variables[400];
        snprintf(variables, sizeof variables,
                 "{\"messages\": [{\"tool_calls\": [{\"function\": {\"arguments\": {\"a\": 1.0}}}]}], "
                 "\"written_arguments\": %s}",
                 rows[i].written);
        char *got = render(rows[i].source, variables);
        CHECK_STR(got ? got : err.message, rows[i].want);
        free(got);
    }
}

int main(void) {
    setenv("SOURCE_DATE_EPOCH", "1753500000", 1);
    RUN(language);
    RUN(models);
    RUN(messages);
    RUN(bounds);
    RUN(nesting);
    RUN(provenance);
    RUN(arguments_are_printed_as_they_were_written);
    RUN(appends);
    return test_end();
}
