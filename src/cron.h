/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CRON_H
#define JJ_SRC_CRON_H

/* Recurring schedules in JOBS_SCHEDULE: one is found, stored, or removed. Thread: any but the
 * broker's. */

#include <jetjobs/cron.h>

#include "broker.h"
#include "subject.h"

/* A message of JOBS_SCHEDULE. */
struct cron_message {
    struct broker_msg *msg; /* with all its headers and some of the server's; to be freed */
    uint64_t seq;
    char name[JJ_NAME_SIZE]; /* of its subject */
    char id[JJ_NAME_SIZE];
};

/* The first message from a sequence on whose subject matches a filter. NOT_FOUND: none. */
jj_status jj__cron_read_next(struct broker *broker, const char *filter, uint64_t from_seq,
                             int64_t deadline_ms, struct cron_message *message_out, jj_error *err);

/* Fill in what is known of a message that was got directly; false: it is not a schedule's. */
bool jj__cron_message(struct broker_msg *msg, struct cron_message *message_out);

/* True if it recurs, and is no job for later. */
bool jj__cron_recurs(const struct cron_message *message);

/* All messages that match, in order, each handed to take on the broker thread, which owns it. */
jj_status jj__cron_read_all(struct broker *broker, const char *filter, int64_t deadline_ms,
                            void (*take)(void *ctx, const struct cron_message *message), void *ctx,
                            jj_error *err);

/* What came of storing one. */
struct cron_stored {
    uint64_t seq;
    jj_cron_change change;
};

/* Store a recurring schedule of that id unless it is there already. message is the whole of it.
 * EXISTS: the id is taken by something else. INVALID: the server refuses it. */
jj_status jj__cron_store(struct broker *broker, const struct outgoing *message, const char *id,
                         int64_t deadline_ms, struct cron_stored *stored_out, jj_error *err);

/* The longest subject of the form jobs.schedule.*.<id>. */
void jj__cron_filter(char out[JJ__SUBJECT_SIZE], const char *name, const char *id);

#endif
