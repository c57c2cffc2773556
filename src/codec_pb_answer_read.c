/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the index service from protobuf. Whoever may listen to a request may answer it. An
 * answer with a job that can't be one is refused as a whole: the one who sent it is broken, or no
 * index at all. Texts that are only for reading are mended. */

#include <stdlib.h>
#include <string.h>

#include "codec_pb_parts.h"
#include "codec_request.h"
#include "content.h"
#include "record.h"
#include "state.h"
#include "subject.h"

/* An answer takes hardly more than its bytes, but log lines and headers of a few bytes take a
 * hundred. */
#define MEMORY_PER_BYTE 16
#define MEMORY_AT_LEAST ((size_t)1024 * 1024)

static jj_status no_memory(jj_error *err)
{
    return jj__fail(err, JJ_ERR_NO_MEMORY, "answer of the index");
}

static jj_status unusable(const char *what, jj_error *err)
{
    return jj__fail(err, JJ_ERR_PROTOCOL, "the answer of the index has %s", what);
}

/* ---- jobs ---- */

static void read_numbers(const Jetjobs__V1__Job *pb, jj_record *record)
{
    record->created_at_ms = pb->created_at_ms;
    record->run_at_ms = pb->run_at_ms;
    record->started_at_ms = pb->started_at_ms;
    record->completed_at_ms = pb->completed_at_ms;
    record->attempts = pb->attempts;
    record->max_attempts = pb->max_attempts;
    record->lost = pb->lost;
    record->redrives = pb->redrives;
    record->snoozes = pb->snoozes;
    record->progress = pb->has_progress ? jj__pb_percent(pb->progress) : JJ_NO_PROGRESS;
}

/* Where there are no bytes, there is no pointer either. */
static void read_bytes(const Jetjobs__V1__Job *pb, jj_record *record)
{
    record->data_known = !pb->data_omitted;
    if (!pb->data_omitted && pb->data.len != 0) {
        record->data = pb->data.data;
        record->data_len = pb->data.len;
    }
    if (pb->result.len != 0) {
        record->result = pb->result.data;
        record->result_len = pb->result.len;
    }
}

/* Pack the job's headers behind what is in packed. */
static jj_status read_headers(struct arena *arena, const Jetjobs__V1__Job *pb, struct buf *packed,
                              jj_error *err)
{
    jj_header *headers;
    size_t count;

    if (!jj__pb_headers(arena, pb, &headers, &count))
        return arena->no_memory ? no_memory(err) : unusable("too many headers", err);
    if (!jj__content_pack(packed, headers, count))
        return no_memory(err);
    return JJ_OK;
}

static jj_status read_job(struct arena *arena, const Jetjobs__V1__Job *pb, struct buf *packed,
                          jj_job **job_out, jj_error *err)
{
    jj_record record = {.id = pb->id, .name = pb->name, .state = jj__state_read(pb->status)};

    if (!jj__token_valid(pb->id) || !jj__token_valid(pb->name) || record.state == JJ_ANY_STATE)
        return unusable("a job without an id, a name or a status", err);
    read_numbers(pb, &record);
    read_bytes(pb, &record);
    record.worker = jj__pb_token(pb->worker);
    record.schedule_id = jj__pb_token(pb->schedule_id);
    record.error = jj__pb_text(pb->error);

    jj__buf_reset(packed);
    jj_status s = read_headers(arena, pb, packed, err);
    if (s != JJ_OK)
        return s;
    record.headers = packed->len != 0 ? packed->data : NULL;
    record.headers_len = packed->len;
    return jj__record_copy(&record, job_out, err);
}

static jj_status read_get(struct arena *arena, const ProtobufCMessage *message,
                          struct answer *answer, jj_error *err)
{
    const Jetjobs__V1__GetAnswer *pb = (const Jetjobs__V1__GetAnswer *)message;
    struct buf packed = {0};

    if (pb->job == NULL)
        return JJ_OK;
    jj_status s = read_job(arena, pb->job, &packed, &answer->job, err);
    jj__buf_done(&packed);
    return s;
}

/* ---- pages ---- */

/* A cursor is another index's business, but it must fit into a request and into a log. */
static bool cursor_usable(const char *cursor)
{
    size_t len = strspn(cursor, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "+/=_-.");

    return cursor[len] == '\0' && len < JJ__CURSOR_SIZE;
}

static jj_status fill_page(struct arena *arena, const Jetjobs__V1__GetByNameAnswer *pb,
                           jj_page *page, jj_error *err)
{
    struct buf packed = {0};
    jj_status s = JJ_OK;

    if (pb->cursor[0] != '\0') {
        page->cursor = strdup(pb->cursor);
        if (page->cursor == NULL)
            return no_memory(err);
    }
    page->jobs = calloc(pb->n_jobs + 1, sizeof(jj_job *));
    if (page->jobs == NULL)
        return no_memory(err);
    for (size_t i = 0; i < pb->n_jobs && s == JJ_OK; i++) {
        s = read_job(arena, pb->jobs[i], &packed, &page->jobs[i], err);
        if (s == JJ_OK)
            page->count++;
    }
    jj__buf_done(&packed);
    return s;
}

static jj_status read_page(struct arena *arena, const ProtobufCMessage *message,
                           struct answer *answer, jj_error *err)
{
    const Jetjobs__V1__GetByNameAnswer *pb = (const Jetjobs__V1__GetByNameAnswer *)message;

    if (pb->n_jobs > JJ__LIMIT_MAX)
        return unusable("too many jobs", err);
    if (!cursor_usable(pb->cursor))
        return unusable("a cursor that can't be one", err);
    answer->page = calloc(1, sizeof(*answer->page));
    if (answer->page == NULL)
        return no_memory(err);
    return fill_page(arena, pb, answer->page, err);
}

/* ---- log lines ---- */

/* The lines keep the arena, where their texts stand already. */
static jj_status read_lines(struct arena *arena, const ProtobufCMessage *message,
                            struct answer *answer, jj_error *err)
{
    const Jetjobs__V1__LogsAnswer *pb = (const Jetjobs__V1__LogsAnswer *)message;

    if (pb->n_logs > JJ__LOGS_MAX)
        return unusable("too many log lines", err);
    jj_log_line *lines = jj__arena_array(arena, pb->n_logs, sizeof(*lines));
    if (lines == NULL)
        return arena->no_memory ? no_memory(err) : unusable("too many log lines", err);
    for (size_t i = 0; i < pb->n_logs; i++) {
        const char *message_text = jj__pb_text(pb->logs[i]->message);
        lines[i] = (jj_log_line){
            .time_ms = pb->logs[i]->time_ms,
            .level = jj__pb_level(pb->logs[i]->level),
            .attempt = pb->logs[i]->attempt,
            .message = message_text != NULL ? message_text : "",
            .data = jj__pb_json(pb->logs[i]->data),
            .event = jj__pb_text(pb->logs[i]->event),
        };
    }
    answer->lines = calloc(1, sizeof(*answer->lines));
    if (answer->lines == NULL)
        return no_memory(err);
    *answer->lines = (jj_lines){.arena = *arena, .lines = lines, .count = pb->n_logs};
    *arena = (struct arena){0};
    return JJ_OK;
}

/* ---- stats ---- */

static jj_status fill_name(const Jetjobs__V1__NameStats *pb, jj_name_stats *stats, jj_error *err)
{
    if (!jj__token_valid(pb->name))
        return unusable("a job name that can't be one", err);
    stats->name = strdup(pb->name);
    if (stats->name == NULL)
        return no_memory(err);
    stats->counts[JJ_PENDING] = pb->pending;
    stats->counts[JJ_SCHEDULED] = pb->scheduled;
    stats->counts[JJ_RUNNING] = pb->running;
    stats->counts[JJ_COMPLETED] = pb->completed;
    stats->counts[JJ_FAILED] = pb->failed;
    stats->counts[JJ_CANCELLED] = pb->cancelled;
    return JJ_OK;
}

static int compare_names(const void *a, const void *b)
{
    const jj_name_stats *left = a;
    const jj_name_stats *right = b;

    return strcmp(left->name, right->name);
}

static jj_status read_stats(struct arena *arena, const ProtobufCMessage *message,
                            struct answer *answer, jj_error *err)
{
    const Jetjobs__V1__StatsAnswer *pb = (const Jetjobs__V1__StatsAnswer *)message;
    jj_stats *stats = calloc(1, sizeof(*stats));
    jj_status s = JJ_OK;

    (void)arena;
    answer->stats = stats;
    if (stats == NULL)
        return no_memory(err);
    stats->names = calloc(pb->n_names + 1, sizeof(*stats->names));
    if (stats->names == NULL)
        return no_memory(err);
    for (size_t i = 0; i < pb->n_names && s == JJ_OK; i++) {
        s = fill_name(pb->names[i], &stats->names[i], err);
        if (s == JJ_OK)
            stats->count++;
    }
    qsort(stats->names, stats->count, sizeof(*stats->names), compare_names);
    stats->lag_jobs = pb->lag_jobs;
    stats->lag_events = pb->lag_events;
    return s;
}

/* ---- all of them ---- */

static jj_status read_cancelled(struct arena *arena, const ProtobufCMessage *message,
                                struct answer *answer, jj_error *err)
{
    (void)arena;
    (void)err;
    answer->yes = ((const Jetjobs__V1__CancelAnswer *)message)->cancelled != 0;
    return JJ_OK;
}

static jj_status read_retried(struct arena *arena, const ProtobufCMessage *message,
                              struct answer *answer, jj_error *err)
{
    (void)arena;
    (void)err;
    answer->yes = ((const Jetjobs__V1__RetryAnswer *)message)->retried != 0;
    return JJ_OK;
}

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    jj_status (*read)(struct arena *arena, const ProtobufCMessage *message, struct answer *answer,
                      jj_error *err);
} answers[VERBS] = {
    [VERB_GET] = {&jetjobs__v1__get_answer__descriptor, read_get},
    [VERB_GET_BY_NAME] = {&jetjobs__v1__get_by_name_answer__descriptor, read_page},
    [VERB_CANCEL] = {&jetjobs__v1__cancel_answer__descriptor, read_cancelled},
    [VERB_RETRY] = {&jetjobs__v1__retry_answer__descriptor, read_retried},
    [VERB_LOGS] = {&jetjobs__v1__logs_answer__descriptor, read_lines},
    [VERB_STATS] = {&jetjobs__v1__stats_answer__descriptor, read_stats},
};

jj_status jj__pb_read_answer(const void *data, size_t len, struct answer *answer, jj_error *err)
{
    struct arena arena = {.max = MEMORY_AT_LEAST + MEMORY_PER_BYTE * len};
    struct answer read = {.verb = answer->verb};
    jj_status s;

    const ProtobufCMessage *message =
        jj__pb_unpack(answers[answer->verb].descriptor, data, len, &arena);
    if (message != NULL)
        s = answers[answer->verb].read(&arena, message, &read, err);
    else if (arena.no_memory)
        s = no_memory(err);
    else
        s = jj__fail(err, JJ_ERR_PROTOCOL, "the answer of the index can't be read");
    jj__arena_done(&arena);
    if (s != JJ_OK) {
        jj__answer_done(&read);
        return s;
    }
    *answer = read;
    return JJ_OK;
}
