// Why a request is refused, in terms that each API has its own shape for.
#ifndef SERVER_FAULT_H
#define SERVER_FAULT_H

#include "base/error.h"

struct fault {
    int status;           // of HTTP
    const char *code;     // such as "context_length_exceeded"; NULL: there is none
    char param[64];       // the member of the request that is wrong; "" if none is
    unsigned retry_after; // seconds; 0: not said
    char message[512];    // one line
};

// Fills it in and returns false.
__attribute__((format(printf, 4, 5))) bool refuse(struct fault *f, int status, const char *param, const char *format,
                                                  ...);

// The same with a code.
__attribute__((format(printf, 5, 6))) bool refuse_as(struct fault *f, int status, const char *code, const char *param,
                                                     const char *format, ...);

// Of an error of the library. `asked`: what was wrong was in the request (400 rather than 500).
bool refuse_error(struct fault *f, const gyr_error *e, bool asked);

// Has a message that names a file name something else in its place: paths are nothing for clients.
void hide_path(char *message, size_t size, const char *path, const char *by);

// The type that OpenAI's and Anthropic's errors have for a status.
const char *fault_type(int status);

#endif
