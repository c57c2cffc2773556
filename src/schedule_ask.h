/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_SCHEDULE_ASK_H
#define JJ_SRC_SCHEDULE_ASK_H

/* Schedules of those who may not write to JOBS_SCHEDULE: an index service is asked to store them,
 * by jobs.schedule.<name>. Repeating is safe: they carry their Nats-Msg-Id. */

#include "broker.h"
#include "schedule_request.h"

/* Have a schedule stored, given as it would be published. INVALID: the service refuses it.
 * Thread: any but the broker's. */
jj_status jj__schedule_ask(struct broker *broker, const struct outgoing *schedule, const char *name,
                           int64_t deadline_ms, struct schedule_stored *stored_out, jj_error *err);

/* The same with done being called on the broker thread; on failure it is not. Thread: broker. */
jj_status jj__schedule_ask_begin(struct broker *broker, const struct outgoing *schedule,
                                 const char *name,
                                 void (*done)(void *ctx, const struct publish_result *result),
                                 void *ctx, jj_error *err);

#endif
