/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JETJOBS_CLIENT_H
#define JETJOBS_CLIENT_H

/** @file
 *  Connect, enqueue, schedule. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/job.h>
#include <jetjobs/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One connection to the broker, and the worker that may run on it. Opaque. */
typedef struct jj_client jj_client;

/** Receives the library's own log lines. Called on threads of the library, on several at once, and
 *  on the caller's own within calls: must return soon, and must not call the library.
 *
 *  @param level  how much it matters
 *  @param text   one line without line end; borrowed for the call
 *  @param user   options.log_user */
typedef void (*jj_log_sink)(jj_log_level level, const char *text, void *user);

/** How to connect and, for those who start a worker, how to work. Zero means the default. Strings
 *  are copied. Fields are only ever added at the end. */
typedef struct jj_options {
    const char *url;            /**< servers, with commas between; "nats://127.0.0.1:4222" */
    const char *credentials;    /**< file of user credentials, read for each connection; none */
    const char *tls_ca;         /**< file of trusted certificates; the system's. With it, or a
                                     tls_cert, a server without TLS is refused */
    const char *tls_cert;       /**< file of the client's certificate chain; none */
    const char *tls_key;        /**< file of the client's private key; none */
    const char *inbox_prefix;   /**< where answers come in; "_INBOX" */
    int64_t timeout_ms;         /**< how long a call waits for the broker, outages included; 5000 */
    int64_t connect_timeout_ms; /**< how long jj_open() waits for one; timeout_ms; -1 for ever */
    bool no_provision;          /**< never create or update streams and consumers */
    uint32_t replicas;          /**< of streams that it creates, 1 to 5; 1 */
    int64_t history_ms;         /**< how long JOBS_EVENTS keeps events; 7 days */
    int64_t history_bytes;      /**< how much of them at most; 8 GiB */
    int64_t jobs_bytes;         /**< most bytes in JOBS, then enqueueing is refused; no limit */

    const char *worker;         /**< name of this worker; "<host>-<pid>-<random>" */
    uint32_t concurrency;       /**< jobs that run at once in this worker, 1 to 10000; 5 */
    int64_t poll_interval_ms;   /**< how often to look for what nobody told us of; 1000 */
    uint32_t max_attempts;      /**< of a job that does not say, 1 to 1000; 3 */
    int64_t ack_wait_ms;        /**< a silent worker's jobs are given to others then; 15000 */
    int64_t shutdown_grace_ms;  /**< how long jj_stop() waits for running handlers; 30000 */
    uint32_t max_lost;          /**< a job that its workers did not survive more often fails; 3 */
    int64_t backoff_initial_ms; /**< delay before the second attempt, then doubling; 1000 */
    int64_t backoff_max_ms;     /**< longest delay between attempts; 300000 */

    jj_log_sink log; /**< none */
    void *log_user;

    const char *index_path;           /**< file of an index of this client's own; none */
    const struct jj_adapter *adapter; /**< where that index is kept; jj_adapter_sqlite if there is
                                         an index_path, else no index. See jetjobs/adapter.h */

    const char *only_name; /**< ask about jobs of this name only, for a user who may ask about no
                                others: requests go to jobs.get.<name>, ...; none: about all */
    const char *nkey;      /**< file of the seed of the user's nkey, instead of credentials; none */
} jj_options;

/** Connect to the broker and, unless told not to, see to it that the streams exist.
 *
 *  A client that may not touch streams (by its permissions) goes on without; it needs its own
 *  subjects only. The connection mends itself until jj_close().
 *  @param options     NULL for all defaults; borrowed for the call
 *  @param client_out  set on JJ_OK; end with jj_close()
 *  @param err         NULL, or filled on failure
 *  @return JJ_OK; INVALID: an option; UNAVAILABLE: no broker answered in time; NOT_PERMITTED: it
 *          does not take this user; STATE: a stream is there with settings that jetjobs can't work
 *          with; PROTOCOL: the server is too old
 *
 *  Threads: any.  Blocks: up to connect_timeout_ms, then up to timeout_ms for the streams. */
JJ_API JJ_MUST_CHECK jj_status jj_open(const jj_options *options, jj_client **client_out,
                                       jj_error *err);

/** Stop what runs, tell the broker the last things, and free the client.
 *
 *  Waits for handlers that still run, however long they take: call jj_stop() first to know.
 *  @param client  NULL, or an open client, not used by any other thread any more
 *
 *  Threads: any but a handler's. */
JJ_API void jj_close(jj_client *client);

/** What to enqueue. Everything is borrowed for the call; zero means the default. */
typedef struct jj_spec {
    const char *name;         /**< which handler; needed */
    const void *data;         /**< any bytes; none */
    size_t data_len;          /**< at most the server's max_payload less 4 KiB, which are kept
                                   for headers, those of retries among them */
    const char *content_type; /**< of data; left to the reader, who tries JSON */
    const char *id;           /**< a new UUIDv7; must not be a handler's name */
    const char *unique_key;   /**< a second job with it within 10 minutes, which is the streams'
                                   duplicate window, is a duplicate; none. 1 to 256 printable
                                   ASCII characters without space */
    uint32_t max_attempts;    /**< 1 to 1000; the worker's setting */
    int64_t timeout_ms;       /**< that one attempt may take; the handler's setting */
    const char *traceparent;  /**< W3C trace context, handed to the handler; none */
    const jj_header *headers; /**< the caller's own; not Nats-*, not Job-*, not Status if there is
                                   no data; none */
    size_t header_count;
} jj_spec;

/** What became of an enqueue or schedule call. */
typedef struct jj_receipt {
    char id[JJ_NAME_SIZE]; /**< of the job; of the first one if this was a duplicate */
    uint64_t seq;          /**< its place in the stream JOBS or JOBS_SCHEDULE; 0: not stored */
    bool duplicate;        /**< true: nothing new was stored, the job was there before */
} jj_receipt;

/** Hand one job to whichever worker is free first.
 *
 *  On JJ_OK the broker has stored it. After TIMEOUT it may have: repeating the call with the same
 *  id within 10 minutes can't make a second job.
 *  @param client       open client
 *  @param spec         the job
 *  @param receipt_out  NULL, or set on JJ_OK; on TIMEOUT its id is set too, for the repetition
 *  @param err          NULL, or filled on failure
 *  @return JJ_OK; INVALID: the spec; TOO_LARGE: the data or headers; UNAVAILABLE: not stored, for
 *          instance because the stream is full; TIMEOUT: no answer within the client's timeout_ms
 *
 *  Threads: any.  Blocks: up to timeout_ms.  Repeating: safe with an id or a unique key. */
JJ_API JJ_MUST_CHECK jj_status jj_enqueue(jj_client *client, const jj_spec *spec,
                                          jj_receipt *receipt_out, jj_error *err);

/** Most jobs that are stored all or none; more are cut into such batches. It is what nats-server
 *  takes as one atomic batch. */
#define JJ_BATCH_MAX 1000

/** Enqueue many jobs with few acknowledgements.
 *
 *  Batches of up to JJ_BATCH_MAX jobs in the order given; of each batch all jobs are stored or
 *  none. The first batch that fails ends the call: what came before it stays stored.
 *  @param client        open client
 *  @param specs         the jobs; no two with the same id or unique key
 *  @param count         how many; 0 does nothing
 *  @param receipts_out  NULL, or room for count receipts; ids are set for all, seq > 0 says which
 *                       were stored
 *  @param stored_out    NULL, or set in every case to how many of the first specs were stored
 *  @param err           NULL, or filled on failure, naming the first spec at fault
 *  @return as jj_enqueue(); EXISTS: one of a batch had been enqueued before, none of it was stored
 *
 *  Threads: any.  Blocks: up to timeout_ms for each batch. */
JJ_API JJ_MUST_CHECK jj_status jj_enqueue_many(jj_client *client, const jj_spec *specs,
                                               size_t count, jj_receipt *receipts_out,
                                               size_t *stored_out, jj_error *err);

/** Enqueue a job at a later time.
 *
 *  The broker keeps it until then. It is never early, and on time to a few milliseconds where a
 *  worker is free. A time that has passed means now. Where the broker's permissions keep this
 *  client from writing schedules, an index service is asked to do it.
 *  @param client       open client
 *  @param spec         the job
 *  @param run_at_ms    Unix time in milliseconds; up to the year 9999
 *  @param receipt_out  as for jj_enqueue(); seq is that of JOBS_SCHEDULE
 *  @param err          NULL, or filled on failure
 *  @return as jj_enqueue(); EXISTS: the id is that of a recurring schedule of this name
 *
 *  A job of that id which waits in JOBS_SCHEDULE, for its time or to be repeated, stays as it is,
 *  however long ago it was scheduled: this one is a duplicate.
 *
 *  Threads: any.  Blocks: up to timeout_ms.  Repeating: safe with an id or a unique key. */
JJ_API JJ_MUST_CHECK jj_status jj_schedule(jj_client *client, const jj_spec *spec,
                                           int64_t run_at_ms, jj_receipt *receipt_out,
                                           jj_error *err);

#ifdef __cplusplus
}
#endif

#endif
