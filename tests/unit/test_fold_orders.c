/* SPDX-License-Identifier: Apache-2.0 */
/* Histories of jobs, read in many orders.
 *
 * A history is what the three streams hold after workers, movers and users did what they do, some
 * of it twice, too late, or not to its end. Each stream keeps its order, but which stream is read
 * when is anybody's guess, and at any moment the rows may go to storage and come back. All orders
 * must give the same rows, and these must be what a model says that knew what really happened.
 *
 * A failure names its seed: set JETJOBS_SEED to it to run that history first. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "fold.h"
#include "state.h"
#include "step.h"

#define JOBS       3
#define STREAM_MAX 400
#define RUNS_MAX   16
#define TEXTS      64

#define HISTORIES 140 /* of each kind */
#define ORDERS    8   /* of each history */

enum stream { QUEUE, SCHEDULE, EVENTS, STREAMS };

/* One thing in a stream: a job's message, a claim, an event or a log line. */
struct said {
    enum { MESSAGE, CLAIM, EVENT, LINE } kind;
    size_t of; /* which job */
    struct job job;
    struct claim claim;
    struct event event;
    bool has_job; /* claim, event: carries it */
    const char *worker;
    int64_t time_ms;
    int64_t scheduled_at_ms;
    struct content content;
};

/* A run of a job that some worker may still tell of. */
struct run {
    uint32_t redrives;
    uint32_t number;
    uint32_t snoozes;
    const char *worker;
};

enum place { NOWHERE, IN_SCHEDULE, IN_QUEUE, RUNNING, OVER };

/* What really is with a job. */
struct world {
    size_t of;
    enum place place;
    jj_record is;          /* as its row should be */
    uint32_t finished;     /* attempts */
    int64_t own_run_at_ms; /* Job-Run-At of its message */
    uint32_t header_max_attempts;
    bool is_large;             /* claims don't carry its data */
    struct run runs[RUNS_MAX]; /* the last ones, newest at run_count - 1 */
    size_t run_count;
    bool run_is_open; /* no event has said how the newest one ended */
    bool has_untold;  /* the event of the newest retry is still to be written */
    struct event untold;
    bool run_at_is_in_queue; /* no event says it */
    bool run_at_is_unsure;
    uint32_t put_offs; /* since the last claim */
    uint32_t lines;
    const char *data;
    uint64_t seq; /* of its last message in JOBS */
    struct {
        uint64_t seq; /* of a first message that was enqueued once more; 0: it was not */
        int64_t created_at_ms;
        const char *data;
    } again;
};

struct history {
    uint64_t seed;
    uint64_t random;
    int64_t now_ms;
    struct said said[STREAMS][STREAM_MAX];
    size_t count[STREAMS];
    struct world worlds[JOBS];
};

static struct history history;
static char texts[TEXTS][8];

/* ---- random numbers ---- */

static uint64_t next_random(uint64_t *random) /* splitmix64 (Vigna) */
{
    uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(struct history *h, uint32_t limit)
{
    return (uint32_t)(next_random(&h->random) % limit);
}

static bool chance(struct history *h, uint32_t percent)
{
    return below(h, 100) < percent;
}

static const char *any_text(struct history *h)
{
    return texts[below(h, TEXTS)];
}

/* ---- saying it in a stream ---- */

static struct said *say(struct history *h, enum stream stream, size_t of)
{
    assert_true(h->count[stream] < STREAM_MAX);
    struct said *said = &h->said[stream][h->count[stream]++];

    *said = (struct said){.of = of, .time_ms = ++h->now_ms};
    return said;
}

static void name_job(struct job *job, size_t of)
{
    snprintf(job->id, sizeof(job->id), "job-%zu", of);
    snprintf(job->name, sizeof(job->name), "name-%zu", of % 2);
}

static struct content content_of(const struct world *w, bool with_data)
{
    struct content content = {.data_known = with_data, .headers = "A\0b", .headers_len = 4};

    if (with_data) {
        content.data = w->data;
        content.data_len = strlen(w->data);
    }
    return content;
}

static struct job job_of(const struct world *w)
{
    struct job job = {.attempts = w->finished,
                      .redrives = w->is.redrives,
                      .snoozes = w->is.snoozes,
                      .max_attempts = w->header_max_attempts,
                      .run_at_ms = w->own_run_at_ms,
                      .created_at_ms = w->is.created_at_ms,
                      .schedule_id = w->is.schedule_id};

    name_job(&job, w->of);
    return job;
}

static void say_message(struct history *h, struct world *w, enum stream stream)
{
    struct said *said = say(h, stream, w->of);

    said->kind = MESSAGE;
    said->job = job_of(w);
    said->content = content_of(w, true);
    if (w->header_max_attempts > 0)
        w->is.max_attempts = w->header_max_attempts;
    if (stream == QUEUE)
        w->seq = h->count[QUEUE];
    w->place = stream == QUEUE ? IN_QUEUE : IN_SCHEDULE;
    w->is.state = stream == QUEUE ? JJ_PENDING : JJ_SCHEDULED;
}

static struct event event_of(const struct world *w, enum event_type type)
{
    return (struct event){.type = type,
                          .attempts = w->is.attempts,
                          .redrives = w->is.redrives,
                          .snoozes = w->is.snoozes,
                          .max_attempts = w->is.max_attempts,
                          .lost = w->place == RUNNING ? w->is.lost : 0,
                          .worker = w->is.worker};
}

static bool is_line(const struct event *event)
{
    return event->type == EVENT_LOG || event->type == EVENT_EVENT;
}

static struct said *say_event(struct history *h, const struct world *w, struct event event)
{
    struct said *said = say(h, EVENTS, w->of);

    said->kind = is_line(&event) ? LINE : EVENT;
    said->event = event;
    said->event.time_ms = said->time_ms;
    return said;
}

static void carry_job(struct said *said, struct world *w, bool with_data)
{
    said->has_job = true;
    said->job = job_of(w);
    said->content = content_of(w, with_data);
    if (w->own_run_at_ms != 0)
        w->run_at_is_in_queue = false;
}

/* ---- what happens to a job ---- */

static void end(struct world *w, jj_state state, int64_t time_ms)
{
    w->place = OVER;
    w->is.state = state;
    w->is.completed_at_ms = time_ms;
    w->run_is_open = false;
    w->has_untold = false;
}

static void enqueue(struct history *h, struct world *w)
{
    w->is.created_at_ms = ++h->now_ms;
    say_message(h, w, QUEUE);
}

/* Half of them come from a client that leaves the time to the schedule alone. */
static void schedule(struct history *h, struct world *w)
{
    w->is.created_at_ms = ++h->now_ms;
    w->is.run_at_ms = h->now_ms + 1000;
    w->own_run_at_ms = chance(h, 50) ? w->is.run_at_ms : 0;
    w->run_at_is_in_queue = true;
    say_message(h, w, SCHEDULE);
    h->said[SCHEDULE][h->count[SCHEDULE] - 1].scheduled_at_ms =
        w->own_run_at_ms == 0 ? w->is.run_at_ms : w->is.run_at_ms - 500;
}

static bool was_never_run(const struct world *w)
{
    return w->is.redrives == 0 && w->finished == 0 && w->is.snoozes == 0;
}

/* The broker does not know the message id any more, and the producer, who was not told that the
 * job is stored, or takes the id for another one, enqueues it. Not where the first message may be
 * gone and nobody else has told the data. */
static void enqueue_again(struct history *h, struct world *w)
{
    const struct world before = *w;

    if (w->seq == 0 || w->again.seq != 0 || w->is_large || !was_never_run(w) ||
        (w->place == OVER && w->run_count == 0))
        return;
    w->is.created_at_ms = ++h->now_ms;
    w->data = texts[JOBS + w->of];
    say_message(h, w, QUEUE);
    const struct world again = *w;
    *w = before;
    w->again.seq = again.seq;
    w->again.created_at_ms = again.is.created_at_ms;
    w->again.data = again.data;
}

static void fire(struct history *h, struct world *w)
{
    for (uint32_t i = below(h, 3); i > 0; i--)
        say_message(h, w, SCHEDULE); /* the due message: unseen, seen, or there twice */
    say_message(h, w, QUEUE);
}

/* A worker got it before its time. No event tells of it. */
static void put_off(struct history *h, struct world *w)
{
    w->is.snoozes++;
    w->put_offs++;
    say_message(h, w, SCHEDULE);
}

static void say_claim(struct history *h, struct world *w, uint32_t lost)
{
    struct said *said = say(h, EVENTS, w->of);

    said->kind = CLAIM;
    said->worker = texts[below(h, 8)];
    if (w->is.attempts == 1)
        carry_job(said, w, !w->is_large);
    said->job = job_of(w);
    said->claim = (struct claim){.attempt = w->is.attempts,
                                 .max_attempts = w->is.max_attempts,
                                 .lost = lost,
                                 .seq = w->seq,
                                 .with_job = said->has_job,
                                 .omit_data = w->is_large};
    w->is.worker = said->worker;
    w->is.started_at_ms = said->time_ms;
    w->is.progress = JJ_NO_PROGRESS;
    if (w->run_count == RUNS_MAX) {
        memmove(w->runs, w->runs + 1, (RUNS_MAX - 1) * sizeof(w->runs[0]));
        w->run_count--;
    }
    w->runs[w->run_count++] =
        (struct run){w->is.redrives, w->is.attempts, w->is.snoozes, said->worker};
}

/* Of two messages, either may be had first, and then that is the job. */
static void take_either(struct history *h, struct world *w)
{
    if (w->again.seq == 0 || !was_never_run(w) || chance(h, 50))
        return;
    w->is.created_at_ms = w->again.created_at_ms;
    w->data = w->again.data;
    w->seq = w->again.seq;
}

static void claim(struct history *h, struct world *w)
{
    take_either(h, w);
    w->place = RUNNING;
    w->is.state = JJ_RUNNING;
    w->is.attempts = w->finished + 1;
    w->is.lost = 0;
    w->is.max_attempts = w->header_max_attempts > 0 ? w->header_max_attempts : 3 + below(h, 2);
    w->run_is_open = true;
    w->put_offs = 0;
    say_claim(h, w, 0);
}

/* Its worker vanished. The next one knows that from the index, if one answers. */
static void claim_again(struct history *h, struct world *w)
{
    w->is.lost++;
    say_claim(h, w, chance(h, 50) ? w->is.lost : 0);
}

static uint64_t generation_of(const struct run *run)
{
    return jj__generation(run->number - 1, run->snoozes);
}

/* It tells why the run before failed, if the next one runs, and else nothing. */
static void note_late_retry(struct world *w, const struct event *event)
{
    if (w->run_count == 0 || !w->run_is_open || event->error == NULL)
        return;
    const struct run *newest = &w->runs[w->run_count - 1];
    if (event->redrives == newest->redrives && newest->redrives == w->is.redrives &&
        jj__generation(event->attempts, event->snoozes) == generation_of(newest))
        w->is.error = event->error;
}

static void tell_untold(struct history *h, struct world *w)
{
    if (!w->has_untold)
        return;
    say_event(h, w, w->untold);
    w->has_untold = false;
    if (w->place == RUNNING) {
        note_late_retry(w, &w->untold);
        return;
    }
    if (w->untold.error != NULL)
        w->is.error = w->untold.error;
    w->run_is_open = false;
    w->run_at_is_in_queue = false;
}

/* The message is stored first, then the event; the worker may die in between, or be slow. */
static void send_on(struct history *h, struct world *w, uint32_t snoozes, const char *error)
{
    bool at_once = chance(h, 30);

    w->finished = snoozes > 0 ? w->finished : w->is.attempts;
    w->is.attempts = w->finished;
    w->is.snoozes += snoozes;
    w->is.run_at_ms = at_once ? 0 : ++h->now_ms + 1000;
    w->own_run_at_ms = w->is.run_at_ms;
    w->untold = event_of(w, EVENT_RETRYING);
    w->untold.run_at_ms = w->is.run_at_ms;
    w->untold.error = error;
    w->has_untold = true;
    w->run_at_is_in_queue = true;
    say_message(h, w, at_once ? QUEUE : SCHEDULE);
    if (chance(h, 70))
        tell_untold(h, w);
}

static void complete(struct history *h, struct world *w)
{
    struct event event = event_of(w, EVENT_COMPLETED);

    if (chance(h, 70))
        event.result = any_text(h);
    event.result_len = event.result != NULL ? 7 : 0;
    w->is.result = event.result;
    w->is.result_len = event.result_len;
    end(w, JJ_COMPLETED, say_event(h, w, event)->time_ms);
}

static void fail_for_good(struct history *h, struct world *w)
{
    struct event event = event_of(w, EVENT_FAILED);

    w->is.error = event.error = any_text(h);
    end(w, JJ_FAILED, say_event(h, w, event)->time_ms);
}

/* It was lost too often, and is not run again. */
static void give_up(struct history *h, struct world *w)
{
    struct event event = event_of(w, EVENT_FAILED);

    event.lost = ++w->is.lost;
    w->is.worker = event.worker = texts[below(h, 8)];
    w->is.error = event.error = any_text(h);
    struct said *said = say_event(h, w, event);
    carry_job(said, w, true);
    end(w, JJ_FAILED, said->time_ms);
}

/* A header can't be read. The job is told along unless that makes the event too large. */
static void fail_unrun(struct history *h, struct world *w)
{
    bool too_large = chance(h, 25) && w->again.seq == 0;

    if (too_large)
        w->is.attempts++;
    struct event event = event_of(w, EVENT_FAILED);
    w->is.worker = event.worker = texts[below(h, 8)];
    w->is.error = event.error = any_text(h);
    event.max_attempts = w->is.max_attempts =
        w->header_max_attempts > 0 ? w->header_max_attempts : 3;
    struct said *said = say_event(h, w, event);
    if (!too_large)
        carry_job(said, w, true);
    end(w, JJ_FAILED, said->time_ms);
}

/* Perhaps by an index that has not seen it put off. */
static void cancel(struct history *h, struct world *w)
{
    if (w->put_offs > 0 && chance(h, 50))
        w->is.snoozes--;
    struct event event = event_of(w, EVENT_CANCELLED);
    event.worker = NULL;
    struct said *said = say_event(h, w, event);
    carry_job(said, w, chance(h, 80) || w->again.seq != 0);
    end(w, JJ_CANCELLED, said->time_ms);
}

static void cancel_too_late(struct history *h, struct world *w)
{
    struct event event = event_of(w, EVENT_CANCELLED);

    struct world before = *w;
    event.attempts = w->finished;
    event.worker = NULL;
    carry_job(say_event(h, w, event), &before, true);
}

static void tell_progress(struct history *h, struct world *w)
{
    struct event event = event_of(w, EVENT_PROGRESS);

    w->is.progress = event.percent = below(h, 101);
    say_event(h, w, event);
}

/* What it may have had before it was revived, it has no more. */
static void revive(struct history *h, struct world *w)
{
    jj_record *is = &w->is;

    is->redrives++;
    is->attempts = is->snoozes = is->lost = 0;
    is->progress = JJ_NO_PROGRESS;
    is->run_at_ms = is->started_at_ms = is->completed_at_ms = 0;
    is->worker = is->error = NULL;
    is->result = NULL;
    is->result_len = 0;
    w->finished = 0;
    w->own_run_at_ms = 0;
    w->put_offs = 0;
    w->run_at_is_in_queue = w->run_at_is_unsure = false;
    say_message(h, w, QUEUE);
}

/* ---- what is late or there twice ---- */

/* A vanished worker was alive after all and is done with a run that may be over long since. The
 * first end of a run counts. */
static void end_late(struct history *h, struct world *w)
{
    if (w->run_count == 0)
        return;
    const struct run *newest = &w->runs[w->run_count - 1];
    const struct run *run = &w->runs[below(h, (uint32_t)w->run_count)];
    struct event event = {.type = chance(h, 50) ? EVENT_COMPLETED : EVENT_FAILED,
                          .attempts = run->number,
                          .redrives = run->redrives,
                          .snoozes = run->snoozes,
                          .max_attempts = w->is.max_attempts,
                          .worker = run->worker};

    if (event.type == EVENT_FAILED)
        event.error = any_text(h);
    struct said *said = say_event(h, w, event);
    if (w->place == OVER || !w->run_is_open || run->redrives < w->is.redrives ||
        generation_of(run) < generation_of(newest))
        return;
    w->run_at_is_unsure = w->place != RUNNING; /* there is another message already */
    w->is.attempts = run->number;
    w->is.snoozes = run->snoozes;
    w->is.worker = run->worker;
    w->is.error = event.error != NULL ? event.error : w->is.error;
    end(w, event.type == EVENT_FAILED ? JJ_FAILED : JJ_COMPLETED, said->time_ms);
}

static void retry_late(struct history *h, struct world *w)
{
    if (w->run_count < 2)
        return;
    const struct run *run = &w->runs[below(h, (uint32_t)w->run_count - 1)];
    const struct run *newest = &w->runs[w->run_count - 1];
    struct event event = {.type = EVENT_RETRYING,
                          .attempts = run->number,
                          .redrives = run->redrives,
                          .snoozes = run->snoozes,
                          .error = any_text(h),
                          .run_at_ms = chance(h, 50) ? ++h->now_ms : 0};

    if (run->redrives == newest->redrives && generation_of(run) == generation_of(newest))
        return; /* that would not be late */
    say_event(h, w, event);
    note_late_retry(w, &event);
}

static bool is_last_of_job(const struct history *h, enum stream stream, size_t at, bool claims_only)
{
    const struct said *said = &h->said[stream][at];

    for (size_t i = at + 1; i < h->count[stream]; i++)
        if (h->said[stream][i].of == said->of && (!claims_only || h->said[stream][i].kind == CLAIM))
            return false;
    return true;
}

/* The same message again, behind the others. The order of claims and of progress is not anybody's
 * to change, and an end of the present run would be one. */
static void repeat(struct history *h, struct world *w)
{
    enum stream stream = (enum stream)below(h, STREAMS);

    for (uint32_t tries = 0; tries < 8 && h->count[stream] > 0; tries++) {
        size_t at = below(h, (uint32_t)h->count[stream]);
        const struct said *said = &h->said[stream][at];
        if (said->of != w->of || said->kind == LINE ||
            (said->kind == CLAIM && !is_last_of_job(h, stream, at, true)) ||
            (said->event.type == EVENT_PROGRESS && !is_last_of_job(h, stream, at, false)))
            continue;
        struct said copy = *said;
        *say(h, stream, w->of) = copy;
        if (copy.kind == EVENT && copy.event.type == EVENT_RETRYING)
            note_late_retry(w, &copy.event);
        return;
    }
}

static void tell_something(struct history *h, struct world *w)
{
    struct event event = event_of(w, chance(h, 50) ? EVENT_LOG : EVENT_EVENT);

    event.event = "half";
    say_event(h, w, event);
    w->lines++;
}

static void disturb(struct history *h, struct world *w)
{
    switch (below(h, 6)) {
    case 0:
        end_late(h, w);
        break;
    case 1:
        retry_late(h, w);
        break;
    case 2:
        tell_untold(h, w);
        break;
    case 3:
        tell_something(h, w);
        break;
    case 4:
        enqueue_again(h, w);
        break;
    default:
        repeat(h, w);
        break;
    }
}

/* ---- histories ---- */

typedef void (*happening)(struct history *h, struct world *w);

static void retry(struct history *h, struct world *w)
{
    send_on(h, w, 0, any_text(h));
}

static void snooze(struct history *h, struct world *w)
{
    send_on(h, w, 1, NULL);
}

static void put_off_or_claim(struct history *h, struct world *w)
{
    if (w->own_run_at_ms != 0 && w->again.seq == 0)
        put_off(h, w);
    else
        claim(h, w);
}

static void give_up_or_claim_again(struct history *h, struct world *w)
{
    if (w->is.lost > 2)
        give_up(h, w);
    else
        claim_again(h, w);
}

static void revive_or_disturb(struct history *h, struct world *w)
{
    if (w->is.state != JJ_COMPLETED)
        revive(h, w);
    else
        disturb(h, w);
}

/* Each is as likely as it has places in its row. */
#define CHOICES 16
static const happening may_happen[][CHOICES] = {
    [NOWHERE] = {enqueue, enqueue, enqueue, enqueue, enqueue, enqueue, enqueue, enqueue, schedule,
                 schedule, schedule, schedule, schedule, schedule, schedule, schedule},
    [IN_SCHEDULE] = {fire, fire, fire, fire, fire, fire, fire, fire, fire, fire, cancel, disturb,
                     disturb, disturb, disturb, disturb},
    [IN_QUEUE] = {claim, claim, claim, claim, claim, claim, claim, put_off_or_claim,
                  put_off_or_claim, put_off_or_claim, cancel, fail_unrun, disturb, disturb, disturb,
                  disturb},
    [RUNNING] = {retry, retry, retry, retry, retry, snooze, snooze, complete, fail_for_good,
                 give_up_or_claim_again, give_up_or_claim_again, tell_progress, cancel_too_late,
                 disturb, disturb, disturb},
    [OVER] = {revive_or_disturb, revive_or_disturb, revive_or_disturb, revive_or_disturb, disturb,
              disturb, disturb, disturb, disturb, disturb, disturb, disturb, disturb, disturb,
              disturb, disturb},
};

static void begin(struct history *h, uint64_t seed)
{
    memset(h->count, 0, sizeof(h->count));
    h->seed = seed;
    h->random = seed;
    h->now_ms = 1000;
    for (size_t i = 0; i < JOBS; i++) {
        struct world *w = &h->worlds[i];
        *w = (struct world){.of = i, .is.progress = JJ_NO_PROGRESS, .data = texts[i]};
        w->header_max_attempts = chance(h, 50) ? 5 : 0;
        w->is.schedule_id = chance(h, 30) ? "weekly" : NULL;
        w->is_large = chance(h, 20);
    }
}

static void make_history(struct history *h, uint64_t seed)
{
    begin(h, seed);
    for (uint32_t steps = 10 + below(h, 100); steps > 0; steps--) {
        struct world *w = &h->worlds[below(h, JOBS)];
        may_happen[w->place][below(h, CHOICES)](h, w);
    }
}

/* Nobody behaves: what the streams hold makes no sense at all. */
static void make_nonsense(struct history *h, uint64_t seed)
{
    static const enum event_type types[] = {EVENT_COMPLETED, EVENT_FAILED,   EVENT_RETRYING,
                                            EVENT_RETRYING,  EVENT_RETRYING, EVENT_CANCELLED,
                                            EVENT_PROGRESS,  EVENT_EVENT,    EVENT_LOG};

    begin(h, seed);
    for (uint32_t steps = 5 + below(h, 60); steps > 0; steps--) {
        enum stream stream = chance(h, 60) ? EVENTS : (enum stream)below(h, STREAMS);
        struct world *w = &h->worlds[below(h, JOBS)];
        struct said *said = say(h, stream, w->of);
        uint32_t redrives = chance(h, 80) ? 0 : below(h, 3);
        w->own_run_at_ms = chance(h, 50) ? below(h, 4) : 0;
        w->header_max_attempts = below(h, 3);
        w->is.created_at_ms = below(h, 3);
        carry_job(said, w, chance(h, 70));
        said->has_job = chance(h, 50);
        said->job.redrives = redrives;
        said->job.attempts = below(h, 3);
        said->job.snoozes = below(h, 3);
        said->content.headers_len = chance(h, 50) ? 4 : 0;
        if (said->content.data_known)
            said->content.data = any_text(h);
        said->worker = any_text(h);
        said->time_ms = chance(h, 50) ? said->time_ms : 7;
        said->scheduled_at_ms = below(h, 4);
        said->claim = (struct claim){.attempt = below(h, 4),
                                     .max_attempts = below(h, 3),
                                     .lost = below(h, 3),
                                     .with_job = said->has_job};
        said->event = (struct event){.type = types[below(h, sizeof(types) / sizeof(types[0]))],
                                     .worker = chance(h, 50) ? any_text(h) : NULL,
                                     .time_ms = said->time_ms,
                                     .attempts = below(h, 4),
                                     .max_attempts = below(h, 3),
                                     .redrives = redrives,
                                     .snoozes = below(h, 3),
                                     .lost = below(h, 3),
                                     .result = any_text(h),
                                     .result_len = below(h, 3),
                                     .error = chance(h, 50) ? any_text(h) : NULL,
                                     .run_at_ms = below(h, 4),
                                     .percent = below(h, 101)};
        said->kind = stream != EVENTS ? MESSAGE : chance(h, 50) ? CLAIM : EVENT;
        if (said->kind == EVENT && is_line(&said->event))
            said->kind = LINE;
    }
}

/* ---- storage ---- */

/* A row, and what is stored of it: copies, and no more of them than the row says have changed. */
struct shelf {
    struct row *row;
    jj_record stored;
    struct arena fields, content;
    bool is_stored;
    uint32_t kept_lines;
};

static void *copy_bytes(struct arena *arena, const void *bytes, size_t len)
{
    return bytes == NULL ? NULL : jj__arena_text(arena, bytes, len);
}

static char *copy_text(struct arena *arena, const char *text)
{
    return text == NULL ? NULL : jj__arena_text(arena, text, strlen(text));
}

static void store_content(struct shelf *shelf, const jj_record *record)
{
    struct arena old = shelf->content;

    shelf->content = (struct arena){.max = SIZE_MAX};
    shelf->stored.data_known = record->data_known;
    shelf->stored.data = copy_bytes(&shelf->content, record->data, record->data_len);
    shelf->stored.data_len = record->data_len;
    shelf->stored.headers = copy_bytes(&shelf->content, record->headers, record->headers_len);
    shelf->stored.headers_len = record->headers_len;
    jj__arena_done(&old);
}

static void store_fields(struct shelf *shelf, const jj_record *record)
{
    const jj_record content = shelf->stored;
    struct arena old = shelf->fields;
    jj_record *stored = &shelf->stored;

    shelf->fields = (struct arena){.max = SIZE_MAX};
    *stored = *record;
    stored->id = copy_text(&shelf->fields, record->id);
    stored->name = copy_text(&shelf->fields, record->name);
    stored->worker = copy_text(&shelf->fields, record->worker);
    stored->schedule_id = copy_text(&shelf->fields, record->schedule_id);
    stored->error = copy_text(&shelf->fields, record->error);
    stored->result = copy_bytes(&shelf->fields, record->result, record->result_len);
    stored->marks = copy_bytes(&shelf->fields, record->marks, record->marks_len);
    stored->data_known = content.data_known;
    stored->data = content.data;
    stored->data_len = content.data_len;
    stored->headers = content.headers;
    stored->headers_len = content.headers_len;
    jj__arena_done(&old);
}

/* The process ends and another begins. */
static void restart(struct shelf *shelf)
{
    struct row *row = shelf->row;

    if (!row->known)
        return;
    jj__row_seal(row);
    if (row->content_changed || !shelf->is_stored)
        store_content(shelf, &row->record);
    if (row->changed)
        store_fields(shelf, &row->record);
    shelf->is_stored = true;
    free(row);
    shelf->row = malloc(sizeof(*shelf->row));
    assert_non_null(shelf->row);
    assert_true(jj__row_load(shelf->row, &shelf->stored));
}

static void open_shelf(struct shelf *shelf, size_t of)
{
    struct job job;

    name_job(&job, of);
    *shelf = (struct shelf){.row = malloc(sizeof(*shelf->row))};
    assert_non_null(shelf->row);
    jj__row_init(shelf->row, job.id);
}

static void close_shelf(struct shelf *shelf)
{
    free(shelf->row);
    jj__arena_done(&shelf->fields);
    jj__arena_done(&shelf->content);
}

/* ---- reading ---- */

static void fold(struct shelf *shelf, const struct said *said, enum stream stream, uint64_t seq)
{
    const struct content *content = said->has_job ? &said->content : NULL;
    struct row *row = shelf->row;
    struct job job = said->job;
    struct claim claim = said->claim;
    struct event event = said->event;

    name_job(&job, said->of);
    claim.job = &job;
    event.id = job.id;
    event.name = job.name;
    event.job = said->has_job ? &job : NULL;
    if (said->kind == CLAIM)
        jj__fold_claim(row, &claim, said->worker, said->time_ms, content);
    else if (said->kind == EVENT)
        jj__fold_event(row, &event, content);
    else if (said->kind == LINE)
        shelf->kept_lines += jj__fold_line(row, &event);
    else
        jj__fold_message(row, stream == QUEUE ? FROM_JOBS : FROM_SCHEDULE, &job, &said->content,
                         seq, said->scheduled_at_ms);
}

/* True if the message was acknowledged or has fired, so that an index may come too late for it. */
static bool is_gone(const struct history *h, enum stream stream, const struct said *said)
{
    const struct world *w = &h->worlds[said->of];
    uint64_t generation = jj__generation(said->job.attempts, said->job.snoozes);
    uint64_t now = jj__generation(w->finished, w->is.snoozes);

    if (said->kind != MESSAGE)
        return false;
    if (w->place == OVER || said->job.redrives < w->is.redrives || generation < now)
        return true;
    return stream == SCHEDULE && (w->place == IN_QUEUE || w->place == RUNNING);
}

enum reading { ALL, WITHOUT_GONE };

static void read_streams(const struct history *h, struct shelf *shelves, uint64_t order,
                         enum reading reading)
{
    static const uint32_t weights[] = {1, 1, 8, 100};
    size_t at[STREAMS] = {0};
    uint32_t weight[STREAMS], sum = 0;

    for (size_t i = 0; i < STREAMS; i++)
        sum += weight[i] = weights[next_random(&order) % 4];
    for (size_t i = 0; i < JOBS; i++)
        open_shelf(&shelves[i], i);
    while (at[QUEUE] < h->count[QUEUE] || at[SCHEDULE] < h->count[SCHEDULE] ||
           at[EVENTS] < h->count[EVENTS]) {
        uint32_t pick = (uint32_t)(next_random(&order) % sum);
        enum stream stream = QUEUE;
        while (pick >= weight[stream])
            pick -= weight[stream++];
        if (at[stream] == h->count[stream])
            continue;
        const struct said *said = &h->said[stream][at[stream]++];
        if (reading == WITHOUT_GONE && is_gone(h, stream, said) && next_random(&order) % 4 > 0)
            continue;
        fold(&shelves[said->of], said, stream, at[stream]);
        if (next_random(&order) % 16 == 0)
            restart(&shelves[next_random(&order) % JOBS]);
    }
    for (size_t i = 0; i < JOBS; i++)
        restart(&shelves[i]);
}

static void close_shelves(struct shelf *shelves)
{
    for (size_t i = 0; i < JOBS; i++)
        close_shelf(&shelves[i]);
}

/* ---- comparing ---- */

static void check(const struct history *h, size_t of, bool right, const char *what)
{
    if (!right)
        fail_msg("%s of job %zu is not right; JETJOBS_SEED=%" PRIu64, what, of, h->seed);
}

#define check_equal(field) check(h, of, a->field == b->field, #field)

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* What events alone can tell, where the job's messages were not seen. */
static void check_state(const struct history *h, size_t of, const jj_record *a, const jj_record *b)
{
    check_equal(state);
    check_equal(redrives);
    check_equal(attempts);
    check_equal(snoozes);
    check_equal(max_attempts);
    check_equal(started_at_ms);
    check_equal(completed_at_ms);
    check_equal(lost);
    check_equal(progress);
    check(h, of, same_text(a->worker, b->worker), "worker");
    check(h, of, same_text(a->error, b->error), "error");
    check(h, of, same_bytes(a->result, a->result_len, b->result, b->result_len), "result");
}

static void check_rows(const struct history *h, const struct shelf *first,
                       const struct shelf *second)
{
    for (size_t of = 0; of < JOBS; of++) {
        const jj_record *a = &first[of].row->record, *b = &second[of].row->record;
        check_state(h, of, a, b);
        check_equal(created_at_ms);
        check_equal(run_at_ms);
        check_equal(data_known);
        check(h, of, same_text(a->id, b->id), "id");
        check(h, of, same_text(a->name, b->name), "name");
        check(h, of, same_text(a->schedule_id, b->schedule_id), "schedule_id");
        check(h, of, same_bytes(a->data, a->data_len, b->data, b->data_len), "data");
        check(h, of, same_bytes(a->headers, a->headers_len, b->headers, b->headers_len), "headers");
        check(h, of, same_bytes(a->marks, a->marks_len, b->marks, b->marks_len), "marks");
        check(h, of, first[of].kept_lines == second[of].kept_lines, "lines");
    }
}

static void check_model(const struct history *h, const struct shelf *shelves, enum reading reading)
{
    for (size_t of = 0; of < JOBS; of++) {
        const struct world *w = &h->worlds[of];
        const jj_record *a = &shelves[of].row->record, *b = &w->is;
        const struct content content = content_of(w, true);
        check_state(h, of, a, b);
        check(h, of,
              a->run_at_ms == b->run_at_ms || w->run_at_is_unsure ||
                  (reading == WITHOUT_GONE && w->run_at_is_in_queue && a->run_at_ms == 0),
              "run_at_ms");
        check(h, of, shelves[of].kept_lines == w->lines, "lines");
        if (b->state == JJ_ANY_STATE || (reading == WITHOUT_GONE && !a->data_known))
            continue;
        check_equal(created_at_ms);
        check(h, of, a->data_known, "data_known");
        check(h, of, same_text(a->schedule_id, b->schedule_id), "schedule_id");
        check(h, of, same_bytes(a->data, a->data_len, content.data, content.data_len), "data");
        check(h, of,
              jj__fold_is_cancelled(shelves[of].row, b->redrives) == (b->state == JJ_CANCELLED),
              "is_cancelled");
    }
}

/* ---- tests ---- */

static void in_each_order(const struct history *h, bool has_model)
{
    struct shelf first[JOBS], next[JOBS];

    read_streams(h, first, h->seed, ALL);
    if (has_model)
        check_model(h, first, ALL);
    for (uint64_t order = 1; order < ORDERS; order++) {
        read_streams(h, next, h->seed + order, ALL);
        check_rows(h, first, next);
        close_shelves(next);
        if (!has_model)
            continue;
        read_streams(h, next, h->seed + order, WITHOUT_GONE);
        check_model(h, next, WITHOUT_GONE);
        close_shelves(next);
    }
    close_shelves(first);
}

static void for_each_seed(void (*make)(struct history *h, uint64_t seed), bool has_model)
{
    const char *own = getenv("JETJOBS_SEED");

    for (size_t i = 0; i < TEXTS; i++)
        snprintf(texts[i], sizeof(texts[i]), "text-%02zu", i);
    if (own != NULL) {
        make(&history, strtoull(own, NULL, 10));
        in_each_order(&history, has_model);
    }
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        make(&history, seed);
        in_each_order(&history, has_model);
    }
}

static void rows_are_what_really_happened_in_whatever_order_it_is_read(void **state)
{
    (void)state;
    for_each_seed(make_history, true);
}

static void rows_are_the_same_in_any_order_even_of_what_makes_no_sense(void **state)
{
    (void)state;
    for_each_seed(make_nonsense, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_what_really_happened_in_whatever_order_it_is_read),
        cmocka_unit_test(rows_are_the_same_in_any_order_even_of_what_makes_no_sense),
    };

    return cmocka_run_group_tests_name("fold_orders", tests, NULL, NULL);
}
