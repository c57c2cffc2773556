/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_CHECKER_H
#define JJ_TESTS_FAULTS_CHECKER_H

/* Was anything lost? The trails, which are outside of all that is tested, against what the broker
 * and the index say in the end. */

#include "census.h"
#include "trail.h"

struct findings {
    size_t sent, accepted, unknown;  /* jobs: that may exist, that must, neither accepted */
    size_t states[JJ_STATES];        /* of those in the index */
    size_t lost;                     /* accepted, and neither over nor run */
    size_t foreign;                  /* run, but never sent */
    size_t runs, again;              /* all runs; those beyond the first of an attempt */
    size_t most;                     /* runs of one attempt */
    size_t unexplained;              /* of those again, not touched by a fault */
    size_t overlaps, bad_overlaps;   /* of runs of one job; not touched by a fault */
    size_t late, bad_late;           /* runs after the job was over */
    size_t started_though_cancelled; /* the promise of cancel is broken */
    size_t cancelled;                /* and it was promised */
    size_t early;                    /* scheduled ones that ran before their time */
    size_t early_shifted;            /* of a shifted clock, within its bound */
    size_t wrong_ends;               /* the index has another end than the handler's */
    size_t left_over;                /* messages that the queues still hold */
    size_t kept;                     /* messages that were acknowledged and are still there */
    bool broker_died;
    size_t holes;             /* in the stream of events, from which nobody deletes */
    struct census census;     /* when all was done */
    size_t processes_left;    /* when all had ended */
    size_t rows_differ;       /* of an index that was built anew */
    int64_t longest_pause_ms; /* in which no handler began, while there were jobs */
};

/* index: read into the trail's fates. */
void checker_judge(const struct trail *trail, const struct fault_list *faults,
                   const struct fleet *fleet, struct findings *findings);
/* Is all as promised? Says what is not. */
bool checker_is_content(const struct findings *findings);
void checker_print(const struct findings *findings, const struct fault_list *faults);

#endif
