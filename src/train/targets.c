// What an adapter adapts: slots by the words that somebody chose.
#include "train/tune.h"

#include "base/buf.h"
#include "model/adapter.h"

#include <stdio.h>
#include <string.h>

enum part_of { OF_MLP, OF_ATTENTION, OF_INPUTS, OF_STATE };

static enum part_of part_of(unsigned slot) {
    return slot <= SLOT_KV_A          ? OF_ATTENTION
           : slot <= SLOT_SHARED_DOWN ? OF_MLP
           : slot <= SLOT_INPUT_OUT   ? OF_INPUTS
                                      : OF_STATE;
}

static bool adaptable(unsigned slot) { return slot < SLOT_ROUTER || slot >= SLOTS; }

// A linear map that adapters have a name for.
static bool named(const struct tune_targets *t, uint32_t layer, unsigned slot) {
    const struct linear *of = trainee_linear(t->t, layer, slot);
    return adaptable(slot) && of && of->number;
}

// The last part of what PEFT calls a slot's module; "" if it has no name.
static void module_of(const struct tune_targets *t, unsigned slot, char word[128]) {
    char name[128];
    uint32_t layer = 0;
    while (layer + 1 < t->m->h.layers && !named(t, layer, slot)) layer++;
    *word = 0;
    struct place at = {slot_role(slot), PART_WEIGHT, layer, 0};
    if (!adapter_name(t->m, t->m->family, CHECKPOINT_HF, at, name)) return;
    char *end = strstr(name, ".weight");
    if (end) *end = 0;
    const char *dot = strrchr(name, '.');
    snprintf(word, 128, "%s", dot ? dot + 1 : name);
}

// PEFT refuses adapters of what Mamba's layers end with, and transformers passes over those of steps.
static bool passed_over(const struct tune_targets *t, unsigned slot) {
    return (slot == SLOT_STATE_OUT || slot == SLOT_STATE_DT) && t->m->h.recurrence.kind != RECUR_DELTA;
}

static bool says(const struct tune_targets *t, const char *word, size_t n, unsigned slot) {
    const struct {
        const char *word;
        bool is;
    } groups[] = {{"all-linear", slot < SLOT_ROUTER && !passed_over(t, slot)},
                  {"attention", slot < SLOT_ROUTER && part_of(slot) == OF_ATTENTION},
                  {"mlp", slot < SLOT_ROUTER && part_of(slot) == OF_MLP},
                  {"state", slot < SLOT_ROUTER && part_of(slot) == OF_STATE},
                  {"experts", slot >= SLOTS}};
    char module[128];
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strlen(groups[i].word) == n && !strncmp(groups[i].word, word, n)) return groups[i].is;
    module_of(t, slot, module);
    return strlen(module) == n && !strncmp(module, word, n);
}

bool tune_targeted(const struct tune_targets *t, uint32_t layer, unsigned slot) {
    const char *words = t->words ? t->words : "all-linear";
    if (!named(t, layer, slot)) return false;
    for (size_t n; *words; words += n + (words[n] == ',')) {
        n = strcspn(words, ",");
        if (says(t, words, n, slot)) return true;
    }
    return false;
}

static bool has(const struct tune_targets *t, unsigned slot) {
    for (uint32_t i = 0; i < t->m->h.layers; i++)
        if (named(t, i, slot)) return true;
    return false;
}

// Slots of the first expert stand for those of all.
enum { KINDS = SLOTS + 3 };

// Slots of different kinds of layers may have one module's name.
static bool is_first(const struct tune_targets *t, unsigned slot, const char *module) {
    char other[128];
    for (unsigned s = 0; s < slot; s++) {
        if (!has(t, s)) continue;
        module_of(t, s, other);
        if (!strcmp(module, other)) return false;
    }
    return true;
}

static bool unknown(const struct tune_targets *t, const char *word, size_t n, gyr_error *e) {
    struct buf b = {0};
    char module[128];
    for (unsigned s = 0; s < KINDS && s < trainee_slots(t->t); s++) {
        if (!has(t, s)) continue;
        module_of(t, s, module);
        if (*module && is_first(t, s, module)) buf_printf(&b, ", %s", module);
    }
    fail(e, GYR_USAGE, "targets: '%.*s' is nothing that this model has; name some of all-linear, attention, mlp%s%s%s",
         (int)(n > 40 ? 40 : n), word, t->m->h.state_layers ? ", state" : "", t->m->h.experts ? ", experts" : "",
         b.data ? b.data : "");
    buf_free(&b);
    return false;
}

bool tune_targets_check(const struct tune_targets *t, gyr_error *e) {
    const char *words = t->words ? t->words : "all-linear";
    for (size_t n; *words; words += n + (words[n] == ',')) {
        bool any = false;
        n = strcspn(words, ",");
        for (unsigned s = 0; s < KINDS && s < trainee_slots(t->t); s++) any |= has(t, s) && says(t, words, n, s);
        if (!any) return unknown(t, words, n, e);
    }
    return *(t->words ? t->words : "-") || fail(e, GYR_USAGE, "targets: none are named");
}
