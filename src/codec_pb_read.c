/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of claims and events from protobuf. Whoever may publish to the subject wrote the bytes:
 * what they may cost, and what of them can be used, is decided in codec_pb_parts.c. */

#include "codec_pb.h"

#include <string.h>

#include "codec_pb_parts.h"
#include "subject.h"

/* Entries as small as ours really are take some ten times their bytes. */
#define MEMORY_PER_BYTE 16
#define MEMORY_AT_LEAST ((size_t)32 * 1024 * 1024)

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor, const void *data,
                                size_t len, struct arena *arena)
{
    arena->max = MEMORY_AT_LEAST + MEMORY_PER_BYTE * len;
    return jj__pb_unpack(descriptor, data, len, arena);
}

/* Free the arena and say why it came to nothing. */
static jj_status refuse(struct arena *arena, const char *what, jj_error *err)
{
    bool no_memory = arena->no_memory;
    bool beyond_max = arena->beyond_max;

    jj__arena_done(arena);
    if (no_memory)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "%s", what);
    if (beyond_max)
        return jj__fail(err, JJ_ERR_PROTOCOL, "%s takes too much memory for its size", what);
    return jj__fail(err, JJ_ERR_PROTOCOL, "%s is not in the format of jetjobs", what);
}

static void copy_token(char out[JJ_NAME_SIZE], const char *token)
{
    memcpy(out, token, strlen(token) + 1);
}

/* All but what tells which job and how often; false if there is no memory. */
static bool read_job(struct arena *arena, const Jetjobs__V1__Job *pb, struct job *job)
{
    job->data = pb->data.data;
    job->data_len = pb->data.len;
    job->max_attempts = pb->max_attempts;
    job->created_at_ms = pb->created_at_ms;
    job->run_at_ms = pb->run_at_ms;
    job->schedule_id = jj__pb_token(pb->schedule_id);

    jj_header *headers;
    if (!jj__pb_headers(arena, pb, &headers, &job->header_count))
        return false;
    job->headers = headers;
    job->traceparent = jj__header_find(headers, job->header_count, JJ__HEADER_TRACEPARENT);
    return true;
}

/* ---- claims ---- */

static bool claim_usable(const Jetjobs__V1__Claim *pb)
{
    return jj__token_valid(pb->id) && jj__token_valid(pb->name) && pb->attempt != 0;
}

static bool read_claim(struct arena *arena, const Jetjobs__V1__Claim *pb, struct claim *claim,
                       struct job *job)
{
    copy_token(job->id, pb->id);
    copy_token(job->name, pb->name);
    job->attempts = pb->attempt - 1;
    job->redrives = pb->redrives;
    job->snoozes = pb->snoozes;
    claim->job = job;
    claim->seq = pb->seq;
    claim->attempt = pb->attempt;
    claim->max_attempts = pb->max_attempts;
    claim->lost = pb->lost;
    if (pb->job == NULL)
        return true;

    claim->with_job = true;
    claim->omit_data = pb->job->data_omitted;
    return read_job(arena, pb->job, job);
}

static bool read_claims(struct arena *arena, const Jetjobs__V1__ClaimBatch *batch,
                        struct pb_claims *claims)
{
    struct job *jobs = jj__arena_array(arena, batch->n_claims, sizeof(*jobs));

    claims->claims = jj__arena_array(arena, batch->n_claims, sizeof(*claims->claims));
    if (jobs == NULL || claims->claims == NULL)
        return false;
    for (size_t i = 0; i < batch->n_claims; i++) {
        if (!claim_usable(batch->claims[i]))
            continue;
        size_t at = claims->count++;
        if (!read_claim(arena, batch->claims[i], &claims->claims[at], &jobs[at]))
            return false;
    }
    claims->worker = jj__pb_token(batch->worker);
    claims->number = batch->number;
    claims->time_ms = batch->time_ms;
    return true;
}

jj_status jj__pb_read_claims(const void *data, size_t len, struct pb_claims *out, jj_error *err)
{
    struct arena arena = {0};
    struct pb_claims claims = {0};

    ProtobufCMessage *batch = unpack(&jetjobs__v1__claim_batch__descriptor, data, len, &arena);
    if (batch == NULL || !read_claims(&arena, (const Jetjobs__V1__ClaimBatch *)batch, &claims))
        return refuse(&arena, "batch of claims", err);
    claims.memory = arena.chunks;
    *out = claims;
    return JJ_OK;
}

void jj__pb_claims_free(struct pb_claims *claims)
{
    struct arena arena = {.chunks = claims->memory};

    jj__arena_done(&arena);
    *claims = (struct pb_claims){0};
}

/* ---- events ---- */

/* The job that an event carries; one that is not the event's is not known. */
static bool read_event_job(struct arena *arena, const Jetjobs__V1__Event *pb, struct event *event)
{
    if (pb->job == NULL || strcmp(pb->job->id, pb->id) != 0 || !jj__token_valid(pb->job->name))
        return true;

    struct job *job = jj__arena_array(arena, 1, sizeof(*job));
    if (job == NULL)
        return false;
    copy_token(job->id, pb->job->id);
    copy_token(job->name, pb->job->name);
    job->attempts = pb->job->attempts;
    job->redrives = pb->job->redrives;
    job->snoozes = pb->job->snoozes;
    event->job = job;
    event->omit_data = pb->job->data_omitted;
    return read_job(arena, pb->job, job);
}

static bool read_event(struct arena *arena, const Jetjobs__V1__Event *pb, struct event *event)
{
    event->id = pb->id;
    event->traceparent = jj__pb_text(pb->traceparent);
    event->time_ms = pb->time_ms;
    event->attempts = pb->attempts;
    event->max_attempts = pb->max_attempts;
    event->redrives = pb->redrives;
    event->snoozes = pb->snoozes;
    event->lost = pb->lost;
    event->result = pb->result.data; /* NULL if it is empty */
    event->result_len = pb->result.len;
    event->duration_ms = pb->duration_ms;
    event->error = jj__pb_text(pb->error);
    event->run_at_ms = pb->run_at_ms;
    event->event = jj__pb_text(pb->event);
    event->level = jj__pb_level(pb->level);
    event->message = jj__pb_text(pb->message);
    event->data = jj__pb_json(pb->data);
    event->percent = jj__pb_percent(pb->percent);
    return read_event_job(arena, pb, event);
}

static bool read_events(struct arena *arena, const Jetjobs__V1__EventBatch *batch,
                        struct pb_events *events)
{
    events->worker = jj__pb_token(batch->worker);
    events->events = jj__arena_array(arena, batch->n_events, sizeof(*events->events));
    if (events->events == NULL)
        return false;
    for (size_t i = 0; i < batch->n_events; i++) {
        if (!jj__token_valid(batch->events[i]->id))
            continue;
        struct event *event = &events->events[events->count++];
        event->worker = events->worker;
        if (!read_event(arena, batch->events[i], event))
            return false;
    }
    return true;
}

jj_status jj__pb_read_events(const void *data, size_t len, struct pb_events *out, jj_error *err)
{
    struct arena arena = {0};
    struct pb_events events = {0};

    ProtobufCMessage *batch = unpack(&jetjobs__v1__event_batch__descriptor, data, len, &arena);
    if (batch == NULL || !read_events(&arena, (const Jetjobs__V1__EventBatch *)batch, &events))
        return refuse(&arena, "batch of events", err);
    events.memory = arena.chunks;
    *out = events;
    return JJ_OK;
}

void jj__pb_events_free(struct pb_events *events)
{
    struct arena arena = {.chunks = events->memory};

    jj__arena_done(&arena);
    *events = (struct pb_events){0};
}
