/* SPDX-License-Identifier: Apache-2.0 */

/* The answer to jobs.schedule in protobuf. */

#include <string.h>

#include "jetjobs.pb-c.h"
#include "schedule_request.h"

void jj__pb_write_schedule_answer(struct buf *out, const struct schedule_answer *answer)
{
    Jetjobs__V1__ScheduleAnswer pb = JETJOBS__V1__SCHEDULE_ANSWER__INIT;

    pb.id = (char *)answer->id;
    pb.seq = answer->seq;
    pb.duplicate = answer->duplicate;
    char *at = jj__buf_reserve(out, jetjobs__v1__schedule_answer__get_packed_size(&pb));
    if (at != NULL)
        out->len += jetjobs__v1__schedule_answer__pack(&pb, (uint8_t *)at);
}

bool jj__pb_read_schedule_answer(const void *data, size_t len, struct schedule_stored *stored_out)
{
    Jetjobs__V1__ScheduleAnswer *pb = jetjobs__v1__schedule_answer__unpack(NULL, len, data);
    bool valid = pb != NULL && jj__token_valid(pb->id);

    if (valid) {
        *stored_out = (struct schedule_stored){.seq = pb->seq, .duplicate = pb->duplicate};
        memcpy(stored_out->id, pb->id, strlen(pb->id) + 1);
    }
    if (pb != NULL)
        jetjobs__v1__schedule_answer__free_unpacked(pb, NULL);
    return valid;
}
