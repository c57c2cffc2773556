/* SPDX-License-Identifier: Apache-2.0 */

/* What a handler sees of its attempt, what it tells while it runs, and its verdicts. All of it on
 * the handler's own thread; what it tells goes to the broker thread as a list of notes. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "codec_json.h"
#include "utf8.h"
#include "worker.h"

#define LINE_MAX_BYTES 65536 /* of a log line, an error, a progress message; the rest is cut */
#define EVENT_NAME_MAX 256

/* ---- seeing ---- */

const char *jj_attempt_id(const jj_attempt *attempt)
{
    return attempt->job.id;
}

const char *jj_attempt_name(const jj_attempt *attempt)
{
    return attempt->job.name;
}

const void *jj_attempt_data(const jj_attempt *attempt, size_t *len_out)
{
    if (len_out != NULL)
        *len_out = attempt->job.data_len;
    return attempt->job.data;
}

uint32_t jj_attempt_number(const jj_attempt *attempt)
{
    return attempt->number;
}

uint32_t jj_attempt_max(const jj_attempt *attempt)
{
    return attempt->max_attempts;
}

uint32_t jj_attempt_lost(const jj_attempt *attempt)
{
    return attempt->lost;
}

int64_t jj_attempt_created_at_ms(const jj_attempt *attempt)
{
    return attempt->job.created_at_ms;
}

int64_t jj_attempt_run_at_ms(const jj_attempt *attempt)
{
    return attempt->job.run_at_ms;
}

const char *jj_attempt_header(const jj_attempt *attempt, const char *name)
{
    return jj__header_find(attempt->headers, attempt->job.header_count, name);
}

bool jj_attempt_stopping(const jj_attempt *attempt)
{
    return atomic_load(&attempt->stopping) || jj_attempt_remaining_ms(attempt) <= 0;
}

int64_t jj_attempt_remaining_ms(const jj_attempt *attempt)
{
    if (attempt->timeout_ms == 0)
        return INT64_MAX;
    return attempt->timeout_ms - (jj__clock_mono_us() - attempt->started_us) / 1000;
}

/* ---- verdicts ---- */

/* The text of a printf, mended to UTF-8 and cut; NULL without memory. */
JJ_PRINTF(1, 0)
static char *format_text(const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0)
        len = 0;
    if (len > LINE_MAX_BYTES)
        len = LINE_MAX_BYTES;
    char *text = malloc((size_t)len + 1);
    if (text == NULL)
        return NULL;
    vsnprintf(text, (size_t)len + 1, format, args);
    text[len] = '\0';
    jj__utf8_mend(text);
    return text;
}

static void forget_verdict(jj_attempt *attempt)
{
    free(attempt->result);
    free(attempt->error);
    attempt->result = NULL;
    attempt->result_len = 0;
    attempt->error = NULL;
    attempt->delay_ms = -1;
}

jj_verdict jj_done(jj_attempt *attempt, const void *result, size_t len)
{
    forget_verdict(attempt);
    if (len == 0)
        return JJ_VERDICT_DONE;
    attempt->result = malloc(len);
    if (attempt->result == NULL)
        return jj_retry(attempt, "no memory for a result of %zu bytes", len);
    memcpy(attempt->result, result, len);
    attempt->result_len = len;
    return JJ_VERDICT_DONE;
}

jj_verdict jj_retry(jj_attempt *attempt, const char *format, ...)
{
    va_list args;

    forget_verdict(attempt);
    va_start(args, format);
    attempt->error = format_text(format, args);
    va_end(args);
    return JJ_VERDICT_RETRY;
}

jj_verdict jj_retry_in(jj_attempt *attempt, int64_t delay_ms, const char *format, ...)
{
    va_list args;

    forget_verdict(attempt);
    va_start(args, format);
    attempt->error = format_text(format, args);
    va_end(args);
    attempt->delay_ms = delay_ms < 0 ? 0 : delay_ms;
    return JJ_VERDICT_RETRY;
}

jj_verdict jj_fail(jj_attempt *attempt, const char *format, ...)
{
    va_list args;

    forget_verdict(attempt);
    va_start(args, format);
    attempt->error = format_text(format, args);
    va_end(args);
    return JJ_VERDICT_FAIL;
}

jj_verdict jj_snooze(jj_attempt *attempt, int64_t delay_ms)
{
    forget_verdict(attempt);
    attempt->delay_ms = delay_ms < 0 ? 0 : delay_ms;
    return JJ_VERDICT_SNOOZE;
}

/* ---- telling ---- */

/* Copy a text behind the others; NULL stays NULL. */
static const char *keep(char **at, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t size = strlen(text) + 1;
    char *kept = memcpy(*at, text, size);

    *at += size;
    return kept;
}

static size_t size_of(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

/* Queue a note with copies of the event's texts: it may be sent when the attempt is gone. */
static jj_status tell(jj_attempt *attempt, const struct event *event)
{
    struct worker *worker = attempt->worker;
    const char *trace = attempt->job.traceparent;
    size_t size =
        size_of(event->event) + size_of(event->message) + size_of(event->data) + size_of(trace);

    if (size > jj__broker_max_payload(worker->broker) - JJ__EVENT_OVERHEAD)
        return JJ_ERR_TOO_LARGE;
    struct note *note = malloc(sizeof(*note) + size);
    if (note == NULL)
        return JJ_ERR_NO_MEMORY;
    char *at = note->text;

    note->next = NULL;
    note->handler = attempt->handler;
    memcpy(note->id, attempt->job.id, sizeof(note->id));
    jj__commit_fill(attempt, event->type, &note->event);
    note->event.id = note->id;
    note->event.level = event->level;
    note->event.percent = event->percent;
    note->event.event = keep(&at, event->event);
    note->event.message = keep(&at, event->message);
    note->event.data = keep(&at, event->data);
    note->event.traceparent = keep(&at, trace);

    pthread_mutex_lock(&worker->lock);
    *worker->notes_end = note;
    worker->notes_end = &note->next;
    pthread_mutex_unlock(&worker->lock);
    jj__broker_wake(worker->broker);
    return JJ_OK;
}

jj_status jj_log(jj_attempt *attempt, jj_log_level level, const char *json, const char *format, ...)
{
    struct event event = {.type = EVENT_LOG, .level = level, .data = json};
    va_list args;

    if (level < JJ_LOG_DEBUG || level > JJ_LOG_ERROR)
        return JJ_ERR_INVALID;
    if (json != NULL && !jj__json_valid(json, strlen(json)))
        return JJ_ERR_INVALID;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    if (text == NULL)
        return JJ_ERR_NO_MEMORY;
    event.message = text;
    jj_status s = tell(attempt, &event);
    free(text);
    return s;
}

jj_status jj_emit(jj_attempt *attempt, const char *event, const char *json)
{
    char name[EVENT_NAME_MAX + 1];
    const struct event told = {.type = EVENT_EVENT, .event = name, .data = json};
    size_t len = event == NULL ? 0 : strlen(event);

    if (len == 0 || len > EVENT_NAME_MAX)
        return JJ_ERR_INVALID;
    if (json != NULL && !jj__json_valid(json, strlen(json)))
        return JJ_ERR_INVALID;
    memcpy(name, event, len + 1);
    jj__utf8_mend(name);
    return tell(attempt, &told);
}

jj_status jj_progress(jj_attempt *attempt, uint32_t percent, const char *message)
{
    struct event event = {.type = EVENT_PROGRESS, .percent = percent};

    if (percent > 100)
        return JJ_ERR_INVALID;
    if (message == NULL)
        return tell(attempt, &event);
    char *text = strndup(message, LINE_MAX_BYTES);
    if (text == NULL)
        return JJ_ERR_NO_MEMORY;
    jj__utf8_mend(text);
    event.message = text;
    jj_status s = tell(attempt, &event);
    free(text);
    return s;
}
