#include "server/pace.h"

static const double hold_up = 0.25; // seconds that prompts may add to a step beside answers,
static const double least = 16;     // or what so many tokens add, if that is more

size_t pace_share(const struct pace *p, size_t most) {
    return p->share >= 1 && p->share < (double)most ? (size_t)p->share : most;
}

// A step of a large model takes long by itself: prompts may add as much again.
void pace_note(struct pace *p, size_t tokens, size_t most, double seconds) {
    if (!tokens) {
        p->alone = p->alone > 0 ? 0.75 * p->alone + 0.25 * seconds : seconds;
        return;
    }
    double added = seconds > p->alone ? seconds - p->alone : 0, may = p->alone > hold_up ? p->alone : hold_up;
    double fits = added > 0 ? (double)tokens * may / added : (double)most;
    double share = (double)pace_share(p, most);
    if (fits > 1.25 * share) fits = tokens < pace_share(p, most) ? share : 1.25 * share; // a full step says more
    if (fits < least) fits = least;
    p->share = fits < (double)most ? fits : (double)most;
}
