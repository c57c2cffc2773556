/* SPDX-License-Identifier: Apache-2.0 */

/* Leases and timeouts: what time does to the jobs that a worker holds.
 *
 * A job is ours as long as the broker hears of it within ack_wait. A worker that could not say so
 * for that long, because it was frozen or cut off, has lost it: somebody else may be running it.
 * From then on it answers nothing for that job, as a late answer would hit the other one's
 * delivery, but the acknowledgement of one that really completed. */

#include <stdio.h>

#include "clock.h"
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
    if (attempt->lease_lost || jj__clock_mono_ms() < attempt->lease_until_ms)
        return attempt->lease_lost;
    attempt->lease_lost = true;
    atomic_store(&attempt->stopping, true);
    jj__log(&attempt->worker->log, JJ_LOG_WARN, "lease lost: job %s, attempt %u", attempt->job.id,
            (unsigned)attempt->number);
    return true;
}

static void renew(struct jj_attempt *attempt, int64_t now_ms)
{
    const struct outgoing in_progress = {
        .subject = jj__msg_reply(attempt->msg), .data = "+WPI", .len = 4};

    if (jj__lease_is_lost(attempt) || now_ms < attempt->renew_ms)
        return;
    if (!jj__broker_send(attempt->worker->broker, &in_progress))
        return;
    attempt->lease_until_ms = now_ms + attempt->handler->facts.ack_wait_ms;
    attempt->renew_ms = now_ms + attempt->handler->facts.ack_wait_ms / 3;
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

int64_t jj__lease_turn(struct worker *worker, int64_t now_ms)
{
    struct jj_attempt *following;
    bool timed = false;

    if (worker->attempts == 0)
        return INT64_MAX;
    for (struct jj_attempt *attempt = worker->lease_first; attempt != NULL; attempt = following) {
        following = attempt->lease_next;
        renew(attempt, now_ms);
        timed |= attempt->timeout_ms > 0;
        if (attempt->timeout_ms > 0)
            watch_timeout(attempt);
    }
    int64_t tick_ms = worker->ack_wait_ms / 6 < TICK_MS ? worker->ack_wait_ms / 6 : TICK_MS;
    return now_ms + (timed ? TIMED_TICK_MS : tick_ms);
}
