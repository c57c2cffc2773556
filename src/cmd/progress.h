/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_CMD_PROGRESS_H
#define JJ_CMD_PROGRESS_H

/* A line on a terminal, on stderr, that tells how far a job is while somebody waits for it. */

#include <stdbool.h>

#include <jetjobs/jetjobs.h>

/* Somebody can see it: stderr is a terminal, and not a dumb one. */
bool progress_is_seen(void);

/* Wait as jj_wait() does, and tell meanwhile what the job tells. follow_hold() has been called;
 * *stopped_out: somebody has had enough before it was over, and the status says nothing. */
jj_status progress_wait(jj_client *client, const jj_spec *spec, const char *id, int64_t limit_ms,
                        jj_job **job_out, bool *stopped_out, jj_error *err);

#endif
