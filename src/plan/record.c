#include "plan/record.h"

#include "base/buf.h"
#include "base/cache.h"
#include "base/map.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FORMAT = 1, MAX_FILE = 4 << 20 };

// Numbers of a model's rates, in the file under these names; each is 0 and more.
static const struct {
    const char *name;
    size_t at;
} numbers[] = {
#define NUMBER(name)                                                                                                   \
    { #name, offsetof(struct rates, name) }
    NUMBER(read), NUMBER(quantized), NUMBER(halves), NUMBER(singles),    NUMBER(attend_one), NUMBER(attend),
    NUMBER(call), NUMBER(product),   NUMBER(stream), NUMBER(activation), NUMBER(rotation),
#undef NUMBER
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

void record_key(char out[160], const struct checkpoint *c, const struct demand *d) {
    snprintf(out, 160, "%.40s, %llu parameters in %u layers, %.0f bytes, cache %s", c->architecture,
             (unsigned long long)d->parameters, d->layers, d->layer * d->layers + d->rest, type_info(d->kv_type)->name);
}

// ------------------------------------------------------------------------------- reading

static bool plain(const json_t *value, double *out) {
    *out = json_is_number(value) ? json_number_value(value) : -1;
    return isfinite(*out) && *out >= 0;
}

static bool read_date(const json_t *o, char out[11]) {
    const char *date = json_string_value(json_object_get(o, "date"));
    unsigned year, month, day;
    if (!date || strlen(date) != 10 || sscanf(date, "%4u-%2u-%2u", &year, &month, &day) != 3) return false;
    memcpy(out, date, 11);
    return strspn(date, "0123456789-") == 10;
}

static bool read_timed(struct rates *r, const json_t *all) {
    const char *name;
    json_t *list;
    json_object_foreach((json_t *)all, name, list) {
        struct timed *t = &r->timed[r->n_timed];
        int type = type_by_name(name);
        if (r->n_timed == MAX_TIMED || type < 0 || json_array_size(list) != ROW_COUNTS) return false;
        t->type = (enum type)type;
        for (size_t i = 0; i < ROW_COUNTS; i++)
            if (!plain(json_array_get(list, i), &t->seconds[i]) || !(t->seconds[i] > 0)) return false;
        r->n_timed++;
    }
    return json_is_object(all);
}

static bool read_rates(struct record *k, const json_t *o) {
    struct rates r = {.basis = BASIS_ESTIMATED, .slow = 0.8, .fast = 1.25};
    for (size_t i = 0; i < NUMBERS; i++)
        if (!plain(json_object_get(o, numbers[i].name), (double *)((char *)&r + numbers[i].at))) return false;
    if (!(r.read > 0) || !read_date(o, k->date) || !read_timed(&r, json_object_get(o, "products"))) return false;
    k->rates = r;
    return k->rated = true;
}

static bool read_speed(struct recorded_speed *s, const json_t *o) {
    double n, prompt, generate, context;
    if (!plain(json_object_get(o, "sequences"), &n) || !plain(json_object_get(o, "prompt"), &prompt) ||
        !plain(json_object_get(o, "generate"), &generate) || !plain(json_object_get(o, "context"), &context) ||
        !plain(json_object_get(o, "prefill"), &s->is.prefill) || !plain(json_object_get(o, "decode"), &s->is.decode))
        return false;
    if (n > 1e6 || prompt > 1e9 || generate > 1e9 || context > 1e9) return false;
    s->is.sequences = (uint32_t)n;
    s->is.prompt = (uint64_t)prompt;
    s->is.generate = (uint64_t)generate;
    s->is.context = (uint64_t)context;
    return read_date(o, s->date);
}

static bool read_model(struct record *k, const json_t *o) {
    size_t i;
    json_t *speed, *speeds = json_object_get(o, "speeds"), *rates = json_object_get(o, "rates");
    if (rates && !read_rates(k, rates)) return false;
    json_array_foreach(speeds, i, speed) {
        if (k->n == MAX_KEPT || !read_speed(&k->speeds[k->n], speed)) return false;
        k->n++;
    }
    return true;
}

static char *file_path(void) {
    char *folder = cache_folder();
    struct buf b = {0};
    if (folder) buf_printf(&b, "%s/rates.json", folder);
    free(folder);
    return folder ? buf_take(&b) : NULL;
}

// NULL where there is none, and, with a note, where it is not as it should be.
static json_t *load(const char *path, char note[320]) {
    gyr_error e = {0};
    size_t size = 0;
    if (access(path, F_OK)) return NULL;
    char *text = read_file(path, MAX_FILE, &size, &e);
    json_t *all = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool ours = json_integer_value(json_object_get(all, "gyr_rates")) == FORMAT;
    if (text && !ours)
        snprintf(note, 320, "%.200s: not as gyr bench writes it; it is ignored", path);
    else if (!text)
        snprintf(note, 320, "%.300s", e.message);
    free(text);
    if (ours) return all;
    json_decref(all);
    return NULL;
}

void record_read(struct record *k, const char *machine, const char *key) {
    char *path = file_path();
    *k = (struct record){0};
    json_t *all = path ? load(path, k->note) : NULL;
    json_t *models = json_object_get(json_object_get(all, "machines"), machine), *model = json_object_get(models, key);
    if (model && !read_model(k, model)) {
        *k = (struct record){0};
        snprintf(k->note, sizeof k->note, "%.200s: not as gyr bench writes it; it is ignored", path);
    }
    json_decref(all);
    free(path);
}

// ------------------------------------------------------------------------------- writing

static json_t *rates_json(const struct record *k) {
    json_t *o = json_pack("{s:s}", "date", k->date), *products = json_object();
    for (size_t i = 0; i < NUMBERS; i++)
        json_object_set_new(o, numbers[i].name, json_real(*(const double *)((const char *)&k->rates + numbers[i].at)));
    for (size_t i = 0; i < k->rates.n_timed; i++) {
        json_t *list = json_array();
        for (size_t r = 0; r < ROW_COUNTS; r++) json_array_append_new(list, json_real(k->rates.timed[i].seconds[r]));
        json_object_set_new(products, type_info(k->rates.timed[i].type)->name, list);
    }
    json_object_set_new(o, "products", products);
    return o;
}

static json_t *model_json(const struct record *k) {
    json_t *o = json_object(), *speeds = json_array();
    if (k->rated) json_object_set_new(o, "rates", rates_json(k));
    for (size_t i = 0; i < k->n; i++) {
        const struct recorded_speed *s = &k->speeds[i];
        json_array_append_new(speeds,
                              json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:s}", "sequences", (json_int_t)s->is.sequences,
                                        "prompt", (json_int_t)s->is.prompt, "generate", (json_int_t)s->is.generate,
                                        "context", (json_int_t)s->is.context, "prefill", s->is.prefill, "decode",
                                        s->is.decode, "date", s->date));
    }
    json_object_set_new(o, "speeds", speeds);
    return o;
}

// The object of a name, made if there is none.
static json_t *inside(json_t *o, const char *name) {
    json_t *in = json_object_get(o, name);
    if (json_is_object(in)) return in;
    json_object_set_new(o, name, json_object());
    return json_object_get(o, name);
}

static bool write_file(const char *path, const char *text, gyr_error *e) {
    struct buf b = {0};
    buf_printf(&b, "%s.%ld", path, (long)getpid());
    char *part = buf_take(&b);
    if (!part) return fail_memory(e, path);
    FILE *f = fopen(part, "we");
    bool ok = f && fputs(text, f) >= 0;
    if (f) ok = !fclose(f) && ok;
    if (!ok || rename(part, path)) {
        fail(e, GYR_IO, "%s: %s; what was measured is not kept", part, strerror(errno));
        if (f) unlink(part);
        ok = false;
    }
    free(part);
    return ok;
}

// Puts `value`, which it takes, into the file as NAME of `of` of `kind`.
static bool put(const char *kind, const char *of, const char *name, json_t *value, gyr_error *e) {
    char note[320], *folder = cache_folder(), *path = file_path(), *text = NULL;
    bool ok = path && cache_make_folder(folder);
    if (!ok)
        fail(e, GYR_IO, "%.200s: no folder to keep rates in; set XDG_CACHE_HOME", folder ? folder : "~/.cache/gyr");
    json_t *all = ok ? load(path, note) : NULL;
    if (ok && !all) all = json_pack("{s:i}", "gyr_rates", FORMAT);
    if (ok) {
        json_object_set(inside(inside(all, kind), of), name, value);
        text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        ok = text ? write_file(path, text, e) : fail_memory(e, path);
    }
    json_decref(all);
    json_decref(value);
    free(text);
    free(path);
    free(folder);
    return ok;
}

bool record_write(const struct record *k, const char *machine, const char *key, gyr_error *e) {
    return put("machines", machine, key, model_json(k), e);
}

bool record_card_write(const char *card, double rate, gyr_error *e) {
    return put("cards", card, "read", json_real(rate), e);
}

double record_card(const char *card) {
    char note[320], *path = file_path();
    double rate = 0;
    json_t *all = path ? load(path, note) : NULL;
    json_t *o = json_object_get(json_object_get(all, "cards"), card);
    bool ok = plain(json_object_get(o, "read"), &rate);
    json_decref(all);
    free(path);
    return ok ? rate : 0;
}

// ------------------------------------------------------------------------------- finding

// As good as the same: speed changes slowly with the tokens that are there.
static bool close_to(double a, double b) { return fabs(a - b) <= fmax(64, 0.1 * b); }

const struct recorded_speed *record_prefill(const struct record *k, size_t prompt) {
    for (size_t i = k->n; i-- > 0;) {
        const gyr_plan_measured *m = &k->speeds[i].is;
        if (m->sequences == 1 && !m->context && m->prefill > 0 && close_to((double)m->prompt, (double)prompt))
            return &k->speeds[i];
    }
    return NULL;
}

const struct recorded_speed *record_decode(const struct record *k, size_t users, double middle) {
    for (size_t i = k->n; i-- > 0;) {
        const gyr_plan_measured *m = &k->speeds[i].is;
        double at = (double)m->context + (double)m->prompt + (double)m->generate / 2;
        if (m->sequences == users && m->decode > 0 && close_to(at, middle)) return &k->speeds[i];
    }
    return NULL;
}
