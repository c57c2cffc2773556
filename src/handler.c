/* SPDX-License-Identifier: Apache-2.0 */

/* What a handler sees of its attempt, what it tells while it runs, and its verdicts. All of it on
 * the handler's own thread; what it tells goes to the broker thread as a list of notes.
 *
 * Notes are kept until they are stored, so a handler that tells more than the broker takes must be
 * slowed down, or memory would go. It waits for room, but not long, and not again until there was
 * some: a broker that is away holds up no handler. What it tells meanwhile is dropped and counted,
 * all but the last lines: they say why a job has failed. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "codec_json.h"
#include "utf8.h"
#include "worker.h"

#define LINE_MAX_BYTES 65536 /* of a log line, an error, a progress message; the rest is cut */
#define EVENT_NAME_MAX 256

/* Notes that are not stored yet: of one name, and of the worker. */
#define NOTES_OF_NAME_MAX ((size_t)8 * 1024 * 1024)
#define NOTES_MAX         ((size_t)32 * 1024 * 1024)
#define ROOM_WAIT_MS      1000
/* Of an attempt for which there is no room. */
#define KEPT_MAX       20
#define KEPT_BYTES_MAX 65536
/* Of the line that tells how many were dropped. Memory for it is taken before the first one is. */
#define COUNT_TEXT_SIZE 128

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
    attempt->error_lost = false;
    attempt->delay_ms = -1;
}

/* Without memory the verdict counts all the same. */
JJ_PRINTF(2, 0)
static void say_why(jj_attempt *attempt, const char *format, va_list args)
{
    attempt->error = format_text(format, args);
    attempt->error_lost = attempt->error == NULL;
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
    say_why(attempt, format, args);
    va_end(args);
    return JJ_VERDICT_RETRY;
}

jj_verdict jj_retry_in(jj_attempt *attempt, int64_t delay_ms, const char *format, ...)
{
    va_list args;

    forget_verdict(attempt);
    va_start(args, format);
    say_why(attempt, format, args);
    va_end(args);
    attempt->delay_ms = delay_ms < 0 ? 0 : delay_ms;
    return JJ_VERDICT_RETRY;
}

jj_verdict jj_fail(jj_attempt *attempt, const char *format, ...)
{
    va_list args;

    forget_verdict(attempt);
    va_start(args, format);
    say_why(attempt, format, args);
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

/* A note with copies of the event's texts: it may be sent when the attempt is gone. NULL: no
 * memory.
 */
static struct note *make_note(const jj_attempt *attempt, const struct event *event)
{
    const char *trace = attempt->job.traceparent;
    size_t bytes = sizeof(struct note) + size_of(event->event) + size_of(event->message) +
                   size_of(event->data) + size_of(trace);
    struct note *note = malloc(bytes);

    if (note == NULL)
        return NULL;
    char *at = note->text;

    note->next = NULL;
    note->handler = attempt->handler;
    note->bytes = bytes;
    memcpy(note->id, attempt->job.id, sizeof(note->id));
    jj__commit_fill(attempt, event->type, &note->event);
    note->event.time_ms = jj__clock_wall_ms();
    note->event.id = note->id;
    note->event.level = event->level;
    note->event.percent = event->percent;
    note->event.event = keep(&at, event->event);
    note->event.message = keep(&at, event->message);
    note->event.data = keep(&at, event->data);
    note->event.traceparent = keep(&at, trace);
    return note;
}

/* Lock: held. */
static void queue_note(struct worker *worker, struct note *note)
{
    note->next = NULL;
    *worker->notes_end = note;
    worker->notes_end = &note->next;
    worker->notes_bytes += note->bytes;
    note->handler->notes_bytes += note->bytes;
}

/* Lock: held. */
static bool has_room(const struct worker *worker, const struct handler *handler, size_t bytes)
{
    return handler->notes_bytes + bytes <= NOTES_OF_NAME_MAX &&
           worker->notes_bytes + bytes <= NOTES_MAX;
}

/* Wait for room, unless that was in vain before. Lock: held, but not while it waits. */
static bool wait_for_room(jj_attempt *attempt, size_t bytes)
{
    struct worker *worker = attempt->worker;
    struct timespec until;
    int failed = 0;

    if (attempt->in_haste || has_room(worker, attempt->handler, bytes)) {
        attempt->in_haste = attempt->in_haste && !has_room(worker, attempt->handler, bytes);
        return !attempt->in_haste;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ROOM_WAIT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    while (failed == 0 && !has_room(worker, attempt->handler, bytes))
        failed = pthread_cond_timedwait(&worker->room, &worker->lock, &until);
    attempt->in_haste = !has_room(worker, attempt->handler, bytes);
    return !attempt->in_haste;
}

static void drop_oldest(jj_attempt *attempt)
{
    struct note *oldest = attempt->kept;

    attempt->kept = oldest->next;
    if (attempt->kept == NULL)
        attempt->kept_end = &attempt->kept;
    attempt->kept_count--;
    attempt->kept_bytes -= oldest->bytes;
    attempt->dropped++;
    free(oldest);
}

/* The note that will tell how many are missing, with blanks instead. NULL: no memory. */
static struct note *make_count(const jj_attempt *attempt)
{
    char blanks[COUNT_TEXT_SIZE];
    const struct event event = {.type = EVENT_LOG, .level = JJ_LOG_WARN, .message = blanks};

    memset(blanks, ' ', sizeof(blanks) - 1);
    blanks[sizeof(blanks) - 1] = '\0';
    return make_note(attempt, &event);
}

/* Keep it among the last ones, for which older ones go. False: no memory to tell of those. */
static bool keep_note(jj_attempt *attempt, struct note *note)
{
    if (attempt->kept == NULL) {
        attempt->count = make_count(attempt);
        if (attempt->count == NULL)
            return false;
        attempt->kept_end = &attempt->kept;
    }
    *attempt->kept_end = note;
    attempt->kept_end = &note->next;
    attempt->kept_count++;
    attempt->kept_bytes += note->bytes;
    while (attempt->kept_count > 1 &&
           (attempt->kept_count > KEPT_MAX || attempt->kept_bytes > KEPT_BYTES_MAX))
        drop_oldest(attempt);
    return true;
}

/* Lock: held. */
static void queue_count(jj_attempt *attempt)
{
    struct note *count = attempt->count;

    attempt->count = NULL;
    if (attempt->dropped == 0) {
        free(count);
        return;
    }
    snprintf(count->text, COUNT_TEXT_SIZE, /* which is its message */
             "%llu log lines and events were dropped here: the broker took them too slowly",
             (unsigned long long)attempt->dropped);
    attempt->dropped = 0;
    queue_note(attempt->worker, count);
}

/* Queue what was kept, whether or not there is room: it is not much. Lock: held. */
static void queue_kept(jj_attempt *attempt)
{
    queue_count(attempt);
    while (attempt->kept != NULL) {
        struct note *note = attempt->kept;
        attempt->kept = note->next;
        queue_note(attempt->worker, note);
    }
    attempt->kept_count = attempt->kept_bytes = 0;
}

void jj__notes_end(jj_attempt *attempt)
{
    struct worker *worker = attempt->worker;

    if (attempt->kept == NULL)
        return;
    pthread_mutex_lock(&worker->lock);
    queue_kept(attempt);
    pthread_mutex_unlock(&worker->lock);
}

void jj__notes_free(struct worker *worker, struct note *notes)
{
    if (notes == NULL)
        return;
    pthread_mutex_lock(&worker->lock);
    for (const struct note *note = notes; note != NULL; note = note->next) {
        worker->notes_bytes -= note->bytes;
        note->handler->notes_bytes -= note->bytes;
    }
    pthread_cond_broadcast(&worker->room);
    pthread_mutex_unlock(&worker->lock);
    while (notes != NULL) {
        struct note *note = notes;
        notes = note->next;
        free(note);
    }
}

static jj_status tell(jj_attempt *attempt, const struct event *event)
{
    struct worker *worker = attempt->worker;
    size_t size = size_of(event->event) + size_of(event->message) + size_of(event->data) +
                  size_of(attempt->job.traceparent);

    if (size > jj__broker_max_payload(worker->broker) - JJ__EVENT_OVERHEAD)
        return JJ_ERR_TOO_LARGE;
    struct note *note = make_note(attempt, event);
    if (note == NULL)
        return JJ_ERR_NO_MEMORY;

    pthread_mutex_lock(&worker->lock);
    bool room = wait_for_room(attempt, note->bytes);
    if (room) {
        queue_kept(attempt);
        queue_note(worker, note);
    }
    pthread_mutex_unlock(&worker->lock);
    if (room) {
        jj__broker_wake(worker->broker);
    } else if (!keep_note(attempt, note)) {
        free(note);
        return JJ_ERR_NO_MEMORY;
    }
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
