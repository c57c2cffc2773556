/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_FOLD_H
#define JJ_SRC_FOLD_H

#include <jetjobs/adapter.h>

#include "event.h"
#include "job.h"

/* What the streams say of a job, folded into its row. Pure.
 *
 * Each stream is read in its order, but between streams there is none, and JOBS and JOBS_SCHEDULE
 * may be read too late to see a message at all. The row must be the same whatever comes first. So
 * it is kept in two halves that never look at each other, and joined for those who ask:
 *
 * - events: what JOBS_EVENTS says, which is a state machine of its own in that stream's order.
 * - queue: the furthest message seen in JOBS or JOBS_SCHEDULE; the largest wins.
 *
 * A job's messages follow each other by redrives, then by generation: its finished attempts plus
 * its snoozes. Each message (schedule or job) of a generation may lead to one run, whose end makes
 * the next generation, or is final. In one generation, scheduled comes before pending before
 * running; a final state ends all generations of its redrive. */

/* Where a job stands, in the order of its life: compare redrives, generation, rank. */
struct standing {
    uint32_t redrives;
    uint32_t attempts; /* as the row is to show it */
    uint32_t snoozes;
    uint64_t generation;
    jj_state state; /* JJ_ANY_STATE: nothing known */
};

/* What is remembered beside the row's fields; kept in record.marks. */
struct marks {
    struct standing events;
    struct standing queue;
    int64_t queue_run_at_ms;       /* when the generation of queue is to run; 0: nobody said */
    int64_t events_run_at_ms;      /* the same of events */
    uint32_t said_max_attempts;    /* by the last claim or event that did; 0: none */
    uint32_t content_max_attempts; /* by a header of the job; 0: not */
    uint8_t content_from;          /* where the content came from: enum fold_source + 1; 0: none */
    uint64_t content_seq;          /* in JOBS, if it came from there; else 0 */
    uint64_t jobs_seq;             /* of the last message seen in JOBS; 0: none */
    uint64_t schedule_seq;         /* of the last one in JOBS_SCHEDULE */
    uint64_t claimed_seq;          /* of the last one in JOBS that was claimed; 0: none */
    uint32_t lines;                /* log lines kept */
    uint32_t lines_dropped;
    uint32_t custom; /* custom events kept */
    uint32_t custom_dropped;
};

/* Sources of content, the best first: where several have it, the best one counts, and of one
 * source the first. But data that is known is better than data that is not, wherever it is from.
 * Those that stay come before those that an index that is built later does not find any more: of
 * two messages under one id, which there are where the broker has forgotten the first, the one that
 * was claimed is the job, whether the other was seen or not. */
enum fold_source { FROM_CLAIM, FROM_EVENT, FROM_JOBS, FROM_SCHEDULE };

/* A row while it is being changed. What record points to is borrowed from whoever gave it, and
 * must live as long as the row. It points into the row, too: a row is not moved or copied. */
struct row {
    jj_record record;
    struct marks marks;
    unsigned char packed_marks[JJ_MARKS_MAX];
    char id[JJ_NAME_SIZE];
    char name[JJ_NAME_SIZE];
    bool known;           /* it has a state; else there is nothing to show, and nothing to store */
    bool changed;         /* since it was loaded: in what is stored, the marks included */
    bool content_changed; /* data_known, data or headers */
};

/* An empty row, or one from storage (strings stay borrowed). False: its marks can't be read, and
 * the row is empty. */
void jj__row_init(struct row *row, const char *id);
bool jj__row_load(struct row *row, const jj_record *record);

/* Pack the marks into record.marks, before it is stored. */
void jj__row_seal(struct row *row);

enum fold_result {
    FOLD_APPLIED, /* or there was nothing to apply: an older message, a repetition in the queue */
    FOLD_ANOMALY  /* the state machine does not allow it: nothing was changed. Also what comes under
                     another name: an id is the first name's that it is seen with */
};

/* The content that a message, claim or event carries: headers packed (content.h). */
struct content {
    bool data_known;
    const void *data;
    size_t data_len;
    const void *headers;
    size_t headers_len;
};

/* A job's message in JOBS, or its schedule or due message in JOBS_SCHEDULE. source: FROM_JOBS or
 * FROM_SCHEDULE; scheduled_at_ms: of a schedule, its Nats-Schedule: @at time, used where it has no
 * Job-Run-At. content NULL: left as it is. */
enum fold_result jj__fold_message(struct row *row, enum fold_source source, const struct job *job,
                                  const struct content *content, uint64_t seq,
                                  int64_t scheduled_at_ms);

/* A claim; content only if it carries the job, else NULL. */
enum fold_result jj__fold_claim(struct row *row, const struct claim *claim, const char *worker,
                                int64_t time_ms, const struct content *content);

/* Any event but a log line or a custom event; content as for claims, with event->job. A
 * cancellation that comes too late is an anomaly. event->name must be filled in, and a time_ms that
 * is 0 with the time of the message: what is final has a completed_at_ms. */
enum fold_result jj__fold_event(struct row *row, const struct event *event,
                                const struct content *content);

/* Whether one more log line, or custom event, is to be kept; counts it. A job has JJ__LINES_MAX of
 * each: neither takes the place of the other. An event without a name is none. */
#define JJ__LINES_MAX 1000
bool jj__fold_line(struct row *row, const struct event *event);

/* The job of a message in JOBS: true if a stored row says that it is over, and that this very
 * message led to that or to something before it. */
bool jj__fold_is_over(const jj_record *record, const struct job *job, uint64_t seq,
                      int64_t stored_at_ms);

/* True if the job is cancelled and a message of that redrive is to be deleted from its stream. */
bool jj__fold_is_cancelled(const struct row *row, uint32_t redrives);

#endif
