/* SPDX-License-Identifier: Apache-2.0 */
/* From a message to a job: whatever its subject and headers are, the job can be told of. A row
 * keeps its headers, and a claim and an event may carry it. */
#include "fuzz.h"

#include <string.h>

#include "codec_pb.h"
#include "codec_request.h"
#include "content.h"
#include "json_write.h"
#include "record.h"
#include "subject.h"
#include "utf8.h"

static void check_job(const struct job *job)
{
    must(jj__token_valid(job->id) && jj__token_valid(job->name));
    must(job->attempts <= 1000000 && job->max_attempts <= 1000 && job->redrives <= 1000000);
    must(job->snoozes <= 1000000 && job->put_offs <= 1000000 && job->timeout_ms >= 0);
    must(job->schedule_id == NULL || jj__token_valid(job->schedule_id));
}

/* Packed, unpacked and packed again, it is the same. */
static void check_content(const struct job *job)
{
    struct arena arena = {.max = 1 << 20};
    struct buf first = {0}, second = {0};
    jj_header *headers;
    size_t count;

    must(jj__content_pack(&first, job->headers, job->header_count));
    must(jj__content_unpack(&arena, first.data, first.len, &headers, &count));
    must(count <= job->header_count);
    for (size_t i = 0; i < count; i++)
        must(jj__content_find(first.data, first.len, headers[i].name) != NULL);
    must(jj__content_pack(&second, headers, count));
    must_be_same(&first, &second);
    jj__buf_done(&first);
    jj__buf_done(&second);
    jj__arena_done(&arena);
}

/* What the claim of it says reads as the same job. */
static void check_claim(const struct job *job)
{
    const struct claim claim = {.job = job, .attempt = job->attempts + 1, .with_job = true};
    struct pb_claims again;
    struct buf out = {0};

    must(jj__pb_write_claims(&out, "w", 1, 1, &claim, 1, NULL) == JJ_OK);
    must(jj__pb_read_claims(out.data, out.len, &again, NULL) == JJ_OK);
    must(again.count == 1 && strcmp(again.claims[0].job->id, job->id) == 0);
    must(again.claims[0].job->data_len == job->data_len);
    must(again.claims[0].job->redrives == job->redrives);
    jj__pb_claims_free(&again);
    jj__buf_done(&out);
}

/* A row of it, with this text where its worker's words are, can be answered in both forms. */
static void check_answer(const struct job *job, const char *text)
{
    struct buf headers = {0}, out = {0};
    struct answer answer = {.verb = VERB_GET};
    struct answer again = {.verb = VERB_GET};

    must(jj__content_pack(&headers, job->headers, job->header_count));
    const jj_record record = {.id = job->id,
                              .name = job->name,
                              .state = JJ_FAILED,
                              .created_at_ms = job->created_at_ms,
                              .run_at_ms = job->run_at_ms,
                              .completed_at_ms = job->timeout_ms,
                              .attempts = job->attempts,
                              .progress = JJ_NO_PROGRESS,
                              .schedule_id = job->schedule_id,
                              .error = text,
                              .result = text,
                              .result_len = strlen(text),
                              .data_known = true,
                              .data = job->data,
                              .data_len = job->data_len,
                              .headers = headers.data,
                              .headers_len = headers.len};
    must(jj__record_copy(&record, &answer.job, NULL) == JJ_OK);
    must(jj__json_write_answer(&out, &answer, NULL) == JJ_OK);
    must(jj__json_valid(out.data, out.len));
    jj__buf_reset(&out);
    must(jj__pb_write_answer(&out, &answer, NULL) == JJ_OK);
    must(jj__pb_read_answer(out.data, out.len, &again, NULL) == JJ_OK);
    must(strcmp(jj_job_id(again.job), job->id) == 0);
    must(jj_job_error(again.job) == NULL || jj__utf8_valid(jj_job_error(again.job)));
    jj__answer_done(&answer);
    jj__answer_done(&again);
    jj__buf_done(&headers);
    jj__buf_done(&out);
}

/* Bytes from a damaged file are headers, too, as far as they go. */
static void check_damaged(const uint8_t *data, size_t size)
{
    struct arena arena = {.max = 1 << 24};
    jj_header *headers;
    size_t count;

    if (jj__content_unpack(&arena, data, size, &headers, &count))
        for (size_t i = 0; i < count; i++)
            must(strlen(headers[i].name) + strlen(headers[i].value) <= size);
    jj__arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_message message;
    struct job job;
    jj_error err = {0};

    check_damaged(data, size);
    message_read(&message, data, size);
    const struct job_message given = {.subject = message.subject,
                                      .data = message.data,
                                      .data_len = message.data_len,
                                      .headers = message.headers,
                                      .header_count = message.header_count,
                                      .seq = size};
    jj_status s = jj__job_read(&given, &job, &err);
    if (s != JJ_OK)
        must_be_line(&err);
    must(s != JJ_ERR_PROTOCOL || job.name[0] == '\0');
    if (s != JJ_ERR_PROTOCOL) {
        jj__job_name_due(&job);
        check_job(&job);
        check_content(&job);
        check_claim(&job);
        check_answer(&job, err.text[0] == '\0' ? message.data : err.text);
    }
    message_done(&message);
    return 0;
}
