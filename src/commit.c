/* SPDX-License-Identifier: Apache-2.0 */

/* Commits: what came of a job is stored before the job is acknowledged, and told when it is.
 *
 * The order of writes is what makes a crash harmless. A retry's schedule is stored first, then the
 * event that tells of it, then the job's message is acknowledged: so whatever happens in between,
 * the job is in one of the streams, and whoever finds the event finds the schedule too. Events of
 * one name and type gather while one or two batches of them are under way. What handlers told goes
 * before what became of their jobs. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "codec_pb.h"
#include "fault.h"
#include "resend.h"
#include "rfc3339.h"
#include "subject.h"
#include "tell.h"
#include "worker.h"

#define IN_FLIGHT_MAX     2
#define BATCH_MAX         1000
#define REFUSED_WAIT_MS   1000
#define NO_MEMORY_WAIT_MS 100

/* ---- deciding ---- */

void jj__commit_fill(const struct jj_attempt *attempt, enum event_type type, struct event *event)
{
    *event = (struct event){.type = type,
                            .id = attempt->job.id,
                            .name = attempt->handler->name,
                            .worker = attempt->worker->name,
                            .traceparent = attempt->job.traceparent,
                            .attempts = attempt->number,
                            .max_attempts = attempt->max_attempts,
                            .redrives = attempt->job.redrives,
                            .snoozes = attempt->job.snoozes,
                            .lost = attempt->lost};
}

static void outcome_event(const struct jj_attempt *attempt, struct event *event)
{
    jj__commit_fill(attempt, attempt->outcome, event);
    event->time_ms = attempt->ended_at_ms;
    event->duration_ms = attempt->ran_ms;
    event->error = attempt->outcome_error;
    if (attempt->outcome == EVENT_COMPLETED) {
        event->result = attempt->result;
        event->result_len = attempt->result_len;
    }
    if (attempt->outcome == EVENT_RETRYING)
        event->run_at_ms = attempt->run_at_ms;
    if (attempt->unclaimed) {
        event->attempts = attempt->lost > 0 ? attempt->number : attempt->job.attempts;
        event->job = &attempt->job;
    }
    if (attempt->snoozed) {
        event->attempts = attempt->job.attempts;
        event->snoozes = attempt->job.snoozes + 1;
    }
}

static uint32_t next_random(struct worker *worker)
{
    uint32_t x = worker->random == 0 ? (uint32_t)jj__clock_mono_us() | 1u : worker->random;

    x ^= x << 13; /* xorshift32 (Marsaglia 2003): spreads retries, nothing more */
    x ^= x >> 17;
    x ^= x << 5;
    worker->random = x;
    return x;
}

static void set_error(struct jj_attempt *attempt, const char *text)
{
    snprintf(attempt->error_text, sizeof(attempt->error_text), "%s", text);
    attempt->outcome_error = attempt->error_text;
}

static size_t event_limit(const struct worker *worker)
{
    return jj__broker_max_payload(worker->broker) - JJ__EVENT_OVERHEAD;
}

/* A result that can't be stored fails the job: running it again would only make the same one. */
static void check_size(struct jj_attempt *attempt)
{
    struct event event;
    char text[128];

    outcome_event(attempt, &event);
    if (jj__pb_event_size(&event) <= event_limit(attempt->worker))
        return;
    if (attempt->outcome == EVENT_COMPLETED) {
        attempt->outcome = EVENT_FAILED;
        snprintf(text, sizeof(text), "result of %zu bytes does not fit into a message of %zu",
                 attempt->result_len, event_limit(attempt->worker));
        set_error(attempt, text);
        return;
    }
    event.error = NULL;
    event.job = NULL;
    attempt->unclaimed = false;
    size_t room = event_limit(attempt->worker) - jj__pb_event_size(&event);
    if (attempt->error != NULL && attempt->outcome_error == attempt->error &&
        strlen(attempt->error) > room - 16)
        attempt->error[room - 16] = '\0';
}

static void queue_outcome(struct jj_attempt *attempt)
{
    struct handler *handler = attempt->handler;

    attempt->stage = STAGE_ENDED;
    attempt->ended_at_ms = jj__clock_wall_ms();
    check_size(attempt);
    if (attempt->outcome == EVENT_RETRYING)
        jj__queue_push(&attempt->worker->retries, attempt);
    else
        jj__queue_push(&handler->to_commit[attempt->outcome], attempt);
}

static void decide(struct jj_attempt *attempt, jj_verdict verdict, int64_t delay_ms)
{
    struct retry_policy policy = attempt->handler->policy;
    policy.max_attempts = attempt->max_attempts;
    struct decision decision =
        jj__retry_decide(&policy, verdict, attempt->number, delay_ms, next_random(attempt->worker));

    attempt->snoozed = decision.outcome == OUTCOME_SNOOZE;
    if (decision.outcome == OUTCOME_COMPLETED)
        attempt->outcome = EVENT_COMPLETED;
    else if (decision.outcome == OUTCOME_FAILED)
        attempt->outcome = EVENT_FAILED;
    else
        attempt->outcome = EVENT_RETRYING;
    if (decision.delay_ms > JJ__RFC3339_MAX_MS)
        decision.delay_ms = JJ__RFC3339_MAX_MS; /* so that the sum can't overflow */
    attempt->run_at_ms = decision.delay_ms > 0 ? jj__clock_wall_ms() + decision.delay_ms : 0;
    if (attempt->run_at_ms > JJ__RFC3339_MAX_MS)
        attempt->run_at_ms = JJ__RFC3339_MAX_MS;
    if (attempt->outcome != EVENT_COMPLETED && attempt->outcome_error == NULL && !attempt->snoozed)
        set_error(attempt,
                  attempt->error_lost ? "no memory for the reason" : "the handler gave no reason");
    queue_outcome(attempt);
}

static void note_duration(struct jj_attempt *attempt)
{
    struct handler *handler = attempt->handler;
    double sample = attempt->duration_us < 1 ? 0.5 : (double)attempt->duration_us;

    if (sample > handler->mean_us)
        handler->mean_us = handler->mean_us * 0.5 + sample * 0.5;
    else
        handler->mean_us = handler->mean_us * 0.97 + sample * 0.03;
}

void jj__commit_returned(struct jj_attempt *attempt)
{
    char text[64];

    if (attempt->sealed) {
        attempt->collected = true;
        if (attempt->settled)
            jj__attempt_free(attempt);
        return;
    }
    if (attempt->started_us > 0) {
        attempt->ran_ms = attempt->duration_us / 1000;
        note_duration(attempt);
    } else { /* it never began: the slot found it stopping */
        jj__attempt_give_back(attempt);
        return;
    }
    bool timed_out =
        attempt->timed_out || (attempt->timeout_ms > 0 && attempt->ran_ms >= attempt->timeout_ms);
    bool completed = attempt->verdict == JJ_VERDICT_DONE && !timed_out;
    if (jj__lease_is_lost(attempt) && !completed) {
        jj__attempt_free(attempt);
        return;
    }
    if (attempt->interrupted && !completed && !timed_out) {
        jj__attempt_give_back(attempt); /* it gave up because it was told to */
        return;
    }
    if (timed_out) {
        snprintf(text, sizeof(text), "timeout after %lld ms", (long long)attempt->timeout_ms);
        set_error(attempt, text);
        decide(attempt, JJ_VERDICT_RETRY, -1);
        return;
    }
    attempt->outcome_error = attempt->error;
    decide(attempt, attempt->verdict, attempt->delay_ms);
}

void jj__commit_unrun(struct jj_attempt *attempt, const char *text)
{
    attempt->unclaimed = true;
    attempt->outcome = EVENT_FAILED;
    set_error(attempt, text);
    queue_outcome(attempt);
}

void jj__commit_sealed(struct jj_attempt *attempt, const char *text)
{
    attempt->sealed = true;
    if (jj__lease_is_lost(attempt)) {
        attempt->settled = true; /* not ours any more */
        attempt->worker->settled++;
        return;
    }
    attempt->ran_ms = (jj__clock_mono_us() - attempt->started_us) / 1000;
    set_error(attempt, text);
    decide(attempt, JJ_VERDICT_RETRY, -1);
}

void jj__commit_too_early(struct jj_attempt *attempt)
{
    attempt->stage = STAGE_ENDED;
    attempt->too_early = true;
    attempt->run_at_ms = attempt->job.run_at_ms;
    jj__queue_push(&attempt->worker->retries, attempt);
}

/* ---- storing events ---- */

/* A batch of events that is under way: of attempts, or of notes. */
struct commit {
    struct worker *worker;
    struct handler *handler;
    enum event_type type;
    struct attempt_queue attempts;
    struct note *notes;
};

/* Its outcome is stored: acknowledge, tell, forget. */
static void settle(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;
    struct event event;

    jj__fault_point("commit.stored");
    outcome_event(attempt, &event);
    jj__tell(worker->broker, &worker->live, &event);
    if (attempt->sealed && !attempt->collected) {
        jj__attempt_answer(attempt, "+ACK");
        attempt->settled = true;
        worker->settled++;
    } else {
        jj__attempt_ack(attempt);
    }
    jj__fault_point("commit.acknowledged");
}

static void put_back(struct commit *commit)
{
    struct handler *handler = commit->handler;
    enum event_type type = commit->type;
    struct note **end = &commit->notes;

    jj__queue_append(&commit->attempts, &handler->to_commit[type]);
    handler->to_commit[type] = commit->attempts;
    while (*end != NULL)
        end = &(*end)->next;
    *end = handler->notes[type];
    if (handler->notes[type] == NULL)
        handler->notes_end[type] = end == &commit->notes ? &handler->notes[type] : end;
    handler->notes[type] = commit->notes;
}

static void try_later(struct worker *worker, jj_status s, const char *why)
{
    int64_t wait_ms = s == JJ_ERR_NO_MEMORY ? NO_MEMORY_WAIT_MS : REFUSED_WAIT_MS;

    jj__log(&worker->log, JJ_LOG_ERROR, "events not stored, trying again: %s", why);
    worker->commit_again_ms = jj__clock_mono_ms() + wait_ms;
}

static void stored(void *ctx, const struct publish_result *result)
{
    struct commit *commit = ctx;
    struct worker *worker = commit->worker;
    struct jj_attempt *attempt;

    commit->handler->commits[commit->type]--;
    worker->publishing--;
    if (result->status == JJ_OK) {
        while ((attempt = jj__queue_pop(&commit->attempts)) != NULL)
            settle(attempt);
        jj__notes_free(worker, commit->notes);
    } else {
        try_later(worker, result->status, result->err.text);
        put_back(commit);
    }
    free(commit);
}

static jj_status publish_events(struct worker *worker, struct commit *commit, size_t count,
                                jj_error *err)
{
    char subject[JJ__SUBJECT_SIZE];
    char msg_id[JJ_NAME_SIZE + 24];
    const jj_header header = {JJ__HEADER_MSG_ID, msg_id};
    jj_status s = jj__pb_write_events(&worker->scratch, worker->name, worker->events, count, err);
    if (s != JJ_OK)
        return s;
    const struct outgoing message = {.subject = subject,
                                     .headers = &header,
                                     .header_count = 1,
                                     .data = worker->scratch.data,
                                     .len = worker->scratch.len};
    const struct publication publication = {
        .messages = &message, .count = 1, .deadline_ms = INT64_MAX, .done = stored, .ctx = commit};

    jj__subject_events(subject, commit->handler->name, jj__event_type_text(commit->type));
    snprintf(msg_id, sizeof(msg_id), "%s:e%llu", worker->name,
             (unsigned long long)++worker->next_batch);
    commit->handler->commits[commit->type]++;
    worker->publishing++;
    jj__fault_point("commit.ready");
    s = jj__broker_publish(worker->broker, &publication, err);
    jj__fault_point("commit.sent");
    if (s != JJ_OK) {
        commit->handler->commits[commit->type]--;
        worker->publishing--;
    }
    return s;
}

/* Move as many attempts into the commit, and their events into worker->events, as fit. */
static size_t take_attempts(struct worker *worker, struct commit *commit)
{
    struct attempt_queue *queue = &commit->handler->to_commit[commit->type];
    size_t count = 0, bytes = 0;

    while (queue->first != NULL && count < BATCH_MAX) {
        struct event *event = &worker->events[count];
        outcome_event(queue->first, event);
        bytes += jj__pb_event_size(event);
        if (count > 0 && bytes > event_limit(worker))
            break;
        jj__queue_push(&commit->attempts, jj__queue_pop(queue));
        count++;
    }
    return count;
}

static size_t take_notes(struct worker *worker, struct commit *commit)
{
    struct handler *handler = commit->handler;
    struct note **link = &handler->notes[commit->type];
    size_t count = 0, bytes = 0;

    while (*link != NULL && count < BATCH_MAX) {
        bytes += jj__pb_event_size(&(*link)->event);
        if (count > 0 && bytes > event_limit(worker))
            break;
        worker->events[count++] = (*link)->event;
        link = &(*link)->next;
    }
    commit->notes = handler->notes[commit->type];
    handler->notes[commit->type] = *link;
    *link = NULL;
    if (handler->notes[commit->type] == NULL)
        handler->notes_end[commit->type] = &handler->notes[commit->type];
    return count;
}

static bool something_waits(const struct handler *handler, enum event_type type)
{
    return handler->to_commit[type].first != NULL || handler->notes[type] != NULL;
}

/* Store what waits of one name and type. False: not now, what comes after it must wait too. */
static bool commit_type(struct worker *worker, struct handler *handler, enum event_type type)
{
    while (something_waits(handler, type)) {
        if (handler->commits[type] >= IN_FLIGHT_MAX ||
            jj__clock_mono_ms() < worker->commit_again_ms)
            return false;
        struct commit *commit = calloc(1, sizeof(*commit));
        if (commit == NULL) {
            try_later(worker, JJ_ERR_NO_MEMORY, "no memory");
            return false;
        }
        jj_error err;
        *commit = (struct commit){.worker = worker, .handler = handler, .type = type};
        size_t count = take_attempts(worker, commit);
        if (count == 0)
            count = take_notes(worker, commit);
        jj_status s = publish_events(worker, commit, count, &err);
        if (s != JJ_OK) {
            try_later(worker, s, err.text);
            put_back(commit);
            free(commit);
            return false;
        }
    }
    return true;
}

static void commit_handler(struct worker *worker, struct handler *handler)
{
    static const enum event_type told[] = {EVENT_LOG, EVENT_EVENT, EVENT_PROGRESS};
    static const enum event_type became[] = {EVENT_COMPLETED, EVENT_FAILED, EVENT_RETRYING};

    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        if (!commit_type(worker, handler, told[i]))
            return;
    for (size_t i = 0; i < sizeof(became) / sizeof(became[0]); i++)
        if (!commit_type(worker, handler, became[i]))
            continue; /* the types don't wait for each other */
}

void jj__commit_turn(struct worker *worker, struct note *notes, int64_t now_ms)
{
    while (notes != NULL) { /* told in order and at once, stored by type */
        struct note *note = notes;
        struct handler *handler = note->handler;
        notes = note->next;
        note->next = NULL;
        jj__tell(worker->broker, &worker->live, &note->event);
        *handler->notes_end[note->event.type] = note;
        handler->notes_end[note->event.type] = &note->next;
    }
    jj__reschedule_turn(worker, now_ms);
    if (now_ms < worker->commit_again_ms)
        return;
    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next)
        commit_handler(worker, handler);
}

bool jj__commit_is_idle(const struct worker *worker)
{
    if (worker->publishing > 0 || worker->retries.count > 0)
        return false;
    for (const struct handler *handler = worker->handlers; handler != NULL; handler = handler->next)
        for (int type = 0; type < EVENT_TYPES; type++)
            if (something_waits(handler, (enum event_type)type))
                return false;
    return true;
}
