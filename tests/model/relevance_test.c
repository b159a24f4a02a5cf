// The cross-encoders of tests/data/relevance against transformers, from a Hugging Face folder, from a GGUF file and
// converted. And the contract: what a pair is given is the same bytes whoever else is there, whatever the threads and
// the instruction set.
#include "drawn.h"
#include "engine/poet.h"
#include "far.h"
#include "sets_here.h"

#include <math.h>
#include <sys/stat.h>

enum { PAIRS = 6, MAX_TOKENS = 600 };
static const float tolerance = 2e-5f;
static char folder[] = "/tmp/gyr-relevance-XXXXXX";

static struct drawn all;
static int32_t ids[PAIRS][MAX_TOKENS];
static gyr_pair pairs[PAIRS];
static float want[PAIRS];

static const char *file_of(const char *name) { return drawn_file(folder, name); }

static bool take_scores(const char *line) {
    int used = 0;
    size_t i = 0;
    uint32_t bits;
    sscanf(line, "scores %*d%n", &used);
    for (int more; i < PAIRS && sscanf(line += used, "%x%n", &bits, &more) == 1; used = more) {
        memcpy(&want[i++], &bits, sizeof bits);
    }
    return i == PAIRS;
}

static bool take_line(char *line, size_t *filled) {
    int32_t numbers[MAX_DRAWN];
    line[strcspn(line, "\n")] = 0;
    if (drawn_starts(line, "scores ")) return take_scores(line);
    bool seconds = drawn_starts(line, "seconds ");
    if (!seconds && !drawn_starts(line, "lengths ")) return drawn_line(&all, line, filled);
    if (drawn_ids(line, seconds ? "seconds" : "lengths", numbers) != PAIRS) return false;
    for (size_t k = 0; k < PAIRS; k++) {
        if (seconds) {
            pairs[k].second = (size_t)numbers[k];
            continue;
        }
        pairs[k] = (gyr_pair){ids[k], (size_t)numbers[k], 0};
        for (size_t i = 0; i < pairs[k].count; i++)
            ids[k][i] = (int32_t)((3 * i * i + 7 * i + 11 * k) % (size_t)(all.vocab - 3)) + 3;
    }
    return true;
}

static bool load(const char *name) {
    char path[160];
    size_t filled = 0;
    gyr_error e = {0};
    char *line = malloc(DRAWN_LINE);
    snprintf(path, sizeof path, "relevance/%.60s.txt", name);
    FILE *f = fopen(test_data(path), "r");
    bool ok = f && line;
    memset(&all, 0, sizeof all);
    while (ok && fgets(line, DRAWN_LINE, f)) ok = take_line(line, &filled);
    if (f) fclose(f);
    free(line);
    return ok && drawn_write_text(file_of("config.json"), all.config) &&
           drawn_write_safetensors(&all, file_of("model.safetensors")) &&
           drawn_write_gguf(&all, file_of("model.gguf"), &e);
}

static void unload(void) {
    char command[160];
    drawn_free(&all);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_INT(system(command), 0);
    CHECK_INT(mkdir(folder, 0777), 0);
}

static bool judge(const char *path, unsigned threads, const gyr_pair *some, size_t n, float *out) {
    gyr_error e = {0};
    gyr_model *m = gyr_model_open(path, &(gyr_model_options){.threads = threads}, &e);
    gyr_model_info info = {0};
    if (m) gyr_model_get_info(m, &info);
    bool ok = m && info.relevance && info.encoder && !info.embedding && !gyr_relevance(m, some, n, out, &e);
    if (!ok) printf("  %s: %s\n", path, e.message);
    gyr_model_close(m);
    return ok;
}

static void check_file(const char *name, const char *path, float *got) {
    REQUIRE(judge(path, 2, pairs, PAIRS, got));
    float far = farthest(got, want, PAIRS);
    if (!(far <= tolerance)) printf("  %s %s: farthest %.2g\n", name, path, (double)far);
    CHECK(far <= tolerance);
}

// Each pair by itself, and all of them many times over in another order.
static void check_neighbours(const float *got) {
    enum { MANY = 90 };
    gyr_pair many[MANY];
    float out[MANY], one;
    size_t n = test_times(MANY, 12);
    for (size_t i = 0; i < n; i++) many[i] = pairs[(i * 5 + i / 7) % (i % 40 ? 4 : PAIRS)];
    REQUIRE(judge(folder, 3, many, n, out));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < PAIRS; k++)
            if (many[i].ids == pairs[k].ids) CHECK(!memcmp(&out[i], &got[k], sizeof *got));
    for (size_t k = 0; k < PAIRS; k++) {
        CHECK(judge(folder, 1, &pairs[k], 1, &one));
        CHECK(!memcmp(&one, &got[k], sizeof one));
    }
}

static void check_sets(const float *got) {
    char *before = getenv("GYR_ISA") ? strdup(getenv("GYR_ISA")) : NULL;
    float out[PAIRS];
    for (int i = 0; i < SETS; i++) {
        if (!sets_here(sets[i])) continue;
        setenv("GYR_ISA", sets[i], 1);
        CHECK(judge(folder, 2, pairs, PAIRS, out));
        CHECK(!memcmp(out, got, sizeof out));
    }
    unsetenv("GYR_ISA");
    if (before) setenv("GYR_ISA", before, 1);
    free(before);
}

static void check(const char *name) {
    float got[PAIRS], there[PAIRS];
    gyr_error e = {0};
    REQUIRE(load(name));
    check_file(name, folder, got);
    check_file(name, file_of("model.gguf"), there);
    CHECK(!memcmp(got, there, sizeof got));
    gyr_convert_options o = {.input = folder, .output = file_of("got.gguf")};
    CHECK_INT(gyr_convert(&o, &e), GYR_OK);
    if (e.status) printf("  %s\n", e.message);
    check_file(name, file_of("got.gguf"), there);
    CHECK(!memcmp(got, there, sizeof got));
    check_neighbours(got);
    check_sets(got);
    unload();
}

static void pairs_are_judged_as_by_transformers(void) {
    check("bert");
    check("xlm-roberta");
}

// Where the second text begins counts where the model has types of tokens, and only there.
static void types_of_tokens_count(void) {
    float a = 0, b = 0;
    gyr_pair moved = {ids[2], 40, 20};
    REQUIRE(load("bert"));
    CHECK(judge(folder, 1, &pairs[2], 1, &a) && judge(folder, 1, &moved, 1, &b));
    CHECK(a != b);
    unload();
    REQUIRE(load("xlm-roberta"));
    CHECK(judge(folder, 1, &pairs[2], 1, &a) && judge(folder, 1, &moved, 1, &b));
    CHECK(a == b);
    unload();
}

static void what_cannot_be_is_told(void) {
    float out[PAIRS];
    gyr_error e = {0};
    gyr_pair pair;
    int32_t many[641] = {0};
    REQUIRE(load("bert"));
    gyr_model *m = gyr_model_open(folder, NULL, &e), *poet = gyr_model_open(poet_path(), NULL, &e);
    REQUIRE(m && poet);
    gyr_tokens text = {ids[0], 3};
    CHECK_INT(gyr_embed(m, &text, 1, NULL, out, &e), GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "no embeddings: it says how relevant a text is to another"));
    CHECK_INT(gyr_relevance(m, &(gyr_pair){many, 641, 3}, 1, out, &e), GYR_TOO_LONG);
    CHECK_INT(gyr_relevance(m, &(gyr_pair){many, 0, 0}, 1, out, &e), GYR_USAGE);
    many[1] = 64;
    CHECK_INT(gyr_relevance(m, &(gyr_pair){many, 3, 1}, 1, out, &e), GYR_USAGE);
    CHECK_INT(gyr_relevance(m, NULL, 0, out, &e), GYR_OK);
    CHECK_INT(gyr_pair_new(m, "a", 1, "b", 1, &pair, &e), GYR_UNSUPPORTED); // no tokenizer
    CHECK_INT(gyr_relevance(poet, pairs, 1, out, &e), GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "is no cross-encoder"));
    CHECK_INT(gyr_pair_new(poet, "a", 1, "b", 1, &pair, &e), GYR_UNSUPPORTED);
    CHECK(!pair.ids);
    gyr_model_close(m);
    gyr_model_close(poet);
    unload();
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    sets_report(sets_here);
    RUN(pairs_are_judged_as_by_transformers);
    RUN(types_of_tokens_count);
    RUN(what_cannot_be_is_told);
    rmdir(folder);
    return test_end();
}
