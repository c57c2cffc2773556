/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_INJECT_H
#define JJ_TESTS_FAULTS_INJECT_H

/* Makes faults, by chance or at points, and takes them back. */

#include "fleet.h"
#include "trail.h"

struct stranger;

/* A disturbance that is to be taken back. */
struct pending {
    int64_t until_ms; /* 0: none */
    enum fault_kind kind;
    size_t fault; /* in the list */
    struct actor *actor;
    unsigned broker;
};
#define PENDING_MAX 16

struct injector {
    struct fleet *fleet;
    struct fault_list faults;
    uint64_t random;
    struct pending pending[PENDING_MAX];
    enum fault_kind bag[FAULT_KINDS]; /* kinds that are still to come, in this round */
    size_t bag_count;
    size_t points_next[ROLES]; /* in the list of the role */
    bool hit[64];              /* points */
    int64_t next_ms;
    int64_t every_ms; /* between faults, in the mean; 0: none by chance */
};

void inject_begin(struct injector *injector, struct fleet *fleet, uint64_t seed, int64_t every_ms);
/* Start all actors, each with its first point. */
void inject_start(struct injector *injector);
/* Look after them: what is due happens, and who died is started again. */
void inject_turn(struct injector *injector);
/* Take back all that is left, and let everybody live. */
void inject_end(struct injector *injector);

/* How many points there are, how many somebody has died at; says which none has. */
size_t inject_points(void);
size_t inject_points_hit(const struct injector *injector, bool say);

#endif
