// A file's contents as a reply: piece by piece, each read by a clerk once the client has taken the one before.
#ifndef SERVER_FILE_SENDING_H
#define SERVER_FILE_SENDING_H

#include "server/files.h"
#include "server/routes.h"

// On a clerk: replies with the contents; takes the descriptor over. False: nothing has been sent.
bool file_send(struct server *s, struct exchange *x, int fd, const struct stored_file *file, struct fault *f);

#endif
