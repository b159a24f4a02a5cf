// The text of an answer on its way out: whole characters only, and nothing that may yet become a stop string.
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include "base/buf.h"

struct stream {
    const char *const *stop;
    size_t stop_count;
    struct buf held; // bytes that came and are not out
    bool (*piece)(void *user, const char *text, size_t size);
    void *user;
};

enum stream_state { STREAM_GOES_ON, STREAM_STOPPED, STREAM_CANCELLED, STREAM_NO_MEMORY };

// Bytes of one token come in. STREAM_STOPPED: a stop string is complete; what stood before it is out. STREAM_NO_MEMORY:
// they did not come in, and may be given again.
enum stream_state stream_put(struct stream *s, const char *data, size_t size);

// The answer is over: all that is held goes out.
enum stream_state stream_end(struct stream *s);

void stream_free(struct stream *s);

#endif
