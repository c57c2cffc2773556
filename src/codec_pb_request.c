/* SPDX-License-Identifier: Apache-2.0 */

/* Requests to the index service and their answers, in protobuf.
 *
 * Whoever may listen to the request may answer it. protobuf-c merges a job that is repeated in an
 * answer with itself each time, which is quadratic: so it allocates from an arena that takes
 * nothing back and has a maximum. */

#include "codec_pb_request.h"

#include <string.h>

#include "arena.h"
#include "jetjobs.pb-c.h"

/* An answer takes hardly more than its bytes, but headers of a few bytes take a hundred. */
#define MEMORY_PER_BYTE 16
#define MEMORY_AT_LEAST ((size_t)1024 * 1024)

jj_status jj__pb_write_get(struct buf *out, const char *id, jj_error *err)
{
    Jetjobs__V1__GetRequest request = JETJOBS__V1__GET_REQUEST__INIT;

    request.id = (char *)id;
    size_t len = jetjobs__v1__get_request__get_packed_size(&request);
    char *at = jj__buf_reserve(out, len);
    if (at == NULL)
        return jj__fail(err, JJ_ERR_NO_MEMORY, "request");
    out->len += jetjobs__v1__get_request__pack(&request, (uint8_t *)at);
    return JJ_OK;
}

static void *arena_alloc(void *arena, size_t size)
{
    return jj__arena_alloc(arena, size);
}

static void arena_keep(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

jj_status jj__pb_read_facts(const void *data, size_t len, struct job_facts *out, jj_error *err)
{
    struct arena arena = {.max = MEMORY_AT_LEAST + MEMORY_PER_BYTE * len};
    ProtobufCAllocator allocator = {
        .alloc = arena_alloc, .free = arena_keep, .allocator_data = &arena};
    const Jetjobs__V1__GetAnswer *answer = jetjobs__v1__get_answer__unpack(&allocator, len, data);
    if (answer == NULL) {
        jj__arena_done(&arena);
        return jj__fail(err, JJ_ERR_PROTOCOL, "the answer of the index can't be read");
    }
    const Jetjobs__V1__Job *job = answer->job;

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
