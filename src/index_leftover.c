/* SPDX-License-Identifier: Apache-2.0 */

/* Deleting from JOBS what is left of jobs that are over.
 *
 * A broker that is killed, or can't write, between an acknowledgement and the deletion keeps the
 * message, and nobody gets it any more. A queue that was restored from a backup holds jobs that
 * have been run since, and workers would run them again. The history knows that they are over, and
 * so do the rows.
 *
 * Rows hold no list of such messages: the queue is read again instead, round by round, without
 * hurry but for the round after a build. Which messages are left over, jj__fold_is_over() decides:
 * none that could be another job's. What a killed broker keeps in JOBS_SCHEDULE stays there: no
 * claim says which message it was. */

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "direct.h"
#include "index_got.h"
#include "index_inner.h"
#include "state.h"

#define ANSWER_MESSAGES 100
#define ANSWER_BYTES    (256 * 1024)
#define ANSWER_LIMIT_MS 10000
#define ROUND_PAUSE     10 /* poll intervals */
/* For the acknowledgement of a job that is over to be worked off; after a build nobody waits for
 * it, as workers are started once that round has ended. */
#define ACK_MS    10000
#define DENIED_MS INT64_C(86400000)

/* One answer, which the writer does not wait for. */
struct leftover_answer {
    struct index *index;
    struct direct_reading reading;
    struct {
        struct broker_msg *msg;
        uint64_t seq;
    } list[ANSWER_MESSAGES];
    size_t count;
    struct deletion deletions[ANSWER_MESSAGES];
    size_t over;
    int64_t before_ms; /* jobs that were over by then */
};

/* Thread: broker. */
static void take(void *ctx, struct broker_msg *msg)
{
    struct leftover_answer *answer = ctx;
    uint64_t seq = jj__direct_number(msg, "Nats-Sequence");

    if (seq == 0 || answer->count == ANSWER_MESSAGES) {
        jj__msg_free(msg);
        return;
    }
    answer->list[answer->count].msg = msg;
    answer->list[answer->count++].seq = seq;
}

struct comparison {
    const struct job *job;
    const struct got *got;
    int64_t before_ms;
    bool is_over;
};

static bool compare(void *ctx, const jj_record *record)
{
    struct comparison *with = ctx;

    with->is_over = record->completed_at_ms < with->before_ms &&
                    jj__fold_is_over(record, with->job, with->got->seq, with->got->stored_at_ms);
    return false;
}

static jj_status is_over(const struct leftover_answer *answer, struct broker_msg *msg, uint64_t seq,
                         bool *over_out, jj_error *err)
{
    struct index *index = answer->index;
    struct got got;
    struct job job;
    struct comparison with = {.job = &job, .got = &got, .before_ms = answer->before_ms};
    jj_status s = jj__got_read(msg, seq, &got, err);

    if (s == JJ_OK && jj__got_sound_job(&got, &job)) {
        void *storage = jj__storage_read(index);
        s = index->adapter->get(storage, job.id, compare, &with, err);
        jj__storage_read_done(index);
    }
    free(got.headers);
    *over_out = with.is_over;
    return s == JJ_ERR_NOT_FOUND ? JJ_OK : s;
}

static jj_status judge_all(struct leftover_answer *answer, jj_error *err)
{
    jj_status s = JJ_OK;

    for (size_t i = 0; s == JJ_OK && i < answer->count; i++) {
        bool over;
        s = is_over(answer, answer->list[i].msg, answer->list[i].seq, &over, err);
        if (s != JJ_OK || !over)
            continue;
        answer->deletions[answer->over] = (struct deletion){
            .next = answer->over == 0 ? NULL : &answer->deletions[answer->over - 1],
            .origin = ORIGIN_JOBS,
            .seq = answer->list[i].seq};
        answer->over++;
    }
    return s;
}

static jj_status delete_all(struct leftover_answer *answer, jj_error *err)
{
    struct index *index = answer->index;

    if (answer->over == 0)
        return JJ_OK;
    jj_status s = jj__index_delete(index, &answer->deletions[answer->over - 1], err);
    if (s == JJ_OK)
        jj__log(&index->log, JJ_LOG_INFO,
                "%zu messages in JOBS were left of jobs that are over: deleted", answer->over);
    return s;
}

static void drop_messages(struct leftover_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        jj__msg_free(answer->list[i].msg);
}

static jj_status finish_answer(struct leftover_answer *answer, bool *more_out, jj_error *err)
{
    jj_status s = jj__direct_end(&answer->reading, more_out, err);

    answer->before_ms = jj__clock_wall_ms() - (answer->index->leftover.hurry ? 0 : ACK_MS);
    if (s == JJ_OK)
        s = judge_all(answer, err);
    if (s == JJ_OK)
        s = delete_all(answer, err);
    return s;
}

/* ---- rounds ---- */

/* Thread: broker. */
static void finished(void *ctx)
{
    struct index *index = ((struct leftover_answer *)ctx)->index;

    pthread_mutex_lock(&index->lock);
    index->look = true;
    pthread_cond_signal(&index->work);
    pthread_mutex_unlock(&index->lock);
}

static void begin_answer(struct index *index, int64_t now_ms)
{
    struct leftover_answer *answer = malloc(sizeof(*answer));
    const struct direct direct = {.stream = jj__origin_stream(ORIGIN_JOBS),
                                  .filter = "jobs.enqueue.*",
                                  .from_seq = index->leftover.seq + 1,
                                  .max_messages = ANSWER_MESSAGES,
                                  .max_bytes = ANSWER_BYTES,
                                  .deadline_ms = now_ms + ANSWER_LIMIT_MS,
                                  .take = take,
                                  .finished = finished,
                                  .ctx = answer};

    index->leftover.next_ms = now_ms + ANSWER_LIMIT_MS;
    if (answer == NULL)
        return;
    answer->index = index;
    answer->count = answer->over = 0;
    index->leftover_answer = answer;
    jj__direct_begin(index->broker, &direct, &answer->reading);
}

static void end_round(struct index *index, int64_t now_ms)
{
    if (index->leftover.hurry)
        jj__log(&index->log, JJ_LOG_INFO, "nothing more is left in JOBS of jobs that are over");
    index->leftover = (struct leftover){.next_ms = now_ms + ROUND_PAUSE * index->poll_interval_ms};
}

static void end_answer(struct index *index, int64_t now_ms)
{
    struct leftover_answer *answer = index->leftover_answer;
    struct leftover *leftover = &index->leftover;
    bool more = false;
    jj_error err;

    jj_status s = finish_answer(answer, &more, &err);
    if (s == JJ_ERR_NOT_PERMITTED) {
        jj__log(&index->log, JJ_LOG_WARN, "what is left of jobs that are over stays: %s", err.text);
        *leftover = (struct leftover){.next_ms = now_ms + DENIED_MS};
    } else if (s != JJ_OK) {
        jj__log(&index->log, JJ_LOG_DEBUG, "what is left of jobs is looked at later: %s", err.text);
        leftover->next_ms = now_ms + index->poll_interval_ms;
    } else if (more && answer->count > 0) {
        leftover->seq = answer->list[answer->count - 1].seq;
        leftover->next_ms = leftover->hurry ? now_ms : now_ms + index->poll_interval_ms;
    } else {
        end_round(index, now_ms);
    }
    drop_messages(answer);
    index->leftover_answer = NULL;
    free(answer);
}

int64_t jj__index_clear_leftovers(struct index *index, int64_t now_ms)
{
    if (index->leftover_answer != NULL && jj__direct_is_over(&index->leftover_answer->reading))
        end_answer(index, now_ms);
    if (index->leftover_answer != NULL)
        return index->leftover_answer->reading.direct.deadline_ms;
    if (!jj__broker_connected(index->broker))
        return now_ms + index->poll_interval_ms;
    if (now_ms >= index->leftover.next_ms)
        begin_answer(index, now_ms);
    return index->leftover.next_ms;
}

void jj__index_drop_leftovers(struct index *index)
{
    struct leftover_answer *answer = index->leftover_answer;
    bool more;

    if (answer == NULL)
        return;
    jj__ignore(jj__direct_end(&answer->reading, &more, NULL), "nobody wants it any more");
    drop_messages(answer);
    index->leftover_answer = NULL;
    free(answer);
}

void jj__index_expect_leftovers(struct index *index)
{
    jj__index_drop_leftovers(index);
    index->leftover = (struct leftover){.hurry = true};
}
