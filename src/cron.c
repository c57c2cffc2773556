/* SPDX-License-Identifier: Apache-2.0 */

/* The public calls about recurring schedules. Who may not write to JOBS_SCHEDULE asks an index
 * service, which does the same. */

#include "cron.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "cron_spec.h"
#include "schedule_ask.h"
#include "spec.h"

#define OWN_HEADERS 3

/* ---- add ---- */

static jj_status check(jj_client *client, const jj_cron *cron, jj_error *err)
{
    jj_status s = jj__token_check("schedule id", cron->id, err);

    if (s == JJ_OK && strlen(cron->id) > JJ__SCHEDULE_ID_MAX)
        return jj__fail(err, JJ_ERR_INVALID, "schedule id '%s' has %zu characters: allowed is %d",
                        cron->id, strlen(cron->id), JJ__SCHEDULE_ID_MAX);
    if (s == JJ_OK && (cron->job.id != NULL || cron->job.unique_key != NULL))
        return jj__fail(err, JJ_ERR_INVALID,
                        "the job of a schedule has neither id nor unique key: each time it has an "
                        "id of its own");
    if (s == JJ_OK)
        s = jj__cron_check(cron->spec, cron->time_zone, err);
    if (s == JJ_OK)
        s = jj__spec_check(&cron->job, jj__broker_max_payload(client->broker), err);
    return s;
}

/* As it would be sent to jobs.schedule.<name>. Free the headers. */
static jj_status write_request(const jj_cron *cron, struct spec_texts *texts,
                               struct schedule_request *request, jj_error *err)
{
    jj_header *headers =
        malloc((OWN_HEADERS + JJ__SPEC_HEADERS + cron->job.header_count) * sizeof(*headers));
    size_t count = 0;

    if (headers == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers");
    headers[count++] = (jj_header){JJ__HEADER_SCHEDULE, cron->spec};
    headers[count++] = (jj_header){JJ__HEADER_SCHEDULE_ID, cron->id};
    if (cron->time_zone != NULL)
        headers[count++] = (jj_header){JJ__HEADER_TIME_ZONE, cron->time_zone};
    count += jj__spec_headers(&cron->job, texts, headers + count);
    *request = (struct schedule_request){.name = cron->job.name,
                                         .data = cron->job.data,
                                         .data_len = cron->job.data_len,
                                         .headers = headers,
                                         .header_count = count,
                                         .now_ms = jj__clock_wall_ms()};
    return JJ_OK;
}

static jj_status store(jj_client *client, const struct schedule_request *request,
                       int64_t deadline_ms, struct cron_stored *stored, jj_error *err)
{
    struct schedule_plan plan;
    jj_status s = jj__schedule_plan(request, &plan, err);
    if (s != JJ_OK)
        return s;
    const struct outgoing message = {.subject = plan.subject,
                                     .headers = plan.headers,
                                     .header_count = plan.header_count,
                                     .data = request->data,
                                     .len = request->data_len};

    s = jj__cron_store(client->broker, &message, plan.id, deadline_ms, stored, err);
    jj__schedule_plan_done(&plan);
    return s;
}

static jj_status ask_service(jj_client *client, const struct schedule_request *request,
                             int64_t deadline_ms, struct cron_stored *stored, jj_error *err)
{
    const struct outgoing message = {.headers = request->headers,
                                     .header_count = request->header_count,
                                     .data = request->data,
                                     .len = request->data_len};
    struct schedule_stored answer;
    jj_status s =
        jj__schedule_ask(client->broker, &message, request->name, deadline_ms, &answer, err);

    if (s != JJ_OK)
        return s;
    stored->seq = answer.seq;
    stored->change = answer.duplicate ? JJ_CRON_UNCHANGED : JJ_CRON_ADDED;
    return JJ_OK;
}

jj_status jj_cron_add(jj_client *client, const jj_cron *cron, jj_cron_change *change_out,
                      jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    struct schedule_request request = {0};
    struct cron_stored stored;
    struct spec_texts texts;
    jj_status s = check(client, cron, err);

    if (s == JJ_OK)
        s = write_request(cron, &texts, &request, err);
    if (s == JJ_OK)
        s = store(client, &request, deadline_ms, &stored, err);
    if (s == JJ_ERR_NOT_PERMITTED)
        s = ask_service(client, &request, deadline_ms, &stored, err);
    free((void *)request.headers);
    if (s != JJ_OK)
        return s;
    jj__client_saw(client, &(struct seqs){.schedule = stored.seq});
    if (change_out != NULL)
        *change_out = stored.change;
    return JJ_OK;
}

/* ---- remove ---- */

/* The schedule of that id, whatever its jobs' name. */
static jj_status find(jj_client *client, const char *id, int64_t deadline_ms, uint64_t *seq_out,
                      jj_error *err)
{
    char filter[JJ__SUBJECT_SIZE];
    struct cron_message found = {0};
    bool recurs = false;

    jj__cron_filter(filter, NULL, id);
    while (!recurs) {
        jj_status s =
            jj__cron_read_next(client->broker, filter, found.seq + 1, deadline_ms, &found, err);
        if (s == JJ_ERR_NOT_FOUND)
            return jj__fail(err, s, "there is no recurring schedule '%s'", id);
        if (s != JJ_OK)
            return s;
        recurs = jj__cron_recurs(&found);
        jj__msg_free(found.msg);
    }
    *seq_out = found.seq;
    return JJ_OK;
}

/* An error is no news: whether it is gone is seen by looking again. */
static jj_status delete_message(jj_client *client, uint64_t seq, int64_t deadline_ms, jj_error *err)
{
    char body[48];
    struct broker_msg *msg = NULL;
    int len =
        snprintf(body, sizeof(body), "{\"seq\":%llu,\"no_erase\":true}", (unsigned long long)seq);
    const struct outgoing question = {.subject = "$JS.API.STREAM.MSG.DELETE." JJ__STREAM_SCHEDULE,
                                      .data = body,
                                      .len = (size_t)len};
    jj_status s = jj__broker_request(client->broker, &question, deadline_ms, &msg, err);

    if (s == JJ_OK)
        jj__msg_free(msg);
    return s;
}

/* NOT_FOUND: it is gone. Once it was asked for, any other failure leaves that open. */
static jj_status delete_and_look(jj_client *client, const char *id, uint64_t *seq,
                                 int64_t deadline_ms, jj_error *err)
{
    jj_error why;
    jj_status s = delete_message(client, *seq, deadline_ms, err);
    if (s != JJ_OK)
        return s;
    s = find(client, id, deadline_ms, seq, &why);
    if (s == JJ_OK && jj__clock_mono_ms() >= deadline_ms)
        return jj__fail(err, JJ_ERR_TIMEOUT, "schedule '%s' is still there", id);
    if (s != JJ_OK && s != JJ_ERR_NOT_FOUND)
        return jj__fail(err, JJ_ERR_TIMEOUT, "schedule '%s' may be gone: %s", id, why.text);
    return s;
}

jj_status jj_cron_remove(jj_client *client, const char *id, jj_error *err)
{
    int64_t deadline_ms = jj__clock_mono_ms() + client->options.timeout_ms;
    uint64_t seq = 0;
    jj_status s = jj__token_check("schedule id", id, err);

    if (s == JJ_OK)
        s = find(client, id, deadline_ms, &seq, err);
    if (s != JJ_OK)
        return s;
    while (s == JJ_OK)
        s = delete_and_look(client, id, &seq, deadline_ms, err);
    return s == JJ_ERR_NOT_FOUND ? JJ_OK : s;
}
