#include "gyr.h"
typedef struct gyr_grammar gyr_grammar; typedef struct gyr_matcher gyr_matcher;
void gyr_grammar_free(gyr_grammar *g); gyr_matcher *gyr_matcher_new(const gyr_grammar *g, gyr_error *e); void gyr_matcher_free(gyr_matcher *m);
gyr_status gyr_matcher_mask(gyr_matcher *m, uint32_t *allowed, gyr_error *e); gyr_status gyr_matcher_accept(gyr_matcher *m, int32_t id, gyr_error *e);
void gyr_answer_set_aside(gyr_answer *a);
