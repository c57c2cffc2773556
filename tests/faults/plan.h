/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_PLAN_H
#define JJ_TESTS_FAULTS_PLAN_H

/* What is known of each job beforehand, to the producer that makes it, to the handler that runs it
 * and to the checker: all of it follows from its number. Job n of producer p has the id p<p>-<n>.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PLAN_JOB     "work"
#define PLAN_STEP    50 /* jobs of a producer's step; those that are plain are enqueued together */
#define PLAN_LATE_MS 1500
/* A pause of that part of ack_wait is written down: leases are renewed each third of it. */
#define PLAN_PAUSE_PART 4
/* Of a slow handler: longer than a third of ack_wait, when leases are renewed. */
#define PLAN_SLOW_MS 3500

enum plan_kind {
    PLAN_PLAIN,
    PLAN_LATER,        /* scheduled */
    PLAN_CANCEL_LATER, /* scheduled and cancelled at once */
    PLAN_CANCEL_NOW    /* enqueued and cancelled at once, in a race with the workers */
};
enum plan_end { PLAN_DONE, PLAN_RETRY, PLAN_RETRY_NOW, PLAN_FAIL, PLAN_SLOW };

static inline enum plan_kind plan_kind(uint32_t n)
{
    if (n % 100 == 91)
        return PLAN_CANCEL_LATER;
    if (n % 100 == 51)
        return PLAN_CANCEL_NOW;
    return n % 25 == 3 ? PLAN_LATER : PLAN_PLAIN;
}

/* How its first attempt ends; all others are done. */
static inline enum plan_end plan_end(uint32_t n)
{
    switch (n % 200) {
    case 7:
    case 57:
    case 128: /* a scheduled one, too */
        return PLAN_RETRY;
    case 17:
    case 117:
        return PLAN_RETRY_NOW;
    case 33:
        return PLAN_FAIL;
    case 77:
    case 177:
        return PLAN_SLOW;
    default:
        return PLAN_DONE;
    }
}

static inline void plan_id(uint32_t producer, uint32_t n, char out[32])
{
    snprintf(out, 32, "p%u-%u", (unsigned)producer, (unsigned)n);
}

/* What a deliberately wrong worker does. */
enum plan_mistake {
    PLAN_NO_MISTAKE,
    PLAN_ACK_FIRST, /* tells the broker that a job is over before it runs */
    PLAN_RUN_TWICE  /* runs some jobs twice */
};
static inline bool plan_runs_twice(uint32_t n)
{
    return n % 20 == 5;
}

/* The trails are lines in files, each written by one write(2): so they outlive the process that
 * wrote them, which is what is killed here; the machine is not. Times are those of the steady
 * clock, which all processes of the machine share, and of the true wall clock.
 *
 *   sent.<p>  s <step> <ms>              a step begins: its jobs may exist from now on
 *             d <n> <due wall ms>        to be scheduled for then
 *             a <n> <ms>                 accepted
 *             A <step> <ms>              all plain ones of that step are accepted
 *             c <n> y|n|? <ms>           cancelled, not cancelled, not known
 *   ran       b <p> <n> <attempt> <worker> <ms> <wall ms>    a handler begins
 *             e <p> <n> <attempt> <worker> <ms>              and ends
 *             t <worker> <ms> <ms>                           from when to when it did nothing */
#define TRAIL_SENT "sent.%u"
#define TRAIL_RAN  "ran"

#endif
