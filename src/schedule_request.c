/* SPDX-License-Identifier: Apache-2.0 */

/* Schedules of clients that may not write to JOBS_SCHEDULE themselves.
 *
 * That stream obeys headers: they could aim a schedule at another name's jobs, wipe the stream or
 * remove others' schedules. So nothing passes but what is known to be harmless, and the target is
 * never the client's word. What is no more than nonsense is left to the server, whose refusal is
 * passed on. */

#include "schedule_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "codec_json.h"

#define OWN_HEADERS 6
#define AT          "@at "
#define KEY_PREFIX  "key:"
#define KEY_MAX     256

static const char *find(const struct schedule_request *request, const char *name)
{
    return jj__header_find(request->headers, request->header_count, name);
}

static void add(struct schedule_plan *plan, const char *name, const char *value)
{
    plan->headers[plan->header_count++] = (jj_header){.name = name, .value = value};
}

static jj_status unwanted(const struct schedule_request *request, const char *header,
                          const char *kind, jj_error *err)
{
    if (find(request, header) == NULL)
        return JJ_OK;
    return jj__fail(err, JJ_ERR_INVALID, "header %s is not allowed with %s", header, kind);
}

/* ---- one-off ---- */

static jj_status plan_id(const struct schedule_request *request, struct schedule_plan *plan,
                         jj_error *err)
{
    const char *id = find(request, JJ__HEADER_ID);

    if (id == NULL)
        id = request->new_id;
    jj_status s = jj__token_check("header " JJ__HEADER_ID, id, err);
    if (s == JJ_OK)
        memcpy(plan->id, id, strlen(id) + 1);
    return s;
}

/* The message id of a job: its own, or the unique key's. */
static jj_status plan_msg_id(const struct schedule_request *request, struct schedule_plan *plan,
                             jj_error *err)
{
    const char *key = find(request, JJ__HEADER_KEY);

    plan->msg_id = find(request, JJ__HEADER_MSG_ID);
    if (plan->msg_id != NULL)
        return JJ_OK;
    plan->msg_id = plan->id;
    if (key == NULL)
        return JJ_OK;
    size_t len = strlen(key);
    if (len == 0 || len > KEY_MAX)
        return jj__fail(err, JJ_ERR_INVALID,
                        "header " JJ__HEADER_KEY " has %zu bytes: allowed is "
                        "1 to %d",
                        len, KEY_MAX);
    memcpy(plan->key, KEY_PREFIX, strlen(KEY_PREFIX));
    memcpy(plan->key + strlen(KEY_PREFIX), key, len + 1);
    plan->msg_id = plan->key;
    return JJ_OK;
}

/* Who says Job-Run-At has chosen @at to suit; who does not is served by the 500 ms rule. */
static jj_status plan_once(const struct schedule_request *request, const char *schedule,
                           struct schedule_plan *plan, jj_error *err)
{
    int64_t at_ms;

    if (!jj__rfc3339_read(schedule + strlen(AT), &at_ms))
        return jj__fail(err, JJ_ERR_INVALID,
                        "header " JJ__HEADER_SCHEDULE " is '%.60s': the time is not RFC 3339",
                        schedule);
    jj_status s = unwanted(request, JJ__HEADER_SCHEDULE_ID, "@at", err);
    if (s == JJ_OK)
        s = unwanted(request, JJ__HEADER_TIME_ZONE, "@at", err);
    if (s == JJ_OK)
        s = plan_id(request, plan, err);
    if (s == JJ_OK)
        s = plan_msg_id(request, plan, err);
    if (s != JJ_OK)
        return s;
    add(plan, JJ__HEADER_MSG_ID, plan->msg_id);
    add(plan, JJ__HEADER_ID, plan->id);
    if (find(request, JJ__HEADER_RUN_AT) != NULL) {
        add(plan, JJ__HEADER_SCHEDULE, schedule);
    } else {
        jj__resend_at(at_ms, plan->at);
        jj__rfc3339_write(at_ms, plan->run_at);
        add(plan, JJ__HEADER_SCHEDULE, plan->at);
        add(plan, JJ__HEADER_RUN_AT, plan->run_at);
    }
    if (find(request, JJ__HEADER_CREATED_AT) == NULL) {
        jj__rfc3339_write(request->now_ms, plan->created_at);
        add(plan, JJ__HEADER_CREATED_AT, plan->created_at);
    }
    return JJ_OK;
}

/* ---- recurring ---- */

static jj_status plan_recurring(const struct schedule_request *request, const char *schedule,
                                struct schedule_plan *plan, jj_error *err)
{
    const char *id = find(request, JJ__HEADER_SCHEDULE_ID);
    const char *zone = find(request, JJ__HEADER_TIME_ZONE);
    jj_status s = jj__token_check("header " JJ__HEADER_SCHEDULE_ID, id, err);

    if (s == JJ_OK && strlen(id) > JJ__SCHEDULE_ID_MAX)
        s = jj__fail(err, JJ_ERR_INVALID,
                     "header " JJ__HEADER_SCHEDULE_ID " has %zu characters: allowed is 1 to %d",
                     strlen(id), JJ__SCHEDULE_ID_MAX);
    if (s == JJ_OK)
        s = unwanted(request, JJ__HEADER_ID, "a recurring schedule", err);
    if (s == JJ_OK)
        s = unwanted(request, JJ__HEADER_RUN_AT, "a recurring schedule", err);
    if (s != JJ_OK)
        return s;
    plan->recurring = true;
    memcpy(plan->id, id, strlen(id) + 1);
    add(plan, JJ__HEADER_SCHEDULE, schedule);
    if (zone != NULL)
        add(plan, JJ__HEADER_TIME_ZONE, zone);
    plan->msg_id = find(request, JJ__HEADER_MSG_ID);
    if (plan->msg_id != NULL)
        add(plan, JJ__HEADER_MSG_ID, plan->msg_id);
    return JJ_OK;
}

/* ---- both ---- */

/* Job-Id was written by us; Jobs-* are for the index service. */
static bool passes(const jj_header *header)
{
    return strncasecmp(header->name, "Nats-", 5) != 0 &&
           strncasecmp(header->name, "Jobs-", 5) != 0 && strcmp(header->name, JJ__HEADER_ID) != 0;
}

static void add_others(const struct schedule_request *request, struct schedule_plan *plan)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (passes(&request->headers[i]))
            add(plan, request->headers[i].name, request->headers[i].value);
}

/* Those of the schedule itself, too: their values are the client's. */
static jj_status check_headers(const struct schedule_plan *plan, size_t data_len, jj_error *err)
{
    for (size_t i = 0; i < plan->header_count; i++) {
        const jj_header *header = &plan->headers[i];
        if (!jj__header_name_valid(header->name) || !jj__header_value_valid(header->value))
            return jj__fail(err, JJ_ERR_INVALID, "header '%.64s' can't be sent on", header->name);
    }
    if (jj__headers_mislead(plan->headers, plan->header_count, data_len))
        return jj__fail(err, JJ_ERR_INVALID, "header Status is not allowed without data");
    return JJ_OK;
}

/* As the worker will read it. */
static jj_status check_job(const struct schedule_request *request, struct schedule_plan *plan,
                           jj_error *err)
{
    const struct job_message message = {.subject = plan->target,
                                        .data = request->data,
                                        .data_len = request->data_len,
                                        .headers = plan->headers,
                                        .header_count = plan->header_count,
                                        .seq = 1};
    struct job job;
    jj_status s = jj__job_read(&message, &job, err);

    plan->step = jj__step_of(&job);
    return s;
}

jj_status jj__schedule_plan(const struct schedule_request *request, struct schedule_plan *plan,
                            jj_error *err)
{
    const char *schedule = find(request, JJ__HEADER_SCHEDULE);
    jj_status s;

    *plan = (struct schedule_plan){0};
    if (schedule == NULL || schedule[0] == '\0')
        return jj__fail(err, JJ_ERR_INVALID, "header " JJ__HEADER_SCHEDULE " is missing");
    plan->headers = malloc((request->header_count + OWN_HEADERS) * sizeof(*plan->headers));
    if (plan->headers == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers");
    jj__subject_due(plan->target, request->name);
    if (strncmp(schedule, AT, strlen(AT)) == 0)
        s = plan_once(request, schedule, plan, err);
    else
        s = plan_recurring(request, schedule, plan, err);
    if (s == JJ_OK) {
        jj__subject_schedule(plan->subject, request->name, plan->id);
        add(plan, JJ__HEADER_SCHEDULE_TARGET, plan->target);
        add_others(request, plan);
        s = check_headers(plan, request->data_len, err);
    }
    if (s == JJ_OK)
        s = check_job(request, plan, err);
    if (s != JJ_OK)
        jj__schedule_plan_done(plan);
    return s;
}

void jj__schedule_plan_done(struct schedule_plan *plan)
{
    free(plan->headers);
    plan->headers = NULL;
}

void jj__schedule_write_json(struct buf *out, const struct schedule_answer *answer)
{
    jj__buf_str(out, "{\"id\":");
    jj__json_string(out, answer->id, strlen(answer->id));
    jj__buf_str(out, ",\"seq\":");
    jj__buf_u64(out, answer->seq);
    jj__buf_str(out, answer->duplicate ? ",\"duplicate\":true}" : ",\"duplicate\":false}");
}

static bool read_json(const void *data, size_t len, struct schedule_stored *stored_out)
{
    json_t *json = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(json, "id"));
    bool valid = id != NULL && jj__token_valid(id);

    if (valid) {
        *stored_out = (struct schedule_stored){
            .seq = (uint64_t)json_integer_value(json_object_get(json, "seq")),
            .duplicate = json_is_true(json_object_get(json, "duplicate"))};
        memcpy(stored_out->id, id, strlen(id) + 1);
    }
    json_decref(json);
    return valid;
}

jj_status jj__schedule_read_answer(const void *data, size_t len, struct schedule_stored *stored_out,
                                   jj_error *err)
{
    bool is_json = len > 0 && *(const char *)data == '{'; /* no field of ours begins like that */

    if (is_json ? read_json(data, len, stored_out)
                : jj__pb_read_schedule_answer(data, len, stored_out))
        return JJ_OK;
    return jj__fail(err, JJ_ERR_PROTOCOL, "the answer of the index names no job");
}
