/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to jobs.schedule, in JSON or protobuf. One names a job, and says the same when it is
 * written again, in either form. */
#include "fuzz.h"

#include <string.h>

#include "schedule_request.h"
#include "subject.h"

static void must_read_same(const struct buf *written, const struct schedule_stored *stored)
{
    struct schedule_stored again = {0};

    must(!written->failed);
    must(jj__schedule_read_answer(written->data, written->len, &again, NULL) == JJ_OK);
    must(strcmp(again.id, stored->id) == 0);
    must(again.seq == stored->seq && again.duplicate == stored->duplicate);
}

static void check_stored(const struct schedule_stored *stored)
{
    const struct schedule_answer answer = {
        .id = stored->id, .seq = stored->seq, .duplicate = stored->duplicate};
    struct buf out = {0};

    must(jj__token_valid(stored->id));
    jj__pb_write_schedule_answer(&out, &answer);
    must_read_same(&out, stored);
    jj__buf_reset(&out);
    if (stored->seq <= INT64_MAX) { /* JSON has no more, nor has a stream */
        jj__schedule_write_json(&out, &answer);
        must_read_same(&out, stored);
    }
    jj__buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schedule_stored stored = {0};
    jj_error err = {0};

    jj_status s = jj__schedule_read_answer(data, size, &stored, &err);
    if (s == JJ_OK) {
        check_stored(&stored);
    } else {
        must(s == JJ_ERR_PROTOCOL && stored.id[0] == '\0');
        must_be_line(&err);
    }
    return 0;
}
