// gyr: run large language models from C.
//
// The whole public interface. A model is a file's weights bound to this machine; a session is one conversation
// with it (a sequence in the KV cache and a sampler). Everything else is a plain function.
//
//     gyr_error err;
//     gyr_model *m = gyr_model_open("falcon-7b.gguf", NULL, &err);
//     gyr_session *s = m ? gyr_session_new(m, NULL, &err) : NULL;
//     ... gyr_generate(s, prompt, n, &options, &stats, &err) ...
//     gyr_session_free(s);
//     gyr_model_close(m);
//
// Errors: every call that can fail takes a `gyr_error *` (may be NULL) and returns NULL or a non-zero gyr_status
// when it does; the error then holds the status and one line that says what is wrong, where, and what to do.
// "Fails with" lists the statuses of a call, except those that any of them may give: GYR_USAGE for an argument that is
// wrong, GYR_NO_MEMORY if memory runs out; and, of calls with a model, a session, an answer or a device, GYR_DEVICE if
// the device fails. What a failed call was to fill in is not to be read, unless it says so. The library never aborts,
// never exits, never writes to stdout or stderr.
//
// Threads: one model may be used from one thread at a time (its sessions share its worker threads and its
// activation memory). Different models are independent. While that thread computes, other threads may make the calls
// that only read a model or a tokenizer, any number at once: gyr_model_get_info(), gyr_model_tokenizer(),
// gyr_model_template(), gyr_model_template_source(), gyr_sampling_defaults(), gyr_tokenize(), gyr_detokenize(),
// gyr_token_is_end(), gyr_tokenizer_note(), gyr_chat_tokens(), gyr_chat_text(), gyr_template_render(),
// gyr_model_get_work(), gyr_embed_prompt(), gyr_embed_prompt_name(), gyr_pair_new(), gyr_model_checksum(). Calls
// without a model, a session or an answer may be made on any thread.
//
// Options: a NULL pointer, or a zeroed struct, means the defaults. Zero a struct before you set its members: structs
// end with room for members of later versions, so that their size, and a program built with an older gyr.h, stay good.
// Of what goes in, that room must be zero; what is not is refused (GYR_USAGE), because a member that this version does
// not know must not be ignored. (Room, and not a member with the struct's size: a zeroed struct is enough then, and
// arrays of structs keep their step.)
//
// Strings are UTF-8. Sizes are bytes unless a name says otherwise. Token ids are int32_t, at least 0.
#ifndef GYR_H
#define GYR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GYR_API __attribute__((visibility("default")))
#else
#define GYR_API
#endif

// What went wrong. The command line exits with the same numbers.
typedef enum gyr_status {
    GYR_OK = 0,
    GYR_FAILED = 1,      // anything that has no status of its own
    GYR_USAGE = 2,       // the caller's arguments are wrong
    GYR_IO = 3,          // a file is not there, not readable, or the disk is full
    GYR_MALFORMED = 4,   // a file's content breaks its format
    GYR_UNSUPPORTED = 5, // well-formed, but not something this version can run
    GYR_NO_MEMORY = 6,   // the model or context does not fit
    GYR_TOO_LONG = 7,    // the prompt does not fit the context
    GYR_DEVICE = 8,      // a device failed: it was lost, or did not answer in time
    GYR_CANCELLED = 130, // a callback asked to stop
} gyr_status;

typedef struct gyr_error {
    gyr_status status;
    char message[512]; // one line, no newline at its end
} gyr_error;

// The library's version, "MAJOR.MINOR.PATCH". Static.
GYR_API const char *gyr_version(void);

// The edition of the arithmetic (docs/arithmetic.md): where it is the same number, a model, a prompt and a seed give
// the same bytes.
GYR_API unsigned gyr_edition(void);

// The name of a status, such as "malformed". Static.
GYR_API const char *gyr_status_name(gyr_status status);

// ---------------------------------------------------------------------------------------------------- models

typedef struct gyr_model gyr_model;

// Element type of the KV cache. Weights of type F32 default to F32, all others to F16. Q8 takes half of F16's memory
// and loses little (docs/quantization.md).
typedef enum gyr_kv_type { GYR_KV_DEFAULT = 0, GYR_KV_F32 = 1, GYR_KV_F16 = 2, GYR_KV_Q8 = 3 } gyr_kv_type;

// How ranks share a model out: neighbouring layers on each, which compute one after the other; or some rows of every
// matrix and some experts of every mixture, which compute at once and send more. Without ranks, ROWS has all cards of
// this machine that can be used ("auto"), or all of the kind that `device` names, share the rows of every matrix, where
// there are two or more; an expert's, too. Where they have no room for that, opening fails with GYR_NO_MEMORY. Without
// it, cards share layers where none has room for all. Of ranks, all need a card for ROWS, or none; AUTO and ANSWER have
// ranks with cards share layers where the model can be cut so. Else AUTO takes what a token takes less
// time with, by the machines' speeds and how long a message takes; ANSWER the same, or rank 0 alone where it has room
// for the whole model and is faster, as it is for one answer on machines of one kind.
typedef enum gyr_split { GYR_SPLIT_AUTO = 0, GYR_SPLIT_LAYERS = 1, GYR_SPLIT_ROWS = 2, GYR_SPLIT_ANSWER = 3 } gyr_split;

typedef struct gyr_model_options {
    uint32_t threads;   // worker threads; 0: one for each CPU this process may use
    const char *device; // "cpu", or another kind that gyr_device_get_info() tells of, with ":1" for its second; "auto":
                        // the first card that can be used and has room for the whole model (beside `tokens` below),
                        // or for some of its layers, the others being computed by the CPU; else the CPU, also where
                        // the card then fails as the model is opened. NULL: $GYR_DEVICE, else the first device that
                        // this machine has, which is the CPU. The answers are the same on all
    uint64_t kv_bytes;  // most memory that KV caches may take; 0: what the machine leaves
    bool oversize;      // open a model whose weights are larger than the memory: it runs at the disk's speed
    bool lock;          // keep the weights in memory (mlock); the system may not take them back for other things
    bool cache;  // keep the rewritten weights in a file, and use that the next time: see gyr_cache_list(). Written
                 // beside other work; gyr_model_close() waits for it
    bool mapped; // use the weights as the mapped file has them, without reading them first: for who only trains an
                 // adapter (gyr_tune_open()), which takes no memory for them then on the CPU, where answers are slower
    // Called now and then while the model loads, with the fraction done in [0, 1]. Return false to stop.
    bool (*progress)(void *user, double fraction);
    void *user;
    struct gyr_ranks *ranks; // that compute it together, each a part (gyr_ranks_join()): on the card of its number on
                             // its machine with "auto", or the CPU; NULL: this process alone
    // What "auto" finds room for beside the weights: tokens in the caches of so many sessions; 0: 4,096 of each of
    // one. Nothing is reserved with them.
    uint64_t tokens;
    uint32_t sequences;
    gyr_kv_type kv_type;
    gyr_split split; // of a model on ranks, the same on all; or on several cards
    float speed; // tokens a second that this machine was measured to decode with it (gyr_plan_keep()): ranks' parts are
                 // as their speeds. 0, or on some rank: what the memories read counts, where the model is large
    // Of a model on a card ("auto", or one that is named): this many of its layers are there, the last ones, and the
    // CPU computes the others. 0: all, or with "auto" as many as have room. Keys and values are where their layers are.
    uint32_t gpu_layers;
    bool cpu_experts;     // the experts of a mixture stay in the host's memory, and the CPU computes them
    bool no_cpu;          // nothing of the model on the CPU: where the cards have no room for all of it, opening fails
                          // with GYR_NO_MEMORY and says what would fit, and where there is none, GYR_UNSUPPORTED
    uint64_t reserved[3]; // zero; so wherever a member has this name
} gyr_model_options;

// Opens a GGUF file (any part of a split one: the first) or a Hugging Face folder. Weights are rewritten in the form
// that the device is fastest with, if the memory has room for them; otherwise they are used as the mapped file has
// them. `path` is not kept. Free with gyr_model_close(). Fails with GYR_IO, GYR_MALFORMED, GYR_UNSUPPORTED,
// GYR_CANCELLED; with GYR_NO_MEMORY also where the weights do not fit.
GYR_API gyr_model *gyr_model_open(const char *path, const gyr_model_options *options, gyr_error *err);

// Opens a GGUF image in memory. `data` stays the caller's and must outlive the model; `name` stands in messages. Fails
// as gyr_model_open() does.
GYR_API gyr_model *gyr_model_open_memory(const char *name, const void *data, size_t size,
                                         const gyr_model_options *options, gyr_error *err);

// Puts an open model on another device, as gyr_model_options.device names it: when its own failed (GYR_DEVICE), or when
// that is wanted for something else. "auto": what it would be opened on without the cards that it was moved away from,
// and without those that it is on now, of several only those that are lost; the CPU if there is no other. Its sessions
// and adapters stay. Tokens, lengths and scores of sessions are as they were; what a device kept of them is computed
// again, with the same bytes, when they are next fed, and until then they cannot be saved. Nothing else may be done
// with the model meanwhile, but with its tokenizer and templates. Fails as gyr_model_open() does; the model then stays
// where it is.
GYR_API gyr_status gyr_model_move(gyr_model *model, const char *device, gyr_error *err);

// Frees the model; its sessions must have been freed before. NULL is allowed.
GYR_API void gyr_model_close(gyr_model *model);

// An adapter of a model (LoRA: Hu et al., 2021), a folder as PEFT writes it or a GGUF file: what training made of some
// of the model's matrices, kept beside them. Sessions may have it (gyr_session_options), each its own or none, and are
// computed together all the same; what a session gives does not depend on the adapters of others. The model must
// outlive it, and it its sessions. Free with gyr_adapter_close(). Fails with GYR_IO; GYR_MALFORMED; GYR_UNSUPPORTED: it
// is for another model, or has something in it that gyr does not do (docs/adapters.md). Of a model on ranks, rank 0
// opens it, and the others read the same path; where one has another file there, it fails with GYR_USAGE.
typedef struct gyr_adapter gyr_adapter;
GYR_API gyr_adapter *gyr_adapter_open(gyr_model *model, const char *path, gyr_error *err);
GYR_API void gyr_adapter_close(gyr_adapter *adapter);

// Writes it for the same model in either format: a GGUF file if the path ends in ".gguf", else a folder as PEFT has it.
// What is read again gives the same model, within the rounding of its scale, which is in the numbers now. Fails with
// GYR_IO, and GYR_UNSUPPORTED for what the format has no place for.
GYR_API gyr_status gyr_adapter_save(const gyr_adapter *adapter, const char *path, gyr_error *err);

// Its checksum, 64 digits and a NUL: SHA-256 over its tensors and what its files say of them.
GYR_API void gyr_adapter_checksum(const gyr_adapter *adapter, char checksum[65]);

// Bytes of memory that it takes.
GYR_API uint64_t gyr_adapter_bytes(const gyr_adapter *adapter);

// ------------------------------------------------------------------------------------------------------ ranks

// Ranks: processes that an MPI launcher (mpirun, srun) started together, on one machine or several. A model that is
// opened with them is shared out (gyr_split); an answer's bytes do not depend on how many there are.
// Rank 0 uses the model as ever. The others open the same file with the same options, call gyr_ranks_follow(), and
// leave. docs/clusters.md says what a launcher needs.
typedef struct gyr_ranks gyr_ranks;

// Whether a launcher started this process. It may have started it alone.
GYR_API bool gyr_ranks_launched(void);

// Joins the others, in each process once. Fails with GYR_UNSUPPORTED or GYR_DEVICE: what is returned then is to be left
// too, once the message was told, which is empty where rank 0 has it. NULL: nobody joined.
GYR_API gyr_ranks *gyr_ranks_join(gyr_error *err);
GYR_API uint32_t gyr_ranks_own(const gyr_ranks *ranks); // this process's number, from 0
GYR_API uint32_t gyr_ranks_count(const gyr_ranks *ranks);

// Computes this rank's part of what rank 0 asks for, until that leaves: GYR_OK. Fails with GYR_DEVICE if rank 0 is
// lost.
GYR_API gyr_status gyr_ranks_follow(gyr_model *model, gyr_error *err);

// On rank 0, where computing failed with GYR_DEVICE because another rank is lost: opens the model anew among those that
// are left, and has them do so. Sessions are as after gyr_session_truncate(s, 0), and answers that were begun go on
// where they were: their tokens are computed again, to the same bytes. Fails with GYR_USAGE if no rank is lost (nothing
// has changed then), and as gyr_model_open() does; nothing can be computed with the model any more in that case.
GYR_API gyr_status gyr_model_recover(gyr_model *model, gyr_error *err);

// Another line between the ranks that there are now, for what they do together while others of their threads compute
// answers: a training (gyr_tune_options.ranks), which is called for by rank 0. The others listen. It is made by a
// thread of usual priority, and may be used by one that has less. Fails with GYR_DEVICE where a rank is lost and nobody
// has called gyr_model_recover() yet. Where one is lost later, everything on the line fails with GYR_DEVICE, and a new
// one is to be made; where rank 0 has ended, with GYR_CANCELLED. It ends before gyr_ranks_leave(); NULL is allowed
// there.
GYR_API gyr_ranks *gyr_ranks_beside(gyr_ranks *ranks, gyr_error *err);
GYR_API void gyr_ranks_beside_end(gyr_ranks *beside);

// Rank 0 sends `size` bytes to all others once each of them listens, which it waits a minute for. Fails with GYR_FAILED
// where it did so in vain, and with GYR_DEVICE.
GYR_API gyr_status gyr_ranks_call(gyr_ranks *beside, const void *data, size_t size, gyr_error *err);

// On the others: waits for that. *data, of *size bytes, is the caller's (gyr_free()). Fails with GYR_DEVICE and
// GYR_CANCELLED, as all on the line.
GYR_API gyr_status gyr_ranks_listen(gyr_ranks *beside, void **data, size_t *size, gyr_error *err);

// A step that all take together, by what came of it here (`why` may be NULL): GYR_OK if all say so, else it fails with
// the first one's error, everywhere.
GYR_API gyr_status gyr_ranks_agree(gyr_ranks *beside, gyr_status own, const char *why, gyr_error *err);

// On rank 0, before it leaves with this status: has all others end, and waits until each has heard it. Fails with
// GYR_DEVICE where one is lost, whose number and host the error says: what was computed is whole, and gyr_ranks_leave()
// ends all processes. gyr_ranks_leave() calls it where nobody has. GYR_OK on other ranks.
GYR_API gyr_status gyr_ranks_dismiss(gyr_ranks *ranks, int status, gyr_error *err);

// Ends this rank's part, after its models were closed. When rank 0 leaves, all do; when another does, rank 0's calls
// fail with `why` (may be NULL). Returns the status to exit with: rank 0's. Where a rank gave no sign of life for
// longer than $GYR_RANK_TIMEOUT seconds (10), it ends all processes, this one too: with GYR_DEVICE, or with `status`,
// where rank 0 computed alone (GYR_SPLIT_ANSWER). NULL is allowed.
GYR_API int gyr_ranks_leave(gyr_ranks *ranks, int status, const char *why);

typedef struct gyr_model_info {
    const char *name;            // as the file calls itself; "" if it does not
    const char *architecture;    // family, such as "falcon"
    const char *types;           // element types of the weights, the most common first, such as "q4_0 f32"
    uint64_t parameters;         // number of weights
    uint64_t weight_bytes;       // bytes of all tensors
    uint64_t decode_bytes;       // weight bytes read to generate one token (an embedding table counts one row)
    uint64_t kv_bytes_per_token; // KV cache bytes of one token at the default KV type
    uint32_t vocab;              // number of tokens = length of a row of logits
    uint32_t layers, hidden, heads, kv_heads, head_dim, feed_forward;
    uint32_t context;     // tokens the model was trained for
    uint32_t far_context; // most that a session may be asked to hold: more where the model has other positions for it
    bool has_chat_template;
    bool keeps_state;      // a session cut short computes its tokens again: a state does not go back
    bool bidirectional;    // tokens see those that come after them, too: see gyr_session_feed()
    bool encoder;          // it makes embeddings alone, and no session
    bool relevance;        // a cross-encoder: it says how relevant texts are to others (gyr_relevance())
    uint32_t embedding;    // elements of an embedding (gyr_embed()); 0: it makes none
    uint64_t state_bytes;  // of the state that each of its sessions keeps; 0: none does
    const char *device;    // what it is on, as gyr_model_options.device names it, such as "cpu" or "cuda:0"
    const char *placement; // what "auto" chose, and why, in a line, such as "cuda:0 (NVIDIA H200), 4.1 GB of 150 GB",
                           // "28 of 60 layers on cuda:0 (NVIDIA H200), 140 GB of 150 GB; 32 on the CPU" or "cpu: the
                           // model needs 160 GB and cuda:0 has 149"; "" where there was no choice
    uint64_t host_bytes;   // of weight_bytes, what is in the host's memory: all where the device is "cpu"
    uint64_t host_kv_bytes_per_token; // likewise of kv_bytes_per_token
    uint32_t cards;                   // that share its rows (GYR_SPLIT_ROWS), `device` being the first; 0: none do
    uint64_t reserved[2];
} gyr_model_info;

// Facts about an open model. The strings live as long as the model.
GYR_API void gyr_model_get_info(const gyr_model *model, gyr_model_info *info);

// Describes a model file without loading it: a JSON object (hyperparameters, tokenizer, chat template, all
// metadata but long arrays, and, if `tensors`, every tensor's name, type, shape and size). Free with gyr_free(). Fails
// with GYR_IO, GYR_MALFORMED, GYR_UNSUPPORTED.
GYR_API char *gyr_inspect(const char *path, bool tensors, gyr_error *err);

// Frees memory that a call of this library handed out. NULL is allowed.
GYR_API void gyr_free(void *memory);

// ---------------------------------------------------------------------------------------------------- models by name

// A model on the hub is named "hf:OWNER/NAME", "hf:OWNER/NAME@REVISION" or "hf:OWNER/NAME:FILE"; FILE is a file of the
// repository or a type such as Q4_K_M. Without it: of several GGUF files the one that suits this machine's memory (near
// 4 bits a weight if that fits), where there is no GGUF the Hugging Face folder. Pulled models are kept in a folder,
// the store: $GYR_MODELS, else $XDG_DATA_HOME/gyr/models, else ~/.local/share/gyr/models.

// Where a pull stands. Counts are of all files together.
typedef struct gyr_pull_progress {
    const char *doing;        // such as "pulling", "waiting for another pull", "checking"
    const char *note;         // NULL, or a line to show once: a file is complete, a try failed and why
    uint64_t done, total;     // bytes; total is 0 until the list of files is known
    uint64_t kept;            // of `done`: what had been pulled before
    size_t files_done, files; // complete files
    uint64_t reserved[4];
} gyr_pull_progress;

typedef struct gyr_pull_options {
    const char *name;     // "hf:OWNER/NAME..."
    const char *store;    // folder to keep models in; NULL: the default above
    const char *endpoint; // the hub; NULL: $HF_ENDPOINT, else https://huggingface.co
    const char *token;    // for gated and private models; NULL: $HF_TOKEN. Sent to the hub only, by https (or to this
                          // machine), and never part of a message
    uint32_t parallel;    // files at once; 0: 4
    uint32_t retries;     // how often in a row to try again before giving up; 0: 5
    double timeout;       // seconds without data after which a try has failed; 0: 30. Tries are a thirtieth of it
                          // apart at first, then twice as long each time, or as the hub asks
    // Called some times a second. Return false to stop; what was received is kept, and the next pull continues from
    // there.
    bool (*progress)(void *user, const gyr_pull_progress *p);
    void *user;
    uint64_t reserved[8];
} gyr_pull_options;

// Is this a name of a model on the hub, rather than a path?
GYR_API bool gyr_is_hub_name(const char *name);

// Makes the store's copy of a model what the hub has now, and returns the path to open. Every file is checked against
// its checksum and appears under its name only then. Two pulls of one model, by any process, wait for each other. Free
// with gyr_free(). Fails with GYR_IO (the network, the hub's refusal, the disk), GYR_MALFORMED (what the hub sends),
// GYR_UNSUPPORTED (nothing there that gyr runs), GYR_CANCELLED, GYR_FAILED; with GYR_NO_MEMORY also where no file suits
// this machine's memory.
GYR_API char *gyr_pull(const gyr_pull_options *options, gyr_error *err);

// What gyr_pull() would download: a JSON object of "name", "commit", "type", "total" bytes and
// "files", each with "path" and "size". Free with gyr_free(). Fails as gyr_pull() does.
GYR_API char *gyr_pull_preview(const gyr_pull_options *options, gyr_error *err);

// The path of a model that was pulled before, without asking the hub. `store` as in gyr_pull_options. Free with
// gyr_free(). Fails with GYR_IO if it is not here.
GYR_API char *gyr_pulled(const char *name, const char *store, gyr_error *err);

// The store as a JSON object: "folder", "bytes", and "models", each with "name", "path", "type", "bytes", "total",
// "complete", "commit" and "pulled" (seconds since 1970). Free with gyr_free(). Fails with GYR_IO.
GYR_API char *gyr_pulled_list(const char *store, gyr_error *err);

// Removes a model that was pulled completely or in part: "hf:OWNER/NAME" all of that repository, a longer name only
// what it names. *bytes (may be NULL) receives what that freed. Fails with GYR_IO, and with GYR_FAILED while it is
// being pulled.
GYR_API gyr_status gyr_pulled_remove(const char *name, const char *store, uint64_t *bytes, gyr_error *err);

// ------------------------------------------------------------------------------------------------------ cache

// Rewritten weights can be kept (gyr_model_options.cache) in $XDG_CACHE_HOME/gyr, else ~/.cache/gyr. Files
// take at most half of the free space of that disk; those used least recently are removed first.

// The cache as a JSON object: "folder", "bytes", "limit", and "files", each with "name", "model" (its path), "bytes"
// and "used" (seconds since 1970), those used last first. Free with gyr_free(). GYR_USAGE: no home folder.
GYR_API char *gyr_cache_list(gyr_error *err);

// Removes files of the cache: that of the name, those of a model (its path), or, NULL, all. *bytes (may be NULL)
// receives what that freed. A program that uses one keeps it until it ends. Fails with GYR_IO.
GYR_API gyr_status gyr_cache_clear(const char *name, uint64_t *bytes, gyr_error *err);

// ------------------------------------------------------------------------------------------------------ text

typedef struct gyr_tokens {
    int32_t *ids;
    size_t count;
} gyr_tokens;

enum gyr_tokenize_flags {
    GYR_ADD_BOS = 1,       // put the model's begin-of-text token in front, if the model wants one
    GYR_PARSE_SPECIAL = 2, // text that spells a special token becomes that token: for rendered templates only,
                           // never for what a user typed
    GYR_ADD_EOS = 4        // put the model's end-of-text token behind, if the model wants one
};

// A tokenizer alone, without weights: from a GGUF file (a vocabulary-only one too) or a Hugging Face folder.
// Fails with GYR_IO, GYR_MALFORMED, GYR_UNSUPPORTED.
typedef struct gyr_tokenizer gyr_tokenizer;
GYR_API gyr_tokenizer *gyr_tokenizer_open(const char *path, gyr_error *err);
GYR_API void gyr_tokenizer_close(gyr_tokenizer *tokenizer);

// What was wrong with the tokenizer's files but read anyway: line `i`, from 0; NULL past the last.
GYR_API const char *gyr_tokenizer_note(const gyr_tokenizer *tokenizer, size_t i);

// The tokenizer of a model; it lives as long as the model and must not be closed.
GYR_API const gyr_tokenizer *gyr_model_tokenizer(const gyr_model *model);

// Text to tokens. Any bytes are allowed. On success `out->ids` is the caller's: free with gyr_free(). Fails with
// GYR_UNSUPPORTED if a model's file has no tokenizer, or none for such text; with GYR_TOO_LONG beyond 512 MiB.
GYR_API gyr_status gyr_tokenize(const gyr_tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                                gyr_tokens *out, gyr_error *err);

// Tokens to bytes, exactly those that were encoded; special tokens are written as their names if `special`, and
// left out otherwise. The result is NUL-terminated; its length goes to *size. Free with gyr_free(). Fails with
// GYR_UNSUPPORTED if a model's file has no tokenizer.
GYR_API char *gyr_detokenize(const gyr_tokenizer *tokenizer, const int32_t *ids, size_t count, bool special,
                             size_t *size, gyr_error *err);

// A chat template: a Jinja program that turns a conversation into the text that its model was trained on.
typedef struct gyr_template gyr_template;

// The template in a model's file or folder, of which nothing else is loaded. A model may have several: `name` picks one
// ("default", "tool_use", ...); NULL: "tool_use" for conversations with tools, if there is one, else the plain one.
// Fails with GYR_IO, GYR_MALFORMED, GYR_UNSUPPORTED (it has none).
GYR_API gyr_template *gyr_template_open(const char *path, const char *name, gyr_error *err);

// A template from its source. `name` stands in messages, before line and column. Fails with GYR_MALFORMED.
GYR_API gyr_template *gyr_template_parse(const char *name, const char *source, size_t size, gyr_error *err);
GYR_API void gyr_template_close(gyr_template *tmpl);

// The template of a model, NULL if it has none; it lives as long as the model and must not be closed.
GYR_API const gyr_template *gyr_model_template(const gyr_model *model);

// Its source, of the one for conversations with tools if there are several: what tells how the model writes its calls.
// NULL if it has none. It lives as long as the model.
GYR_API const char *gyr_model_template_source(const gyr_model *model);

// Renders `variables`, a JSON object (messages, tools, add_generation_prompt, and whatever else the template asks
// for), as Hugging Face transformers would. Its model's bos_token, eos_token, unk_token and pad_token are there unless
// the object sets them. The result is NUL-terminated; its length goes to *length. Free with gyr_free(). Fails with
// GYR_MALFORMED, also where the template itself refuses (raise_exception); GYR_USAGE: `variables` is not such JSON.
GYR_API char *gyr_template_render(const gyr_template *tmpl, const char *variables, size_t size, size_t *length,
                                  gyr_error *err);

// Renders a conversation with the model's own chat template into tokens ready to feed. `messages` is a JSON array
// of {"role": ..., "content": ...}, or a JSON object of all variables as above. With `generate` the prompt ends where
// the assistant's answer starts (unless the object says otherwise). Special tokens come from the template alone, never
// from the messages. Fails with GYR_UNSUPPORTED if the model has no template or no tokenizer, else as
// gyr_template_render() and gyr_tokenize() do.
GYR_API gyr_status gyr_chat_tokens(const gyr_model *model, const char *messages, bool generate, gyr_tokens *out,
                                   gyr_error *err);

// The same as text, as the template prints it. Free with gyr_free(). Fails with GYR_UNSUPPORTED if the model has no
// template, else as gyr_template_render() does.
GYR_API char *gyr_chat_text(const gyr_model *model, const char *messages, bool generate, gyr_error *err);

// -------------------------------------------------------------------------------------------------- grammars

// What an answer has to be: docs/structured-output.md says which schemas, expressions and grammars there are.
typedef enum gyr_grammar_kind {
    GYR_GRAMMAR_JSON = 0,        // any JSON object; the text is not read
    GYR_GRAMMAR_JSON_SCHEMA = 1, // JSON that is valid by a JSON Schema (draft 2020-12)
    GYR_GRAMMAR_REGEX = 2,       // a text that a regular expression matches from end to end
    GYR_GRAMMAR_EBNF = 3, // a text of a grammar in GBNF, in which %json{...} stands for JSON valid by a schema, and
                          // <[ID]> for a special token
} gyr_grammar_kind;

// A grammar for the tokens of a tokenizer, which must outlive it. It does not change: matchers on any number of threads
// may use it at once. Grammars may be made, freed and used on other threads while a model computes. Free with
// gyr_grammar_free() after its matchers. Fails with GYR_MALFORMED (where it is not a schema, an expression or a
// grammar) and GYR_UNSUPPORTED (what it says cannot be honoured, nothing is valid, or it is too large; the message
// names what), and with GYR_UNSUPPORTED if a model's file has no tokenizer.
typedef struct gyr_grammar gyr_grammar;
GYR_API gyr_grammar *gyr_grammar_new(const gyr_tokenizer *tokenizer, gyr_grammar_kind kind, const char *text,
                                     size_t size, gyr_error *err);
GYR_API void gyr_grammar_free(gyr_grammar *grammar);

// Where one answer stands in a grammar: first at its beginning. One thread at a time. Free with gyr_matcher_free().
// Fails as gyr_matcher_mask() does.
typedef struct gyr_matcher gyr_matcher;
GYR_API gyr_matcher *gyr_matcher_new(const gyr_grammar *grammar, gyr_error *err);
GYR_API void gyr_matcher_free(gyr_matcher *matcher);

// Which tokens may come next: bit (id % 32) of allowed[id / 32], for all of the vocabulary ((vocab + 31) / 32 words).
// Special tokens never may, but those that a grammar names by number, and those that end an answer, where the text may
// end. Each token that is allowed can be gone on from to a whole text, if the vocabulary can spell it. None are once an
// end token was accepted. Fails with GYR_UNSUPPORTED where a grammar is too ambiguous.
GYR_API gyr_status gyr_matcher_mask(gyr_matcher *matcher, uint32_t *allowed, gyr_error *err);

// The answer goes on with this token. Fails with GYR_USAGE if it is not allowed, and as gyr_matcher_mask() does; the
// matcher stays as it was.
GYR_API gyr_status gyr_matcher_accept(gyr_matcher *matcher, int32_t id, gyr_error *err);

// Whether a token that ends an answer was accepted.
GYR_API bool gyr_matcher_ended(const gyr_matcher *matcher);

// -------------------------------------------------------------------------------------------------- sessions

typedef struct gyr_session gyr_session;

typedef struct gyr_session_options {
    uint32_t context;    // most tokens the session can hold; 0: the model's own. Beyond that, up to the model's
                         // far_context, all its positions are those that the model has for longer texts (LongRoPE).
    gyr_kv_type kv_type; // element type of the KV cache
    const gyr_adapter *adapter; // NULL: the model as it is
    uint64_t reserved[5];
} gyr_session_options;

// Starts an empty sequence. The KV cache grows by pages as tokens come. A context that is asked for is promised:
// GYR_NO_MEMORY if it does not fit beside what others were promised or hold. Without, the session may hold what the
// model was trained for, or, if that is less, all that others were not promised; feeding it fails with GYR_NO_MEMORY
// when others took the memory. Free with gyr_session_free().
GYR_API gyr_session *gyr_session_new(gyr_model *model, const gyr_session_options *options, gyr_error *err);
GYR_API void gyr_session_free(gyr_session *session);

// Number of tokens in the session.
GYR_API size_t gyr_session_length(const gyr_session *session);

// Most tokens the session can hold.
GYR_API size_t gyr_session_context(const gyr_session *session);

// The tokens themselves, gyr_session_length() of them: what was fed and what was generated. A caller that renders a
// whole conversation feeds only what lies beyond the common prefix. Valid until the session's next call.
GYR_API const int32_t *gyr_session_tokens(const gyr_session *session);

// Drops all tokens from position `length` on. No effect if the session is not longer.
GYR_API void gyr_session_truncate(gyr_session *session, size_t length);

// Appends `count` tokens and computes them. If `logits` is not NULL it receives `count` rows of `vocab` floats, the
// raw scores of the token after each. When it fails, nothing is appended. Fails with GYR_TOO_LONG if they do not fit.
// Of a bidirectional model, all tokens of the session are computed again with those that come, as all see all; scores
// are as of the tokens that are there at that time.
GYR_API gyr_status gyr_session_feed(gyr_session *session, const int32_t *ids, size_t count, float *logits,
                                    gyr_error *err);

// Scores of the token that comes next, `vocab` floats; NULL if the session is empty. Valid until the next call.
GYR_API const float *gyr_session_logits(const gyr_session *session);

// A new session that begins with the same tokens, with the same options. Nothing is computed again, and the two share
// the memory of what they have in common: a prompt's beginning that many need is computed and held once. Either may be
// changed or freed without the other noticing. Free with gyr_session_free(). Fails as gyr_session_new() does.
GYR_API gyr_session *gyr_session_fork(const gyr_session *session, gyr_error *err);

// Writes tokens [from, to) of a session to a file, with what the session keeps of them; if they are its last, also the
// scores of the next token, and the state of a model that has one. It is written under a temporary name, flushed, and
// renamed; only this user may read it. Of a model on ranks, rank 0 writes what all have, and any number of ranks reads
// it. Fails with GYR_IO, and with GYR_UNSUPPORTED for bidirectional models.
GYR_API gyr_status gyr_session_save(const gyr_session *session, size_t from, size_t to, const char *path,
                                    gyr_error *err);

// Appends such a part to a session that has exactly the tokens in front of it. Nothing is computed, and what is fed or
// generated next gives the same bytes as if the tokens had been fed. What tokens they were, gyr_session_tokens() says:
// compare them with those that were meant. When it fails, nothing is appended. Fails with GYR_IO; GYR_MALFORMED: the
// file is damaged, or something else; GYR_UNSUPPORTED: it is of another model, element type of the KV cache, edition or
// device, or of sessions with another adapter; GYR_USAGE if the session has other tokens or another number of them;
// GYR_TOO_LONG.
GYR_API gyr_status gyr_session_load(gyr_session *session, const char *path, gyr_error *err);

// The session that was fed least recently, of those that hold memory for keys and values and are not among the `n` busy
// ones: the first to set aside, by freeing or truncating it, when GYR_NO_MEMORY says that there is no more. NULL: there
// is none.
GYR_API gyr_session *gyr_session_longest_idle(const gyr_model *model, gyr_session *const *busy, size_t n);

// Memory for the keys and values of a model's sessions, in bytes.
typedef struct gyr_memory {
    uint64_t limit;    // that it may take: what was chosen, or what the memory leaves now
    uint64_t used;     // by sessions; what several have in common counts once
    uint64_t promised; // beside that, to sessions whose context was asked for
    uint64_t held;     // taken from the device; memory grows in larger steps than sessions do
    uint64_t reserved[4];
} gyr_memory;

// How much there is of it now.
GYR_API void gyr_model_get_memory(const gyr_model *model, gyr_memory *memory);

typedef struct gyr_input {
    gyr_session *session;
    const int32_t *ids; // `count` tokens to append
    size_t count;
    float *logits; // NULL, or room for `count` rows of `vocab` floats
    uint64_t reserved[2];
} gyr_input;

// gyr_session_feed() for `n` sessions of one model at once, prompts and single tokens mixed: the weights are read once
// for all of them. What a session gets does not depend on who else is there. When it fails, nothing is appended to any.
// Fails as gyr_session_feed() does.
GYR_API gyr_status gyr_sessions_feed(const gyr_input *inputs, size_t n, gyr_error *err);

// ------------------------------------------------------------------------------------------------ generation

// How the next token is chosen, in this order: bias, penalties, mask, top-k, temperature, softmax, top-p, min-p, draw.
// The random number of a token depends on (seed, position in the session) and nothing else.
typedef struct gyr_sampling {
    float temperature;        // 0: the most likely token (greedy)
    uint32_t top_k;           // keep the k most likely; 0: all
    float top_p;              // keep the smallest set whose probability reaches p (Holtzman et al., 2020); 1: all
    float min_p;              // drop what is less likely than min_p times the most likely (Nguyen et al., 2024)
    float repetition_penalty; // divide or multiply the score of tokens seen (Keskar et al., 2019); 1: none
    float presence_penalty;   // subtract once from tokens generated (as in OpenAI's API); 0: none
    float frequency_penalty;  // subtract for each time generated; 0: none
    uint32_t penalty_window;  // tokens looked back by repetition_penalty; 0: all
    const int32_t *bias_ids;  // `bias_count` tokens whose score is raised by `bias_values`
    const float *bias_values;
    size_t bias_count;
    uint64_t seed;
    uint64_t reserved[8];
} gyr_sampling;

// The model's own recommended sampling if its file has one, else temperature 0.8, top-k 40, top-p 0.95, min-p 0.05.
GYR_API void gyr_sampling_defaults(const gyr_model *model, gyr_sampling *sampling);

// Chooses the token that comes next; the session stays as it is. `sampling` NULL: the model's defaults. Tokens from
// position `answer` on count as generated (for the presence and frequency penalties). GYR_USAGE if the session is
// empty.
GYR_API gyr_status gyr_session_sample(gyr_session *session, const gyr_sampling *sampling, size_t answer, int32_t *id,
                                      gyr_error *err);

// The same for `n` sessions of one model, on its worker threads: ids[i] receives the token of sessions[i], and
// answers[i] is where its answer begins; `answers` NULL: all at 0. The tokens are those of n calls. On failure `ids` is
// as it was. GYR_USAGE if a session is empty, or the models are several.
GYR_API gyr_status gyr_sessions_sample(gyr_session *const *sessions, size_t n, const gyr_sampling *sampling,
                                       const size_t *answers, int32_t *ids, gyr_error *err);

// Whether the model says with this token that it is done.
GYR_API bool gyr_token_is_end(const gyr_tokenizer *tokenizer, int32_t id);

typedef enum gyr_stop {
    GYR_STOP_END = 1,    // the model said it is done, one of stop_ids came, or mask() allowed nothing
    GYR_STOP_STRING = 2, // a stop string came
    GYR_STOP_LENGTH = 3, // max_tokens or the context was reached
    GYR_STOP_CALLER = 4, // a callback asked to stop
    GYR_STOP_MASK = 5,   // mask() failed
} gyr_stop;

// A token of an answer as it is chosen; valid while the callback runs. Probabilities are those of the model's raw
// scores, before bias, penalties, masks and temperature; their natural logarithms are the same bytes on every machine.
typedef struct gyr_token {
    int32_t id;
    float logprob;     // NaN if not asked for
    const char *bytes; // `size` bytes of text, which may end inside a character; none for a special token
    size_t size;
    const int32_t *top_ids; // the `top_count` likeliest tokens, best first, of equals the smaller id first
    const float *top_logprobs;
    size_t top_count;
    uint64_t reserved[4];
} gyr_token;

typedef struct gyr_generate_options {
    const gyr_sampling *sampling; // NULL: the model's defaults
    size_t max_tokens;            // 0: until the context is full
    const char *const *stop;      // `stop_count` strings that end the answer; they are not part of it
    size_t stop_count;
    bool ignore_end; // go on when the model says it is done (for benchmarks); stop_ids still end it
    // Called with each piece of the answer: whole UTF-8 characters, never part of a stop string. Invalid bytes of
    // the model arrive as U+FFFD. Return false to stop; what was computed stays in the session.
    bool (*piece)(void *user, const char *text, size_t size);
    // Called while the prompt is computed, with the tokens done. Return false to stop.
    bool (*prefill)(void *user, size_t done, size_t total);
    void *user;
    size_t min_tokens; // tokens that would end the answer are not chosen before there are so many (stop strings end
                       // it all the same)
    const int32_t *stop_ids; // `stop_id_count` tokens that end the answer; they are not part of it
    size_t stop_id_count;
    int32_t logprobs; // 0: none; 1 + k: that of each token, and those of the k likeliest in its place, k up to 128
    // Called with each token of the answer, before `piece`. Return false to stop; the token stays in the session.
    bool (*token)(void *user, const gyr_token *token);
    // Called before each choice. `allowed` has a bit for each token: of token i, bit i % 32 of word i / 32, one on
    // entry; clear those that must not be chosen. If none is left, the answer ends. Return false if that cannot be
    // said: the answer ends too (GYR_STOP_MASK). May be called on a worker thread; for one answer never twice at once.
    bool (*mask)(void *user, uint32_t *allowed);
    // With `logprobs`: called with each token of the prompt once it is computed, its probability behind those in front
    // of it (of the first: NaN). What was in the session before is not told. Return false to stop.
    bool (*prompt_token)(void *user, const gyr_token *token);
    uint64_t reserved[1];
} gyr_generate_options;

typedef struct gyr_generate_stats {
    size_t prompt_tokens, answer_tokens;
    double prompt_seconds, answer_seconds; // computing the prompt; choosing and computing the answer
    gyr_stop stop;
    uint64_t bytes_read; // weight and KV bytes that decoding the answer had to read
    uint64_t reserved[8];
} gyr_generate_stats;

// Feeds `count` prompt tokens (0 is allowed if the session has some) and generates until something stops it. All
// answer tokens but a final end-of-turn are left in the session, so the next turn continues from there. *stats (may be
// NULL) is filled in also when it fails. Fails with GYR_TOO_LONG, and with GYR_CANCELLED if `prefill` returned false.
GYR_API gyr_status gyr_generate(gyr_session *session, const int32_t *prompt, size_t count,
                                const gyr_generate_options *options, gyr_generate_stats *stats, gyr_error *err);

// Many answers at once. An answer is a gyr_generate() that goes step by step, and each step moves any number of them:
//
//     for (;;) {
//         ... gyr_answer_new() for who came, gyr_answer_free() for who is done ...
//         if (gyr_answers_step(answers, n, 0, &err)) ...
//     }
//
// What an answer says does not depend on who else is there, nor on when they come and go.
typedef struct gyr_answer gyr_answer;

// Begins an answer; nothing is computed yet. Until it is freed the session may be forked, and else is left alone;
// `prompt`, and what `options` points to, stay the caller's and must live as long. GYR_TOO_LONG if the prompt does not
// fit the context.
GYR_API gyr_answer *gyr_answer_new(gyr_session *session, const int32_t *prompt, size_t count,
                                   const gyr_generate_options *options, gyr_error *err);
GYR_API void gyr_answer_free(gyr_answer *answer);

// One batch: each answer that is not done computes a piece of its prompt, or chooses and computes one token. Prompts
// share what room the tokens leave, the first of `answers` first, and take no more than `prompt_tokens` together (0: as
// much as there is): so a long prompt does not keep the others waiting. Callbacks other than `mask` are called on this
// thread, those of one answer after those of the one before it. When it fails, no session has changed, and the step
// may be tried again; nothing is chosen or told twice. Fails as gyr_session_feed() does.
GYR_API gyr_status gyr_answers_step(gyr_answer *const *answers, size_t n, size_t prompt_tokens, gyr_error *err);

// Gives back the memory that an answer's session holds, for others: when a step failed with GYR_NO_MEMORY. The next
// steps that have the answer compute its tokens once more, as they do prompts and within the same limit, and then it
// goes on as if nothing had happened: the same bytes, callbacks and counts (the time is in prompt_seconds). Until then
// its session is empty. A context that was asked for stays promised. No effect on an answer that is done.
GYR_API void gyr_answer_set_aside(gyr_answer *answer);

// Whether something stopped the answer, a `prefill` that returned false among it: its stop is GYR_STOP_CALLER then.
GYR_API bool gyr_answer_done(const gyr_answer *answer);

// What it took so far. Seconds are those of the steps that the answer had part in; `stop` is 0 until it is done.
GYR_API void gyr_answer_get_stats(const gyr_answer *answer, gyr_generate_stats *stats);

// -------------------------------------------------------------------------------------------------- receipts

// A receipt is a JSON object that says how an answer came to be: model, arithmetic, sampling, the tokens of prompt and
// answer (docs/receipts.md). Whoever has the model can compute it again, on any machine.

// The model's checksum, 64 digits and a NUL: SHA-256 over its tensors and over the metadata that answers depend on. It
// is the same for a file that is copied, renamed or split. The first call reads all weights; later ones cost nothing.
// GYR_FAILED if OpenSSL fails.
GYR_API gyr_status gyr_model_checksum(gyr_model *model, char checksum[65], gyr_error *err);

typedef struct gyr_receipt_options {
    const char *name;           // what the model is called here; NULL: as its file calls itself
    const char *path;           // where it is, for who checks the receipt on this machine; NULL: not told
    const gyr_grammar *grammar; // what mask() held the answer to; NULL: nothing
    size_t grammar_from;        // tokens of the answer that came before the grammar held
    uint64_t reserved[6];
} gyr_receipt_options;

// The receipt of an answer that is done, while its session is as the answer left it. Free with gyr_free(). Fails with
// GYR_UNSUPPORTED (a mask that is no grammar's, a stop string that is not UTF-8), and as gyr_model_checksum() does.
GYR_API char *gyr_answer_receipt(const gyr_answer *answer, const gyr_receipt_options *options, gyr_error *err);

typedef struct gyr_receipt_result {
    bool equal;
    size_t prompt_tokens, answer_tokens; // of the receipt
    size_t place;                        // tokens of the answer that are equal; the next one is not, unless `equal`
    int32_t said, is;                    // the token at that place, in the receipt and as computed; -1: there is none
    gyr_stop stop_said, stop_is;         // why the answer ends there; 0: it does not
    uint64_t reserved[6];
} gyr_receipt_result;

typedef struct gyr_receipt_check_options {
    bool (*progress)(void *user, double fraction); // return false to stop
    void *user;
    const gyr_adapter *adapter; // that the answer was given with
    uint64_t reserved[5];
} gyr_receipt_check_options;

// Computes an answer again and compares it with its receipt: the answer's tokens in large batches, so much faster than
// it was given. GYR_OK says that it was compared, `result` how that went. Fails with GYR_MALFORMED (it is no receipt);
// GYR_FAILED: it is of another model or adapter; GYR_UNSUPPORTED: of another edition, format or tokenizer;
// GYR_TOO_LONG; GYR_CANCELLED.
GYR_API gyr_status gyr_receipt_check(gyr_model *model, const char *receipt, size_t size,
                                     const gyr_receipt_check_options *options, gyr_receipt_result *result,
                                     gyr_error *err);

// ------------------------------------------------------------------------------------------------ embeddings

// How a text's embedding is made of what the model gives of its tokens.
typedef enum gyr_pooling {
    GYR_POOLING_DEFAULT = 0, // as the file says; else the last token, or the mean where tokens see each other
    GYR_POOLING_MEAN = 1,
    GYR_POOLING_CLS = 2,  // the first token
    GYR_POOLING_LAST = 3, // the last token
} gyr_pooling;

typedef enum gyr_unit { GYR_UNIT_DEFAULT = 0, GYR_UNIT_YES = 1, GYR_UNIT_NO = 2 } gyr_unit;

typedef struct gyr_embed_options {
    gyr_pooling pooling;
    gyr_unit unit;       // whether an embedding is made of length 1 at the end; by default as the file says, else it is
    uint32_t dimensions; // keep so many elements, the first (for models trained so: Kusupati et al., 2022); 0: all
    uint64_t reserved[8];
} gyr_embed_options;

// Embeddings of `n` texts: `out` receives n rows of `embedding` floats (gyr_model_info), or of `dimensions`. Texts are
// tokens, usually of gyr_tokenize() with GYR_ADD_BOS | GYR_ADD_EOS, up to the model's context, and are computed
// together as they fit; a text's embedding does not depend on the others. Keys and values take memory as those of
// sessions do. Any model makes embeddings, of what its final norm gives; of one that was not trained for it they are
// poor. Fails with GYR_TOO_LONG (no text is cut), GYR_UNSUPPORTED (the file asks for a pooling or a module that gyr
// does not know).
GYR_API gyr_status gyr_embed(gyr_model *model, const gyr_tokens *texts, size_t n, const gyr_embed_options *options,
                             float *out, gyr_error *err);

// What the model's file puts in front of a text for a purpose, such as "query" or "document"; of name NULL: where none
// is named, often "". NULL if it has no prompt of that name. Prompts live as long as the model.
GYR_API const char *gyr_embed_prompt(const gyr_model *model, const char *name);

// Name of prompt `index`, NULL past the last.
GYR_API const char *gyr_embed_prompt_name(const gyr_model *model, size_t index);

// ------------------------------------------------------------------------------------------------ relevance

// A query and a document, as a cross-encoder reads them: one text.
typedef struct gyr_pair {
    int32_t *ids;  // free with gyr_free()
    size_t count;  // tokens
    size_t second; // the first token of the document
} gyr_pair;

// The tokens of a query and a document, with the marks around and between them that the model was trained with. Sizes
// are bytes. Fails with GYR_UNSUPPORTED (the model is no cross-encoder, or has no tokenizer); GYR_TOO_LONG: together
// they have more tokens than the model's context. Neither is cut.
GYR_API gyr_status gyr_pair_new(const gyr_model *model, const char *query, size_t query_size, const char *document,
                                size_t document_size, gyr_pair *pair, gyr_error *err);

// How relevant the document of each of `n` pairs is to its query: `out` receives a number for each, as the model's head
// gives it (a logit: larger is more relevant, and 1 / (1 + exp(-x)) lies between 0 and 1). Of BERT, RoBERTa and
// XLM-RoBERTa with a head for one class (Nogueira and Cho, "Passage Re-ranking with BERT", 2019). Pairs are computed
// together as they fit; a pair's number does not depend on the others. Fails with GYR_UNSUPPORTED, GYR_USAGE,
// GYR_TOO_LONG.
GYR_API gyr_status gyr_relevance(gyr_model *model, const gyr_pair *pairs, size_t n, float *out, gyr_error *err);

// --------------------------------------------------------------------------------------------------- machine

typedef struct gyr_device_info {
    char name[128];        // such as the CPU's model, or the card's
    char kind[16];         // "cpu", "cuda", "hip": gyr_model_options.device
    char isa[32];          // the CPU's instruction set chosen: "scalar", "avx2", "avx512", "amx" or "neon"; a card's
                           // chip, such as "sm_90a" or "gfx942"
    uint32_t threads;      // CPUs this process may use; 0 of a card
    uint64_t memory_bytes; // memory installed
    uint64_t memory_free;  // memory that a model could use now
    char driver[24];       // version of a card's driver, such as "CUDA 13.0"; "" where there is none
    char compiler[24];     // and of the library that compiles programs for it, such as "NVRTC 13.0"
    char bus[24];          // its place on the PCI bus, such as "0000:41:00.0"; "" of the CPU, or if it is not known
    bool unusable;         // no model can be opened on it: gyr_device_check() says why
    bool untried;          // a card, and no chip of its kind has been compared with the CPU yet: gyr devices --check
    uint64_t reserved[1];
} gyr_device_info;

// Number of devices; and the facts of device `index`. Fails with GYR_UNSUPPORTED where $GYR_ISA asks for an instruction
// set that the CPU lacks. To see a card takes its driver a moment.
GYR_API size_t gyr_device_count(void);
GYR_API gyr_status gyr_device_get_info(size_t index, gyr_device_info *info, gyr_error *err);

// Which device a model is opened on with this gyr_model_options.device; "auto" is none yet. Fails with GYR_USAGE if
// there is none.
GYR_API gyr_status gyr_device_find(const char *device, size_t *index, gyr_error *err);

// Whether models can be opened on device `index`. Fails with GYR_UNSUPPORTED where they cannot: what is missing, too
// old or does not answer, and what to do.
GYR_API gyr_status gyr_device_check(size_t index, gyr_error *err);

// Measures how fast this machine reads memory with `threads` threads (0: all): *rate receives bytes per second. Takes
// about `seconds` (0: 0.2). Fails as gyr_device_get_info() does.
GYR_API gyr_status gyr_measure_bandwidth(uint32_t threads, double seconds, double *rate, gyr_error *err);

// The same of the memory that a model is in: a card's, or the sum of those that share its rows, in some milliseconds,
// while nothing is computed with it. Fails
// with GYR_NO_MEMORY where the card has no room for it, and as a step of the model does.
GYR_API gyr_status gyr_model_measure_read(gyr_model *model, double *rate, gyr_error *err);

// What a machine does at most: bytes read per second, and operations per second (a multiply-add is two) by the type of
// the numbers that are multiplied.
typedef struct gyr_roofs {
    double read, int8, fp32;
    uint64_t reserved[5];
} gyr_roofs;

// Measures them with `threads` threads (0: all). Takes about `seconds` (0: 0.4). Fails as gyr_device_get_info() does.
GYR_API gyr_status gyr_measure_roofs(uint32_t threads, double seconds, gyr_roofs *roofs, gyr_error *err);

// What a batch has to read, and to compute in matrix products, in the same terms: quantized weights are multiplied as
// int8, F16 and BF16 as three products of int8, F32 as fp32. Attention's own arithmetic is left out.
typedef struct gyr_work {
    double read, int8, fp32; // bytes; operations
    uint64_t reserved[5];
} gyr_work;

// The work of appending `tokens` tokens to each of `sequences` sessions that hold `depth` tokens: the weights read once
// for all, each session's cache read once, and logits of the last tokens.
GYR_API void gyr_model_get_work(const gyr_model *model, gyr_kv_type kv_type, size_t sequences, size_t tokens,
                                size_t depth, gyr_work *work);

// ------------------------------------------------------------------------------------------------------ energy

// The energy that this machine takes, by its own counters, whoever uses it: of the processors' packages and their
// memory (Linux' powercap), or, where those are not told, of a battery that is being discharged; and of the card that
// models are on (NVIDIA's NVML, AMD's ROCm SMI).
typedef struct gyr_energy gyr_energy;

typedef enum gyr_energy_basis {
    GYR_ENERGY_UNKNOWN,   // there is no counter that may be read, or it began again: `why` of the meter's info
    GYR_ENERGY_ESTIMATED, // by a counter, in less than five seconds; or what the machine's maker says that it draws
                          // at most, times the share of it that is usual, times the seconds
    GYR_ENERGY_MEASURED   // by a counter, in five seconds and more
} gyr_energy_basis;

typedef struct gyr_energy_spent {
    double joules; // 0 if unknown
    double seconds;
    gyr_energy_basis basis;
    uint64_t reserved[4];
} gyr_energy_spent;

typedef struct gyr_energy_info {
    char source[128]; // "package-0, dram", "card (NVIDIA H200)", "card (NVIDIA H200) and processor (package-0, dram)",
                      // "battery BAT0", "catalogue: Ryzen AI Max+ 395"; "" if nothing is known
    char why[256];    // why nothing is measured, or not the processor beside a card; "" if all is
    uint64_t reserved[4];
} gyr_energy_info;

// Begins to count, for models on `device` (gyr_model_info.device); ended by gyr_energy_free(). Of a card nothing is
// known of less than half a second, and nothing at all where its counter cannot be read. Fails with GYR_NO_MEMORY
// alone: what cannot be read is unknown.
GYR_API gyr_energy *gyr_energy_new(const char *device, gyr_error *err);
GYR_API void gyr_energy_free(gyr_energy *energy);
GYR_API void gyr_energy_get_info(const gyr_energy *energy, gyr_energy_info *info);

// To be called every second or so, since counters begin again after some minutes: cheap if it is called more often.
GYR_API void gyr_energy_tick(gyr_energy *energy);

// What was spent since it was made, or since the last of these calls.
GYR_API void gyr_energy_take(gyr_energy *energy, gyr_energy_spent *spent);

// "unknown", "estimated", "measured".
GYR_API const char *gyr_energy_basis_name(gyr_energy_basis basis);

// ------------------------------------------------------------------------------------------------ fine-tuning

// Trains an adapter (LoRA) for a model by conversations (docs/training.md). What comes out depends on the model, the
// data and the options, and neither on the number of threads or ranks nor on interruptions: the same bytes.

typedef enum gyr_optimizer {
    GYR_OPTIMIZER_ADAMW = 0,
    GYR_OPTIMIZER_MUON = 1,
} gyr_optimizer;

// What sums over the width of linear maps are computed with: float32, or integers of 16 bits whose runs of 64 terms
// have a scale each (docs/training.md). The others are float32. int16 is the CPU's alone.
typedef enum gyr_products {
    GYR_PRODUCTS_F32,
    GYR_PRODUCTS_INT16,
} gyr_products;

typedef enum gyr_schedule {
    GYR_SCHEDULE_LINEAR = 0, // the learning rate falls to nearly 0 in a line
    GYR_SCHEDULE_COSINE = 1, // or along half a cosine
    GYR_SCHEDULE_CONSTANT = 2,
} gyr_schedule;

typedef enum gyr_method {
    GYR_METHOD_SUPERVISED = 0, // answers are learned
    GYR_METHOD_DPO = 1,        // direct preference optimization: of two answers, to give rather the one
} gyr_method;

// Where training stands. Losses are means over the tokens that are learned, accuracies the part of them that the model
// would have chosen. Of pairs of answers, losses and margins are means over pairs, and accuracies the part of them
// whose preferred answer has the higher reward; margins say by how much.
typedef struct gyr_tune_progress {
    size_t step, steps;                // of the optimizer: made, and all
    size_t epoch, epochs;              // the one that is under way, from 1; and all
    size_t examples, examples_all;     // done, counted again in every epoch
    uint64_t tokens, tokens_all;       // of examples
    bool stepped;                      // a step was made now: the next members are of it
    double loss, accuracy;             // of the step's examples, before it
    double rate, norm;                 // learning rate, and length of the gradient before it was clipped
    double valid_loss, valid_accuracy; // NaN where the validation examples were not computed now
    double seconds;                    // since gyr_tune_run() began
    uint64_t tokens_now;               // of `tokens`, those since then
    bool saved;                        // a checkpoint was written now, of the steps made so far
    double margin, valid_margin;       // of pairs of answers
    const char *card_failed; // NULL, or what a card said now that computed linear maps of the model: the CPU did what
                             // was asked of it, to the same bytes, and does what else it cannot do
    uint64_t reserved[3];
} gyr_tune_progress;

typedef struct gyr_tune_options {
    const char *data;     // conversations, a line each (JSONL): OpenAI's format for fine-tuning chats; or, of a name
                          // that ends in .csv, a table with columns `question`, `answer` and, if wanted, `system`
    const char *valid;    // the same, to measure by and not to learn from; NULL: none
    const char *output;   // the adapter: as of gyr_adapter_save(). Until training is done, what it needs to go on lies
                          // beside it, in `output`.state. NULL: it is only looked at, and not trained
    uint32_t rank;        // 0: 16
    double alpha;         // a pair is scaled by alpha / rank; 0: twice the rank
    uint32_t epochs;      // 0: so many that there are at least 100 examples in all, 3 to 25, and 25,000 at most
    uint32_t batch;       // examples of a step; 0: 4
    uint32_t context;     // most tokens of an example; 0: what the model was trained for
    bool cut;             // cut longer ones there; else they are refused
    double learning_rate; // 0: 2e-4, and 2e-5 of GYR_METHOD_DPO
    gyr_schedule schedule;
    double warmup;       // part of the steps in which the learning rate rises; 0: 0.1; negative: none
    double weight_decay; // 0: none
    double clip;         // longest gradient; 0: 1; negative: any
    uint64_t seed;       // of the order of examples, and of what the adapter begins with
    uint32_t threads;    // 0: one for each CPU
    bool resume;         // go on from the checkpoint, if there is one
    uint32_t save_steps; // steps between checkpoints; 0: those of about a minute
    // Called after each example, and after each checkpoint; what is done in it for a step is done before a checkpoint
    // counts that step. Return false to stop; a checkpoint is written, to go on from with `resume`.
    bool (*progress)(void *user, const gyr_tune_progress *p);
    void *user;
    // What gets a pair: "all-linear" (NULL: this), "attention", "mlp", "experts", or modules as PEFT calls them, such
    // as q_proj; several with commas between.
    const char *targets;
    gyr_optimizer optimizer;
    bool rslora;             // a pair is scaled by alpha / sqrt(rank) (Kalajdzievski, 2023)
    struct gyr_ranks *ranks; // that share the examples of each step, each with all of the model: the same options on
                             // all, but that rank 0 alone has an `output`; NULL: this process alone
    double beta;             // of GYR_METHOD_DPO alone: how far rewards reach, at most 2; 0: 0.1
    gyr_method method;       // with GYR_METHOD_DPO the data are pairs of answers, a line each, in OpenAI's format
    gyr_products products;
    uint64_t memory; // bytes that training may take, beside the model's: what layers keep for their gradients is
                     // computed again, of as many as need be, to the same bytes. 0: all is kept
    uint64_t reserved[2];
} gyr_tune_options;

typedef struct gyr_tune gyr_tune;

// Reads the data and checks all of it; nothing is computed yet. The model must outlive it. Fails with GYR_IO;
// GYR_MALFORMED, by the line of the data that is wrong; GYR_TOO_LONG, by the line; GYR_UNSUPPORTED where the model has
// no chat template, or does something that gyr has no gradient of; GYR_FAILED where a checkpoint is there and is not to
// be gone on from, or is of another training; GYR_NO_MEMORY where `memory` is too little.
GYR_API gyr_tune *gyr_tune_open(gyr_model *model, const gyr_tune_options *options, gyr_error *err);
GYR_API void gyr_tune_close(gyr_tune *tune);

typedef struct gyr_tune_info {
    size_t chats, examples, valid_examples; // a conversation is one example, or several: docs/training.md
    uint64_t tokens, learned;               // of all examples together; of these, those that are learned
    size_t longest, cut;                    // tokens of the longest; examples that were cut
    size_t endless;                         // examples none of whose answers ends with a token that ends answers
    uint32_t rank, epochs, batch;
    double alpha, learning_rate;
    size_t steps, done; // of the optimizer: all; made before, by the checkpoint
    uint64_t numbers;   // that are trained
    uint64_t bytes;     // of memory that training takes, beside the model's
    bool rslora;
    gyr_optimizer optimizer;
    gyr_method method;   // of GYR_METHOD_DPO, an example is a pair
    uint32_t recomputed; // layers of the longest example that are computed again on the way back
    double beta;
    gyr_products products;
    uint64_t reserved[4];
} gyr_tune_info;

// What is going to be done.
GYR_API void gyr_tune_get_info(const gyr_tune *tune, gyr_tune_info *info);

typedef struct gyr_tune_example {
    size_t line; // of the data, from 1
    const int32_t *ids;
    const float *weight; // 1 where a token is learned, given those in front of it; else 0
    size_t count, learned;
    size_t cut; // tokens that were cut off
    bool other; // it is a pair's other answer, that is not to be given
    uint64_t reserved[3];
} gyr_tune_example;

// Example `index` as it is learned; of pairs, each has two: 2i and 2i + 1. False past the last. What it points to lives
// as long as `tune`.
GYR_API bool gyr_tune_get_example(const gyr_tune *tune, size_t index, gyr_tune_example *example);

// Writes the adapter as it is now to `path`, in the format of its name, as gyr_adapter_save() does; to be called from
// `progress`, too. Fails with GYR_IO, GYR_NO_MEMORY, and GYR_UNSUPPORTED where the format cannot have it.
GYR_API gyr_status gyr_tune_write(const gyr_tune *tune, const char *path, gyr_error *err);

// Trains, and writes the adapter. Fails with GYR_IO; GYR_CANCELLED; GYR_FAILED if the loss is no number any more.
GYR_API gyr_status gyr_tune_run(gyr_tune *tune, gyr_error *err);

// ------------------------------------------------------------------------------------------------------- training

// Trains all weights of a model, from nothing or of a file, by texts (docs/training.md). What comes out depends on the
// texts and the options, and neither on the number of threads or ranks nor on
// interruptions: the same bytes.

// A model's shape; 0 and NULL: as `name` has it.
typedef struct gyr_train_shape {
    const char *name; // of gyr_synth_shapes(), of which those with states take layers, hidden and tied alone;
                      // NULL: a small Falcon of 7B's kind: 8 layers, width 256, 4 heads, 1 of
                      // keys and values, 1024 in the MLP, tied
    uint32_t layers, hidden, heads, kv_heads, head_dim, feed_forward;
    uint32_t tied; // 1: the output matrix is the embedding; 2: it is one of its own
    uint32_t reserved[5];
} gyr_train_shape;

// Where training stands. Losses are means over tokens, in nats; bits are per byte of text.
typedef struct gyr_train_progress {
    size_t step, steps;      // of the optimizer: made, and all
    uint64_t tokens;         // learned from
    bool stepped;            // a step was made now: the next members are of it
    double loss;             // of the step's tokens, before it
    double rate, norm;       // learning rate, and length of the gradient before it was clipped
    double valid_loss, bits; // of the texts that are held out; NaN where they were not computed now
    const char *sample;      // what the model writes; NULL where it was not asked now
    size_t sample_size;      // bytes, which may end in a part of a character
    double seconds;          // since gyr_train_run() began
    uint64_t tokens_now;     // of `tokens`, those since then
    double part;             // of the step under way, what is done
    bool saved;              // a checkpoint was written now
    uint64_t reserved[6];
} gyr_train_progress;

typedef struct gyr_train_options {
    const char *model;       // a GGUF file of F32, F16 or BF16, of which all weights are trained; NULL: from nothing,
    gyr_train_shape shape;   // a model of this shape,
    const char *tokenizer;   // with the tokenizer of this: a GGUF file, or a folder as gyr_train_tokenizer() writes it
    const char *const *data; // files: each is a text of UTF-8, or in *.jsonl each line's "text" is one
    size_t n_data;
    const char *const *valid; // the same, to measure by and not to learn from; none: a part of the data is held out
    size_t n_valid;
    double hold_out;         // that part; 0: 0.01; negative: none
    const char *output;      // the GGUF file. Until training is done, what it needs to go on lies beside it, in
                             // `output`.state
    const char *type;        // of its matrices: "f32", "f16", "bf16"; NULL: "f16"
    uint32_t context;        // most tokens that are learned from together, and those the model is for; 0: 512, or the
                             // model's if that is less
    uint32_t batch;          // blocks of `context` tokens in a step; 0: 8
    uint64_t epochs;         // 0: 1, unless steps are given
    uint64_t steps;          // 0: as many as the epochs have
    double learning_rate;    // 0: 1e-3, or 2e-5 for a model of a file
    gyr_optimizer optimizer; // Muon: of matrices that are no tables of tokens; of everything else AdamW
    gyr_schedule schedule;
    double warmup;          // part of the steps in which the learning rate rises; 0: 0.02; negative: none
    double weight_decay;    // of matrices; 0: 0.1; negative: none
    double clip;            // longest gradient; 0: 1; negative: any
    uint64_t seed;          // of the beginning, of the order of texts, of what is held out, and of samples
    uint32_t threads;       // 0: one for each CPU
    bool resume;            // go on from the checkpoint, if there is one
    uint32_t save_steps;    // steps between checkpoints; 0: those of about a minute
    uint64_t valid_steps;   // steps between measurements and samples; 0: a tenth of all
    uint64_t valid_tokens;  // most tokens to measure by; 0: 32,768
    const char *prompt;     // what samples begin with; NULL: nothing
    uint32_t sample_tokens; // of a sample; 0: none is written
    // Called after each block. Return false to stop; a checkpoint is written, to go on from with `resume`.
    bool (*progress)(void *user, const gyr_train_progress *p);
    void *user;
    struct gyr_ranks *ranks; // that share the blocks of each step, each with all of the model: the same options on all,
                             // but that rank 0 alone has a `progress`; it alone writes. NULL: this process alone
    gyr_products products;
    uint64_t reserved[6];
} gyr_train_options;

typedef struct gyr_train gyr_train;

// Reads the data and checks all of it; nothing is computed yet. Fails with GYR_IO; GYR_MALFORMED, by the line of the
// data that is wrong; GYR_USAGE; GYR_UNSUPPORTED where a model does something that gyr has no gradient of; GYR_FAILED
// where a checkpoint is there and is not to be gone on from, or is of another training.
GYR_API gyr_train *gyr_train_open(const gyr_train_options *options, gyr_error *err);
GYR_API void gyr_train_close(gyr_train *train);

typedef struct gyr_train_info {
    uint64_t texts, tokens, bytes;                   // to learn from, in an epoch
    uint64_t valid_texts, valid_tokens, valid_bytes; // that are measured by
    uint64_t numbers;                                // that are trained
    uint32_t layers, hidden, heads, kv_heads, feed_forward, vocab, context, batch;
    size_t steps, done; // of the optimizer: all; made before, by the checkpoint
    uint64_t memory;    // bytes that training takes
    double learning_rate;
    bool fresh; // from nothing
    uint64_t reserved[8];
} gyr_train_info;

// What is going to be done.
GYR_API void gyr_train_get_info(const gyr_train *train, gyr_train_info *info);

// Trains, and writes the model. Fails with GYR_IO; GYR_CANCELLED; GYR_FAILED if the loss is no number any more.
GYR_API gyr_status gyr_train_run(gyr_train *train, gyr_error *err);

// Of step `index` that was made, also before a resumption: its loss, and the bits that were measured after it, or NaN.
// False past the last.
GYR_API bool gyr_train_get_step(const gyr_train *train, size_t index, float *loss, float *bits);

// --------------------------------------------------------------------------------------------------- tokenizers

// A vocabulary learned from texts: byte-level BPE, with the merges that Hugging Face's tokenizers learn from them.

typedef struct gyr_tokenizer_training {
    const char *const *data; // files: each is a text of UTF-8, or in *.jsonl each line's "text" is one
    size_t n_data;
    const char *output; // a folder that is made, or is there: tokenizer.json and tokenizer_config.json are written
    const char *pre;    // cuts texts into words: "gpt-2" (NULL), "llama-bpe", "qwen2"; "sentencepiece": of characters
    uint32_t size;      // tokens of the vocabulary, special ones and the 256 bytes among them; 0: 32,768
    uint64_t least;     // pairs that occur less often are not merged
    const char *const *special; // special tokens, which get the first ids; the first one begins and ends texts
    size_t n_special;           // 0: "<|endoftext|>"; of "sentencepiece" "<s>" and "</s>", behind "<unk>"
    uint32_t threads;           // 0: one for each CPU
    bool (*progress)(void *user, double fraction); // may be NULL; return false to stop
    void *user;
    uint64_t reserved[8];
} gyr_tokenizer_training;

typedef struct gyr_tokenizer_trained {
    uint64_t bytes, texts; // read
    uint64_t words;        // different ones
    size_t size, merges;   // tokens of the vocabulary: fewer than asked for where nothing was left to merge
    uint64_t reserved[4];
} gyr_tokenizer_trained;

// Learns a vocabulary, and writes it. `trained` may be NULL. Fails with GYR_IO; GYR_MALFORMED, by the line or the byte
// that is wrong; GYR_USAGE; GYR_CANCELLED.
GYR_API gyr_status gyr_train_tokenizer(const gyr_tokenizer_training *options, gyr_tokenizer_trained *trained,
                                       gyr_error *err);

// -------------------------------------------------------------------------------------------------- synthesis

typedef struct gyr_synth_options {
    const char *shape; // a known model's shape: see gyr_synth_shapes()
    const char *type;  // element type of the matrices, such as "q4_0"
    uint32_t layers;   // cut to this many layers; 0: all
    uint32_t context;  // say it was trained for this many tokens; 0: as the shape has it
    const char *vocab; // GGUF file whose vocabulary to take; NULL: a vocabulary of the right size, of bytes and fillers
    const char *output; // file to write; written under a temporary name and renamed when whole
    uint64_t seed;
    bool (*progress)(void *user, double fraction); // return false to stop
    void *user;
    uint64_t reserved[8];
} gyr_synth_options;

// Writes a GGUF file with random weights in a known model's true shape, for measuring speed and memory. Fails with
// GYR_IO, GYR_CANCELLED, and, reading `vocab`, GYR_MALFORMED and GYR_UNSUPPORTED.
GYR_API gyr_status gyr_synth(const gyr_synth_options *options, gyr_error *err);

// Name of shape `index`, NULL past the last.
GYR_API const char *gyr_synth_shapes(size_t index);

// ------------------------------------------------------------------------------------------------------- plans

typedef struct gyr_plan_options {
    const char *model;   // a file, a folder, "hf:OWNER/NAME", or a shape of gyr_synth_shapes(); no weights are read
    const char *type;    // of a shape's matrices, such as "q4_k"; NULL: 16 bits a weight
    const char *on;      // cards, such as "2 x H800 + 4 x RTX 4090" (gyr_plan_card()); NULL: this machine
    const char *prices;  // file of prices (docs/planning.md); NULL: none
    const char *budget;  // "20000": USD to buy for, "8/h": USD an hour to rent for; NULL: none
    uint32_t users;      // answers at once; 0: 1
    uint32_t context;    // tokens of each; 0: 4096, or what the model was trained for if that is less
    uint32_t prompt;     // tokens of a prompt; 0: 512, or half of the context if that is less
    uint32_t threads;    // of this machine; 0: one for each CPU
    gyr_kv_type kv_type; // of the KV cache
    bool quick;          // of this machine: what was kept (gyr_plan_keep()); nothing is timed
    bool tune;           // what it takes to fine-tune: an adapter (LoRA) for every matrix
    bool fp8;            // train and tune with products of 8 bits where the cards have them; else of 16
    bool no_cpu;     // nothing is to run on a CPU (gyr_model_options): a plan for this machine fails where that would
    uint32_t rank;   // of the adapter; 0: 16
    uint64_t train;  // tokens to train all of the weights with; 0: none
    uint64_t tokens; // to tune with; 0: 10 million
    uint64_t batch;  // tokens of an optimizer's step; 0: as many as is usual
    uint64_t reserved[4];
} gyr_plan_options;

// What a model takes on some hardware, and how fast it will be: a JSON object whose figures say whether they are
// measured, specified by a maker, estimated or unknown (docs/planning.md). On this machine operations are timed for a
// second or two. Free with gyr_free(). Fails with GYR_IO, GYR_MALFORMED, GYR_UNSUPPORTED.
GYR_API char *gyr_plan(const gyr_plan_options *options, gyr_error *err);

// Name of card `index` that plans know, NULL past the last.
GYR_API const char *gyr_plan_card(size_t index);

// What gyr bench measured of a model on this machine: tokens a second, of all sequences together; 0: not measured.
typedef struct gyr_plan_measured {
    uint32_t sequences;
    uint64_t prompt, generate, context; // tokens of each
    double prefill, decode;
    uint64_t reserved[6];
} gyr_plan_measured;

// Keeps it for later plans, in $XDG_CACHE_HOME/gyr/rates.json, beside rates of the operations that the model is made
// of, which are timed for a second or two. Of `options`, `model`, `threads` and `kv_type` count. Fails with GYR_IO,
// GYR_MALFORMED, GYR_UNSUPPORTED.
GYR_API gyr_status gyr_plan_keep(const gyr_plan_options *options, const gyr_plan_measured *measured, size_t count,
                                 gyr_error *err);

// The same of how fast a card's memory is read (gyr_model_measure_read()), and what was kept of that; 0: nothing was.
// Fails with GYR_IO.
GYR_API gyr_status gyr_plan_keep_read(const gyr_device_info *card, double rate, gyr_error *err);
GYR_API double gyr_plan_kept_read(const gyr_device_info *card);

// ----------------------------------------------------------------------------------------------- quantization

typedef struct gyr_quantize_options {
    const char *input;  // GGUF file, any part of a split one
    const char *output; // file to write; written under a temporary name and renamed when whole
    const char *type;   // an element type or a mixture of them, such as "q4_k_m": see gyr_quantize_types(); NULL with
                        // an adapter: the types that the file has
    bool pure;          // every matrix in that type, none in a better one
    bool requantize;    // take matrices that are quantized already, which lose twice
    uint32_t threads;   // 0: one for each CPU
    bool (*progress)(void *user, double fraction); // return false to stop
    void *user;
    const char *adapter; // path of one to merge: what it adds is added to the weights; NULL: none
    uint64_t reserved[7];
} gyr_quantize_options;

// Writes a model's weights in another type. Memory use does not depend on the model's size. Fails with GYR_IO,
// GYR_MALFORMED, GYR_UNSUPPORTED, GYR_CANCELLED.
GYR_API gyr_status gyr_quantize(const gyr_quantize_options *options, gyr_error *err);

// Name of type or mixture `index`, NULL past the last.
GYR_API const char *gyr_quantize_types(size_t index);

typedef struct gyr_convert_options {
    const char *input;  // Hugging Face folder
    const char *output; // GGUF file to write; written under a temporary name and renamed when whole
    const char *type;   // as for gyr_quantize(); NULL: the types that the folder has
    bool pure;          // every matrix in that type, none in a better one
    uint32_t threads;   // 0: one for each CPU
    bool (*progress)(void *user, double fraction); // return false to stop
    void *user;
    const char *adapter; // as for gyr_quantize()
    uint64_t reserved[7];
} gyr_convert_options;

// Writes a Hugging Face folder as a GGUF file, with the names and metadata that llama.cpp knows, quantizing on the way.
// Memory use does not depend on the model's size. Fails with GYR_IO, GYR_MALFORMED, GYR_UNSUPPORTED (also for what GGUF
// cannot say), GYR_CANCELLED.
GYR_API gyr_status gyr_convert(const gyr_convert_options *options, gyr_error *err);

#ifdef __cplusplus
}
#endif
#endif
