// Receipts. Whatever one holds, it is compared, or one line says why not; and the next one is compared as ever (looked
// at after the first input and each 64th, since that costs more than most inputs do).
//
// After "!": changes to a good receipt, three bytes each (a place, what it is xored with). Else the receipt itself, in
// which @C stands for the model's checksum and @E for the edition.
#include "engine/small_falcon.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PROMPT = 9, ANSWER = 30, LOOK = 64 };

static gyr_model *model;
static char *good, checksum[65];
static size_t good_size, inputs;

static void must(bool ok) {
    if (!ok) abort();
}

static bool is_equal(const char *text, size_t size) {
    gyr_receipt_result r;
    return !gyr_receipt_check(model, text, size, NULL, &r, NULL) && r.equal && r.place == ANSWER;
}

static void set_up(void) {
    char name[] = "/tmp/gyr-fuzz-receipt-XXXXXX";
    gyr_error e;
    int temp = mkstemp(name);
    must(temp >= 0 && small_falcon(name, false, 7, &e));
    close(temp);
    must((model = gyr_model_open(name, &(gyr_model_options){.threads = 1}, &e)) && !unlink(name));
    must(!gyr_model_checksum(model, checksum, &e));
    int32_t ids[PROMPT];
    for (int i = 0; i < PROMPT; i++) ids[i] = (i * 37 + 11) % SMALL_VOCAB;
    const gyr_sampling how = {.temperature = 1, .top_p = 0.99f, .repetition_penalty = 1.1f, .seed = 5};
    gyr_generate_options o = {.sampling = &how, .max_tokens = ANSWER, .ignore_end = true};
    gyr_session *s = gyr_session_new(model, &(gyr_session_options){.context = 64}, &e);
    gyr_answer *a = s ? gyr_answer_new(s, ids, PROMPT, &o, &e) : NULL;
    must(a);
    while (!gyr_answer_done(a)) must(!gyr_answers_step(&a, 1, 0, &e));
    must((good = gyr_answer_receipt(a, NULL, &e)));
    good_size = strlen(good);
    gyr_answer_free(a);
    gyr_session_free(s);
    must(is_equal(good, good_size));
}

static char *changed(const uint8_t *data, size_t size) {
    char *text = malloc(good_size);
    must(text);
    memcpy(text, good, good_size);
    for (; size >= 3; data += 3, size -= 3) text[(data[0] | (size_t)data[1] << 8) % good_size] ^= (char)data[2];
    return text;
}

static char *filled_in(const char *data, size_t size, size_t *n) {
    char *text = NULL;
    FILE *f = open_memstream(&text, n);
    must(f);
    for (size_t i = 0; i < size; i++)
        if (i + 1 < size && data[i] == '@' && data[i + 1] == 'C')
            fputs(checksum, f), i++;
        else if (i + 1 < size && data[i] == '@' && data[i + 1] == 'E')
            fprintf(f, "%u", gyr_edition()), i++;
        else
            putc(data[i], f);
    must(!fclose(f));
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gyr_receipt_result r, again;
    gyr_error e = {0};
    if (!model) set_up();
    bool changes = size && *data == '!';
    size_t n = good_size;
    char *text = changes ? changed(data + 1, size - 1) : filled_in((const char *)data, size, &n);
    gyr_status status = gyr_receipt_check(model, text, n, NULL, &r, &e);
    must(status == e.status && !e.message[0] == !status && !strchr(e.message, '\n'));
    if (!status) {
        must(r.place <= r.answer_tokens && (!r.equal || r.place == r.answer_tokens));
        must(r.equal || r.said != r.is || r.stop_said != r.stop_is);
        must(!gyr_receipt_check(model, text, n, NULL, &again, NULL) && r.equal == again.equal &&
             r.place == again.place && r.is == again.is);
    }
    free(text);
    must(inputs++ % LOOK || is_equal(good, good_size));
    return 0;
}
