// What each key of a config.json does (tools/goldens/config_keys.py): the classes of transformers against the table of
// src/format/hf_class.c, field by field; and the logits of each family's small model with one key changed, or left out,
// against those of transformers. A key that a class must have at one value is refused at others, by its name.
#include "drawn.h"
#include "format/hf_class.h"

static char folder[] = "/tmp/gyr-keys-XXXXXX";

static const char *file_of(const char *name) { return drawn_file(folder, name); }

// Calls `line` with each line of the golden, cut at its first blank.
static void each_line(void (*line)(const char *word, char *rest)) {
    FILE *f = fopen(test_data("config/keys.txt"), "r");
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    REQUIRE(f);
    while ((n = getline(&text, &room, f)) > 0) {
        text[n - 1] = 0;
        char *rest = strchr(text, ' ');
        if (rest) *rest++ = 0;
        line(text, rest ? rest : text + strlen(text));
    }
    free(text);
    fclose(f);
}

static const struct hf_class *class;
static char type[64];
static size_t n_classes, n_fields;

static bool is_name_of(const struct hf_word *w, const char *name) {
    size_t n = strlen(name);
    for (size_t at = 0; at + n <= w->name_size; at++)
        if (!memcmp(w->name + at, name, n) && (at == 0 || w->name[at - 1] == ',') &&
            (at + n == w->name_size || w->name[at + n] == ','))
            return true;
    return false;
}

static bool find_word(const char *list, const char *name, struct hf_word *w) {
    while (hf_word_next(&list, w))
        if (is_name_of(w, name)) return true;
    return false;
}

// Whether the table's default is that of the class, as JSON. A list is none: what it is follows from other keys.
static bool same_default(const struct hf_word *w, const char *json) {
    struct value v = hf_word_value(w, 0);
    char text[64] = "";
    switch (v.kind) {
    case VALUE_NONE: return !strcmp(json, "null") || *json == '[';
    case VALUE_BOOL: return !strcmp(json, v.b ? "true" : "false");
    case VALUE_UINT: return strtod(json, NULL) == (double)v.u && *json != 'n';
    case VALUE_FLOAT: return strtod(json, NULL) == v.f;
    case VALUE_STRING: snprintf(text, sizeof text, "\"%.*s\"", (int)v.s.size, v.s.data); return !strcmp(json, text);
    default: return false;
    }
}

static void check_field(const char *word, char *rest) {
    struct hf_word w;
    if (!strcmp(word, "class")) {
        class = hf_class_of(rest);
        snprintf(type, sizeof type, "%s", rest);
        if (!class) printf("  no class %s\n", type);
        CHECK(class);
        n_classes++;
    }
    if (!class || strcmp(word, "field")) return;
    char *json = strchr(rest, ' ');
    *json++ = 0;
    n_fields++;
    bool there = find_word(class->keys, rest, &w) || find_word(hf_common_keys, rest, &w);
    bool right = there && (w.kind == HF_HARMLESS || !strcmp(rest, "vocab_size") || same_default(&w, json));
    if (!right)
        printf("  %s: %s, which is %s where a config leaves it out, %s\n", type, rest, json,
               there ? "has another default in the table" : "is not in the table");
    CHECK(right);
}

static void every_field_has_a_place(void) {
    each_line(check_field);
    printf("  %zu classes, %zu fields\n", n_classes, n_fields);
    CHECK(n_classes > 40 && n_fields > 500);
}

static struct drawn model;
static char *config; // as it is changed
static size_t n_changes, n_refused;

// Where a key and its value stand in an object without blanks at odd places: "key": value; false if it has none.
static bool find_key(const char *object, const char *key, size_t *from, size_t *to) {
    int depth = 0;
    bool string = false, found = false;
    size_t n = strlen(key);
    for (size_t i = 0; object[i]; i++) {
        char c = object[i];
        if (found && depth == 1 && !string && (c == ',' || c == '}')) return *to = i, true;
        if (!found && depth == 1 && !string && c == '"' && !strncmp(object + i + 1, key, n) &&
            !strncmp(object + i + 1 + n, "\": ", 3))
            found = true, *from = i;
        if (c == '"') string = !string;
        if (!string) depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    }
    return false;
}

// The config with a key at another value, or (NULL) without it.
static void change(const char *key, const char *value) {
    size_t from = 1, to = 1, n = strlen(config), room = n + strlen(key) + (value ? strlen(value) : 0) + 16;
    char *made = malloc(room);
    bool there = find_key(config, key, &from, &to);
    bool first = from <= 1, comma = there ? config[to] == ',' : true;
    if (value)
        snprintf(made, room, "%.*s\"%s\": %s%s%s", (int)from, config, key, value, !there && comma ? ", " : "",
                 config + to);
    else if (comma)
        snprintf(made, room, "%.*s%s", (int)from, config, config + to + 1);
    else
        snprintf(made, room, "%.*s%s", (int)from - (first ? 0 : 2), config, config + to);
    free(config);
    config = made;
}

static void reset(void) {
    free(config);
    config = strdup(model.config);
}

static float *logits_of(gyr_error *e) {
    gyr_model *m = gyr_model_open(folder, &(gyr_model_options){.threads = 1}, e);
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){.kv_type = GYR_KV_F32}, e) : NULL;
    size_t n = 24, vocab = (size_t)model.vocab;
    float *all = s ? calloc(n * vocab, sizeof *all) : NULL;
    if (all && gyr_session_feed(s, model.text, n, all, e)) {
        free(all);
        all = NULL;
    }
    if (all) memmove(all, all + (n - 1) * vocab, vocab * sizeof *all);
    gyr_session_free(s);
    if (m) gyr_model_close(m);
    return all;
}

static bool must_be(const char *key, const char *value) {
    struct hf_word w;
    if (!class || !(find_word(class->keys, key, &w) || find_word(hf_common_keys, key, &w)) || w.kind != HF_MUST)
        return false;
    for (size_t i = 0; i < hf_word_values(&w); i++) {
        struct value v = hf_word_value(&w, i);
        char text[64];
        const char *json = v.kind == VALUE_NONE ? "null" : v.kind == VALUE_BOOL ? (v.b ? "true" : "false") : text;
        snprintf(text, sizeof text, "\"%.*s\"", (int)v.s.size, v.kind == VALUE_STRING ? v.s.data : "");
        if (!strcmp(json, value)) return false;
    }
    return true;
}

static void check_change(const char *what, const char *key, const char *value, const char *numbers) {
    gyr_error e = {0};
    CHECK(drawn_write_text(file_of("config.json"), config));
    float *got = logits_of(&e), far = 0;
    n_changes++;
    if (value && must_be(key, value)) {
        n_refused++;
        bool named = !got && e.status == GYR_UNSUPPORTED && strstr(e.message, key);
        if (!named) printf("  %s: %s %s %s is not refused by its name: %s\n", type, what, key, value, e.message);
        CHECK(named);
        free(got);
        return;
    }
    char *end;
    size_t n = 0;
    for (float want; want = strtof(numbers, &end), end != numbers; numbers = end, n++)
        far = got ? fmaxf(far, fabsf(got[n] - want)) : 1e9f;
    bool ok = n > 4 && far <= 2e-4f;
    if (!ok) printf("  %s: %s %s %s: farthest %.2g %s\n", type, what, key, value ? value : "", (double)far, e.message);
    CHECK(ok);
    free(got);
}

static void take_model(const char *name) {
    drawn_free(&model);
    bool ok = drawn_load(&model, name) && drawn_write_safetensors(&model, file_of("model.safetensors"));
    CHECK(ok);
    if (ok) reset();
}

static size_t n_lines;

static void try_change(const char *word, char *rest) {
    if (!strcmp(word, "class")) {
        class = hf_class_of(rest);
        snprintf(type, sizeof type, "%s", rest);
    }
    if (!strcmp(word, "model")) take_model(rest);
    bool set = !strcmp(word, "set"), drop = !strcmp(word, "drop"), also = !strcmp(word, "also");
    if (!set && !drop && !also) return;
    char *numbers = strchr(rest, '\t'), *value = drop ? NULL : strchr(rest, ' ');
    if (numbers) *numbers++ = 0;
    if (value) *value++ = 0;
    change(rest, value);
    if (also) return;
    if (n_lines++ % test_times(1, 3) == 0) check_change(word, rest, value, numbers);
    reset();
}

static void every_key_does_what_it_does(void) {
    each_line(try_change);
    printf("  %zu changes, %zu of them refused\n", n_changes, n_refused);
    CHECK(n_changes > test_times(1000, 300) && n_refused > test_times(10, 2));
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(every_field_has_a_place);
    RUN(every_key_does_what_it_does);
    drawn_free(&model);
    free(config);
    unlink(file_of("config.json"));
    unlink(file_of("model.safetensors"));
    rmdir(folder);
    return test_end();
}
