/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CLIENT_H
#define JJ_SRC_CLIENT_H

/* The inside of jj_client. */

#include <pthread.h>

#include <jetjobs/client.h>

#include "broker.h"
#include "log.h"
#include "worker.h"

enum client_state { CLIENT_IDLE, CLIENT_STARTING, CLIENT_RUNNING, CLIENT_STOPPING };

struct jj_client {
    jj_options options;  /* resolved; worker is a copy, the other strings are NULL */
    int64_t ack_wait_ms; /* as the caller said; 0: not said */
    struct log log;
    struct broker *broker;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum client_state state;  /* guarded by lock */
    struct handler *handlers; /* guarded by lock: what was registered */
    struct worker *worker;    /* the one started last; those before it follow. Whoever brought the
                                 state to STARTING may change it */
};

/* True if a handler of that name is registered. */
bool jj__client_has_handler(jj_client *client, const char *name);

#endif
