/* SPDX-License-Identifier: Apache-2.0 */

/* Messages that come although their jobs are in our hands.
 *
 * A broker that was killed forgets the deliveries and acknowledgements of its last second, and
 * delivers those messages again, as if for the first time. And a worker that was cut off for too
 * long may be given the very job that it still runs. Running it beside itself would be the worst of
 * all answers: the one at hand goes on, with the lease and the reply subject of the new delivery.
 * (An acknowledgement names the sequence in the stream; the server ignores it as long as it does
 * not know of a delivery, and a negative one also if its consumer sequence is of a forgotten
 * future. So what is answered is always the latest delivery.)
 *
 * A sequence alone says nothing when the stream was made anew: then it is another job's, and what
 * we hold under it must not be answered any more, as that would hit the other one. */

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "worker.h"

/* Unclaimed, so whoever had it in between may have run it. */
static bool take_out_of_held(struct jj_attempt *attempt)
{
    struct attempt_queue *held = &attempt->handler->held;
    struct attempt_queue others = {0};
    struct jj_attempt *other;
    bool found = false;

    while ((other = jj__queue_pop(held)) != NULL)
        if (other == attempt)
            found = true;
        else
            jj__queue_push(&others, other);
    *held = others;
    return found;
}

static void ask_anew(struct jj_attempt *attempt, enum stage stage)
{
    if (stage == STAGE_ASKING)
        attempt->ask_anew = true;
    else if (stage == STAGE_HELD && take_out_of_held(attempt))
        jj__ask(attempt);
}

/* Its end was decided while its handler still ran, and nothing but the handler's return is waited
 * for. */
static void wake_settled(struct jj_attempt *attempt, enum stage stage)
{
    if (stage == STAGE_ENDED) {
        jj__attempt_answer(attempt, "+ACK");
        return;
    }
    /* Nothing was decided, as its lease was lost. Now it can be: the timeout will see to it. */
    attempt->sealed = false;
    attempt->settled = false;
    attempt->worker->settled--;
}

static enum stage stage_of(struct jj_attempt *attempt)
{
    pthread_mutex_lock(&attempt->worker->lock);
    enum stage stage = attempt->stage;
    pthread_mutex_unlock(&attempt->worker->lock);
    return stage;
}

static void adopt(struct jj_attempt *attempt, struct jj_attempt *fresh)
{
    char *reply = strdup(jj__msg_reply(fresh->msg));
    enum stage stage = stage_of(attempt);

    jj__log(&attempt->worker->log, JJ_LOG_DEBUG,
            "job %s was delivered again (%llu) and is still held", attempt->job.id,
            (unsigned long long)fresh->delivered);
    if (reply != NULL) {
        free(attempt->reply);
        attempt->reply = reply;
    }
    attempt->taken_ms = fresh->taken_ms;
    jj__lease_regain(attempt, fresh->taken_ms);
    if (attempt->settled)
        wake_settled(attempt, stage);
    if (fresh->delivered <= attempt->delivered)
        return;
    attempt->delivered = fresh->delivered;
    ask_anew(attempt, stage);
}

static bool is_same(const struct jj_attempt *attempt, const struct jj_attempt *fresh)
{
    return attempt->entry.stored_at_ms == fresh->entry.stored_at_ms &&
           attempt->handler == fresh->handler && strcmp(attempt->job.id, fresh->job.id) == 0;
}

bool jj__adopt(struct jj_attempt *fresh)
{
    struct worker *worker = fresh->worker;
    const struct held_entry *entry = jj__held_find(&worker->held, fresh->entry.seq);
    const struct acked_message message = {fresh->entry.seq, fresh->entry.stored_at_ms};
    struct jj_attempt *attempt = entry == NULL ? NULL : entry->holder;

    if (attempt != NULL && is_same(attempt, fresh)) {
        adopt(attempt, fresh);
        jj__attempt_free(fresh);
        return true;
    }
    if (attempt != NULL) {
        jj__log(&worker->log, JJ_LOG_WARN, "job %s is not in the stream any more, %s has its place",
                attempt->job.id, fresh->job.id);
        jj__held_remove(&worker->held, &attempt->entry);
        attempt->orphan = true;
    }
    if (jj__acked_has(&worker->acked, message, fresh->taken_ms)) {
        jj__log(&worker->log, JJ_LOG_DEBUG, "job %s was delivered again, but is over",
                fresh->job.id);
        jj__attempt_ack(fresh);
        return true;
    }
    jj__held_add(&worker->held, &fresh->entry);
    return false;
}
