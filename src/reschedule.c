/* SPDX-License-Identifier: Apache-2.0 */

/* Storing a job's next step: its retry, or the message that it was put off by.
 *
 * It must not replace a later step (place.h), which another worker that held the job may have
 * stored; that is found out only when the stream refuses, as it hardly ever happens. */

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "fault.h"
#include "place.h"
#include "resend.h"
#include "worker.h"

#define REFUSED_WAIT_MS 1000
#define LOOK_LIMIT_MS   2000

/* To be run again, or put off: that costs no attempt. */
static struct step next_step(const struct jj_attempt *attempt)
{
    bool put_off = attempt->too_early || attempt->snoozed;

    return (struct step){.redrives = attempt->job.redrives,
                         .attempts = put_off ? attempt->job.attempts : attempt->number,
                         .snoozes = attempt->job.snoozes + (put_off ? 1 : 0)};
}

static void fail_unrepeatable(struct jj_attempt *attempt, const char *reason)
{
    const char *why = attempt->outcome_error == NULL ? "put off" : attempt->outcome_error;
    char text[JJ_ERROR_TEXT_SIZE];

    snprintf(text, sizeof(text), "%.160s (not repeated: %.120s)", why, reason);
    attempt->snoozed = false;
    if (attempt->too_early) {
        attempt->too_early = false;
        jj__commit_unrun(attempt, text);
        return;
    }
    attempt->outcome = EVENT_FAILED;
    memcpy(attempt->error_text, text, sizeof(text));
    attempt->outcome_error = attempt->error_text;
    jj__queue_push(&attempt->handler->to_commit[EVENT_FAILED], attempt);
}

/* Who may not write schedules asks a service to, until that fails. True: it is to be asked now. */
static bool turn_to_service(struct jj_attempt *attempt, jj_status status)
{
    struct worker *worker = attempt->worker;

    if (attempt->by_service && status != JJ_OK)
        worker->by_service = false; /* perhaps we may by now */
    if (attempt->by_service || attempt->run_at_ms <= 0 || status != JJ_ERR_NOT_PERMITTED)
        return false;
    worker->by_service = true;
    return true;
}

static void stored(struct jj_attempt *attempt)
{
    if (attempt->too_early) {
        jj__attempt_ack(attempt);
        return;
    }
    jj__fault_point("retry.stored");
    jj__queue_push(&attempt->handler->to_commit[EVENT_RETRYING], attempt);
}

static void try_later(struct jj_attempt *attempt, const char *why)
{
    struct worker *worker = attempt->worker;

    jj__log(&worker->log, JJ_LOG_ERROR, "retry of job %s not stored, trying again: %s",
            attempt->job.id, why);
    attempt->schedule_again_ms = jj__clock_mono_ms() + REFUSED_WAIT_MS;
    jj__queue_push(&worker->retries, attempt);
}

/* ---- when something is there ---- */

/* What is there has been read: a later step of the job stays, and is as good as ours. */
static void take_place(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct jj_attempt *attempt = ctx;
    const struct step step = next_step(attempt);
    struct place place = {0};
    jj_error err;

    attempt->worker->publishing--;
    if (status == JJ_OK)
        status = jj__place_read(msg, &step, &place, &err);
    else
        jj__ignore(jj__fail(&err, status, "%s", jj_status_text(status)), "status is what it was");
    jj__msg_free(msg);
    attempt->blind = status == JJ_ERR_NOT_PERMITTED;
    attempt->place_seq = place.seq;
    if (status != JJ_OK && !attempt->blind)
        try_later(attempt, err.text);
    else if (place.recurs)
        fail_unrepeatable(attempt, "its id is that of a recurring schedule");
    else if (place.holds)
        stored(attempt);
    else
        jj__queue_push(&attempt->worker->retries, attempt);
}

static void look_at_place(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;
    char schedule[JJ__SUBJECT_SIZE], subject[JJ__PLACE_SIZE];
    const struct question question = {.message = {.subject = subject},
                                      .deadline_ms = jj__clock_mono_ms() + LOOK_LIMIT_MS,
                                      .answer = take_place,
                                      .ctx = attempt};
    jj_error err;

    jj__subject_schedule(schedule, attempt->job.name, attempt->job.id);
    jj__place_question(schedule, subject);
    worker->publishing++;
    if (jj__broker_ask(worker->broker, &question, &err) == JJ_OK)
        return;
    worker->publishing--;
    try_later(attempt, err.text);
}

/* ---- publishing ---- */

static void scheduled(void *ctx, const struct publish_result *result)
{
    struct jj_attempt *attempt = ctx;
    struct worker *worker = attempt->worker;

    worker->publishing--;
    if (jj__place_taken(result->err_code))
        look_at_place(attempt);
    else if (turn_to_service(attempt, result->status))
        jj__queue_push(&worker->retries, attempt);
    else if (result->status == JJ_ERR_TOO_LARGE)
        /* Another client may leave no room for the headers that a retry needs. */
        fail_unrepeatable(attempt, "the job is too large to be stored again");
    else if (result->status == JJ_ERR_INVALID && attempt->by_service)
        fail_unrepeatable(attempt, result->err.text);
    else if (result->status != JJ_OK)
        try_later(attempt, result->err.text);
    else
        stored(attempt);
}

static void publish_retry(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;
    const struct step step = next_step(attempt);
    const struct resend resend = {.job = &attempt->job,
                                  .attempts = step.attempts,
                                  .snoozes = step.snoozes,
                                  .put_offs = attempt->too_early ? attempt->job.put_offs + 1 : 0,
                                  .run_at_ms = attempt->run_at_ms,
                                  .place_seq = attempt->place_seq,
                                  .blind = attempt->blind,
                                  .ask = worker->by_service && attempt->run_at_ms > 0};
    jj_error err;

    attempt->by_service = resend.ask;
    worker->publishing++;
    jj__fault_point("retry.ready");
    jj_status s = jj__resend_publish(worker->broker, &resend, scheduled, attempt, &err);
    if (s != JJ_OK) {
        const struct publish_result result = {.status = s, .err = err};
        scheduled(attempt, &result);
    }
}

void jj__reschedule_turn(struct worker *worker, int64_t now_ms)
{
    struct attempt_queue retries = worker->retries;
    struct jj_attempt *attempt;

    worker->retries = (struct attempt_queue){0};
    while ((attempt = jj__queue_pop(&retries)) != NULL) {
        if (now_ms >= attempt->schedule_again_ms)
            publish_retry(attempt);
        else
            jj__queue_push(&worker->retries, attempt);
    }
}
