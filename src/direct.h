/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_DIRECT_H
#define JJ_SRC_DIRECT_H

/* Reading messages of a stream without consuming them, many in an answer. */

#include <pthread.h>

#include "broker.h"

struct direct {
    const char *stream;
    const char *filter;  /* a subject, wildcards are fine */
    uint64_t from_seq;   /* at least 1 */
    int max_messages;    /* in one answer; */
    int max_bytes;       /* the first message comes, however large */
    int64_t deadline_ms; /* steady clock */
    /* On the broker thread, in order; owns msg. */
    void (*take)(void *ctx, struct broker_msg *msg);
    /* NULL, or told on the broker thread that all has come, or will not. */
    void (*finished)(void *ctx);
    void *ctx;
};

/* An answer that is under way; its own. */
struct direct_reading {
    struct broker *broker;
    struct direct direct;
    struct port *port; /* broker thread only */
    char inbox[JJ__INBOX_SIZE];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool finished;    /* guarded by lock */
    bool more;        /* guarded by lock */
    jj_status status; /* guarded by lock */
};

/* Ask for one answer; reading stays where it is until jj__direct_end(), which has to be called.
 * Thread: any but the broker's. */
void jj__direct_begin(struct broker *broker, const struct direct *direct,
                      struct direct_reading *reading);

/* All of it has come, or its deadline. */
bool jj__direct_is_over(struct direct_reading *reading);

/* Nothing more is taken from then on; *more_out: there are messages behind what came. What was
 * taken before a failure is a beginning without gaps. TIMEOUT: not all of it came: so it is also
 * where no server has the stream now, and where it is not permitted, which the server does not say
 * here. PROTOCOL: the server refuses it. NO_MEMORY. Thread: any but the broker's. */
jj_status jj__direct_end(struct direct_reading *reading, bool *more_out, jj_error *err);

/* Both, and wait in between. */
jj_status jj__direct_read(struct broker *broker, const struct direct *direct, bool *more_out,
                          jj_error *err);

/* Send the question alone: the answer comes to inbox. False: not now. Of direct, nothing behind
 * max_bytes is used. Thread: broker. */
bool jj__direct_ask(struct broker *broker, const struct direct *direct, const char *inbox);

/* The number in a header that the server adds, such as Nats-Sequence; 0: none. */
uint64_t jj__direct_number(struct broker_msg *msg, const char *header);

#endif
