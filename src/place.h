/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_PLACE_H
#define JJ_SRC_PLACE_H

#include "broker.h"
#include "step.h"
#include "subject.h"

/* The place of a job in JOBS_SCHEDULE.
 *
 * A schedule's subject holds one message: whatever is published there replaces it. Two workers that
 * each held a job may both want to store its next step, and the later step must not be replaced by
 * the earlier: whoever gets the earlier one would drop it as overtaken, and the job would be lost.
 * So a step is published only if the place is as it was expected: free at first, then holding what
 * was read there and is earlier. */

/* The header that says which sequence is expected on the subject; 0: none. */
#define JJ__HEADER_EXPECTED "Nats-Expected-Last-Subject-Sequence"
#define JJ__EXPECTED_SIZE   24
void jj__place_expect(uint64_t seq, char out[JJ__EXPECTED_SIZE]);

/* True if that is why the stream refused: something else is there, or just coming. */
bool jj__place_taken(int err_code);

/* What is there. */
struct place {
    uint64_t seq; /* 0: nothing */
    bool holds;   /* this step, or a later one: leave it */
    bool recurs;  /* a recurring schedule */
};

/* The direct get of what is on a schedule's subject, and its answer, beside that step. PROTOCOL:
 * the server refuses. */
#define JJ__PLACE_SIZE (JJ__SUBJECT_SIZE + 40)
void jj__place_question(const char *schedule, char out[JJ__PLACE_SIZE]);
jj_status jj__place_read(struct broker_msg *msg, const struct step *step, struct place *place_out,
                         jj_error *err);

/* Publish it if that is what is expected on its subject; expected NULL: in any case. Thread: any
 * but the broker's. */
void jj__place_publish(struct broker *broker, const struct outgoing *message,
                       const uint64_t *expected, int64_t deadline_ms,
                       struct publish_result *result_out);

/* Store a step where nothing later is; else the result is a duplicate with the sequence of what is
 * there. Who may write but not read stores it in any case. EXISTS: a recurring schedule is there.
 * Thread: any but the broker's. */
void jj__place_store(struct broker *broker, const struct outgoing *message, const struct step *step,
                     int64_t deadline_ms, struct publish_result *result_out);

#endif
