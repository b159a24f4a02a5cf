#include "image.h"

// One part: tensor "tN" of four floats, all N.
static void put_part(struct buf *b, uint32_t no, uint32_t count, uint32_t total) {
    char name[8];
    put_model(b, 1, 3);
    put_key(b, "split.no", GGUF_UINT16), put_bytes(b, &no, 2);
    put_key(b, "split.count", GGUF_UINT16), put_bytes(b, &count, 2);
    put_key(b, "split.tensors.count", GGUF_INT32), put_u32(b, total);
    snprintf(name, sizeof name, "t%u", no);
    put_tensor(b, name, 1, (const uint64_t[]){4}, TYPE_F32, 0);
    put_padding(b, 32);
    for (int i = 0; i < 4; i++) put_f32(b, (float)no);
}

static void write_part(const char *folder, const char *name, uint32_t no, uint32_t count, uint32_t total) {
    struct buf b = {0};
    put_part(&b, no, count, total);
    write_buf(folder, name, &b);
}

static const char *const names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"};

static const char *make_set(void) {
    const char *folder = enter_folder();
    if (folder)
        for (uint32_t i = 0; i < 3; i++) write_part(folder, names[i], i, 3, 3);
    return folder;
}

static void opens_from_any_part(void) {
    const char *folder = make_set();
    REQUIRE(folder);
    for (int i = 0; i < 3; i++) {
        struct checkpoint *c = checkpoint_open(path_in(folder, names[i]), NULL);
        REQUIRE(c);
        CHECK_INT(c->n_tensors, 3);
        CHECK_STR(c->architecture, "falcon");
        for (int k = 0; k < 3; k++) {
            char name[8];
            float first;
            snprintf(name, sizeof name, "t%d", k);
            const struct tensor *t = checkpoint_tensor(c, name);
            REQUIRE(t);
            memcpy(&first, t->data, sizeof first);
            CHECK(first == (float)k);
        }
        checkpoint_close(c);
    }
    leave_folder(folder);
}

static void refuses_broken_sets(void) {
    const char *folder = make_set();
    REQUIRE(folder);
    unlink(path_in(folder, names[1]));
    CHECK_PATH_FAILS(folder, path_in(folder, names[2]), GYR_IO,
                     "DIR/m-00002-of-00003.gguf: is missing; put all parts of the model in one folder");
    write_part(folder, names[1], 2, 3, 3);
    CHECK_PATH_FAILS(folder, path_in(folder, names[0]), GYR_MALFORMED,
                     "DIR/m-00002-of-00003.gguf: says it is part 3 of 3; give the parts the names they were made with");
    write_part(folder, names[1], 1, 4, 3);
    CHECK_PATH_FAILS(folder, path_in(folder, names[0]), GYR_MALFORMED,
                     "DIR/m-00002-of-00003.gguf: says it is part 2 of 4; give the parts the names they were made with");
    write_part(folder, names[1], 1, 3, 3);
    write_part(folder, names[0], 0, 3, 5);
    CHECK_PATH_FAILS(folder, path_in(folder, names[0]), GYR_MALFORMED,
                     "DIR/m-00001-of-00003.gguf: its parts have 3 tensors, not the 5 promised; get all parts again");
    write_text(folder, names[1], "");
    CHECK_PATH_FAILS(folder, path_in(folder, names[0]), GYR_MALFORMED,
                     "DIR/m-00002-of-00003.gguf: not a GGUF file; give a GGUF file or a Hugging Face folder");
    leave_folder(folder);
}

static void refuses_renamed_parts(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_part(folder, "model.gguf", 0, 3, 3);
    CHECK_PATH_FAILS(folder, path_in(folder, "model.gguf"), GYR_MALFORMED,
                     "DIR/model.gguf: is part 1 of a model of 3; "
                     "name the parts NAME-00001-of-00003.gguf and so on, in one folder");
    leave_folder(folder);
    struct buf b = {0};
    put_part(&b, 0, 3, 3);
    CHECK_FAILS(&b, GYR_UNSUPPORTED, "x.gguf: is one of the 3 parts of a model; open it by its path");
}

static void says_what_a_path_is(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    CHECK_PATH_FAILS(folder, path_in(folder, "none.gguf"), GYR_IO,
                     "DIR/none.gguf: No such file or directory; check the path");
    CHECK_PATH_FAILS(folder, "/dev/null", GYR_IO, "/dev/null: not a regular file; give a model file");
    leave_folder(folder);
}

int main(void) {
    RUN(opens_from_any_part);
    RUN(refuses_broken_sets);
    RUN(refuses_renamed_parts);
    RUN(says_what_a_path_is);
    return test_end();
}
