/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of claims and events to protobuf; codec_pb_read.c is the way back.
 *
 * Each job passes here twice, so the bytes are written by hand, straight into the batch: filling
 * protobuf-c's structs and walking its descriptors takes five times as long. The numbers below are
 * those of broker/jetjobs.proto. A block's length comes before it and is known after it: then the
 * block moves up to make room. What is zero or empty is not written. */

#include "codec_pb.h"

#include <string.h>

#include "content.h"
#include "log.h"
#include "subject.h"
#include "utf8.h"

enum { PB_BATCH_WORKER = 1 };
enum { PB_CLAIMS_NUMBER = 2, PB_CLAIMS_TIME_MS = 3, PB_CLAIMS_CLAIM = 4 };
enum { PB_EVENTS_EVENT = 2 };

enum {
    PB_CLAIM_ID = 1,
    PB_CLAIM_NAME = 2,
    PB_CLAIM_SEQ = 3,
    PB_CLAIM_ATTEMPT = 4,
    PB_CLAIM_MAX_ATTEMPTS = 5,
    PB_CLAIM_LOST = 6,
    PB_CLAIM_REDRIVES = 7,
    PB_CLAIM_SNOOZES = 8,
    PB_CLAIM_JOB = 9
};

enum {
    PB_EVENT_ID = 1,
    PB_EVENT_TIME_MS = 2,
    PB_EVENT_ATTEMPTS = 3,
    PB_EVENT_MAX_ATTEMPTS = 4,
    PB_EVENT_REDRIVES = 5,
    PB_EVENT_SNOOZES = 6,
    PB_EVENT_LOST = 7,
    PB_EVENT_TRACEPARENT = 8,
    PB_EVENT_RESULT = 9,
    PB_EVENT_HAS_RESULT = 10,
    PB_EVENT_DURATION_MS = 11,
    PB_EVENT_ERROR = 12,
    PB_EVENT_RUN_AT_MS = 13,
    PB_EVENT_WHAT = 14,
    PB_EVENT_LEVEL = 15,
    PB_EVENT_MESSAGE = 16,
    PB_EVENT_DATA = 17,
    PB_EVENT_PERCENT = 18,
    PB_EVENT_JOB = 19
};

enum {
    PB_JOB_ID = 1,
    PB_JOB_NAME = 2,
    PB_JOB_DATA = 3,
    PB_JOB_HEADER = 4,
    PB_JOB_CREATED_AT_MS = 6,
    PB_JOB_RUN_AT_MS = 7,
    PB_JOB_ATTEMPTS = 13,
    PB_JOB_MAX_ATTEMPTS = 14,
    PB_JOB_SCHEDULE_ID = 17,
    PB_JOB_REDRIVES = 20,
    PB_JOB_SNOOZES = 21,
    PB_JOB_DATA_OMITTED = 22
};

enum { PB_HEADER_NAME = 1, PB_HEADER_VALUE = 2 };

#define WIRE_VARINT 0u
#define WIRE_BLOCK  2u

#define VARINT_MAX_BYTES 10

/* Field numbers up to 15 take one byte, those up to 2047 two. */
#define TAG_MAX_BYTES 2

/* ---- parts ---- */

static size_t put_varint(unsigned char *at, uint64_t number)
{
    size_t len = 0;

    for (; number >= 0x80; number >>= 7)
        at[len++] = (unsigned char)(number | 0x80);
    at[len++] = (unsigned char)number;
    return len;
}

static void put_tag(struct buf *out, unsigned field, unsigned wire)
{
    unsigned char bytes[VARINT_MAX_BYTES];

    jj__buf_add(out, bytes, put_varint(bytes, field << 3 | wire));
}

static void put_number(struct buf *out, unsigned field, uint64_t number)
{
    unsigned char bytes[2 * VARINT_MAX_BYTES];

    if (number == 0)
        return;
    size_t len = put_varint(bytes, field << 3 | WIRE_VARINT);
    len += put_varint(bytes + len, number);
    jj__buf_add(out, bytes, len);
}

static void put_bytes(struct buf *out, unsigned field, const void *data, size_t data_len)
{
    unsigned char bytes[2 * VARINT_MAX_BYTES];

    if (data_len == 0)
        return;
    size_t len = put_varint(bytes, field << 3 | WIRE_BLOCK);
    len += put_varint(bytes + len, data_len);
    jj__buf_add(out, bytes, len);
    jj__buf_add(out, data, data_len);
}

/* A text as it may stand in a protobuf string; NULL is not written. */
static void put_text(struct buf *out, unsigned field, const char *text)
{
    if (text == NULL)
        return;
    size_t len = strlen(text);

    put_bytes(out, field, text, len);
    if (jj__utf8_valid(text) || out->failed)
        return;
    jj__buf_char(out, '\0'); /* mending needs an end */
    if (out->failed)
        return;
    out->len--;
    jj__utf8_mend(out->data + out->len - len);
}

/* Begin a block that holds fields; give what it returns to end_block(). */
static size_t begin_block(struct buf *out, unsigned field)
{
    put_tag(out, field, WIRE_BLOCK);
    return out->len;
}

static void end_block(struct buf *out, size_t begin)
{
    unsigned char length[VARINT_MAX_BYTES];
    size_t block_len = out->len - begin;
    size_t len = put_varint(length, block_len);

    if (jj__buf_reserve(out, len) == NULL)
        return;
    char *at = out->data + begin;
    memmove(at + len, at, block_len);
    memcpy(at, length, len);
    out->len += len;
}

/* ---- a job, a claim, an event ---- */

/* What the fields say anyway is left out, and what the server owns; but a message id that is not
 * the job's id tells by which key it was enqueued. */
static bool is_said(const struct job *job, const jj_header *header)
{
    if (strcmp(header->name, JJ__HEADER_MSG_ID) == 0)
        return strcmp(header->value, job->id) != 0;
    return jj__content_keeps(header->name);
}

static void put_headers(struct buf *out, const struct job *job)
{
    for (size_t i = 0; i < job->header_count; i++) {
        const jj_header *header = &job->headers[i];
        if (!is_said(job, header))
            continue;
        size_t begin = begin_block(out, PB_JOB_HEADER);
        put_text(out, PB_HEADER_NAME, header->name);
        put_bytes(out, PB_HEADER_VALUE, header->value, strlen(header->value));
        end_block(out, begin);
    }
}

static void put_data(struct buf *out, const struct job *job, bool omit_data)
{
    if (omit_data)
        put_number(out, PB_JOB_DATA_OMITTED, 1);
    else
        put_bytes(out, PB_JOB_DATA, job->data, job->data_len);
}

/* Without what a claim says of it itself. */
static void put_claimed_job(struct buf *out, const struct claim *claim)
{
    const struct job *job = claim->job;
    size_t begin = begin_block(out, PB_CLAIM_JOB);

    put_data(out, job, claim->omit_data);
    put_headers(out, job);
    put_number(out, PB_JOB_CREATED_AT_MS, (uint64_t)job->created_at_ms);
    put_number(out, PB_JOB_RUN_AT_MS, (uint64_t)job->run_at_ms);
    put_number(out, PB_JOB_MAX_ATTEMPTS, job->max_attempts);
    put_text(out, PB_JOB_SCHEDULE_ID, job->schedule_id);
    end_block(out, begin);
}

static void put_claim(struct buf *out, const struct claim *claim)
{
    size_t begin = begin_block(out, PB_CLAIMS_CLAIM);

    put_text(out, PB_CLAIM_ID, claim->job->id);
    put_text(out, PB_CLAIM_NAME, claim->job->name);
    put_number(out, PB_CLAIM_SEQ, claim->seq);
    put_number(out, PB_CLAIM_ATTEMPT, claim->attempt);
    put_number(out, PB_CLAIM_MAX_ATTEMPTS, claim->max_attempts);
    put_number(out, PB_CLAIM_LOST, claim->lost);
    put_number(out, PB_CLAIM_REDRIVES, claim->job->redrives);
    put_number(out, PB_CLAIM_SNOOZES, claim->job->snoozes);
    if (claim->with_job)
        put_claimed_job(out, claim);
    end_block(out, begin);
}

static void put_whole_job(struct buf *out, const struct job *job, bool omit_data)
{
    size_t begin = begin_block(out, PB_EVENT_JOB);

    put_text(out, PB_JOB_ID, job->id);
    put_text(out, PB_JOB_NAME, job->name);
    put_data(out, job, omit_data);
    put_headers(out, job);
    put_number(out, PB_JOB_CREATED_AT_MS, (uint64_t)job->created_at_ms);
    put_number(out, PB_JOB_RUN_AT_MS, (uint64_t)job->run_at_ms);
    put_number(out, PB_JOB_ATTEMPTS, job->attempts);
    put_number(out, PB_JOB_MAX_ATTEMPTS, job->max_attempts);
    put_text(out, PB_JOB_SCHEDULE_ID, job->schedule_id);
    put_number(out, PB_JOB_REDRIVES, job->redrives);
    put_number(out, PB_JOB_SNOOZES, job->snoozes);
    end_block(out, begin);
}

static void put_event(struct buf *out, const struct event *event)
{
    size_t begin = begin_block(out, PB_EVENTS_EVENT);

    put_text(out, PB_EVENT_ID, event->id);
    put_number(out, PB_EVENT_TIME_MS, (uint64_t)event->time_ms);
    put_number(out, PB_EVENT_ATTEMPTS, event->attempts);
    put_number(out, PB_EVENT_MAX_ATTEMPTS, event->max_attempts);
    put_number(out, PB_EVENT_REDRIVES, event->redrives);
    put_number(out, PB_EVENT_SNOOZES, event->snoozes);
    put_number(out, PB_EVENT_LOST, event->lost);
    put_text(out, PB_EVENT_TRACEPARENT, event->traceparent);
    put_bytes(out, PB_EVENT_RESULT, event->result, event->result_len);
    put_number(out, PB_EVENT_HAS_RESULT, event->result_len != 0);
    put_number(out, PB_EVENT_DURATION_MS, (uint64_t)event->duration_ms);
    put_text(out, PB_EVENT_ERROR, event->error);
    put_number(out, PB_EVENT_RUN_AT_MS, (uint64_t)event->run_at_ms);
    put_text(out, PB_EVENT_WHAT, event->event);
    if (event->type == EVENT_LOG)
        put_text(out, PB_EVENT_LEVEL, jj__log_level_text(event->level));
    put_text(out, PB_EVENT_MESSAGE, event->message);
    put_text(out, PB_EVENT_DATA, event->data);
    put_number(out, PB_EVENT_PERCENT, event->percent);
    if (event->job != NULL)
        put_whole_job(out, event->job, event->omit_data);
    end_block(out, begin);
}

/* ---- batches ---- */

static jj_status finish(struct buf *out, jj_error *err)
{
    if (!out->failed)
        return JJ_OK;
    jj_status s = out->beyond_max ? jj__fail(err, JJ_ERR_TOO_LARGE,
                                             "batch would have more than %zu bytes", out->len)
                                  : jj__fail(err, JJ_ERR_NO_MEMORY, "batch of %zu bytes", out->len);
    jj__buf_reset(out);
    return s;
}

jj_status jj__pb_write_claims(struct buf *out, const char *worker, uint64_t number, int64_t time_ms,
                              const struct claim *claims, size_t count, jj_error *err)
{
    jj__buf_reset(out);
    put_text(out, PB_BATCH_WORKER, worker);
    put_number(out, PB_CLAIMS_NUMBER, number);
    put_number(out, PB_CLAIMS_TIME_MS, (uint64_t)time_ms);
    for (size_t i = 0; i < count; i++)
        put_claim(out, &claims[i]);
    return finish(out, err);
}

jj_status jj__pb_write_events(struct buf *out, const char *worker, const struct event *events,
                              size_t count, jj_error *err)
{
    jj__buf_reset(out);
    put_text(out, PB_BATCH_WORKER, worker);
    for (size_t i = 0; i < count; i++)
        put_event(out, &events[i]);
    return finish(out, err);
}

/* ---- sizes: as above, but for tags, which are all counted at their longest ---- */

static size_t varint_size(uint64_t number)
{
    size_t size = 1;

    while (number >= 0x80) {
        number >>= 7;
        size++;
    }
    return size;
}

static size_t number_size(uint64_t number)
{
    return number == 0 ? 0 : TAG_MAX_BYTES + varint_size(number);
}

/* Of something with a length before it. */
static size_t block_size(size_t len)
{
    return TAG_MAX_BYTES + varint_size(len) + len;
}

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : block_size(strlen(text));
}

static size_t job_size(const struct job *job, bool omit_data)
{
    size_t size = text_size(job->id) + text_size(job->name) + text_size(job->schedule_id) +
                  number_size((uint64_t)job->created_at_ms) +
                  number_size((uint64_t)job->run_at_ms) + number_size(job->attempts) +
                  number_size(job->max_attempts) + number_size(job->redrives) +
                  number_size(job->snoozes) + number_size(omit_data ? 1 : job->data_len) +
                  (omit_data ? 0 : job->data_len);

    for (size_t i = 0; i < job->header_count; i++)
        if (is_said(job, &job->headers[i]))
            size += block_size(text_size(job->headers[i].name) + text_size(job->headers[i].value));
    return block_size(size);
}

size_t jj__pb_claim_size(const struct claim *claim)
{
    size_t size = number_size(claim->seq) + number_size(claim->attempt) +
                  number_size(claim->max_attempts) + number_size(claim->lost);

    if (claim->with_job)
        return block_size(size + job_size(claim->job, claim->omit_data));
    return block_size(size + text_size(claim->job->id) + text_size(claim->job->name) +
                      number_size(claim->job->redrives) + number_size(claim->job->snoozes));
}

size_t jj__pb_event_size(const struct event *event)
{
    size_t size = text_size(event->id) + number_size((uint64_t)event->time_ms) +
                  number_size(event->attempts) + number_size(event->max_attempts) +
                  number_size(event->redrives) + number_size(event->snoozes) +
                  number_size(event->lost) + text_size(event->traceparent) +
                  block_size(event->result_len) + number_size(1) +
                  number_size((uint64_t)event->duration_ms) + text_size(event->error) +
                  number_size((uint64_t)event->run_at_ms) + text_size(event->event) +
                  text_size(jj__log_level_text(event->level)) + text_size(event->message) +
                  text_size(event->data) + number_size(event->percent);

    if (event->job != NULL)
        size += job_size(event->job, event->omit_data);
    return block_size(size);
}
