// Model files built byte by byte, good and bad.
#ifndef TESTS_FORMAT_IMAGE_H
#define TESTS_FORMAT_IMAGE_H

#include "base/buf.h"
#include "format/checkpoint.h"
#include "format/keys.h"
#include "test.h"

static inline void put_bytes(struct buf *b, const void *p, size_t n) { buf_append(b, p, n); }
static inline void put_u8(struct buf *b, uint8_t v) { put_bytes(b, &v, sizeof v); }
static inline void put_u32(struct buf *b, uint32_t v) { put_bytes(b, &v, sizeof v); }
static inline void put_u64(struct buf *b, uint64_t v) { put_bytes(b, &v, sizeof v); }
static inline void put_f32(struct buf *b, float v) { put_bytes(b, &v, sizeof v); }

static inline void put_string(struct buf *b, const char *s) {
    put_u64(b, strlen(s));
    buf_puts(b, s);
}

static inline void put_head(struct buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
    buf_puts(b, "GGUF");
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_keys);
}

static inline void put_key(struct buf *b, const char *name, uint32_t type) {
    put_string(b, name);
    put_u32(b, type);
}

static inline void put_key_string(struct buf *b, const char *name, const char *s) {
    put_key(b, name, GGUF_STRING);
    put_string(b, s);
}

static inline void put_key_u32(struct buf *b, const char *name, uint32_t v) {
    put_key(b, name, GGUF_UINT32);
    put_u32(b, v);
}

static inline void put_key_bool(struct buf *b, const char *name, uint8_t v) {
    put_key(b, name, GGUF_BOOL);
    put_u8(b, v);
}

static inline void put_key_array(struct buf *b, const char *name, uint32_t type, uint64_t n) {
    put_key(b, name, GGUF_ARRAY);
    put_u32(b, type);
    put_u64(b, n);
}

// A GGUF with the architecture as its first key; `more` keys follow.
static inline void put_model(struct buf *b, uint64_t n_tensors, uint64_t more) {
    put_head(b, 3, n_tensors, 1 + more);
    put_key_string(b, "general.architecture", "falcon");
}

static inline void put_tensor(struct buf *b, const char *name, uint32_t n_dims, const uint64_t *dim, uint32_t type,
                              uint64_t offset) {
    put_string(b, name);
    put_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) put_u64(b, dim[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

static inline void put_padding(struct buf *b, size_t alignment) {
    while (b->size % alignment) put_u8(b, 0);
}

// Opens what was built as "x.gguf", from memory of exactly its size. The copy is freed by close_image().
static inline struct checkpoint *open_image(struct buf *b, char **copy, gyr_error *e) {
    *copy = calloc(1, b->size + !b->size);
    memcpy(*copy, b->data ? b->data : "", b->size);
    *e = (gyr_error){0};
    struct checkpoint *c = checkpoint_open_memory("x.gguf", *copy, b->size, e);
    buf_free(b);
    return c;
}

// The message that opening what was built gives; "" if it opens. Static.
static inline const char *open_message(struct buf *b, gyr_status *status) {
    static char message[512];
    gyr_error e;
    char *copy;
    struct checkpoint *c = open_image(b, &copy, &e);
    snprintf(message, sizeof message, "%s", c ? "" : e.message);
    *status = c ? GYR_OK : e.status;
    checkpoint_close(c);
    free(copy);
    return message;
}

#define CHECK_FAILS(b, want_status, want_message)                                                                      \
    do {                                                                                                               \
        gyr_status status_;                                                                                            \
        const char *message_ = open_message(b, &status_);                                                              \
        CHECK_STR(message_, want_message);                                                                             \
        CHECK_INT(status_, want_status);                                                                               \
    } while (0)

// True if the text is `want`.
static inline bool text_is(struct text s, const char *want) {
    return s.size == strlen(want) && !memcmp(s.data, want, s.size);
}

// ---- files in a folder of their own

// A fresh folder below $TMPDIR; leave_folder() removes it and the files in it. Static buffer.
static inline const char *enter_folder(void) {
    static char path[1024];
    const char *root = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/gyr-test-XXXXXX", root ? root : "/tmp");
    return mkdtemp(path);
}

static inline const char *path_in(const char *folder, const char *name) {
    static char path[4][2048];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static inline void write_file(const char *folder, const char *name, const void *data, size_t size) {
    FILE *f = fopen(path_in(folder, name), "wb");
    CHECK(f && fwrite(data, 1, size, f) == size);
    if (f) fclose(f);
}

static inline void write_text(const char *folder, const char *name, const char *text) {
    write_file(folder, name, text, strlen(text));
}

static inline void write_buf(const char *folder, const char *name, struct buf *b) {
    write_file(folder, name, b->data, b->size);
    buf_free(b);
}

// The number of files in a folder.
int count_files(const char *folder);

// Removes a folder and its files.
void leave_folder(const char *folder);

// The message that opening `path` gives, with `folder` in it replaced by "DIR"; "" if it opens. Static.
const char *open_path_message(const char *folder, const char *path, gyr_status *status);

#define CHECK_PATH_FAILS(folder, path, want_status, want_message)                                                      \
    do {                                                                                                               \
        gyr_status status_;                                                                                            \
        const char *message_ = open_path_message(folder, path, &status_);                                              \
        CHECK_STR(message_, want_message);                                                                             \
        CHECK_INT(status_, want_status);                                                                               \
    } while (0)

#endif
