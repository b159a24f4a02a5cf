// Forms: those that clients send, and those that nobody should.
#include "test.h"

#include "server/multipart.h"

static const char form[] = "multipart/form-data; boundary=xyz";
static struct multipart m;
static struct multipart_part part;

static bool begin(const char *type, const char *body) {
    gyr_error e = {0};
    if (multipart_begin(&m, type, body, strlen(body), &e)) return true;
    CHECK_INT(e.status, GYR_MALFORMED);
    printf("%s\n", e.message);
    return false;
}

static bool next(void) {
    gyr_error e = {0};
    bool there = multipart_next(&m, &part, &e);
    CHECK(there || m.ended || e.status == GYR_MALFORMED);
    return there;
}

static bool data_is(const char *want) {
    return part.data.size == strlen(want) && !memcmp(part.data.data, want, part.data.size);
}

static void fields_and_files_are_told_apart(void) {
    REQUIRE(begin("Multipart/Form-Data;charset=utf-8; boundary=\"xyz\"",
                  "ignored\r\n--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--xyz  \r\n"
                  "content-type: application/jsonl\r\nContent-Disposition: form-data; name=\"file\"; "
                  "filename=\"in.jsonl\"\r\nX-Other: a\r\n\r\n{}\r\n--xy\r\n-\r\n\r\n--xyz--\r\nalso ignored"));
    CHECK(next());
    CHECK_STR(part.name, "purpose");
    CHECK_STR(part.filename, "");
    CHECK_STR(part.type, "");
    CHECK(data_is("batch"));
    CHECK(next());
    CHECK_STR(part.name, "file");
    CHECK_STR(part.filename, "in.jsonl");
    CHECK_STR(part.type, "application/jsonl");
    CHECK(data_is("{}\r\n--xy\r\n-\r\n"));
    CHECK(!next() && m.ended && !next());
}

static void parts_may_be_empty(void) {
    REQUIRE(begin(form, "--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--xyz\r\n"
                        "Content-Disposition: form-data; name=b\r\n\r\n--xyz--"));
    CHECK(next() && data_is("") && !strcmp(part.name, "a"));
    CHECK(next() && data_is("") && !strcmp(part.name, "b"));
    CHECK(!next() && m.ended);
    REQUIRE(begin(form, "--xyz--"));
    CHECK(!next() && m.ended);
}

static const char *filename(const char *parameter) {
    char body[1024];
    snprintf(body, sizeof body, "--xyz\r\nContent-Disposition: form-data; name=\"f\"; %s\r\n\r\nx\r\n--xyz--",
             parameter);
    if (!begin(form, body) || !next()) return NULL;
    return part.filename;
}

static void names_of_files_lose_their_folders(void) {
    CHECK_STR(filename("filename=\"../../etc/passwd\""), "passwd");
    CHECK_STR(filename("filename=\"C:\\Users\\me\\in.jsonl\""), "in.jsonl");
    CHECK_STR(filename("filename=\"a \\\"b\\\" %22c%22.txt\""), "a \"b\" %22c%22.txt");
    CHECK_STR(filename("filename=\"\xc3\xa4;x=1.txt\"; other=1"), "\xc3\xa4;x=1.txt");
    CHECK_STR(filename("filename=\"/\""), "");
    CHECK_STR(filename("filename*=utf-8''x"), "");
    CHECK(!filename("filename=\"\xff\""));
    CHECK(!filename("filename=\"a\tb\""));
    CHECK(!filename("filename=\"a"));
    CHECK(!filename("filename=a; filename=b"));
    CHECK(!filename("filename="));
    CHECK(!filename("filename"));
}

// Each ends in one line; the ones before the last were fine.
static void broken_forms_are_refused(void) {
    static const struct {
        const char *body, *message;
        int parts;
    } tries[] = {
        {"", "the body has no boundary", 0},
        {"--xy\r\n", "the body has no boundary", 0},
        {"x--xyz\r\n", "the body has no boundary", 0},
        {"--xyz", "a boundary is followed by something else than a line end", 0},
        {"--xyzz\r\n", "a boundary is followed by something else than a line end", 0},
        {"--xyz\r\n", "a part's headers do not end, or are longer than 8 KiB", 0},
        {"--xyz\r\n\r\nx\r\n--xyz--", "a part has no content-disposition header", 0},
        {"--xyz\r\nfoo\r\n\r\n", "a part has a header that is not well written", 0},
        {"--xyz\r\n: x\r\n\r\n", "a part has a header that is not well written", 0},
        {"--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\n", "a part is not form-data", 0},
        {"--xyz\r\nContent-Disposition: form-data\r\n\r\n",
         "a part has no name, or one that is too long or not well written", 0},
        {"--xyz\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n",
         "a part has no name, or one that is too long or not well written", 0},
        {"--xyz\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n",
         "a part has two content-disposition headers", 0},
        {"--xyz\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n",
         "a part is encoded; send it as it is", 0},
        {"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nabc",
         "the body ends before the boundary that closes it", 0},
        {"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n--xyz\r\n",
         "a part's headers do not end, or are longer than 8 KiB", 1},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        gyr_error e = {0};
        char want[200];
        int parts = 0;
        snprintf(want, sizeof want, "multipart/form-data: %s", tries[i].message);
        CHECK(multipart_begin(&m, form, tries[i].body, strlen(tries[i].body), &e));
        while (multipart_next(&m, &part, &e)) parts++;
        CHECK_INT(parts, tries[i].parts);
        CHECK(!m.ended && e.status == GYR_MALFORMED);
        CHECK_STR(e.message, want);
    }
}

static void other_types_are_refused(void) {
    static const char *const types[] = {
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"",
        "multipart/form-data; boundary=\"a\r\nb\"",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data boundary=x",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-datax; boundary=a",
        "multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        gyr_error e = {0};
        CHECK(!multipart_begin(&m, types[i], "", 0, &e));
        CHECK(e.status == GYR_MALFORMED && !strncmp(e.message, "multipart/form-data: ", 21));
    }
    CHECK(begin("multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
                ""));
}

static void there_is_an_end_to_parts_and_headers(void) {
    struct buf b = {0};
    gyr_error e = {0};
    int parts = 0;
    for (int i = 0; i < 65; i++) buf_puts(&b, "--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n");
    buf_puts(&b, "--xyz--");
    CHECK(multipart_begin(&m, form, b.data, b.size, &e));
    while (multipart_next(&m, &part, &e)) parts++;
    CHECK_INT(parts, 64);
    CHECK_STR(e.message, "multipart/form-data: the form has more than 64 parts");
    buf_clear(&b);
    buf_puts(&b, "--xyz\r\nContent-Disposition: form-data; name=a\r\nX: ");
    for (int i = 0; i < 9000; i++) buf_putc(&b, 'x');
    buf_puts(&b, "\r\n\r\nx\r\n--xyz--");
    CHECK(multipart_begin(&m, form, b.data, b.size, &e) && !multipart_next(&m, &part, &e));
    CHECK_STR(e.message, "multipart/form-data: a part's headers do not end, or are longer than 8 KiB");
    buf_free(&b);
}

int main(void) {
    RUN(fields_and_files_are_told_apart);
    RUN(parts_may_be_empty);
    RUN(names_of_files_lose_their_folders);
    RUN(broken_forms_are_refused);
    RUN(other_types_are_refused);
    RUN(there_is_an_end_to_parts_and_headers);
    return test_end();
}
