/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_DUPLICATE_H
#define JJ_SRC_DUPLICATE_H

#include "broker.h"
#include "job.h"

/* A job that was not stored, because the stream had one with the same unique key. */
struct duplicate {
    const char *stream; /* JOBS or JOBS_SCHEDULE */
    uint64_t seq;       /* of the first one there */
    const char *key;
    int64_t deadline_ms; /* steady clock */
};

/* Find the id of the first job. UNAVAILABLE, TIMEOUT: it is not known, the text says so.
 * Thread: any but the broker's. */
jj_status jj__duplicate_find(struct broker *broker, const struct log *log,
                             const struct duplicate *duplicate, char id_out[JJ_NAME_SIZE],
                             jj_error *err);

#endif
