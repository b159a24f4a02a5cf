#include "gyr.h"
void gyr_answer_set_aside(gyr_answer *a);
