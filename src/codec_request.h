/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CODEC_REQUEST_H
#define JJ_SRC_CODEC_REQUEST_H

#include "buf.h"
#include "query.h"
#include "status.h"

/* Requests to the index service and their answers, in JSON (codec_json_request.c,
 * codec_json_answer.c) and protobuf (codec_pb_request.c, codec_pb_answer.c); broker/README.md and
 * broker/jetjobs.proto say how they look.
 *
 * Reading: request->verb is set by the caller, and request->name where the subject says it. INVALID
 * with a text for the one who asked: what is wrong, cut and printable, and what is allowed; request
 * is then as it was. Unknown members and fields are ignored. At most JJ__REQUEST_MAX bytes; strings
 * with NUL, or too long for their field, are invalid. JSON: an empty body is {}, null is as good as
 * absent, depth at most 32 levels; "limit" must be an integer in range. Protobuf: 0 and "" are
 * absent.
 * Writing: appends; NO_MEMORY; TOO_LARGE: beyond out->max. On failure out is as it was. */
#define JJ__REQUEST_MAX 65536

jj_status jj__json_read_request(const void *data, size_t len, struct request *request,
                                jj_error *err);
jj_status jj__pb_read_request(const void *data, size_t len, struct request *request, jj_error *err);

jj_status jj__json_write_answer(struct buf *out, const struct answer *answer, jj_error *err);
jj_status jj__pb_write_answer(struct buf *out, const struct answer *answer, jj_error *err);

/* {"error":{"code","message"}} and ErrorAnswer. */
jj_status jj__json_write_error(struct buf *out, const char *code, const char *message,
                               jj_error *err);
jj_status jj__pb_write_error(struct buf *out, const char *code, const char *message, jj_error *err);

/* The client's side, protobuf only. PROTOCOL: the bytes are not that answer. answer->verb says
 * which is expected; free with jj__answer_done(). */
jj_status jj__pb_write_request(struct buf *out, const struct request *request, jj_error *err);
jj_status jj__pb_read_answer(const void *data, size_t len, struct answer *answer, jj_error *err);

/* Append a job as one JSON object (design section 7), on one line; data and result that are empty
 * are no members. Check out->failed. */
void jj__json_job(struct buf *out, const jj_record *record);

/* The same for a log line or custom event. */
void jj__json_log_line(struct buf *out, const jj_log_line *line);

#endif
