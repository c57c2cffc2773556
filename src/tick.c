/* SPDX-License-Identifier: Apache-2.0 */

/* Ticks that come twice: the index is asked whether their job has been run.
 *
 * The job of a tick has the same id each time, so that JOBS stores it once. But a server that was
 * killed has forgotten two things when it is back: which ids it has seen of jobs that are over, and
 * that it has fired in its last minutes, for which it may fire again. The history still knows. An
 * index has read it a moment later; how far it must have read is asked of the stream itself. */

#include "tick.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "codec_pb_request.h"
#include "redeliver.h"
#include "subject.h"

#define ASK_LIMIT_MS 2500

struct asking {
    struct broker *broker;
    const struct job *job;
    void (*done)(void *ctx, enum tick_answer answer);
    void *ctx;
    char events_seq[24];
};

static void finish(struct asking *asking, enum tick_answer answer)
{
    asking->done(asking->ctx, answer);
    free(asking);
}

static void take_facts(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct asking *asking = ctx;
    struct job_facts facts = {0};
    bool known = status == JJ_OK && jj__msg_header(msg, JJ__HEADER_ERROR_CODE) == NULL &&
                 jj__pb_read_facts(jj__msg_data(msg), jj__msg_len(msg), &facts, NULL) == JJ_OK;

    jj__msg_free(msg);
    if (!known)
        finish(asking, TICK_UNKNOWN);
    else
        finish(asking, jj__redeliver_is_over(&facts, asking->job) ? TICK_OVER : TICK_NEW);
}

static jj_status ask_index(struct asking *asking)
{
    char subject[JJ__SUBJECT_SIZE];
    struct buf body = {0};
    const jj_header headers[] = {{JJ__HEADER_CONTENT_TYPE, JJ__TYPE_PROTOBUF},
                                 {JJ__HEADER_EVENTS_SEQ, asking->events_seq}};

    jj__subject_request(subject, "get", asking->job->name);
    jj_status s = jj__pb_write_get(&body, asking->job->id, NULL);
    const struct question question = {.message = {.subject = subject,
                                                  .headers = headers,
                                                  .header_count = 2,
                                                  .data = body.data,
                                                  .len = body.len},
                                      .deadline_ms = jj__clock_mono_ms() + ASK_LIMIT_MS,
                                      .answer = take_facts,
                                      .ctx = asking};
    if (s == JJ_OK)
        s = jj__broker_ask(asking->broker, &question, NULL);
    jj__buf_done(&body);
    return s;
}

/* The last message of the history. Who may not read that asks for what the index knows now. */
static void take_last(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct asking *asking = ctx;
    const char *seq = msg == NULL ? NULL : jj__msg_header(msg, "Nats-Sequence");

    snprintf(asking->events_seq, sizeof(asking->events_seq), "%s", seq == NULL ? "0" : seq);
    jj__msg_free(msg);
    bool asked = status == JJ_OK || status == JJ_ERR_NOT_PERMITTED;
    if (!asked || ask_index(asking) != JJ_OK)
        finish(asking, TICK_UNKNOWN);
}

void jj__tick_ask(struct broker *broker, const struct job *job,
                  void (*done)(void *ctx, enum tick_answer answer), void *ctx)
{
    static const char body[] = "{\"last_by_subj\":\">\"}";
    struct asking *asking = calloc(1, sizeof(*asking));

    if (asking == NULL) {
        done(ctx, TICK_UNKNOWN);
        return;
    }
    *asking = (struct asking){.broker = broker, .job = job, .done = done, .ctx = ctx};
    const struct question question = {
        .message = {.subject = "$JS.API.DIRECT.GET." JJ__STREAM_EVENTS,
                    .data = body,
                    .len = sizeof(body) - 1},
        .deadline_ms = jj__clock_mono_ms() + ASK_LIMIT_MS,
        .answer = take_last,
        .ctx = asking};
    if (jj__broker_ask(broker, &question, NULL) != JJ_OK)
        finish(asking, TICK_UNKNOWN);
}
