/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_EVENTS_H
#define JETJOBS_EVENTS_H

/** @file
 *  Hear what becomes of jobs while it happens. Live events are told to those who listen at that
 *  time and are not repeated: what must not be missed is asked for, see jetjobs/index.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/client.h>
#include <jetjobs/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What was told; borrowed for the call. */
typedef struct jj_live {
    const char *subject; /**< such as "job.sendEmail.completed" */
    const char *json;    /**< as it was sent, without NUL: one JSON object if a worker sent it, but
                              whoever may publish there may send anything */
    size_t json_len;
    uint64_t missed; /**< events that were dropped right before this one, because the listener was
                          too slow for them */
} jj_live;

/** Takes what was told, one at a time and in order, on the listener's own thread. It may call the
 *  library and take its time, but for jj_listener_close() and jj_close().
 *
 *  @param live  what was told
 *  @param user  as given to jj_listen()
 *  @return true; false: enough, it is not called any more */
typedef bool (*jj_listen_fn)(const jj_live *live, void *user);

/** Somebody who listens. Opaque. */
typedef struct jj_listener jj_listener;

/** Listen to live events.
 *
 *  What is told after it has returned is heard, except while the connection to the broker is lost.
 *  A listener that is slow does not hold up the client: what waits for it is kept up to 32 MiB,
 *  then events are dropped and counted.
 *  @param client        open client
 *  @param subject       "job.<type>", "job.<name>.<type>", "job.<id>.event", "log.job" or
 *                       "log.job.<id>"; "*" stands for any name, id or type, and ">" at the end
 *                       for all that begin so. "job.>" hears most events twice
 *  @param take          takes what was told
 *  @param user          handed to take
 *  @param listener_out  set on JJ_OK; end with jj_listener_close() before jj_close()
 *  @param err           NULL, or filled on failure
 *  @return JJ_OK; INVALID: the subject; NOT_PERMITTED; UNAVAILABLE, TIMEOUT: no broker
 *
 *  Threads: any.  Blocks: up to the client's timeout_ms. */
JJ_API JJ_MUST_CHECK jj_status jj_listen(jj_client *client, const char *subject, jj_listen_fn take,
                                         void *user, jj_listener **listener_out, jj_error *err);

/** How many events were dropped so far, because the listener was too slow. Threads: any. */
JJ_API uint64_t jj_listener_missed(jj_listener *listener);

/** Listen no more; when it returns, take is not called any more and nothing calls it.
 *  @param listener  NULL, or an open one
 *
 *  Threads: any but its own.  Blocks: until take has returned. */
JJ_API void jj_listener_close(jj_listener *listener);

#ifdef __cplusplus
}
#endif

#endif
