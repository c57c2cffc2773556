/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_RESEND_H
#define JJ_SRC_RESEND_H

#include "broker.h"
#include "job.h"

/* Send a job on: to be run later, again, or now that it is due. */
struct resend {
    const struct job *job;
    uint32_t attempts; /* finished ones */
    uint32_t snoozes;
    uint32_t put_offs;       /* of these the last ones, that no run led to */
    int64_t run_at_ms;       /* 0: at once */
    uint64_t place_seq;      /* what the schedule may replace; 0: nothing */
    bool blind;              /* it may replace anything */
    bool ask;                /* a service is to store the schedule, and sees to that */
    bool due;                /* by a mover: as it is, to the queue */
    uint64_t unreadable_seq; /* by a mover: its headers make no sense, the worker will say so; this
                                is its place in JOBS_SCHEDULE. 0: readable */
};

/* Publish it, without a deadline. done is called on the broker thread, but not on failure here. */
jj_status jj__resend_publish(struct broker *broker, const struct resend *resend,
                             void (*done)(void *ctx, const struct publish_result *result),
                             void *ctx, jj_error *err);

/* How long before its time the server is told to fire: its timer may be 250 ms late, and the mover
 * holds the job until then (design section 2). */
#define JJ__FIRE_EARLY_MS 500

/* "@at <time>" for a job that is to run at run_at_ms. */
#define JJ__AT_SIZE 32
void jj__resend_at(int64_t run_at_ms, char out[JJ__AT_SIZE]);

#endif
