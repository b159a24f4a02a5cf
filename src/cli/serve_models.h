// The models that gyr serve was given: files, names on the hub, and folders of models.
#ifndef CLI_SERVE_MODELS_H
#define CLI_SERVE_MODELS_H

#include "options.h"
#include "server/server.h"

struct sources {
    struct model_source *list;
    size_t n;
};

// `named`: what -m said; `aliases`: names of the first of those, in order. Returns a status; what is wrong is said.
int sources_find(struct sources *s, const struct texts *named, const struct texts *aliases);
void sources_free(struct sources *s);

struct adapter_sources {
    struct adapter_source *list;
    size_t n;
};

// Adapters as --adapter has them: NAME=PATH, or NAME@MODEL=PATH for another model than the first.
int adapter_sources_read(struct adapter_sources *s, const struct texts *said);
void adapter_sources_free(struct adapter_sources *s);

#endif
