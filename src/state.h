/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JJ_SRC_STATE_H
#define JJ_SRC_STATE_H

#include <stdbool.h>

#include <jetjobs/job.h>

/* JJ_ANY_STATE if it is the name of none. */
jj_state jj__state_read(const char *text);

/* Completed, failed or cancelled. */
bool jj__state_is_final(jj_state state);

/* Whether the state machine (design section 3) has that step; from JJ_ANY_STATE: a job that was not
 * known. */
bool jj__state_can_become(jj_state from, jj_state to);

#endif
