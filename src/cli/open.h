// Finding and opening the model that a verb works on.
#ifndef CLI_OPEN_H
#define CLI_OPEN_H

#include "gyr.h"

// Opens `path`; if NULL the model that $GYR_MODEL names; if there is none, the poet that is built into the program.
// Shows a bar meanwhile. Where no device is named, and $GYR_DEVICE is not set, it is "auto". NULL after the error was
// printed; its status is in *status.
gyr_model *open_model(const char *path, gyr_model_options options, int *status);

// Says on stderr on which device the model is, where there was a choice.
void say_device(const gyr_model *model);

// The device to name where the user named `name`, or, NULL, none.
const char *device_named(const char *name);

// What training sums with: "int16", or what is said otherwise or not at all, f32.
gyr_products products_named(const char *name);

// What --adapter names, for an open model; NULL where nothing is named. False after the error was printed. Sessions and
// the adapter are closed before the model.
bool open_adapter(gyr_model *model, const char *path, gyr_adapter **adapter, int *status);

// The tokenizer alone of the same choice of models. *model is what to close at the end: see close_tokenizer().
const gyr_tokenizer *open_tokenizer(const char *path, gyr_model **model, int *status);
void close_tokenizer(const gyr_tokenizer *tokenizer, gyr_model *model);

// The poet's GGUF image. False: none is built into the program.
bool poet_image(const void **image, size_t *size);

// The path of that choice; NULL: the poet.
const char *model_path(const char *path);

// The type that --kv-type names (KV_TYPES); NULL: the default.
gyr_kv_type kv_type_named(const char *name);
#define KV_TYPES "f32|f16|q8"

// How the open model is called in messages.
const char *model_label(const char *path);

#endif
