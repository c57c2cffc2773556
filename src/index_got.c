/* SPDX-License-Identifier: Apache-2.0 */

#include "index_got.h"

#include <string.h>

#include "rfc3339.h"
#include "subject.h"

jj_status jj__got_read(struct broker_msg *msg, uint64_t seq, struct got *got_out, jj_error *err)
{
    struct got *got = got_out;

    *got = (struct got){.data = jj__msg_data(msg), .len = jj__msg_len(msg), .seq = seq};
    jj_status s = jj__msg_headers(msg, &got->headers, &got->header_count, err);
    if (s == JJ_ERR_NO_MEMORY)
        return s;
    const char *time = jj__header_find(got->headers, got->header_count, "Nats-Time-Stamp");
    if (time != NULL && jj__rfc3339_read(time, &got->stored_at_ms))
        got->subject = jj__header_find(got->headers, got->header_count, "Nats-Subject");
    return JJ_OK;
}

static const char *schedule_of(const struct got *got)
{
    return jj__header_find(got->headers, got->header_count, JJ__HEADER_SCHEDULE);
}

/* One that the server has not fired yet. */
static bool read_schedule(const struct got *got, struct job_message *message, const char *id,
                          struct job *job)
{
    const char *at = schedule_of(got);

    if (jj__job_read(message, job, NULL) == JJ_ERR_PROTOCOL)
        return false;
    if (at == NULL || strncmp(at, "@at ", 4) != 0)
        return false; /* a recurring one: not a job yet */
    if (jj__header_find(got->headers, got->header_count, JJ__HEADER_ID) == NULL)
        memcpy(job->id, id, strlen(id) + 1);
    return true;
}

static struct job_message message_of(const struct got *got)
{
    return (struct job_message){.subject = got->subject,
                                .data = got->data,
                                .data_len = got->len,
                                .headers = got->headers,
                                .header_count = got->header_count,
                                .seq = got->seq,
                                .stored_at_ms = got->stored_at_ms};
}

bool jj__got_sound_job(const struct got *got, struct job *job_out)
{
    const struct job_message message = message_of(got);

    return got->subject != NULL && jj__job_read(&message, job_out, NULL) == JJ_OK;
}

bool jj__got_job(const struct got *got, struct job *job_out)
{
    char due[JJ__SUBJECT_SIZE], name[JJ_NAME_SIZE], id[JJ_NAME_SIZE];
    struct job_message message = message_of(got);

    if (got->subject == NULL)
        return false;
    if (jj__subject_read_schedule(got->subject, name, id)) {
        jj__subject_due(due, name);
        message.subject = due;
        return read_schedule(got, &message, id, job_out);
    }
    if (jj__job_read(&message, job_out, NULL) == JJ_ERR_PROTOCOL)
        return false;
    if (!jj__subject_read_enqueue(got->subject, name))
        jj__job_name_due(job_out);
    return true;
}

int64_t jj__got_scheduled_at(const struct got *got)
{
    const char *at = schedule_of(got);
    int64_t at_ms = 0;

    if (at == NULL || strncmp(at, "@at ", 4) != 0 || !jj__rfc3339_read(at + 4, &at_ms))
        return 0;
    return at_ms;
}
