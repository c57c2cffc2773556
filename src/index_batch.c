/* SPDX-License-Identifier: Apache-2.0 */

/* A batch: messages of the three streams, folded into the rows of their jobs, to be stored at once.
 *
 * A row is read from the storage when its job is first mentioned, and written once, however often
 * the batch mentions it. What rows point to lives in the messages, in what decoding made of them
 * and in the batch's arena: all of it until the batch is done. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec_pb.h"
#include "content.h"
#include "fault.h"
#include "index_got.h"
#include "index_inner.h"
#include "state.h"
#include "subject.h"

#define PLACE_BITS 16 /* entries of one message: a line's place is message and entry */

/* What decoding took: freed with the batch. */
struct kept {
    struct kept *next;
    jj_header *headers;
    struct buf packed;
    struct pb_claims claims;
    struct pb_events events;
};

static struct kept *keep(struct batch *batch)
{
    struct kept *kept = calloc(1, sizeof(*kept));

    if (kept == NULL)
        return NULL;
    kept->next = batch->memory;
    batch->memory = kept;
    return kept;
}

void jj__batch_init(struct batch *batch, struct index *index)
{
    *batch = (struct batch){.index = index, .offsets = index->offsets};
    batch->arena.max = SIZE_MAX;
    batch->end = &batch->first;
    batch->lines_end = &batch->lines;
}

void jj__batch_done(struct batch *batch)
{
    struct kept *kept = batch->memory;

    while (kept != NULL) {
        struct kept *next = kept->next;
        free(kept->headers);
        jj__buf_done(&kept->packed);
        jj__pb_claims_free(&kept->claims);
        jj__pb_events_free(&kept->events);
        free(kept);
        kept = next;
    }
    jj__arena_done(&batch->arena);
    batch->memory = NULL;
}

/* ---- rows ---- */

static struct batch_row **bucket_of(struct batch *batch, const char *id)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    for (const char *c = id; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return &batch->buckets[(hash ^ (hash >> 32)) % BATCH_BUCKETS];
}

/* Copies into the batch what a row from storage points to, but for its content, which is written
 * only when it changes. */
struct loading {
    struct batch *batch;
    struct batch_row *row;
    bool failed;
};

static const void *copy(struct loading *loading, const void *data, size_t len)
{
    const void *copied = data == NULL ? NULL : jj__arena_text(&loading->batch->arena, data, len);

    loading->failed |= data != NULL && copied == NULL;
    return copied;
}

static const char *copy_text(struct loading *loading, const char *text)
{
    return text == NULL ? NULL : copy(loading, text, strlen(text));
}

static bool load(void *ctx, const jj_record *stored)
{
    struct loading *loading = ctx;
    jj_record record = *stored;

    record.id = copy_text(loading, stored->id);
    record.name = copy_text(loading, stored->name);
    record.worker = copy_text(loading, stored->worker);
    record.schedule_id = copy_text(loading, stored->schedule_id);
    record.error = copy_text(loading, stored->error);
    record.result = copy(loading, stored->result, stored->result_len);
    record.marks = copy(loading, stored->marks, stored->marks_len);
    record.headers = copy(loading, stored->headers, stored->headers_len);
    record.data = NULL;
    record.data_len = 0;
    loading->row->stored = true;
    loading->row->was_final = jj__state_is_final(record.state);
    loading->failed |= !loading->failed && !jj__row_load(&loading->row->row, &record);
    return false;
}

static jj_status new_row(struct batch *batch, const char *id, struct batch_row **link,
                         jj_error *err)
{
    const jj_adapter *adapter = batch->index->adapter;
    struct batch_row *row = jj__arena_array(&batch->arena, 1, sizeof(*row));
    if (row == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "row of the index");
    struct loading loading = {.batch = batch, .row = row};

    jj__row_init(&row->row, id);
    jj_status s = adapter->get(jj__storage_read(batch->index), id, load, &loading, err);
    jj__storage_read_done(batch->index);
    if (s != JJ_OK && s != JJ_ERR_NOT_FOUND)
        return s;
    if (loading.failed && (batch->arena.no_memory || batch->arena.beyond_max))
        return jj__fail(err, JJ_ERR_NO_MEMORY, "row of the index");
    if (loading.failed)
        return jj__fail(err, JJ_ERR_PROTOCOL, "row of job %s can't be read", id);
    row->next = *link;
    *link = row;
    *batch->end = row;
    batch->end = &row->order_next;
    batch->rows++;
    return JJ_OK;
}

static jj_status row_of(struct batch *batch, const char *id, struct row **row_out, jj_error *err)
{
    struct batch_row **bucket = bucket_of(batch, id);
    struct batch_row *found = *bucket;

    while (found != NULL && strcmp(found->row.id, id) != 0)
        found = found->next;
    if (found == NULL) {
        jj_status s = new_row(batch, id, bucket, err);
        if (s != JJ_OK)
            return s;
        found = *bucket;
    }
    *row_out = &found->row;
    return JJ_OK;
}

/* ---- cancelled jobs ---- */

static jj_status delete_later(struct batch *batch, enum origin origin, uint64_t seq, jj_error *err)
{
    if (seq == 0)
        return JJ_OK;
    struct deletion *deletion = jj__arena_array(&batch->arena, 1, sizeof(*deletion));
    if (deletion == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "cancelled job");
    *deletion = (struct deletion){.next = batch->deletions, .origin = origin, .seq = seq};
    batch->deletions = deletion;
    return JJ_OK;
}

/* The messages that are known of a job that has just been cancelled. */
static jj_status delete_messages(struct batch *batch, const struct row *row, jj_error *err)
{
    if (!jj__fold_is_cancelled(row, row->marks.queue.redrives))
        return JJ_OK;
    jj_status s = delete_later(batch, ORIGIN_JOBS, row->marks.jobs_seq, err);
    if (s == JJ_OK)
        s = delete_later(batch, ORIGIN_SCHEDULE, row->marks.schedule_seq, err);
    return s;
}

/* ---- messages of the queues ---- */

static jj_status read_got(struct batch *batch, const struct item *item, struct got *got,
                          struct kept **kept_out, jj_error *err)
{
    struct kept *kept = keep(batch);

    if (kept == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "message");
    jj_status s = jj__got_read(item->msg, item->seq, got, err);
    kept->headers = got->headers;
    *kept_out = kept;
    return s;
}

static jj_status pack_content(struct kept *kept, const struct job *job, struct content *content,
                              jj_error *err)
{
    size_t at = kept->packed.len;

    if (!jj__content_pack(&kept->packed, job->headers, job->header_count))
        return jj__fail(err, JJ_ERR_NO_MEMORY, "headers");
    *content = (struct content){.data_known = true,
                                .data = job->data,
                                .data_len = job->data_len,
                                .headers = kept->packed.data == NULL ? "" : kept->packed.data + at,
                                .headers_len = kept->packed.len - at};
    return JJ_OK;
}

static jj_status add_message(struct batch *batch, const struct item *item, jj_error *err)
{
    enum fold_source source = item->origin == ORIGIN_JOBS ? FROM_JOBS : FROM_SCHEDULE;
    struct kept *kept = NULL;
    struct got got = {0};
    struct content content;
    struct row *row = NULL;
    struct job job;
    jj_status s = read_got(batch, item, &got, &kept, err);

    if (s != JJ_OK || !jj__got_job(&got, &job))
        return s;
    s = pack_content(kept, &job, &content, err);
    if (s == JJ_OK)
        s = row_of(batch, job.id, &row, err);
    if (s != JJ_OK)
        return s;
    enum fold_result folded =
        jj__fold_message(row, source, &job, &content, item->seq, jj__got_scheduled_at(&got));
    if (folded == FOLD_APPLIED && jj__fold_is_cancelled(row, job.redrives))
        s = delete_later(batch, item->origin, item->seq, err);
    return s;
}

/* ---- claims and events ---- */

static void note_anomaly(struct batch *batch, const char *what, const char *id, uint64_t seq)
{
    if (batch->anomalies++ == 0)
        snprintf(batch->anomaly, sizeof(batch->anomaly), "%s of job %s in message %llu", what, id,
                 (unsigned long long)seq);
}

static jj_status unreadable(struct batch *batch, const struct item *item, jj_status s,
                            jj_error *err)
{
    if (s == JJ_ERR_NO_MEMORY)
        return s;
    jj__log(&batch->index->log, JJ_LOG_WARN, "message %llu of JOBS_EVENTS is left out: %s",
            (unsigned long long)item->seq, err->text);
    return JJ_OK;
}

/* The content of a job that came within a claim or event; NULL: none. The headers of each are
 * packed into a buffer of their own, as a shared one would move. */
static jj_status content_of(struct batch *batch, const struct job *job, bool omit_data,
                            struct content *content, jj_error *err)
{
    struct kept *kept = keep(batch);

    if (kept == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "job");
    jj_status s = pack_content(kept, job, content, err);
    content->data_known = !omit_data;
    return s;
}

static jj_status add_claim(struct batch *batch, const struct item *item,
                           const struct pb_claims *claims, const struct claim *claim, jj_error *err)
{
    struct content content;
    struct row *row = NULL;
    jj_status s = row_of(batch, claim->job->id, &row, err);

    if (s == JJ_OK && claim->with_job)
        s = content_of(batch, claim->job, claim->omit_data, &content, err);
    if (s != JJ_OK)
        return s;
    if (jj__fold_claim(row, claim, claims->worker, claims->time_ms,
                       claim->with_job ? &content : NULL) == FOLD_ANOMALY)
        note_anomaly(batch, "claim", claim->job->id, item->seq);
    return JJ_OK;
}

static jj_status add_claims(struct batch *batch, const struct item *item, jj_error *err)
{
    struct kept *kept = keep(batch);
    jj_error why;

    if (kept == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "claims");
    jj_status s =
        jj__pb_read_claims(jj__msg_data(item->msg), jj__msg_len(item->msg), &kept->claims, &why);
    if (s != JJ_OK)
        return unreadable(batch, item, s, &why);
    if (kept->claims.time_ms == 0)
        kept->claims.time_ms = item->stored_at_ms;
    for (size_t i = 0; s == JJ_OK && i < kept->claims.count; i++)
        s = add_claim(batch, item, &kept->claims, &kept->claims.claims[i], err);
    return s;
}

static jj_status add_line(struct batch *batch, const struct row *row, const struct event *event,
                          uint64_t place, jj_error *err)
{
    struct batch_line *line = jj__arena_array(&batch->arena, 1, sizeof(*line));
    bool custom = event->type == EVENT_EVENT;

    if (line == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "log line");
    line->row = row;
    line->line = (jj_line){.place = place,
                           .time_ms = event->time_ms,
                           .level = event->level,
                           .attempt = event->attempts,
                           .message = custom || event->message == NULL ? "" : event->message,
                           .data = event->data,
                           .event = custom ? event->event : NULL};
    *batch->lines_end = line;
    batch->lines_end = &line->next;
    return JJ_OK;
}

static jj_status fold_event(struct batch *batch, struct row *row, const struct item *item,
                            const struct event *event, jj_error *err)
{
    struct content content;
    jj_status s = JJ_OK;

    if (event->job != NULL)
        s = content_of(batch, event->job, event->omit_data, &content, err);
    if (s != JJ_OK)
        return s;
    bool fits = jj__fold_event(row, event, event->job == NULL ? NULL : &content) == FOLD_APPLIED;
    if (event->type == EVENT_CANCELLED)
        return fits ? delete_messages(batch, row, err) : JJ_OK; /* it came too late */
    if (!fits)
        note_anomaly(batch, jj__event_type_text(event->type), event->id, item->seq);
    return JJ_OK;
}

static jj_status add_events(struct batch *batch, const struct item *item, const char *name,
                            enum event_type type, jj_error *err)
{
    struct kept *kept = keep(batch);
    jj_error why;

    if (kept == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "events");
    jj_status s =
        jj__pb_read_events(jj__msg_data(item->msg), jj__msg_len(item->msg), &kept->events, &why);
    if (s != JJ_OK)
        return unreadable(batch, item, s, &why);
    for (size_t i = 0; s == JJ_OK && i < kept->events.count; i++) {
        struct event *event = &kept->events.events[i];
        struct row *row = NULL;
        event->name = name;
        event->type = type;
        if (event->time_ms == 0)
            event->time_ms = item->stored_at_ms;
        s = row_of(batch, event->id, &row, err);
        if (s != JJ_OK)
            return s;
        if (type != EVENT_LOG && type != EVENT_EVENT)
            s = fold_event(batch, row, item, event, err);
        else if (jj__fold_line(row, event))
            s = add_line(batch, row, event, item->seq << PLACE_BITS | (i & 0xFFFF), err);
    }
    return s;
}

static jj_status add_history(struct batch *batch, const struct item *item, jj_error *err)
{
    const char *subject = jj__msg_subject(item->msg);
    char first[JJ_NAME_SIZE], type[JJ_NAME_SIZE];

    if (jj__subject_read_claims(subject, first))
        return add_claims(batch, item, err);
    if (!jj__subject_read_events(subject, first, type) ||
        jj__event_type_read(type) == EVENT_TYPES || jj__event_type_read(type) == EVENT_STARTED)
        return JJ_OK;
    const char *name = jj__arena_text(&batch->arena, first, strlen(first));
    if (name == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "event");
    return add_events(batch, item, name, jj__event_type_read(type), err);
}

jj_status jj__batch_add(struct batch *batch, struct item *item, jj_error *err)
{
    jj_status s = item->origin == ORIGIN_EVENTS ? add_history(batch, item, err)
                                                : add_message(batch, item, err);

    if (s == JJ_OK)
        jj__offset_of(&batch->offsets, item->origin)->seq = item->seq;
    return s;
}

/* ---- storing ---- */

static jj_status store_row(const jj_adapter *adapter, void *storage, struct batch_row *row,
                           jj_error *err)
{
    if (!row->row.changed || row->row.record.state == JJ_ANY_STATE)
        return JJ_OK; /* lines of a job of which nothing else is left */
    jj__row_seal(&row->row);
    return row->stored ? adapter->update(storage, &row->row.record, row->row.content_changed, err)
                       : adapter->create(storage, &row->row.record, err);
}

static jj_status store_all(struct batch *batch, jj_error *err)
{
    const jj_adapter *adapter = batch->index->adapter;
    void *storage = batch->index->storage;
    jj_status s = JJ_OK;

    for (struct batch_row *row = batch->first; s == JJ_OK && row != NULL; row = row->order_next)
        s = store_row(adapter, storage, row, err);
    for (struct batch_line *line = batch->lines; s == JJ_OK && line != NULL; line = line->next)
        if (line->row->record.state != JJ_ANY_STATE)
            s = adapter->add_line(storage, line->row->id, &line->line, err);
    return s;
}

jj_status jj__batch_store(struct batch *batch, jj_error *err)
{
    struct index *index = batch->index;
    const jj_adapter *adapter = index->adapter;

    if (!adapter->concurrent_reads)
        pthread_mutex_lock(&index->one_at_a_time);
    jj_status s = adapter->begin(index->storage, err);
    if (s == JJ_OK) {
        s = store_all(batch, err);
        jj__fault_point("index.to_commit");
        if (s == JJ_OK)
            s = adapter->commit(index->storage, &batch->offsets, err);
        if (s != JJ_OK)
            adapter->rollback(index->storage);
    }
    if (!adapter->concurrent_reads)
        pthread_mutex_unlock(&index->one_at_a_time);
    return s;
}
