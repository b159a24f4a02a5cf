// docs/models.md is made from the table of families, and says of each what has been compared with transformers. With
// GYR_WRITE set, this writes the page; without, it fails if the page is not what the table says.
#include "base/buf.h"
#include "model/family.h"
#include "test.h"

#include <dirent.h>

// Kinds that a golden speaks of, by the first lines of its file. Falcon's goldens are older, and files of their own.
static char proven[256][96];
static size_t n_proven;

static void list_proven(const char *home) {
    DIR *dir = opendir(test_data(home));
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char file[320], line[128];
        if (!strstr(e->d_name, ".txt")) continue;
        snprintf(file, sizeof file, "%s/%s", home, e->d_name);
        FILE *f = fopen(test_data(file), "r");
        while (f && n_proven < 256 && fgets(line, sizeof line, f)) {
            char *kind = strstr(line, "kind ");
            if (!kind || (kind != line && strncmp(line, "gguf_kind ", 10))) break;
            line[strcspn(line, "\n")] = 0;
            snprintf(proven[n_proven++], sizeof proven[0], "%.90s", kind + 5);
        }
        if (f) fclose(f);
    }
    if (dir) closedir(dir);
}

static size_t goldens(const struct family *f) {
    size_t n = 0;
    for (size_t i = 0; i < n_proven; i++) n += !strcmp(proven[i], f->kind);
    return n;
}

// A list of words, commas between them.
static void word(struct buf *b, bool when, const char *format, unsigned number) {
    if (!when) return;
    if (b->size) buf_puts(b, ", ");
    buf_printf(b, format, number);
}

static const char *activation(const struct family *f) {
    static const char *const plain[] = {"GELU", "GELU (tanh)", "SiLU", "ReLU", "ReLU squared"};
    static const char *const gated[] = {"gated GELU", "gated GELU (tanh)", "gated SiLU", "gated ReLU", "gated ReLU²"};
    return (f->mlp.gated ? gated : plain)[f->mlp.activation];
}

static void put_traits(struct buf *b, const struct family *f) {
    static const char *const places[] = {" before", " after", " around", " of the stream after"};
    struct buf t = {0};
    buf_puts(&t, f->norms.kind == NORM_RMS ? "RMSNorm" : "LayerNorm");
    buf_puts(&t, places[f->norms.place]);
    word(&t, f->residual == RESIDUAL_PARALLEL, "parallel branches", 0);
    word(&t, f->positions == POSITIONS_ALIBI, "ALiBi", 0);
    word(&t, f->positions == POSITIONS_LEARNED, "learned positions", 0);
    word(&t, f->bidirectional, "tokens see later ones", 0);
    word(&t, f->rope.part > 0, "%u %% of a head rotated", (unsigned)(f->rope.part * 100));
    word(&t, f->rope.skip, "no positions in 1 layer of %u", f->rope.skip);
    word(&t, f->chunks.size, "attention in chunks of %u elsewhere", f->chunks.size);
    word(&t, f->rope.windows_only, "no positions in layers without a window", 0);
    word(&t, f->latent.attends, "latent attention", 0);
    word(&t, f->latent.indexed, "to chosen positions", 0);
    word(&t, f->mixers == MIXERS_STATE, "a state and no attention", 0);
    word(&t, f->mixers == MIXERS_BOTH, "attention and a state side by side", 0);
    word(&t, f->mixers == MIXERS_TURNS, "attention and a state in turns", 0);
    word(&t, f->attention.qk_norm != QK_NORM_NONE && !f->attention.value_norm, "norms of queries and keys", 0);
    word(&t, f->attention.value_norm, "norms of queries, keys and values", 0);
    word(&t, f->window.every && !f->window.own_heads, "windows but in 1 layer of %u", f->window.every);
    word(&t, f->window.own_heads, "windows and heads that differ by layer", 0);
    word(&t, f->attention.sinks, "attention sinks", 0);
    if (t.size) buf_puts(&t, ", ");
    buf_puts(&t, activation(f));
    word(&t, f->layer_inputs, "per-layer inputs where the file has them", 0);
    word(&t, f->experts.beside, "experts beside the MLP", 0);
    word(&t, f->mlp.limit > 0, "clamped", 0);
    word(&t, f->biases & BIAS_ALL, "biases", 0);
    word(&t, !(f->biases & BIAS_ALL) && f->may_bias, "biases where the file has them", 0);
    buf_puts(b, t.data);
    buf_free(&t);
}

static void put_row(struct buf *b, const struct family *f) {
    bool falcon = !strcmp(f->architecture, "falcon");
    size_t n = goldens(f);
    buf_printf(b, "| %s | %s`%s` | ", f->kind, f->hf_only ? "as other " : "", f->architecture);
    for (int i = 0; i < 5 && f->hf_types[i]; i++) buf_printf(b, "%s`%s`", i ? " " : "", f->hf_types[i]);
    if (!f->hf_types[0]) buf_puts(b, "as another family");
    buf_puts(b, " | ");
    put_traits(b, f);
    buf_puts(b, falcon || n ? " | folder, GGUF |\n" : " | not yet |\n");
}

static const char head[] =
    "# Models\n"
    "\n"
    "What gyr runs, as its table of families has it: this page is made from the table, and a test fails where the two\n"
    "differ. *Proven* says from which formats a small random model of the family was compared with Hugging Face\n"
    "transformers in float32: the logits of every position within 1e-4, and the same 64 greedy tokens. Models that are "
    "not\n"
    "in transformers (Baichuan, InternLM, MiniCPM) are compared with one there that computes the same, under their "
    "own\n"
    "names.\n"
    "\n"
    "A file of any other architecture gives one line that names it and lists what gyr knows. To add one:\n"
    "[adding a model](adding-a-model.md).\n"
    "\n"
    "| family | GGUF | Hugging Face | traits | proven |\n"
    "| --- | --- | --- | --- | --- |\n";

static const char foot[] =
    "\n"
    "## Rotary scalings\n"
    "\n"
    "Linear, Llama 3, YaRN and LongRoPE, from either format, for any family with rotary positions. Dynamic scaling "
    "changes\n"
    "nothing within the context that a config names, and gyr goes no further. LongRoPE has two sets of factors, for "
    "texts\n"
    "within the trained context and beyond it. A session has one of them from its first token on: the second if it is "
    "asked\n"
    "to hold more than the trained context (`gyr run -c`), else the first. (transformers changes over when a text gets "
    "that\n"
    "long, and computes it all again; llama.cpp chooses as gyr does.)\n"
    "\n"
    "## Tokens that see what comes after them\n"
    "\n"
    "Encoders, a Gemma 3 whose config says `use_bidirectional_attention`, and decoders without windows whose GGUF "
    "file\n"
    "says that `attention.causal` is false attend in both directions: to all of the text in layers that see "
    "everything, and\n"
    "within half the window on either side in the others. A session's tokens are computed again whenever more come, so "
    "that\n"
    "scores are always those of the tokens that are there, in whatever pieces they came; transformers does so with\n"
    "`use_cache=False`. A text may be as long as the model's context: one that is longer than a batch goes through "
    "each layer\n"
    "in pieces. `gyr eval` refuses these models, as what has been seen is not predicted; so does `gyr convert` for a "
    "Gemma 3,\n"
    "which GGUF files of that architecture cannot express.\n"
    "\n"
    "## Embeddings\n"
    "\n"
    "[`gyr embed`](verbs/embed.md) and `gyr_embed()` make vectors of texts, with any model: what the final norm gives "
    "of a\n"
    "text's tokens is pooled (mean, first token, last token), goes through the file's Dense matrices (EmbeddingGemma), "
    "is cut\n"
    "if asked, and made of length 1. A folder says which by sentence-transformers' files (`modules.json` and what it "
    "names,\n"
    "`config_sentence_transformers.json` for prompts), a GGUF file by its `pooling_type` and `dense_2`, `dense_3`. A "
    "module or\n"
    "pooling that gyr does not know makes `gyr embed` fail with its name. Where a file says nothing, decoders give the "
    "last\n"
    "token's vector and encoders the mean. Special tokens are put around a text as the tokenizer says; a text's own "
    "words never\n"
    "become one. sentence-transformers cuts a text at `max_seq_length`; gyr takes all of it, up to the context, and "
    "refuses what\n"
    "is longer.\n"
    "\n"
    "Proven with small random models of Qwen 3, EmbeddingGemma, BERT, XLM-RoBERTa, Nomic BERT and ModernBERT against\n"
    "sentence-transformers in float32, texts of 1 to 600 tokens: vectors of length 1 within 1e-5 in every element "
    "(the\n"
    "farthest seen was 1e-6), from a folder and from a GGUF file.\n"
    "\n"
    "## Cross-encoders\n"
    "\n"
    "`gyr_relevance()`, and [`/v1/rerank`](serving.md#ranking) of the server, say how relevant a document is to "
    "a query: BERT, RoBERTa and XLM-RoBERTa (BGE's rerankers, MiniLM's of MS MARCO) with\n"
    "transformers' head for a classification of one class, from a folder, or from a GGUF file (`pooling_type` 4, "
    "`cls`, `cls.output`). Query and document are one text, `[CLS] query [SEP]\n"
    "document [SEP]`, with RoBERTa's mark in the middle twice, and tokens of the document are of the second type "
    "where the model has two. (llama.cpp has all of the first type, so that its numbers of BERTs are others.) "
    "Such a model makes\n"
    "no embeddings. Heads of several classes, of ModernBERT, and of decoders (Qwen3-Reranker) are refused by "
    "name.\n"
    "\n"
    "Proven with small random models of BERT and XLM-RoBERTa against transformers in float32, pairs of 3 to 600 "
    "tokens: within 2e-5, with the same bytes from a folder, a GGUF file and a converted one.\n"
    "\n"
    "## Keys of a config\n"
    "\n"
    "A folder's `config.json` means what the model's configuration class in transformers makes of it: keys left out "
    "have\n"
    "that class's defaults, keys that it does not have are not read, and a key that would have gyr compute what it "
    "cannot\n"
    "is refused by its name, as is a tensor that no layer reads. The [page of formats](formats.md#keys-of-configjson)\n"
    "says which; `src/format/hf_class.c` has the list of each family, and a test changes every key of it.\n"
    "\n"
    "## Quantized weights\n"
    "\n"
    "Any family, in any of [GGUF's types](formats.md#element-types), and from folders in FP8, in 4 bits\n"
    "of compressed-tensors, and in AWQ ([which of them](formats.md#quantized-folders)); gpt-oss in MXFP4.\n"
    "Proven with small models of Llama, Qwen 3 MoE, DeepSeek V3 and MiniCPM.\n"
    "\n"
    "## Not yet\n"
    "\n"
    "The pictures and sounds of models that see and hear (their text part runs, from a\n"
    "folder). GGUF files of Baichuan 2 are taken to have an output matrix whose rows are of length 1, as gyr convert\n"
    "writes them.\n"
    "\n"
    "DeepSeek V4 (`deepseek_v4`): several residual streams, mixed at every layer by a matrix made doubly stochastic\n"
    "(hyper-connections); runs of 4 or of 128 positions made into one key and value, attended to by choice beside a\n"
    "window; an output matrix by groups; experts that some layers choose by the token's number. GLM 5.3 (`glm5_next`): "
    "the\n"
    "same streams; Kimi Linear's layers with a floor under their decay; an indexer that chooses runs of positions by "
    "keys\n"
    "made of a run's; clamped gates. Qwen's `qwen4_exp`: such streams, embeddings of runs of tokens, an indexer of "
    "averaged keys.\n"
    "All three are refused as architectures that gyr does not know.\n"
    "\n"
    "DeepSeek V3.2 in GGUF has the architecture and the names that llama.cpp gives it (`deepseek32`), which the gguf\n"
    "package 0.19 does not have yet; the tensors are called as those of GLM 5 (`glm-dsa`), which it has.\n";

static void page_says_what_the_table_says(void) {
    struct buf b = {0};
    const struct family *f;
    char path[1024];
    buf_puts(&b, head);
    for (size_t i = 0; (f = family_row(i)); i++) put_row(&b, f);
    buf_puts(&b, foot);
    REQUIRE(!b.failed);
    snprintf(path, sizeof path, "%s/docs/models.md", getenv("GYR_SOURCE") ? getenv("GYR_SOURCE") : ".");
    FILE *page = fopen(path, getenv("GYR_WRITE") ? "w" : "r");
    REQUIRE(page);
    if (getenv("GYR_WRITE"))
        CHECK(fwrite(b.data, 1, b.size, page) == b.size);
    else {
        char *have = calloc(1, b.size + 2);
        size_t n = fread(have, 1, b.size + 1, page);
        bool same = n == b.size && !memcmp(have, b.data, n);
        if (!same) printf("  make it with: GYR_WRITE=1 build/tests/model/models_page_test\n");
        CHECK(same);
        free(have);
    }
    fclose(page);
    buf_free(&b);
}

// A kind that a golden names must be in the table.
static void goldens_name_kinds(void) {
    for (size_t i = 0; i < n_proven; i++) {
        const struct family *f;
        bool found = false;
        for (size_t k = 0; (f = family_row(k)); k++) found |= !strcmp(f->kind, proven[i]);
        if (!found) printf("  no family is called %s\n", proven[i]);
        CHECK(found);
    }
    CHECK(n_proven > 0);
}

int main(void) {
    list_proven("models");
    list_proven("embeddings");
    RUN(goldens_name_kinds);
    RUN(page_says_what_the_table_says);
    return test_end();
}
