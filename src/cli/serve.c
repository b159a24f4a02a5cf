// gyr serve: models behind the APIs that programs already speak.
#include "server/server.h"

#include "open.h"
#include "options.h"
#include "output.h"
#include "ranks.h"
#include "serve_models.h"
#include "verbs.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct serving {
    struct texts models, aliases, adapters, origins, hosts;
    const char *adapter_folder, *host, *cert, *key, *kv_type, *device, *tune_device, *tune_products, *split;
    uint64_t port, context, kv_memory, disk_cache, threads, parallel, waiting, prefill, connections, body, files,
        key_files, memory, adapter_memory, tune_threads, gpu_layers;
    bool auth, no_auth, oversize, lock, no_cache, cpu_experts, no_cpu, quiet, no_page, pull, tune_fair;
};

static const uint64_t UNSET = UINT64_MAX;

#define FIELD(name) offsetof(struct serving, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, hf: name, or folder of them (repeatable)", OPTION_TEXTS, FIELD(models), 0, 0,
     "Models"},
    {"alias", 0, "NAME", "its name in the APIs (repeatable, as -m)", OPTION_TEXTS, FIELD(aliases)},
    {"adapter", 0, "NAME=PATH", "a LoRA adapter, as a model NAME (repeatable)", OPTION_TEXTS, FIELD(adapters)},
    {"adapters", 0, "FOLDER", "adapters that clients may load", OPTION_TEXT, FIELD(adapter_folder)},
    {"context", 'c', "N", "longest conversation (else the model's own)", OPTION_WHOLE, FIELD(context), 1, 1e9},
    {"kv-type", 0, KV_TYPES, "precision of the KV cache", OPTION_CHOICE, FIELD(kv_type)},
    {"device", 0, "NAME", "cpu, or a card (else $GYR_DEVICE, else auto)", OPTION_TEXT, FIELD(device)},
    {"gpu-layers", 0, "N", "layers on the card, the others on the CPU", OPTION_WHOLE, FIELD(gpu_layers), 1, 1e6},
    {"cpu-experts", 0, NULL, "a mixture's experts stay on the CPU", OPTION_FLAG, FIELD(cpu_experts)},
    {"no-cpu", 0, NULL, "refuse what the cards have no room for", OPTION_FLAG, FIELD(no_cpu)},
    {"split", 0, SPLITS, "how ranks or cards share the model", OPTION_CHOICE, FIELD(split)},
    {"oversize", 0, NULL, "run a model that memory cannot hold, from disk", OPTION_FLAG, FIELD(oversize)},
    {"lock", 0, NULL, "keep the weights in memory", OPTION_FLAG, FIELD(lock)},
    {"no-cache", 0, NULL, "keep no file of the weights' fast form", OPTION_FLAG, FIELD(no_cache)},
    {"host", 0, "ADDRESS", "where to listen (127.0.0.1)", OPTION_TEXT, FIELD(host), 0, 0, "Address"},
    {"port", 'p', "N", "at which port (8080); 0: a free one", OPTION_WHOLE, FIELD(port), 0, 65535},
    {"name", 0, "HOST", "another name of this server (repeatable)", OPTION_TEXTS, FIELD(hosts)},
    {"cert", 0, "FILE", "certificate chain: HTTPS", OPTION_TEXT, FIELD(cert)},
    {"key", 0, "FILE", "the certificate's private key", OPTION_TEXT, FIELD(key)},
    {"auth", 0, NULL, "ask for keys on the loopback, too", OPTION_FLAG, FIELD(auth), 0, 0, "Who may ask"},
    {"no-auth", 0, NULL, "no keys, whatever the address", OPTION_FLAG, FIELD(no_auth)},
    {"pull", 0, NULL, "may have models pulled from the hub", OPTION_FLAG, FIELD(pull)},
    {"no-page", 0, NULL, "no web page at /", OPTION_FLAG, FIELD(no_page)},
    {"origin", 0, "URL", "web pages that may ask (repeatable; *: all)", OPTION_TEXTS, FIELD(origins)},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024, "Limits"},
    {"tune-threads", 0, "N", "threads of fine-tuning (--threads); 0: none", OPTION_WHOLE, FIELD(tune_threads), 0, 1024},
    {"tune-products", 0, "f32|int16", "what fine-tuning sums with (f32)", OPTION_CHOICE, FIELD(tune_products)},
    {"tune-device", 0, "NAME", "what fine-tuning computes on (cpu)", OPTION_TEXT, FIELD(tune_device)},
    {"tune-fair", 0, NULL, "fine-tuning takes time from answers", OPTION_FLAG, FIELD(tune_fair)},
    {"parallel", 0, "N", "answers at once, of each model (64)", OPTION_WHOLE, FIELD(parallel), 1, 256},
    {"waiting", 0, "N", "requests that wait (1024)", OPTION_WHOLE, FIELD(waiting), 0, 1e6},
    {"prefill", 0, "N", "tokens of prompts a step beside answers (128)", OPTION_WHOLE, FIELD(prefill), 1, 1e6},
    {"kv-memory", 0, "MIB", "KV cache of each model (else what is free)", OPTION_WHOLE, FIELD(kv_memory), 1, 1e9},
    {"memory", 0, "MIB", "memory of all models (else the machine's)", OPTION_WHOLE, FIELD(memory), 1, 1e9},
    {"adapter-memory", 0, "MIB", "open adapters (else a quarter of --memory)", OPTION_WHOLE, FIELD(adapter_memory), 1,
     1e9},
    {"disk-cache", 0, "MIB", "conversations on disk (4096); 0: none", OPTION_WHOLE, FIELD(disk_cache), 0, 1e9},
    {"connections", 0, "N", "connections (4096)", OPTION_WHOLE, FIELD(connections), 1, 1e6},
    {"body", 0, "BYTES", "longest request (32 MiB)", OPTION_WHOLE, FIELD(body), 1024, 1e12},
    {"files", 0, "BYTES", "files of all clients (64 GiB)", OPTION_WHOLE, FIELD(files), 0, 1e15},
    {"key-files", 0, "BYTES", "files of one key (8 GiB)", OPTION_WHOLE, FIELD(key_files), 0, 1e15},
    {"quiet", 0, NULL, "no line for each request", OPTION_FLAG, FIELD(quiet), 0, 0, "Output"},
    {0}};

static const struct syntax syntax = {
    "serve", "", "Serve models over HTTP, through OpenAI's API and others.", "gyr serve -m falcon-7b.gguf", options,
    0,       0};

static void on_ready(void *user, const char *url) {
    const struct serving *o = user;
    print("listening on %s\n", url);
    print_flush();
    if (err_is_terminal())
        say_dim("%sCtrl-C stops it, once what was asked is answered",
                o->no_page ? "" : "open it in a browser to chat; ");
}

static void on_log(void *user, const char *line) {
    (void)user;
    say_dim("%s", line);
}

// Where conversations are kept: they are a cache, and nothing is lost with them but time. NULL: nowhere.
static char *pages_folder(void) {
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (base && *base) return asprintf(&path, "%s/gyr/conversations", base) < 0 ? NULL : path;
    return !home || asprintf(&path, "%s/.cache/gyr/conversations", home) < 0 ? NULL : path;
}

static gyr_model_options model_options(const struct serving *o) {
    return (gyr_model_options){.threads = (uint32_t)o->threads,
                               .device = device_named(o->device),
                               .gpu_layers = (uint32_t)o->gpu_layers,
                               .cpu_experts = o->cpu_experts,
                               .no_cpu = o->no_cpu,
                               .tokens = o->context,
                               .kv_type = kv_type_named(o->kv_type),
                               .split = split_named(o->split, GYR_SPLIT_AUTO),
                               .oversize = o->oversize,
                               .lock = o->lock,
                               .cache = !o->no_cache,
                               .kv_bytes = o->kv_memory << 20};
}

static int tune_threads(const struct serving *o) {
    if (o->tune_threads == UNSET) return (int)o->threads;
    return o->tune_threads ? (int)o->tune_threads : -1;
}

// What a rank behind rank 0 does. Signals that a launcher sends to all are rank 0's: it ends the others once what was
// asked is answered.
static bool follow(const struct serving *o, int *status) {
    if (!team_follows()) return false;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    const char *path = o->models.count ? o->models.items[0] : NULL;
    int threads = tune_threads(o);
    struct serve_help how = {team_joined(), path, (unsigned)threads, o->tune_fair};
    struct serve_helper *h = threads < 0 ? NULL : serve_help_begin(&how);
    team_follow(path, model_options(o), status);
    serve_help_end(h);
    return true;
}

static int run(const struct serving *o, const struct sources *models, const struct adapter_sources *adapters,
               const char *pages) {
    gyr_error e = {0};
    struct serve_options how = {
        .models = models->list,
        .n_models = models->n,
        .adapters = adapters->list,
        .n_adapters = adapters->n,
        .adapter_folder = o->adapter_folder,
        .adapter_memory = o->adapter_memory << 20,
        .memory = o->memory << 20,
        .model = model_options(o),
        .host = o->host,
        .port = (uint16_t)o->port,
        .cert = o->cert,
        .key = o->key,
        .origins = o->origins.items,
        .n_origins = o->origins.count,
        .hosts = o->hosts.items,
        .n_hosts = o->hosts.count,
        .auth = o->auth,
        .no_auth = o->no_auth,
        .tune_fair = o->tune_fair,
        .tune_device = o->tune_device,
        .tune_products = products_named(o->tune_products),
        .tune_threads = tune_threads(o),
        .quiet = o->quiet,
        .pull = o->pull,
        .no_page = o->no_page,
        .parallel = (unsigned)o->parallel,
        .waiting = (unsigned)o->waiting,
        .prefill = o->prefill,
        .context = (uint32_t)o->context,
        .kv_type = kv_type_named(o->kv_type),
        .pages = pages,
        .pages_bytes = o->disk_cache << 20,
        .connections = (unsigned)o->connections,
        .body = o->body,
        .key_files = (int64_t)o->key_files,
        .all_files = (int64_t)o->files,
        .ready = on_ready,
        .log = on_log,
        .user = (void *)o,
    };
    team_share(models->list->path, &how.model);
    return serve(&how, &e) ? report(&e) : GYR_OK;
}

static int check_tuning(const struct serving *o) {
    size_t i;
    gyr_error e = {0};
    if (o->tune_device && products_named(o->tune_products) == GYR_PRODUCTS_INT16)
        return usage_error("serve: --tune-products int16 is the CPU's; leave out --tune-device");
    bool named = o->tune_device && strcmp(o->tune_device, "auto") != 0;
    return named && gyr_device_find(o->tune_device, &i, &e) ? report(&e) : GYR_OK;
}

int verb_serve(int argc, char **argv) {
    struct serving o = {.host = "127.0.0.1",
                        .port = 8080,
                        .tune_threads = UNSET,
                        .parallel = 64,
                        .waiting = 1024,
                        .prefill = 128,
                        .disk_cache = 4096,
                        .connections = 4096,
                        .body = 32 << 20,
                        .files = 64ull << 30,
                        .key_files = 8ull << 30};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    size_t n = o.models.count ? o.models.count : 1;
    struct sources models = {0};
    struct adapter_sources adapters = {0};
    if (!status && o.auth && o.no_auth) status = usage_error("serve: --auth and --no-auth contradict each other");
    if (!status) status = check_tuning(&o);
    if (!status && !o.cert != !o.key) status = usage_error("serve: --cert and --key go together");
    if (!status && o.aliases.count > n) status = usage_error("serve: more names (--alias) than models (-m)");
    if (!status && !team_serves(n == 1)) status = GYR_USAGE;
    bool follows = !status && follow(&o, &status);
    if (!status && !follows) status = sources_find(&models, &o.models, &o.aliases);
    if (!status && !follows && !team_serves(models.n == 1 && !models.list->listed)) status = GYR_USAGE;
    if (!status && !follows) status = adapter_sources_read(&adapters, &o.adapters);
    char *pages = pages_folder();
    if (!status && !follows) status = run(&o, &models, &adapters, pages);
    free(pages);
    sources_free(&models);
    adapter_sources_free(&adapters);
    free(o.adapters.items);
    free(o.models.items);
    free(o.aliases.items);
    free(o.origins.items);
    free(o.hosts.items);
    return status == PARSE_HELP ? GYR_OK : status;
}
