/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_TESTS_FAULTS_TRAIL_H
#define JJ_TESTS_FAULTS_TRAIL_H

/* What was written down in a run: of each job, of each run of a handler, of each fault. Times are
 * of the steady clock, in ms; 0: never. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/job.h>

#include "fleet.h"

enum fault_kind {
    FAULT_STARVED,
    FAULT_LATE_BROKER,
    FAULT_CRASH_POINT,
    FAULT_KILL_WORKER,
    FAULT_FREEZE_WORKER,
    FAULT_SHIFT_CLOCK,
    FAULT_KILL_PRODUCER,
    FAULT_KILL_INDEX,
    FAULT_FREEZE_INDEX,
    FAULT_LOSE_INDEX,
    FAULT_DAMAGE_INDEX,
    FAULT_KILL_BROKER,
    FAULT_RESTART_BROKER,
    FAULT_FREEZE_BROKER,
    FAULT_STEP_DOWN,
    FAULT_CUT_LINK,
    FAULT_HOLD_LINK,
    FAULT_ONE_WAY_LINK,
    FAULT_SLOW_LINK,
    FAULT_FULL_STREAM,
    FAULT_LOSE_POWER, /* only where the broker has a disk for it */
    FAULT_KINDS
};

#define FAULT_ALL (-1)
/* By how much a clock is put forward or back. A retry is that much later or sooner, as its time is
 * the worker's; a scheduled job is not. */
#define FAULT_SHIFT_MS 5000

struct fault {
    enum fault_kind kind;
    int role;   /* enum role of who it hits; FAULT_ALL: the broker */
    int number; /* of that role */
    int64_t begin_ms, end_ms;
};

struct fault_list {
    struct fault *list;
    size_t count, room;
};

const char *fault_text(enum fault_kind kind);
/* The entry stays valid until the next one. */
struct fault *fault_add(struct fault_list *faults, enum fault_kind kind, int role, int number);
/* All of from, which is empty then. */
void fault_move(struct fault_list *to, struct fault_list *from);

/* What is known of a job. */
struct fate {
    int64_t sent_ms, accepted_ms;
    int64_t due_ms; /* wall clock; 0: at once */
    int64_t cancelled_ms;
    char cancelled; /* 'y', 'n', '?'; 0: not tried */
    size_t first_run, runs;
    jj_state state; /* in the index, at the end */
    uint32_t attempts;
    int64_t over_at_ms; /* wall clock of its worker */
};

struct run {
    uint32_t producer, n, attempt, worker;
    int64_t begin_ms, begin_wall_ms, end_ms;
};

struct trail {
    unsigned jobs; /* of each producer */
    struct fate *fates[PRODUCERS];
    struct run *runs; /* by job, then by time */
    size_t run_count, run_room;
    size_t foreign_runs; /* of jobs that nobody sent */
};

/* Adds to the faults what workers saw themselves. */
void trail_read(struct trail *trail, const struct fleet *fleet, struct fault_list *faults);
void trail_free(struct trail *trail);

#endif
