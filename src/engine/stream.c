#include "engine/stream.h"
#include "base/utf8.h"

#include <string.h>

// Emits held[0, n), with a U+FFFD for each part of a character that is not whole and each byte that is of none: as
// Unicode has it (3.9, "maximal subparts"), and Python and Rust do.
static bool emit(struct stream *s, size_t n) {
    struct buf clean = {0};
    uint32_t c;
    for (size_t i = 0; i < n;) {
        int size = utf8_decode(s->held.data + i, n - i, &c);
        if (size)
            buf_append(&clean, s->held.data + i, (size_t)size);
        else
            buf_puts(&clean, "\xef\xbf\xbd");
        i += size ? (size_t)size : utf8_broken(s->held.data + i, n - i);
    }
    bool on = !clean.failed && (!s->piece || !clean.size || s->piece(s->user, clean.data, clean.size));
    buf_free(&clean);
    memmove(s->held.data, s->held.data + n, s->held.size - n);
    s->held.size -= n;
    return on;
}

// First place where a stop string stands; the size of what is held if none does.
static size_t find_stop(const struct stream *s) {
    size_t first = s->held.size;
    for (size_t i = 0; i < s->stop_count; i++) {
        size_t n = strlen(s->stop[i]);
        const char *at = n ? memmem(s->held.data, s->held.size, s->stop[i], n) : NULL;
        if (at && (size_t)(at - s->held.data) < first) first = (size_t)(at - s->held.data);
    }
    return first;
}

// Length of the longest end of what is held that begins a stop string.
static size_t beginning(const struct stream *s) {
    size_t longest = 0;
    for (size_t i = 0; i < s->stop_count; i++) {
        size_t n = strlen(s->stop[i]), most = n ? n - 1 : 0;
        if (most > s->held.size) most = s->held.size;
        for (size_t k = most; k > longest; k--)
            if (!memcmp(s->held.data + s->held.size - k, s->stop[i], k)) longest = k;
    }
    return longest;
}

enum stream_state stream_put(struct stream *s, const char *data, size_t size) {
    buf_append(&s->held, data, size);
    if (s->held.failed) {
        s->held.failed = false; // nothing was taken in
        return STREAM_NO_MEMORY;
    }
    if (!s->held.size) return STREAM_GOES_ON;
    size_t stop = find_stop(s);
    if (stop < s->held.size) {
        bool on = emit(s, stop);
        buf_clear(&s->held);
        return on ? STREAM_STOPPED : STREAM_CANCELLED;
    }
    return emit(s, utf8_whole(s->held.data, s->held.size - beginning(s))) ? STREAM_GOES_ON : STREAM_CANCELLED;
}

enum stream_state stream_end(struct stream *s) {
    return !s->held.size || emit(s, s->held.size) ? STREAM_GOES_ON : STREAM_CANCELLED;
}

void stream_free(struct stream *s) { buf_free(&s->held); }
