/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_FIND_SERVER_H
#define JJ_CMD_FIND_SERVER_H

/* Finds a nats-server on this machine, as broker/get-nats-server does, but fetches none. */

#include <jetjobs/status.h>

#define SERVER_PATH_SIZE    4096
#define SERVER_VERSION_SIZE 32

struct found_server {
    char path[SERVER_PATH_SIZE];
    char version[SERVER_VERSION_SIZE]; /* as "2.15.1" */
};

/* The one that NATS_SERVER names; else the first that is new enough of PATH and the cache in
 * ~/.cache/jetjobs. NOT_FOUND: none; INVALID: NATS_SERVER names none that will do. Before there are
 * threads. */
JJ_MUST_CHECK jj_status find_server(struct found_server *found_out, jj_error *err);

#endif
