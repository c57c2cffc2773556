/* SPDX-License-Identifier: Apache-2.0 */

/* Claims: append, then read back.
 *
 * All jobs that are about to start are claimed by one message on jobs.claims.<worker>; while one
 * or two such messages are under way, the next one gathers. The worker follows its own claims and
 * all cancellations in JOBS_EVENTS with one tail. When its claim comes back to it, every
 * cancellation that the stream holds before it has come too: the jobs they hit are dropped, the
 * others start. A cancellation behind the claim has lost, and whoever wrote it reads the same
 * order. That one stream order is the only lock there is, and nobody waits for anybody. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "codec_pb.h"
#include "fault.h"
#include "step.h"
#include "subject.h"
#include "tell.h"
#include "worker.h"

#define IN_FLIGHT_MAX    2
#define BATCH_MAX        1000
#define MESSAGE_OVERHEAD 512 /* headers and the batch's own fields */
#define REMEMBER_MS      (INT64_C(10) * 60 * 1000)
#define REFUSED_WAIT_MS  1000

static const char *msg_id_of(const struct worker *worker, uint64_t number, char *out, size_t size)
{
    snprintf(out, size, "%s:c%llu", worker->name, (unsigned long long)number);
    return out;
}

/* ---- gathering ---- */

/* How many more of a handler's jobs may be claimed: free slots, and its prefetch beyond them. */
static int64_t room_for(struct worker *worker, const struct handler *handler, uint32_t claiming)
{
    pthread_mutex_lock(&worker->lock);
    int64_t all = (int64_t)worker->options->concurrency - worker->running - worker->ready;
    int64_t own =
        (int64_t)handler->options.concurrency - handler->running - (int64_t)handler->ready.count;
    pthread_mutex_unlock(&worker->lock);
    all -= claiming;
    own -= handler->claiming;
    return (own < all ? own : all) + jj__pull_prefetch(worker, handler);
}

static uint32_t claiming_in_all(const struct worker *worker)
{
    uint32_t sum = 0;

    for (const struct handler *handler = worker->handlers; handler != NULL; handler = handler->next)
        sum += handler->claiming;
    return sum;
}

/* True if the job is not to be claimed or started, or not yet; it is then gone from here. */
static bool dispose(struct jj_attempt *attempt)
{
    if (jj__lease_is_lost(attempt)) {
        jj__attempt_free(attempt);
        return true;
    }
    enum cancel_verdict verdict = jj__ask_judge(attempt);

    if (verdict == CANCEL_DROP)
        jj__attempt_ack(attempt);
    else if (verdict == CANCEL_ASK)
        jj__ask(attempt);
    return verdict != CANCEL_NONE;
}

/* Without the job's data where that does not fit into a message of limit bytes. */
static struct claim claim_of(const struct jj_attempt *attempt, size_t limit, size_t *bytes_out)
{
    struct claim claim = {.job = &attempt->job,
                          .seq = attempt->entry.seq,
                          .attempt = attempt->number,
                          .max_attempts = attempt->max_attempts,
                          .lost = attempt->lost,
                          .with_job = attempt->number == 1};

    *bytes_out = jj__pb_claim_size(&claim);
    if (*bytes_out > limit) {
        claim.omit_data = true;
        *bytes_out = jj__pb_claim_size(&claim);
    }
    return claim;
}

struct gathering {
    struct attempt_queue attempts;
    size_t bytes;
    size_t limit;
};

static void gather_from(struct worker *worker, struct handler *handler, struct claim *claims,
                        struct gathering *gathering)
{
    int64_t room = room_for(worker, handler, claiming_in_all(worker));

    while (room > 0 && handler->held.count > 0 && gathering->attempts.count < BATCH_MAX) {
        struct jj_attempt *attempt = handler->held.first;
        size_t bytes;
        struct claim claim = claim_of(attempt, gathering->limit, &bytes);
        if (gathering->attempts.count > 0 && gathering->bytes + bytes > gathering->limit)
            return;
        jj__queue_pop(&handler->held);
        if (dispose(attempt))
            continue;
        claims[gathering->attempts.count] = claim;
        gathering->bytes += bytes;
        attempt->stage = STAGE_CLAIMING;
        handler->claiming++;
        jj__queue_push(&gathering->attempts, attempt);
        room--;
    }
}

/* ---- publishing ---- */

static void unclaim(struct attempt_queue *attempts)
{
    struct jj_attempt *attempt;

    while ((attempt = jj__queue_pop(attempts)) != NULL) {
        attempt->handler->claiming--;
        jj__attempt_give_back(attempt);
    }
}

static struct claim_batch **find_batch(struct worker *worker, uint64_t number)
{
    struct claim_batch **link = &worker->claims;

    while (*link != NULL && (*link)->number != number)
        link = &(*link)->next;
    return *link == NULL ? NULL : link;
}

static struct attempt_queue remove_batch(struct worker *worker, struct claim_batch **link)
{
    struct claim_batch *batch = *link;
    struct attempt_queue attempts = batch->attempts;

    *link = batch->next;
    if (worker->claims_end == &batch->next)
        worker->claims_end = link;
    worker->claims_in_flight--;
    free(batch);
    return attempts;
}

struct published {
    struct worker *worker;
    uint64_t number;
};

/* What counts is that the claim comes back on the tail; here only its failure is of interest. */
static void published(void *ctx, const struct publish_result *result)
{
    struct published *published = ctx;
    struct worker *worker = published->worker;
    struct claim_batch **link = find_batch(worker, published->number);

    free(published);
    worker->publishing--;
    jj__fault_point("claim.stored");
    if (result->status == JJ_OK || link == NULL)
        return;
    jj__log(&worker->log, JJ_LOG_ERROR, "claim refused, jobs given back: %s", result->err.text);
    struct attempt_queue attempts = remove_batch(worker, link);
    unclaim(&attempts);
    worker->claim_again_ms = jj__clock_mono_ms() + REFUSED_WAIT_MS;
}

static jj_status publish(struct worker *worker, uint64_t number, jj_error *err)
{
    char subject[JJ__SUBJECT_SIZE];
    char msg_id[JJ_NAME_SIZE + 24];
    const jj_header header = {JJ__HEADER_MSG_ID, msg_id_of(worker, number, msg_id, sizeof(msg_id))};
    const struct outgoing message = {.subject = subject,
                                     .headers = &header,
                                     .header_count = 1,
                                     .data = worker->scratch.data,
                                     .len = worker->scratch.len};
    struct published *ctx = malloc(sizeof(*ctx));
    if (ctx == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "claim");
    const struct publication publication = {
        .messages = &message, .count = 1, .deadline_ms = INT64_MAX, .done = published, .ctx = ctx};

    *ctx = (struct published){.worker = worker, .number = number};
    jj__subject_claims(subject, worker->name);
    worker->publishing++;
    jj_status s = jj__broker_publish(worker->broker, &publication, err);
    if (s != JJ_OK) {
        worker->publishing--;
        free(ctx);
    }
    return s;
}

static void send_batch(struct worker *worker, const struct claim *claims,
                       struct attempt_queue *attempts)
{
    struct claim_batch *batch = calloc(1, sizeof(*batch));
    jj_error err;
    jj_status s = JJ_ERR_NO_MEMORY;

    if (batch != NULL) {
        batch->number = ++worker->next_claim;
        batch->sent_us = jj__clock_mono_us();
        jj__buf_reset(&worker->scratch);
        s = jj__pb_write_claims(&worker->scratch, worker->name, batch->number, jj__clock_wall_ms(),
                                claims, attempts->count, &err);
    } else {
        s = jj__fail(&err, JJ_ERR_NO_MEMORY, "claim");
    }
    if (s == JJ_OK) {
        batch->attempts = *attempts;
        *worker->claims_end = batch;
        worker->claims_end = &batch->next;
        worker->claims_in_flight++;
        jj__fault_point("claim.ready");
        s = publish(worker, batch->number, &err);
        jj__fault_point("claim.sent");
        if (s == JJ_OK)
            return;
        remove_batch(worker, find_batch(worker, batch->number));
        batch = NULL;
    }
    jj__log(&worker->log, JJ_LOG_ERROR, "can't claim, jobs given back: %s", err.text);
    free(batch);
    unclaim(attempts);
    worker->claim_again_ms = jj__clock_mono_ms() + REFUSED_WAIT_MS;
}

void jj__claim_turn(struct worker *worker, int64_t now_ms)
{
    if (worker->stopping || worker->claims_in_flight >= IN_FLIGHT_MAX ||
        now_ms < worker->claim_again_ms || !jj__broker_connected(worker->broker))
        return;
    struct gathering gathering = {.limit =
                                      jj__broker_max_payload(worker->broker) - MESSAGE_OVERHEAD};

    for (struct handler *handler = worker->handlers; handler != NULL; handler = handler->next)
        if (handler->held.count > 0)
            gather_from(worker, handler, worker->claim_array, &gathering);
    if (gathering.attempts.count > 0)
        send_batch(worker, worker->claim_array, &gathering.attempts);
}

/* ---- reading back ---- */

static void note_round_trip(struct worker *worker, int64_t sent_us)
{
    double sample = (double)(jj__clock_mono_us() - sent_us);

    worker->round_trip_us =
        worker->round_trip_us == 0 ? sample : worker->round_trip_us * 0.9 + sample * 0.1;
}

static void tell_started(struct jj_attempt *attempt)
{
    struct event event;

    jj__commit_fill(attempt, EVENT_STARTED, &event);
    event.time_ms = jj__clock_wall_ms();
    jj__tell(attempt->worker->broker, &attempt->worker->live, &event);
}

static void start_jobs(struct worker *worker, struct attempt_queue *claimed)
{
    struct attempt_queue starting = {0};
    struct jj_attempt *attempt;

    while ((attempt = jj__queue_pop(claimed)) != NULL) {
        attempt->handler->claiming--;
        attempt->claimed = true;
        attempt->claimed_at = worker->cancels.added;
        if (dispose(attempt))
            continue;
        tell_started(attempt);
        if (jj__fault_acks_first())
            jj__attempt_answer(attempt, "+ACK");
        jj__queue_push(&starting, attempt);
    }
    jj__run_queue(worker, &starting);
}

void jj__claim_start(struct jj_attempt *attempt)
{
    struct attempt_queue starting = {0};

    tell_started(attempt);
    jj__queue_push(&starting, attempt);
    jj__run_queue(attempt->worker, &starting);
}

static void take_claim(struct worker *worker, struct broker_msg *msg)
{
    const char *msg_id = jj__msg_header(msg, JJ__HEADER_MSG_ID);
    const char *number = msg_id == NULL ? NULL : strrchr(msg_id, ':');

    if (number == NULL || number[1] != 'c')
        return;
    struct claim_batch **link = find_batch(worker, strtoull(number + 2, NULL, 10));
    if (link == NULL)
        return;
    jj__fault_point("claim.back");
    note_round_trip(worker, (*link)->sent_us);
    struct attempt_queue claimed = remove_batch(worker, link);
    start_jobs(worker, &claimed);
}

static bool add_cancellation(struct worker *worker, const struct event *event)
{
    uint64_t generation = jj__generation(event->attempts, event->snoozes);

    return jj__cancels_add(&worker->cancels, event->id, event->redrives, generation,
                           jj__clock_mono_ms());
}

/* False: there was no memory. Then the message comes again, before any claim that is behind it, and
 * what was taken of it is not taken twice. */
static bool take_cancellations(struct worker *worker, struct broker_msg *msg, uint64_t seq)
{
    struct pb_events events;
    jj_error err;
    jj_status s = jj__pb_read_events(jj__msg_data(msg), jj__msg_len(msg), &events, &err);

    if (s == JJ_ERR_NO_MEMORY)
        return false;
    if (s != JJ_OK) {
        jj__log(&worker->log, JJ_LOG_WARN, "unreadable cancellation: %s", err.text);
        return true;
    }
    size_t taken = seq == worker->cancels_seq ? worker->cancels_taken : 0;
    while (taken < events.count && add_cancellation(worker, &events.events[taken]))
        taken++;
    worker->cancels_seq = seq;
    worker->cancels_taken = taken;
    bool all = taken >= events.count;
    jj__pb_events_free(&events);
    return all;
}

static bool take(void *ctx, struct broker_msg *msg, const struct delivery *delivery)
{
    struct worker *worker = ctx;
    char name[JJ_NAME_SIZE];
    bool taken = true;

    if (jj__subject_read_claims(jj__msg_subject(msg), name))
        take_claim(worker, msg);
    else
        taken = take_cancellations(worker, msg, delivery->seq);
    if (taken)
        worker->events_seq = delivery->seq;
    jj__msg_free(msg);
    jj__cancels_forget(&worker->cancels, jj__clock_mono_ms() - REMEMBER_MS);
    return taken;
}

/* ---- open and close ---- */

jj_status jj__claim_open(struct worker *worker, jj_error *err)
{
    char claims[JJ__SUBJECT_SIZE];
    struct tail_options options = {.stream = JJ__STREAM_EVENTS,
                                   .filters = {claims, JJ__SUBJECT_CANCELLED_ALL},
                                   .start_at_ms = jj__clock_wall_ms() - REMEMBER_MS,
                                   .take = take,
                                   .ctx = worker};

    worker->claims_end = &worker->claims;
    worker->claim_array = calloc(BATCH_MAX, sizeof(*worker->claim_array));
    if (worker->claim_array == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "claims");
    jj__subject_claims(claims, worker->name);
    return jj__tail_open(worker->broker, &worker->log, &options, &worker->tail, err);
}

void jj__claim_close(struct worker *worker)
{
    while (worker->claims != NULL) {
        struct attempt_queue attempts = remove_batch(worker, &worker->claims);
        unclaim(&attempts);
    }
    jj__tail_close(worker->tail);
    worker->tail = NULL;
    free(worker->claim_array);
    worker->claim_array = NULL;
    jj__cancels_done(&worker->cancels);
}
