/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_CANCELS_H
#define JJ_SRC_CANCELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Remembers cancellations for a while: which job, at which of its messages each is aimed, and when
 * it came. Zero is empty.
 *
 * A job's messages follow each other by redrives, then by generation: finished attempts plus
 * snoozes. A cancellation is obeyed if nobody had claimed the message it is aimed at, or a later
 * one, before it. Otherwise it is refused, but stays in the stream. */
struct cancels {
    struct cancel **buckets;
    size_t bucket_count; /* a power of two; 0: none yet */
    size_t count;
    uint64_t added; /* ever: the number of the last one */
    struct cancel *oldest, *newest;
};

/* Note one; it gets the next number. False: no memory, it is not noted. */
bool jj__cancels_add(struct cancels *cancels, const char *id, uint32_t redrives,
                     uint64_t generation, int64_t now_ms);

/* A job in somebody's hands. */
struct cancel_question {
    const char *id;
    uint32_t redrives;
    uint64_t generation;
    uint64_t unclaimed; /* the first generation that was not run before this one: all between were
                           put off */
    bool first;         /* its message was surely never in other hands, so nobody has claimed it */
    uint64_t cleared;   /* an index that knew those up to this number did not call the job over */
    uint64_t until;     /* those beyond this number came too late: the job was claimed before */
};

enum cancel_verdict {
    CANCEL_NONE, /* it may run */
    CANCEL_DROP, /* it is cancelled, or its message was overtaken */
    CANCEL_ASK   /* only an index can tell */
};

enum cancel_verdict jj__cancels_judge(const struct cancels *cancels,
                                      const struct cancel_question *question);

/* Forget those noted before before_ms. */
void jj__cancels_forget(struct cancels *cancels, int64_t before_ms);

void jj__cancels_done(struct cancels *cancels);

#endif
