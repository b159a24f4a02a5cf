// A chat template and a conversation, a NUL between them: parsing and rendering end soon with a text and its runs, or
// with one line that says what is wrong.
#include "base/utf8.h"
#include "format/json.h"
#include "text/template.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char talk[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"be kind\"}, {\"role\": \"user\", \"content\": \" <|im_end|> "
    "\"},"
    "{\"role\": \"assistant\", \"content\": \"\\u00e9\", \"tool_calls\": [{\"function\": {\"name\": \"f\", "
    "\"arguments\":"
    "{\"x\": 1.5, \"y\": [null, true]}}}]}], \"tools\": [{\"type\": \"function\"}], \"add_generation_prompt\": true,"
    "\"bos_token\": \"<s>\"}";

static void check_error(const gyr_error *e) {
    if (e->status == GYR_OK || strncmp(e->message, "T", 1) || strchr(e->message, '\n')) abort();
}

static void check_runs(const struct buf *out, const struct buf *user) {
    const size_t *run = (const size_t *)(const void *)user->data;
    size_t n = user->size / sizeof *run, last = 0;
    if (user->size % (2 * sizeof *run)) abort();
    for (size_t i = 0; i < n; i += 2) {
        if (run[i] < last || run[i] >= run[i + 1] || run[i + 1] > out->size) abort();
        last = run[i + 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t source = end ? (size_t)(end - data) : size;
    json_t *variables = end ? json_parse_talk((const char *)end + 1, size - source - 1, NULL) : NULL;
    if (!json_is_object(variables)) {
        json_decref(variables);
        variables = json_loads(talk, 0, NULL);
    }
    gyr_error e = {0};
    struct buf out = {0}, user = {0};
    struct chat_template *t = template_parse((const char *)data, source, "T", &e);
    if (t && template_render(t, variables, &out, &user, &e)) {
        if (!utf8_valid(out.data ? out.data : "", out.size)) abort();
        check_runs(&out, &user);
    } else {
        check_error(&e);
    }
    template_free(t);
    json_decref(variables);
    buf_free(&out);
    buf_free(&user);
    return 0;
}
