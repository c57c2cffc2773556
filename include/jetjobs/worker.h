/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_WORKER_H
#define JETJOBS_WORKER_H

/** @file
 *  Register handlers, start, stop; and what a handler sees and says.
 *
 *  A handler gets a jj_attempt, valid until it returns, to be used on its own thread only. It ends
 *  with one of the verdict calls:
 *
 *      return jj_done(attempt, "{\"sent\":true}", 13);
 *      return jj_retry(attempt, "smtp: %s", reason);
 *
 *  A handler may run twice for one job: when its worker, or the broker, dies between the handler's
 *  end and the commit of its result; and when a worker was cut off from the broker for so long that
 *  the job was given to another. Make it idempotent; id and attempt number are the key. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/client.h>
#include <jetjobs/job.h>
#include <jetjobs/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One run of a handler for one job. Opaque. */
typedef struct jj_attempt jj_attempt;

/** How an attempt ended; made by jj_done(), jj_retry(), jj_retry_in(), jj_fail(), jj_snooze(). */
typedef enum jj_verdict {
    JJ_VERDICT_RETRY = 0, /**< what a forgotten verdict means */
    JJ_VERDICT_DONE,
    JJ_VERDICT_FAIL,
    JJ_VERDICT_SNOOZE
} jj_verdict;

/** The code that runs jobs of one name. Called on one of the client's slot threads, on several at
 *  once.
 *
 *  @param attempt  the job and this run of it; valid until the handler returns
 *  @param user     as given to jj_register()
 *  @return what a verdict call returned */
typedef jj_verdict (*jj_handler)(jj_attempt *attempt, void *user);

/** How jobs of one name are to be run. Zero means the client's setting. */
typedef struct jj_handler_options {
    uint32_t concurrency;       /**< of this name in this worker; the client's concurrency */
    uint32_t fleet_concurrency; /**< of this name in all workers together; no limit */
    uint32_t max_attempts;      /**< of a job that does not say */
    int64_t timeout_ms;         /**< that one attempt may take; no limit */
    int64_t backoff_initial_ms; /**< delay before the second attempt, then doubling */
    int64_t backoff_max_ms;     /**< longest delay between attempts */
} jj_handler_options;

/** Say which code runs the jobs of a name. Before jj_start(), or after jj_stop().
 *
 *  @param client   open client
 *  @param name     of the jobs
 *  @param handler  the code
 *  @param options  NULL for all defaults; borrowed for the call
 *  @param user     handed to the handler; must live until jj_close()
 *  @param err      NULL, or filled on failure
 *  @return JJ_OK; INVALID: the name or an option; EXISTS: the name has a handler; STATE: the client
 *          is started, or is stopping; NO_MEMORY
 *
 *  Threads: any. */
JJ_API JJ_MUST_CHECK jj_status jj_register(jj_client *client, const char *name, jj_handler handler,
                                           const jj_handler_options *options, void *user,
                                           jj_error *err);

/** Begin to run jobs of the registered names, and to move scheduled jobs that are due.
 *
 *  @param client  open client
 *  @param err     NULL, or filled on failure
 *  @return JJ_OK, also if it had been started; STATE: no handler is registered, or it is stopping;
 *          UNAVAILABLE, TIMEOUT: the broker; PROTOCOL or STATE: as jj_open()
 *
 *  Threads: any.  Blocks: up to timeout_ms for each name. */
JJ_API JJ_MUST_CHECK jj_status jj_start(jj_client *client, jj_error *err);

/** Take no new jobs, let running handlers finish, give back the rest.
 *
 *  @param client  open client
 *  @param err     NULL, or filled on failure
 *  @return JJ_OK, also if nothing was started; TIMEOUT: handlers still ran after
 *          shutdown_grace_ms, and their jobs were given back to be run elsewhere
 *
 *  Threads: any but a handler's.  Blocks: up to shutdown_grace_ms.  Afterwards jj_start() may begin
 *  again, once the handlers have returned. */
JJ_API JJ_MUST_CHECK jj_status jj_stop(jj_client *client, jj_error *err);

/** The same with a grace of one's own. Called while another thread stops, it shortens that one's
 *  grace, if its own ends sooner: so a second thought can end at once what was to wait.
 *
 *  @param client    open client
 *  @param grace_ms  how long to wait for running handlers; 0: not at all; -1: for as long as they
 *                   take
 *  @param err       NULL, or filled on failure
 *  @return as jj_stop(); INVALID: grace_ms
 *
 *  Threads: any but a handler's.  Blocks: up to grace_ms. */
JJ_API JJ_MUST_CHECK jj_status jj_stop_within(jj_client *client, int64_t grace_ms, jj_error *err);

/** @name What a handler sees
 *  Strings and bytes are the attempt's own: valid until the handler returns.
 *  Threads: the handler's. @{ */
JJ_API const char *jj_attempt_id(const jj_attempt *attempt);
JJ_API const char *jj_attempt_name(const jj_attempt *attempt);
JJ_API const void *jj_attempt_data(const jj_attempt *attempt, size_t *len_out);
/** Which attempt this is, from 1. */
JJ_API uint32_t jj_attempt_number(const jj_attempt *attempt);
JJ_API uint32_t jj_attempt_max(const jj_attempt *attempt);
/** How often workers were lost while they ran this attempt. */
JJ_API uint32_t jj_attempt_lost(const jj_attempt *attempt);
/** When the job was first enqueued, and when it was to run; Unix ms, 0 if unknown. */
JJ_API int64_t jj_attempt_created_at_ms(const jj_attempt *attempt);
JJ_API int64_t jj_attempt_run_at_ms(const jj_attempt *attempt);
/** The value of a header of the job, such as "Content-Type" or "traceparent"; case counts.
 *  @param attempt  this attempt
 *  @param name     of the header
 *  @return the first value, or NULL if there is none */
JJ_API const char *jj_attempt_header(const jj_attempt *attempt, const char *name);
/** True once the handler should end soon: its timeout has passed, or the worker stops and the
 *  grace is over, or the lease is lost and the job runs elsewhere. Its verdict then changes nothing
 *  but that a job whose lease was lost and that is done is still counted as done. */
JJ_API bool jj_attempt_stopping(const jj_attempt *attempt);
/** Milliseconds until its timeout; negative once past; INT64_MAX without one. */
JJ_API int64_t jj_attempt_remaining_ms(const jj_attempt *attempt);
/** @} */

/** @name What a handler tells while it runs
 *  Stored in JOBS_EVENTS and sent live. Copied. Where a handler tells more than the broker takes,
 *  8 MiB of a name wait in memory; beyond that a call waits for room, 1 s at most, and then
 *  lines are dropped, all but the last 20. A line says how many.
 *  Threads: the handler's.
 *  @return JJ_OK; INVALID: not JSON, or a percentage above 100; TOO_LARGE: does not fit into a
 *          message; NO_MEMORY @{ */
/** A line on `log.job`, `log.job.<id>`, `job.log` and `job.<name>.log`.
 *  @param attempt  this attempt
 *  @param level    how much it matters
 *  @param json     NULL, or one JSON value with more about it, ended by NUL
 *  @param format   as for printf
 *  @return see above */
JJ_API jj_status jj_log(jj_attempt *attempt, jj_log_level level, const char *json,
                        const char *format, ...) JJ_PRINTF(4, 5);
/** A custom event on `job.event`, `job.<name>.event` and `job.<id>.event`.
 *  @param attempt  this attempt
 *  @param event    what happened, 1 to 256 bytes
 *  @param json     NULL, or one JSON value with more about it, ended by NUL
 *  @return see above */
JJ_API jj_status jj_emit(jj_attempt *attempt, const char *event, const char *json);
/** How far it is, on `job.progress` and `job.<name>.progress`.
 *  @param attempt  this attempt
 *  @param percent  0 to 100
 *  @param message  NULL, or a line for people
 *  @return see above */
JJ_API jj_status jj_progress(jj_attempt *attempt, uint32_t percent, const char *message);
/** @} */

/** @name Verdicts
 *  Each notes how the attempt ended and returns what the handler is to return; the last call
 *  counts. Texts and results are copied; a verdict counts without memory for its text, too, and
 *  the job's error is then "no memory for the reason". Threads: the handler's. @{ */
/** The job is completed. @param result  any bytes, usually JSON; NULL with len 0 for none.
 *
 *  A job is not completed without the result that its handler gave: if there is no memory to copy
 *  it, this is a jj_retry() that says so, and the handler runs again unless it was the last
 *  attempt. */
JJ_API jj_verdict jj_done(jj_attempt *attempt, const void *result, size_t len);
/** This attempt failed: try again after the usual delay, unless it was the last. */
JJ_API jj_verdict jj_retry(jj_attempt *attempt, const char *format, ...) JJ_PRINTF(2, 3);
/** The same after a delay of one's own. @param delay_ms  from now; 0 for at once. */
JJ_API jj_verdict jj_retry_in(jj_attempt *attempt, int64_t delay_ms, const char *format, ...)
    JJ_PRINTF(3, 4);
/** The job has failed for good: do not try again. */
JJ_API jj_verdict jj_fail(jj_attempt *attempt, const char *format, ...) JJ_PRINTF(2, 3);
/** Not now: run it again later. Costs no attempt. @param delay_ms  from now. */
JJ_API jj_verdict jj_snooze(jj_attempt *attempt, int64_t delay_ms);
/** @} */

#ifdef __cplusplus
}
#endif

#endif
