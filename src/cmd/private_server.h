/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_PRIVATE_SERVER_H
#define JJ_CMD_PRIVATE_SERVER_H

/* A nats-server of our own, with JetStream in a folder: its streams, its configuration, its log. It
 * takes connections from this machine only, and ends with this process, however that ends.
 *
 * All of it on the main thread, which must outlive it: the kernel tells the server when the thread
 * that started it is gone. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jetjobs/status.h>

#include "find_server.h"

/* 4222, as everybody expects it, and those after it. */
#define PRIVATE_SERVER_PORT 4222

struct private_server {
    struct found_server found;
    const char *dir; /* absolute */
    int port;
    pid_t pid;          /* 0: does not run */
    int64_t started_ms; /* steady clock */
    int quick_ends;     /* how often in a row it ended soon after it was started */
};

struct private_server_setup {
    const char *dir; /* absolute, and ours (data_folder.h); borrowed */
    int port;        /* 0: the first that is free */
    bool fast;       /* acknowledge before it is on disk */
};

/* Find one, and start it; it is up when private_server_greets(). */
JJ_MUST_CHECK jj_status private_server_start(struct private_server *server,
                                             const struct private_server_setup *setup,
                                             jj_error *err);

/* Does a server take connections on a port of this machine? */
bool private_server_greets(int port);

/* Has it ended? Then err says how, with the last words of its log. */
bool private_server_has_ended(struct private_server *server, jj_error *err);

/* After it has ended: start it again. STATE: it ends again and again. */
JJ_MUST_CHECK jj_status private_server_restart(struct private_server *server, jj_error *err);

/* End it, if it runs, and wait for that. */
void private_server_stop(struct private_server *server);

#endif
