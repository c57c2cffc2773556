/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_INDEX_GOT_H
#define JJ_SRC_INDEX_GOT_H

/* A message of JOBS or JOBS_SCHEDULE that was got directly: what it was stored as is in headers
 * that the server adds. */

#include "broker.h"
#include "job.h"

struct got {
    const void *data;
    size_t len;
    const char *subject; /* NULL: the server did not say it */
    jj_header *headers;
    size_t header_count;
    uint64_t seq;
    int64_t stored_at_ms;
};

/* All is the message's own but headers, the caller's to free(), whatever is returned. What can't be
 * read is no failure: NO_MEMORY only. */
jj_status jj__got_read(struct broker_msg *msg, uint64_t seq, struct got *got_out, jj_error *err);

/* The job that it is, ready, due, or for later; false: it is none, such as a recurring schedule. A
 * header that can't be read is no reason. */
bool jj__got_job(const struct got *got, struct job *job_out);

/* The same of a message in JOBS, where each header can be read. */
bool jj__got_sound_job(const struct got *got, struct job *job_out);

/* When the server is to fire it; 0: it is not such a one. */
int64_t jj__got_scheduled_at(const struct got *got);

#endif
