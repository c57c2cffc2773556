/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_FLEET_H
#define JJ_TESTS_FAULTS_FLEET_H

/* All processes of a run: brokers, and the actors on a link each. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"
#include "proxy.h"
#include "server.h"

#define BROKERS   3
#define WORKERS   4
#define PROGRAMS  1 /* the next numbers of workers: "jetjobs worker", with programs as handlers */
#define PRODUCERS 2
#define ACTORS    (WORKERS + PROGRAMS + PRODUCERS + 1)

enum role { ROLE_WORKER, ROLE_PRODUCER, ROLE_INDEX, ROLES };

struct actor {
    enum role role;
    unsigned number; /* of its role */
    bool program;    /* the one that users run: no points, no shifted clock */
    pid_t pid;       /* 0: not running */
    struct proxy *link;
    const char *point; /* where it is to die; NULL: nowhere */
    int64_t since_ms;
    bool finished; /* a producer that is through */
    bool shifted;  /* its clock is */
};

struct fleet {
    char dir[TEMP_PATH_SIZE]; /* trails, logs, index */
    struct server brokers[BROKERS];
    unsigned broker_count; /* 1 or 3 */
    bool sync_always;
    struct actor actors[ACTORS];
    int64_t ack_wait_ms;
    unsigned rate;           /* jobs a second of each producer */
    unsigned jobs;           /* of each producer */
    enum plan_mistake wrong; /* of its workers */
};

struct fleet_options {
    enum plan_mistake wrong;
    bool cluster;
    bool no_sync;                /* of each message; as servers come */
    const char *stores[BROKERS]; /* of the brokers; NULL: their own */
    int64_t ack_wait_ms;
    unsigned rate, jobs;
};

void fleet_begin(struct fleet *fleet, const struct fleet_options *options);
void fleet_end(struct fleet *fleet);

/* Another process for it. point and nth: where it is to die; NULL, 0. shift_ms: of its clock. */
void actor_start(struct fleet *fleet, struct actor *actor, const char *point, unsigned nth,
                 int64_t shift_ms);
/* Has it ended by itself? Then *status_out is as of waitpid(). */
bool actor_has_ended(struct actor *actor, int *status_out);
void actor_kill(struct actor *actor);
/* Ask it to end, and wait until it did: its exit status, or -1. */
int actor_stop(struct actor *actor);

struct actor *fleet_actor(struct fleet *fleet, enum role role, unsigned number);

/* Path of a file of the run. */
void fleet_path(const struct fleet *fleet, const char *name, char out[TEMP_PATH_SIZE + 32]);

#endif
