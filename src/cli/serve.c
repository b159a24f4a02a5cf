// gyr serve: models behind the APIs that programs already speak.
#include "server/server.h"

#include "open.h"
#include "options.h"
#include "output.h"
#include "pull.h"
#include "verbs.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct serving {
    struct texts models, aliases, origins, hosts;
    const char *host, *cert, *key, *kv_type;
    uint64_t port, context, kv_memory, disk_cache, threads, parallel, waiting, prefill, connections, body, files,
        key_files;
    bool auth, no_auth, oversize, lock, no_cache, quiet, no_page;
};

#define FIELD(name) offsetof(struct serving, name)

static const struct option options[] = {
    {"model", 'm', "FILE", "file, folder or hf: name; several: repeat", OPTION_TEXTS, FIELD(models)},
    {"host", 0, "ADDRESS", "where to listen (else 127.0.0.1)", OPTION_TEXT, FIELD(host)},
    {"port", 'p', "N", "and at which port (else 8080); 0: a free one", OPTION_WHOLE, FIELD(port), 0, 65535},
    {"context", 'c', "N", "longest conversation (else the model's own)", OPTION_WHOLE, FIELD(context), 1, 1e9},
    {"threads", 't', "N", "worker threads (else one for each CPU)", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"origin", 0, "URL", "its pages may ask", OPTION_TEXTS, FIELD(origins), 0, 0, true},
    {"name", 0, "HOST", "its own, too", OPTION_TEXTS, FIELD(hosts), 0, 0, true},
    {"alias", 0, "NAME", "of each model", OPTION_TEXTS, FIELD(aliases), 0, 0, true},
    {"parallel", 0, "N", "answers at once", OPTION_WHOLE, FIELD(parallel), 1, 256, true},
    {"prefill", 0, "N", "tokens, a step", OPTION_WHOLE, FIELD(prefill), 1, 1e6, true},
    {"kv-type", 0, KV_TYPES, "its type", OPTION_CHOICE, FIELD(kv_type), 0, 0, true},
    {"waiting", 0, "N", "most that wait", OPTION_WHOLE, FIELD(waiting), 0, 1e6, true},
    {"kv-memory", 0, "MIB", "of the KV cache", OPTION_WHOLE, FIELD(kv_memory), 1, 1e9, true},
    {"disk-cache", 0, "MIB", "0: none", OPTION_WHOLE, FIELD(disk_cache), 0, 1e9, true},
    {"cert", 0, "FILE", "chain for HTTPS", OPTION_TEXT, FIELD(cert), 0, 0, true},
    {"key", 0, "FILE", "its key", OPTION_TEXT, FIELD(key), 0, 0, true},
    {"body", 0, "BYTES", "most, a request", OPTION_WHOLE, FIELD(body), 1024, 1e12, true},
    {"connections", 0, "N", "most at once", OPTION_WHOLE, FIELD(connections), 1, 1e6, true},
    {"auth", 0, NULL, "ask for keys", OPTION_FLAG, FIELD(auth), 0, 0, true},
    {"no-auth", 0, NULL, "ask for no key", OPTION_FLAG, FIELD(no_auth), 0, 0, true},
    {"files", 0, "BYTES", "most, of all", OPTION_WHOLE, FIELD(files), 0, 1e15, true},
    {"key-files", 0, "BYTES", "most, a key", OPTION_WHOLE, FIELD(key_files), 0, 1e15, true},
    {"oversize", 0, NULL, "run from disk", OPTION_FLAG, FIELD(oversize), 0, 0, true},
    {"lock", 0, NULL, "keep in memory", OPTION_FLAG, FIELD(lock), 0, 0, true},
    {"no-cache", 0, NULL, "keep no file", OPTION_FLAG, FIELD(no_cache), 0, 0, true},
    {"quiet", 0, NULL, "log no requests", OPTION_FLAG, FIELD(quiet), 0, 0, true},
    {"no-page", 0, NULL, "no web page at /", OPTION_FLAG, FIELD(no_page), 0, 0, true},
    {0}};

static const struct syntax syntax = {
    "serve", "", "Serve models over HTTP, through OpenAI's API and others.", "gyr serve -m falcon-7b.gguf", options,
    0,       0};

static void on_ready(void *user, const char *url) {
    const struct serving *o = user;
    print("listening on %s\n", url);
    print_flush();
    if (err_is_terminal())
        say_dim("%sCtrl-C stops it, once what was asked is answered", o->no_page ? "" : "open it in a browser to chat; ");
}

static void on_log(void *user, const char *line) {
    (void)user;
    say_dim("%s", line);
}

// A model's name: its file's without the ending.
static char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = strdup(slash && slash[1] ? slash + 1 : path);
    size_t n = name ? strlen(name) : 0;
    if (n > 5 && !strcmp(name + n - 5, ".gguf")) name[n - 5] = 0;
    return name;
}

static int find_models(const struct serving *o, struct model_source *list, size_t n) {
    int status = GYR_OK;
    for (size_t i = 0; i < n; i++) {
        const char *asked = i < o->models.count ? o->models.items[i] : model_path(NULL);
        const char *alias = i < o->aliases.count ? o->aliases.items[i] : NULL;
        char *path = asked ? find_model(asked, &status) : NULL;
        if (asked && !path) return status;
        list[i].path = path;
        list[i].name = alias ? strdup(alias) : name_of(asked ? asked : "poet");
        if (!list[i].name) return GYR_NO_MEMORY;
        if (!path && !poet_image(&list[i].image, &list[i].size))
            return usage_error("serve: no model: none is built into this program; name one with -m FILE");
    }
    return GYR_OK;
}

// Where conversations are kept: they are a cache, and nothing is lost with them but time. NULL: nowhere.
static char *pages_folder(void) {
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (base && *base) return asprintf(&path, "%s/gyr/conversations", base) < 0 ? NULL : path;
    return !home || asprintf(&path, "%s/.cache/gyr/conversations", home) < 0 ? NULL : path;
}

static int run(const struct serving *o, struct model_source *list, size_t n, const char *pages) {
    gyr_error e = {0};
    int status = find_models(o, list, n);
    if (status) return status;
    struct serve_options how = {
        .models = list,
        .n_models = n,
        .model = {.threads = (uint32_t)o->threads,
                  .oversize = o->oversize,
                  .lock = o->lock,
                  .cache = !o->no_cache,
                  .kv_bytes = o->kv_memory << 20},
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
        .quiet = o->quiet,
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
    return serve(&how, &e) ? report(&e) : GYR_OK;
}

int verb_serve(int argc, char **argv) {
    struct serving o = {.host = "127.0.0.1",
                        .port = 8080,
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
    struct model_source *list = calloc(n, sizeof *list);
    if (!status && o.auth && o.no_auth) status = usage_error("serve: --auth and --no-auth contradict each other");
    if (!status && !o.cert != !o.key) status = usage_error("serve: --cert and --key go together");
    if (!status && o.aliases.count > n) status = usage_error("serve: more names (--alias) than models (-m)");
    if (!status && !list) status = GYR_NO_MEMORY;
    char *pages = pages_folder();
    if (!status) status = run(&o, list, n, pages);
    free(pages);
    for (size_t i = 0; list && i < n; i++) {
        free((char *)list[i].path);
        free((char *)list[i].name);
    }
    free(list);
    free(o.models.items);
    free(o.aliases.items);
    free(o.origins.items);
    free(o.hosts.items);
    return status == PARSE_HELP ? GYR_OK : status;
}
