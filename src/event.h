/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_EVENT_H
#define JJ_SRC_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "job.h"

/* What a batch needs beside its events: headers and its own fields, generously. */
#define JJ__EVENT_OVERHEAD 1024

enum event_type {
    EVENT_STARTED, /* live only: the durable note of a start is the claim */
    EVENT_COMPLETED,
    EVENT_FAILED,
    EVENT_RETRYING,
    EVENT_CANCELLED,
    EVENT_PROGRESS,
    EVENT_EVENT,
    EVENT_LOG,
    EVENT_TYPES
};

/* "started" "completed" "failed" "retrying" "cancelled" "progress" "event" "log" */
const char *jj__event_type_text(enum event_type type);

/* EVENT_TYPES if it is none of them. */
enum event_type jj__event_type_read(const char *text);

/* What happened to a job. Everything is borrowed; what a type does not use is zero. */
struct event {
    enum event_type type;
    const char *id;
    const char *name;
    const char *worker;      /* NULL: none */
    const char *traceparent; /* NULL: none */
    int64_t time_ms;
    uint32_t attempts; /* started so far */
    uint32_t max_attempts;
    uint32_t redrives;
    uint32_t snoozes;
    uint32_t lost;
    const void *result; /* completed */
    size_t result_len;
    int64_t duration_ms;   /* completed, failed, retrying: of the handler */
    const char *error;     /* failed, retrying; NULL for a snooze */
    int64_t run_at_ms;     /* retrying: of the next attempt; 0: at once */
    const char *event;     /* event: what happened */
    jj_log_level level;    /* log */
    const char *message;   /* log, progress; NULL: none */
    const char *data;      /* log, event: one JSON value; NULL: none */
    uint32_t percent;      /* progress */
    const struct job *job; /* cancelled, failed: the job; NULL: not said */
    bool omit_data;        /* of job: it is not there, for it would not fit */
};

/* A worker's note that it starts a job. */
struct claim {
    const struct job *job;
    uint64_t seq;     /* of the job's message in JOBS */
    uint32_t attempt; /* the one that starts */
    uint32_t max_attempts;
    uint32_t lost;
    bool with_job;  /* carry data and headers: on a first attempt */
    bool omit_data; /* the data would not fit */
};

#endif
