/* SPDX-License-Identifier: Apache-2.0 */

/* Movers: what the server fires on jobs.due.<name> goes to jobs.enqueue.<name> at its time.
 *
 * The server fires half a second early, as its timer is coarse; the mover holds the job until its
 * Job-Run-At and publishes it then. Only when the queue has stored it is the due message
 * acknowledged: a mover that dies in between leaves it to another one, whose publication of the
 * same step has the same Nats-Msg-Id. If JOBS is full the job waits here and is offered again. The
 * tick of a recurring schedule may come twice (tick.c): the index is asked before it is published.
 *
 * The due jobs that are held hang in a binary heap by time. */

#include "mover.h"

#include <stdlib.h>
#include <string.h>

#include "broker_pull.h"
#include "clock.h"
#include "fault.h"
#include "resend.h"
#include "subject.h"
#include "tick.h"

#define HELD_MAX        4096
#define BYTES_MAX       ((size_t)64 * 1024 * 1024)
#define REFUSED_WAIT_MS 1000
#define RENEW_TICKS     3 /* in-progress each third of ack_wait */
/* After a connect the index may be back a moment later than we: so long, and there is none. */
#define NO_INDEX_MS  5000
#define ASK_AGAIN_MS 250

struct due {
    struct mover *mover;
    struct broker_msg *msg;
    jj_header *headers;
    struct job job;
    uint64_t unreadable_seq;
    int64_t wall_ms; /* when it is to go, Unix time */
    bool is_tick;    /* and the index has not been asked about it */
    bool no_memory;  /* it could not be read now, and comes again after ack_wait */
};

struct mover {
    struct broker_member member;
    struct broker *broker;
    struct log log;
    struct puller *puller;
    struct due *heap[HELD_MAX]; /* those that wait for their time */
    size_t waiting;
    struct due *out[HELD_MAX]; /* those that are being published, or asked about */
    size_t publishing;
    size_t bytes;
    int64_t ack_wait_ms;
    int64_t renew_ms;
    int64_t connected_ms; /* steady clock: since then */
    bool stopping;
};

/* ---- the heap ---- */

static void swap(struct mover *mover, size_t a, size_t b)
{
    struct due *kept = mover->heap[a];
    mover->heap[a] = mover->heap[b];
    mover->heap[b] = kept;
}

static void push(struct mover *mover, struct due *due)
{
    size_t at = mover->waiting++;

    mover->heap[at] = due;
    while (at > 0 && mover->heap[(at - 1) / 2]->wall_ms > mover->heap[at]->wall_ms) {
        swap(mover, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static struct due *pop(struct mover *mover)
{
    struct due *first = mover->heap[0];
    size_t at = 0;

    mover->heap[0] = mover->heap[--mover->waiting];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= mover->waiting)
            return first;
        if (child + 1 < mover->waiting &&
            mover->heap[child + 1]->wall_ms < mover->heap[child]->wall_ms)
            child++;
        if (mover->heap[at]->wall_ms <= mover->heap[child]->wall_ms)
            return first;
        swap(mover, at, child);
        at = child;
    }
}

/* ---- answering the broker ---- */

static void answer(struct due *due, const char *text)
{
    const struct outgoing message = {
        .subject = jj__msg_reply(due->msg), .data = text, .len = strlen(text)};

    if (!jj__broker_send(due->mover->broker, &message))
        jj__log(&due->mover->log, JJ_LOG_DEBUG, "%s of a due job not sent, it will come again",
                text);
}

static void forget(struct due *due)
{
    due->mover->bytes -= due->job.data_len;
    jj__msg_free(due->msg);
    free(due->headers);
    free(due);
}

/* ---- publishing ---- */

static void take_out(struct due *due)
{
    struct mover *mover = due->mover;
    size_t i = 0;

    while (mover->out[i] != due)
        i++;
    mover->out[i] = mover->out[--mover->publishing];
}

static void end(struct due *due, const char *text)
{
    answer(due, text);
    forget(due);
}

/* Later, unless the mover stops. */
static void try_again(struct due *due, int64_t wait_ms)
{
    if (due->mover->stopping) {
        end(due, "-NAK");
        return;
    }
    due->wall_ms = jj__clock_wall_ms() + wait_ms;
    push(due->mover, due);
}

static void moved(void *ctx, const struct publish_result *result)
{
    struct due *due = ctx;

    take_out(due);
    if (result->status == JJ_OK) {
        jj__fault_point("mover.stored");
        end(due, "+ACK");
        jj__fault_point("mover.acknowledged");
        return;
    }
    jj__log(&due->mover->log, JJ_LOG_WARN, "due job %s not enqueued, trying again: %s", due->job.id,
            result->err.text);
    try_again(due, REFUSED_WAIT_MS);
}

static void tick_judged(void *ctx, enum tick_answer judgement)
{
    struct due *due = ctx;
    struct mover *mover = due->mover;

    take_out(due);
    if (judgement == TICK_OVER) {
        jj__log(&mover->log, JJ_LOG_INFO, "the broker fired twice for %s: it is enqueued once",
                due->job.id);
        end(due, "+ACK");
        return;
    }
    bool too_soon = !jj__broker_connected(mover->broker) ||
                    jj__clock_mono_ms() - mover->connected_ms < NO_INDEX_MS;
    due->is_tick = judgement == TICK_UNKNOWN && too_soon;
    try_again(due, due->is_tick ? ASK_AGAIN_MS : 0);
    jj__broker_wake(mover->broker);
}

static void move(struct mover *mover, struct due *due)
{
    const struct resend resend = {.job = &due->job,
                                  .attempts = due->job.attempts,
                                  .snoozes = due->job.snoozes,
                                  .due = true,
                                  .unreadable_seq = due->unreadable_seq};
    jj_error err;

    mover->out[mover->publishing++] = due;
    jj__fault_point("mover.ready");
    if (due->is_tick) {
        jj__tick_ask(mover->broker, &due->job, tick_judged, due);
        return;
    }
    jj_status s = jj__resend_publish(mover->broker, &resend, moved, due, &err);
    if (s != JJ_OK) {
        const struct publish_result result = {.status = s, .err = err};
        moved(due, &result);
    }
}

static void renew(struct mover *mover, int64_t now_ms)
{
    if (now_ms < mover->renew_ms)
        return;
    for (size_t i = 0; i < mover->waiting; i++)
        answer(mover->heap[i], "+WPI");
    for (size_t i = 0; i < mover->publishing; i++)
        answer(mover->out[i], "+WPI");
    mover->renew_ms = now_ms + mover->ack_wait_ms / RENEW_TICKS;
}

static int64_t turn(void *ctx, int64_t now_ms)
{
    struct mover *mover = ctx;
    int64_t wall_ms = jj__clock_wall_ms();

    if (mover->stopping)
        return INT64_MAX;
    while (mover->waiting > 0 && mover->heap[0]->wall_ms <= wall_ms)
        move(mover, pop(mover));
    renew(mover, now_ms);
    size_t held = mover->waiting + mover->publishing;
    jj__pull_want(mover->puller, mover->bytes >= BYTES_MAX ? 0 : (uint32_t)(HELD_MAX - held) / 2);
    if (held == 0)
        return INT64_MAX;
    int64_t next_ms = mover->renew_ms;
    if (mover->waiting > 0 && now_ms + mover->heap[0]->wall_ms - wall_ms < next_ms)
        next_ms = now_ms + mover->heap[0]->wall_ms - wall_ms;
    return next_ms;
}

/* ---- taking ---- */

static bool read_due(struct due *due)
{
    struct delivery delivery;
    const char *reply = jj__msg_reply(due->msg);
    size_t header_count = 0;
    jj_error bad;

    if (reply == NULL || !jj__subject_read_ack(reply, &delivery))
        return false;
    jj_status headers = jj__msg_headers(due->msg, &due->headers, &header_count, NULL);
    due->no_memory = headers == JJ_ERR_NO_MEMORY;
    if (headers != JJ_OK && !due->no_memory)
        jj__log(&due->mover->log, JJ_LOG_ERROR,
                "due message %llu is thrown away: its headers can't be read",
                (unsigned long long)delivery.seq);
    if (headers != JJ_OK)
        return false;
    const struct job_message message = {.subject = jj__msg_subject(due->msg),
                                        .data = jj__msg_data(due->msg),
                                        .data_len = jj__msg_len(due->msg),
                                        .headers = due->headers,
                                        .header_count = header_count,
                                        .seq = delivery.seq,
                                        .stored_at_ms = delivery.stored_at_ms};
    jj_status s = jj__job_read(&message, &due->job, &bad);
    if (s == JJ_ERR_PROTOCOL) {
        jj__log(&due->mover->log, JJ_LOG_ERROR, "due message %llu can't be a job: %s",
                (unsigned long long)delivery.seq, bad.text);
        return false;
    }
    if (s != JJ_OK)
        due->unreadable_seq = delivery.seq; /* its worker fails it, and says why */
    else
        due->is_tick = jj__job_name_due(&due->job);
    due->wall_ms = s == JJ_OK ? due->job.run_at_ms : 0;
    return true;
}

static void take(void *ctx, struct broker_msg *msg)
{
    struct mover *mover = ctx;
    struct due *due = calloc(1, sizeof(*due));

    if (due == NULL) {
        jj__msg_free(msg); /* it comes again after ack_wait */
        return;
    }
    due->mover = mover;
    due->msg = msg;
    bool is_job = read_due(due);
    mover->bytes += due->job.data_len;
    if (due->no_memory) {
        forget(due);
    } else if (!is_job) {
        end(due, "+TERM");
    } else if (mover->stopping || mover->waiting + mover->publishing >= HELD_MAX) {
        end(due, "-NAK");
    } else {
        if (mover->waiting + mover->publishing == 0)
            mover->renew_ms = jj__clock_mono_ms() + mover->ack_wait_ms / RENEW_TICKS;
        push(mover, due);
        jj__fault_point("mover.taken");
    }
}

/* ---- open and close ---- */

static void connected(void *ctx, bool is_connected)
{
    struct mover *mover = ctx;

    (void)is_connected;
    mover->connected_ms = jj__clock_mono_ms(); /* lost just now is as bad */
}

jj_status jj__mover_open(struct broker *broker, const struct log *log,
                         const struct consumer_facts *facts, struct mover **mover_out,
                         jj_error *err)
{
    struct mover *mover = calloc(1, sizeof(*mover));
    if (mover == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "mover");
    const struct puller_options options = {.stream = JJ__STREAM_SCHEDULE,
                                           .consumer = JJ__CONSUMER_DUE,
                                           .create_subject = facts->create_subject,
                                           .create_body = facts->create_body,
                                           .take = take,
                                           .ctx = mover};

    mover->broker = broker;
    mover->log = *log;
    mover->ack_wait_ms = facts->ack_wait_ms;
    mover->connected_ms = jj__clock_mono_ms();
    mover->member = (struct broker_member){.turn = turn, .connected = connected, .ctx = mover};
    jj_status s = jj__pull_open(broker, log, &options, &mover->puller, err);
    if (s != JJ_OK) {
        free(mover);
        return s;
    }
    jj__broker_member_add(broker, &mover->member);
    *mover_out = mover;
    return JJ_OK;
}

void jj__mover_stop(struct mover *mover)
{
    if (mover->stopping)
        return;
    mover->stopping = true;
    jj__pull_drain(mover->puller);
    while (mover->waiting > 0)
        end(pop(mover), "-NAK");
}

bool jj__mover_is_idle(const struct mover *mover)
{
    return mover->publishing == 0;
}

void jj__mover_close(struct mover *mover)
{
    jj__broker_member_remove(mover->broker, &mover->member);
    jj__pull_close(mover->puller);
    mover->puller = NULL;
}

void jj__mover_free(struct mover *mover)
{
    free(mover);
}
