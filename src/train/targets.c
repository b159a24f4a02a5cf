// What an adapter adapts: slots by the words that somebody chose.
#include "train/tune.h"

#include "base/buf.h"

#include <stdio.h>
#include <string.h>

enum part_of { OF_MLP, OF_ATTENTION, OF_STATE };

static const struct {
    enum role role;
    enum part_of part;
} roles[SLOT_ROUTER] = {[SLOT_QKV] = {ROLE_QKV, OF_ATTENTION},
                        [SLOT_Q] = {ROLE_Q, OF_ATTENTION},
                        [SLOT_K] = {ROLE_K, OF_ATTENTION},
                        [SLOT_V] = {ROLE_V, OF_ATTENTION},
                        [SLOT_OUT] = {ROLE_ATTN_OUT, OF_ATTENTION},
                        [SLOT_Q_A] = {ROLE_Q_A, OF_ATTENTION},
                        [SLOT_KV_A] = {ROLE_KV_A, OF_ATTENTION},
                        [SLOT_GATE_UP] = {ROLE_GATE_UP, OF_MLP},
                        [SLOT_GATE] = {ROLE_GATE, OF_MLP},
                        [SLOT_UP] = {ROLE_UP, OF_MLP},
                        [SLOT_DOWN] = {ROLE_DOWN, OF_MLP},
                        [SLOT_SHARED_GATE] = {ROLE_SHARED_GATE, OF_MLP},
                        [SLOT_SHARED_UP] = {ROLE_SHARED_UP, OF_MLP},
                        [SLOT_SHARED_DOWN] = {ROLE_SHARED_DOWN, OF_MLP},
                        [SLOT_STATE_IN] = {ROLE_STATE_IN, OF_STATE},
                        [SLOT_STATE_X] = {ROLE_STATE_X, OF_STATE},
                        [SLOT_STATE_DT] = {ROLE_STATE_DT, OF_STATE},
                        [SLOT_STATE_GATE] = {ROLE_STATE_GATE, OF_STATE},
                        [SLOT_STATE_ALPHA] = {ROLE_STATE_ALPHA, OF_STATE},
                        [SLOT_STATE_BETA] = {ROLE_STATE_BETA, OF_STATE},
                        [SLOT_STATE_OUT] = {ROLE_STATE_OUT, OF_STATE}};

static const enum role expert_roles[] = {ROLE_EXPERT_GATE, ROLE_EXPERT_UP, ROLE_EXPERT_DOWN};

static bool adaptable(unsigned slot) { return slot < SLOT_ROUTER || slot >= SLOTS; }

// A linear map that adapters have a name for.
static bool named(const struct tune_targets *t, uint32_t layer, unsigned slot) {
    const struct linear *of = trainee_linear(t->t, layer, slot);
    return adaptable(slot) && of && of->number;
}

// The last part of what PEFT calls a slot's module; "" if it has no name.
static void module_of(const struct tune_targets *t, unsigned slot, char word[128]) {
    enum role role = slot < SLOTS ? roles[slot].role : expert_roles[(slot - SLOTS) % 3];
    char name[128];
    *word = 0;
    if (!family_name(t->m->family, CHECKPOINT_HF, (struct place){role, PART_WEIGHT, 0, 0}, name)) return;
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
                  {"attention", slot < SLOT_ROUTER && roles[slot].part == OF_ATTENTION},
                  {"mlp", slot < SLOT_ROUTER && roles[slot].part == OF_MLP},
                  {"state", slot < SLOT_ROUTER && roles[slot].part == OF_STATE},
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

static bool unknown(const struct tune_targets *t, const char *word, size_t n, gyr_error *e) {
    struct buf b = {0};
    char module[128];
    for (unsigned s = 0; s < KINDS && s < trainee_slots(t->t); s++) {
        if (!has(t, s)) continue;
        module_of(t, s, module);
        if (*module) buf_printf(&b, ", %s", module);
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
