/* SPDX-License-Identifier: Apache-2.0 */

/* jobs.schedule.<name>: publishing a schedule for a client that may not write to JOBS_SCHEDULE. */

#include <stdlib.h>
#include <string.h>

#include "api_inside.h"
#include "clock.h"
#include "cron.h"
#include "duplicate.h"
#include "id.h"
#include "place.h"
#include "schedule_request.h"
#include "spec.h"
#include "subject.h"

#define STORE_LIMIT_MS 2500

static jj_status check_size(const struct inquiry *inquiry, jj_error *err)
{
    size_t max = jj__broker_max_payload(inquiry->api->broker) - JJ__SPEC_OVERHEAD;

    if (jj__msg_len(inquiry->msg) <= max)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_TOO_LARGE, "data has %zu bytes: allowed are %zu",
                    jj__msg_len(inquiry->msg), max);
}

/* What else has that message id: the job of another id, if it came by a unique key. */
static jj_status find_first(struct inquiry *inquiry, const struct schedule_plan *plan, uint64_t seq,
                            int64_t deadline_ms, char id_out[JJ_NAME_SIZE], jj_error *err)
{
    bool by_key = strncmp(plan->msg_id, "key:", 4) == 0;
    const struct duplicate duplicate = {.stream = JJ__STREAM_SCHEDULE,
                                        .seq = seq,
                                        .key = plan->msg_id + (by_key ? 4 : 0),
                                        .deadline_ms = deadline_ms};

    return jj__duplicate_find(inquiry->api->broker, &inquiry->api->log, &duplicate, id_out, err);
}

/* That an id is taken by something else is the asker's mistake. */
static jj_status fail_store(jj_status s, const jj_error *why, jj_error *err)
{
    return jj__fail(err, s == JJ_ERR_EXISTS ? JJ_ERR_INVALID : s, "%s", why->text);
}

/* A recurring one has no message id, so that it can be replaced. */
static jj_status store_recurring(struct inquiry *inquiry, const struct outgoing *message,
                                 const char *id, int64_t deadline_ms,
                                 struct schedule_answer *answer, jj_error *err)
{
    struct cron_stored stored;
    jj_error why;
    jj_status s = jj__cron_store(inquiry->api->broker, message, id, deadline_ms, &stored, &why);

    if (s != JJ_OK)
        return fail_store(s, &why, err);
    *answer = (struct schedule_answer){
        .id = id, .seq = stored.seq, .duplicate = stored.change == JJ_CRON_UNCHANGED};
    return JJ_OK;
}

/* Its message id is its own, or that of a step of its life (resend.c): not a key that another job
 * may have. */
static bool has_own_msg_id(const struct schedule_plan *plan)
{
    size_t len = strlen(plan->id);

    return strncmp(plan->msg_id, plan->id, len) == 0 &&
           (plan->msg_id[len] == '\0' || plan->msg_id[len] == ':');
}

static jj_status store(struct inquiry *inquiry, struct schedule_plan *plan,
                       struct schedule_answer *answer, jj_error *err)
{
    struct broker *broker = inquiry->api->broker;
    int64_t deadline_ms = jj__clock_mono_ms() + STORE_LIMIT_MS;
    const struct outgoing message = {.subject = plan->subject,
                                     .headers = plan->headers,
                                     .header_count = plan->header_count,
                                     .data = jj__msg_data(inquiry->msg),
                                     .len = jj__msg_len(inquiry->msg)};
    struct publish_result result = {0};

    if (plan->recurring && plan->msg_id == NULL)
        return store_recurring(inquiry, &message, plan->id, deadline_ms, answer, err);
    if (plan->recurring)
        jj__place_publish(broker, &message, NULL, deadline_ms, &result);
    else
        jj__place_store(broker, &message, &plan->step, deadline_ms, &result);
    if (result.status != JJ_OK)
        return fail_store(result.status, &result.err, err);
    *answer =
        (struct schedule_answer){.id = plan->id, .seq = result.seq, .duplicate = result.duplicate};
    if (!result.duplicate || plan->recurring || has_own_msg_id(plan))
        return JJ_OK;
    return find_first(inquiry, plan, result.seq, deadline_ms, plan->id, err);
}

static jj_status plan_and_store(struct inquiry *inquiry, const struct schedule_request *request,
                                jj_error *err)
{
    struct schedule_plan plan;
    struct schedule_answer answer;
    jj_status s = jj__schedule_plan(request, &plan, err);
    if (s != JJ_OK)
        return s;

    s = store(inquiry, &plan, &answer, err);
    if (s == JJ_OK && inquiry->protobuf)
        jj__pb_write_schedule_answer(&inquiry->body, &answer);
    else if (s == JJ_OK)
        jj__schedule_write_json(&inquiry->body, &answer);
    jj__schedule_plan_done(&plan);
    return s;
}

jj_status jj__api_schedule(struct inquiry *inquiry, jj_error *err)
{
    char new_id[JJ__ID_SIZE];
    jj_header *headers = NULL;
    struct schedule_request request = {.name = inquiry->name,
                                       .data = jj__msg_data(inquiry->msg),
                                       .data_len = jj__msg_len(inquiry->msg),
                                       .now_ms = jj__clock_wall_ms(),
                                       .new_id = new_id};
    jj_status s = check_size(inquiry, err);

    if (s == JJ_OK)
        s = jj__id_new(request.now_ms, new_id, err);
    if (s == JJ_OK)
        s = jj__msg_headers(inquiry->msg, &headers, &request.header_count, err);
    request.headers = headers;
    if (s == JJ_OK)
        s = plan_and_store(inquiry, &request, err);
    free(headers);
    return s;
}
