/* SPDX-License-Identifier: Apache-2.0 */

/* The answer to jobs.schedule in protobuf. */

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
