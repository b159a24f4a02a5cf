// A saved part of a session, changed anywhere, its checks made right again or not; or any bytes. Whatever it holds, it
// is loaded or refused, and the tokens in front of it keep what they had.
//
// The first byte says how: bit 0: what follows are changes, five bytes each (a place, what it is xored with), else it
// is the file; bit 1: the header's check is made right; bit 2: that of the file; bit 3: it ends at the last place.
#include "engine/saved.h"
#include "engine/small_falcon.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIRST = 20, LAST = 40, CONTEXT = 64, ROOM = 1 << 20 };

static gyr_model *model;
static gyr_session *session;
static int32_t ids[LAST + 1];
static uint8_t good[ROOM], file[ROOM];
static size_t good_size;
static float after[SMALL_VOCAB];
static int fd;
static char path[64];

static void must(bool ok) {
    if (!ok) abort();
}

static void feed(const int32_t *token, size_t n) { must(!gyr_session_feed(session, token, n, NULL, NULL)); }

// What the token after the first ones gives, from pages that hostile files were loaded into.
static void feed_one(float *logits) {
    gyr_session_truncate(session, FIRST);
    feed(ids + FIRST, 1);
    memcpy(logits, gyr_session_logits(session), sizeof after);
    gyr_session_truncate(session, FIRST);
}

static void set_up(void) {
    char name[] = "/tmp/gyr-fuzz-session-XXXXXX";
    gyr_error e;
    int temp = mkstemp(name);
    must(temp >= 0 && small_falcon(name, false, 7, &e));
    close(temp);
    must((model = gyr_model_open(name, &(gyr_model_options){.threads = 1}, &e)));
    must((session = gyr_session_new(model, &(gyr_session_options){.context = CONTEXT, .kv_type = GYR_KV_F16}, &e)));
    for (int i = 0; i <= LAST; i++) ids[i] = (i * 37 + 11) % SMALL_VOCAB;
    feed(ids, LAST);
    must(!gyr_session_save(session, FIRST, LAST, name, &e)); // the model's file is mapped, and stays
    FILE *f = fopen(name, "rb");
    must(f);
    good_size = fread(good, 1, sizeof good, f);
    must(good_size > sizeof(struct saved) && good_size < sizeof good && !fclose(f) && !unlink(name));
    fd = memfd_create("part", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(fd >= 0);
    feed_one(after);
}

static size_t changed(uint8_t how, const uint8_t *data, size_t size) {
    size_t end = good_size;
    memcpy(file, good, good_size);
    for (; size >= 5; data += 5, size -= 5) {
        uint32_t at;
        memcpy(&at, data, sizeof at);
        at %= (uint32_t)good_size;
        file[at] ^= data[4];
        if (how & 8) end = at;
    }
    if (how & 2) {
        struct saved h;
        memcpy(&h, file, sizeof h);
        h.check = saved_check(&h);
        memcpy(file, &h, sizeof h);
    }
    if (how & 4 && end > sizeof(uint64_t)) {
        struct check c = {{0}};
        check_add(&c, file, end - sizeof(uint64_t));
        uint64_t check = check_end(&c);
        memcpy(file + end - sizeof check, &check, sizeof check);
    }
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_error e = {0};
    float logits[SMALL_VOCAB];
    if (!model) set_up();
    if (!size || size > ROOM) return 0;
    size_t n = size - 1;
    if (*data & 1)
        n = changed(*data, data + 1, n);
    else
        memcpy(file, data + 1, n);
    must(!ftruncate(fd, 0) && pwrite(fd, file, n, 0) == (ssize_t)n);
    gyr_status status = gyr_session_load(session, path, &e);
    must(status == e.status && !e.message[0] == !status);
    size_t length = gyr_session_length(session);
    must(status ? length == FIRST : length > FIRST && length <= CONTEXT);
    if (!status && length < CONTEXT) feed(ids + LAST, 1);
    feed_one(logits);
    must(!memcmp(logits, after, sizeof after));
    return 0;
}
