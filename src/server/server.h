// The HTTP service: models behind the APIs that programs already speak.
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "gyr.h"

struct model_source {
    const char *name;
    const char *path;  // NULL: the image
    const void *image; // a GGUF file in memory
    size_t size;
    bool listed; // found in a folder: one that cannot be read is no reason not to serve the others
};

// An adapter (LoRA) of a model that is served, which is asked for by a name of its own.
struct adapter_source {
    const char *name, *path;
    const char *model; // its model's name; NULL: the first
};

struct serve_options {
    const struct model_source *models;
    size_t n_models;
    const struct adapter_source *adapters;
    size_t n_adapters;
    const char *adapter_folder; // from which adapters may be loaded while it runs; NULL: none may
    uint64_t adapter_memory;    // most bytes of adapters that are open; 0: a quarter of `memory`
    gyr_model_options model;    // of each
    uint64_t memory;            // most bytes that models and their conversations may take together; 0: the machine's
    const char *host;
    uint16_t port;              // 0: one that is free
    const char *cert, *key;     // PEM files; NULL: plain HTTP
    const char *const *origins; // that may ask from web pages of elsewhere
    size_t n_origins;
    const char *const *hosts; // names under which it may be asked, beside its own
    size_t n_hosts;
    bool auth;        // ask for keys on the loopback, too: a proxy there brings anybody
    bool pull;        // anybody who may ask may have models pulled from the hub; else administrators
    bool quiet;       // no line for requests that were answered
    bool no_page;     // nothing at /
    int tune_threads; // that fine-tuning computes on; 0: one for each CPU; -1: nothing is trained
    bool tune_fair;   // its threads compete with those of answers on equal terms
    gyr_products tune_products;
    const char *tune_device; // where it computes, as gyr_model_options.device names it; NULL: the CPU
    bool no_auth;            // listen on other addresses than the loopback without asking for keys
    unsigned parallel;       // most answers at once of a model
    unsigned waiting;        // most requests that wait; more are refused (429)
    size_t prefill;          // most tokens of prompts in a step while others are being answered
    uint32_t context;        // most tokens of a conversation; 0: the model's own
    gyr_kv_type kv_type;
    const char *pages;    // folder in which conversations are kept; NULL: they are not
    uint64_t pages_bytes; // most that they take there
    unsigned idle;        // seconds that a connection may wait without a request; 0: 60
    unsigned connections;
    size_t body;                                // most bytes of a request
    int64_t key_files, all_files;               // most bytes of a key's files, of all; 0: no limit
    void (*ready)(void *user, const char *url); // called once it listens
    void (*log)(void *user, const char *line);  // a line for each request, and for what goes wrong; may be NULL
    void *user;
};

// What a rank behind rank 0 does beside gyr_ranks_follow(): trains its part of fine-tuning jobs. NULL: no memory; rank
// 0 trains alone then. It ends once that has returned.
struct serve_help {
    gyr_ranks *ranks;
    const char *model; // as it is opened there; NULL: the model in the box
    unsigned threads;  // as tune_threads, and as tune_fair
    bool fair;
};
struct serve_helper;
struct serve_helper *serve_help_begin(const struct serve_help *how);
void serve_help_end(struct serve_helper *h);

// Serves until SIGINT or SIGTERM, then ends what was begun. Fails with GYR_IO (the address), GYR_USAGE, and as
// gyr_model_open() does for the first model.
gyr_status serve(const struct serve_options *o, gyr_error *e);

#endif
