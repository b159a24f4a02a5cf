#include "base/map.h"
#include "image.h"

#include <math.h>

static const char config[] =
    "{\"model_type\": \"hawk\", \"hidden_size\": 64, \"layer_norm_epsilon\": 1e-05,"
    " \"alibi\": false, \"negative\": -5, \"nothing\": null, \"bos_token_id\": 1,"
    " \"eos_token_id\": [2, 0], \"architectures\": [\"FalconForCausalLM\"],"
    " \"rope_scaling\": {\"factor\": 8, \"list\": [1, 2.5], \"deep\": {\"x\": \"y\"}},"
    " \"mixed\": [1, \"a\"], \"none\": [], \"flags\": [true, false], \"signed\": [1, -1],"
    " \"most\": {\"__float__\": \"Infinity\"}, \"bounds\": [{\"__float__\": \"-Infinity\"}, 2],"
    " \"unknown\": {\"__float__\": \"NaN\"}, \"odd\": {\"__float__\": \"1e9\"},"
    " \"beside\": {\"__float__\": \"NaN\", \"x\": 1}}";

static void put_safetensors(struct buf *b, const char *header, size_t data) {
    put_u64(b, strlen(header));
    buf_puts(b, header);
    for (size_t i = 0; i < data; i++) put_u8(b, (uint8_t)i);
}

static void write_safetensors(const char *folder, const char *name, const char *header, size_t data) {
    struct buf b = {0};
    put_safetensors(&b, header, data);
    write_buf(folder, name, &b);
}

static const char three[] = "{\"__metadata__\": {\"format\": \"pt\"},"
                            "\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]},"
                            "\"b\": {\"dtype\": \"BF16\", \"shape\": [3], \"data_offsets\": [25, 31]},"
                            "\"c\": {\"dtype\": \"F16\", \"shape\": [], \"data_offsets\": [31, 33]}}";

static const char tokenizer[] = "{\"added_tokens\": [{\"id\": 2, \"content\": \"<|end|>\", \"special\": true}],"
                                " \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []}}";

static void opens_a_folder(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_text(folder, "config.json", config);
    write_safetensors(folder, "model.safetensors", three, 33);
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_open(folder, &e);
    REQUIRE(c);
    CHECK_INT(c->source, CHECKPOINT_HF);
    CHECK_STR(c->architecture, "hawk");
    CHECK_INT(c->n_tensors, 3);
    CHECK_INT(c->vocab.kind, VOCAB_NONE);
    const struct tensor *a = checkpoint_tensor(c, "a"), *b = checkpoint_tensor(c, "b"), *s = checkpoint_tensor(c, "c");
    REQUIRE(a && b && s);
    CHECK_INT(a->type, TYPE_F32);
    CHECK_INT(a->dim[0], 3);
    CHECK_INT(a->dim[1], 2);
    CHECK_INT(a->n_dims, 2);
    CHECK_INT(a->bytes, 24);
    CHECK_INT(a->data[23], 23);
    CHECK_INT(b->type, TYPE_BF16);
    CHECK_INT(b->data[0], 25);
    CHECK_INT(s->type, TYPE_F16);
    CHECK_INT(s->n_dims, 0);
    CHECK_INT(s->dim[0], 1);
    CHECK_INT(s->bytes, 2);
    checkpoint_close(c);
    leave_folder(folder);
}

static void check_config(const struct checkpoint *c) {
    uint64_t u = 0;
    double f = 0;
    bool flag = true;
    struct text s = {0};
    gyr_error e;
    CHECK(checkpoint_uint(c, "hidden_size", 1, 100, &u, &e) && u == 64);
    CHECK(checkpoint_uint(c, "rope_scaling.factor", 1, 100, &u, &e) && u == 8);
    CHECK(checkpoint_float(c, "layer_norm_epsilon", &f, &e) && f == 1e-05);
    CHECK(checkpoint_float(c, "negative", &f, &e) && f == -5.0);
    CHECK(checkpoint_bool(c, "alibi", &flag, &e) && !flag);
    CHECK(checkpoint_string(c, "rope_scaling.deep.x", &s, &e) && text_is(s, "y"));
    u = 9;
    CHECK(checkpoint_uint(c, "nothing", 0, 1, &u, &e) && u == 9);
    CHECK(text_is(value_at(checkpoint_value(c, "architectures"), 0).s, "FalconForCausalLM"));
    CHECK(value_at(checkpoint_value(c, "rope_scaling.list"), 0).f == 1.0);
    CHECK(value_at(checkpoint_value(c, "rope_scaling.list"), 1).f == 2.5);
    CHECK_INT(checkpoint_value(c, "mixed.0")->u, 1);
    CHECK(text_is(checkpoint_value(c, "mixed.1")->s, "a"));
    CHECK_INT(checkpoint_value(c, "none")->array.n, 0);
    CHECK(value_at(checkpoint_value(c, "flags"), 0).b && !value_at(checkpoint_value(c, "flags"), 1).b);
    CHECK_INT(value_at(checkpoint_value(c, "signed"), 1).i, -1);
    CHECK_INT(value_at(checkpoint_value(c, "eos_token_id"), 0).u, 2);
    CHECK(checkpoint_float(c, "most", &f, &e) && f == INFINITY);
    CHECK(value_at(checkpoint_value(c, "bounds"), 0).f == -INFINITY);
    CHECK(value_at(checkpoint_value(c, "bounds"), 1).f == 2);
    CHECK(isnan(checkpoint_value(c, "unknown")->f));
    CHECK(text_is(checkpoint_value(c, "odd.__float__")->s, "1e9")); // as transformers leaves them
    CHECK(text_is(checkpoint_value(c, "beside.__float__")->s, "NaN"));
    struct text key;
    const struct value *v;
    CHECK(checkpoint_key(c, 0, &key, &v) && text_is(key, "model_type"));
}

// What readers see of a config whose class is known: its names and defaults, and nothing else.
static void settles_the_config(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_text(folder, "config.json",
               "{\"model_type\": \"gemma3\", \"hidden_size\": 7, \"text_config\": {\"hidden_size\": 64, "
               "\"sliding_window\": null, "
               "\"odd\": 1, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0}, \"rope_theta\": 5}}");
    write_text(folder, "tokenizer.json", tokenizer);
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_open(folder, &e);
    REQUIRE(c);
    uint64_t u = 0;
    double f = 0;
    CHECK(checkpoint_uint(c, "hidden_size", 1, 100, &u, &e) && u == 64);
    CHECK(checkpoint_uint(c, "num_attention_heads", 1, 100, &u, &e) && u == 8);
    CHECK(checkpoint_float(c, "rope_parameters.full_attention.factor", &f, &e) && f == 8);
    CHECK(checkpoint_float(c, "rope_parameters.full_attention.rope_theta", &f, &e) && f == 5);
    CHECK(checkpoint_float(c, "rope_parameters.sliding_attention.rope_theta", &f, &e) && f == 10000);
    CHECK(!checkpoint_value(c, "odd") && !checkpoint_value(c, "text_config.odd"));
    CHECK_INT(checkpoint_value(c, "sliding_window")->kind, VALUE_NONE);
    CHECK(checkpoint_value(c, "tie_word_embeddings")->b);
    checkpoint_close(c);
    leave_folder(folder);
}

static void flattens_the_config(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_text(folder, "config.json", config);
    write_text(folder, "tokenizer.json", tokenizer);
    gyr_error e = {0};
    struct checkpoint *c = checkpoint_open(folder, &e);
    REQUIRE(c);
    CHECK_INT(c->n_tensors, 0);
    check_config(c);
    CHECK_INT(c->vocab.n, 3);
    CHECK_INT(c->vocab.bos, 1);
    CHECK_INT(c->vocab.eos, 2);
    CHECK_INT(c->vocab.eot, 0);
    CHECK(!c->vocab.chat_template);
    checkpoint_close(c);
    leave_folder(folder);
}

static void reads_tokenizer_files(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_text(folder, "config.json", "{\"model_type\": \"falcon\", \"eos_token_id\": 0}");
    write_text(folder, "tokenizer.json", tokenizer);
    write_text(folder, "generation_config.json", "{\"eos_token_id\": [2, 1]}");
    write_text(folder, "tokenizer_config.json",
               "{\"bos_token\": {\"content\": \"a\"}, \"eos_token\": \"<|end|>\", \"pad_token\": \"none\","
               " \"model_max_length\": 1000000000000000019884624838656, \"add_bos_token\": true, \"tokenizer_class\": "
               "\"LlamaTokenizerFast\","
               " \"chat_template\": [{\"name\": \"tool_use\", \"template\": \"T\"},"
               " {\"name\": \"default\", \"template\": \"D\"}]}");
    struct checkpoint *c = checkpoint_open(folder, NULL);
    REQUIRE(c);
    CHECK_INT(c->vocab.bos, 0);
    CHECK_INT(c->vocab.eos, 2);
    CHECK_INT(c->vocab.eot, 1);
    CHECK_INT(c->vocab.pad, 3); // added, as transformers does
    CHECK(c->vocab.add_bos && !c->vocab.add_eos);
    CHECK_STR(c->vocab.chat_template, "D");
    CHECK_INT(c->vocab.n_templates, 1);
    CHECK_STR(c->vocab.templates[0].name, "tool_use");
    CHECK_STR(c->vocab.templates[0].source, "T");
    checkpoint_close(c);
    write_text(folder, "chat_template.jinja", "J");
    c = checkpoint_open(folder, NULL);
    REQUIRE(c);
    CHECK_STR(c->vocab.chat_template, "J");
    checkpoint_close(c);
    write_text(folder, "chat_template.jinja", "\xff");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED, "DIR/chat_template.jinja: not UTF-8; get the file again");
    leave_folder(folder);
}

// SentencePiece's own file, and the tokens that tokenizer_config.json adds to it.
static void reads_a_sentencepiece_model(void) {
    const char *folder = enter_folder();
    gyr_error e = {0};
    size_t size;
    char *model = read_file(test_data("tokenizers/kinds/bpe_sp.model"), 1 << 20, &size, &e);
    REQUIRE(model);
    write_text(folder, "config.json", "{\"model_type\": \"falcon\"}");
    write_file(folder, "tokenizer.model", model, size);
    struct checkpoint *c = checkpoint_open(folder, &e);
    REQUIRE(c);
    size_t n = c->vocab.n;
    CHECK_INT(c->vocab.kind, VOCAB_SPM);
    CHECK(c->vocab.add_bos && c->vocab.space_marker && c->vocab.space_prefix && c->vocab.byte_fallback);
    CHECK_INT(c->vocab.bos, 1);
    CHECK_INT(c->vocab.eos, 2);
    CHECK_INT(c->vocab.unk, 0);
    CHECK_INT(c->vocab.n_normals, 0);
    checkpoint_close(c);
    char added[256];
    snprintf(added, sizeof added,
             "{\"added_tokens_decoder\": {\"0\": {\"content\": \"other\"}, \"%zu\": {\"content\": \"<|im_end|>\", "
             "\"special\": true}, \"%zu\": {\"content\": \"user\"}}, \"eos_token\": \"<|im_end|>\"}",
             n + 1, n - 1);
    write_text(folder, "tokenizer_config.json", added);
    c = checkpoint_open(folder, &e);
    REQUIRE(c);
    CHECK_INT(c->vocab.n, n + 2);
    CHECK(text_is(c->vocab.tokens[n + 1], "<|im_end|>") && text_is(c->vocab.tokens[n - 1], "user"));
    CHECK(text_is(c->vocab.tokens[0], "<unk>") && text_is(c->vocab.tokens[n], ""));
    CHECK_INT(c->vocab.kinds[n + 1], TOKEN_CONTROL);
    CHECK_INT(c->vocab.kinds[n], TOKEN_UNUSED);
    CHECK_INT(c->vocab.kinds[n - 1], TOKEN_USER);
    CHECK_INT(c->vocab.eos, n + 1);
    checkpoint_close(c);
    write_text(folder, "tokenizer_config.json", "{\"added_tokens_decoder\": {\"99999999\": {\"content\": \"x\"}}}");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR: an added token has no content or no valid id; get the file again");
    write_text(folder, "tokenizer_config.json", "{}");
    write_file(folder, "tokenizer.model", model, size / 2);
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/tokenizer.model: is not a SentencePiece model, or is damaged; get the file again");
    free(model);
    leave_folder(folder);
}

static const char part_a[] = "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}";
static const char part_b[] = "{\"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}";

static const char *make_sharded(void) {
    const char *folder = enter_folder();
    if (!folder) return NULL;
    write_text(folder, "config.json", config);
    write_text(folder, "model.safetensors.index.json",
               "{\"metadata\": {}, \"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"2.safetensors\"}}");
    write_safetensors(folder, "1.safetensors", part_a, 4);
    write_safetensors(folder, "2.safetensors", part_b, 4);
    return folder;
}

// A tensor that can only be refused, to who asks for it.
static void check_unread(const struct checkpoint *c, const char *name, gyr_status status, const char *message) {
    gyr_error e = {0};
    const struct tensor *t = checkpoint_tensor(c, name);
    REQUIRE(t);
    CHECK(!tensor_readable(t, "x", &e));
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, message);
}

static void opens_sharded_weights(void) {
    const char *folder = make_sharded();
    REQUIRE(folder);
    struct checkpoint *c = checkpoint_open(folder, NULL);
    REQUIRE(c);
    CHECK_INT(c->n_tensors, 2);
    CHECK(checkpoint_tensor(c, "a") && checkpoint_tensor(c, "b"));
    checkpoint_close(c);
    unlink(path_in(folder, "2.safetensors"));
    CHECK_PATH_FAILS(folder, folder, GYR_IO, "DIR/2.safetensors: is missing; put all parts of the model in one folder");
    write_safetensors(folder, "2.safetensors", part_a, 4);
    // There twice, with other numbers: nobody can read it. With the same, anybody can. b is but a name of the index.
    c = checkpoint_open(folder, NULL);
    REQUIRE(c);
    CHECK_INT(c->n_tensors, 1);
    CHECK(!checkpoint_tensor(c, "b") && !checkpoint_tensor(c, "a")->unread);
    checkpoint_close(c);
    write_safetensors(folder, "2.safetensors",
                      "{\"a\": {\"dtype\": \"F16\", \"shape\": [1], \"data_offsets\": [0, 2]}}", 2);
    c = checkpoint_open(folder, NULL);
    REQUIRE(c);
    CHECK_INT(c->n_tensors, 1);
    CHECK(tensor_readable(checkpoint_tensor(c, "a"), "x", NULL) && checkpoint_tensor(c, "a")->type == TYPE_F32);
    checkpoint_close(c); // the index says where; where it does not, nobody knows
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\": {\"x\": \"1.safetensors\", \"y\": \"2.safetensors\"}}");
    c = checkpoint_open(folder, NULL);
    REQUIRE(c);
    check_unread(c, "a", GYR_MALFORMED, "x: tensor a is there twice, and not the same; get the folder again");
    checkpoint_close(c);
    leave_folder(folder);
}

static void stays_in_the_folder(void) {
    static const char *const names[] = {"../x.safetensors", "/etc/passwd", "a/b", "..", "", ".hidden", "a\\\\b"};
    static const char *const shown_as[] = {"../x.safetensors", "/etc/passwd", "a/b", "..", "", ".hidden", "a\\b"};
    const char *folder = make_sharded();
    REQUIRE(folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char index[256], want[256];
        snprintf(index, sizeof index, "{\"weight_map\": {\"a\": \"%s\"}}", names[i]);
        snprintf(want, sizeof want,
                 "DIR/model.safetensors.index.json: names a part that is not a file of its folder: \"%s\"; "
                 "get the file again",
                 shown_as[i]);
        write_text(folder, "model.safetensors.index.json", index);
        CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED, want);
    }
    write_text(folder, "model.safetensors.index.json", "{\"weight_map\": 3}");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/model.safetensors.index.json: has no weight_map; get the file again");
    leave_folder(folder);
}

static void refuses_bad_folders(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    CHECK_PATH_FAILS(folder, folder, GYR_IO,
                     "DIR: no config.json in this folder; give a GGUF file or a Hugging Face folder");
    write_text(folder, "config.json", "{}");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED, "DIR/config.json: has no model_type; get the file again");
    write_text(folder, "config.json", "{\n \"a\": }");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/config.json: bad JSON in line 2: a value is missing; get the file again");
    write_text(folder, "config.json", "{\"a.b\": 1, \"a\": {\"b\": 1}, \"model_type\": \"x\"}");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/config.json: key a.b is there twice; the file is damaged, get it again");
    write_text(folder, "config.json", "{\"model_type\": \"\xff\"}");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/config.json: bad JSON in line 1: not UTF-8; get the file again");
    char deep[200];
    memset(deep, '[', sizeof deep);
    write_file(folder, "config.json", deep, sizeof deep);
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/config.json: JSON nested more than 64 deep; get the file again");
    char wide[400];
    memset(wide, 'k', sizeof wide);
    memcpy(wide, "{\"", 2), memcpy(wide + 396, "\":1}", 4);
    write_file(folder, "config.json", wide, sizeof wide);
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED, "DIR/config.json: a key of 394 bytes; get the file again");
    write_text(folder, "config.json", config);
    CHECK_PATH_FAILS(folder, folder, GYR_IO,
                     "DIR: no model.safetensors in this folder; give a GGUF file or a Hugging Face folder");
    write_text(folder, "pytorch_model.bin", "");
    CHECK_PATH_FAILS(folder, folder, GYR_UNSUPPORTED,
                     "DIR: has its weights as pytorch_model.bin only; save it as safetensors");
    leave_folder(folder);
}

#define ENTRY(dtype, shape, offsets)                                                                                   \
    "{\"w\": {\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": " offsets "}}"
#define DAMAGED "; the file is damaged, get it again"

static void refuses_bad_safetensors(void) {
    static const struct {
        const char *header;
        gyr_status status;
        const char *want;
    } cases[] = {
        {ENTRY("F32", "[2, 2]", "[0, 16]"), GYR_OK, ""},
        {ENTRY("F32", "[-1]", "[0, 4]"), GYR_MALFORMED, "tensor w has a malformed shape" DAMAGED},
        {ENTRY("F32", "3", "[0, 4]"), GYR_MALFORMED, "tensor w has no shape" DAMAGED},
        {ENTRY("F32", "[1099511627776, 1099511627776]", "[0, 16]"), GYR_MALFORMED,
         "the size of tensor w overflows" DAMAGED},
        {ENTRY("F32", "[4]", "[8, 24]"), GYR_MALFORMED,
         "the data of tensor w ends outside the file; the file is cut short, get it again"},
        {ENTRY("F32", "[4]", "[16, 0]"), GYR_MALFORMED, "tensor w has data_offsets that run backwards" DAMAGED},
        {ENTRY("F32", "[4]", "[-16, 0]"), GYR_MALFORMED, "tensor w has data_offsets that run backwards" DAMAGED},
        {ENTRY("F32", "[3]", "[0, 16]"), GYR_MALFORMED, "tensor w has more or less data than its shape says" DAMAGED},
        {ENTRY("F32", "[3]", "[0]"), GYR_MALFORMED, "tensor w has no data_offsets" DAMAGED},
        {"{\"w\": 1}", GYR_MALFORMED, "tensor w is not described by an object" DAMAGED},
        {"{\"w\": {}}", GYR_MALFORMED, "tensor w has no dtype" DAMAGED},
        {"[]", GYR_MALFORMED, "bad JSON: not an object; get the file again"},
        {"{\"w\"", GYR_MALFORMED, "bad JSON in line 1: ends too early; get the file again"},
    };
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_text(folder, "config.json", config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char want[256];
        snprintf(want, sizeof want, "%s%s", *cases[i].want ? "DIR/model.safetensors: " : "", cases[i].want);
        write_safetensors(folder, "model.safetensors", cases[i].header, 16);
        CHECK_PATH_FAILS(folder, folder, cases[i].status, want);
    }
    write_text(folder, "model.safetensors", "1234567");
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/model.safetensors: has only 7 bytes; the file is cut short, get it again");
    write_file(folder, "model.safetensors", "\0\0\0\0\0\0\0\x80{}", 10);
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/model.safetensors: says its header has 9223372036854775808 bytes, but has 10; "
                     "it is cut short or not safetensors, get it again");
    leave_folder(folder);
}

// What no layer asks for is not looked at: it is there, and says what is wrong to who wants it.
static void keeps_what_nobody_reads(void) {
    static const struct {
        const char *header;
        gyr_status status;
        const char *want;
        int n_dims;
        uint64_t last;
    } cases[] = {
        {ENTRY("I64", "[2]", "[0, 16]"), GYR_UNSUPPORTED,
         "x: tensor w has element type I64; gyr reads F32, F16 and BF16; take the model in one of them, or as GGUF", 1,
         1},
        {ENTRY("BOOL", "[1,1,4,4]", "[0, 16]"), GYR_UNSUPPORTED,
         "x: tensor w has element type BOOL; gyr reads F32, F16 and BF16; take the model in one of them, or as GGUF", 4,
         1},
        {ENTRY("F8_E4M3", "[16]", "[0, 16]"), GYR_UNSUPPORTED,
         "x: tensor w has element type F8_E4M3; gyr reads F32, F16 and BF16; take the model in one of them, or as GGUF",
         1, 1},
        {ENTRY("F32", "[2,2,1,1,1]", "[0, 16]"), GYR_UNSUPPORTED,
         "x: tensor w has more than 4 dimensions, which gyr does not read; take another model", 4, 4},
        {ENTRY("F32", "[0]", "[0, 0]"), GYR_MALFORMED, "x: tensor w has an empty dimension" DAMAGED, 1, 1},
        {ENTRY("F32", "[4,0,2]", "[0, 0]"), GYR_MALFORMED, "x: tensor w has an empty dimension" DAMAGED, 3, 1},
    };
    const char *folder = enter_folder();
    REQUIRE(folder);
    write_text(folder, "config.json", config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_safetensors(folder, "model.safetensors", cases[i].header, 16);
        struct checkpoint *c = checkpoint_open(folder, NULL);
        REQUIRE(c);
        check_unread(c, "w", cases[i].status, cases[i].want);
        CHECK_INT(c->tensors[0].n_dims, cases[i].n_dims);
        CHECK_INT(c->tensors[0].dim[3], cases[i].last);
        checkpoint_close(c);
    }
    leave_folder(folder);
}

static void bounds_json_memory(void) {
    const char *folder = enter_folder();
    REQUIRE(folder);
    struct buf b = {0};
    buf_puts(&b, "{\"a\":[[]");
    for (int i = 0; i < 9999; i++) buf_puts(&b, ",[]");
    buf_puts(&b, "]}");
    write_buf(folder, "config.json", &b);
    CHECK_PATH_FAILS(folder, folder, GYR_MALFORMED,
                     "DIR/config.json: JSON with 10002 lists and objects in 30007 bytes; get the file again");
    leave_folder(folder);
}

int main(void) {
    RUN(opens_a_folder);
    RUN(flattens_the_config);
    RUN(settles_the_config);
    RUN(reads_tokenizer_files);
    RUN(reads_a_sentencepiece_model);
    RUN(opens_sharded_weights);
    RUN(stays_in_the_folder);
    RUN(refuses_bad_folders);
    RUN(keeps_what_nobody_reads);
    RUN(refuses_bad_safetensors);
    RUN(bounds_json_memory);
    return test_end();
}
