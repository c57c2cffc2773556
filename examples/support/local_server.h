/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXAMPLES_SUPPORT_LOCAL_SERVER_H
#define EXAMPLES_SUPPORT_LOCAL_SERVER_H

/* A server on a free port of 127.0.0.1, for examples that need somebody to talk to. It takes one
 * connection after the other, on a thread of its own, so what it serves needs no lock. */

#include <stdio.h>

struct local_server;

/* Talk on one connection until it is over. */
typedef void (*local_serve)(FILE *in, FILE *out, void *user);

/* NULL, with errno set: it can't. */
struct local_server *local_server_start(local_serve serve, void *user);
unsigned local_server_port(const struct local_server *server);

/* Clients have to be gone by then. NULL is fine. */
void local_server_stop(struct local_server *server);

/* Read a line, and cut its CR LF; NULL: the client has gone. */
char *local_server_line(FILE *in, char *line, int size);

#endif
