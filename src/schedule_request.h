/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_SCHEDULE_REQUEST_H
#define JJ_SRC_SCHEDULE_REQUEST_H

#include "buf.h"
#include "job.h"
#include "resend.h"
#include "rfc3339.h"
#include "step.h"
#include "subject.h"

/* A request on jobs.schedule.<name>, turned into the schedule that is published for it. Pure. */

struct schedule_request {
    const char *name; /* of the jobs */
    const void *data;
    size_t data_len;
    const jj_header *headers; /* as they came */
    size_t header_count;
    int64_t now_ms;     /* Unix time */
    const char *new_id; /* for a job that comes without */
};

/* The schedule. Its headers point into it and into the request. */
struct schedule_plan {
    char id[JJ_NAME_SIZE]; /* of the job, or of the recurring schedule */
    bool recurring;
    const char *msg_id; /* NULL: none, it may replace one of the same id */
    struct step step;   /* of the job */
    jj_header *headers; /* free with jj__schedule_plan_done() */
    size_t header_count;
    char subject[JJ__SUBJECT_SIZE];
    char target[JJ__SUBJECT_SIZE];
    char at[JJ__AT_SIZE];
    char run_at[JJ__RFC3339_SIZE];
    char created_at[JJ__RFC3339_SIZE];
    char key[264]; /* "key:<Job-Key>" */
};

/* Longest id of a recurring schedule, so that the ids of its jobs fit. */
#define JJ__SCHEDULE_ID_MAX 50

/* Check what the server does not, and fill in what may be left out. The target is ours, whatever
 * was sent; of Nats-* headers only those of a schedule and Nats-Msg-Id pass, of Jobs-* none.
 * INVALID: the text names the header and says what is allowed. NO_MEMORY. */
jj_status jj__schedule_plan(const struct schedule_request *request, struct schedule_plan *plan,
                            jj_error *err);
void jj__schedule_plan_done(struct schedule_plan *plan);

/* What became of it, as the answer: {"id","seq","duplicate"}, ScheduleAnswer
 * (codec_pb_schedule.c). Append. */
struct schedule_answer {
    const char *id;
    uint64_t seq;
    bool duplicate;
};
void jj__schedule_write_json(struct buf *out, const struct schedule_answer *answer);
void jj__pb_write_schedule_answer(struct buf *out, const struct schedule_answer *answer);

/* Either of them, as whoever asked gets it. */
struct schedule_stored {
    char id[JJ_NAME_SIZE];
    uint64_t seq;
    bool duplicate;
};
/* PROTOCOL: it is none. */
jj_status jj__schedule_read_answer(const void *data, size_t len, struct schedule_stored *stored_out,
                                   jj_error *err);
bool jj__pb_read_schedule_answer(const void *data, size_t len, struct schedule_stored *stored_out);

#endif
