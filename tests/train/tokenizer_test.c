// Vocabularies learned from texts: the merges of Hugging Face's tokenizers (tools/goldens/learned.py) for each way to
// cut texts into words, the same bytes on any number of threads, and data that is refused.
#include "../test.h"
#include "gyr.h"

#include <sys/stat.h>

static char folder[] = "/tmp/gyr-learn-XXXXXX";

enum { MOST = 1 << 17 };

static const char *file_of(const char *name) {
    static char room[8][200];
    static int turn;
    char *path = room[turn++ % 8];
    snprintf(path, sizeof room[0], "%s/%s", folder, name);
    return path;
}

static size_t read_all(const char *path, char *to) {
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(to, 1, MOST - 1, f) : 0;
    to[n] = 0;
    if (f) fclose(f);
    return n;
}

static void write_all(const char *path, const char *text, size_t n) {
    FILE *f = fopen(path, "wb");
    if (f) fwrite(text, 1, n, f), fclose(f);
}

static const char *const special[] = {"<|endoftext|>", "<|x|>"};

static gyr_tokenizer_training options_of(const char *const *data, const char *output) {
    return (gyr_tokenizer_training){
        .data = data, .n_data = 1, .output = output, .size = 700, .special = special, .n_special = 2, .threads = 1};
}

// The next string of a JSON text from *at on: the texts' tokens have no escapes but these three.
static void next_string(const char **at, char *to) {
    for (*at = strchr(*at, '"') + 1; **at != '"'; (*at)++) {
        bool escaped = **at == '\\';
        *at += escaped;
        *to++ = escaped && **at == 't' ? '\t' : **at;
    }
    (*at)++;
    *to = 0;
}

static void merges_are_those_of_hugging_face(void) {
    static const char *const kinds[] = {"gpt-2", "llama-bpe", "qwen2", "sentencepiece"};
    static char json[MOST], golden[MOST];
    const char *data[] = {test_data("train/texts.jsonl")};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        gyr_error e = {0};
        gyr_tokenizer_trained done;
        char name[64], left[64], right[64], both[130];
        gyr_tokenizer_training o = options_of(data, file_of("kind"));
        o.pre = kinds[i];
        REQUIRE(gyr_train_tokenizer(&o, &done, &e) == GYR_OK);
        CHECK_INT(done.size, 700);
        CHECK_INT(done.texts, 24);
        read_all(file_of("kind/tokenizer.json"), json);
        snprintf(name, sizeof name, "train/learned-%s.txt", kinds[i]);
        REQUIRE(read_all(test_data(name), golden) > 1000);
        const char *at = strstr(json, "\"merges\": [") + strlen("\"merges\": ");
        size_t n = 0;
        char *rest, *line = strtok_r(golden, "\n", &rest);
        for (; line; line = strtok_r(NULL, "\n", &rest), n++) {
            next_string(&at, left);
            next_string(&at, right);
            snprintf(both, sizeof both, "%s %s", left, right);
            if (strcmp(both, line)) printf("  %s, merge %zu\n", kinds[i], n);
            CHECK_STR(both, line);
        }
        CHECK_INT(n, done.merges);
        CHECK(!strchr(at, '"')); // no more of them
    }
}

static void threads_change_no_byte(void) {
    static char one[MOST], other[MOST];
    const char *data[] = {test_data("train/texts.jsonl")}, *const kinds[] = {"sentencepiece", "gpt-2"};
    for (size_t i = 0; i < 2; i++) {
        gyr_error e = {0};
        gyr_tokenizer_training o = options_of(data, file_of("one"));
        o.pre = kinds[i];
        REQUIRE(gyr_train_tokenizer(&o, NULL, &e) == GYR_OK);
        o.threads = 3;
        o.output = file_of("other");
        REQUIRE(gyr_train_tokenizer(&o, NULL, &e) == GYR_OK);
        size_t n = read_all(file_of("one/tokenizer.json"), one);
        CHECK(n > 10000 && n == read_all(file_of("other/tokenizer.json"), other) && !memcmp(one, other, n));
    }
}

// A text of several pieces is learned from as if it were one.
static void pieces_change_nothing(void) {
    enum { TIMES = 100000 }; // three pieces
    static char short_one[MOST], long_one[MOST];
    static const char text[] = "the cat\nsat  on\n\n12 mats, 'tis\n";
    char *many = malloc(TIMES * (sizeof text - 1));
    REQUIRE(many);
    for (size_t i = 0; i < TIMES; i++) memcpy(many + i * (sizeof text - 1), text, sizeof text - 1);
    write_all(file_of("many.txt"), many, TIMES * (sizeof text - 1));
    gyr_error e = {0};
    gyr_tokenizer_trained a, b;
    const char *data[] = {file_of("many.txt")};
    gyr_tokenizer_training o = options_of(data, file_of("one"));
    o.size = 290;
    o.threads = 3;
    REQUIRE(gyr_train_tokenizer(&o, &a, &e) == GYR_OK);
    write_all(file_of("many.txt"), text, sizeof text - 1);
    o.output = file_of("other");
    REQUIRE(gyr_train_tokenizer(&o, &b, &e) == GYR_OK);
    CHECK_INT(a.words, b.words);
    CHECK_INT(a.merges, b.merges);
    CHECK(read_all(file_of("one/tokenizer.json"), long_one) == read_all(file_of("other/tokenizer.json"), short_one) &&
          !strcmp(long_one, short_one));
    free(many);
}

// Opens the tokenizer of a folder: a text's tokens are fewer than its bytes, and come back as the text.
static void use(const char *name, const char *text) {
    gyr_error e = {0};
    gyr_tokens t;
    size_t size;
    gyr_tokenizer *tok = gyr_tokenizer_open(file_of(name), &e);
    if (!tok) printf("  %s\n", e.message);
    REQUIRE(tok && gyr_tokenize(tok, text, strlen(text), 0, &t, &e) == GYR_OK);
    char *back = gyr_detokenize(tok, t.ids, t.count, false, &size, &e);
    CHECK_STR(back, text);
    CHECK(t.count < strlen(text));
    gyr_free(back);
    gyr_free(t.ids);
    gyr_tokenizer_close(tok);
}

static void it_can_be_used_at_once(void) { use("one", "don't bad\xc3\xa9 \xf0\x9f\x98\x80\n\n"); }

// The 1,000 most frequent characters are tokens: one of 1,100 words, each a letter, has its own, and a rare one is
// bytes.
static void rare_characters_are_bytes(void) {
    static char many[MOST], text[] = "\xe4\xb8\x80\xe4\xb8\x80 \n \xe5\x8f\xbf", json[MOST];
    size_t n = 0;
    for (uint32_t c = 0x4e00; c < 0x4e00 + 1100; c++)
        for (int k = 0; k < (c < 0x4e00 + 900 ? 3 : 1); k++) {
            memcpy(many + n,
                   (char[]){(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63)), '\n'}, 4);
            n += 4;
        }
    write_all(file_of("many.txt"), many, n);
    gyr_error e = {0};
    gyr_tokenizer_trained done;
    const char *data[] = {file_of("many.txt")};
    gyr_tokenizer_training o = {
        .data = data, .n_data = 1, .output = file_of("rare"), .pre = "sentencepiece", .least = 2};
    REQUIRE(gyr_train_tokenizer(&o, &done, &e) == GYR_OK);
    CHECK_INT(done.size, 3 + 256 + 1000); // the line end and the space among them
    CHECK_INT(done.merges, 0);
    CHECK(read_all(file_of("rare/tokenizer_config.json"), json) && strstr(json, "\"bos_token\": \"<s>\"") &&
          strstr(json, "\"eos_token\": \"</s>\"") && strstr(json, "\"unk_token\": \"<unk>\""));
    use("rare", text);
    o.size = 258;
    CHECK_INT(gyr_train_tokenizer(&o, NULL, &e), GYR_USAGE);
    CHECK_STR(e.message, "vocabulary of 258 tokens: 259 for bytes and special tokens is the least");
}

static void what_is_wrong_is_told(void) {
    static const struct {
        const char *name, *text, *why;
        gyr_status status;
    } tries[] = {{"bad.jsonl", "{\"text\": \"a\"}\nb\n", "bad.jsonl:2:1:", GYR_MALFORMED},
                 {"bad.jsonl", "[1]\n", "bad.jsonl:1: is no JSON object", GYR_MALFORMED},
                 {"bad.jsonl", "{}\n", "bad.jsonl:1: has no \"text\"", GYR_MALFORMED},
                 {"bad.jsonl", "{\"text\": 1}\n", "bad.jsonl:1: its \"text\" is no text", GYR_MALFORMED},
                 {"bad.jsonl", "{\"messages\": []}\n", "is a conversation and no \"text\"", GYR_MALFORMED},
                 {"bad.jsonl", "{\"text\": \"\"}\n", "bad.jsonl: has no text", GYR_MALFORMED},
                 {"bad.txt", "", "bad.txt: has no text", GYR_MALFORMED},
                 {"bad.txt", "a\nb\xff", "bad.txt:2: is not UTF-8", GYR_MALFORMED},
                 {"bad.txt", "\x1f\x8b\x08", "bad.txt: is compressed", GYR_UNSUPPORTED},
                 {"bad.txt", "<|x|> the", NULL, GYR_OK}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        gyr_error e = {0};
        const char *data[] = {file_of(tries[i].name)};
        write_all(data[0], tries[i].text, strlen(tries[i].text));
        gyr_tokenizer_training o = options_of(data, file_of("bad"));
        CHECK_INT(gyr_train_tokenizer(&o, NULL, &e), tries[i].status);
        if (!tries[i].why) continue;
        if (!strstr(e.message, tries[i].why)) printf("  %s\n  not: %s\n", e.message, tries[i].why);
        CHECK(strstr(e.message, tries[i].why));
    }
}

static void special_tokens_are_checked(void) {
    static const struct {
        const char *special[2], *why;
    } tries[] = {{{"<|a|>", "<|a|>"}, "special token \"<|a|>\": is given twice"},
                 {{"<|a|>", "a\xff"}, "is not UTF-8"},
                 {{"<|a|>", "a"}, "special token \"a\": is too short"},
                 {{"<|a|>", "cat"}, "special token \"cat\": the texts have it as a word"}};
    write_all(file_of("cat.txt"), "cat cat", 7);
    const char *data[] = {file_of("cat.txt")};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        gyr_error e = {0};
        gyr_tokenizer_training o = options_of(data, file_of("bad"));
        o.special = tries[i].special;
        CHECK_INT(gyr_train_tokenizer(&o, NULL, &e), GYR_USAGE);
        if (!strstr(e.message, tries[i].why)) printf("  %s\n  not: %s\n", e.message, tries[i].why);
        CHECK(strstr(e.message, tries[i].why));
    }
    gyr_error e = {0};
    gyr_tokenizer_training o = options_of(data, file_of("bad"));
    o.size = 257;
    CHECK_INT(gyr_train_tokenizer(&o, NULL, &e), GYR_USAGE);
    CHECK_STR(e.message, "vocabulary of 257 tokens: 258 for bytes and special tokens is the least");
    o.size = 300;
    o.output = file_of("cat.txt");
    CHECK_INT(gyr_train_tokenizer(&o, NULL, &e), GYR_IO);
    CHECK(strstr(e.message, "is no folder"));
}

static bool stop(void *user, double fraction) {
    (void)user;
    return fraction < 0.7;
}

static void it_can_be_stopped(void) {
    const char *data[] = {test_data("train/texts.jsonl")};
    gyr_error e = {0};
    gyr_tokenizer_training o = options_of(data, file_of("stopped"));
    o.progress = stop;
    CHECK_INT(gyr_train_tokenizer(&o, NULL, &e), GYR_CANCELLED);
    CHECK(access(file_of("stopped/tokenizer.json"), F_OK));
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    RUN(merges_are_those_of_hugging_face);
    RUN(threads_change_no_byte);
    RUN(pieces_change_nothing);
    RUN(it_can_be_used_at_once);
    RUN(rare_characters_are_bytes);
    RUN(what_is_wrong_is_told);
    RUN(special_tokens_are_checked);
    RUN(it_can_be_stopped);
    char remove[64];
    snprintf(remove, sizeof remove, "rm -r %s", folder);
    return system(remove) | test_end();
}
