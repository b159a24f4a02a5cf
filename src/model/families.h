// Private to src/model: the rows, a file for each group of related models.
#ifndef MODEL_FAMILIES_H
#define MODEL_FAMILIES_H

#include "model/family.h"

extern const struct family falcon_rows[], llama_rows[], gemma_rows[], gpt_rows[], expert_rows[], state_rows[],
    bert_rows[];
extern const size_t falcon_rows_n, llama_rows_n, gemma_rows_n, gpt_rows_n, expert_rows_n, state_rows_n, bert_rows_n;

#endif
