// What an adapter adapts: slots by the words that somebody chose.
#include "train/tune.h"

#include "base/buf.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum role role;
    bool attention;
} roles[SLOT_ROUTER] = {[SLOT_QKV] = {ROLE_QKV, true},
                        [SLOT_Q] = {ROLE_Q, true},
                        [SLOT_K] = {ROLE_K, true},
                        [SLOT_V] = {ROLE_V, true},
                        [SLOT_OUT] = {ROLE_ATTN_OUT, true},
                        [SLOT_GATE_UP] = {ROLE_GATE_UP, false},
                        [SLOT_GATE] = {ROLE_GATE, false},
                        [SLOT_UP] = {ROLE_UP, false},
                        [SLOT_DOWN] = {ROLE_DOWN, false},
                        [SLOT_SHARED_GATE] = {ROLE_SHARED_GATE, false},
                        [SLOT_SHARED_UP] = {ROLE_SHARED_UP, false},
                        [SLOT_SHARED_DOWN] = {ROLE_SHARED_DOWN, false}};

static const enum role expert_roles[] = {ROLE_EXPERT_GATE, ROLE_EXPERT_UP, ROLE_EXPERT_DOWN};

static bool adaptable(unsigned slot) { return slot < SLOT_ROUTER || slot >= SLOTS; }

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

static bool says(const struct tune_targets *t, const char *word, size_t n, unsigned slot) {
    const struct {
        const char *word;
        bool is;
    } groups[] = {{"all-linear", slot < SLOT_ROUTER},
                  {"attention", slot < SLOT_ROUTER && roles[slot].attention},
                  {"mlp", slot < SLOT_ROUTER && !roles[slot].attention},
                  {"experts", slot >= SLOTS}};
    char module[128];
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strlen(groups[i].word) == n && !strncmp(groups[i].word, word, n)) return groups[i].is;
    module_of(t, slot, module);
    return strlen(module) == n && !strncmp(module, word, n);
}

bool tune_targeted(const struct tune_targets *t, unsigned slot) {
    const char *words = t->words ? t->words : "all-linear";
    if (!adaptable(slot)) return false;
    for (size_t n; *words; words += n + (words[n] == ',')) {
        n = strcspn(words, ",");
        if (says(t, words, n, slot)) return true;
    }
    return false;
}

static bool has(const struct tune_targets *t, unsigned slot) {
    for (uint32_t i = 0; adaptable(slot) && i < t->m->h.layers; i++)
        if (trainee_linear(t->t, i, slot)) return true;
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
    fail(e, GYR_USAGE, "targets: '%.*s' is nothing that this model has; name some of all-linear, attention, mlp%s%s",
         (int)(n > 40 ? 40 : n), word, t->m->h.experts ? ", experts" : "", b.data ? b.data : "");
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
