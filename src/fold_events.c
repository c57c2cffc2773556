/* SPDX-License-Identifier: Apache-2.0 */
/* What JOBS_EVENTS says of a job. All that happens here happens in the order of that stream, and
 * nothing here may look at what the two queues said: that one may be read sooner or later.
 *
 * Every claim and event is about one generation of one redrive. One rule judges them all: a later
 * redrive begins anew, an earlier redrive or generation has been overtaken, and what is left must
 * be a step of the state machine (state.c). A job that waits is taken as pending: that a schedule
 * came due is written in no event. */

#include "fold_events.h"

#include <string.h>

#include "state.h"
#include "step.h"

/* The generation that was run, where attempts counts the run. */
static uint64_t generation_run(uint32_t attempts, uint32_t snoozes)
{
    return jj__generation(attempts > 0 ? attempts - 1 : 0, snoozes);
}

static bool waits(jj_state state)
{
    return state == JJ_PENDING || state == JJ_SCHEDULED;
}

/* What the job was when a step of this generation, not an earlier one, led to another state. A
 * cancellation that is aimed beyond the run is not too late: the worker had stored the job's next
 * message, and did not live or has not come to say so. */
static jj_state state_before(const struct standing *events, uint64_t generation, jj_state to)
{
    if (waits(events->state))
        return JJ_PENDING;
    if (to == JJ_CANCELLED && events->state == JJ_RUNNING && generation > events->generation)
        return JJ_PENDING;
    return events->state;
}

static bool is_legal(const struct standing *events, uint32_t redrives, uint64_t generation,
                     jj_state to)
{
    if (redrives != events->redrives)
        return redrives > events->redrives;
    if (jj__state_is_final(events->state) || generation < events->generation)
        return false;
    return jj__state_can_become(state_before(events, generation, to), to);
}

void jj__fold_events_clear(jj_record *record)
{
    record->started_at_ms = 0;
    record->completed_at_ms = 0;
    record->lost = 0;
    record->progress = JJ_NO_PROGRESS;
    record->worker = NULL;
    record->error = NULL;
    record->result = NULL;
    record->result_len = 0;
}

/* Go on to where the job now stands. A job that was put off keeps its time, though no event tells
 * of it; the next attempt has a time of its own. */
static void step(struct row *row, const struct standing *to)
{
    struct standing *events = &row->marks.events;
    bool anew = to->redrives != events->redrives;

    if (anew)
        jj__fold_events_clear(&row->record);
    if (anew || (events->state == JJ_RUNNING && to->generation > events->generation))
        row->marks.events_run_at_ms = 0;
    *events = *to;
}

static void note_max_attempts(struct row *row, uint32_t max_attempts)
{
    if (max_attempts > 0)
        row->marks.said_max_attempts = max_attempts;
}

static void note_run_at(struct row *row, const struct job *job)
{
    if (job->run_at_ms > 0)
        row->marks.events_run_at_ms = job->run_at_ms;
}

/* ---- claims ---- */

static bool is_already_running(const struct standing *events, const struct standing *to)
{
    return events->state == JJ_RUNNING && events->redrives == to->redrives &&
           events->generation == to->generation;
}

/* The same claim once more, stored twice because its first acknowledgement was lost: a worker's
 * name is its own, and it claims nothing twice in a millisecond. Whatever depends on this must be
 * hidden together with what it looks at, by a later redrive. */
static bool is_repeated(const jj_record *record, const char *worker, int64_t time_ms)
{
    return worker != NULL && record->worker != NULL && strcmp(record->worker, worker) == 0 &&
           record->started_at_ms == time_ms;
}

/* A claim on a run is a worker that vanished, even if the next one could not know of it. */
static uint32_t lost_again(uint32_t lost, uint32_t said)
{
    if (lost < UINT32_MAX)
        lost++;
    return said > lost ? said : lost;
}

bool jj__fold_events_claim(struct row *row, const struct claim *claim, const char *worker,
                           int64_t time_ms)
{
    const struct job *job = claim->job;
    jj_record *record = &row->record;
    const struct standing running = {.redrives = job->redrives,
                                     .attempts = claim->attempt,
                                     .snoozes = job->snoozes,
                                     .generation = generation_run(claim->attempt, job->snoozes),
                                     .state = JJ_RUNNING};
    if (!is_legal(&row->marks.events, running.redrives, running.generation, JJ_RUNNING))
        return false;
    bool again = is_already_running(&row->marks.events, &running);

    step(row, &running);
    if (!again || !is_repeated(record, worker, time_ms)) {
        record->lost = again ? lost_again(record->lost, claim->lost) : claim->lost;
        record->progress = JJ_NO_PROGRESS;
    }
    record->worker = worker;
    record->started_at_ms = time_ms;
    if (claim->seq > row->marks.claimed_seq)
        row->marks.claimed_seq = claim->seq;
    note_max_attempts(row, claim->max_attempts);
    if (claim->with_job)
        note_run_at(row, job);
    return true;
}

/* ---- events ---- */

static void note_error(struct row *row, const char *error)
{
    if (error != NULL)
        row->record.error = error;
}

/* Attempts and snoozes of this event are those of the next message. Without a delay, that one may
 * be claimed before this is stored: then it tells no more than why the attempt before has failed.
 */
static bool retrying(struct row *row, const struct event *event)
{
    uint64_t next = jj__generation(event->attempts, event->snoozes);
    const struct standing waiting = {.redrives = event->redrives,
                                     .attempts = event->attempts,
                                     .snoozes = event->snoozes,
                                     .generation = next > 0 ? next : 1,
                                     .state = event->run_at_ms > 0 ? JJ_SCHEDULED : JJ_PENDING};

    if (is_already_running(&row->marks.events, &waiting)) {
        note_error(row, event->error);
        return true;
    }
    if (!is_legal(&row->marks.events, event->redrives, waiting.generation - 1, waiting.state))
        return false;
    step(row, &waiting);
    row->marks.events_run_at_ms = event->run_at_ms > 0 ? event->run_at_ms : 0;
    note_error(row, event->error);
    note_max_attempts(row, event->max_attempts);
    return true;
}

static bool end(struct row *row, const struct event *event, uint64_t generation, jj_state state)
{
    jj_record *record = &row->record;
    const struct standing over = {.redrives = event->redrives,
                                  .attempts = event->attempts,
                                  .snoozes = event->snoozes,
                                  .generation = generation,
                                  .state = state};

    if (!is_legal(&row->marks.events, event->redrives, generation, state))
        return false;
    step(row, &over);
    record->completed_at_ms = event->time_ms;
    if (event->lost > record->lost)
        record->lost =
            event->lost; /* of the workers that were lost the last may be told only here */
    note_max_attempts(row, event->max_attempts);
    if (event->job != NULL)
        note_run_at(row, event->job);
    return true;
}

static bool completed(struct row *row, const struct event *event)
{
    if (!end(row, event, generation_run(event->attempts, event->snoozes), JJ_COMPLETED))
        return false;
    row->record.result = event->result_len > 0 ? event->result : NULL;
    row->record.result_len = event->result_len;
    if (event->worker != NULL)
        row->record.worker = event->worker;
    return true;
}

/* With the job: it was not run, and its message says which generation that was. */
static bool failed(struct row *row, const struct event *event)
{
    uint64_t generation = event->job != NULL
                              ? jj__generation(event->job->attempts, event->job->snoozes)
                              : generation_run(event->attempts, event->snoozes);

    if (!end(row, event, generation, JJ_FAILED))
        return false;
    note_error(row, event->error);
    if (event->worker != NULL)
        row->record.worker = event->worker;
    return true;
}

/* Of another run than the present one it means nothing. */
static void progress(struct row *row, const struct event *event)
{
    const struct standing *events = &row->marks.events;

    if (events->state == JJ_RUNNING && event->redrives == events->redrives &&
        generation_run(event->attempts, event->snoozes) == events->generation)
        row->record.progress = event->percent;
}

bool jj__fold_events_event(struct row *row, const struct event *event)
{
    switch (event->type) {
    case EVENT_COMPLETED:
        return completed(row, event);
    case EVENT_FAILED:
        return failed(row, event);
    case EVENT_RETRYING:
        return retrying(row, event);
    case EVENT_CANCELLED: /* aimed at a message that waits */
        return end(row, event, jj__generation(event->attempts, event->snoozes), JJ_CANCELLED);
    case EVENT_PROGRESS:
        progress(row, event);
        return true;
    case EVENT_STARTED:
    case EVENT_EVENT:
    case EVENT_LOG:
    case EVENT_TYPES:
        break;
    }
    return true;
}
