#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

// Seconds of a clock that only moves forward.
double now_seconds(void);

#endif
