/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CODEC_JSON_H
#define JJ_SRC_CODEC_JSON_H

#include "buf.h"
#include "event.h"
#include "status.h"

/* True if the bytes are one JSON value (RFC 8259) and nothing else. Decided by jansson, which
 * allows no numbers beyond a double, no NUL in the name of a member, and no more than 2048 levels.
 */
bool jj__json_valid(const void *data, size_t len);

/* Append a JSON string; bytes that are not UTF-8 become U+FFFD. */
void jj__json_string(struct buf *out, const char *text, size_t len);

/* Append a live event as one line: type, jobId, name, time, attempts, maxAttempts (unless 0),
 * worker, what its type adds, traceparent. What is NULL or an empty result is no member. A result
 * that is not JSON goes out as resultBase64; event->data is JSON already. Where the next attempt is
 * due at once, runAt is the time of the event. */
void jj__json_event(struct buf *out, const struct event *event);

#endif
