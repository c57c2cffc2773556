/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_SUPPORT_SERVER_H
#define JJ_TESTS_SUPPORT_SERVER_H

/* A nats-server of one's own: free port, JetStream in a folder of its own. Its binary is named by
 * JETJOBS_NATS_SERVER in the environment. What fails here fails the test and shows the server's
 * log.
 *
 * It dies with the thread that started it, so that no crash of a test leaves one behind: start it
 * on the test's own thread. */

#include <stdbool.h>
#include <sys/types.h>

#include "temp.h"

struct server_options {
    bool sync_always;    /* acknowledge after fsync; off, because tests are many */
    bool no_jetstream;   /* plain NATS */
    const char *store;   /* the folder of JetStream; NULL: in the server's own */
    const char *config;  /* more configuration, as in the server's file; none. With accounts in it,
                            those that need JetStream say "jetstream: enabled" */
    const char *program; /* another binary */
};

struct server {
    pid_t pid; /* 0: not running */
    int port;
    int spare_port;           /* ours as well, for what a story configures besides */
    int claims[2];            /* descriptors: the ports are ours while they are open */
    char url[64];             /* nats://127.0.0.1:<port> */
    char dir[TEMP_PATH_SIZE]; /* server.conf, log, store */
    char program[TEMP_PATH_SIZE];
};

/* Start one and wait until it takes connections. options: NULL for all defaults. End it with
 * server_done(). */
void server_start(struct server *server, const struct server_options *options);

/* Ask it to end (SIGTERM) and wait until it did. Nothing happens when it is not running. */
void server_stop(struct server *server);

/* End it without a chance to save anything (SIGKILL). */
void server_kill(struct server *server);

/* Start it again after stop or kill: same port, same store. */
void server_restart(struct server *server);

/* Start it again with another configuration. */
void server_restart_with(struct server *server, const struct server_options *options);

/* Hold it still (SIGSTOP): connections stay open and nobody answers; and let it go on. */
void server_freeze(struct server *server);
void server_thaw(struct server *server);

/* The url with a user in it: nats://<user>@127.0.0.1:<port>, where user may be "name:password". */
void server_url_of(const struct server *server, const char *user, char out[128]);

/* Print the end of its log. */
void server_show_log(const struct server *server);

/* End it and remove its folder. Fine for one that never started, if it was zeroed. */
void server_done(struct server *server);

#endif
