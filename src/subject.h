/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_SUBJECT_H
#define JJ_SRC_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include <jetjobs/job.h>

#include "status.h"

/* Longest subject that is built here, and its NUL: three tokens of text and two names. */
#define JJ__SUBJECT_SIZE 192

#define JJ__STREAM_JOBS     "JOBS"
#define JJ__STREAM_SCHEDULE "JOBS_SCHEDULE"
#define JJ__STREAM_EVENTS   "JOBS_EVENTS"
#define JJ__CONSUMER_DUE    "due"

#define JJ__SUBJECT_DUE_ALL       "jobs.due.*"
#define JJ__SUBJECT_CANCELLED_ALL "jobs.events.*.cancelled"

#define JJ__HEADER_ID              "Job-Id"
#define JJ__HEADER_MAX_ATTEMPTS    "Job-Max-Attempts"
#define JJ__HEADER_ATTEMPTS        "Job-Attempts"
#define JJ__HEADER_REDRIVES        "Job-Redrives"
#define JJ__HEADER_SNOOZES         "Job-Snoozes"
#define JJ__HEADER_PUT_OFFS        "Job-Put-Offs"
#define JJ__HEADER_RUN_AT          "Job-Run-At"
#define JJ__HEADER_TIMEOUT         "Job-Timeout"
#define JJ__HEADER_SCHEDULE_ID     "Job-Schedule-Id"
#define JJ__HEADER_CREATED_AT      "Job-Created-At"
#define JJ__HEADER_KEY             "Job-Key"
#define JJ__HEADER_CONTENT_TYPE    "Content-Type"
#define JJ__HEADER_TRACEPARENT     "traceparent"
#define JJ__HEADER_MSG_ID          "Nats-Msg-Id"
#define JJ__HEADER_SCHEDULE        "Nats-Schedule"
#define JJ__HEADER_SCHEDULE_TARGET "Nats-Schedule-Target"
#define JJ__HEADER_SCHEDULE_NEXT   "Nats-Schedule-Next"
#define JJ__HEADER_SCHEDULER       "Nats-Scheduler"
#define JJ__HEADER_BATCH_ID        "Nats-Batch-Id"
#define JJ__HEADER_BATCH_SEQUENCE  "Nats-Batch-Sequence"
#define JJ__HEADER_BATCH_COMMIT    "Nats-Batch-Commit"
#define JJ__HEADER_TIME_ZONE       "Nats-Schedule-Time-Zone"
#define JJ__HEADER_ERROR           "Nats-Service-Error"
#define JJ__HEADER_ERROR_CODE      "Nats-Service-Error-Code"
#define JJ__HEADER_NAME            "Job-Name"    /* of a request to a handler */
#define JJ__HEADER_ATTEMPT         "Job-Attempt" /* likewise */
#define JJ__HEADER_JOBS_SEQ        "Jobs-Seq"
#define JJ__HEADER_SCHEDULE_SEQ    "Jobs-Schedule-Seq"
#define JJ__HEADER_EVENTS_SEQ      "Jobs-Events-Seq"
#define JJ__HEADER_WAIT            "Jobs-Wait"
#define JJ__HEADER_STREAM          "Nats-Stream" /* of stored messages, before the other Nats-* */

/* The constant above that these bytes are; NULL: none. */
const char *jj__header_known(const char *text, size_t len);

/* What queue group the index services are, and how a request and its answer are in protobuf. */
#define JJ__SERVICE_QUEUE "jobs"
#define JJ__TYPE_PROTOBUF "application/protobuf"

/* 1 to 64 of A-Z a-z 0-9 _ -: what may stand as a token of a subject. Names, ids and workers. */
bool jj__token_valid(const char *text);

/* The same as an error; what is "job name", "job id", "worker name". */
jj_status jj__token_check(const char *what, const char *text, jj_error *err);

/* A subject of somebody else's to which something is sent: 1 to 255 bytes, no empty token, no
 * wildcard, space or control character. what is "subject of a request". */
jj_status jj__subject_check(const char *what, const char *subject, jj_error *err);

/* Builders. The tokens must be valid (asserted); the result always fits. */
void jj__subject_enqueue(char out[JJ__SUBJECT_SIZE], const char *name);
void jj__subject_schedule(char out[JJ__SUBJECT_SIZE], const char *name, const char *id);
void jj__subject_due(char out[JJ__SUBJECT_SIZE], const char *name);
void jj__subject_claims(char out[JJ__SUBJECT_SIZE], const char *worker);
void jj__subject_events(char out[JJ__SUBJECT_SIZE], const char *name, const char *type);
/* job.<type>; job.<name>.<type>, also for job.<id>.event; log.job.<id> */
void jj__subject_live(char out[JJ__SUBJECT_SIZE], const char *type);
void jj__subject_live_of(char out[JJ__SUBJECT_SIZE], const char *name_or_id, const char *type);
void jj__subject_log_of(char out[JJ__SUBJECT_SIZE], const char *id);
#define JJ__SUBJECT_LOG "log.job"

/* What somebody may listen to: one of these, with wildcards, but none that nothing is told on. */
jj_status jj__subject_live_check(const char *subject, jj_error *err);

/* jobs.<verb>.<name>: a request to the index service about one name; NULL: jobs.<verb>. */
void jj__subject_request(char out[JJ__SUBJECT_SIZE], const char *verb, const char *name);

/* Parsers: false unless the subject is exactly of that form with valid tokens. */
bool jj__subject_read_enqueue(const char *subject, char name_out[JJ_NAME_SIZE]);
bool jj__subject_read_schedule(const char *subject, char name_out[JJ_NAME_SIZE],
                               char id_out[JJ_NAME_SIZE]);
bool jj__subject_read_due(const char *subject, char name_out[JJ_NAME_SIZE]);
bool jj__subject_read_claims(const char *subject, char worker_out[JJ_NAME_SIZE]);
bool jj__subject_read_events(const char *subject, char name_out[JJ_NAME_SIZE],
                             char type_out[JJ_NAME_SIZE]);

/* What the reply subject of a message that a consumer delivers says:
 * $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>, or with
 * <domain>.<account hash> before the stream and perhaps more tokens at the end (ADR-15). */
struct delivery {
    uint64_t delivered; /* how often, this time included */
    uint64_t seq;       /* in the stream */
    uint64_t consumer_seq;
    int64_t stored_at_ms;
    uint64_t pending; /* messages of the consumer still to come */
};
bool jj__subject_read_ack(const char *reply, struct delivery *delivery_out);

#endif
