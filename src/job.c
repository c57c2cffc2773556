/* SPDX-License-Identifier: Apache-2.0 */
/* From a message to a job. Any client may have written the message, so nothing in it is believed:
 * a header that can't be read is an error that names it, and the rest is read all the same, because
 * somebody has to be told which job it was that failed.
 *
 * Runs once for each job: one walk over the headers, no allocation, and of a header that is not
 * ours it looks at no more than the first letters. */

#include "job.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "rfc3339.h"
#include "subject.h"

#define MAX_ATTEMPTS_MAX 1000
#define COUNT_MAX        1000000

enum field {
    FIELD_ID,
    FIELD_MAX_ATTEMPTS,
    FIELD_ATTEMPTS,
    FIELD_REDRIVES,
    FIELD_SNOOZES,
    FIELD_PUT_OFFS,
    FIELD_TIMEOUT,
    FIELD_RUN_AT,
    FIELD_CREATED_AT,
    FIELD_SCHEDULE_ID,
    FIELD_TRACEPARENT,
    FIELDS
};

static const struct {
    const char *name;
    const char *allowed;
} fields[FIELDS] = {
    [FIELD_ID] = {JJ__HEADER_ID, "1 to 64 of A-Z a-z 0-9 _ -"},
    [FIELD_MAX_ATTEMPTS] = {JJ__HEADER_MAX_ATTEMPTS, "1 to 1000"},
    [FIELD_ATTEMPTS] = {JJ__HEADER_ATTEMPTS, "0 to 1000000"},
    [FIELD_REDRIVES] = {JJ__HEADER_REDRIVES, "0 to 1000000"},
    [FIELD_SNOOZES] = {JJ__HEADER_SNOOZES, "0 to 1000000"},
    [FIELD_PUT_OFFS] = {JJ__HEADER_PUT_OFFS, "0 to 1000000"},
    [FIELD_TIMEOUT] = {JJ__HEADER_TIMEOUT, "milliseconds from 1 on, in digits"},
    [FIELD_RUN_AT] = {JJ__HEADER_RUN_AT, "a time as in RFC 3339"},
    [FIELD_CREATED_AT] = {JJ__HEADER_CREATED_AT, "a time as in RFC 3339"},
    [FIELD_SCHEDULE_ID] = {JJ__HEADER_SCHEDULE_ID, "1 to 64 of A-Z a-z 0-9 _ -"},
    [FIELD_TRACEPARENT] = {JJ__HEADER_TRACEPARENT, "any text"},
};

/* FIELDS if the header is none of them. Most headers of a job that are not ours begin with Nats-.
 */
static enum field field_of(const char *name)
{
    if (name[0] == 't')
        return strcmp(name, JJ__HEADER_TRACEPARENT) == 0 ? FIELD_TRACEPARENT : FIELDS;
    if (strncmp(name, "Job-", 4) != 0)
        return FIELDS;
    for (enum field field = 0; field < FIELD_TRACEPARENT; field++)
        if (fields[field].name[4] == name[4] && strcmp(fields[field].name, name) == 0)
            return field;
    return FIELDS;
}

static bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *number_out)
{
    uint64_t number = 0;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        uint64_t digit = (uint64_t)(*at - '0');
        if (number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *number_out = number;
    return text[0] != '\0' && number >= min;
}

static bool read_count(const char *text, uint32_t min, uint32_t max, uint32_t *count_out)
{
    uint64_t number;

    if (!read_number(text, min, max, &number))
        return false;
    *count_out = (uint32_t)number;
    return true;
}

static bool read_ms(const char *text, int64_t *ms_out)
{
    uint64_t number;

    if (!read_number(text, 1, INT64_MAX, &number))
        return false;
    *ms_out = (int64_t)number;
    return true;
}

static bool read_field(enum field field, const char *value, struct job *job)
{
    switch (field) {
    case FIELD_ID:
        if (!jj__token_valid(value))
            return false;
        memcpy(job->id, value, strlen(value) + 1);
        return true;
    case FIELD_MAX_ATTEMPTS:
        return read_count(value, 1, MAX_ATTEMPTS_MAX, &job->max_attempts);
    case FIELD_ATTEMPTS:
        return read_count(value, 0, COUNT_MAX, &job->attempts);
    case FIELD_REDRIVES:
        return read_count(value, 0, COUNT_MAX, &job->redrives);
    case FIELD_SNOOZES:
        return read_count(value, 0, COUNT_MAX, &job->snoozes);
    case FIELD_PUT_OFFS:
        return read_count(value, 0, COUNT_MAX, &job->put_offs);
    case FIELD_TIMEOUT:
        return read_ms(value, &job->timeout_ms);
    case FIELD_RUN_AT:
        return jj__rfc3339_read(value, &job->run_at_ms);
    case FIELD_CREATED_AT:
        return jj__rfc3339_read(value, &job->created_at_ms);
    case FIELD_SCHEDULE_ID:
        if (!jj__token_valid(value))
            return false;
        job->schedule_id = value;
        return true;
    case FIELD_TRACEPARENT:
    case FIELDS:
        break;
    }
    job->traceparent = value;
    return true;
}

/* The first header of a name counts; the first that can't be read is the one to tell of. */
static jj_status read_headers(struct job *job, jj_error *err)
{
    unsigned seen = 0;
    jj_status s = JJ_OK;

    for (size_t i = 0; i < job->header_count; i++) {
        const jj_header *header = &job->headers[i];
        enum field field = field_of(header->name);
        if (field == FIELDS || (seen & 1U << field) != 0)
            continue;
        seen |= 1U << field;
        if (!read_field(field, header->value, job) && s == JJ_OK)
            s = jj__fail(err, JJ_ERR_INVALID, "header %s is '%.64s': allowed is %s", header->name,
                         header->value, fields[field].allowed);
    }
    return s;
}

static void write_number(char out[JJ_NAME_SIZE], uint64_t number)
{
    size_t len = 1;

    for (uint64_t rest = number; rest >= 10; rest /= 10)
        len++;
    out[len] = '\0';
    while (len > 0) {
        out[--len] = (char)('0' + number % 10);
        number /= 10;
    }
}

jj_status jj__job_read(const struct job_message *message, struct job *job_out, jj_error *err)
{
    *job_out = (struct job){0};
    if (!jj__subject_read_enqueue(message->subject, job_out->name) &&
        !jj__subject_read_due(message->subject, job_out->name)) {
        *job_out = (struct job){0};
        return jj__fail(err, JJ_ERR_PROTOCOL, "subject '%.200s' is not that of a job",
                        message->subject);
    }

    write_number(job_out->id, message->seq);
    job_out->data = message->data;
    job_out->data_len = message->data_len;
    job_out->headers = message->headers;
    job_out->header_count = message->header_count;
    job_out->created_at_ms = message->stored_at_ms;
    return read_headers(job_out, err);
}

bool jj__job_name_due(struct job *job)
{
    char name[JJ_NAME_SIZE], id[JJ_NAME_SIZE];
    const char *next = jj__header_find(job->headers, job->header_count, JJ__HEADER_SCHEDULE_NEXT);
    const char *from = jj__header_find(job->headers, job->header_count, JJ__HEADER_SCHEDULER);
    int64_t next_ms;

    if (jj__header_find(job->headers, job->header_count, JJ__HEADER_ID) != NULL)
        return false;
    if (job->schedule_id != NULL && next != NULL && jj__rfc3339_read(next, &next_ms)) {
        snprintf(job->id, sizeof(job->id), "%.50s-%lld", job->schedule_id, (long long)next_ms);
        return true;
    }
    if (from != NULL && jj__subject_read_schedule(from, name, id))
        snprintf(job->id, sizeof(job->id), "%s", id);
    return false;
}

const char *jj__header_find(const jj_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(headers[i].name, name) == 0)
            return headers[i].value;
    return NULL;
}

bool jj__header_name_valid(const char *name)
{
    if (name == NULL || name[0] == '\0')
        return false;
    for (const char *at = name; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7F || *at == ':')
            return false;
    return true;
}

bool jj__header_value_valid(const char *value)
{
    return value != NULL && strpbrk(value, "\r\n") == NULL;
}

bool jj__headers_mislead(const jj_header *headers, size_t count, size_t data_len)
{
    for (size_t i = 0; data_len == 0 && i < count; i++)
        if (strcasecmp(headers[i].name, "Status") == 0)
            return true;
    return false;
}
