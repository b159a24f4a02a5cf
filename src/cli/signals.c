#include "signals.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t interrupts, changes;

static void on_interrupt(int number) {
    if (++interrupts < 3) return;
    signal(number, SIG_DFL);
    raise(number);
}

static void on_change(int number) {
    (void)number;
    changes = 1;
}

// Without SA_RESTART: a read of the keyboard must return to see the flag.
static void handle(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void signals_catch(void) {
    handle(SIGINT, on_interrupt);
    handle(SIGWINCH, on_change);
    handle(SIGCONT, on_change);
}

bool interrupted(void) { return interrupts; }

void interrupted_clear(void) { interrupts = 0; }

bool terminal_changed(void) {
    bool was = changes;
    changes = 0;
    return was;
}
