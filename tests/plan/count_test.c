// What the counting device counts, against sums made by hand.
#include "model/synth.h"
#include "plan/demand.h"
#include "plan/rates.h"
#include "test.h"

static struct demand demand_of(const char *shape, const char *type, struct usage u) {
    struct demand d = {0};
    gyr_error e = {0};
    struct checkpoint *c = synth_hollow(shape, type, &e);
    bool ok = c && usage_settle(&u, c, &e) && demand_count(&d, c, &u, &e);
    if (!ok) printf("  %s: %s\n", shape, e.message);
    CHECK(ok);
    checkpoint_close(c);
    return d;
}

static double sum(const struct step *s, enum work work, size_t member) {
    double all = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->ops[i].work == work)
            all += *(const double *)(const void *)((const char *)&s->ops[i] + member) * (double)s->ops[i].calls;
    return all;
}
#define SUM(step, work, member) sum(step, work, offsetof(struct counted, member))

static bool near(double x, double want) { return fabs(x - want) <= want * 1e-9; }

// Llama 3 8B: 32 layers of queries 4096, keys and values 1024 each, output 4096, three of 14336; 128256 words.
static void a_llama_is_counted(void) {
    struct demand d =
        demand_of("llama-3-8b", "f16", (struct usage){.users = 1, .context = 1024, .prompt = 512, .rows = 512});
    double layer = 4096.0 * (4096 + 1024 + 1024 + 4096 + 3 * 14336), words = 4096.0 * 128256;
    CHECK(near(d.layer, 2 * layer));
    CHECK(near(d.rest, 2 * 2 * words)); // the table and the output matrix
    CHECK(near(SUM(&d.answer, WORK_PRODUCT, weights), 2 * (32 * layer + words)));
    CHECK(near(SUM(&d.answer, WORK_PRODUCT, ops), 2 * (32 * layer + words)));
    CHECK(near(SUM(&d.prompt, WORK_PRODUCT, ops), 2 * (512 * 32 * layer + words))); // logits of the last token alone
    CHECK(near(d.cache, 1024.0 * 32 * 2 * 8 * 128 * 2));
    // The answer's token stands at 768 and sees 769 positions.
    CHECK(near(SUM(&d.answer, WORK_ATTENTION, cache), 769.0 * 32 * 2 * 8 * 128 * 2));
    CHECK(near(SUM(&d.answer, WORK_ATTENTION, ops), 769.0 * 32 * 32 * (4 * 128 + 8)));
    CHECK(near(SUM(&d.prompt, WORK_ATTENTION, ops), 512.0 * 513 / 2 * 32 * 32 * (4 * 128 + 8)));
    CHECK_INT(d.parameters, 8030261248);
    demand_free(&d);
}

// Products of which none waits for another are one call: queries, keys and values; gates and what they gate.
static void calls_are_counted_as_made(void) {
    struct demand d = demand_of("llama-3-8b", "f16", (struct usage){.users = 1, .context = 64, .rows = 512});
    uint64_t calls = 0, beside = 0;
    for (size_t i = 0; i < d.answer.n; i++)
        if (d.answer.ops[i].work == WORK_PRODUCT) *(d.answer.ops[i].beside ? &beside : &calls) += d.answer.ops[i].calls;
    CHECK_INT(calls, 32 * 4 + 1);
    CHECK_INT(beside, 32 * 3);
    demand_free(&d);
}

static void users_share_weights_and_not_caches(void) {
    struct usage one = {.users = 1, .context = 512, .prompt = 64, .rows = 512}, many = one;
    many.users = 16;
    struct demand a = demand_of("llama-3-8b", "q4_0", one), b = demand_of("llama-3-8b", "q4_0", many);
    CHECK(near(SUM(&b.answer, WORK_PRODUCT, weights), SUM(&a.answer, WORK_PRODUCT, weights)));
    CHECK(near(SUM(&b.answer, WORK_PRODUCT, ops), 16 * SUM(&a.answer, WORK_PRODUCT, ops)));
    CHECK(near(SUM(&b.answer, WORK_ATTENTION, cache), 16 * SUM(&a.answer, WORK_ATTENTION, cache)));
    CHECK(near(b.cache, 16 * a.cache));
    demand_free(&a);
    demand_free(&b);
}

// A window bounds what layers see; Gemma 3 has it in five of six.
static void windows_are_seen(void) {
    struct usage near_by = {.users = 1, .context = 2048, .prompt = 16, .rows = 512}, far = near_by;
    far.context = 65536;
    struct demand a = demand_of("gemma-3-4b", "q4_0", near_by), b = demand_of("gemma-3-4b", "q4_0", far);
    double seen_a = SUM(&a.answer, WORK_ATTENTION, ops), seen_b = SUM(&b.answer, WORK_ATTENTION, ops);
    // 34 layers, 29 with a window of 1024: positions 1033 and 32777.
    CHECK(near(seen_a / seen_b, (29 * 1024.0 + 5 * 1033) / (29 * 1024.0 + 5 * 32777)));
    demand_free(&a);
    demand_free(&b);
}

// Two of eight experts, one row; many rows ask for all of them, and no more than that.
static void experts_are_counted_as_chosen(void) {
    struct usage one = {.users = 1, .context = 256, .prompt = 128, .rows = 512};
    struct demand d = demand_of("mixtral-8x7b", "q4_0", one);
    double dense = 4096.0 * (4096 + 1024 + 1024 + 4096), expert = 3 * 4096.0 * 14336, words = 4096.0 * 32000;
    double ops = 2 * (32 * (dense + 2 * expert + 8 * 4096) + words);
    CHECK(near(SUM(&d.answer, WORK_PRODUCT, ops), ops));
    double all = (32 * (dense + 8 * expert) + words) * 18 / 32 + 32 * 8 * 4096 * 4;
    CHECK(SUM(&d.prompt, WORK_PRODUCT, weights) <= all * (1 + 1e-9));
    CHECK(SUM(&d.prompt, WORK_PRODUCT, weights) > all * 0.999);
    demand_free(&d);
}

static void a_context_beyond_the_model_is_refused(void) {
    gyr_error e = {0};
    struct usage u = {.users = 1, .context = 100000, .rows = 512};
    struct checkpoint *c = synth_hollow("falcon-7b", "q4_0", &e);
    REQUIRE(c != NULL);
    CHECK(!usage_settle(&u, c, &e));
    CHECK_INT(e.status, GYR_USAGE);
    CHECK(strstr(e.message, "falcon-7b: a context of 100000 tokens") != NULL);
    checkpoint_close(c);
}

static void a_shape_takes_no_room(void) {
    gyr_error e = {0};
    struct checkpoint *c = synth_hollow("falcon-180b", "f32", &e);
    if (!c) printf("  %s\n", e.message);
    REQUIRE(c != NULL);
    checkpoint_close(c);
    CHECK(access("/tmp/gyr-falcon-180b", F_OK));
    CHECK(!synth_hollow("falcon-181b", "f16", &e));
    CHECK(!synth_hollow("falcon-180b", "f17", &e) && e.status == GYR_USAGE);
}

int main(void) {
    RUN(a_llama_is_counted);
    RUN(calls_are_counted_as_made);
    RUN(users_share_weights_and_not_caches);
    RUN(windows_are_seen);
    RUN(experts_are_counted_as_chosen);
    RUN(a_context_beyond_the_model_is_refused);
    RUN(a_shape_takes_no_room);
    return test_end();
}
