/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CODEC_JSON_H
#define JJ_SRC_CODEC_JSON_H

#include "buf.h"
#include "event.h"
#include "json_write.h"

/* Append a live event as one line: type, jobId, name, time, attempts, maxAttempts (unless 0),
 * worker, what its type adds, traceparent. What is NULL or an empty result is no member. A result
 * that is not JSON goes out as resultBase64; event->data is JSON already. Where the next attempt is
 * due at once, runAt is the time of the event. */
void jj__json_event(struct buf *out, const struct event *event);

#endif
