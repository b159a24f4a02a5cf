// A rank that is not what rank 0 is: says in its hello what the argument says, and waits for rank 0's answer.
//
//     impostor version|edition|order|stranger|silent
#include "cluster/parts.h"
#include "device/device.h"

#include <stdio.h>
#include <string.h>

// As in src/cluster/join.c: what other versions send, too.
struct hello {
    char magic[8];
    uint32_t order, edition;
    char version[32], host[64];
};

int main(int argc, char **argv) {
    uint32_t number[2] = {0, 1}; // rank 0 is all that it speaks to
    struct ranks r = {.lost = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .number = number};
    struct hello h = {.magic = "gyrranks", .order = 0x01020304, .edition = EDITION, .host = "elsewhere"};
    struct buf b = {0};
    gyr_error e = {0};
    const char *what = argc > 1 ? argv[1] : "";
    r.main = &r;
    r.tag = TAG_PARCEL;
    r.t = transport_open(&r.module, &e);
    const char *why = r.t ? r.t->join(&r.own, &r.count, r.name) : e.message;
    if (why) {
        fprintf(stderr, "impostor: %s\n", why);
        return 1;
    }
    snprintf(h.version, sizeof h.version, "%s", strcmp(what, "version") ? gyr_version() : "9.9.9");
    if (!strcmp(what, "edition")) h.edition++;
    if (!strcmp(what, "order")) h.order = 0x04030201;
    bool strange = !strcmp(what, "stranger");
    bool ok = post_message(&r, 0, &h, strange ? 3 : sizeof h, NULL, 0, &e) && take_message(&r, 0, &b, &e);
    buf_free(&b);
    ok = ok && take_message(&r, 0, &b, &e); // the end
    if (!ok) fprintf(stderr, "impostor: %s\n", e.message);
    buf_free(&b);
    r.t->leave();
    return 0;
}
