/* SPDX-License-Identifier: Apache-2.0 */

/* Leases and timeouts: what time does to the jobs that a worker holds.
 *
 * A job is ours as long as the broker hears of it within ack_wait. A worker that could not say so
 * for that long, because it was frozen or cut off, has lost it: somebody else may be running it.
 * From then on it answers nothing for that job, as a late answer would hit the other one's
 * delivery, but the acknowledgement of one that really completed. Unless the broker gives it to
 * this very worker again: then it is ours as before. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fault.h"
#include "worker.h"

#define TICK_MS       1000
#define TIMED_TICK_MS 20
/* How long a handler may go on after it was told of its timeout; then its attempt ends without it.
 */
#define TIMEOUT_GRACE_MS 5000

void jj__lease_take(struct jj_attempt *attempt, int64_t now_ms)
{
    struct worker *worker = attempt->worker;

    attempt->lease_until_ms = now_ms + attempt->handler->facts.ack_wait_ms;
    attempt->renew_ms = now_ms + attempt->handler->facts.ack_wait_ms / 3;
    attempt->lease_prev = worker->lease_last;
    attempt->lease_next = NULL;
    if (worker->lease_last == NULL)
        worker->lease_first = attempt;
    else
        worker->lease_last->lease_next = attempt;
    worker->lease_last = attempt;
    worker->attempts++;
}

/* The handler was told to stop; one that has not begun, and so was told nothing, just goes on. */
static void take_back_the_stop(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;

    pthread_mutex_lock(&worker->lock); /* under which a slot looks whether to begin */
    if (attempt->stage != STAGE_RUNNING)
        attempt->interrupted = false;
    if (!attempt->timed_out)
        atomic_store(&attempt->stopping, false);
    pthread_mutex_unlock(&worker->lock);
}

void jj__lease_regain(struct jj_attempt *attempt, int64_t now_ms)
{
    attempt->lease_until_ms = now_ms + attempt->handler->facts.ack_wait_ms;
    attempt->renew_ms = now_ms + attempt->handler->facts.ack_wait_ms / 3;
    attempt->renewal = 0; /* what was said under way was said of the old delivery */
    if (!attempt->lease_lost)
        return;
    attempt->lease_lost = false;
    take_back_the_stop(attempt);
    jj__log(&attempt->worker->log, JJ_LOG_INFO, "lease regained: job %s, attempt %u",
            attempt->job.id, (unsigned)attempt->number);
}

void jj__lease_drop(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;

    if (attempt->lease_prev == NULL)
        worker->lease_first = attempt->lease_next;
    else
        attempt->lease_prev->lease_next = attempt->lease_next;
    if (attempt->lease_next == NULL)
        worker->lease_last = attempt->lease_prev;
    else
        attempt->lease_next->lease_prev = attempt->lease_prev;
    worker->attempts--;
}

bool jj__lease_is_lost(struct jj_attempt *attempt)
{
    if (attempt->lease_lost || attempt->orphan || jj__clock_mono_ms() < attempt->lease_until_ms)
        return attempt->lease_lost;
    attempt->lease_lost = true;
    attempt->interrupted = true;
    atomic_store(&attempt->stopping, true);
    jj__log(&attempt->worker->log, JJ_LOG_WARN, "lease lost: job %s, attempt %u", attempt->job.id,
            (unsigned)attempt->number);
    return true;
}

static bool is_due(struct jj_attempt *attempt, int64_t now_ms)
{
    return !attempt->settled && !attempt->orphan && !jj__lease_is_lost(attempt) &&
           now_ms >= attempt->renew_ms;
}

static void renew(struct jj_attempt *attempt, int64_t now_ms, const char *reply)
{
    const struct outgoing in_progress = {
        .subject = jj__attempt_reply(attempt), .reply = reply, .data = "+WPI", .len = 4};

    if (!jj__broker_send(attempt->worker->broker, &in_progress))
        return;
    attempt->renewal = attempt->worker->renewals;
    attempt->renewed_ms = now_ms;
    attempt->renew_ms = now_ms + attempt->handler->facts.ack_wait_ms / 3;
}

static void renew_all(struct worker *worker, int64_t now_ms)
{
    char reply[JJ__INBOX_SIZE + 24];
    struct jj_attempt *last = NULL;

    worker->renewals++;
    for (struct jj_attempt *attempt = worker->lease_first; attempt != NULL;
         attempt = attempt->lease_next) {
        if (!is_due(attempt, now_ms))
            continue;
        if (last != NULL)
            renew(last, now_ms, NULL);
        last = attempt;
    }
    if (last == NULL)
        return;
    snprintf(reply, sizeof(reply), "%s.%llu", worker->lease_inbox,
             (unsigned long long)worker->renewals);
    renew(last, now_ms, reply);
    jj__fault_point("lease.renewed");
}

/* The server has read that round of renewals, and those before it. */
static void take_answer(void *ctx, struct broker_msg *msg)
{
    struct worker *worker = ctx;

    if (msg == NULL)
        return; /* the consumer is gone, and so are its leases */
    uint64_t round = strtoull(strrchr(jj__msg_subject(msg), '.') + 1, NULL, 10);
    for (struct jj_attempt *attempt = worker->lease_first; attempt != NULL;
         attempt = attempt->lease_next) {
        if (attempt->renewal == 0 || attempt->renewal > round)
            continue;
        attempt->renewal = 0;
        attempt->lease_until_ms = attempt->renewed_ms + attempt->handler->facts.ack_wait_ms;
    }
    jj__msg_free(msg);
}

jj_status jj__lease_open(struct worker *worker, jj_error *err)
{
    char subject[JJ__INBOX_SIZE + 2];
    const struct port_options options = {.subject = subject, .take = take_answer, .ctx = worker};

    jj__broker_inbox(worker->broker, "l", worker->lease_inbox);
    snprintf(subject, sizeof(subject), "%s.*", worker->lease_inbox);
    return jj__broker_port_open(worker->broker, &options, &worker->lease_port, err);
}

void jj__lease_close(struct worker *worker)
{
    jj__broker_port_close(worker->lease_port);
    worker->lease_port = NULL;
}

/* How long its handler has run; -1: it has not begun, or has returned. */
static int64_t running_ms(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;
    int64_t ms = -1;

    pthread_mutex_lock(&worker->lock);
    if (attempt->started_us > 0 && !attempt->returned)
        ms = (jj__clock_mono_us() - attempt->started_us) / 1000;
    pthread_mutex_unlock(&worker->lock);
    return ms;
}

static void watch_timeout(struct jj_attempt *attempt)
{
    int64_t ms = running_ms(attempt);
    char text[64];

    if (attempt->timeout_ms == 0 || attempt->sealed || ms < attempt->timeout_ms)
        return;
    attempt->timed_out = true;
    atomic_store(&attempt->stopping, true);
    if (ms < attempt->timeout_ms + TIMEOUT_GRACE_MS)
        return;
    snprintf(text, sizeof(text), "timeout after %lld ms", (long long)attempt->timeout_ms);
    jj__commit_sealed(attempt, text);
}

static void watch_timeouts(struct worker *worker)
{
    struct jj_attempt *following;

    for (struct jj_attempt *attempt = worker->lease_first; attempt != NULL; attempt = following) {
        following = attempt->lease_next;
        if (attempt->timeout_ms > 0)
            watch_timeout(attempt);
    }
}

int64_t jj__lease_turn(struct worker *worker, int64_t now_ms)
{
    if (worker->attempts == 0)
        return INT64_MAX;
    int64_t tick_ms = worker->ack_wait_ms / 6 < TICK_MS ? worker->ack_wait_ms / 6 : TICK_MS;
    if (now_ms >= worker->renew_tick_ms) {
        renew_all(worker, now_ms);
        worker->renew_tick_ms = now_ms + tick_ms;
    }
    if (worker->timed == 0)
        return worker->renew_tick_ms;
    if (now_ms >= worker->timed_tick_ms) {
        watch_timeouts(worker);
        worker->timed_tick_ms = now_ms + TIMED_TICK_MS;
    }
    return worker->timed_tick_ms < worker->renew_tick_ms ? worker->timed_tick_ms
                                                         : worker->renew_tick_ms;
}
