/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the index service in protobuf, and what a worker reads of one answer; all the answers
 * are in codec_pb_answer.c. Whoever may send a request, or listen to one and answer it, wrote the
 * bytes: see codec_pb_parts.c. */

#include "codec_pb_request.h"

#include <string.h>

#include "codec_pb_parts.h"
#include "codec_request.h"

/* An answer takes hardly more than its bytes, but headers of a few bytes take a hundred. */
#define MEMORY_PER_BYTE 16
#define MEMORY_AT_LEAST ((size_t)1024 * 1024)

/* Of the parts of the wire format: varints, tags (field number << 3 | wire type). */
#define VARINT_BITS     64
#define WIRE_TYPE       7u
#define WIRE_VARINT     0
#define WIRE_64_BIT     1
#define WIRE_LENGTH     2
#define WIRE_32_BIT     5
#define FIELD_NUMBER_AT 3

/* ---- writing ---- */

jj_status jj__pb_write_get(struct buf *out, const char *id, jj_error *err)
{
    Jetjobs__V1__GetRequest request = JETJOBS__V1__GET_REQUEST__INIT;

    request.id = (char *)id;
    return jj__pb_append(out, &request.base, "request", err);
}

static jj_status write_get_by_name(struct buf *out, const struct request *request, jj_error *err)
{
    Jetjobs__V1__GetByNameRequest pb = JETJOBS__V1__GET_BY_NAME_REQUEST__INIT;

    pb.name = (char *)request->name;
    pb.status = (char *)jj_state_text(request->state);
    pb.limit = request->limit;
    pb.cursor = (char *)request->cursor;
    return jj__pb_append(out, &pb.base, "request", err);
}

static jj_status write_cancel(struct buf *out, const char *id, jj_error *err)
{
    Jetjobs__V1__CancelRequest pb = JETJOBS__V1__CANCEL_REQUEST__INIT;

    pb.id = (char *)id;
    return jj__pb_append(out, &pb.base, "request", err);
}

static jj_status write_retry(struct buf *out, const char *id, jj_error *err)
{
    Jetjobs__V1__RetryRequest pb = JETJOBS__V1__RETRY_REQUEST__INIT;

    pb.id = (char *)id;
    return jj__pb_append(out, &pb.base, "request", err);
}

static jj_status write_logs(struct buf *out, const struct request *request, jj_error *err)
{
    Jetjobs__V1__LogsRequest pb = JETJOBS__V1__LOGS_REQUEST__INIT;

    pb.id = (char *)request->id;
    pb.limit = request->limit < JJ__LOGS_MAX ? request->limit : 0; /* older services allow fewer */
    pb.events = request->events;
    return jj__pb_append(out, &pb.base, "request", err);
}

jj_status jj__pb_write_request(struct buf *out, const struct request *request, jj_error *err)
{
    switch (request->verb) {
    case VERB_GET:
        return jj__pb_write_get(out, request->id, err);
    case VERB_GET_BY_NAME:
        return write_get_by_name(out, request, err);
    case VERB_CANCEL:
        return write_cancel(out, request->id, err);
    case VERB_RETRY:
        return write_retry(out, request->id, err);
    case VERB_LOGS:
        return write_logs(out, request, err);
    case VERB_STATS: /* without fields: no bytes */
        return JJ_OK;
    case VERBS:
        break;
    }
    return jj__fail(err, JJ_ERR_INTERNAL, "there is no request %d", (int)request->verb);
}

/* ---- reading ---- */

static const ProtobufCMessageDescriptor *const requests[VERBS] = {
    [VERB_GET] = &jetjobs__v1__get_request__descriptor,
    [VERB_GET_BY_NAME] = &jetjobs__v1__get_by_name_request__descriptor,
    [VERB_CANCEL] = &jetjobs__v1__cancel_request__descriptor,
    [VERB_RETRY] = &jetjobs__v1__retry_request__descriptor,
    [VERB_LOGS] = &jetjobs__v1__logs_request__descriptor,
    [VERB_STATS] = &jetjobs__v1__stats_request__descriptor,
};

struct wire {
    const unsigned char *at;
    size_t left;
};

static bool take_varint(struct wire *wire, uint64_t *number_out)
{
    *number_out = 0;
    for (unsigned shift = 0; shift < VARINT_BITS && wire->left > 0; shift += 7) {
        unsigned char byte = *wire->at++;
        wire->left--;
        *number_out |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* How many bytes the value of a field has, those before it that say so left out. */
static bool take_len(struct wire *wire, unsigned type, uint64_t *len_out)
{
    uint64_t number;

    *len_out = type == WIRE_64_BIT ? 8 : type == WIRE_32_BIT ? 4 : 0;
    if (type == WIRE_VARINT)
        return take_varint(wire, &number);
    if (type == WIRE_LENGTH && !take_varint(wire, len_out))
        return false;
    return *len_out <= wire->left;
}

/* The first string with a NUL in it, of which protobuf-c shows only what is before that; NULL if
 * there is none. The bytes have been parsed as a message already. */
static const char *find_nul(const ProtobufCMessageDescriptor *descriptor, const void *data,
                            size_t len)
{
    struct wire wire = {.at = data, .left = len};
    uint64_t tag;
    uint64_t value_len;

    while (wire.left > 0 && take_varint(&wire, &tag) &&
           take_len(&wire, (unsigned)tag & WIRE_TYPE, &value_len)) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> FIELD_NUMBER_AT));
        if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING && value_len != 0 &&
            memchr(wire.at, '\0', (size_t)value_len) != NULL)
            return field->name;
        wire.at += value_len;
        wire.left -= (size_t)value_len;
    }
    return NULL;
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* 0 is no limit; it is kept in number. */
static const int64_t *limit_or_null(uint32_t limit, int64_t *number)
{
    *number = limit;
    return limit != 0 ? number : NULL;
}

static jj_status fill(struct request *request, const ProtobufCMessage *message, jj_error *err)
{
    struct asked asked = {0};
    int64_t limit;

    if (request->verb == VERB_GET_BY_NAME) {
        const Jetjobs__V1__GetByNameRequest *pb = (const Jetjobs__V1__GetByNameRequest *)message;
        asked.name = text_or_null(pb->name);
        asked.status = text_or_null(pb->status);
        asked.cursor = text_or_null(pb->cursor);
        asked.limit = limit_or_null(pb->limit, &limit);
    } else if (request->verb == VERB_LOGS) {
        const Jetjobs__V1__LogsRequest *pb = (const Jetjobs__V1__LogsRequest *)message;
        asked.id = text_or_null(pb->id);
        asked.limit = limit_or_null(pb->limit, &limit);
        asked.events = pb->events != 0;
    } else if (request->verb == VERB_GET) {
        asked.id = text_or_null(((const Jetjobs__V1__GetRequest *)message)->id);
    } else if (request->verb == VERB_CANCEL) {
        asked.id = text_or_null(((const Jetjobs__V1__CancelRequest *)message)->id);
    } else if (request->verb == VERB_RETRY) {
        asked.id = text_or_null(((const Jetjobs__V1__RetryRequest *)message)->id);
    }
    return jj__request_fill(request, &asked, err);
}

jj_status jj__pb_read_request(const void *data, size_t len, struct request *request, jj_error *err)
{
    struct arena arena = {.max = MEMORY_AT_LEAST + MEMORY_PER_BYTE * len};
    const ProtobufCMessageDescriptor *descriptor = requests[request->verb];

    if (len > JJ__REQUEST_MAX)
        return jj__fail(err, JJ_ERR_INVALID, "request has %zu bytes, and %d are allowed", len,
                        JJ__REQUEST_MAX);

    const ProtobufCMessage *message = jj__pb_unpack(descriptor, data, len, &arena);
    const char *with_nul = message != NULL ? find_nul(descriptor, data, len) : NULL;
    jj_status s;
    if (arena.no_memory)
        s = jj__fail(err, JJ_ERR_NO_MEMORY, "request");
    else if (message == NULL)
        s = jj__fail(err, JJ_ERR_INVALID, "request is not a %s", descriptor->name);
    else if (with_nul != NULL)
        s = jj__fail(err, JJ_ERR_INVALID, "%s has a NUL", with_nul);
    else
        s = fill(request, message, err);
    jj__arena_done(&arena);
    return s;
}

jj_status jj__pb_read_facts(const void *data, size_t len, struct job_facts *out, jj_error *err)
{
    struct arena arena = {.max = MEMORY_AT_LEAST + MEMORY_PER_BYTE * len};
    const ProtobufCMessage *message =
        jj__pb_unpack(&jetjobs__v1__get_answer__descriptor, data, len, &arena);

    if (message == NULL) {
        jj__arena_done(&arena);
        return jj__fail(err, JJ_ERR_PROTOCOL, "the answer of the index can't be read");
    }
    const Jetjobs__V1__Job *job = ((const Jetjobs__V1__GetAnswer *)message)->job;

    *out = (struct job_facts){.found = job != NULL};
    if (job != NULL) {
        strncpy(out->status, job->status, sizeof(out->status) - 1);
        out->attempts = job->attempts;
        out->redrives = job->redrives;
        out->snoozes = job->snoozes;
        out->lost = job->lost;
    }
    jj__arena_done(&arena);
    return JJ_OK;
}
