#include "format/gguf_write.h"

#include "image.h"

static void put_kinds(struct gguf_writer *w) {
    gguf_put_cstring(w, "general.architecture", "falcon");
    gguf_put_string(w, "string", (struct text){"h\xc3\xa9llo", 3});
    gguf_put_u32(w, "u32", 4000000000u);
    gguf_put_i32(w, "i32", -7);
    gguf_put_f32(w, "f32", 0.25f);
    gguf_put_bool(w, "yes", true);
    gguf_put_strings(w, "strings", (const struct text[]){{"a", 1}, {"", 0}, {"ccc", 3}}, 3);
    gguf_put_f32s(w, "f32s", (const float[]){1, -2}, 2);
    gguf_put_i32s(w, "i32s", (const int32_t[]){3, -4, 5}, 3);
    gguf_put_value(w, "u64", &(struct value){.kind = VALUE_UINT, .u = 1ull << 40});
    gguf_put_value(w, "small", &(struct value){.kind = VALUE_UINT, .u = 300});
    gguf_put_value(w, "i64", &(struct value){.kind = VALUE_INT, .i = -(1ll << 40)});
    gguf_put_value(w, "f64", &(struct value){.kind = VALUE_FLOAT, .f = 0.1});
}

static bool put_tensors(struct gguf_writer *w, gyr_error *e) {
    static const uint64_t dim[] = {3, 2}, blocks[] = {32};
    gguf_put_tensor(w, "m", TYPE_F32, 2, dim);
    gguf_put_tensor(w, "q", TYPE_Q8_0, 1, blocks);
    CHECK_INT(gguf_writer_bytes(w), 24 + 34);
    float m[6] = {1, 2, 3, 4, 5, 6};
    char q[34];
    memset(q, 'q', sizeof q);
    return gguf_writer_begin(w, e) && gguf_writer_data(w, m, 20, e) && gguf_writer_data(w, m + 5, 4, e) &&
           gguf_writer_data(w, q, sizeof q, e);
}

static void check_kinds(const struct checkpoint *c) {
    CHECK(text_is(checkpoint_value(c, "string")->s, "h\xc3\xa9"));
    CHECK_INT(checkpoint_value(c, "u32")->u, 4000000000u);
    CHECK_INT(checkpoint_value(c, "i32")->i, -7);
    CHECK(checkpoint_value(c, "f32")->f == 0.25);
    CHECK(checkpoint_value(c, "yes")->b);
    CHECK(text_is(value_at(checkpoint_value(c, "strings"), 1).s, ""));
    CHECK(text_is(value_at(checkpoint_value(c, "strings"), 2).s, "ccc"));
    CHECK(value_at(checkpoint_value(c, "f32s"), 1).f == -2.0);
    CHECK_INT(value_at(checkpoint_value(c, "i32s"), 1).i, -4);
    CHECK_INT(checkpoint_value(c, "u64")->u, 1ll << 40);
    CHECK_INT(checkpoint_value(c, "small")->u, 300);
    CHECK_INT(checkpoint_value(c, "i64")->i, -(1ll << 40));
    CHECK(checkpoint_value(c, "f64")->f == 0.1);
    const struct tensor *m = checkpoint_tensor(c, "m"), *q = checkpoint_tensor(c, "q");
    REQUIRE(m && q);
    CHECK_INT(m->dim[0], 3);
    CHECK_INT(m->dim[1], 2);
    CHECK(!memcmp(m->data, (const float[]){1, 2, 3, 4, 5, 6}, 24));
    CHECK_INT(q->bytes, 34);
    CHECK_INT(q->data[33], 'q');
}

static void reads_back(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    gyr_error e = {0};
    char path[2048];
    snprintf(path, sizeof path, "%s", path_in(folder, "x.gguf"));
    struct gguf_writer *w = gguf_writer_new(path, &e);
    REQUIRE(w);
    put_kinds(w);
    CHECK(put_tensors(w, &e));
    CHECK(access(path, F_OK) != 0);
    CHECK(gguf_writer_end(w, true, &e));
    CHECK_INT(count_files(folder), 1);
    struct checkpoint *c = checkpoint_open(path, &e);
    REQUIRE(c);
    check_kinds(c);
    checkpoint_close(c);
    leave_folder(folder);
}

// Every key of a checkpoint copied as it is gives a file of the same bytes.
static void copies_exactly(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    gyr_error e = {0};
    struct gguf_writer *w = gguf_writer_new(path_in(folder, "a.gguf"), &e);
    REQUIRE(w);
    put_kinds(w);
    gguf_put_value(w, "general.alignment", &(struct value){.kind = VALUE_UINT, .u = 256});
    CHECK(put_tensors(w, &e) && gguf_writer_end(w, true, &e));
    struct checkpoint *a = checkpoint_open(path_in(folder, "a.gguf"), &e);
    REQUIRE(a);
    w = gguf_writer_new(path_in(folder, "b.gguf"), &e);
    struct text key;
    const struct value *v;
    for (size_t i = 0; checkpoint_key(a, i, &key, &v); i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)key.size, key.data);
        gguf_put_value(w, name, v);
    }
    CHECK(put_tensors(w, &e) && gguf_writer_end(w, true, &e));
    char command[4200];
    snprintf(command, sizeof command, "cmp -s %s/a.gguf %s/b.gguf", folder, folder);
    CHECK_INT(system(command), 0);
    CHECK_INT((a->tensors[1].data - a->tensors[0].data), 256);
    checkpoint_close(a);
    leave_folder(folder);
}

static void writes_vocabularies(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    gyr_error e = {0};
    struct text tokens[] = {{"a", 1}, {"b", 1}, {"ab", 2}}, merges[] = {{"a b", 3}};
    struct vocab v = {.kind = VOCAB_BPE,
                      .n = 3,
                      .tokens = tokens,
                      .kinds = (uint8_t[]){1, 1, 4},
                      .merges = merges,
                      .n_merges = 1,
                      .pre = (char[]){"falcon"},
                      .byte_level = true,
                      .bos = 0,
                      .eos = 2,
                      .eot = -1,
                      .unk = -1,
                      .pad = 1,
                      .add_bos = true,
                      .chat_template = (char[]){"{{ x }}"},
                      .templates = &(struct named_template){(char[]){"tool_use"}, (char[]){"{{ y }}"}},
                      .n_templates = 1};
    struct gguf_writer *w = gguf_writer_new(path_in(folder, "v.gguf"), &e);
    REQUIRE(w);
    gguf_put_cstring(w, "general.architecture", "falcon");
    gguf_put_vocab(w, &v);
    CHECK(gguf_writer_begin(w, &e) && gguf_writer_end(w, true, &e));
    struct checkpoint *c = checkpoint_open(path_in(folder, "v.gguf"), &e);
    REQUIRE(c);
    const struct vocab *r = &c->vocab;
    CHECK_INT(r->kind, VOCAB_BPE);
    CHECK_INT(r->n, 3);
    CHECK(text_is(r->tokens[2], "ab") && text_is(r->merges[0], "a b"));
    CHECK_INT(r->kinds[2], TOKEN_USER);
    CHECK_STR(r->pre, "falcon");
    CHECK_STR(r->chat_template, "{{ x }}");
    CHECK_INT(r->n_templates, 1);
    CHECK_STR(r->templates[0].source, "{{ y }}");
    CHECK(r->byte_level && r->add_bos && !r->add_eos && !r->space_prefix);
    CHECK(r->bos == 0 && r->eos == 2 && r->eot == -1 && r->unk == -1 && r->pad == 1);
    checkpoint_close(c);
    v.has_splits = true;
    w = gguf_writer_new(path_in(folder, "w.gguf"), &e);
    gguf_put_vocab(w, &v);
    CHECK(!gguf_writer_begin(w, &e));
    CHECK_INT(e.status, GYR_UNSUPPORTED);
    CHECK(strstr(e.message, "w.gguf: GGUF cannot express how this tokenizer splits text; "
                            "take the vocabulary from a GGUF file"));
    CHECK(gguf_writer_end(w, false, &e));
    CHECK_INT(count_files(folder), 1);
    leave_folder(folder);
}

static void refuse(void (*put)(struct gguf_writer *), gyr_status status, const char *want) {
    const char *folder = enter_folder();
    gyr_error e = {0};
    struct gguf_writer *w = gguf_writer_new(path_in(folder, "x"), &e);
    REQUIRE(w);
    put(w);
    CHECK(!gguf_writer_begin(w, &e));
    CHECK_STR(e.message + strlen(folder), want);
    CHECK_INT(e.status, status);
    CHECK(!gguf_writer_end(w, true, &e));
    CHECK_STR(e.message + strlen(folder), want);
    CHECK_INT(count_files(folder), 0);
    leave_folder(folder);
}

static void put_twice(struct gguf_writer *w) {
    gguf_put_u32(w, "k", 1);
    gguf_put_u32(w, "k", 2);
}

static void put_bad_text(struct gguf_writer *w) { gguf_put_cstring(w, "k", "\xff"); }

static void put_bad_shape(struct gguf_writer *w) { gguf_put_tensor(w, "t", TYPE_Q4_0, 1, (const uint64_t[]){33}); }

static void put_tensor_twice(struct gguf_writer *w) {
    gguf_put_tensor(w, "t", TYPE_F32, 1, (const uint64_t[]){4});
    gguf_put_tensor(w, "t", TYPE_F32, 1, (const uint64_t[]){4});
}

static void refuses_misuse(void) {
    refuse(put_twice, GYR_FAILED, "/x: key k would be written twice");
    refuse(put_bad_text, GYR_FAILED, "/x: the text of key k is not UTF-8");
    refuse(put_bad_shape, GYR_USAGE, "/x: tensor t of this shape cannot be q4_0; choose another type");
    refuse(put_tensor_twice, GYR_FAILED, "/x: tensor t would be written twice");
}

static void leaves_nothing_behind(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    gyr_error e = {0};
    write_text(folder, "x", "old");
    struct gguf_writer *w = gguf_writer_new(path_in(folder, "x"), &e);
    REQUIRE(w);
    gguf_put_tensor(w, "t", TYPE_F32, 1, (const uint64_t[]){4});
    CHECK(gguf_writer_begin(w, &e) && gguf_writer_data(w, "1234", 4, &e));
    CHECK(!gguf_writer_data(w, "0123456789abcdef", 16, &e));
    CHECK_STR(e.message + strlen(folder), "/x: more data than its tensors have room for");
    CHECK(!gguf_writer_end(w, true, &e));
    w = gguf_writer_new(path_in(folder, "x"), &e);
    gguf_put_tensor(w, "t", TYPE_F32, 1, (const uint64_t[]){4});
    CHECK(gguf_writer_begin(w, &e));
    CHECK(!gguf_writer_end(w, true, &e));
    CHECK_STR(e.message + strlen(folder), "/x: only 0 of its 1 tensors were written");
    w = gguf_writer_new(path_in(folder, "x"), &e);
    CHECK(gguf_writer_begin(w, &e) && gguf_writer_end(w, false, &e));
    CHECK_INT(count_files(folder), 1);
    char old[4] = "";
    FILE *f = fopen(path_in(folder, "x"), "rb");
    CHECK(f && fread(old, 1, 3, f) == 3);
    if (f) fclose(f);
    CHECK_STR(old, "old");
    leave_folder(folder);
}

static void reports_a_full_disk(void) {
    if (access("/dev/full", W_OK)) SKIP("no /dev/full");
    gyr_error e = {0};
    static char data[3 << 20];
    struct gguf_writer *w = gguf_writer_new("/dev/full", &e);
    REQUIRE(w);
    gguf_put_tensor(w, "t", TYPE_F32, 1, (const uint64_t[]){sizeof data / 4});
    CHECK(gguf_writer_begin(w, &e));
    CHECK(!gguf_writer_data(w, data, sizeof data, &e));
    CHECK_STR(e.message, "/dev/full: No space left on device; free some space or write elsewhere");
    CHECK_INT(e.status, GYR_IO);
    e = (gyr_error){0};
    CHECK(!gguf_writer_end(w, true, &e));
    CHECK_STR(e.message, "/dev/full: No space left on device; free some space or write elsewhere");
    w = gguf_writer_new("/dev/full", &e);
    CHECK(gguf_writer_begin(w, &e)); // small enough for the buffer: found at the end
    CHECK(!gguf_writer_end(w, true, &e));
    CHECK_STR(e.message, "/dev/full: No space left on device; free some space or write elsewhere");
    CHECK(access("/dev/full", W_OK) == 0);
}

static void reports_bad_places(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    gyr_error e = {0};
    CHECK(!gguf_writer_new(path_in(folder, "none/x"), &e));
    CHECK_STR(e.message + strlen(folder), "/none/x: No such file or directory; choose another place to write to");
    CHECK_INT(e.status, GYR_IO);
    CHECK(!gguf_writer_new(folder, &e));
    CHECK_STR(e.message + strlen(folder), ": is not a regular file; choose another name");
    leave_folder(folder);
}

// A file system that knows it is too small says so before any work is done.
static void reserves_first(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    gyr_error e = {0};
    struct gguf_writer *w = gguf_writer_new(path_in(folder, "x"), &e);
    REQUIRE(w);
    gguf_put_tensor(w, "t", TYPE_F32, 1, (const uint64_t[]){1ull << 58});
    bool ok = gguf_writer_begin(w, &e);
    gguf_writer_end(w, false, NULL);
    CHECK_INT(count_files(folder), 0);
    leave_folder(folder);
    if (ok) SKIP("this file system cannot reserve");
    CHECK_INT(e.status, GYR_IO);
}

int main(void) {
    RUN(reads_back);
    RUN(copies_exactly);
    RUN(writes_vocabularies);
    RUN(refuses_misuse);
    RUN(leaves_nothing_behind);
    RUN(reports_a_full_disk);
    RUN(reports_bad_places);
    RUN(reserves_first);
    return test_end();
}
