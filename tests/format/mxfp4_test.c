// Matrices that a folder has as blocks and scales apart.
#include "image.h"

#include <math.h>

#define BLOCKS(shape, offsets) "\"x_blocks\": {\"dtype\": \"U8\", \"shape\": " shape ", \"data_offsets\": " offsets "}"
#define SCALES(shape, offsets) "\"x_scales\": {\"dtype\": \"U8\", \"shape\": " shape ", \"data_offsets\": " offsets "}"

// A folder with those tensors, whose bytes count up from 0.
static void write_folder(const char *folder, const char *header, size_t data) {
    struct buf b = {0};
    put_u64(&b, strlen(header));
    buf_puts(&b, header);
    for (size_t i = 0; i < data; i++) put_u8(&b, (uint8_t)i);
    write_text(folder, "config.json", "{\"model_type\": \"x\"}");
    write_buf(folder, "model.safetensors", &b);
}

// Two rows of a block each: bytes 0x00 to 0x1f, scales 32 and 33.
static const char two[] = "{" BLOCKS("[2, 1, 16]", "[0, 32]") ", " SCALES("[2, 1]", "[32, 34]") "}";

static void halves_become_a_matrix(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_folder(folder, two, 34);
    struct checkpoint *c = checkpoint_open(folder, NULL);
    REQUIRE(c);
    const struct tensor *t = checkpoint_tensor(c, "x");
    REQUIRE(t && t->scales);
    CHECK_INT(c->n_tensors, 1);
    CHECK_INT(t->type, TYPE_MXFP4);
    CHECK_INT(t->n_dims, 2);
    CHECK_INT(t->dim[0], 32);
    CHECK_INT(t->dim[1], 2);
    CHECK_INT(t->bytes, 32);
    uint8_t block[17], want[17] = {33};
    // The second row's bytes are 0x10 to 0x1f: elements 0 and 1 are 0 and 1, 2 and 3 are 1 and 1, and so on.
    for (int i = 0; i < 16; i++) {
        int a = 16 + i / 2, b = 24 + i / 2;
        want[1 + i] = (uint8_t)((i % 2 ? a >> 4 : a & 15) | (i % 2 ? b >> 4 : b & 15) << 4);
    }
    tensor_blocks(t, 32, 32, block);
    CHECK(!memcmp(block, want, sizeof want));
    CHECK_INT(block[1], 0x80);
    float x[32];
    tensor_decode(t, 32, 32, x);
    float scale = ldexpf(1, 33 - 127);
    CHECK(x[0] == 0 && x[1] == 0.5f * scale && x[4] == scale && x[14] == 6 * scale && x[16] == 0 && !(x[16] > 0));
    checkpoint_close(c);
    leave_folder(folder);
}

// Halves that are no matrix matter to who asks for one, and to nobody else.
static void what_does_not_fit_is_told(void) {
#define UNLIKE "DIR: tensor x has blocks and scales that do not fit together; get the file again"
#define BYTES(name)                                                                                                    \
    "DIR: tensor " name " has element type U8; gyr reads F32, F16 and BF16; take the model in one of them, or as GGUF"
    static const struct {
        const char *header, *tensor, *message;
        gyr_status status;
    } cases[] = {
        {"{" BLOCKS("[2, 1, 16]", "[0, 32]") "}", "x", "DIR: tensor x has no scales; get all parts of the model",
         GYR_MALFORMED},
        {"{" SCALES("[2, 1]", "[0, 2]") "}", "x", "DIR: tensor x has no blocks; get all parts of the model",
         GYR_MALFORMED},
        {"{" BLOCKS("[2, 1, 16]", "[0, 32]") ", " SCALES("[1, 2]", "[32, 34]") "}", "x", UNLIKE, GYR_MALFORMED},
        {"{" BLOCKS("[2, 1, 16]", "[0, 32]") ", " SCALES("[2]", "[32, 34]") "}", "x", UNLIKE, GYR_MALFORMED},
        {"{" BLOCKS("[2, 2, 8]", "[0, 32]") ", " SCALES("[2, 2]", "[30, 34]") "}", "x_blocks", BYTES("x_blocks"),
         GYR_UNSUPPORTED},
        {"{" BLOCKS("[16]", "[0, 16]") ", " SCALES("[]", "[16, 17]") "}", "x_scales", BYTES("x_scales"),
         GYR_UNSUPPORTED},
        {"{\"x\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, " SCALES("[2, 1]", "[32, 34]") "}",
         "x_scales", BYTES("x_scales"), GYR_UNSUPPORTED},
        {"{\"x_bytes\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [0, 1]}}", "x_bytes", BYTES("x_bytes"),
         GYR_UNSUPPORTED},
    };
    const char *folder = enter_folder();
    REQUIRE(folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gyr_error e = {0};
        write_folder(folder, cases[i].header, 34);
        struct checkpoint *c = checkpoint_open(folder, NULL);
        REQUIRE(c);
        const struct tensor *t = checkpoint_tensor(c, cases[i].tensor);
        CHECK(t && !tensor_readable(t, "DIR", &e));
        CHECK_INT(e.status, cases[i].status);
        CHECK_STR(e.message, cases[i].message);
        checkpoint_close(c);
    }
    leave_folder(folder);
}

static void sizes_must_be_those_of_the_bytes(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_folder(folder, "{" SCALES("[576460752303423488]", "[0, 34]") "}", 34);
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/model.safetensors: tensor x_scales has more or less data than its shape says; the file is "
                     "damaged, get it again");
    write_folder(folder, "{" BLOCKS("[4294967296, 4294967296, 16]", "[0, 34]") "}", 34);
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/model.safetensors: tensor x_blocks has a size that overflows; the file is damaged, get it "
                     "again");
    leave_folder(folder);
}

int main(void) {
    RUN(halves_become_a_matrix);
    RUN(what_does_not_fit_is_told);
    RUN(sizes_must_be_those_of_the_bytes);
    return test_end();
}
