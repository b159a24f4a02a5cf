// Fair shares between owners: each has an account of the tokens that were computed for it, which fades, so that who was
// silent for long gains nothing by it, and who asks for much waits behind who asks for little.
#include "server/lane.h"

#include "base/buf.h"

struct account {
    uint64_t owner;
    double tokens;
};

enum { MAX_ACCOUNTS = 4096 };

// A token of anybody takes so much of what each account holds: it is halved in some 70,000 tokens.
static const double fade = 1e-5;

double account_of(const struct lane *l, uint64_t owner) {
    for (size_t i = 0; i < l->n_accounts; i++)
        if (l->accounts[i].owner == owner) return l->accounts[i].tokens;
    return 0;
}

static struct account *find(struct lane *l, uint64_t owner) {
    struct account *least = NULL;
    for (size_t i = 0; i < l->n_accounts; i++) {
        if (l->accounts[i].owner == owner) return &l->accounts[i];
        if (!least || l->accounts[i].tokens < least->tokens) least = &l->accounts[i];
    }
    if (l->n_accounts < MAX_ACCOUNTS && ARRAY_GROW(l->accounts, l->n_accounts, l->accounts_room))
        least = &l->accounts[l->n_accounts++];
    if (least) *least = (struct account){owner, 0};
    return least;
}

void account_add(struct lane *l, uint64_t owner, double tokens) {
    double keep = 1 - fade * tokens;
    for (size_t i = 0; i < l->n_accounts; i++) l->accounts[i].tokens *= keep > 0 ? keep : 0;
    struct account *a = find(l, owner);
    if (a) a->tokens += tokens;
}
