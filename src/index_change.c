/* SPDX-License-Identifier: Apache-2.0 */

/* Cancelling and reviving: append to a stream, then read back what came of it.
 *
 * Nothing is locked and nothing compared: the order of JOBS_EVENTS decides whether a cancellation
 * or a claim was first, and the index reads it as the workers do. A cancellation names the waiting
 * message that it is aimed at, by redrives, attempts and snoozes. If that one was put off meanwhile
 * by a worker that got it too early, or was run and led to another, it has missed and is aimed
 * again. Message ids name the step, so that two who ask at the same time write one message. */

#include "index_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "codec_pb.h"
#include "content.h"
#include "fault.h"
#include "fold.h"
#include "record.h"
#include "rfc3339.h"
#include "state.h"
#include "step.h"
#include "subject.h"
#include "tell.h"

#define MSG_ID_SIZE  (JJ_NAME_SIZE + 64)
#define OWN_HEADERS  4
#define HEADERS_MAX  ((size_t)16 * 1024 * 1024) /* memory for those of one job */
#define TRACE_HEADER JJ__HEADER_TRACEPARENT

struct change {
    struct index *index;
    struct broker *broker;
    const struct request *request;
    int64_t deadline_ms;
    struct seqs *written;
    jj_error *err;
};

/* The row as it is now. NOT_FOUND: none, or one of another name. */
static jj_status read_row(const struct change *change, jj_job **job_out)
{
    struct request get = *change->request;
    struct answer answer = {.verb = VERB_GET};

    get.verb = VERB_GET;
    jj_status s = jj__index_query(change->index, &get, &answer, change->err);
    if (s == JJ_OK && answer.job == NULL)
        s = jj__fail(change->err, JJ_ERR_NOT_FOUND, "job '%s' is not known", get.id);
    if (s == JJ_OK) {
        *job_out = answer.job;
        answer.job = NULL;
    }
    jj__answer_done(&answer);
    return s;
}

static jj_status publish(const struct change *change, const struct outgoing *message,
                         struct publish_result *result)
{
    struct publication publication = {
        .messages = message, .count = 1, .deadline_ms = change->deadline_ms};

    jj__broker_publish_wait(change->broker, &publication, result);
    if (result->status != JJ_OK)
        return jj__fail(change->err, result->status, "%s", result->err.text);
    return JJ_OK;
}

/* ---- cancel ---- */

static bool waits(const jj_record *record)
{
    return record->state == JJ_PENDING || record->state == JJ_SCHEDULED;
}

/* The row as the job that the event carries. Headers are those in arena. */
static jj_status fill_job(const jj_record *record, struct arena *arena, struct job *job,
                          jj_error *err)
{
    jj_header *headers = NULL;

    *job = (struct job){.data = record->data,
                        .data_len = record->data_len,
                        .attempts = record->attempts,
                        .max_attempts = record->max_attempts,
                        .redrives = record->redrives,
                        .snoozes = record->snoozes,
                        .created_at_ms = record->created_at_ms,
                        .run_at_ms = record->run_at_ms,
                        .schedule_id = record->schedule_id};
    snprintf(job->id, sizeof(job->id), "%s", record->id);
    snprintf(job->name, sizeof(job->name), "%s", record->name);
    if (!jj__content_unpack(arena, record->headers, record->headers_len, &headers,
                            &job->header_count))
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers of job '%s'", record->id);
    job->headers = headers;
    return JJ_OK;
}

/* The message id names what it is aimed at. */
static void write_msg_id(const jj_record *record, char out[MSG_ID_SIZE])
{
    char redrives[16] = "", snoozes[16] = "";

    if (record->redrives > 0)
        snprintf(redrives, sizeof(redrives), ":r%u", (unsigned)record->redrives);
    if (record->snoozes > 0)
        snprintf(snoozes, sizeof(snoozes), ":s%u", (unsigned)record->snoozes);
    snprintf(out, MSG_ID_SIZE, "%s:%u%s%s:cancelled", record->id, (unsigned)record->attempts,
             redrives, snoozes);
}

static void fill_event(const jj_record *record, struct event *event)
{
    *event = (struct event){
        .type = EVENT_CANCELLED,
        .id = record->id,
        .name = record->name,
        .traceparent = jj__content_find(record->headers, record->headers_len, TRACE_HEADER),
        .time_ms = jj__clock_wall_ms(),
        .attempts = record->attempts,
        .max_attempts = record->max_attempts,
        .redrives = record->redrives,
        .snoozes = record->snoozes};
}

/* Store the cancellation of the job as the row has it. */
static jj_status aim(const struct change *change, const jj_record *record, struct event *event,
                     struct publish_result *result)
{
    size_t max = jj__broker_max_payload(change->broker);
    struct buf body = {.max = max};
    struct arena arena = {.max = HEADERS_MAX};
    char subject[JJ__SUBJECT_SIZE], msg_id[MSG_ID_SIZE];
    const jj_header header = {JJ__HEADER_MSG_ID, msg_id};
    struct job job;

    fill_event(record, event);
    jj_status s = fill_job(record, &arena, &job, change->err);
    if (s != JJ_OK)
        goto done;
    event->job = record->data_known ? &job : NULL;
    if (jj__pb_event_size(event) + JJ__EVENT_OVERHEAD > max)
        event->job = NULL;
    s = jj__pb_write_events(&body, NULL, event, 1, change->err);
    if (s != JJ_OK)
        goto done;
    jj__subject_events(subject, record->name, jj__event_type_text(EVENT_CANCELLED));
    write_msg_id(record, msg_id);
    const struct outgoing message = {.subject = subject,
                                     .headers = &header,
                                     .header_count = 1,
                                     .data = body.data,
                                     .len = body.len};
    s = publish(change, &message, result);

done:
    event->job = NULL;
    jj__arena_done(&arena);
    jj__buf_done(&body);
    return s;
}

/* Wait until the index has read that far. */
static jj_status read_back(const struct change *change, struct seqs seqs)
{
    jj_error why;
    jj_status s = jj__index_wait(change->index, &seqs, NULL, change->deadline_ms, &why);

    if (seqs.events > change->written->events)
        change->written->events = seqs.events;
    if (seqs.jobs > change->written->jobs)
        change->written->jobs = seqs.jobs;
    if (s == JJ_OK)
        return s;
    return jj__fail(change->err, JJ_ERR_TIMEOUT,
                    "it was written, and what came of it is not known: %.200s", why.text);
}

struct telling {
    struct broker *broker;
    const struct event *event;
};

static void tell(void *ctx)
{
    struct telling *telling = ctx;
    struct buf body = {0};

    jj__tell(telling->broker, &body, telling->event);
    jj__buf_done(&body);
}

/* What came of a cancellation that was aimed at the row before. */
enum outcome { CANCELLED, NOT_CANCELLED, MISSED, REVIVED };

static enum outcome outcome_of(const jj_record *before, const jj_record *after)
{
    if (after->redrives > before->redrives)
        return REVIVED;
    if (after->state == JJ_CANCELLED)
        return CANCELLED;
    if (waits(after) && jj__generation(after->attempts, after->snoozes) >
                            jj__generation(before->attempts, before->snoozes))
        return MISSED;
    return NOT_CANCELLED;
}

/* Aim at the row in *job and read back what came of it: *job is the row after it. */
static jj_status cancel_once(const struct change *change, jj_job **job, enum outcome *outcome_out)
{
    struct publish_result result;
    struct event event;
    jj_job *before = *job;
    jj_job *after = NULL;

    jj__fault_point("cancel.ready");
    jj_status s = aim(change, &before->record, &event, &result);
    jj__fault_point("cancel.stored");
    if (s == JJ_OK)
        s = read_back(change, (struct seqs){.events = result.seq});
    if (s == JJ_OK)
        s = read_row(change, &after);
    if (s != JJ_OK)
        return s;
    *outcome_out = outcome_of(&before->record, &after->record);
    if (*outcome_out == CANCELLED && !result.duplicate) { /* else the other one tells it */
        struct telling telling = {.broker = change->broker, .event = &event};
        jj__broker_call(change->broker, tell, &telling);
    }
    jj_job_free(before);
    *job = after;
    return JJ_OK;
}

static jj_status cancel(const struct change *change, bool *yes_out)
{
    enum outcome outcome = MISSED;
    jj_job *job = NULL;
    jj_status s = read_row(change, &job);

    while (s == JJ_OK && outcome == MISSED && waits(&job->record)) {
        s = cancel_once(change, &job, &outcome);
        if (s == JJ_OK && outcome == MISSED && jj__clock_mono_ms() >= change->deadline_ms)
            s = jj__fail(change->err, JJ_ERR_TIMEOUT, "job '%s' goes on faster than it is read",
                         change->request->id);
    }
    if (s == JJ_OK && outcome == REVIVED)
        s = jj__fail(change->err, JJ_ERR_TIMEOUT, "job '%s' was revived at the same time",
                     change->request->id);
    jj_job_free(job);
    if (s == JJ_OK)
        *yes_out = outcome == CANCELLED;
    return s;
}

/* ---- retry ---- */

struct revival {
    char subject[JJ__SUBJECT_SIZE];
    char msg_id[MSG_ID_SIZE];
    char redrives[12];
    char created_at[JJ__RFC3339_SIZE];
};

/* Servers check no headers, so others' jobs may have what we don't send. */
static bool can_be_sent(const jj_header *header)
{
    return jj__header_name_valid(header->name) && jj__header_value_valid(header->value);
}

/* The job's own headers, and those of its new life. */
static jj_status write_headers(const jj_record *record, const struct revival *revival,
                               struct arena *arena, struct outgoing *message, jj_error *err)
{
    jj_header *own = NULL;
    size_t own_count = 0, count = 0;

    if (!jj__content_unpack(arena, record->headers, record->headers_len, &own, &own_count))
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers of job '%s'", record->id);
    jj_header *headers = jj__arena_array(arena, own_count + OWN_HEADERS, sizeof(*headers));
    if (headers == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers of job '%s'", record->id);
    headers[count++] = (jj_header){JJ__HEADER_MSG_ID, revival->msg_id};
    headers[count++] = (jj_header){JJ__HEADER_ID, record->id};
    headers[count++] = (jj_header){JJ__HEADER_REDRIVES, revival->redrives};
    if (record->created_at_ms > 0)
        headers[count++] = (jj_header){JJ__HEADER_CREATED_AT, revival->created_at};
    for (size_t i = 0; i < own_count; i++)
        if (can_be_sent(&own[i]))
            headers[count++] = own[i];
    message->headers = headers;
    message->header_count = count;
    return JJ_OK;
}

static jj_status revive(const struct change *change, const jj_record *record, uint64_t *seq_out)
{
    struct arena arena = {.max = HEADERS_MAX};
    struct revival revival;
    struct publish_result result;
    struct outgoing message = {
        .subject = revival.subject, .data = record->data, .len = record->data_len};
    unsigned redrives = (unsigned)record->redrives + 1;

    jj__subject_enqueue(revival.subject, record->name);
    snprintf(revival.msg_id, sizeof(revival.msg_id), "%s:0:r%u", record->id, redrives);
    snprintf(revival.redrives, sizeof(revival.redrives), "%u", redrives);
    jj__rfc3339_write(record->created_at_ms, revival.created_at);
    jj_status s = write_headers(record, &revival, &arena, &message, change->err);
    if (s == JJ_OK)
        s = publish(change, &message, &result);
    if (s == JJ_OK)
        *seq_out = result.seq;
    jj__arena_done(&arena);
    return s;
}

static jj_status retry(const struct change *change, bool *yes_out)
{
    jj_job *job = NULL;
    uint64_t seq = 0;
    jj_status s = read_row(change, &job);
    if (s != JJ_OK)
        return s;
    const jj_record *record = &job->record;
    bool can = record->state == JJ_FAILED || record->state == JJ_CANCELLED;

    if (can && !record->data_known)
        s = jj__fail(change->err, JJ_ERR_STATE, "job '%s' was not redriven: its data is not known",
                     record->id);
    else if (can)
        s = revive(change, record, &seq);
    if (s == JJ_OK && can)
        s = read_back(change, (struct seqs){.jobs = seq});
    jj_job_free(job);
    if (s == JJ_OK)
        *yes_out = can;
    return s;
}

jj_status jj__index_change(struct index *index, const struct request *request, int64_t deadline_ms,
                           struct answer *answer, struct seqs *written_out, jj_error *err)
{
    jj_error own;
    const struct change change = {.index = index,
                                  .broker = index->broker,
                                  .request = request,
                                  .deadline_ms = deadline_ms,
                                  .written = written_out,
                                  .err = err == NULL ? &own : err};

    *written_out = (struct seqs){0};
    *answer = (struct answer){.verb = request->verb};
    if (request->verb == VERB_CANCEL)
        return cancel(&change, &answer->yes);
    return retry(&change, &answer->yes);
}
