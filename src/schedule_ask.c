/* SPDX-License-Identifier: Apache-2.0 */

/* The asker's side of jobs.schedule.<name>; the service's is in api_schedule.c. The answer comes
 * when the schedule is stored, so that it is worth as much as the stream's own acknowledgement. */

#include "schedule_ask.h"

#include <stdlib.h>
#include <string.h>

#include "client_ask.h"
#include "clock.h"
#include "subject.h"

#define ASK_LIMIT_MS 5000 /* the service takes half of it at most */

/* The same message, to somebody who stores it. */
static struct outgoing question_of(const struct outgoing *schedule, const char *name,
                                   char subject[JJ__SUBJECT_SIZE])
{
    struct outgoing question = *schedule;

    jj__subject_request(subject, "schedule", name);
    question.subject = subject;
    return question;
}

/* It is in JSON, or in protobuf if the job's data is. */
static jj_status read_answer(struct broker_msg *msg, struct schedule_stored *stored, jj_error *err)
{
    jj_status s = jj__ask_refused(msg, err);

    if (s != JJ_OK)
        return s;
    return jj__schedule_read_answer(jj__msg_data(msg), jj__msg_len(msg), stored, err);
}

jj_status jj__schedule_ask(struct broker *broker, const struct outgoing *schedule, const char *name,
                           int64_t deadline_ms, struct schedule_stored *stored_out, jj_error *err)
{
    char subject[JJ__SUBJECT_SIZE];
    const struct outgoing question = question_of(schedule, name, subject);
    struct broker_msg *msg = NULL;
    jj_status s = jj__broker_request(broker, &question, deadline_ms, &msg, err);

    if (s == JJ_ERR_UNAVAILABLE && jj__broker_connected(broker))
        return jj__fail(err, s,
                        "this user may not write to JOBS_SCHEDULE, and no index service answers to "
                        "%s: run one (jetjobs serve)",
                        subject);
    if (s != JJ_OK)
        return s;
    s = read_answer(msg, stored_out, err);
    jj__msg_free(msg);
    return s;
}

/* ---- without waiting ---- */

struct asking {
    void (*done)(void *ctx, const struct publish_result *result);
    void *ctx;
    char subject[JJ__SUBJECT_SIZE];
};

static void answered(void *ctx, struct broker_msg *msg, jj_status status)
{
    struct asking *asking = ctx;
    struct schedule_stored stored = {0};
    struct publish_result result = {.status = status};

    if (status == JJ_OK)
        result.status = read_answer(msg, &stored, &result.err);
    else
        result.status =
            jj__fail(&result.err, status, "%s: %s", asking->subject, jj_status_text(status));
    jj__msg_free(msg);
    result.seq = stored.seq;
    result.duplicate = stored.duplicate;
    asking->done(asking->ctx, &result);
    free(asking);
}

jj_status jj__schedule_ask_begin(struct broker *broker, const struct outgoing *schedule,
                                 const char *name,
                                 void (*done)(void *ctx, const struct publish_result *result),
                                 void *ctx, jj_error *err)
{
    struct asking *asking = malloc(sizeof(*asking));
    if (asking == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "schedule");

    *asking = (struct asking){.done = done, .ctx = ctx};
    const struct question question = {.message = question_of(schedule, name, asking->subject),
                                      .deadline_ms = jj__clock_mono_ms() + ASK_LIMIT_MS,
                                      .answer = answered,
                                      .ctx = asking};
    jj_status s = jj__broker_ask(broker, &question, err);
    if (s != JJ_OK)
        free(asking);
    return s;
}
