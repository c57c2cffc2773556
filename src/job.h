/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_JOB_H
#define JJ_SRC_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jetjobs/job.h>

#include "status.h"

/* A job as its message in JOBS, or a due message, says it. Strings are the message's own, but for
 * id and name. */
struct job {
    char id[JJ_NAME_SIZE];
    char name[JJ_NAME_SIZE];
    const void *data;
    size_t data_len;
    const jj_header *headers; /* all of the message, Nats-* ones included */
    size_t header_count;
    uint32_t attempts;     /* finished ones */
    uint32_t max_attempts; /* 0: not said */
    uint32_t redrives;
    uint32_t snoozes;
    uint32_t put_offs;  /* of these the last ones, that no run led to */
    int64_t timeout_ms; /* 0: not said */
    int64_t created_at_ms;
    int64_t run_at_ms;       /* 0: not said */
    const char *schedule_id; /* NULL: not said */
    const char *traceparent; /* NULL: not said */
};

/* A message that should be a job. */
struct job_message {
    const char *subject; /* jobs.enqueue.<name> or jobs.due.<name> */
    const void *data;
    size_t data_len;
    const jj_header *headers;
    size_t header_count;
    uint64_t seq;         /* in its stream: the id of a job that came without one */
    int64_t stored_at_ms; /* createdAt unless a header says otherwise */
};

/* Read a job from its message.
 *
 * Whatever the message holds, job_out is filled as far as it can be read, so that the job can be
 * failed by name and id: an unreadable Job-Id leaves the sequence as id. Of several headers with
 * one name the first counts; names compare exactly.
 * INVALID: a header can't be read; the text names header and value (cut, printable) and says what
 * is allowed: Job-Id and Job-Schedule-Id are tokens, Job-Max-Attempts 1..1000, Job-Attempts,
 * Job-Redrives, Job-Snoozes and Job-Put-Offs 0..1000000, Job-Timeout 1..INT64_MAX ms in decimal
 * digits only, Job-Run-At and Job-Created-At RFC 3339. PROTOCOL: the subject is of neither form;
 * job_out is then empty. */
jj_status jj__job_read(const struct job_message *message, struct job *job_out, jj_error *err);

/* Give a job from JOBS_SCHEDULE that does not say its id the one it will have: of a recurring
 * schedule's tick, the schedule's id and the time of the next tick, so that a tick that comes twice
 * is one job; else the last token of the schedule's subject. True if it is such a tick. */
bool jj__job_name_due(struct job *job);

/* The value of the first header of that name, or NULL. */
const char *jj__header_find(const jj_header *headers, size_t count, const char *name);

/* What may be sent as a header: a name of at least one byte without control characters, space and
 * colon, a value without CR and LF. NULL is neither. */
bool jj__header_name_valid(const char *name);
bool jj__header_value_valid(const char *value);

/* True if clients would take the message for one of the server's own, which have a status and no
 * data: nats.c throws away what says 503. */
bool jj__headers_mislead(const jj_header *headers, size_t count, size_t data_len);

#endif
