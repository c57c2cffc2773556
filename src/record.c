/* SPDX-License-Identifier: Apache-2.0 */
/* A row that owns what it points to, and what users may ask of it. The row and all its bytes are
 * one piece of memory, so that a page of jobs is copied with one malloc each, and a copy that fails
 * leaves nothing half done. */

#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "content.h"

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

/* Move *field to a copy of its bytes at *at; NULL stays NULL, even with a length of 0. */
static void keep(char **at, const void **field, size_t len)
{
    if (*field == NULL)
        return;
    if (len > 0)
        memcpy(*at, *field, len);
    *field = *at;
    *at += len;
}

static void keep_text(char **at, const char **field)
{
    const void *text = *field;

    keep(at, &text, text_size(*field));
    *field = text;
}

jj_status jj__record_copy(const jj_record *record, jj_job **job_out, jj_error *err)
{
    size_t texts = text_size(record->id) + text_size(record->name) + text_size(record->worker) +
                   text_size(record->schedule_id) + text_size(record->error);
    /* One byte more: a pointer to no bytes must not point behind the memory. */
    jj_job *job = malloc(sizeof(*job) + texts + record->result_len + record->marks_len +
                         record->data_len + record->headers_len + 1);
    if (job == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "job");
    char *at = (char *)(job + 1);
    jj_record *copy = &job->record;

    *copy = *record;
    keep_text(&at, &copy->id);
    keep_text(&at, &copy->name);
    keep_text(&at, &copy->worker);
    keep_text(&at, &copy->schedule_id);
    keep_text(&at, &copy->error);
    keep(&at, &copy->result, copy->result_len);
    keep(&at, &copy->marks, copy->marks_len);
    keep(&at, &copy->data, copy->data_len);
    keep(&at, &copy->headers, copy->headers_len);
    *job_out = job;
    return JJ_OK;
}

void jj_job_free(jj_job *job)
{
    free(job);
}

const char *jj_job_id(const jj_job *job)
{
    return job->record.id;
}

const char *jj_job_name(const jj_job *job)
{
    return job->record.name;
}

jj_state jj_job_state(const jj_job *job)
{
    return job->record.state;
}

const void *jj_job_data(const jj_job *job, size_t *len_out)
{
    bool known = job->record.data_known;

    if (len_out != NULL)
        *len_out = known ? job->record.data_len : 0;
    return known ? job->record.data : NULL;
}

bool jj_job_data_known(const jj_job *job)
{
    return job->record.data_known;
}

const void *jj_job_result(const jj_job *job, size_t *len_out)
{
    if (len_out != NULL)
        *len_out = job->record.result_len;
    return job->record.result;
}

const char *jj_job_error(const jj_job *job)
{
    return job->record.error;
}

int64_t jj_job_created_at_ms(const jj_job *job)
{
    return job->record.created_at_ms;
}

int64_t jj_job_run_at_ms(const jj_job *job)
{
    return job->record.run_at_ms;
}

int64_t jj_job_started_at_ms(const jj_job *job)
{
    return job->record.started_at_ms;
}

int64_t jj_job_completed_at_ms(const jj_job *job)
{
    return job->record.completed_at_ms;
}

uint32_t jj_job_attempts(const jj_job *job)
{
    return job->record.attempts;
}

uint32_t jj_job_max_attempts(const jj_job *job)
{
    return job->record.max_attempts;
}

uint32_t jj_job_lost(const jj_job *job)
{
    return job->record.lost;
}

uint32_t jj_job_redrives(const jj_job *job)
{
    return job->record.redrives;
}

const char *jj_job_worker(const jj_job *job)
{
    return job->record.worker;
}

const char *jj_job_schedule_id(const jj_job *job)
{
    return job->record.schedule_id;
}

int jj_job_progress(const jj_job *job)
{
    return job->record.progress == JJ_NO_PROGRESS ? -1 : (int)job->record.progress;
}

const char *jj_job_header(const jj_job *job, const char *name)
{
    return jj__content_find(job->record.headers, job->record.headers_len, name);
}
