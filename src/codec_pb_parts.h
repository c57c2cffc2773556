/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CODEC_PB_PARTS_H
#define JJ_SRC_CODEC_PB_PARTS_H

#include "arena.h"
#include "buf.h"
#include "jetjobs.pb-c.h"
#include "job.h"
#include "status.h"

/* What the protobuf codecs share. */

/* Append a message. NO_MEMORY; TOO_LARGE: beyond out->max. what is for the text: "request". */
jj_status jj__pb_append(struct buf *out, const ProtobufCMessage *message, const char *what,
                        jj_error *err);

/* Parse a message; what it takes is the arena's, and bounded by arena->max. NULL: the arena says
 * whether for want of memory; else it is no such message. Never free it with protobuf-c. */
ProtobufCMessage *jj__pb_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data,
                                size_t len, struct arena *arena);

/* Texts are mended where they are; an absent or empty one is NULL. */
const char *jj__pb_text(char *text);
/* NULL if it is no token. */
const char *jj__pb_token(const char *text);
/* NULL if it is not one JSON value. */
const char *jj__pb_json(const char *text);
/* An unknown level is info. */
jj_log_level jj__pb_level(const char *text);
/* At most 100. */
uint32_t jj__pb_percent(uint32_t percent);

/* The headers of a job that could be sent again; false: the arena says why. */
bool jj__pb_headers(struct arena *arena, const Jetjobs__V1__Job *pb, jj_header **headers_out,
                    size_t *count_out);

#endif
