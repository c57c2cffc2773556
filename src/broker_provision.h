/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BROKER_PROVISION_H
#define JJ_SRC_BROKER_PROVISION_H

#include "broker.h"

/* What the operator said about the streams; 0 leaves it: ours when one is created, theirs when it
 * exists. */
struct stream_settings {
    uint32_t replicas;
    int64_t history_ms;    /* max_age of JOBS_EVENTS */
    int64_t history_bytes; /* max_bytes of JOBS_EVENTS */
    int64_t jobs_bytes;    /* max_bytes of JOBS */
};

/* Create the three streams, or compare and update what may be updated. A client that is not
 * permitted to skips it and gets JJ_OK. Nothing is ever deleted.
 * STATE: a stream is there with a setting that can't be changed, named in the text; PROTOCOL: the
 * server is too old; UNAVAILABLE, TIMEOUT. Thread: any but the broker's. */
jj_status jj__provision_streams(struct broker *broker, const struct log *log,
                                const struct stream_settings *settings, int64_t deadline_ms,
                                jj_error *err);

/* A durable consumer as it is to be. */
struct consumer_settings {
    const char *name;           /* of the jobs; NULL: the consumer of due jobs */
    int64_t ack_wait_ms;        /* 0: ours or theirs */
    uint32_t fleet_concurrency; /* 0: likewise */
};

/* What came of it: strings are the caller's to free. */
struct consumer_facts {
    char *create_subject; /* how to make it again */
    char *create_body;
    int64_t ack_wait_ms;
    uint32_t max_ack_pending;
};

/* Create a consumer, or compare and update. Where that is not permitted, or may not be done
 * (allowed false), the facts are our defaults and create_body is NULL.
 * STATE: one of that name does something else. */
jj_status jj__provision_consumer(struct broker *broker, const struct consumer_settings *settings,
                                 bool allowed, int64_t deadline_ms,
                                 struct consumer_facts *facts_out, jj_error *err);

#endif
