/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BROKER_TAIL_H
#define JJ_SRC_BROKER_TAIL_H

#include "broker.h"
#include "subject.h"

/* Follows a stream: every message that matches, in order, each once, for ever. Sequences go back
 * only if the stream's did: it lost its end in a power cut, or was made anew. All on the broker
 * thread. */
struct tail;

#define JJ__TAIL_FILTERS_MAX 4

struct tail_options {
    const char *stream;
    const char *filters[JJ__TAIL_FILTERS_MAX]; /* subjects; NULL from the end on; none: all */
    uint64_t after_seq;                        /* begin behind this one; 0: see start_at_ms */
    int64_t start_at_ms; /* Unix time of the first message; 0: from the stream's beginning */
    /* Free msg in any case. False: there was no memory for it; it is to come again. */
    bool (*take)(void *ctx, struct broker_msg *msg, const struct delivery *delivery);
    void *ctx;
};

/* Strings are copied. */
jj_status jj__tail_open(struct broker *broker, const struct log *log,
                        const struct tail_options *options, struct tail **tail_out, jj_error *err);

/* The last sequence handed out; 0: none yet. */
uint64_t jj__tail_seq(const struct tail *tail);

/* Slow down: while held, the server's flow control is not answered, so that after some megabytes
 * nothing more comes. */
void jj__tail_hold(struct tail *tail, bool hold);

void jj__tail_close(struct tail *tail);

#endif
