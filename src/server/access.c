#include "server/access.h"

#include "base/clock.h"
#include "server/files.h"
#include "server/models.h"
#include "server/origin.h"
#include "server/secret.h"
#include "server/tuned.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct access_state {
    bool needs_key, loopback;
    struct store *store; // NULL: none, and so no keys
    struct keyring *keys;
    struct limits *limits;
    struct usage *usage;
    const char **hosts, **origins; // NULL ends each
    struct origin_rules rules;
    double refreshed;
    pthread_mutex_t seeding;
};

static bool is_loopback(const char *host) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
    return !strcasecmp(host, "localhost");
}

static const char **list_of(const char *const *items, size_t n, const char *more) {
    const char **list = calloc(n + 2, sizeof *list);
    for (size_t i = 0; list && i < n; i++) list[i] = items[i];
    if (list) list[n] = more;
    return list;
}

static bool open_state(struct access_state *a, gyr_error *e) {
    if (!(a->store = store_open(NULL, e)) || !(a->keys = keyring_new(a->store, e))) return false;
    a->limits = limits_new();
    a->usage = usage_new(a->store);
    return (a->limits && a->usage) || fail_memory(e, "server");
}

struct access_state *access_new(const struct serve_options *o, gyr_error *e) {
    struct access_state *a = calloc(1, sizeof *a);
    if (!a) return fail_memory(e, "server"), NULL;
    pthread_mutex_init(&a->seeding, NULL);
    a->loopback = is_loopback(o->host);
    a->needs_key = o->auth || (!o->no_auth && !a->loopback);
    a->hosts = list_of(o->hosts, o->n_hosts, o->host);
    a->origins = list_of(o->origins, o->n_origins, NULL);
    a->rules = (struct origin_rules){a->hosts, a->origins};
    bool ok = (a->hosts && a->origins) || fail_memory(e, "server");
    ok = ok && (open_state(a, e) || !a->needs_key);
    if (ok && a->needs_key && !keyring_count(a->keys))
        ok = fail(
            e, GYR_USAGE,
            "%s: keys are asked for at this address, and there are none; make one (gyr key add NAME), or say --no-auth",
            o->host);
    if (ok) return a;
    access_free(a);
    return NULL;
}

void access_free(struct access_state *a) {
    if (!a) return;
    if (a->usage) usage_flush(a->usage, time(NULL), NULL);
    usage_free(a->usage);
    limits_free(a->limits);
    if (a->keys) keyring_free(a->keys);
    if (a->store) store_close(a->store);
    pthread_mutex_destroy(&a->seeding);
    free(a->hosts);
    free(a->origins);
    free(a);
}

bool access_needs_key(const struct access_state *a) { return a->needs_key; }

bool access_manages(const struct access_state *a, const struct exchange *x) {
    const struct key *k = x->account;
    return (k && k->admin) || (a->loopback && !a->needs_key);
}

bool access_flush_usage(struct access_state *a, gyr_error *e) { return usage_flush(a->usage, time(NULL), e); }

size_t access_keys(const struct access_state *a) { return a->keys ? keyring_count(a->keys) : 0; }

struct store *access_store(struct access_state *a) {
    return a->store;
}

struct store *server_store(struct server *s) {
    return s->access->store;
}

int64_t exchange_owner(const struct exchange *x) { return x->account ? ((const struct key *)x->account)->id : 0; }

int64_t exchange_sees(const struct exchange *x) {
    const struct key *k = x->account;
    return k && k->admin ? OWNER_ANY : exchange_owner(x);
}

static bool check_origin(struct access_state *a, struct exchange *x, struct fault *f) {
    const char *host = exchange_header(x, "host"), *origin = exchange_header(x, "origin");
    if (!host || !origin_host_good(&a->rules, host))
        return refuse(f, 403, NULL, "'%.100s' is not a name of this server; --name makes it one", host ? host : "");
    enum origin_verdict verdict = origin_judge(&a->rules, origin, host);
    if (verdict == ORIGIN_REFUSED)
        return refuse(f, 403, NULL, "pages of '%.100s' may not ask here; --origin lets them", origin);
    if (verdict == ORIGIN_ALLOWED) {
        exchange_add_header(x, "Access-Control-Allow-Origin", origin_allow_header(&a->rules, origin));
        exchange_add_header(x, "Vary", "Origin");
    }
    return true;
}

static void release_key(void *key) { key_release(key); }

bool access_act_for(struct access_state *a, struct exchange *x, int64_t owner) {
    struct key *key = NULL;
    if (!owner) return true;
    if (!a->keys || !keyring_get(a->keys, owner, time(NULL), &key)) return false;
    x->account = key;
    x->release_account = release_key;
    return true;
}

static bool check_key(struct access_state *a, struct exchange *x, enum access needed, struct fault *f) {
    struct text sent = origin_key(exchange_header(x, "authorization"), exchange_header(x, "x-api-key"));
    struct key *key = NULL;
    enum key_verdict verdict = a->keys && sent.size ? keyring_find(a->keys, sent, time(NULL), &key) : KEY_UNKNOWN;
    if (verdict == KEY_GOOD) {
        x->account = key;
        x->release_account = release_key;
    }
    if (needed == OPEN || (!a->needs_key && needed == USER)) return true;
    if (needed == MANAGER && access_manages(a, x)) return true;
    if (verdict == KEY_EXPIRED) return refuse_as(f, 401, "expired_api_key", NULL, "the key has expired");
    if (verdict != KEY_GOOD)
        return refuse_as(f, 401, "invalid_api_key", NULL,
                         sent.size ? "the key is not known here" : "a key is needed: Authorization: Bearer KEY");
    return needed == USER || key->admin || refuse(f, 403, NULL, "this takes an administrator's key");
}

bool access_check(struct access_state *a, struct exchange *x, enum access needed, struct fault *f) {
    return check_origin(a, x, f) && check_key(a, x, needed, f);
}

bool access_preflight(struct access_state *a, struct exchange *x) {
    struct fault f = {0};
    if (strcmp(x->method, "OPTIONS") || !exchange_header(x, "access-control-request-method")) return false;
    if (check_origin(a, x, &f)) {
        exchange_add_header(x, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
        exchange_add_header(x, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, If-Match, If-None-Match, X-Api-Key, Anthropic-Version, "
                            "Anthropic-Beta");
        exchange_add_header(x, "Access-Control-Max-Age", "600");
    }
    reply_whole(x, f.status ? f.status : 204, NULL, "", 0);
    return true;
}

// A job is over, whatever became of it.
static void settle(struct job *j) {
    struct access_state *a = j->settling;
    const struct key *k = j->x->account;
    if (k)
        (j->x->behind ? limits_end_line : limits_end)(a->limits, k, j->estimate, j->took_prompt + j->took_answer,
                                                      now_seconds());
    if (a->usage)
        usage_add(a->usage, k ? k->id : 0, job_model(j),
                  &(struct usage_entry){j->took_prompt, j->took_cached, j->took_answer}, time(NULL));
}

// What a key used today before this process was started counts, too.
static void seed_limits(struct access_state *a, const struct key *k) {
    enum { DAY = 86400 };
    int64_t now = time(NULL);
    if (!k->limits.tokens_per_day) return;
    pthread_mutex_lock(&a->seeding);
    if (!limits_day_known(a->limits, k))
        limits_seed(a->limits, k, usage_today(a->usage, k->id, now), (double)(now % DAY), now_seconds());
    pthread_mutex_unlock(&a->seeding);
}

static void put_header(void *x, const char *name, const char *value) { exchange_add_header(x, name, value); }

// What a key sends is found by that key alone, whatever salts others choose: they would have to find one that hashes to
// the same. What was computed with an adapter is good for that one alone.
static bool own_salt(struct job *j) {
    unsigned char hash[SECRET_HASH];
    struct {
        uint64_t owner, salt;
        char adapter[ADAPTER_CHECKSUM];
    } all = {j->owner, j->salt, ""};
    size_t size = sizeof all.owner + sizeof all.salt;
    if (!j->owner && !j->salt && !j->tuned) return true;
    if (j->tuned) {
        tuned_checksum(j->tuned, all.adapter);
        size += sizeof all.adapter;
    }
    if (!secret_hash(&all, size, hash)) return false;
    memcpy(&j->salt, hash, sizeof j->salt);
    return true;
}

// A verdict that lets the request in, or the refusal.
static bool let_in(struct exchange *x, const struct limit_verdict *v, struct fault *f) {
    limits_headers(v, put_header, x);
    if (v->reason == LIMIT_REQUEST_TOO_BIG) return refuse(f, 400, NULL, "%s", limits_message(v));
    return !v->reason || refuse_as(f, 429, "rate_limit_exceeded", NULL, "%s", limits_message(v));
}

bool access_look(struct access_state *a, struct exchange *x, struct fault *f) {
    const struct key *k = x->account;
    struct limit_verdict v = k ? limits_look(a->limits, k, now_seconds()) : (struct limit_verdict){0};
    return !v.reason || let_in(x, &v, f);
}

bool access_once(struct access_state *a, struct exchange *x, struct fault *f) {
    const struct key *k = x->account;
    if (!k) return true;
    struct limit_verdict v = limits_begin(a->limits, k, 0, now_seconds());
    if (!let_in(x, &v, f)) return false;
    limits_end(a->limits, k, 0, 0, now_seconds());
    return true;
}

bool access_begin(struct access_state *a, struct job *j, size_t context, struct fault *f) {
    enum { GUESS = 512 }; // tokens of an answer whose length nobody has limited
    const struct key *k = j->x->account;
    size_t room = context > j->count ? context - j->count : 0, answer = j->max_tokens ? j->max_tokens : GUESS;
    if (j->no_answer) answer = 0;
    j->owner = k ? (uint64_t)k->id : 0;
    if (!own_salt(j)) return refuse(f, 503, NULL, "out of memory; try again later");
    j->settling = a;
    // What a key has trained is as its model is.
    bool own = k && j->tuned && tuned_owner(j->tuned) == k->id && key_allows_model(k, served_name(j->model));
    if (k && !own && !key_allows_model(k, job_model(j)))
        return refuse_as(f, 403, "model_not_allowed", "model", "this key may not use '%.100s'", job_model(j));
    j->estimate = job_tokens(j) + (uint64_t)j->n * (answer < room ? answer : room);
    if (k) {
        seed_limits(a, k);
        struct limit_verdict v =
            (j->x->behind ? limits_begin_line : limits_begin)(a->limits, k, j->estimate, now_seconds());
        if (!let_in(j->x, &v, f)) return false;
    }
    j->settle = settle;
    return true;
}

bool access_reload(struct access_state *a, gyr_error *e) { return !a->keys || keyring_reload(a->keys, e); }

void access_tick(struct access_state *a) {
    if (!a->store || now_seconds() - a->refreshed < 1) return;
    a->refreshed = now_seconds();
    keyring_refresh(a->keys, NULL);
    if (usage_due(a->usage, time(NULL))) usage_flush(a->usage, time(NULL), NULL);
}
