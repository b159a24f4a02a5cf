#include "base/utf8.h"
#include "engine/stream.h"
#include "test.h"

static struct buf out;
static int pieces, allowed;

static bool collect(void *user, const char *text, size_t size) {
    CHECK(utf8_valid(text, size));
    CHECK(size > 0);
    buf_append(&out, text, size);
    return ++pieces < allowed;
}

// Feeds `text` in steps of `step` bytes; returns the last state.
static enum stream_state feed(const char *text, size_t step, const char *const *stop, size_t stops) {
    struct stream s = {.stop = stop, .stop_count = stops, .piece = collect};
    enum stream_state state = STREAM_GOES_ON;
    size_t size = strlen(text);
    buf_clear(&out);
    pieces = 0;
    for (size_t i = 0; i < size && state == STREAM_GOES_ON; i += step)
        state = stream_put(&s, text + i, size - i < step ? size - i : step);
    if (state == STREAM_GOES_ON) state = stream_end(&s);
    stream_free(&s);
    return state;
}

static void characters_stay_whole(void) {
    const char *text = "gyr \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\xa6\x85\xf0\x9f\x8f\xbd!";
    for (size_t step = 1; step < 12; step++) {
        CHECK_INT(feed(text, step, NULL, 0), STREAM_GOES_ON);
        CHECK_STR(out.data, text);
    }
}

#define MARK "\xef\xbf\xbd"

// As Python's bytes.decode(errors="replace") and Rust's String::from_utf8_lossy() count them.
static void broken_bytes_become_marks(void) {
    static const char *const cases[][2] = {
        {"a\xff\x80z\xe4\xb8", "a" MARK MARK "z" MARK},
        {"\xf0\x9f\xa6z", MARK "z"},
        {"\xf0\x9f\xf0\x9f\xa6\x85", MARK "\xf0\x9f\xa6\x85"},
        {"\xe0\x80\xaf", MARK MARK MARK},          // overlong
        {"\xed\xa0\x80", MARK MARK MARK},          // a surrogate
        {"\xf4\x90\x80\x80", MARK MARK MARK MARK}, // beyond Unicode
        {"\xc2\xc3\xa9", MARK "\xc3\xa9"},
        {"\xf1\x80\x80", MARK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 5; step++) {
            feed(cases[i][0], step, NULL, 0);
            CHECK_STR(out.data, cases[i][1]);
        }
}

static void stop_strings_never_show(void) {
    static const char *const stop[] = {"END", "\n\nUser:", "ENTER"};
    for (size_t step = 1; step < 12; step++) {
        CHECK_INT(feed("it is the END of it", step, stop, 3), STREAM_STOPPED);
        CHECK_STR(out.data, "it is the ");
        CHECK_INT(feed("EN EEND", step, stop, 3), STREAM_STOPPED);
        CHECK_STR(out.data, "EN E");
        CHECK_INT(feed("no EN", step, stop, 3), STREAM_GOES_ON); // what was held back comes at the end
        CHECK_STR(out.data, "no EN");
        CHECK_INT(feed("ok\n\n\nUser: hi", step, stop, 3), STREAM_STOPPED);
        CHECK_STR(out.data, "ok\n");
        CHECK_INT(feed("ENTEND", step, stop, 3), STREAM_STOPPED);
        CHECK_STR(out.data, "ENT");
        CHECK_INT(feed("END", step, stop, 3), STREAM_STOPPED);
        CHECK_STR(out.data, "");
    }
}

static void nothing_is_held_without_need(void) {
    static const char *const stop[] = {"STOP"};
    struct stream s = {.stop = stop, .stop_count = 1, .piece = collect};
    buf_clear(&out);
    stream_put(&s, "to S", 4);
    CHECK_STR(out.data, "to ");
    stream_put(&s, "!", 1);
    CHECK_STR(out.data, "to S!");
    stream_free(&s);
}

static void the_caller_can_stop(void) {
    allowed = 2;
    CHECK_INT(feed("abcdef", 1, NULL, 0), STREAM_CANCELLED);
    CHECK_STR(out.data, "ab");
    allowed = 1 << 30;
}

int main(void) {
    allowed = 1 << 30;
    RUN(characters_stay_whole);
    RUN(broken_bytes_become_marks);
    RUN(stop_strings_never_show);
    RUN(nothing_is_held_without_need);
    RUN(the_caller_can_stop);
    buf_free(&out);
    return test_end();
}
