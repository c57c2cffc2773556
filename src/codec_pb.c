/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of claims and events to protobuf; codec_pb_read.c is the way back.
 *
 * Each job passes here twice, so entries are packed one by one straight into the batch: what
 * protobuf-c needs of an entry stands on the stack, its headers in arrays that a batch takes once.
 * Only the frame around an entry, a tag and a length, is written by hand for that. */

#include "codec_pb.h"

#include <stdlib.h>
#include <string.h>

#include "jetjobs.pb-c.h"
#include "log.h"
#include "utf8.h"

/* Field number and wire type "length-delimited" of the entries in their batches. */
#define TAG_CLAIMS (4 << 3 | 2)
#define TAG_EVENTS (2 << 3 | 2)

#define VARINT_MAX_BYTES 10

/* Field numbers up to 15 take one byte, those up to 2047 two. */
#define TAG_MAX_BYTES 2

struct copy {
    struct copy *next;
    char text[];
};

/* What a batch takes while its entries are packed. */
struct scratch {
    Jetjobs__V1__Header *headers;
    Jetjobs__V1__Header **header_pointers;
    size_t header_cap;
    struct copy *copies; /* of texts that had to be mended */
    bool no_memory;
};

static void scratch_done(struct scratch *scratch)
{
    while (scratch->copies != NULL) {
        struct copy *next = scratch->copies->next;
        free(scratch->copies);
        scratch->copies = next;
    }
    free(scratch->headers);
    free(scratch->header_pointers);
}

/* Room for the headers of one job; what was there is forgotten. */
static bool scratch_headers(struct scratch *scratch, size_t count)
{
    if (count <= scratch->header_cap)
        return true;

    free(scratch->headers);
    free(scratch->header_pointers);
    scratch->headers = calloc(count, sizeof(*scratch->headers));
    scratch->header_pointers = calloc(count, sizeof(Jetjobs__V1__Header *));
    scratch->header_cap = count;
    scratch->no_memory = scratch->headers == NULL || scratch->header_pointers == NULL;
    return !scratch->no_memory;
}

/* A text as it may stand in a protobuf string; NULL is not written. */
static char *text_of(struct scratch *scratch, const char *text)
{
    if (text == NULL || jj__utf8_valid(text))
        return (char *)text;

    size_t len = strlen(text);
    struct copy *copy = malloc(sizeof(*copy) + len + 1);
    if (copy == NULL) {
        scratch->no_memory = true;
        return NULL;
    }
    memcpy(copy->text, text, len + 1);
    jj__utf8_mend(copy->text);
    copy->next = scratch->copies;
    scratch->copies = copy;
    return copy->text;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)data, .len = len};
}

static void fill_headers(struct scratch *scratch, const struct job *job, Jetjobs__V1__Job *pb)
{
    if (!scratch_headers(scratch, job->header_count))
        return;
    for (size_t i = 0; i < job->header_count; i++) {
        const jj_header *header = &job->headers[i];
        Jetjobs__V1__Header *to = &scratch->headers[i];
        jetjobs__v1__header__init(to);
        to->name = text_of(scratch, header->name);
        to->value = bytes_of(header->value, strlen(header->value));
        scratch->header_pointers[i] = to;
    }
    pb->n_headers = job->header_count;
    pb->headers = scratch->header_pointers;
}

static void fill_job(struct scratch *scratch, const struct job *job, Jetjobs__V1__Job *pb)
{
    jetjobs__v1__job__init(pb);
    pb->id = text_of(scratch, job->id);
    pb->name = text_of(scratch, job->name);
    pb->data = bytes_of(job->data, job->data_len);
    fill_headers(scratch, job, pb);
    pb->created_at_ms = job->created_at_ms;
    pb->run_at_ms = job->run_at_ms;
    pb->attempts = job->attempts;
    pb->max_attempts = job->max_attempts;
    pb->schedule_id = text_of(scratch, job->schedule_id);
    pb->redrives = job->redrives;
    pb->snoozes = job->snoozes;
}

static void omit_data(Jetjobs__V1__Job *pb)
{
    pb->data = bytes_of(NULL, 0);
    pb->data_omitted = true;
}

static void fill_claim(struct scratch *scratch, const struct claim *claim, Jetjobs__V1__Claim *pb,
                       Jetjobs__V1__Job *pb_job)
{
    jetjobs__v1__claim__init(pb);
    pb->id = text_of(scratch, claim->job->id);
    pb->name = text_of(scratch, claim->job->name);
    pb->seq = claim->seq;
    pb->attempt = claim->attempt;
    pb->max_attempts = claim->max_attempts;
    pb->lost = claim->lost;
    pb->redrives = claim->job->redrives;
    pb->snoozes = claim->job->snoozes;
    if (!claim->with_job)
        return;

    fill_job(scratch, claim->job, pb_job);
    pb_job->id = NULL; /* what the claim says is not said twice */
    pb_job->name = NULL;
    pb_job->attempts = 0;
    pb_job->redrives = 0;
    pb_job->snoozes = 0;
    if (claim->omit_data)
        omit_data(pb_job);
    pb->job = pb_job;
}

static void fill_event(struct scratch *scratch, const struct event *event, Jetjobs__V1__Event *pb,
                       Jetjobs__V1__Job *pb_job)
{
    jetjobs__v1__event__init(pb);
    pb->id = text_of(scratch, event->id);
    pb->time_ms = event->time_ms;
    pb->attempts = event->attempts;
    pb->max_attempts = event->max_attempts;
    pb->redrives = event->redrives;
    pb->snoozes = event->snoozes;
    pb->lost = event->lost;
    pb->traceparent = text_of(scratch, event->traceparent);
    pb->result = bytes_of(event->result, event->result_len);
    pb->has_result = event->result_len != 0;
    pb->duration_ms = event->duration_ms;
    pb->error = text_of(scratch, event->error);
    pb->run_at_ms = event->run_at_ms;
    pb->event = text_of(scratch, event->event);
    if (event->type == EVENT_LOG)
        pb->level = (char *)jj__log_level_text(event->level);
    pb->message = text_of(scratch, event->message);
    pb->data = text_of(scratch, event->data);
    pb->percent = event->percent;
    if (event->job != NULL) {
        fill_job(scratch, event->job, pb_job);
        if (event->omit_data)
            omit_data(pb_job);
        pb->job = pb_job;
    }
}

static size_t put_varint(unsigned char *at, uint64_t number)
{
    size_t len = 0;

    for (; number >= 0x80; number >>= 7)
        at[len++] = (unsigned char)(number | 0x80);
    at[len++] = (unsigned char)number;
    return len;
}

/* Append a message behind head, which may be empty. */
static jj_status add_packed(struct buf *out, const unsigned char *head, size_t head_len,
                            const ProtobufCMessage *message, size_t message_len, jj_error *err)
{
    size_t len = head_len + message_len;
    char *at = jj__buf_reserve(out, len);

    if (at == NULL && !jj__buf_fits(out, len))
        return jj__fail(err, JJ_ERR_TOO_LARGE, "batch would have %zu bytes", out->len + len);
    if (at == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "batch of %zu bytes", out->len + len);
    memcpy(at, head, head_len);
    protobuf_c_message_pack(message, (uint8_t *)at + head_len);
    out->len += len;
    return JJ_OK;
}

static jj_status add_batch(struct buf *out, const ProtobufCMessage *batch, jj_error *err)
{
    return add_packed(out, (const unsigned char *)"", 0, batch,
                      protobuf_c_message_get_packed_size(batch), err);
}

static jj_status add_entry(struct buf *out, const struct scratch *scratch, unsigned char tag,
                           const ProtobufCMessage *entry, jj_error *err)
{
    unsigned char head[1 + VARINT_MAX_BYTES] = {tag};

    if (scratch->no_memory)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "entry of a batch");
    size_t len = protobuf_c_message_get_packed_size(entry);
    size_t head_len = 1 + put_varint(head + 1, len);
    return add_packed(out, head, head_len, entry, len, err);
}

static jj_status finish(struct buf *out, struct scratch *scratch, jj_status s)
{
    scratch_done(scratch);
    if (s != JJ_OK)
        jj__buf_reset(out);
    return s;
}

jj_status jj__pb_write_claims(struct buf *out, const char *worker, uint64_t number, int64_t time_ms,
                              const struct claim *claims, size_t count, jj_error *err)
{
    struct scratch scratch = {0};
    Jetjobs__V1__ClaimBatch batch = JETJOBS__V1__CLAIM_BATCH__INIT;

    batch.worker = text_of(&scratch, worker);
    batch.number = number;
    batch.time_ms = time_ms;
    jj__buf_reset(out);
    jj_status s = add_batch(out, &batch.base, err);

    for (size_t i = 0; i < count && s == JJ_OK; i++) {
        Jetjobs__V1__Claim claim;
        Jetjobs__V1__Job job;
        fill_claim(&scratch, &claims[i], &claim, &job);
        s = add_entry(out, &scratch, TAG_CLAIMS, &claim.base, err);
    }
    return finish(out, &scratch, s);
}

jj_status jj__pb_write_events(struct buf *out, const char *worker, const struct event *events,
                              size_t count, jj_error *err)
{
    struct scratch scratch = {0};
    Jetjobs__V1__EventBatch batch = JETJOBS__V1__EVENT_BATCH__INIT;

    batch.worker = text_of(&scratch, worker);
    jj__buf_reset(out);
    jj_status s = add_batch(out, &batch.base, err);

    for (size_t i = 0; i < count && s == JJ_OK; i++) {
        Jetjobs__V1__Event event;
        Jetjobs__V1__Job job;
        fill_event(&scratch, &events[i], &event, &job);
        s = add_entry(out, &scratch, TAG_EVENTS, &event.base, err);
    }
    return finish(out, &scratch, s);
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
