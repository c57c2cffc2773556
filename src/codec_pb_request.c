/* SPDX-License-Identifier: Apache-2.0 */

/* Requests to the index service and their answers, in protobuf. */

#include "codec_pb_request.h"

#include <string.h>

#include "jetjobs.pb-c.h"

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

jj_status jj__pb_read_facts(const void *data, size_t len, struct job_facts *out, jj_error *err)
{
    Jetjobs__V1__GetAnswer *answer = jetjobs__v1__get_answer__unpack(NULL, len, data);
    if (answer == NULL)
        return jj__fail(err, JJ_ERR_PROTOCOL, "the answer of the index can't be read");
    const Jetjobs__V1__Job *job = answer->job;

    *out = (struct job_facts){.found = job != NULL};
    if (job != NULL) {
        strncpy(out->status, job->status, sizeof(out->status) - 1);
        out->attempts = job->attempts;
        out->redrives = job->redrives;
        out->snoozes = job->snoozes;
        out->lost = job->lost;
    }
    jetjobs__v1__get_answer__free_unpacked(answer, NULL);
    return JJ_OK;
}
