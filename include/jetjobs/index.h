/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_INDEX_H
#define JETJOBS_INDEX_H

/** @file
 *  Ask what became of jobs; cancel and revive them; answer others who ask.
 *
 *  Answers come from this client's own index if its options name a file or an adapter, else from an
 *  index service that the broker finds (`jetjobs serve`, or any client after jj_serve()). Either
 *  way a client sees what it has done itself: an enqueue that returned JJ_OK is never "not found"
 *  afterwards.
 *
 *  What the calls have in common:
 *  @return UNAVAILABLE: no index service answers, or the index is still being built from the
 *          streams; TIMEOUT: the index did not catch up, or did not answer, in time; INVALID: an
 *          argument; NOT_PERMITTED; STORAGE: the index can't read its file
 *
 *  Threads: any but a handler's broker callbacks.  Blocks: up to the client's timeout_ms. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/client.h>
#include <jetjobs/job.h>
#include <jetjobs/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Get a job.
 *  @param client   open client
 *  @param id       from a receipt
 *  @param job_out  set on JJ_OK; free with jj_job_free()
 *  @param err      NULL, or filled on failure
 *  @return JJ_OK; NOT_FOUND: there is no such job, or it was over longer ago than the index keeps;
 *          and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_get(jj_client *client, const char *id, jj_job **job_out,
                                      jj_error *err);

/** Which jobs. Borrowed for the call; zero means the default. */
typedef struct jj_query {
    const char *name;   /**< of the jobs; needed */
    jj_state state;     /**< any */
    uint32_t limit;     /**< jobs of one page, 1 to 1000; 100 */
    const char *cursor; /**< of the page before; the newest jobs */
} jj_query;

/** Some jobs, newest first. Opaque. */
typedef struct jj_page jj_page;

/** Find jobs by name and state, newest first.
 *  @param client    open client
 *  @param query     which ones
 *  @param page_out  set on JJ_OK, also if there are none; free with jj_page_free()
 *  @param err       NULL, or filled on failure
 *  @return JJ_OK; and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_get_by_name(jj_client *client, const jj_query *query,
                                              jj_page **page_out, jj_error *err);

/** How many jobs the page has; one of them, that lives as long as the page, NULL beyond the last;
 *  what to put into jj_query.cursor for the next page, NULL if this was the last. Threads: any. */
JJ_API size_t jj_page_count(const jj_page *page);
JJ_API const jj_job *jj_page_job(const jj_page *page, size_t at);
JJ_API const char *jj_page_cursor(const jj_page *page);
JJ_API void jj_page_free(jj_page *page);

/** Cancel a job that has not been started.
 *
 *  After JJ_OK it never starts (again); after STATE it was started, or is over. Both hold whatever
 *  workers do at the same moment.
 *  @param client  open client
 *  @param id      from a receipt
 *  @param err     NULL, or filled on failure
 *  @return JJ_OK; NOT_FOUND; STATE: it runs, is over, or had been cancelled before; TIMEOUT: the
 *          outcome is not known, ask again; and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_cancel(jj_client *client, const char *id, jj_error *err);

/** Revive a job that has failed or was cancelled: enqueue it again under its id, with its data and
 *  no attempt used up. Asked for twice at the same time, it is done once.
 *  @param client  open client
 *  @param id      from a receipt
 *  @param err     NULL, or filled on failure
 *  @return JJ_OK; NOT_FOUND; STATE: it has neither failed nor been cancelled, or its data is not
 *          known; TIMEOUT: the outcome is not known, ask again; and what all calls have in common
 */
JJ_API JJ_MUST_CHECK jj_status jj_redrive(jj_client *client, const char *id, jj_error *err);

/** Wait until a job is over. Does not poll: the index tells when it reads the job's last event.
 *  @param client      open client
 *  @param id          from a receipt
 *  @param timeout_ms  how long to wait for the job; 0: only look
 *  @param job_out     set on JJ_OK; free with jj_job_free()
 *  @param err         NULL, or filled on failure
 *  @return JJ_OK: it is completed, failed or cancelled; NOT_FOUND; TIMEOUT: it is not over yet; and
 *          what all calls have in common
 *
 *  Blocks: up to timeout_ms plus the client's timeout_ms. */
JJ_API JJ_MUST_CHECK jj_status jj_wait(jj_client *client, const char *id, int64_t timeout_ms,
                                       jj_job **job_out, jj_error *err);

/** A line that a handler logged; its strings live as long as the list. */
typedef struct jj_log_line {
    int64_t time_ms; /**< Unix time */
    jj_log_level level;
    uint32_t attempt;
    const char *message;
    const char *data;  /**< NULL, or one JSON value */
    const char *event; /**< NULL: a log line; else the name of a custom event, message is "" */
} jj_log_line;

/** Lines of one job, oldest first. Opaque. */
typedef struct jj_lines jj_lines;

/** What a job's handler logged. The index keeps 1000 lines of a job; if there were more, one line
 *  after these says how many.
 *  @param client     open client
 *  @param id         from a receipt
 *  @param limit      lines at most, 1 to 2001; 0: all of them
 *  @param lines_out  set on JJ_OK, also if there are none; free with jj_lines_free()
 *  @param err        NULL, or filled on failure
 *  @return JJ_OK; NOT_FOUND; and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_logs(jj_client *client, const char *id, uint32_t limit,
                                       jj_lines **lines_out, jj_error *err);
/** The same with the custom events of the job (jj_emit) among its lines, in the order in which the
 *  broker stored them: a line and an event of about the same time may have changed places. The
 *  index keeps 1000 events of a job, however many lines there are. An index service older than this
 *  function answers with lines only. */
JJ_API JJ_MUST_CHECK jj_status jj_history(jj_client *client, const char *id, uint32_t limit,
                                          jj_lines **lines_out, jj_error *err);
/** How many lines there are; one of them, NULL beyond the last. Threads: any. */
JJ_API size_t jj_lines_count(const jj_lines *lines);
JJ_API const jj_log_line *jj_lines_get(const jj_lines *lines, size_t at);
JJ_API void jj_lines_free(jj_lines *lines);

/** How many jobs of a name are in each state. */
typedef struct jj_name_stats {
    const char *name;           /**< lives as long as the stats */
    uint64_t counts[JJ_STATES]; /**< by jj_state */
} jj_name_stats;

/** How many jobs there are. Opaque. */
typedef struct jj_stats jj_stats;

/** Count jobs by name and state, and tell how far the index is behind the streams.
 *  @param client     open client
 *  @param stats_out  set on JJ_OK; free with jj_stats_free()
 *  @param err        NULL, or filled on failure
 *  @return JJ_OK; and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_stats_get(jj_client *client, jj_stats **stats_out, jj_error *err);
/** How many names there are; one of them in alphabetical order, NULL beyond the last. Threads: any.
 */
JJ_API size_t jj_stats_count(const jj_stats *stats);
JJ_API const jj_name_stats *jj_stats_name(const jj_stats *stats, size_t at);
/** Messages of JOBS, and of JOBS_EVENTS, that the index has not read yet. */
JJ_API uint64_t jj_stats_lag_jobs(const jj_stats *stats);
JJ_API uint64_t jj_stats_lag_events(const jj_stats *stats);
JJ_API void jj_stats_free(jj_stats *stats);

/** Answer the requests of others (`jobs.get` and its kin, see broker/README.md) from this client's
 *  index, and move scheduled jobs that are due, until jj_close(). Clients that serve share the
 *  requests.
 *  @param client  open client with an index of its own
 *  @param err     NULL, or filled on failure
 *  @return JJ_OK, also if it does so already; STATE: it has no index
 *
 *  Threads: any. */
JJ_API JJ_MUST_CHECK jj_status jj_serve(jj_client *client, jj_error *err);

#ifdef __cplusplus
}
#endif

#endif
