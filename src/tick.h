/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_TICK_H
#define JJ_SRC_TICK_H

#include "broker.h"
#include "job.h"

/* What an index knows of the job of a recurring schedule's tick. */
enum tick_answer {
    TICK_NEW,    /* nothing that would forbid to enqueue it */
    TICK_OVER,   /* it has run, or runs later: it was enqueued before */
    TICK_UNKNOWN /* no index answers */
};

/* Ask. done is called once, on the broker thread, perhaps at once; job must live until then. */
void jj__tick_ask(struct broker *broker, const struct job *job,
                  void (*done)(void *ctx, enum tick_answer answer), void *ctx);

#endif
