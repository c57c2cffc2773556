/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_EXEC_WATCH_H
#define JJ_SRC_EXEC_WATCH_H

#include "buf.h"
#include "exec_spawn.h"

/* What a handler's program has left when it has ended. */
struct exec_outcome {
    struct child_end end;
    struct buf output; /* what it printed, up to its maximum */
    bool too_much;     /* it printed more, and was ended for that */
    char *last_error;  /* its last line on stderr that is not empty; NULL: none */
};

/* Most bytes of a result. */
#define JJ__EXEC_OUTPUT_MAX ((size_t)512 * 1024)

/* Feed a child, hear what it says, and end it when the attempt is to stop; returns when it has
 * ended. Free what the outcome holds with jj__exec_outcome_done(). Thread: the handler's. */
void jj__exec_watch(struct child *child, jj_attempt *attempt, struct exec_outcome *outcome_out);
void jj__exec_outcome_done(struct exec_outcome *outcome);

#endif
