/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_BROKER_PULL_H
#define JJ_SRC_BROKER_PULL_H

#include "broker.h"

/* Takes messages from one durable pull consumer: keeps as many asked for as its owner wants, and
 * asks again after every status, silence and reconnect. All on the broker thread. */
struct puller;

struct puller_options {
    const char *stream;
    const char *consumer;
    const char *create_subject; /* where create_body goes if the consumer is not there */
    const char *create_body;    /* NULL: never create it */
    void (*take)(void *ctx, struct broker_msg *msg);
    void *ctx;
};

/* Strings are copied. */
jj_status jj__pull_open(struct broker *broker, const struct log *log,
                        const struct puller_options *options, struct puller **puller_out,
                        jj_error *err);

/* How many messages may still come: what is asked for already counts. */
void jj__pull_want(struct puller *puller, uint32_t want);

/* Ask for nothing more and take back what was asked for; what is on its way still comes. */
void jj__pull_drain(struct puller *puller);

/* No more messages are handed out. Those under way come back to the broker's other clients after
 * the consumer's ack_wait. */
void jj__pull_close(struct puller *puller);

#endif
