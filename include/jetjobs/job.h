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
 *  - event: what happened to a job, stored in JOBS_EVENTS and told live on `job.>`.
 *  - index: what is known of all jobs, read from the streams, to be queried and thrown away. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/status.h>

#ifdef __cplusplus
extern "C" {
#endif

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

/** How far a job has come. The last three are final: only a redrive leaves JJ_FAILED and
 *  JJ_CANCELLED, nothing leaves JJ_COMPLETED. */
typedef enum jj_state {
    JJ_ANY_STATE = 0, /**< in queries only */
    JJ_PENDING,       /**< waits for a worker */
    JJ_SCHEDULED,     /**< waits for its time */
    JJ_RUNNING,       /**< a worker has claimed it */
    JJ_COMPLETED,     /**< done; has a result if its handler gave one */
    JJ_FAILED,        /**< for good; has an error */
    JJ_CANCELLED      /**< before it was started */
} jj_state;

/** How many values jj_state has. */
#define JJ_STATES 7

/** The name of a state, such as "pending".
 *
 *  @param state  any value
 *  @return a constant string; "" for JJ_ANY_STATE and for a value that is not in the list
 *
 *  Threads: any. */
JJ_API const char *jj_state_text(jj_state state);

/** A job as an index knew it at one moment. Never changes. Opaque. */
typedef struct jj_job jj_job;

/** Free a job. @param job  NULL, or a job that a call has handed out
 *
 *  Threads: any, one at a time. */
JJ_API void jj_job_free(jj_job *job);

/** @name What is known of a job
 *  Strings and bytes live as long as the job. Threads: any. @{ */
JJ_API const char *jj_job_id(const jj_job *job);
JJ_API const char *jj_job_name(const jj_job *job);
JJ_API jj_state jj_job_state(const jj_job *job);
/** What it was enqueued with. @param job  the job @param len_out  NULL, or set to its length
 *  @return the bytes; NULL if there are none, or they are not known */
JJ_API const void *jj_job_data(const jj_job *job, size_t *len_out);
/** False if it was never seen with its data: that was too large for a claim, and its message was
 *  gone before the index read it. */
JJ_API bool jj_job_data_known(const jj_job *job);
/** What its handler gave as result. @param job  the job @param len_out  NULL, or set to its length
 *  @return the bytes; NULL if there is none */
JJ_API const void *jj_job_result(const jj_job *job, size_t *len_out);
/** Why its last failed attempt failed; NULL if none has. */
JJ_API const char *jj_job_error(const jj_job *job);
/** Times are Unix ms, 0 if unknown: when it was first enqueued; when it is, or was, to run; when
 *  its last attempt started; when it reached its final state. */
JJ_API int64_t jj_job_created_at_ms(const jj_job *job);
JJ_API int64_t jj_job_run_at_ms(const jj_job *job);
JJ_API int64_t jj_job_started_at_ms(const jj_job *job);
JJ_API int64_t jj_job_completed_at_ms(const jj_job *job);
/** Attempts that have started; how many it may have, 0 as long as nobody has said. */
JJ_API uint32_t jj_job_attempts(const jj_job *job);
JJ_API uint32_t jj_job_max_attempts(const jj_job *job);
/** How often its last attempt was claimed beyond the first time: workers were lost. */
JJ_API uint32_t jj_job_lost(const jj_job *job);
/** How often it was revived after it had failed or was cancelled. */
JJ_API uint32_t jj_job_redrives(const jj_job *job);
/** The worker that claimed it last; NULL if none has. */
JJ_API const char *jj_job_worker(const jj_job *job);
/** The recurring schedule that made it; NULL if none did. */
JJ_API const char *jj_job_schedule_id(const jj_job *job);
/** How far its last attempt has come, 0 to 100; -1 if it never said. */
JJ_API int jj_job_progress(const jj_job *job);
/** The value of one of its headers, such as "traceparent"; case counts.
 *  @param job   the job
 *  @param name  of the header
 *  @return the first value, or NULL */
JJ_API const char *jj_job_header(const jj_job *job, const char *name);
/** @} */

#ifdef __cplusplus
}
#endif

#endif
