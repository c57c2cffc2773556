/* SPDX-License-Identifier: Apache-2.0 */

/* Deleting what is left of jobs that are over.
 *
 * A broker that is killed, or can't write, between an acknowledgement and the deletion keeps the
 * message, and nobody gets it any more. A queue that was restored from a backup holds jobs that
 * have been run since, and workers would run them again. The history knows that they are over, and
 * so do the rows.
 *
 * Rows hold no list of such messages: the queues are read again instead, round by round, without
 * hurry but for the round after a build. A message is left over if the final state of its job
 * is of no earlier redrive, and the job was made before it reached that state: an id that is used
 * again belongs to a new job. */

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "direct.h"
#include "index_got.h"
#include "index_inner.h"
#include "state.h"

#define STEP_MESSAGES 100
#define STEP_BYTES    (256 * 1024)
#define STEP_LIMIT_MS 1000
#define ROUND_PAUSE   10   /* poll intervals */
#define ACK_MS        5000 /* for the acknowledgement of a job that is over to be worked off */

/* One answer, which the writer does not wait for. */
struct step {
    struct index *index;
    enum origin origin;
    struct reading reading;
    struct {
        struct broker_msg *msg;
        uint64_t seq;
    } list[STEP_MESSAGES];
    size_t count;
    struct deletion deletions[STEP_MESSAGES];
    size_t over;
    int64_t before_ms; /* jobs that were over by then */
};

/* Thread: broker. */
static void take(void *ctx, struct broker_msg *msg)
{
    struct step *step = ctx;
    uint64_t seq = jj__direct_number(msg, "Nats-Sequence");

    if (seq == 0 || step->count == STEP_MESSAGES) {
        jj__msg_free(msg);
        return;
    }
    step->list[step->count].msg = msg;
    step->list[step->count++].seq = seq;
}

struct verdict {
    const struct job *job;
    int64_t before_ms;
    bool is_over;
};

static bool judge(void *ctx, const jj_record *record)
{
    struct verdict *verdict = ctx;
    const struct job *job = verdict->job;

    verdict->is_over = jj__state_is_final(record->state) && record->redrives >= job->redrives &&
                       record->completed_at_ms > job->created_at_ms &&
                       record->completed_at_ms < verdict->before_ms;
    return false;
}

static jj_status is_over(const struct step *step, struct broker_msg *msg, uint64_t seq,
                         bool *over_out, jj_error *err)
{
    struct index *index = step->index;
    struct verdict verdict = {.before_ms = step->before_ms};
    struct got got;
    struct job job;
    jj_status s = jj__got_read(msg, seq, &got, err);

    if (s == JJ_OK && jj__got_job(&got, &job)) {
        verdict.job = &job;
        void *storage = jj__storage_read(index);
        s = index->adapter->get(storage, job.id, judge, &verdict, err);
        jj__storage_read_done(index);
    }
    free(got.headers);
    *over_out = verdict.is_over;
    return s == JJ_ERR_NOT_FOUND ? JJ_OK : s;
}

static jj_status judge_all(struct step *step, jj_error *err)
{
    jj_status s = JJ_OK;

    for (size_t i = 0; s == JJ_OK && i < step->count; i++) {
        bool over;
        s = is_over(step, step->list[i].msg, step->list[i].seq, &over, err);
        if (s != JJ_OK || !over)
            continue;
        step->deletions[step->over] =
            (struct deletion){.next = step->over == 0 ? NULL : &step->deletions[step->over - 1],
                              .origin = step->origin,
                              .seq = step->list[i].seq};
        step->over++;
    }
    return s;
}

static jj_status delete_all(struct step *step, jj_error *err)
{
    struct index *index = step->index;

    if (step->over == 0)
        return JJ_OK;
    jj_status s = jj__index_delete(index, &step->deletions[step->over - 1], err);
    if (s == JJ_OK)
        jj__log(&index->log, JJ_LOG_INFO,
                "%zu messages of jobs that are over were left in %s: deleted, the last one is %llu",
                step->over, jj__origin_stream(step->origin),
                (unsigned long long)step->deletions[step->over - 1].seq);
    return s;
}

static void drop_messages(struct step *step)
{
    for (size_t i = 0; i < step->count; i++)
        jj__msg_free(step->list[i].msg);
}

static jj_status finish_step(struct step *step, bool *more_out, jj_error *err)
{
    jj_status s = jj__direct_end(&step->reading, more_out, err);

    step->before_ms = jj__clock_wall_ms() - ACK_MS;
    if (s == JJ_OK)
        s = judge_all(step, err);
    if (s == JJ_OK)
        s = delete_all(step, err);
    return s;
}

/* ---- rounds ---- */

/* Thread: broker. */
static void finished(void *ctx)
{
    struct index *index = ((struct step *)ctx)->index;

    pthread_mutex_lock(&index->lock);
    index->look = true;
    pthread_cond_signal(&index->work);
    pthread_mutex_unlock(&index->lock);
}

/* Schedules that have not fired are not looked at: what they will be is new. */
static void begin_step(struct index *index, enum origin origin, int64_t now_ms)
{
    struct step *step = malloc(sizeof(*step));
    const struct direct direct = {.stream = jj__origin_stream(origin),
                                  .filter = origin == ORIGIN_JOBS ? "jobs.enqueue.*" : "jobs.due.*",
                                  .from_seq = index->leftovers[origin].seq + 1,
                                  .max_messages = STEP_MESSAGES,
                                  .max_bytes = STEP_BYTES,
                                  .deadline_ms = now_ms + STEP_LIMIT_MS,
                                  .take = take,
                                  .finished = finished,
                                  .ctx = step};

    if (step == NULL) {
        index->leftovers[origin].next_ms = now_ms + STEP_LIMIT_MS;
        return;
    }
    step->index = index;
    step->origin = origin;
    step->count = step->over = 0;
    index->step = step;
    jj__direct_begin(index->broker, &direct, &step->reading);
}

static void end_step(struct index *index, int64_t now_ms)
{
    struct step *step = index->step;
    struct leftover *leftover = &index->leftovers[step->origin];
    bool more = false;
    jj_error err;

    jj_status s = finish_step(step, &more, &err);
    if (s != JJ_OK) {
        jj__log(&index->log, JJ_LOG_DEBUG, "what is left of jobs is looked at later: %s", err.text);
        leftover->next_ms = now_ms + ROUND_PAUSE * index->poll_interval_ms;
    } else if (more && step->count > 0) {
        leftover->seq = step->list[step->count - 1].seq;
        leftover->next_ms = leftover->hurry ? now_ms : now_ms + index->poll_interval_ms;
    } else {
        *leftover = (struct leftover){.next_ms = now_ms + ROUND_PAUSE * index->poll_interval_ms};
    }
    drop_messages(step);
    index->step = NULL;
    free(step);
}

int64_t jj__index_clear_leftovers(struct index *index, int64_t now_ms)
{
    enum origin next = ORIGIN_JOBS;

    if (index->step != NULL && jj__direct_is_over(&index->step->reading))
        end_step(index, now_ms);
    if (index->step != NULL)
        return index->step->reading.direct.deadline_ms;
    if (!jj__broker_connected(index->broker))
        return now_ms + index->poll_interval_ms;
    if (index->leftovers[ORIGIN_SCHEDULE].next_ms < index->leftovers[ORIGIN_JOBS].next_ms)
        next = ORIGIN_SCHEDULE;
    if (now_ms < index->leftovers[next].next_ms)
        return index->leftovers[next].next_ms;
    begin_step(index, next, now_ms);
    return now_ms + STEP_LIMIT_MS;
}

void jj__index_drop_leftovers(struct index *index)
{
    struct step *step = index->step;
    bool more;

    if (step == NULL)
        return;
    jj__ignore(jj__direct_end(&step->reading, &more, NULL), "nobody wants it any more");
    drop_messages(step);
    index->step = NULL;
    free(step);
}

void jj__index_expect_leftovers(struct index *index)
{
    jj__index_drop_leftovers(index);
    for (enum origin origin = ORIGIN_JOBS; origin <= ORIGIN_SCHEDULE; origin++)
        index->leftovers[origin] = (struct leftover){.hurry = true};
}
