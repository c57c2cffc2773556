/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the index service to protobuf; codec_pb_answer_read.c is the way back. protobuf-c
 * packs a tree: it stands in an arena, points to what the answer has, and goes when it is packed.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "codec_pb_parts.h"
#include "codec_request.h"
#include "content.h"
#include "log.h"
#include "record.h"
#include "utf8.h"

/* A text as it may stand in a protobuf string; NULL is not written. False: no memory. */
static bool fill_text(struct arena *arena, const char *text, char **out)
{
    *out = (char *)text;
    if (text == NULL || jj__utf8_valid(text))
        return true;

    char *copy = jj__arena_text(arena, text, strlen(text));
    if (copy == NULL)
        return false;
    jj__utf8_mend(copy);
    *out = copy;
    return true;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)data, .len = len};
}

/* ---- jobs ---- */

static bool fill_headers(struct arena *arena, const jj_record *record, Jetjobs__V1__Job *pb)
{
    jj_header *headers;
    size_t count;

    if (!jj__content_unpack(arena, record->headers, record->headers_len, &headers, &count))
        return false;
    Jetjobs__V1__Header *to = jj__arena_array(arena, count, sizeof(*to));
    pb->headers = jj__arena_array(arena, count, sizeof(*pb->headers));
    if (to == NULL || pb->headers == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        jetjobs__v1__header__init(&to[i]);
        if (!fill_text(arena, headers[i].name, &to[i].name))
            return false;
        to[i].value = bytes_of(headers[i].value, strlen(headers[i].value));
        pb->headers[i] = &to[i];
    }
    pb->n_headers = count;
    return true;
}

static void fill_numbers(const jj_record *record, Jetjobs__V1__Job *pb)
{
    pb->created_at_ms = record->created_at_ms;
    pb->run_at_ms = record->run_at_ms;
    pb->started_at_ms = record->started_at_ms;
    pb->completed_at_ms = record->completed_at_ms;
    pb->attempts = record->attempts;
    pb->max_attempts = record->max_attempts;
    pb->lost = record->lost;
    pb->redrives = record->redrives;
    pb->snoozes = record->snoozes;
    pb->has_progress = record->progress != JJ_NO_PROGRESS;
    pb->progress = pb->has_progress ? record->progress : 0;
}

/* False: no memory. */
static bool fill_job(struct arena *arena, const jj_record *record, Jetjobs__V1__Job *pb)
{
    jetjobs__v1__job__init(pb);
    pb->id = (char *)record->id;
    pb->name = (char *)record->name;
    pb->status = (char *)jj_state_text(record->state);
    pb->data_omitted = !record->data_known;
    if (record->data_known)
        pb->data = bytes_of(record->data, record->data_len);
    pb->has_result = record->result_len != 0;
    pb->result = bytes_of(record->result, record->result_len);
    fill_numbers(record, pb);
    return fill_text(arena, record->error, &pb->error) &&
           fill_text(arena, record->worker, &pb->worker) &&
           fill_text(arena, record->schedule_id, &pb->schedule_id) &&
           fill_headers(arena, record, pb);
}

/* ---- answers; a tree that is NULL found no memory ---- */

static ProtobufCMessage *make_get(struct arena *arena, const jj_job *job)
{
    Jetjobs__V1__GetAnswer *pb = jj__arena_array(arena, 1, sizeof(*pb));
    Jetjobs__V1__Job *pb_job = jj__arena_array(arena, 1, sizeof(*pb_job));

    if (pb == NULL || pb_job == NULL)
        return NULL;
    jetjobs__v1__get_answer__init(pb);
    if (job != NULL && !fill_job(arena, &job->record, pb_job))
        return NULL;
    pb->job = job != NULL ? pb_job : NULL;
    return &pb->base;
}

static ProtobufCMessage *make_page(struct arena *arena, const jj_page *page)
{
    Jetjobs__V1__GetByNameAnswer *pb = jj__arena_array(arena, 1, sizeof(*pb));
    Jetjobs__V1__Job *jobs = jj__arena_array(arena, page->count, sizeof(*jobs));
    Jetjobs__V1__Job **pointers = jj__arena_array(arena, page->count, sizeof(*pointers));

    if (pb == NULL || jobs == NULL || pointers == NULL)
        return NULL;
    jetjobs__v1__get_by_name_answer__init(pb);
    for (size_t i = 0; i < page->count; i++) {
        if (!fill_job(arena, &page->jobs[i]->record, &jobs[i]))
            return NULL;
        pointers[i] = &jobs[i];
    }
    pb->n_jobs = page->count;
    pb->jobs = pointers;
    pb->cursor = page->cursor;
    return &pb->base;
}

static ProtobufCMessage *make_lines(struct arena *arena, const jj_lines *lines)
{
    Jetjobs__V1__LogsAnswer *pb = jj__arena_array(arena, 1, sizeof(*pb));
    Jetjobs__V1__LogLine *logs = jj__arena_array(arena, lines->count, sizeof(*logs));
    Jetjobs__V1__LogLine **pointers = jj__arena_array(arena, lines->count, sizeof(*pointers));

    if (pb == NULL || logs == NULL || pointers == NULL)
        return NULL;
    jetjobs__v1__logs_answer__init(pb);
    for (size_t i = 0; i < lines->count; i++) {
        const jj_log_line *line = &lines->lines[i];
        jetjobs__v1__log_line__init(&logs[i]);
        logs[i].time_ms = line->time_ms;
        if (line->event == NULL)
            logs[i].level = (char *)jj__log_level_text(line->level);
        logs[i].attempt = line->attempt;
        if (!fill_text(arena, line->message, &logs[i].message) ||
            !fill_text(arena, line->data, &logs[i].data) ||
            !fill_text(arena, line->event, &logs[i].event))
            return NULL;
        pointers[i] = &logs[i];
    }
    pb->n_logs = lines->count;
    pb->logs = pointers;
    return &pb->base;
}

static void fill_name(const jj_name_stats *stats, Jetjobs__V1__NameStats *pb)
{
    jetjobs__v1__name_stats__init(pb);
    pb->name = (char *)stats->name;
    pb->pending = stats->counts[JJ_PENDING];
    pb->scheduled = stats->counts[JJ_SCHEDULED];
    pb->running = stats->counts[JJ_RUNNING];
    pb->completed = stats->counts[JJ_COMPLETED];
    pb->failed = stats->counts[JJ_FAILED];
    pb->cancelled = stats->counts[JJ_CANCELLED];
}

static ProtobufCMessage *make_stats(struct arena *arena, const jj_stats *stats)
{
    Jetjobs__V1__StatsAnswer *pb = jj__arena_array(arena, 1, sizeof(*pb));
    Jetjobs__V1__NameStats *names = jj__arena_array(arena, stats->count, sizeof(*names));
    Jetjobs__V1__NameStats **pointers = jj__arena_array(arena, stats->count, sizeof(*pointers));

    if (pb == NULL || names == NULL || pointers == NULL)
        return NULL;
    jetjobs__v1__stats_answer__init(pb);
    for (size_t i = 0; i < stats->count; i++) {
        fill_name(&stats->names[i], &names[i]);
        pointers[i] = &names[i];
    }
    pb->n_names = stats->count;
    pb->names = pointers;
    pb->lag_jobs = stats->lag_jobs;
    pb->lag_events = stats->lag_events;
    return &pb->base;
}

static jj_status write_cancelled(struct buf *out, bool yes, jj_error *err)
{
    Jetjobs__V1__CancelAnswer pb = JETJOBS__V1__CANCEL_ANSWER__INIT;

    pb.cancelled = yes;
    return jj__pb_append(out, &pb.base, "answer", err);
}

static jj_status write_retried(struct buf *out, bool yes, jj_error *err)
{
    Jetjobs__V1__RetryAnswer pb = JETJOBS__V1__RETRY_ANSWER__INIT;

    pb.retried = yes;
    return jj__pb_append(out, &pb.base, "answer", err);
}

static ProtobufCMessage *make(struct arena *arena, const struct answer *answer)
{
    switch (answer->verb) {
    case VERB_GET:
        return make_get(arena, answer->job);
    case VERB_GET_BY_NAME:
        return make_page(arena, answer->page);
    case VERB_LOGS:
        return make_lines(arena, answer->lines);
    case VERB_STATS:
        return make_stats(arena, answer->stats);
    case VERB_CANCEL:
    case VERB_RETRY:
    case VERBS:
        break;
    }
    assert(false);
    return NULL;
}

jj_status jj__pb_write_answer(struct buf *out, const struct answer *answer, jj_error *err)
{
    struct arena arena = {.max = SIZE_MAX};

    if (answer->verb == VERB_CANCEL)
        return write_cancelled(out, answer->yes, err);
    if (answer->verb == VERB_RETRY)
        return write_retried(out, answer->yes, err);

    const ProtobufCMessage *message = make(&arena, answer);
    jj_status s = message != NULL ? jj__pb_append(out, message, "answer", err)
                                  : jj__fail(err, JJ_ERR_NO_MEMORY, "answer");
    jj__arena_done(&arena);
    return s;
}

jj_status jj__pb_write_error(struct buf *out, const char *code, const char *message, jj_error *err)
{
    struct arena arena = {.max = SIZE_MAX};
    Jetjobs__V1__ErrorAnswer pb = JETJOBS__V1__ERROR_ANSWER__INIT;

    pb.code = (char *)code;
    jj_status s = fill_text(&arena, message, &pb.message)
                      ? jj__pb_append(out, &pb.base, "answer", err)
                      : jj__fail(err, JJ_ERR_NO_MEMORY, "answer");
    jj__arena_done(&arena);
    return s;
}
