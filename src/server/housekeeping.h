// What is due to be forgotten is removed from the state: at the start, and every hour.
#ifndef SERVER_HOUSEKEEPING_H
#define SERVER_HOUSEKEEPING_H

#include "server/routes.h"

// In the loop, now and then: has a clerk do it, when it is time.
void housekeeping_tick(struct server *s);

#endif
