/* SPDX-License-Identifier: Apache-2.0 */

/* Taking jobs in: how many, and from a message to a job in our hands.
 *
 * How many may come is decided here. A job that could not start soon would better go to another
 * worker, so there are as many as slots are free, and beyond that only what its handler, by its
 * mean time, works off while a claim is under way: a lot for handlers of microseconds, nothing for
 * those that take longer than the broker's answer. */

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fault.h"
#include "subject.h"
#include "worker.h"

#define PREFETCH_MAX     1024  /* jobs of one name */
#define PREFETCH_WORK_US 20000 /* and no more than that much work for all slots */
#define HOT_MS           1000  /* a name that had no job for so long gets one at a time */
#define HELD_TOO_LONG_MS 1000

/* ---- how many ---- */

uint32_t jj__pull_prefetch(const struct worker *worker, const struct handler *handler)
{
    double mean_us = handler->mean_us;

    if (handler->options.fleet_concurrency > 0 || mean_us <= 0 ||
        mean_us * 2 > worker->round_trip_us)
        return 0;
    double slots = handler->options.concurrency;
    double wanted = slots * 2 * worker->round_trip_us / mean_us;
    double bound = slots * PREFETCH_WORK_US / mean_us;
    if (wanted > bound)
        wanted = bound;
    return wanted > PREFETCH_MAX ? PREFETCH_MAX : (uint32_t)wanted;
}

static uint32_t less(uint32_t from, uint32_t what)
{
    return what >= from ? 0 : from - what;
}

static void want(struct worker *worker, struct handler *handler, uint32_t free_slots,
                 int64_t now_ms)
{
    uint32_t prefetch = jj__pull_prefetch(worker, handler);
    uint32_t in_hand = (uint32_t)handler->held.count + handler->asking + handler->claiming;

    pthread_mutex_lock(&worker->lock);
    uint32_t queued = (uint32_t)handler->ready.count;
    uint32_t own_free = less(handler->options.concurrency, handler->running);
    pthread_mutex_unlock(&worker->lock);
    uint32_t room =
        less((own_free < free_slots ? own_free : free_slots) + prefetch, in_hand + queued);
    if (room > 1 && now_ms - handler->last_job_ms > HOT_MS && worker->handlers->next != NULL)
        room = 1;
    jj__pull_want(handler->puller, room);
}

/* A job that waits here while others may be idle is theirs; but not too often, as without an index
 * each delivery may count as a lost worker. */
static void give_back_the_oldest(struct worker *worker, struct handler *handler, int64_t now_ms)
{
    struct jj_attempt *oldest = handler->held.first;

    if (oldest != NULL && now_ms > oldest->held_at_ms + HELD_TOO_LONG_MS &&
        oldest->delivered <= worker->options->max_lost && jj__pull_prefetch(worker, handler) == 0)
        jj__attempt_give_back(jj__queue_pop(&handler->held));
}

void jj__pull_turn(struct worker *worker, int64_t now_ms)
{
    pthread_mutex_lock(&worker->lock);
    uint32_t free_slots = less(worker->options->concurrency, worker->running);
    pthread_mutex_unlock(&worker->lock);
    uint32_t in_hand = 0;

    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next)
        in_hand += (uint32_t)handler->held.count;
    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next) {
        want(worker, handler, less(free_slots, in_hand - (uint32_t)handler->held.count), now_ms);
        if (free_slots == 0)
            give_back_the_oldest(worker, handler, now_ms);
    }
}

/* ---- a message ---- */

static struct jj_attempt *new_attempt(struct handler *handler, struct worker *worker,
                                      struct broker_msg *msg)
{
    struct jj_attempt *attempt = calloc(1, sizeof(*attempt));

    if (attempt == NULL)
        return NULL;
    attempt->worker = worker;
    attempt->handler = handler;
    attempt->msg = msg;
    attempt->entry.holder = attempt;
    attempt->delay_ms = -1;
    return attempt;
}

/* Read the job; a bad header is told by bad, an impossible message by false. */
static bool read_job(struct jj_attempt *attempt, jj_error *bad)
{
    struct delivery delivery;
    const char *reply = jj__msg_reply(attempt->msg);
    size_t header_count = 0;

    bad->status = JJ_OK;
    if (reply == NULL || !jj__subject_read_ack(reply, &delivery))
        return false;
    jj_status s = jj__msg_headers(attempt->msg, &attempt->headers, &header_count, NULL);
    if (s == JJ_ERR_NO_MEMORY)
        return false; /* it comes again after ack_wait */
    attempt->entry.seq = delivery.seq;
    attempt->entry.stored_at_ms = delivery.stored_at_ms;
    attempt->delivered = delivery.delivered;
    const struct job_message message = {.subject = jj__msg_subject(attempt->msg),
                                        .data = jj__msg_data(attempt->msg),
                                        .data_len = jj__msg_len(attempt->msg),
                                        .headers = attempt->headers,
                                        .header_count = header_count,
                                        .seq = delivery.seq,
                                        .stored_at_ms = delivery.stored_at_ms};
    if (jj__job_read(&message, &attempt->job, bad) == JJ_ERR_PROTOCOL)
        return false;
    if (s != JJ_OK)
        jj__ignore(jj__fail(bad, JJ_ERR_INVALID, "the job's headers can't be read"), "it is told");
    return true;
}

static void set_limits(struct jj_attempt *attempt)
{
    const struct handler *handler = attempt->handler;
    const struct job *job = &attempt->job;

    attempt->number = job->attempts + 1;
    attempt->max_attempts =
        job->max_attempts > 0 ? job->max_attempts : handler->options.max_attempts;
    attempt->timeout_ms = job->timeout_ms > 0 ? job->timeout_ms : handler->options.timeout_ms;
    if (attempt->timeout_ms > 0)
        attempt->worker->timed++;
}

static void take_job(void *ctx, struct broker_msg *msg)
{
    struct handler *handler = ctx;
    struct worker *worker = handler->worker;
    struct jj_attempt *attempt = new_attempt(handler, worker, msg);
    int64_t now_ms = jj__clock_mono_ms();
    jj_error bad;

    if (attempt == NULL) {
        jj__msg_free(msg); /* it comes again after ack_wait */
        return;
    }
    handler->last_job_ms = now_ms;
    attempt->taken_ms = now_ms;
    jj__lease_take(attempt, now_ms);
    if (!read_job(attempt, &bad)) {
        jj__attempt_free(attempt);
        return;
    }
    if (jj__adopt(attempt))
        return;
    jj__fault_point("pull.taken");
    set_limits(attempt);
    if (worker->stopping)
        jj__attempt_give_back(attempt);
    else if (bad.status != JJ_OK)
        jj__commit_unrun(attempt, bad.text);
    else
        jj__ask_admit(attempt);
}

jj_status jj__pull_handler(struct worker *worker, struct handler *handler, jj_error *err)
{
    const struct puller_options options = {.stream = JJ__STREAM_JOBS,
                                           .consumer = handler->name,
                                           .create_subject = handler->facts.create_subject,
                                           .create_body = handler->facts.create_body,
                                           .take = take_job,
                                           .ctx = handler};

    return jj__pull_open(worker->broker, &worker->log, &options, &handler->puller, err);
}
