#include "server/talks.h"

#include "server/objects.h"
#include "server/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char kind[] = "conversation";
static const struct object_limits limits = {.object_bytes = TALK_BYTES, .owner_bytes = 1 << 30, .most = TALKS_MOST};

json_t *talk_get(struct store *s, int64_t owner, const char *id, gyr_error *e) {
    char *text = object_get(s, kind, id, owner, time(NULL), e);
    json_t *talk = text ? json_loads(text, 0, NULL) : NULL;
    if (text && !talk) fail_memory(e, kind);
    free(text);
    return talk;
}

bool talk_new(struct store *s, int64_t owner, const json_t *metadata, json_t *items, char id[TALK_ID], int64_t now,
              gyr_error *e) {
    static const char mark[] = "conv_";
    memcpy(id, mark, sizeof mark);
    if (!secret_random(id + sizeof mark - 1, TALK_ID - sizeof mark, e)) return false;
    json_t *talk = json_pack("{s:I, s:o, s:O}", "created", (json_int_t)now, "metadata",
                             json_is_object(metadata) ? json_incref((json_t *)(uintptr_t)metadata) : json_object(),
                             "items", items);
    char *text = talk ? json_dumps(talk, JSON_COMPACT) : NULL;
    bool ok = text ? object_put(s, kind, id, owner, text, now, 0, &limits, e) : fail_memory(e, kind);
    json_decref(talk);
    free(text);
    return ok;
}

bool talk_delete(struct store *s, int64_t owner, const char *id, int64_t now, gyr_error *e) {
    return object_delete(s, kind, id, owner, now, e);
}

// Once: whether it was still what it had been, if all went well.
static bool change_once(struct store *s, int64_t owner, const char *id, bool (*fn)(json_t *talk, void *arg), void *arg,
                        bool *done, gyr_error *e) {
    char *had = object_get(s, kind, id, owner, time(NULL), e);
    json_t *talk = had ? json_loads(had, 0, NULL) : NULL;
    bool ok = had && (talk || fail_memory(e, kind)) && fn(talk, arg);
    char *text = ok ? json_dumps(talk, JSON_COMPACT) : NULL;
    if (ok && !text) ok = fail_memory(e, kind);
    if (ok) *done = object_change(s, kind, id, owner, had, text, &limits, e);
    json_decref(talk);
    free(text);
    free(had);
    return ok && !e->status;
}

bool talk_change(struct store *s, int64_t owner, const char *id, bool (*fn)(json_t *talk, void *arg), void *arg,
                 gyr_error *e) {
    bool done = false;
    while (!done)
        if (!change_once(s, owner, id, fn, arg, &done, e)) return false;
    return true;
}

static bool extend(json_t *talk, void *items) { return !json_array_extend(json_object_get(talk, "items"), items); }

bool talk_add(struct store *s, int64_t owner, const char *id, json_t *items, gyr_error *e) {
    return talk_change(s, owner, id, extend, items, e);
}

// ------------------------------------------------------------------------------------------------ items

static const char *mark_of(const char *type) {
    static const struct {
        const char *type, *mark;
    } marks[] = {{"message", "msg_"}, {"function_call", "fc_"}, {"function_call_output", "fco_"}, {"reasoning", "rs_"}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (!strcmp(marks[i].type, type)) return marks[i].mark;
    return "item_";
}

static json_t *item_of(const json_t *given, struct fault *f) {
    char id[40];
    gyr_error e = {0};
    json_t *item = json_copy((json_t *)(uintptr_t)given), *content = json_object_get(item, "content");
    const char *role = json_string_value(json_object_get(item, "role")),
               *type = json_string_value(json_object_get(item, "type"));
    bool ours = role && !strcmp(role, "assistant");
    if (!type) json_object_set_new(item, "type", json_string(type = "message"));
    int n = snprintf(id, sizeof id, "%s", mark_of(type));
    if (!secret_random(id + n, 24, &e)) {
        json_decref(item);
        refuse(f, 503, NULL, "%s", e.message);
        return NULL;
    }
    json_object_set_new(item, "id", json_string(id));
    if (strcmp(type, "reasoning")) json_object_set_new(item, "status", json_string("completed"));
    if (role && json_is_string(content))
        json_object_set_new(item, "content",
                            ours
                                ? json_pack("[{s:s, s:O, s:[]}]", "type", "output_text", "text", content, "annotations")
                                : json_pack("[{s:s, s:O}]", "type", "input_text", "text", content));
    return item;
}

json_t *talk_items(const json_t *given, const char *name, struct fault *f) {
    json_t *all = json_array(), *one, *item;
    size_t i;
    json_array_foreach(given, i, one) {
        if (!json_is_object(one))
            refuse(f, 400, name, "%s: takes a list of items", name);
        else if ((item = item_of(one, f)))
            json_array_append_new(all, item);
        if (f->status) break;
    }
    if (!f->status && all) return all;
    json_decref(all);
    if (!f->status) refuse(f, 503, NULL, "out of memory; try again later");
    return NULL;
}
