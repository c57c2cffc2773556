/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CONTENT_H
#define JJ_SRC_CONTENT_H

#include "arena.h"
#include "buf.h"
#include "job.h"

/* The headers of a job as a row keeps them: sorted by name, without those that the server owns
 * (Nats-*) and those that a row has as fields or that name a step: Job-Id, Job-Attempts,
 * Job-Redrives, Job-Snoozes, Job-Put-Offs, Job-Run-At, Job-Created-At. So the job's message, its
 * schedule and its claim give the same bytes. For that, headers that can't be sent are left out
 * too: claims have lost them. The form is <name> NUL <value> NUL, again and again. */

/* Whether a header of that name stays. */
bool jj__content_keeps(const char *name);

/* Append them. Of several with one name all stay, in their order. False: no memory. */
bool jj__content_pack(struct buf *out, const jj_header *headers, size_t count);

/* The way back; the strings are those in packed. Bytes that are not of that form end the list.
 * False: no memory. */
bool jj__content_unpack(struct arena *arena, const void *packed, size_t len,
                        jj_header **headers_out, size_t *count_out);

/* The first value, or NULL. */
const char *jj__content_find(const void *packed, size_t len, const char *name);

#endif
