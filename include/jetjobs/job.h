/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_JOB_H
#define JETJOBS_JOB_H

/** @file
 *  What a job is. One word per idea, in the code, on the wire and on the command line:
 *
 *  - job: a name, an id and some bytes of data, to be run until it ends well or for good.
 *  - name: what kind of job it is; says which handler runs it. 1 to 64 of A-Z a-z 0-9 _ -.
 *  - id: which job it is; the same characters. A UUIDv7 unless the enqueuer chose one; a job that
 *    came without an id from another client is called by its sequence in the stream JOBS.
 *  - handler: the code that a worker runs for jobs of one name.
 *  - worker: a started client: it takes jobs from the broker and runs them.
 *  - slot: room in a worker to run one job; there are as many as its concurrency says.
 *  - claim: the durable note "this worker starts these jobs", written before they run.
 *  - attempt: one run of a handler for one job. Attempts count from 1.
 *  - verdict: how an attempt ended: done, retry, fail for good, or snooze.
 *  - lost: how often the running attempt had been claimed before by a worker that then vanished.
 *  - schedule: a job, or a rule that makes jobs, kept by the broker until its time has come.
 *  - event: what happened to a job, stored in JOBS_EVENTS and told live on `job.>`. */

#include <stdint.h>

#include <jetjobs/status.h>

/** Longest name or id, and room for one with its NUL. */
#define JJ_NAME_MAX  64
#define JJ_NAME_SIZE (JJ_NAME_MAX + 1)

/** A header that travels with a job. The library borrows both strings for the call. */
typedef struct jj_header {
    const char *name;
    const char *value;
} jj_header;

/** How much a log line matters. */
typedef enum jj_log_level { JJ_LOG_DEBUG, JJ_LOG_INFO, JJ_LOG_WARN, JJ_LOG_ERROR } jj_log_level;

#endif
