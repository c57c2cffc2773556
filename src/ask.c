/* SPDX-License-Identifier: Apache-2.0 */

/* Jobs that may be over: the index is asked.
 *
 * A message that was delivered before may be of a job that has ended, or whose worker died. And a
 * cancellation may have been refused, as the job was claimed before it: the event stays in the
 * stream, and whoever gets the job later can't tell by itself (cancels.h says when). To drop such a
 * job would lose it, to run it would break a promise. So while no index answers it is held, not
 * given back, as each delivery may count for a lost worker; until one does or the cancellation is
 * forgotten. */

#include <stdio.h>

#include "clock.h"
#include "codec_pb_request.h"
#include "fault.h"
#include "redeliver.h"
#include "step.h"
#include "subject.h"
#include "worker.h"

#define ASK_LIMIT_MS 2000
#define ASK_AGAIN_MS 2000
/* After a broker went down the number of deliveries may begin again at one, for some minutes. */
#define FORGETFUL_MS (INT64_C(10) * 60 * 1000)

/* ---- cancellations ---- */

static bool is_first(const struct jj_attempt *attempt)
{
    int64_t connected_ms = attempt->worker->connected_ms;

    return attempt->delivered == 1 &&
           (connected_ms == 0 || attempt->taken_ms - connected_ms > FORGETFUL_MS);
}

enum cancel_verdict jj__ask_judge(const struct jj_attempt *attempt)
{
    const struct job *job = &attempt->job;
    uint64_t generation = jj__generation(job->attempts, job->snoozes);
    uint64_t put_offs = job->put_offs < generation ? job->put_offs : generation;
    const struct cancel_question question = {.id = job->id,
                                             .redrives = job->redrives,
                                             .generation = generation,
                                             .unclaimed = generation - put_offs,
                                             .first = is_first(attempt),
                                             .cleared = attempt->cleared,
                                             .until = attempt->claimed ? attempt->claimed_at
                                                                       : UINT64_MAX};

    return jj__cancels_judge(&attempt->worker->cancels, &question);
}

/* ---- what is to be done with it ---- */

static void hold(struct jj_attempt *attempt)
{
    attempt->stage = STAGE_HELD;
    attempt->held_at_ms = jj__clock_mono_ms();
    jj__queue_push(&attempt->handler->held, attempt);
}

static void go_on(struct jj_attempt *attempt)
{
    char text[64];

    if (attempt->claimed) {
        jj__claim_start(attempt);
    } else if (attempt->lost > attempt->worker->options->max_lost) {
        snprintf(text, sizeof(text), "worker lost %u times", (unsigned)attempt->lost);
        jj__commit_unrun(attempt, text);
    } else if (attempt->job.run_at_ms > jj__clock_wall_ms()) {
        jj__commit_too_early(attempt);
    } else if (attempt->delivered > 1 && !attempt->asked) {
        jj__ask(attempt);
    } else {
        hold(attempt);
    }
}

static void wait_for_an_index(struct jj_attempt *attempt)
{
    attempt->stage = STAGE_ASKING;
    attempt->patient = true;
    attempt->ask_again_ms = jj__clock_mono_ms() + ASK_AGAIN_MS;
    jj__queue_push(&attempt->worker->doubtful, attempt);
}

void jj__ask_admit(struct jj_attempt *attempt)
{
    enum cancel_verdict verdict = jj__ask_judge(attempt);

    if (verdict == CANCEL_DROP)
        jj__attempt_ack(attempt);
    else if (verdict == CANCEL_ASK)
        jj__ask(attempt);
    else
        go_on(attempt);
}

/* ---- asking ---- */

/* True if it is over and was dropped. */
static bool learn(struct jj_attempt *attempt, const struct job_facts *facts)
{
    if (jj__redeliver_is_over(facts, &attempt->job)) {
        jj__log(&attempt->worker->log, JJ_LOG_DEBUG, "job %s was delivered, but is past that",
                attempt->job.id);
        jj__attempt_ack(attempt);
        return true;
    }
    attempt->cleared = attempt->asking_of;
    if (!attempt->claimed) /* else our own claim is among those it knows */
        attempt->lost = jj__redeliver_lost(facts, &attempt->job);
    return false;
}

static void take_facts(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct jj_attempt *attempt = ctx;
    struct job_facts facts = {0};
    bool known = status == JJ_OK && jj__msg_header(msg, "Nats-Service-Error-Code") == NULL &&
                 jj__pb_read_facts(jj__msg_data(msg), jj__msg_len(msg), &facts, NULL) == JJ_OK;

    if (msg != NULL)
        jj__msg_free(msg);
    if (!attempt->patient)
        attempt->handler->asking--;
    if (attempt->worker->stopping || jj__lease_is_lost(attempt)) {
        jj__attempt_give_back(attempt);
        return;
    }
    if (attempt->ask_anew) {
        jj__ask(attempt);
        return;
    }
    jj__fault_point("ask.answered");
    attempt->asked = true;
    if (!attempt->claimed)
        attempt->lost = (uint32_t)(attempt->delivered - 1);
    if (known && learn(attempt, &facts))
        return;
    if (!known && jj__ask_judge(attempt) == CANCEL_ASK)
        wait_for_an_index(attempt);
    else
        jj__ask_admit(attempt);
}

static jj_status send_question(struct jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;
    char subject[JJ__SUBJECT_SIZE];
    char seq[24], events_seq[24];
    struct buf body = {0};

    jj__subject_request(subject, "get", attempt->job.name);
    snprintf(seq, sizeof(seq), "%llu", (unsigned long long)attempt->entry.seq);
    snprintf(events_seq, sizeof(events_seq), "%llu", (unsigned long long)worker->events_seq);
    const jj_header headers[] = {{"Content-Type", "application/protobuf"},
                                 {"Jobs-Seq", seq},
                                 {"Jobs-Events-Seq", events_seq}};
    bool is_doubtful = jj__ask_judge(attempt) == CANCEL_ASK;
    jj_status s = jj__pb_write_get(&body, attempt->job.id, NULL);
    const struct question question = {.message = {.subject = subject,
                                                  .headers = headers,
                                                  .header_count = is_doubtful ? 3 : 2,
                                                  .data = body.data,
                                                  .len = body.len},
                                      .deadline_ms = jj__clock_mono_ms() + ASK_LIMIT_MS,
                                      .answer = take_facts,
                                      .ctx = attempt};

    if (s == JJ_OK)
        s = jj__broker_ask(worker->broker, &question, NULL);
    jj__buf_done(&body);
    jj__fault_point("ask.sent");
    return s;
}

void jj__ask(struct jj_attempt *attempt)
{
    attempt->stage = STAGE_ASKING;
    attempt->ask_anew = false;
    attempt->asking_of = attempt->worker->cancels.added;
    if (!attempt->patient)
        attempt->handler->asking++;
    jj_status s = send_question(attempt);
    if (s != JJ_OK)
        take_facts(attempt, NULL, s);
}

/* ---- those that wait ---- */

int64_t jj__ask_turn(struct worker *worker, int64_t now_ms)
{
    struct attempt_queue doubtful = worker->doubtful;
    struct jj_attempt *attempt;

    if (doubtful.count == 0)
        return INT64_MAX;
    worker->doubtful = (struct attempt_queue){0};
    while ((attempt = jj__queue_pop(&doubtful)) != NULL) {
        if (jj__lease_is_lost(attempt))
            jj__attempt_free(attempt);
        else if (now_ms >= attempt->ask_again_ms)
            jj__ask_admit(attempt);
        else
            jj__queue_push(&worker->doubtful, attempt);
    }
    return worker->doubtful.count == 0 ? INT64_MAX : worker->doubtful.first->ask_again_ms;
}
