/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_MOVER_H
#define JJ_SRC_MOVER_H

#include "broker.h"
#include "broker_provision.h"

/* Moves jobs whose time has come from JOBS_SCHEDULE to JOBS. All on the broker thread. */
struct mover;

jj_status jj__mover_open(struct broker *broker, const struct log *log,
                         const struct consumer_facts *facts, struct mover **mover_out,
                         jj_error *err);

/* Take nothing more and give back what waits. */
void jj__mover_stop(struct mover *mover);

/* True if nothing that it published waits for its acknowledgement. */
bool jj__mover_is_idle(const struct mover *mover);

/* Take it off the broker thread. */
void jj__mover_close(struct mover *mover);

/* After that, and when the broker is closed: what it published may still call back. NULL is fine.
 */
void jj__mover_free(struct mover *mover);

#endif
