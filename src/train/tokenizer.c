// A tokenizer learned from texts.
#include "base/out.h"
#include "engine/inside.h"
#include "text/learn.h"
#include "text/patterns.h"
#include "train/texts.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIZE = 32768 };

// Reading is most of the time; learning is the rest.
static const double reading_part = 0.6;

static const char sentencepiece[] = "sentencepiece";

struct job {
    const gyr_tokenizer_training *o;
    const char *pre;
    bool spelled;         // as SentencePiece does
    struct text *special; // of the vocabulary: with what stands for unknown text in front, if it is spelled
    size_t n_special;
    struct text begin, end; // what begins and ends texts
    struct word_counts *counts;
    gyr_tokenizer_trained done;
    gyr_error *e;
};

static bool tell(struct job *j, double fraction) {
    if (!j->o->progress || j->o->progress(j->o->user, fraction)) return true;
    return fail(j->e, GYR_CANCELLED, "%s: stopped", j->o->output);
}

static bool count(void *arg, const struct some_texts *s) {
    struct job *j = arg;
    if (!word_counts_add(j->counts, s->items, s->n, s->path, j->e)) return false;
    for (size_t i = 0; i < s->n; i++) j->done.bytes += s->items[i].size;
    j->done.texts += s->n;
    return tell(j, reading_part * s->done);
}

static bool tell_learning(void *arg, double fraction) {
    struct job *j = arg;
    return !j->o->progress || j->o->progress(j->o->user, reading_part + (1 - reading_part) * fraction);
}

// ------------------------------------------------------------------------------------------------ output

static char *in_folder(const char *folder, const char *name, gyr_error *e) {
    struct buf b = {0};
    buf_printf(&b, "%s/%s", folder, name);
    char *path = b.failed ? NULL : buf_take(&b);
    if (!path) fail_memory(e, folder);
    return path;
}

static bool write_text(const char *path, const char *text, gyr_error *e) {
    struct out *o = out_open(path, 0666, e);
    if (!o) return false;
    bool ok = out_write(o, text, strlen(text), e);
    return out_close(o, ok, ok ? e : NULL) && ok;
}

// What transformers wants to know beside the vocabulary.
static bool write_config(const struct job *job, const char *path, gyr_error *e) {
    json_t *j =
        json_pack("{s:s,s:s%,s:s%,s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "bos_token", job->begin.data,
                  job->begin.size, "eos_token", job->end.data, job->end.size, "clean_up_tokenization_spaces", 0);
    if (j && job->spelled) json_object_set_new(j, "unk_token", json_string(job->special[0].data));
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    json_decref(j);
    bool ok = text ? write_text(path, text, e) : fail_memory(e, path);
    free(text);
    return ok;
}

static bool write_all(const struct job *j, const struct learned *l, gyr_error *e) {
    char *vocab = in_folder(j->o->output, "tokenizer.json", e);
    char *config = vocab ? in_folder(j->o->output, "tokenizer_config.json", e) : NULL;
    bool ok = config && learned_write(l, j->pre, vocab, e) && write_config(j, config, e);
    free(vocab);
    free(config);
    return ok;
}

// The folder is made first: what cannot be written is said before anything is read.
static bool make_folder(const char *path, gyr_error *e) {
    struct stat st;
    if (!mkdir(path, 0777) || (errno == EEXIST && !stat(path, &st) && S_ISDIR(st.st_mode))) return true;
    return fail(e, GYR_IO, "%s: %s; name a folder for the tokenizer", path,
                errno == EEXIST ? "is no folder" : strerror(errno));
}

// --------------------------------------------------------------------------------------------------- all

static bool check(const struct job *j) {
    static const char *const known[] = {"gpt-2", "llama-bpe", "qwen2", sentencepiece};
    const gyr_tokenizer_training *o = j->o;
    if (!o->n_data) return fail(j->e, GYR_USAGE, "no data; name files with texts");
    if (!o->output || !*o->output) return fail(j->e, GYR_USAGE, "no output; name a folder for the tokenizer");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(j->pre, known[i])) return true;
    return fail(j->e, GYR_USAGE, "pre-tokenizer '%.40s': gyr trains with gpt-2, llama-bpe, qwen2 and sentencepiece",
                j->pre);
}

// The first of those that are given begins and ends texts. If none are, SentencePiece's usual ones do, or GPT-2's one.
static bool take_special(struct job *j) {
    static const struct text unknown = {"<unk>", 5}, begin = {"<s>", 3}, end = {"</s>", 4},
                             both = {"<|endoftext|>", 13};
    const gyr_tokenizer_training *o = j->o;
    if (!(j->special = calloc(o->n_special + 3, sizeof *j->special))) return fail_memory(j->e, o->output);
    if (j->spelled) j->special[j->n_special++] = unknown;
    j->begin = o->n_special ? (struct text){o->special[0], strlen(o->special[0])} : j->spelled ? begin : both;
    j->end = !o->n_special && j->spelled ? end : j->begin;
    for (size_t i = 0; i < o->n_special; i++)
        j->special[j->n_special++] = (struct text){o->special[i], strlen(o->special[i])};
    if (o->n_special) return true;
    j->special[j->n_special++] = j->begin;
    if (j->spelled) j->special[j->n_special++] = j->end;
    return true;
}

static bool learn_words(struct job *j, struct learned *l) {
    const gyr_tokenizer_training *o = j->o;
    size_t n;
    struct counted_word *words = word_counts_take(j->counts, &n, j->e);
    struct learn_options how = {.size = o->size ? o->size : SIZE,
                                .characters = j->spelled,
                                .least = o->least,
                                .special = j->special,
                                .n_special = j->n_special,
                                .progress = tell_learning,
                                .user = j};
    bool ok = words && learn(l, words, n, &how, j->e);
    if (words) j->done.words = n;
    free(words);
    return ok;
}

static bool train(struct job *j) {
    struct learned l = {0};
    j->spelled = !strcmp(j->pre, sentencepiece);
    bool ok = check(j) && take_special(j) && make_folder(j->o->output, j->e) &&
              (j->counts = word_counts_new(j->spelled ? NULL : j->pre, j->o->threads, j->e)) &&
              texts_read(j->o->data, j->o->n_data, count, j, j->e) && learn_words(j, &l) && write_all(j, &l, j->e);
    j->done.size = l.n;
    j->done.merges = l.n_merges;
    word_counts_free(j->counts);
    free(j->special);
    learned_free(&l);
    return ok;
}

gyr_status gyr_train_tokenizer(const gyr_tokenizer_training *o, gyr_tokenizer_trained *trained, gyr_error *e) {
    gyr_error made = {0};
    struct job j = {.o = o, .pre = o->pre ? o->pre : "gpt-2", .e = &made};
    bool ok = CHECK_RESERVED(o, &made) && train(&j);
    if (ok && trained) *trained = j.done;
    return status_of(ok, &made, e);
}
