// What gyr.h promises of its structs, and of calls that fail before they have done anything.
#include "gyr.h"
#include "poet.h"
#include "test.h"

static gyr_model *poet;
static gyr_error err;

static void refused(gyr_status status) {
    CHECK_INT(status, GYR_USAGE);
    CHECK_INT(err.status, GYR_USAGE);
    CHECK_STR(err.message,
              "options: a member that this version does not know is set; zero the struct, or use a newer gyr");
    err = (gyr_error){0};
}

static void refused_pointer(const void *made) {
    CHECK(!made);
    refused(GYR_USAGE);
}

// The first and the last of each, since a loop over too few would miss that.
#define SET_EACH(o, call)                                                                                              \
    for (size_t last = sizeof(o).reserved / sizeof *(o).reserved - 1, at = 0; at <= last; at += last ? last : 1) {     \
        (o).reserved[at] = 1;                                                                                          \
        call;                                                                                                          \
        (o).reserved[at] = 0;                                                                                          \
    }

static void options_of_a_later_version_are_refused(void) {
    gyr_model_options open = {.threads = 1};
    SET_EACH(open, refused_pointer(gyr_model_open(poet_path(), &open, &err)));
    SET_EACH(open, refused_pointer(gyr_model_open_memory("m", "GGUF", 4, &open, &err)));
    gyr_pull_options pull = {.name = "hf:a/b"};
    SET_EACH(pull, refused_pointer(gyr_pull(&pull, &err)));
    SET_EACH(pull, refused_pointer(gyr_pull_preview(&pull, &err)));
    gyr_synth_options synth = {.shape = "falcon-7b", .type = "q4_0", .output = "/nonexistent/x.gguf"};
    SET_EACH(synth, refused(gyr_synth(&synth, &err)));
    gyr_quantize_options quantize = {.input = poet_path(), .output = "/nonexistent/x.gguf", .type = "q4_0"};
    SET_EACH(quantize, refused(gyr_quantize(&quantize, &err)));
    gyr_convert_options convert = {.input = poet_path(), .output = "/nonexistent/x.gguf"};
    SET_EACH(convert, refused(gyr_convert(&convert, &err)));
}

static void so_are_those_of_sessions(void) {
    gyr_session_options session = {.context = 16};
    SET_EACH(session, refused_pointer(gyr_session_new(poet, &session, &err)));
    gyr_session *s = gyr_session_new(poet, &session, &err);
    REQUIRE(s);
    const int32_t ids[] = {1, 2};
    gyr_input in[2] = {{.session = s, .ids = ids, .count = 2}, {.session = s}};
    SET_EACH(in[0], refused(gyr_sessions_feed(in, 1, &err)));
    SET_EACH(in[1], refused(gyr_sessions_feed(in, 2, &err)));
    CHECK_INT(gyr_session_length(s), 0);
    CHECK_INT(gyr_sessions_feed(in, 1, &err), GYR_OK);
    gyr_sampling sampling;
    int32_t id;
    gyr_sampling_defaults(poet, &sampling);
    SET_EACH(sampling, refused(gyr_session_sample(s, &sampling, 0, &id, &err)));
    CHECK_INT(gyr_session_sample(s, &sampling, 0, &id, &err), GYR_OK);
    gyr_generate_options generate = {.sampling = &sampling, .max_tokens = 1};
    SET_EACH(generate, refused_pointer(gyr_answer_new(s, ids, 1, &generate, &err)));
    SET_EACH(sampling, refused(gyr_generate(s, ids, 1, &generate, NULL, &err)));
    CHECK_INT(gyr_session_length(s), 2);
    gyr_session_free(s);
}

// What is filled in has no leftovers in the room for later versions, whatever was there.
static void what_comes_out_is_zero_there(void) {
    gyr_model_info model;
    gyr_device_info device;
    gyr_sampling sampling;
    gyr_work work;
    gyr_roofs roofs;
    memset(&model, 0xff, sizeof model);
    memset(&device, 0xff, sizeof device);
    memset(&sampling, 0xff, sizeof sampling);
    memset(&work, 0xff, sizeof work);
    memset(&roofs, 0xff, sizeof roofs);
    gyr_model_get_info(poet, &model);
    CHECK_INT(gyr_device_get_info(0, &device, &err), GYR_OK);
    gyr_sampling_defaults(poet, &sampling);
    gyr_model_get_work(poet, GYR_KV_DEFAULT, 1, 1, 0, &work);
    CHECK_INT(gyr_measure_roofs(1, 0.01, &roofs, &err), GYR_OK);
    static const uint64_t zero[8];
    CHECK(!memcmp(model.reserved, zero, sizeof model.reserved));
    CHECK(!memcmp(device.reserved, zero, sizeof device.reserved));
    CHECK(!memcmp(sampling.reserved, zero, sizeof sampling.reserved));
    CHECK(!memcmp(work.reserved, zero, sizeof work.reserved));
    CHECK(!memcmp(roofs.reserved, zero, sizeof roofs.reserved));
}

static void measuring_can_fail(void) {
    double rate = 0;
    gyr_roofs roofs = {0};
    CHECK_INT(gyr_measure_bandwidth(2, 0.02, &rate, &err), GYR_OK);
    CHECK(rate > 1e7);
    setenv("GYR_ISA", "abacus", 1);
    CHECK_INT(gyr_measure_bandwidth(2, 0.02, &rate, &err), GYR_USAGE);
    CHECK(rate == 0);
    CHECK(!strncmp(err.message, "instruction set abacus: not known", 33));
    CHECK_INT(gyr_measure_bandwidth(2, 0.02, &rate, NULL), GYR_USAGE);
    CHECK_INT(gyr_measure_roofs(2, 0.02, &roofs, &err), GYR_USAGE);
    unsetenv("GYR_ISA");
}

int main(void) {
    poet = gyr_model_open(poet_path(), &(gyr_model_options){.threads = 2}, &err);
    if (!poet) {
        printf("%s\n0 passed, 1 failed, 0 skipped\n", err.message);
        return 1;
    }
    RUN(options_of_a_later_version_are_refused);
    RUN(so_are_those_of_sessions);
    RUN(what_comes_out_is_zero_there);
    RUN(measuring_can_fail);
    gyr_model_close(poet);
    return test_end();
}
