/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_PART_H
#define JJ_CMD_PART_H

/* A client that lives on a thread of its own, from connecting to closing, so that the main thread
 * is free for signals. It waits for its broker for as long as that takes, and says so. */

#include <stdatomic.h>

#include <jetjobs/jetjobs.h>

#include "logger.h"

enum part_state {
    PART_OPENING, /* it connects, and begins */
    PART_RUNNING,
    PART_STOPPING, /* it was asked to stop; handlers may still run */
    PART_STOPPED,  /* jobs are over or given back; handlers may still run */
    PART_ENDED     /* nothing of it runs any more */
};

/* What a part is to be. What it points at lives until part_free(). */
struct part_setup {
    const char *what;   /* for the log: "worker", "index" */
    jj_options options; /* log and connect_timeout_ms are seen to here */
    struct logger *logger;
    /* Called on the part's thread once it is connected, and again after it said UNAVAILABLE or
     * TIMEOUT and a new connect. */
    jj_status (*begin)(jj_client *client, void *ctx, jj_error *err);
    void *ctx;
    void (*changed)(void *changed_ctx); /* called on its thread when its state has changed */
    void *changed_ctx;
};

struct part;

JJ_MUST_CHECK jj_status part_start(const struct part_setup *setup, struct part **part_out,
                                   jj_error *err);

/* How far it is. err: NULL, or set once it is STOPPED: JJ_OK, or why. */
enum part_state part_state(struct part *part, jj_error *err);

/* Ask it to stop, within a grace as that of jj_stop_within(); asked again, the shorter one holds.
 * Does not wait. */
void part_stop(struct part *part, int64_t grace_ms);

/* Wait until it has ended, and free it. NULL is fine. */
void part_free(struct part *part);

#endif
