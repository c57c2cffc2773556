/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CODEC_PB_REQUEST_H
#define JJ_SRC_CODEC_PB_REQUEST_H

#include "buf.h"
#include "redeliver.h"
#include "status.h"

/* Append a GetRequest. */
jj_status jj__pb_write_get(struct buf *out, const char *id, jj_error *err);

/* Read what a GetAnswer says of a job. PROTOCOL: it is none. */
jj_status jj__pb_read_facts(const void *data, size_t len, struct job_facts *out, jj_error *err);

#endif
