/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_CRON_H
#define JETJOBS_CRON_H

/** @file
 *  Recurring schedules: the broker keeps them, and at each of their times a job is enqueued, whose
 *  id is "<id of the schedule>-<number>". A time is never run twice, however many workers there
 *  are, whatever restarts, and however often the same schedule is added; for a time at which the
 *  broker was down, it runs once afterwards or not at all.
 *
 *  What the calls have in common:
 *  @return INVALID: an argument; NOT_PERMITTED; UNAVAILABLE, TIMEOUT: no broker, or no answer in
 *          time: ask again
 *
 *  Threads: any.  Blocks: up to the client's timeout_ms.  Repeating: safe. */

#include <stddef.h>
#include <stdint.h>

#include <jetjobs/client.h>
#include <jetjobs/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A recurring schedule. Everything is borrowed for the call. */
typedef struct jj_cron {
    const char *id;        /**< 1 to 50 of A-Z a-z 0-9 _ -; needed */
    const char *spec;      /**< six fields: second, minute, hour, day of the month, month, day of
                                the week (0 is Sunday), as in "0 30 6 * * mon-fri"; or
                                "@every 1h30m", "@hourly", "@daily", "@weekly", "@monthly",
                                "@yearly"; needed */
    const char *time_zone; /**< such as "Europe/Berlin"; UTC. Not with "@every" */
    jj_spec job;           /**< what is enqueued each time; without id and unique_key */
} jj_cron;

/** What adding one has done. */
typedef enum jj_cron_change {
    JJ_CRON_ADDED,
    JJ_CRON_REPLACED, /**< there was another one of this id */
    JJ_CRON_UNCHANGED /**< it was there already, and has not been touched */
} jj_cron_change;

/** Add a recurring schedule, or replace the one of that id.
 *
 *  To add what is there already does nothing, so a program may do it each time it starts: no time
 *  is missed, and an interval goes on. A client that may not write to JOBS_SCHEDULE asks an index
 *  service to do it, and is then not told that it has replaced one.
 *  @param client      open client
 *  @param cron        the schedule
 *  @param change_out  NULL, or set on JJ_OK
 *  @param err         NULL, or filled on failure
 *  @return JJ_OK; EXISTS: the id is that of other jobs' schedule, or of a job; TOO_LARGE: the data
 *          or headers; and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_cron_add(jj_client *client, const jj_cron *cron,
                                           jj_cron_change *change_out, jj_error *err);

/** Remove a recurring schedule. A job that it has made already is not touched.
 *  @param client  open client
 *  @param id      of the schedule
 *  @param err     NULL, or filled on failure
 *  @return JJ_OK; NOT_FOUND; and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_cron_remove(jj_client *client, const char *id, jj_error *err);

/** One of a list; its strings live as long as that. */
typedef struct jj_cron_entry {
    jj_cron cron;        /**< as it was added */
    int64_t added_at_ms; /**< Unix time */
    int64_t next_at_ms;  /**< of its next time; 0: not known, as it has a time zone. Of an interval
                              it is a second or so off once the broker has been down */
} jj_cron_entry;

/** Recurring schedules, by id. Opaque. */
typedef struct jj_crons jj_crons;

/** List the recurring schedules. Reads all of JOBS_SCHEDULE, jobs for later too, if name is NULL.
 *  @param client     open client
 *  @param name       of their jobs; NULL: all
 *  @param crons_out  set on JJ_OK, also if there are none; free with jj_crons_free()
 *  @param err        NULL, or filled on failure
 *  @return JJ_OK; and what all calls have in common */
JJ_API JJ_MUST_CHECK jj_status jj_cron_list(jj_client *client, const char *name,
                                            jj_crons **crons_out, jj_error *err);
JJ_API size_t jj_crons_count(const jj_crons *crons);
JJ_API const jj_cron_entry *jj_crons_get(const jj_crons *crons, size_t at);
JJ_API void jj_crons_free(jj_crons *crons);

#ifdef __cplusplus
}
#endif

#endif
