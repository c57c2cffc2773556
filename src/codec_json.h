/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CODEC_JSON_H
#define JJ_SRC_CODEC_JSON_H

#include "buf.h"
#include "event.h"
#include "status.h"

/* True if the bytes are one JSON value (RFC 8259) and nothing else. Decided by jansson. */
bool jj__json_valid(const void *data, size_t len);

/* Append a JSON string; bytes that are not UTF-8 become U+FFFD. */
void jj__json_string(struct buf *out, const char *text, size_t len);

/* Append a live event (design section 7): type, jobId, name, time, attempts, maxAttempts, worker,
 * traceparent, and what its type adds. A result that is not JSON goes out as resultBase64. */
void jj__json_event(struct buf *out, const struct event *event);

#endif
