#include "image.h"

static const uint64_t four[] = {4, 1, 1, 1}, matrix[] = {32, 2, 1, 1};

// A whole small model: an F32 matrix, a Q4_0 matrix and an F16 vector.
static void put_good(struct buf *b, uint32_t version) {
    put_head(b, version, 3, 2);
    put_key_string(b, "general.architecture", "falcon");
    put_key_u32(b, "falcon.block_count", 7);
    put_tensor(b, "w", 2, matrix, TYPE_F32, 0);
    put_tensor(b, "q", 2, matrix, TYPE_Q4_0, 256);
    put_tensor(b, "h", 1, (const uint64_t[]){3}, TYPE_F16, 320);
    put_padding(b, 32);
    for (int i = 0; i < 326; i++) put_u8(b, (uint8_t)i);
}

static void check_good(const struct checkpoint *c) {
    CHECK_INT(c->source, CHECKPOINT_GGUF);
    CHECK_STR(c->architecture, "falcon");
    CHECK_STR(c->path, "x.gguf");
    CHECK_INT(c->n_tensors, 3);
    CHECK_INT(c->vocab.kind, VOCAB_NONE);
    const struct tensor *w = checkpoint_tensor(c, "w"), *q = checkpoint_tensor(c, "q"), *h = checkpoint_tensor(c, "h");
    REQUIRE(w && q && h);
    CHECK(!checkpoint_tensor(c, "x") && !checkpoint_tensor(c, ""));
    CHECK(text_is(w->name, "w"));
    CHECK_INT(w->n_dims, 2);
    CHECK_INT(w->dim[0], 32);
    CHECK_INT(w->dim[1], 2);
    CHECK_INT(w->dim[2], 1);
    CHECK_INT(w->dim[3], 1);
    CHECK_INT(w->bytes, 256);
    CHECK_INT(w->data[1], 1);
    CHECK_INT(q->type, TYPE_Q4_0);
    CHECK_INT(q->bytes, 2 * 18);
    CHECK_INT(q->data[0], 0);
    CHECK_INT(h->type, TYPE_F16);
    CHECK_INT(h->bytes, 6);
    CHECK_INT(h->data[5], (320 + 5) % 256);
}

static void reads_both_versions(void) {
    for (uint32_t version = 2; version <= 3; version++) {
        struct buf b = {0};
        gyr_error e;
        char *copy;
        put_good(&b, version);
        struct checkpoint *c = open_image(&b, &copy, &e);
        REQUIRE(c);
        check_good(c);
        checkpoint_close(c);
        free(copy);
    }
}

static void reads_at_any_address(void) {
    struct buf b = {0};
    put_u8(&b, 0);
    size_t skip = b.size;
    struct buf good = {0};
    put_good(&good, 3);
    put_bytes(&b, good.data, good.size);
    struct checkpoint *c = checkpoint_open_memory("x.gguf", b.data + skip, b.size - skip, NULL);
    REQUIRE(c);
    check_good(c);
    checkpoint_close(c);
    buf_free(&good);
    buf_free(&b);
}

static void refuses_every_cut(void) {
    struct buf good = {0};
    put_good(&good, 3);
    for (size_t n = 0; n < good.size; n++) {
        struct buf b = {0};
        gyr_status status;
        put_bytes(&b, good.data, n);
        const char *message = open_message(&b, &status);
        CHECK_INT(status, GYR_MALFORMED);
        CHECK(!strncmp(message, "x.gguf: ", 8) && strstr(message, "; "));
    }
    buf_free(&good);
}

static void put_numbers(struct buf *b) {
    put_key(b, "u8", GGUF_UINT8), put_u8(b, 200);
    put_key(b, "i8", GGUF_INT8), put_u8(b, (uint8_t)-3);
    put_key(b, "u16", GGUF_UINT16), put_bytes(b, &(uint16_t){60000}, 2);
    put_key(b, "i16", GGUF_INT16), put_bytes(b, &(int16_t){-300}, 2);
    put_key(b, "u32", GGUF_UINT32), put_u32(b, 4000000000u);
    put_key(b, "i32", GGUF_INT32), put_bytes(b, &(int32_t){-70000}, 4);
    put_key(b, "u64", GGUF_UINT64), put_u64(b, UINT64_MAX);
    put_key(b, "i64", GGUF_INT64), put_u64(b, (uint64_t)INT64_MIN);
    put_key(b, "f32", GGUF_FLOAT32), put_f32(b, 0.5f);
    put_key(b, "f64", GGUF_FLOAT64), put_bytes(b, &(double){0.1}, 8);
    put_key_bool(b, "bool", 1);
    put_key_string(b, "string", "h\xc3\xa9");
}

static void reads_numbers(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_model(&b, 0, 12);
    put_numbers(&b);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    CHECK_INT(checkpoint_value(c, "u8")->u, 200);
    CHECK_INT(checkpoint_value(c, "i8")->i, -3);
    CHECK_INT(checkpoint_value(c, "u16")->u, 60000);
    CHECK_INT(checkpoint_value(c, "i16")->i, -300);
    CHECK_INT(checkpoint_value(c, "u32")->u, 4000000000u);
    CHECK_INT(checkpoint_value(c, "i32")->i, -70000);
    CHECK(checkpoint_value(c, "u64")->u == UINT64_MAX);
    CHECK(checkpoint_value(c, "i64")->i == INT64_MIN);
    CHECK(checkpoint_value(c, "f32")->f == 0.5);
    CHECK(checkpoint_value(c, "f64")->f == 0.1);
    CHECK(checkpoint_value(c, "bool")->b);
    CHECK(text_is(checkpoint_value(c, "string")->s, "h\xc3\xa9"));
    CHECK(!checkpoint_value(c, "none"));
    struct text key;
    const struct value *v;
    CHECK(checkpoint_key(c, 12, &key, &v) && text_is(key, "string") && v->kind == VALUE_STRING);
    CHECK(!checkpoint_key(c, 13, &key, &v));
    checkpoint_close(c);
    free(copy);
}

static void reads_arrays(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_model(&b, 0, 4);
    put_key_array(&b, "numbers", GGUF_INT16, 2);
    put_bytes(&b, (const int16_t[]){-1, 9}, 4);
    put_key_array(&b, "strings", GGUF_STRING, 2);
    put_string(&b, "");
    put_string(&b, "two");
    put_key_array(&b, "bools", GGUF_BOOL, 2);
    put_bytes(&b, "\0\1", 2);
    put_key_array(&b, "empty", GGUF_FLOAT64, 0);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    const struct value *v = checkpoint_value(c, "numbers");
    CHECK_INT(v->kind, VALUE_ARRAY);
    CHECK_INT(v->array.of, VALUE_INT);
    CHECK_INT(v->array.n, 2);
    CHECK_INT(value_at(v, 0).i, -1);
    CHECK_INT(value_at(v, 1).i, 9);
    CHECK_INT(value_at(v, 2).kind, VALUE_NONE);
    v = checkpoint_value(c, "strings");
    CHECK(text_is(value_at(v, 0).s, "") && text_is(value_at(v, 1).s, "two"));
    v = checkpoint_value(c, "bools");
    CHECK(!value_at(v, 0).b && value_at(v, 1).b);
    CHECK_INT(checkpoint_value(c, "empty")->array.n, 0);
    CHECK(text_is(value_at(checkpoint_value(c, "general.architecture"), 5).s, "falcon"));
    checkpoint_close(c);
    free(copy);
}

static void looks_up_by_type(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_model(&b, 0, 12);
    put_numbers(&b);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    uint64_t u = 5;
    double f = 5;
    bool flag = true;
    struct text s = {"x", 1};
    CHECK(checkpoint_uint(c, "none", 0, 1, &u, &e) && u == 5);
    CHECK(checkpoint_float(c, "none", &f, &e) && f == 5.0);
    CHECK(checkpoint_bool(c, "none", &flag, &e) && flag);
    CHECK(checkpoint_string(c, "none", &s, &e) && text_is(s, "x"));
    CHECK(checkpoint_uint(c, "u8", 200, 200, &u, &e) && u == 200);
    CHECK(checkpoint_float(c, "u8", &f, &e) && f == 200.0);
    CHECK(checkpoint_float(c, "i8", &f, &e) && f == -3.0);
    CHECK(!checkpoint_uint(c, "u8", 0, 199, &u, &e));
    CHECK_STR(e.message, "x.gguf: key u8 is 200, not within 0 to 199; the file is damaged or not for gyr");
    CHECK_INT(e.status, GYR_MALFORMED);
    CHECK(!checkpoint_uint(c, "i8", 0, UINT64_MAX, &u, &e));
    CHECK_STR(e.message, "x.gguf: key i8 is -3, not within 0 to 18446744073709551615; "
                         "the file is damaged or not for gyr");
    CHECK(!checkpoint_uint(c, "string", 0, 1, &u, &e));
    CHECK_STR(e.message, "x.gguf: key string must be a whole number, not a string; "
                         "the file is damaged or not a language model");
    CHECK(!checkpoint_bool(c, "u8", &flag, &e));
    CHECK_STR(e.message, "x.gguf: key u8 must be true or false, not a whole number; "
                         "the file is damaged or not a language model");
    CHECK(!checkpoint_float(c, "bool", &f, &e) && !checkpoint_string(c, "f32", &s, &e));
    CHECK_STR(e.message, "x.gguf: key f32 must be a string, not a fraction; "
                         "the file is damaged or not a language model");
    CHECK_INT(u, 200);
    checkpoint_close(c);
    free(copy);
}

static void refuses_bad_heads(void) {
    struct buf b = {0};
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: not a GGUF file; give a GGUF file or a Hugging Face folder");
    buf_puts(&b, "a text that is no model");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: not a GGUF file; give a GGUF file or a Hugging Face folder");
    buf_puts(&b, "<!DOCTYPE html>");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: is a web page, not a model; check the address it was downloaded from");
    buf_puts(&b, "version https://git-lfs.github.com/spec/v1\n");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: is a Git LFS pointer, not the model; run \"git lfs pull\"");
    put_u64(&b, 9), buf_puts(&b, "{\"a\":1}  ");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: is one safetensors file; give the folder it is in");
    buf_puts(&b, "GGUF\3");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: ends at byte 5, before its head does; the file is cut short, get it again");
    put_head(&b, 1, 0, 0);
    CHECK_FAILS(&b, GYR_UNSUPPORTED, "x.gguf: is GGUF version 1; gyr reads versions 2 and 3, get a newer file");
    put_head(&b, 0x03000000, 0, 0);
    CHECK_FAILS(&b, GYR_UNSUPPORTED, "x.gguf: is a big-endian GGUF file; get the little-endian one");
    put_head(&b, 3, 0, UINT64_MAX);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: says it has 18446744073709551615 keys at byte 24 of 24; "
                "the file is cut short or damaged, get it again");
    put_model(&b, 1ull << 60, 0);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: says it has 1152921504606846976 tensors at byte 70 of 70; "
                "the file is cut short or damaged, get it again");
    put_head(&b, 3, 0, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: has no key general.architecture; get another file");
}

static void refuses_bad_keys(void) {
    struct buf b = {0};
    put_model(&b, 0, 1), put_u64(&b, 1ull << 63), put_u64(&b, 0);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: says it has 9223372036854775808 bytes of text at byte 78 of 86; "
                "the file is cut short or damaged, get it again");
    put_model(&b, 0, 1), put_key_string(&b, "general.architecture", "x");
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key general.architecture is there twice; the file is damaged, get it again");
    put_model(&b, 0, 1), put_key_string(&b, "key", "\xff\xfe");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: the text at byte 93 is not UTF-8; the file is damaged, get it again");
    put_model(&b, 0, 1), put_key_string(&b, "\xc0\x80", "x");
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: the text at byte 78 is not UTF-8; the file is damaged, get it again");
    put_model(&b, 0, 1), put_key(&b, "a\33[31mb", 13), put_u64(&b, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: key a?[31mb has type 13, which GGUF does not define; get the file again");
    put_model(&b, 0, 1), put_key_bool(&b, "key", 2);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: key key is neither true nor false; the file is damaged, get it again");
    put_model(&b, 0, 1), put_key_array(&b, "key", GGUF_ARRAY, 1), put_u64(&b, 0);
    CHECK_FAILS(&b, GYR_UNSUPPORTED,
                "x.gguf: key key is an array of type 9; gyr reads arrays of numbers, booleans and strings");
    put_model(&b, 0, 1), put_key_array(&b, "key", GGUF_UINT64, 1ull << 61), put_u64(&b, 0);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: says it has 2305843009213693952 array items at byte 97 of 105; "
                "the file is cut short or damaged, get it again");
    put_model(&b, 0, 1), put_key_array(&b, "key", GGUF_BOOL, 2), put_bytes(&b, "\1\2", 2);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: key key is neither true nor false; the file is damaged, get it again");
    put_head(&b, 3, 0, 1), put_key_u32(&b, "general.architecture", 1);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key general.architecture must be a string, not a whole number; "
                "the file is damaged or not a language model");
}

// A model of one tensor with 16 bytes of data.
static void put_one(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *dim, uint32_t type,
                    uint64_t offset) {
    put_model(b, 1, 0);
    put_tensor(b, name, n_dims, dim, type, offset);
    put_padding(b, 32);
    put_bytes(b, "0123456789abcdef", 16);
}

static void refuses_bad_tensors(void) {
    struct buf b = {0};
    put_one(&b, "w", 1, four, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_OK, "");
    put_one(&b, "w", 0, four, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_OK, "");
    put_one(&b, "w", 5, (const uint64_t[]){1, 1, 1, 1, 1}, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: tensor w has 5 dimensions, more than 4; get the file again");
    put_one(&b, "w", 2, (const uint64_t[]){4, 0}, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: tensor w has an empty dimension; the file is damaged, get it again");
    put_one(&b, "w", 2, (const uint64_t[]){1ull << 40, 1ull << 40}, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: the size of tensor w overflows; the file is damaged, get it again");
    put_one(&b, "w", 1, (const uint64_t[]){UINT64_MAX}, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: the size of tensor w overflows; the file is damaged, get it again");
    put_one(&b, "w", 1, four, TYPE_Q4_0, 0);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: tensor w has rows of 4, not a multiple of the 32 of a block of q4_0; "
                "the file is damaged, get it again");
    put_one(&b, "w", 1, four, 99, 0);
    CHECK_FAILS(&b, GYR_UNSUPPORTED,
                "x.gguf: tensor w has element type 99; gyr knows f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, "
                "q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs, mxfp4, nvfp4, iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, "
                "iq3_xxs, iq3_s, tq1_0, tq2_0, q1_0, q2_0");
    put_one(&b, "w", 1, four, TYPE_F32, 8);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: the data of tensor w is not aligned; the file is damaged, get it again");
    put_one(&b, "w", 1, four, TYPE_F32, 32);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: the data of tensor w ends outside the file; the file is cut short, get it again");
    put_one(&b, "w", 1, four, TYPE_F32, UINT64_MAX - 31);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: the data of tensor w ends outside the file; the file is cut short, get it again");
    put_one(&b, "\xff", 1, four, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: the text at byte 78 is not UTF-8; the file is damaged, get it again");
    put_model(&b, 2, 0), put_tensor(&b, "w", 1, four, TYPE_F32, 0), put_tensor(&b, "w", 1, four, TYPE_F32, 0);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: tensor w is there twice; the file is damaged, get it again");
}

static void honours_alignment(void) {
    struct buf b = {0};
    gyr_error e;
    char *copy;
    put_model(&b, 1, 1), put_key_u32(&b, "general.alignment", 128);
    put_tensor(&b, "w", 1, four, TYPE_F32, 0), put_padding(&b, 128), put_bytes(&b, "0123456789abcdef", 16);
    struct checkpoint *c = open_image(&b, &copy, &e);
    REQUIRE(c);
    CHECK_INT(c->tensors[0].data - (const uint8_t *)copy, 256);
    CHECK_INT(c->tensors[0].data[15], 'f');
    checkpoint_close(c);
    free(copy);
    put_model(&b, 0, 1), put_key_u32(&b, "general.alignment", 0);
    CHECK_FAILS(&b, GYR_MALFORMED,
                "x.gguf: key general.alignment is 0, not within 8 to 1048576; "
                "the file is damaged or not for gyr");
    put_model(&b, 0, 1), put_key_u32(&b, "general.alignment", 48);
    CHECK_FAILS(&b, GYR_MALFORMED, "x.gguf: key general.alignment is 48, not a power of two; get the file again");
}

int main(void) {
    RUN(reads_both_versions);
    RUN(reads_at_any_address);
    RUN(reads_numbers);
    RUN(reads_arrays);
    RUN(looks_up_by_type);
    RUN(honours_alignment);
    RUN(refuses_every_cut);
    RUN(refuses_bad_heads);
    RUN(refuses_bad_keys);
    RUN(refuses_bad_tensors);
    return test_end();
}
