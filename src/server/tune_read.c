#include "server/tune_read.h"

#include "server/ask.h"
#include "server/keys.h"
#include "server/tuner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_EPOCHS = 50, MOST_BATCH = 256 }; // as OpenAI has them
static const double most_rate = 1000, most_seed = 2147483647, most_beta = 2;

// Refuses what is not in the list, by name; null is as good as not there.
static bool known(const json_t *object, const char *const *names, const char *in, struct fault *f) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key)) i++;
        if (!names[i] && !json_is_null(value))
            return refuse_as(f, 400, "unknown_parameter", key, "unknown parameter: '%s%s%.60s'", in, *in ? "." : "",
                             key);
    }
    return true;
}

static const json_t *given(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

// ------------------------------------------------------------------------------------------------ numbers

static bool is_auto(const json_t *v) { return !v || (json_is_string(v) && !strcmp(json_string_value(v), "auto")); }

static bool read_whole(const json_t *o, const char *in, const char *name, int64_t most, int64_t *to, struct fault *f) {
    const json_t *v = given(o, name);
    if (is_auto(v)) return true;
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > most)
        return refuse(f, 400, name, "%s.%s: takes \"auto\" or a whole number from 1 to %lld", in, name,
                      (long long)most);
    *to = json_integer_value(v);
    return true;
}

static bool read_number(const json_t *o, const char *in, const char *name, double most, double *to, struct fault *f) {
    const json_t *v = given(o, name);
    if (is_auto(v)) return true;
    double is = json_is_number(v) ? json_number_value(v) : 0;
    if (!(is > 0) || is > most)
        return refuse(f, 400, name, "%s.%s: takes \"auto\" or a number above 0, at most %g", in, name, most);
    *to = is;
    return true;
}

bool tune_read_hyperparameters(const json_t *o, const char *in, struct tune_wish *w, struct fault *f) {
    static const char *const names[] = {"n_epochs", "batch_size", "learning_rate_multiplier", NULL},
                             *const prefers[] = {"n_epochs", "batch_size", "learning_rate_multiplier", "beta", NULL};
    if (!o) return true;
    if (!json_is_object(o)) return refuse(f, 400, "hyperparameters", "%s: takes an object", in);
    return known(o, w->prefers ? prefers : names, in, f) && read_whole(o, in, "n_epochs", MOST_EPOCHS, &w->epochs, f) &&
           read_whole(o, in, "batch_size", MOST_BATCH, &w->batch, f) &&
           read_number(o, in, "learning_rate_multiplier", most_rate, &w->rate, f) &&
           (!w->prefers || read_number(o, in, "beta", most_beta, &w->beta, f));
}

// ------------------------------------------------------------------------------------------------ members

bool tune_read_method(const json_t *o, struct tune_wish *w, struct fault *f) {
    static const char *const methods[] = {"supervised", "dpo"}, *const own[] = {"hyperparameters", NULL};
    const char *type = o ? json_string_value(json_object_get(o, "type")) : "supervised",
               *names[] = {"type", NULL, NULL};
    char in[40];
    if (!o) return true;
    if (!json_is_object(o) || !type) return refuse(f, 400, "method", "method: takes an object with a type");
    if (!strcmp(type, "reinforcement") || given(o, "reinforcement"))
        return refuse(f, 400, "method",
                      "method: 'reinforcement' is not supported; gyr trains with 'supervised' and 'dpo'");
    w->prefers = !strcmp(type, "dpo");
    names[1] = methods[w->prefers];
    if (strcmp(type, names[1]))
        return refuse(f, 400, "method", "method.type: '%.40s' is none; gyr trains with 'supervised' and 'dpo'", type);
    const json_t *of = given(o, names[1]);
    snprintf(in, sizeof in, "method.%s", names[1]);
    if (of && !json_is_object(of)) return refuse(f, 400, "method", "%s: takes an object", in);
    if (!known(o, names, "method", f) || (of && !known(of, own, in, f))) return false;
    snprintf(in, sizeof in, "method.%s.hyperparameters", names[1]);
    return tune_read_hyperparameters(given(of, "hyperparameters"), in, w, f);
}

static bool read_suffix(const json_t *v, struct tune_wish *w, struct fault *f) {
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *text = v ? json_string_value(v) : "";
    if (!text || (v && !*text) || strlen(text) > TUNE_SUFFIX || strlen(text) != json_string_length(v) * (v != NULL) ||
        strspn(text, good) != strlen(text))
        return refuse(f, 400, "suffix", "suffix: takes 1 to %d letters, digits and any of -_.", TUNE_SUFFIX);
    w->suffix = text;
    return true;
}

static bool read_seed(const json_t *v, struct tune_wish *w, struct fault *f) {
    if (!v) return true;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (double)json_integer_value(v) > most_seed)
        return refuse(f, 400, "seed", "seed: takes a whole number from 0 to %.0f", most_seed);
    w->seed = json_integer_value(v);
    return true;
}

static bool read_file(const json_t *v, const char *name, bool needed, const char **to, struct fault *f) {
    if (!v && !needed) return true;
    *to = json_string_value(v);
    return *to || refuse(f, 400, name, "%s: takes the id of a file", name);
}

struct served *tune_base(struct server *s, const struct exchange *x, const json_t *name, struct fault *f) {
    const char *text = json_string_value(name);
    const struct key *k = x->account;
    struct served *m = text && *text ? models_find(s->models, text) : NULL;
    struct tuned *t = text && !m ? tuner_find(s, text, exchange_sees(x)) : NULL;
    if (t) tuned_release(t);
    if (!text || !*text) return refuse(f, 400, "model", "model: takes the name of a model"), NULL;
    if (t) return refuse(f, 400, "model", "model: '%.100s' is an adapter; training begins from a model", text), NULL;
    if (!m)
        return refuse_as(f, 404, "model_not_found", "model", "no model '%.100s' is served here; see /v1/models", text),
               NULL;
    if (!served_good(m, f)) return NULL;
    if (k && !key_allows_model(k, served_name(m)))
        return refuse_as(f, 403, "model_not_allowed", "model", "this key may not use '%.100s'", text), NULL;
    return m;
}

bool tune_read_wish(struct server *s, const struct exchange *x, const json_t *body, struct tune_wish *w,
                    struct fault *f) {
    static const char *const names[] = {"model",  "training_file", "validation_file", "hyperparameters", "method",
                                        "suffix", "seed",          "metadata",        "integrations",    NULL};
    const json_t *method = given(body, "method"), *old = given(body, "hyperparameters"),
                 *integrations = given(body, "integrations");
    const struct served *m;
    if (!known(body, names, "", f) || !(m = tune_base(s, x, json_object_get(body, "model"), f))) return false;
    w->base = served_name(m);
    if (integrations && !(json_is_array(integrations) && !json_array_size(integrations)))
        return refuse(f, 400, "integrations", "integrations: are not supported; metrics are in the job's events");
    if (method && old)
        return refuse(f, 400, "hyperparameters", "hyperparameters: are given in method as well; take one of the two");
    return read_file(given(body, "training_file"), "training_file", true, &w->training, f) &&
           read_file(given(body, "validation_file"), "validation_file", false, &w->validation, f) &&
           tune_read_hyperparameters(old, "hyperparameters", w, f) && tune_read_method(method, w, f) &&
           read_suffix(given(body, "suffix"), w, f) && read_seed(given(body, "seed"), w, f) &&
           ask_metadata(given(body, "metadata"), f);
}
