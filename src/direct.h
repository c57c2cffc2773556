/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_DIRECT_H
#define JJ_SRC_DIRECT_H

/* Reading messages of a stream without consuming them, many in an answer. */

#include "broker.h"

struct direct {
    const char *stream;
    const char *filter;                              /* a subject, wildcards are fine */
    uint64_t from_seq;                               /* at least 1 */
    int max_messages;                                /* in one answer; */
    int max_bytes;                                   /* the first message comes, however large */
    int64_t deadline_ms;                             /* steady clock */
    void (*take)(void *ctx, struct broker_msg *msg); /* on the broker thread, in order; owns msg */
    void *ctx;
};

/* One answer, and wait for all of it; *more_out: there are messages behind it. What was taken
 * before a failure is a beginning without gaps. TIMEOUT: no answer, or not all of it: so it is also
 * where no server has the stream now, and where it is not permitted, which the server does not say
 * here. PROTOCOL: the server refuses it. NO_MEMORY. Thread: any but the broker's. */
jj_status jj__direct_read(struct broker *broker, const struct direct *direct, bool *more_out,
                          jj_error *err);

/* The number in a header that the server adds, such as Nats-Sequence; 0: none. */
uint64_t jj__direct_number(struct broker_msg *msg, const char *header);

#endif
