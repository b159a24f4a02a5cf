// gyr_plan(): what a model takes, how fast it will be and what it costs, before anybody buys.
#include "plan/plan.h"
#include "base/buf.h"
#include "plan/source.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CARD_ROWS = 512, MAX_USERS = 4096 };

static bool read_budget(struct budget *b, const char *text, gyr_error *e) {
    char *end;
    if (!text) return true;
    b->usd = strtod(text, &end);
    b->hourly = !strcmp(end, "/h");
    if (end != text && (!*end || b->hourly) && *text >= '0' && *text <= '9' && b->usd > 0 && b->usd <= 1e12)
        return true;
    return fail(e, GYR_USAGE,
                "budget %.40s: write USD to buy for, such as 20000, or USD an hour to rent for, such as 8/h", text);
}

static bool read_options(struct plan *p, gyr_error *e) {
    const gyr_plan_options *o = p->o;
    if (!o->model || !*o->model) return fail(e, GYR_USAGE, "plan: needs a model, such as falcon-40b");
    if (o->tune && o->train) return fail(e, GYR_USAGE, "plan: tune and train are two plans; ask for one of them");
    if (!o->tune && (o->rank || o->tokens)) return fail(e, GYR_USAGE, "plan: rank and tokens are of --tune");
    if (!o->tune && !o->train && (o->batch || o->fp8))
        return fail(e, GYR_USAGE, "plan: batch and fp8 are of --tune and --train");
    if ((o->tune || o->train) && o->no_cpu)
        return fail(e, GYR_USAGE, "plan: --no-cpu is of plans to run; leave it out");
    if ((o->tune || o->train) && (o->prompt || o->users > 1))
        return fail(e, GYR_USAGE, "plan: users and prompts are of plans to run; --context is an example's length here");
    if (o->users > MAX_USERS) return fail(e, GYR_USAGE, "%u users; %d are the most", o->users, MAX_USERS);
    if (!read_budget(&p->budget, o->budget, e)) return false;
    if (p->budget.usd > 0 && !o->prices)
        return fail(e, GYR_USAGE, "a budget needs a file of prices; examples/prices.tsv shows the form");
    if (o->prices && !(p->prices = prices_open(o->prices, e))) return false;
    p->usage = (struct usage){.users = o->users ? o->users : 1,
                              .context = o->context,
                              .prompt = o->prompt,
                              .kv_type = o->kv_type,
                              .rows = CARD_ROWS};
    return !o->on || mix_parse(&p->mix, o->on, e);
}

static bool place_cards(struct plan *p) {
    for (size_t i = 0; i < p->mix.n; i++) {
        const struct accelerator *a = p->mix.kind[i].card;
        p->place[p->n_places++] = (struct place_for){.card = a,
                                                     .n = p->mix.kind[i].n,
                                                     .room = card_room(a),
                                                     .watts = a->watts,
                                                     .link = a->link_rate * 1e9 / 2,
                                                     .rates = rates_of_card(a)};
    }
    return true;
}

// The system needs a sixteenth, as when models are loaded.
static bool place_here(struct plan *p, gyr_error *e) {
    uint64_t total, available;
    p->here->ops->room(p->here, &total, &available);
    p->here_free = (double)available;
    p->place[p->n_places++] = (struct place_for){.n = 1, .room = (double)(total - total / 16)};
    record_key(p->key, p->checkpoint, &p->demand);
    record_read(&p->kept, p->machine, p->key);
    p->from_kept = p->kept.rated;
    if (p->from_kept) p->place[0].rates = p->kept.rates;
    if (p->from_kept || p->o->quick) return true;
    return rates_here(&p->place[0].rates, p->here, p->checkpoint, &p->demand, e);
}

static bool open_here(struct plan *p, gyr_error *e) {
    gyr_device_info info;
    p->here = device_open("cpu", p->o->threads, e); // whose rates are timed, whatever $GYR_DEVICE names
    if (!p->here || gyr_device_get_info(0, &info, e)) return false;
    snprintf(p->here_name, sizeof p->here_name, "%s", info.name);
    snprintf(p->machine, sizeof p->machine, "%s, %s, %u threads", info.name, info.isa,
             p->o->threads ? p->o->threads : info.threads);
    p->usage.rows = p->here->ops->rows;
    p->usage.like = p->here;
    return true;
}

static bool trains(const struct plan *p) { return p->o->tune || p->o->train; }

static bool plan_training(struct plan *p, gyr_error *e) {
    if (p->n_places > 1)
        return fail(e, GYR_UNSUPPORTED, "%.100s: training over cards of several kinds is not planned; name one",
                    p->o->on);
    if (!lesson_of(&p->lesson, p->checkpoint, &p->demand, p->o, &p->usage, e)) return false;
    training_plan(&p->training, &p->lesson, &p->place[0]);
    return true;
}

static bool settle(struct plan *p, gyr_error *e) {
    if (!(p->checkpoint = source_open(p->o, &p->shape, e)) || !checkpoint_check(p->checkpoint, e)) return false;
    if (!usage_settle(&p->usage, p->checkpoint, e) || (!p->o->on && !open_here(p, e))) return false;
    if (trains(p)) p->usage.prompt = p->usage.context; // examples are whole
    if (!demand_count(&p->demand, p->checkpoint, &p->usage, e)) return false;
    const gyr_model_options run = {.threads = p->o->threads,
                                   .device = "auto",
                                   .no_cpu = p->o->no_cpu,
                                   .kv_type = p->o->kv_type,
                                   .sequences = (uint32_t)p->usage.users,
                                   .tokens = p->usage.users * p->usage.context};
    if (p->here && !p->o->quick && !trains(p) && !placement_ask(&p->where, p->checkpoint, &run, e)) return false;
    if (p->here) demand_mapped(&p->demand, 1);
    if (!(p->here ? place_here(p, e) : place_cards(p))) return false;
    lay_out(&p->layout, &p->demand, p->place, p->n_places);
    return !trains(p) || plan_training(p, e);
}

// As gyr bench asks: rates of the operations, timed now, and the speeds that it measured beside those of before.
static bool keep(struct plan *p, const gyr_plan_measured *m, size_t n, gyr_error *e) {
    if (!(p->checkpoint = source_open(p->o, &p->shape, e)) || !checkpoint_check(p->checkpoint, e)) return false;
    if (!usage_settle(&p->usage, p->checkpoint, e) || !open_here(p, e)) return false;
    if (!demand_count(&p->demand, p->checkpoint, &p->usage, e)) return false;
    demand_mapped(&p->demand, 1);
    record_key(p->key, p->checkpoint, &p->demand);
    record_read(&p->kept, p->machine, p->key);
    struct record *k = &p->kept;
    if (!rates_here(&k->rates, p->here, p->checkpoint, &p->demand, e)) return false;
    k->rated = true;
    memcpy(k->date, p->date, sizeof k->date);
    for (size_t i = 0; i < n; i++) {
        if (k->n == MAX_KEPT) memmove(k->speeds, k->speeds + 1, (--k->n) * sizeof *k->speeds);
        struct recorded_speed *s = &k->speeds[k->n++];
        s->is = m[i];
        memcpy(s->date, p->date, sizeof s->date);
    }
    return record_write(k, p->machine, p->key, e);
}

static void today(char out[11]) {
    time_t now = time(NULL);
    struct tm t = {0};
    if (!gmtime_r(&now, &t) || !strftime(out, 11, "%Y-%m-%d", &t)) *out = 0;
}

static void clear(struct plan *p) {
    demand_free(&p->demand);
    if (p->here) p->here->ops->close(p->here);
    checkpoint_close(p->checkpoint);
    free(p->prices);
    free(p);
}

char *gyr_plan(const gyr_plan_options *o, gyr_error *err) {
    gyr_error made = {0};
    char *text = NULL;
    struct plan *p = calloc(1, sizeof *p);
    bool room = true;
    for (size_t i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++) room = room && !o->reserved[i];
    if (!room)
        fail(&made, GYR_USAGE,
             "options: a member that this version does not know is set; zero the struct, or use a newer gyr");
    if (p && room) {
        p->o = o;
        today(p->date);
        json_t *all = read_options(p, &made) && settle(p, &made) ? plan_json(p) : NULL;
        text = all ? json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
        if (!text && !made.status) fail_memory(&made, "plan");
        json_decref(all);
        clear(p);
    } else if (!p) {
        fail_memory(&made, "plan");
    }
    if (!text && err) *err = made;
    return text;
}

static void name_card(char out[200], const gyr_device_info *card) {
    snprintf(out, 200, "%s, %s", card->name, card->isa);
}

gyr_status gyr_plan_keep_read(const gyr_device_info *card, double rate, gyr_error *err) {
    char name[200];
    gyr_error made = {0};
    name_card(name, card);
    bool ok = record_card_write(name, rate, &made);
    if (!ok && err) *err = made;
    return ok ? GYR_OK : made.status;
}

double gyr_plan_kept_read(const gyr_device_info *card) {
    char name[200];
    name_card(name, card);
    return record_card(name);
}

gyr_status gyr_plan_keep(const gyr_plan_options *o, const gyr_plan_measured *measured, size_t count, gyr_error *err) {
    gyr_error made = {0};
    struct plan *p = calloc(1, sizeof *p);
    gyr_plan_options how = {.model = o->model, .threads = o->threads, .kv_type = o->kv_type};
    bool ok = p || fail_memory(&made, "plan");
    if (p) {
        p->o = &how;
        today(p->date);
        ok = read_options(p, &made) && keep(p, measured, count, &made);
        clear(p);
    }
    if (!ok && err) *err = made;
    return ok ? GYR_OK : made.status;
}

const char *gyr_plan_card(size_t index) {
    const struct accelerator *a = accelerator_row(index);
    return a ? a->name : NULL;
}
