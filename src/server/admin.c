#include "server/admin.h"

#include "server/keys.h"
#include "server/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

char *admin_key_add(const struct admin_key *w, gyr_error *e) {
    int64_t now = time(NULL);
    char text[KEY_TEXT];
    struct key k = {.admin = w->admin, .models = (char *)w->models};
    k.limits = (struct key_limits){w->requests_per_minute, w->tokens_per_minute, w->tokens_per_day, w->concurrency};
    if (w->days) k.expires = now + (int64_t)w->days * 86400;
    if (strlen(w->name) > KEY_NAME)
        return fail(e, GYR_USAGE, "key: its name has more than %d characters", KEY_NAME), NULL;
    snprintf(k.name, sizeof k.name, "%s", w->name);
    struct store *s = store_open(NULL, e);
    bool made = s && keys_add(s, &k, now, text, e);
    store_close(s);
    char *copy = made ? strdup(text) : NULL;
    if (made && !copy) fail_memory(e, "key");
    secret_forget(text, sizeof text);
    return copy;
}

bool admin_key_remove(const char *name, gyr_error *e) {
    struct store *s = store_open(NULL, e);
    bool done = s && keys_remove(s, name, time(NULL), e);
    store_close(s);
    return done;
}

char *admin_key_list(gyr_error *e) {
    struct store *s = store_open(NULL, e);
    char *text = s ? keys_list(s, time(NULL), e) : NULL;
    store_close(s);
    return text;
}

char *admin_key_usage(const char *name, gyr_error *e) {
    struct store *s = store_open(NULL, e);
    char *text = s ? usage_list(s, name, 0, e) : NULL;
    store_close(s);
    return text;
}
