/* SPDX-License-Identifier: Apache-2.0 */

#include "place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define ERR_WRONG_LAST     10071 /* of the subject: it is not what was expected */
#define ERR_WRONG_LAST_NOW 10164 /* another one is being stored */

void jj__place_expect(uint64_t seq, char out[JJ__EXPECTED_SIZE])
{
    snprintf(out, JJ__EXPECTED_SIZE, "%" PRIu64, seq);
}

bool jj__place_taken(int err_code)
{
    return err_code == ERR_WRONG_LAST || err_code == ERR_WRONG_LAST_NOW;
}

/* ---- reading ---- */

void jj__place_question(const char *schedule, char out[JJ__PLACE_SIZE])
{
    snprintf(out, JJ__PLACE_SIZE, "$JS.API.DIRECT.GET." JJ__STREAM_SCHEDULE ".%s", schedule);
}

/* What makes no sense is no step: it comes first. */
static jj_status read_step(struct broker_msg *msg, struct step *step, jj_error *err)
{
    struct job_message message = {.subject = "jobs.due.job"};
    jj_header *headers = NULL;
    struct job job;

    jj_status s = jj__msg_headers(msg, &headers, &message.header_count, err);
    if (s != JJ_OK)
        return s;
    message.headers = headers;
    *step = (struct step){0};
    if (jj__job_read(&message, &job, NULL) == JJ_OK)
        *step = jj__step_of(&job);
    free(headers);
    return JJ_OK;
}

jj_status jj__place_read(struct broker_msg *msg, const struct step *step, struct place *place_out,
                         jj_error *err)
{
    const char *at = jj__msg_header(msg, JJ__HEADER_SCHEDULE);
    const char *seq = jj__msg_header(msg, "Nats-Sequence");
    int status = jj__msg_status(msg);
    struct step there;

    *place_out = (struct place){0};
    if (status == 404)
        return JJ_OK;
    if (status != 0 || seq == NULL)
        return jj__fail(err, JJ_ERR_PROTOCOL, "the server refuses a direct get (%d)", status);
    jj_status s = read_step(msg, &there, err);
    place_out->seq = strtoull(seq, NULL, 10);
    place_out->recurs = at != NULL && strncmp(at, "@at ", 4) != 0;
    place_out->holds = s == JJ_OK && jj__step_compare(&there, step) >= 0;
    return s;
}

static jj_status look(struct broker *broker, const char *schedule, const struct step *step,
                      int64_t deadline_ms, struct place *place_out, jj_error *err)
{
    char subject[JJ__PLACE_SIZE];
    const struct outgoing question = {.subject = subject};
    struct broker_msg *msg = NULL;

    jj__place_question(schedule, subject);
    jj_error why;
    jj_status s = jj__broker_request(broker, &question, deadline_ms, &msg, &why);
    if (s != JJ_OK)
        return jj__fail(err, s, "%s", why.text);
    s = jj__place_read(msg, step, place_out, err);
    jj__msg_free(msg);
    return s;
}

/* ---- storing ---- */

void jj__place_publish(struct broker *broker, const struct outgoing *message,
                       const uint64_t *expected, int64_t deadline_ms,
                       struct publish_result *result_out)
{
    struct outgoing with = *message;
    struct publication publication = {.messages = &with, .count = 1, .deadline_ms = deadline_ms};
    char seq[JJ__EXPECTED_SIZE];
    jj_header *headers = malloc((message->header_count + 1) * sizeof(*headers));

    if (headers == NULL) {
        result_out->status = jj__fail(&result_out->err, JJ_ERR_NO_MEMORY, "headers");
        return;
    }
    if (message->header_count > 0)
        memcpy(headers, message->headers, message->header_count * sizeof(*headers));
    if (expected != NULL) {
        jj__place_expect(*expected, seq);
        headers[with.header_count++] = (jj_header){JJ__HEADER_EXPECTED, seq};
    }
    with.headers = headers;
    jj__broker_publish_wait(broker, &publication, result_out);
    free(headers);
}

void jj__place_store(struct broker *broker, const struct outgoing *message, const struct step *step,
                     int64_t deadline_ms, struct publish_result *result_out)
{
    struct place place = {0};
    jj_status s = JJ_OK;

    for (;;) {
        bool blind = s == JJ_ERR_NOT_PERMITTED;
        *result_out = (struct publish_result){0};
        jj__place_publish(broker, message, blind ? NULL : &place.seq, deadline_ms, result_out);
        if (!jj__place_taken(result_out->err_code))
            return;
        s = look(broker, message->subject, step, deadline_ms, &place, &result_out->err);
        if (s == JJ_OK && place.recurs)
            s = jj__fail(&result_out->err, JJ_ERR_EXISTS, "its id is that of a recurring schedule");
        if (s == JJ_OK && !place.holds && jj__clock_mono_ms() >= deadline_ms)
            s = JJ_ERR_UNAVAILABLE; /* with what the server said */
        result_out->status = s;
        if (s != JJ_OK && s != JJ_ERR_NOT_PERMITTED)
            return;
        result_out->seq = place.seq;
        result_out->duplicate = place.holds;
        if (place.holds)
            return;
    }
}
