/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CLIENT_H
#define JJ_SRC_CLIENT_H

/* The inside of jj_client. */

#include <pthread.h>
#include <stdatomic.h>

#include <jetjobs/client.h>

#include "broker.h"
#include "index.h"
#include "log.h"
#include "worker.h"

struct service;

enum client_state { CLIENT_IDLE, CLIENT_STARTING, CLIENT_RUNNING, CLIENT_STOPPING };

struct jj_client {
    jj_options options;  /* resolved; worker is a copy, the other strings are NULL */
    int64_t ack_wait_ms; /* as the caller said; 0: not said */
    struct log log;
    struct broker *broker;
    struct index *index; /* NULL: it asks an index service */

    /* The highest sequence that each stream has acknowledged to it. */
    atomic_uint_least64_t seen_jobs;
    atomic_uint_least64_t seen_schedule;
    atomic_uint_least64_t seen_events;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum client_state state;  /* guarded by lock */
    enum client_state serves; /* guarded by lock: IDLE, STARTING or RUNNING */
    struct service *service;  /* NULL until it is wanted. Whoever brought serves to STARTING may
                                 change it */
    struct handler *handlers; /* guarded by lock: what was registered */
    struct worker *worker;    /* the one started last; those before it follow. Whoever brought the
                                 state to STARTING may change it */
};

/* A handler whose user data the client frees, when no handler runs any more. */
struct registration {
    const char *name;
    jj_handler run;
    const jj_handler_options *options; /* NULL: all defaults */
    void *user;
    void (*free_user)(void *user); /* NULL: it is not ours */
};

/* As jj_register(). On failure user stays the caller's. */
jj_status jj__client_register(jj_client *client, const struct registration *registration,
                              jj_error *err);

/* True if a handler of that name is registered. */
bool jj__client_has_handler(jj_client *client, const char *name);

/* What an index must have read to know of all that this client has done; and note more of it.
 * Thread: any. (client_ask.c) */
struct seqs jj__client_seen(jj_client *client);
void jj__client_saw(jj_client *client, const struct seqs *seqs);

#endif
