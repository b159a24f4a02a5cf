// The metadata of a converted model. Private to src/model.
#ifndef MODEL_CONVERT_KEYS_H
#define MODEL_CONVERT_KEYS_H

#include "format/gguf_write.h"
#include "model/model.h"

// Everything GGUF has to say of the model but its tokenizer.
void put_hyper_keys(struct gguf_writer *w, const struct model *m);

#endif
