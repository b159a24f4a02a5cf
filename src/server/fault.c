#include "server/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct fault *f, int status, const char *code, const char *param, const char *format, va_list args) {
    gyr_error clean = {0};
    char text[sizeof f->message];
    vsnprintf(text, sizeof text, format, args);
    fail(&clean, GYR_FAILED, "%s", text); // without control characters
    *f = (struct fault){.status = status, .code = code};
    snprintf(f->param, sizeof f->param, "%s", param ? param : "");
    snprintf(f->message, sizeof f->message, "%s", clean.message);
}

bool refuse(struct fault *f, int status, const char *param, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(f, status, NULL, param, format, args);
    va_end(args);
    return false;
}

bool refuse_as(struct fault *f, int status, const char *code, const char *param, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(f, status, code, param, format, args);
    va_end(args);
    return false;
}

bool refuse_error(struct fault *f, const gyr_error *e, bool asked) {
    switch (e->status) {
    case GYR_TOO_LONG: return refuse_as(f, 400, "context_length_exceeded", "messages", "%s", e->message);
    case GYR_NO_MEMORY:
    case GYR_CANCELLED:
    case GYR_DEVICE: return refuse(f, 503, NULL, "%s", e->message);
    default: return refuse(f, asked ? 400 : 500, NULL, "%s", e->message);
    }
}

// Replaces each `old` in the text.
static void replace(char *text, size_t size, const char *old, const char *by) {
    size_t n = strlen(old), m = strlen(by);
    for (char *at = text; n && (at = strstr(at, old)); at += m) {
        char rest[512];
        snprintf(rest, sizeof rest, "%s", at + n);
        snprintf(at, size - (size_t)(at - text), "%s%s", by, rest);
        if (m >= size - (size_t)(at - text)) return;
    }
}

void hide_path(char *message, size_t size, const char *path, const char *by) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    replace(message, size, path, by);
    if (!slash) return;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path); // of other parts of a split file
    if (slash > path) replace(message, size, folder, "");
}

const char *fault_type(int status) {
    static const struct {
        int status;
        const char *type;
    } rows[] = {{400, "invalid_request_error"}, {401, "authentication_error"},  {403, "permission_error"},
                {404, "not_found_error"},       {405, "invalid_request_error"}, {409, "conflict_error"},
                {413, "request_too_large"},     {415, "invalid_request_error"}, {429, "rate_limit_error"},
                {503, "overloaded_error"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status) return rows[i].type;
    return status < 500 ? "invalid_request_error" : "api_error";
}
